"""The trainer on toy data: it learns, changes only what it may, keeps the best state, and counts right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_compositions import copies, same
from toy_trainer import MakeSetup, State

from adapterstilts.models.needed_rows import NeededRows
from adapterstilts.models.vocabulary import whole_vocabulary
from adapterstilts.training import trainer
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.trainer import TrainingReport, planned_steps

#: What lets the toy model learn within a second or two.
LEARNING = {"learning_rate": 1e-2, "batch_size": 16, "max_length": 64, "steps": 150, "evaluations": 5}

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


def test_a_training_in_half_precision_leaves_the_next_one_alone(setup: MakeSetup) -> None:
    def losses(precision: str) -> list[float]:
        curve = setup("mnli", precision=precision).trainer.fit().curve
        return [record["loss"] for record in curve if "loss" in record]

    before, half = losses("fp32"), losses("bf16")
    assert half != before
    assert losses("fp32") == before


def test_batches_made_ahead_are_the_same_batches(setup: MakeSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a GPU another process makes them; here one does beside the CPU."""

    def trained() -> tuple[State, list[dict[str, Any]]]:
        made = setup("mnli", learning_rate=1e-2)
        assert made.trainer.args.dataloader_num_workers == ahead
        curve = made.trainer.fit().curve
        return made.composed.trained_state(), curve

    ahead = 0
    state, curve = trained()
    ahead = 1
    monkeypatch.setattr(trainer, "loading_processes", lambda *_: ahead)
    again, curve_again = trained()
    assert same(state, again)
    assert curve == curve_again


def test_a_compiled_training_is_the_same_training(setup: MakeSetup, still_folder: Path) -> None:
    """Without dropout, since a compiler draws other random numbers; lengths are padded to few different ones."""

    def trained(compile: bool) -> tuple[State, TrainingReport]:
        made = setup("mnli", folder=still_folder, learning_rate=1e-3, compile=compile, steps=2)
        report = made.trainer.fit()
        assert made.trainer.data_collator.multiple == (32 if compile else 1)
        embeddings: Any = made.composed.model.get_input_embeddings()  # type: ignore[operator]
        assert isinstance(embeddings, NeededRows) != compile
        backend = made.trainer.accelerator.state.dynamo_plugin.backend.value
        assert backend == ("INDUCTOR" if compile else "NO"), "accelerate takes it from where the last training left it"
        return made.composed.trained_state(), report

    (compiled, compiled_report), (plain, report) = trained(True), trained(False)
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-5)
    assert compiled_report.steps == report.steps
    assert compiled_report.tokens == report.tokens


# It changes only what it may


@pytest.mark.parametrize("expression", ["none", "squad", "mnli+squad"])
def test_only_what_is_trained_changes(expression: str, setup: MakeSetup) -> None:
    made = setup("xnli", expression, learning_rate=1e-2, weight_decay=0.1)
    whole_vocabulary(made.composed.model)
    before = copies(made.composed.model.state_dict())
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
