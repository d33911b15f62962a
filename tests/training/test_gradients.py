"""Losses and gradients of the trainer: accumulated, scaled, decayed and regularised as they should be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_compositions import same
from toy_trainer import GradientKeeper, MakeSetup, Setup, State

from adapterstilts.errors import TrainingError
from adapterstilts.training.trainer import StiltsTrainer, TrainingReport


def fitted(made: Setup) -> tuple[State, float, TrainingReport]:
    """Train one step, and return its gradients, the loss that it was told to have, and the report."""
    keeper = GradientKeeper()
    made.trainer.add_callback(keeper)
    report = made.trainer.fit()
    (gradients,) = keeper.gradients
    return gradients, next(record["loss"] for record in report.curve if "loss" in record), report


@pytest.mark.parametrize("task_name", ["mnli", "hellaswag", "squad"])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    task_name: str, setup: MakeSetup, still_folder: Path
) -> None:
    """The library makes the gradient of 4 batches 4 times that of one (pitfall 2).

    The features are of one length, since the loss of spans is a softmax over all places of a batch, padding too.
    """

    def one_step(batch_size: int, accumulation: int) -> tuple[State, float]:
        made = setup(
            task_name,
            folder=still_folder,
            of_one_length=8,
            steps=1,
            batch_size=batch_size,
            gradient_accumulation=accumulation,
            max_grad_norm=1e9,
        )
        gradients, loss, _ = fitted(made)
        return gradients, loss

    (whole, whole_loss), (parts, parts_loss) = one_step(8, 1), one_step(2, 4)
    assert whole.keys() == parts.keys()
    assert max(float(gradient.abs().max()) for gradient in whole.values()) > 1e-3
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)
    assert parts_loss == pytest.approx(whole_loss, rel=1e-3)


@pytest.mark.parametrize(
    ("task_name", "expression", "accumulation"),
    [("mnli", "none", 1), ("hellaswag", "none", 1), ("panx", "none", 2), ("xnli", "mnli+squad", 1)],
)
def test_a_batch_in_several_passes_has_the_gradients_and_the_loss_of_one(
    task_name: str, expression: str, accumulation: int, setup: MakeSetup, still_folder: Path
) -> None:
    """Also of tags, of which a pass may have more than another, and of a regulariser."""

    def one_step(tokens: int | None) -> tuple[State, float, int, int]:
        made = setup(
            task_name,
            expression,
            folder=still_folder,
            steps=1,
            batch_size=8,
            gradient_accumulation=accumulation,
            batch_tokens=tokens,
            max_grad_norm=1e9,
        )
        made.composed.model.register_forward_hook(lambda *_: calls.append(1) if made.composed.model.training else None)
        gradients, loss, report = fitted(made)
        return gradients, loss, report.examples, report.tokens

    calls: list[int] = []
    whole, whole_loss, *counted = one_step(None)
    assert len(calls) == accumulation
    parts, parts_loss, *counted_again = one_step(40)
    assert len(calls) >= 3 * accumulation
    assert max(float(gradient.abs().max()) for gradient in whole.values()) > 1e-3
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)
    assert parts_loss == pytest.approx(whole_loss, rel=1e-4)
    assert counted == counted_again


def test_gradients_are_scaled_down_to_the_norm(setup: MakeSetup, still_folder: Path) -> None:
    made = setup("mnli", folder=still_folder, steps=1, max_grad_norm=0.01)
    gradients, *_ = fitted(made)
    norm = math.sqrt(sum(float(gradient.pow(2).sum()) for gradient in gradients.values()))
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


def test_the_fusion_regulariser_is_in_loss_and_gradient(setup: MakeSetup, still_folder: Path) -> None:
    """The library adds its gradient after the step, where neither the log nor the clipping sees it (pitfall 11)."""

    def one_step(regularization: bool) -> tuple[State, float, State]:
        made = setup(
            "xnli",
            "mnli+squad",
            folder=still_folder,
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
        gradients, loss, _ = fitted(made)
        return gradients, loss, start

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


def test_the_regulariser_is_counted_once_under_accumulation(setup: MakeSetup, still_folder: Path) -> None:
    def value_gradients(batch_size: int, accumulation: int) -> State:
        made = setup(
            "xnli",
            "mnli+squad",
            folder=still_folder,
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
