"""Settings of a training: what is refused, that all faults are told at once, and that nothing else gets through."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.errors import SettingsError, UnknownNameError
from adapterstilts.training.settings import TrainingSettings

FAULTS: dict[str, list[Any]] = {
    "epochs": [0, -1.0, float("nan")],
    "steps": [0, -3],
    "learning_rate": [0, -1e-4, 1.0, float("nan")],
    "warmup_ratio": [-0.1, 1.1, float("nan")],
    "batch_size": [0, -8],
    "gradient_accumulation": [0],
    "weight_decay": [-0.01, float("nan")],
    "max_grad_norm": [0, -1.0, float("nan")],
    "fusion_dropout": [-0.1, 1.0, float("nan")],
    "reduction_factor": [0, -16, float("nan")],
    "max_train_examples": [0],
    "max_validation_examples": [0],
    "evaluations": [0],
    "patience": [0, -1],
    "precision": ["fp16", "BF16", ""],
    "drop_layers": ["", "4-0", "-1", "a"],
    "max_length": [7, 0, -128],
    "doc_stride": [-1],
}
EDGES: dict[str, Any] = {
    "epochs": 0.01,
    "steps": 1,
    "learning_rate": 0.999,
    "warmup_ratio": 1.0,
    "batch_size": 1,
    "weight_decay": 0.0,
    "fusion_dropout": 0.0,
    "reduction_factor": 0.5,
    "max_train_examples": 1,
    "evaluations": 1,
    "patience": 1,
    "precision": "bf16",
    "max_length": 8,
    "doc_stride": 0,
}


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FAULTS.items() for value in values])
def test_a_value_out_of_range_is_named_by_its_flag(name: str, value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        TrainingSettings(**{name: value})
    assert f"{flag(name)} " in str(caught.value)
    assert str(value) in str(caught.value) or value == -1, "the message shows what was given"


@pytest.mark.parametrize(("name", "value"), EDGES.items())
def test_the_edge_of_a_range_is_allowed(name: str, value: Any) -> None:
    assert getattr(TrainingSettings(**{name: value}), name) == value


def test_all_faults_are_told_at_once() -> None:
    wrong: dict[str, Any] = {
        name: values[0] for name, values in FAULTS.items() if name not in ("max_length", "doc_stride")
    }
    with pytest.raises(SettingsError) as caught:
        TrainingSettings(**wrong)
    assert [name for name in wrong if f"{flag(name)} must be" not in str(caught.value)] == []


def test_faults_of_lengths_are_told_with_the_others() -> None:
    with pytest.raises(SettingsError) as caught:
        TrainingSettings(epochs=0, max_length=4, doc_stride=-1)
    assert [name for name in ("--epochs", "--max-length", "--doc-stride") if name not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("seed", 2**32),
        ("sample_seed", -1),
        ("epochs", float("inf")),
        ("weight_decay", float("inf")),
        ("max_grad_norm", float("inf")),
        ("reduction_factor", float("inf")),
    ],
)
def test_values_that_no_library_takes_are_refused_here(name: str, value: Any) -> None:
    """Else they come up later as a traceback: numpy takes seeds of 32 bits, and nothing can be counted to infinity."""
    with pytest.raises(SettingsError, match=flag(name)):
        TrainingSettings(**{name: value})


def test_changes_take_the_place_of_values_and_none_leaves_them() -> None:
    settings = TrainingSettings(batch_size=8, steps=5)
    changed = settings.replaced({"batch_size": 4, "steps": None, "learning_rate": 3e-4})
    assert (changed.batch_size, changed.steps, changed.learning_rate) == (4, 5, 3e-4)
    assert settings.batch_size == 8


def test_changes_are_checked_too() -> None:
    with pytest.raises(SettingsError, match="--batch-size"):
        TrainingSettings().replaced({"batch_size": 0})


def test_an_unknown_setting_gets_the_nearest_name_back() -> None:
    with pytest.raises(UnknownNameError, match="'learning_rate'"):
        TrainingSettings().replaced({"learning_rat": 1e-3})


def test_lengths_reach_the_tokenisation() -> None:
    encoding = TrainingSettings(max_length=77, doc_stride=11).encoding
    assert (encoding.max_length, encoding.doc_stride) == (77, 11)


def test_every_setting_has_a_line_of_help() -> None:
    helps = {field.name: field.metadata.get("help", "") for field in dataclasses.fields(TrainingSettings)}
    assert [name for name, text in helps.items() if not text.endswith(".")] == []
    assert len(set(helps.values())) == len(helps)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.floats() if kind in (float, float | None) else st.integers(-(10**12), 10**12)
            for name, kind in typing.get_type_hints(TrainingSettings).items()
            if kind not in (str, str | None) and name not in ("seed", "sample_seed")
        },
    )
)
def test_numbers_of_any_size_are_taken_or_refused_in_a_sentence(values: dict[str, Any]) -> None:
    refusal = ""
    try:
        settings = TrainingSettings(**values)
    except SettingsError as error:
        refusal = str(error)
    if refusal:
        assert any(flag(name) in refusal for name in values), refusal
    else:
        assert {name: getattr(settings, name) for name in values} == values
