"""The trainer on toy data: it learns, changes only what it may, keeps the best state, and counts right."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from adapterstilts.data.collate import feature_length
from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import load_rows
from adapterstilts.errors import TrainingError
from adapterstilts.evaluation.scoring import validation_scores
from adapterstilts.models.backbone import ComposedModel, build, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.trainer import StiltsTrainer, TrainingReport, planned_steps

MakeComposition = Callable[..., Composition]
State = dict[str, torch.Tensor]
#: What lets the toy model learn within a second or two.
LEARNING = {"learning_rate": 1e-2, "batch_size": 16, "max_length": 64, "steps": 150, "evaluations": 5}


class Setup:
    """A toy trainer with all that went into it."""

    def __init__(
        self,
        folder: Path,
        mirror: Path,
        make: MakeComposition,
        scratch: Path,
        task_name: str = "mnli",
        expression: str = "none",
        *,
        train_rows: int | None = None,
        of_one_length: int | None = None,
        scores: list[float] | None = None,
        validate: Callable[[], Mapping[str, float]] | None = None,
        reduction_factor: float = 2,
        regularization: bool = True,
        **settings: Any,
    ) -> None:
        defaults: dict[str, Any] = {"steps": 4, "batch_size": 4, "max_length": 64, "evaluations": 1}
        self.settings = TrainingSettings(**defaults | settings)
        self.task = get_task(task_name)
        head = FORMATS[self.task.format].head(self.task)
        composition = make(expression, task_name, head, reduction_factor=reduction_factor)
        if composition.fusion is not None and not regularization:
            composition = Composition(
                composition.expression,
                composition.top,
                head,
                composition.adapters,
                dict(composition.fusion) | {"regularization": False},
            )
        backbone = load_backbone(str(folder))
        self.composed = build(backbone, composition, seed=self.settings.seed)
        self.rows = load_rows(self.task, "train", ["en"], root=mirror, max_examples=train_rows)
        self.held_out = load_rows(self.task, "validation", ["en"], root=mirror)
        encoding = self.settings.encoding
        self.train: Encoded = encode_rows(self.rows, backbone.tokenizer, encoding, training=True)
        if of_one_length is not None:
            self.train = Encoded(self.train.features.select(most_of_one_length(self.train)[:of_one_length]))
            assert len(self.train) == of_one_length
        self.validation = encode_rows(self.held_out, backbone.tokenizer, encoding, training=False)
        self.kept: list[State] = []
        """The trained state at each evaluation."""
        self.scores = scores
        self.trainer = StiltsTrainer(
            self.composed,
            self.task,
            self.train,
            validate or self.validate,
            self.settings,
            output_dir=str(scratch),
            title="toy",
        )

    def validate(self) -> Mapping[str, float]:
        self.kept.append(self.composed.trained_state())
        if self.scores is not None:
            return {"score": self.scores[len(self.kept) - 1]}
        return self.score()

    def score(self) -> Mapping[str, float]:
        return validation_scores(
            self.composed, self.held_out, self.validation, self.settings.encoding, batch_size=32, precision="fp32"
        )

    def parameters(self, part: str) -> State:
        named = dict(self.composed.model.named_parameters())
        return {key: named[key] for key in self.composed.keys[part]}


MakeSetup = Callable[..., Setup]


@pytest.fixture
def setup(
    toy_backbone_folder: Path, toy_mirror: Path, toy_composition: MakeComposition, tmp_path: Path
) -> Callable[..., Setup]:
    """A function that makes a trainer; ``folder`` takes the place of the toy backbone."""

    def make(*names: str, folder: Path = toy_backbone_folder, **options: Any) -> Setup:
        return Setup(folder, toy_mirror, toy_composition, tmp_path / "scratch", *names, **options)

    return make


@pytest.fixture
def still_backbone(toy_backbone_folder: Path, tmp_path: Path) -> Path:
    """The toy backbone without dropout, so that a batch and its parts give the same."""
    folder = tmp_path / "still"
    shutil.copytree(toy_backbone_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def most_of_one_length(encoded: Encoded) -> list[int]:
    """Return the positions of the features of the most frequent length, which need no padding beside each other."""
    lengths = [feature_length({"input_ids": ids}) for ids in encoded.features["input_ids"]]
    frequent = max(set(lengths), key=lengths.count)
    return [position for position, length in enumerate(lengths) if length == frequent]


def same(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    """Tell whether two states are equal to the bit."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def snapshot(composed: ComposedModel) -> State:
    return {key: tensor.detach().clone() for key, tensor in composed.model.state_dict().items()}


class GradientKeeper(TrainerCallback):
    """Keeps the gradients as they are just before the optimiser uses them."""

    def __init__(self) -> None:
        self.gradients: list[State] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.gradients.append(
            {key: item.grad.clone() for key, item in model.named_parameters() if item.grad is not None}
        )


# It learns


@pytest.mark.parametrize(
    ("task_name", "chance", "learnt"),
    [
        # Four choices, one is right.
        ("hellaswag", 25.0, 55.0),
        # A tag for each word; the most frequent tag alone is no entity and gives 0.
        ("panx", 0.0, 35.0),
        # A span of a context of about seven words; the best single guess, its first word, gives about 10.
        ("squad", 10.0, 45.0),
    ],
)
def test_the_loss_falls_and_the_task_is_learnt(task_name: str, chance: float, learnt: float, setup: MakeSetup) -> None:
    made = setup(task_name, **LEARNING)
    before = next(iter(made.score().values()))
    assert before < (chance + learnt) / 2, "an untrained model must not know the answers"
    report = made.trainer.fit()
    losses = [record["loss"] for record in report.curve if "loss" in record]
    assert len(losses) >= 20
    assert sum(losses[-5:]) / 5 < 0.75 * sum(losses[:5]) / 5
    best = next(iter(report.best_scores.values()))
    assert best > learnt
    assert dict(made.score()) == dict(report.best_scores), "the model is left in the state that scored so"


def test_the_pairs_are_learnt_by_heart(setup: MakeSetup) -> None:
    """A random encoder of two layers hardly carries a pair over to new rows; the training rows it must fit."""
    made = setup("mnli", **LEARNING | {"steps": 300, "evaluations": 1}, train_rows=24)
    made.held_out, made.validation = made.rows, made.train
    report = made.trainer.fit()
    losses = [record["loss"] for record in report.curve if "loss" in record]
    assert sum(losses[-5:]) / 5 < 0.7 * math.log(3)
    assert report.best_scores["accuracy"] > 70


@pytest.mark.parametrize(("task_name", "expression"), [("panx", "none"), ("xnli", "mnli+squad"), ("squad", "none")])
def test_the_same_seed_gives_the_same_to_the_bit(task_name: str, expression: str, setup: MakeSetup) -> None:
    def trained(seed: int) -> tuple[State, list[dict[str, Any]]]:
        made = setup(task_name, expression, learning_rate=1e-2, seed=seed)
        curve = made.trainer.fit().curve
        return made.composed.trained_state(), curve

    (first, first_curve), (again, again_curve), (other, other_curve) = trained(0), trained(0), trained(1)
    assert same(first, again)
    assert first_curve == again_curve
    assert not any(torch.equal(first[key], other[key]) for key in first if first[key].ndim == 2)
    assert first_curve != other_curve


# It changes only what it may


@pytest.mark.parametrize("expression", ["none", "squad", "mnli+squad"])
def test_only_what_is_trained_changes(expression: str, setup: MakeSetup) -> None:
    made = setup("xnli", expression, learning_rate=1e-2, weight_decay=0.1)
    before = snapshot(made.composed)
    made.trainer.fit()
    after = made.composed.model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    allowed = {key for part in made.composed.composition.trained_parts for key in made.composed.keys[part]}
    assert changed <= allowed
    for part in made.composed.composition.trained_parts:
        untouched = set(made.composed.keys[part]) - changed
        # The softmax over fused adapters takes no notice of what is added to all scores, as the key's bias is.
        assert {key for key in untouched if not key.endswith("key.bias")} == set()
    for name in made.composed.composition.expression.names:
        assert not changed & set(made.composed.keys[f"adapters/{name}"])


# The best state


def test_the_best_state_comes_back_with_its_head(setup: MakeSetup) -> None:
    """The library brings back adapters, but a head only if it is called like one of them (pitfall 3)."""
    made = setup("xnli", "mnli+squad", steps=8, evaluations=4, learning_rate=1e-2, scores=[10.0, 50.0, 20.0, 30.0])
    report = made.trainer.fit()
    assert (report.best_step, report.best_scores) == (4, {"score": 50.0})
    assert len(made.kept) == 4
    now = made.composed.trained_state()
    assert same(now, made.kept[1])
    for part in ("head", "fusion", "adapters/xnli"):
        weights = [key for key in made.composed.keys[part] if key.endswith("weight") and now[key].ndim == 2]
        assert weights
        assert not any(torch.equal(now[key], made.kept[3][key]) for key in weights), part
    assert not made.composed.model.training


def test_of_equal_scores_the_first_is_kept(setup: MakeSetup) -> None:
    made = setup("mnli", steps=6, evaluations=3, learning_rate=1e-2, scores=[40.0, 40.0, 40.0])
    assert made.trainer.fit().best_step == 2
    assert same(made.composed.trained_state(), made.kept[0])


def test_scores_on_the_way_are_in_the_curve(setup: MakeSetup) -> None:
    made = setup("mnli", steps=6, evaluations=3, scores=[1.0, 3.0, 2.0])
    curve = made.trainer.fit().curve
    told = {record["step"]: record["validation_score"] for record in curve if "validation_score" in record}
    assert told == {2: 1.0, 4: 3.0, 6: 2.0}


def test_training_that_ends_between_evaluations_is_evaluated_once_more(setup: MakeSetup) -> None:
    made = setup("mnli", steps=7, evaluations=2, learning_rate=1e-2, scores=[1.0, 2.0])
    report = made.trainer.fit()
    assert (report.best_step, report.steps) == (7, 7)
    assert same(made.composed.trained_state(), made.kept[1])


def test_training_stops_when_patience_ends(setup: MakeSetup) -> None:
    made = setup(
        "mnli", steps=20, evaluations=10, patience=2, learning_rate=1e-2, scores=[50.0, 40.0, 60.0, 30.0, 60.0]
    )
    report = made.trainer.fit()
    assert report.stopped_early
    assert (report.steps, report.best_step) == (10, 6)
    assert same(made.composed.trained_state(), made.kept[2])


def test_without_patience_all_steps_are_made(setup: MakeSetup) -> None:
    report = setup("mnli", steps=6, evaluations=3, scores=[3.0, 2.0, 1.0]).trainer.fit()
    assert (report.steps, report.best_step, report.stopped_early) == (6, 2, False)


def test_patience_that_ends_with_the_last_step_stopped_nothing(setup: MakeSetup) -> None:
    report = setup("mnli", steps=6, evaluations=3, patience=2, scores=[3.0, 2.0, 1.0]).trainer.fit()
    assert report.steps == 6
    assert not report.stopped_early


# Loss and gradient


@pytest.mark.parametrize("task_name", ["mnli", "hellaswag", "squad"])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    task_name: str, setup: MakeSetup, still_backbone: Path
) -> None:
    """The library makes the gradient of 4 batches 4 times that of one (pitfall 2).

    The features are of one length, since the loss of spans is a softmax over all places of a batch, padding too.
    """

    def one_step(batch_size: int, accumulation: int) -> tuple[State, float]:
        made = setup(
            task_name,
            folder=still_backbone,
            of_one_length=8,
            steps=1,
            batch_size=batch_size,
            gradient_accumulation=accumulation,
            max_grad_norm=1e9,
        )
        keeper = GradientKeeper()
        made.trainer.add_callback(keeper)
        curve = made.trainer.fit().curve
        (gradients,) = keeper.gradients
        return gradients, next(record["loss"] for record in curve if "loss" in record)

    (whole, whole_loss), (parts, parts_loss) = one_step(8, 1), one_step(2, 4)
    assert whole.keys() == parts.keys()
    assert max(float(gradient.abs().max()) for gradient in whole.values()) > 1e-3
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)
    assert parts_loss == pytest.approx(whole_loss, rel=1e-3)


def test_gradients_are_scaled_down_to_the_norm(setup: MakeSetup, still_backbone: Path) -> None:
    made = setup("mnli", folder=still_backbone, steps=1, max_grad_norm=0.01)
    keeper = GradientKeeper()
    made.trainer.add_callback(keeper)
    made.trainer.fit()
    norm = math.sqrt(sum(float(gradient.pow(2).sum()) for gradient in keeper.gradients[0].values()))
    assert norm == pytest.approx(0.01, rel=1e-3)


def test_fusion_values_biases_and_norms_are_not_decayed(setup: MakeSetup) -> None:
    """The library decays the fusion's value matrices, which start as the identity (pitfall 9)."""
    made = setup("xnli", "mnli+squad", learning_rate=0.1, weight_decay=0.5)
    optimizer = made.trainer.create_optimizer()
    named = {key: item for key, item in made.composed.model.named_parameters() if item.requires_grad}
    with torch.no_grad():
        for item in named.values():
            item.add_(1.0)
    before = {key: item.detach().clone() for key, item in named.items()}
    for item in named.values():
        item.grad = torch.zeros_like(item)
    optimizer.step()
    shrunk = {key for key, item in named.items() if torch.allclose(item, before[key] * (1 - 0.1 * 0.5))}
    kept = {key for key, item in named.items() if torch.equal(item, before[key])}
    assert shrunk | kept == set(named)
    values = {key for key in made.composed.keys["fusion"] if key.endswith("value.weight")}
    assert len(values) == 2
    assert kept == values | {key for key, item in named.items() if item.ndim == 1}
    assert {key for key in made.composed.keys["fusion"] if key.endswith(("query.weight", "key.weight"))} <= shrunk


def test_the_fusion_regulariser_is_in_loss_and_gradient(setup: MakeSetup, still_backbone: Path) -> None:
    """The library adds its gradient after the step, where neither the log nor the clipping sees it (pitfall 11)."""

    def one_step(regularization: bool) -> tuple[State, float, State]:
        made = setup(
            "xnli",
            "mnli+squad",
            folder=still_backbone,
            train_rows=8,
            steps=1,
            batch_size=8,
            max_grad_norm=1e9,
            regularization=regularization,
        )
        generator = torch.Generator().manual_seed(0)
        values = {key: item for key, item in made.parameters("fusion").items() if key.endswith("value.weight")}
        with torch.no_grad():
            for item in values.values():
                item.add_(torch.randn(item.shape, generator=generator))
        start = {key: item.detach().clone() for key, item in values.items()}
        keeper = GradientKeeper()
        made.trainer.add_callback(keeper)
        curve = made.trainer.fit().curve
        return keeper.gradients[0], next(record["loss"] for record in curve if "loss" in record), start

    gradients, loss, values = one_step(True)
    plain_gradients, plain_loss, plain_values = one_step(False)
    assert same(values, plain_values)
    away = {key: value - torch.eye(len(value)) for key, value in values.items()}
    penalty = 0.01 * sum(float(item.pow(2).sum()) for item in away.values())
    assert penalty > 5
    assert loss - plain_loss == pytest.approx(penalty, rel=1e-3)
    expected = {
        key: gradient + (2 * 0.01 * away[key] if key in away else 0.0) for key, gradient in plain_gradients.items()
    }
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-5)


def test_the_regulariser_is_counted_once_under_accumulation(setup: MakeSetup, still_backbone: Path) -> None:
    def value_gradients(batch_size: int, accumulation: int) -> State:
        made = setup(
            "xnli",
            "mnli+squad",
            folder=still_backbone,
            train_rows=8,
            steps=1,
            batch_size=batch_size,
            gradient_accumulation=accumulation,
            max_grad_norm=1e9,
        )
        with torch.no_grad():
            for key, item in made.parameters("fusion").items():
                if key.endswith("value.weight"):
                    item.mul_(2.0)
        keeper = GradientKeeper()
        made.trainer.add_callback(keeper)
        made.trainer.fit()
        return {key: item for key, item in keeper.gradients[0].items() if key.endswith("value.weight")}

    whole, parts = value_gradients(8, 1), value_gradients(2, 4)
    assert len(whole) == 2
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("task_name", "names"),
    [("squad", ["start_positions", "end_positions"]), ("mnli", ["labels"]), ("panx", ["labels"])],
)
def test_label_names_have_a_fixed_order(task_name: str, names: list[str], setup: MakeSetup) -> None:
    """The library takes them from a set, so that starts and ends change places with the hash seed (pitfall 12)."""
    assert list(setup(task_name).trainer.label_names) == names


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_training(
    value: float, setup: MakeSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = setup("mnli", steps=10, learning_rate=3e-3, warmup_ratio=0.0)
    plain, calls = StiltsTrainer.compute_loss, []

    def broken(self: StiltsTrainer, *arguments: Any, **options: Any) -> Any:
        calls.append(1)
        loss = plain(self, *arguments, **options)
        return loss * value if len(calls) == 3 else loss

    monkeypatch.setattr(StiltsTrainer, "compute_loss", broken)
    with pytest.raises(TrainingError) as caught:
        made.trainer.fit()
    assert f"The loss is {value} at step 3" in str(caught.value)
    # Linear from 3e-3 to 0 over 10 steps: 2 are done.
    assert "learning rate 2.40e-03" in str(caught.value)
    assert "--learning-rate" in str(caught.value)
    assert "0.003" in str(caught.value)
    assert len(calls) == 3


def test_weights_that_are_no_numbers_are_noticed_at_the_last_step_too(setup: MakeSetup) -> None:
    """A gradient can overflow in the very last step; no later loss tells of it."""
    made = setup("mnli", steps=2, evaluations=1, learning_rate=1e-2)
    weight = next(item for key, item in made.parameters("head").items() if item.ndim == 2)
    steps = []

    def overflow(gradient: torch.Tensor) -> torch.Tensor:
        steps.append(1)
        return gradient * float("inf") if len(steps) == 2 else gradient

    weight.register_hook(overflow)
    with pytest.raises(TrainingError, match="learning-rate"):
        made.trainer.fit()


# Counting


def test_examples_and_tokens_are_counted(setup: MakeSetup) -> None:
    made = setup("mnli", steps=None, epochs=2)
    report: TrainingReport = made.trainer.fit()
    lengths = [len(ids) for ids in made.train.features["input_ids"]]
    assert report.examples == 2 * 60 == 2 * len(lengths)
    assert report.tokens == 2 * sum(lengths)
    assert report.steps == 30
    assert report.seconds > 0


def test_tokens_of_all_choices_are_counted(setup: MakeSetup) -> None:
    made = setup("hellaswag", steps=None, epochs=1)
    report = made.trainer.fit()
    assert report.examples == 60
    assert report.tokens == sum(len(ids) for choices in made.train.features["input_ids"] for ids in choices)


def test_time_for_validation_is_not_time_for_training(setup: MakeSetup) -> None:
    import time

    def slow() -> Mapping[str, float]:
        time.sleep(0.3)
        return {"score": 1.0}

    started = time.perf_counter()
    report = setup("mnli", steps=2, evaluations=2, validate=slow).trainer.fit()
    assert 0 < report.seconds < time.perf_counter() - started - 0.6


@pytest.mark.parametrize(
    ("features", "settings", "steps"),
    [
        (60, {"batch_size": 4, "epochs": 1}, 15),
        (61, {"batch_size": 4, "epochs": 1}, 16),
        (60, {"batch_size": 4, "epochs": 2.5}, 38),
        (60, {"batch_size": 4, "epochs": 1, "gradient_accumulation": 4}, 4),
        (60, {"batch_size": 100, "epochs": 3}, 3),
        (60, {"batch_size": 100, "epochs": 0.1}, 1),
        (60, {"batch_size": 4, "epochs": 9, "steps": 7}, 7),
    ],
)
def test_as_many_steps_are_planned_as_are_made(
    features: int, settings: dict[str, Any], steps: int, setup: MakeSetup
) -> None:
    assert planned_steps(features, TrainingSettings(**settings)) == steps
    if features == 60:
        made = setup("mnli", **{"steps": None, **settings})
        report = made.trainer.fit()
        assert (report.steps, made.trainer.planned) == (steps, steps)


def test_the_learning_rate_rises_and_falls(setup: MakeSetup) -> None:
    curve = setup("mnli", steps=10, learning_rate=0.01, warmup_ratio=0.2).trainer.fit().curve
    rates = [record["learning_rate"] for record in curve if "learning_rate" in record]
    # What the log shows with a step is the rate that the step was made with.
    expected = [0.0, 0.005, *(0.01 * (1 - step / 8) for step in range(8))]
    assert rates == pytest.approx(expected, abs=1e-6)
