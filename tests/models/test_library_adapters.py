"""Heads and configurations as the adapters library saves them; whole adapters: tests/cli/test_pull_as.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapterstilts.models.configs import adapter_config_json, config_name
from adapterstilts.models.library_adapters import LibraryHead
from adapterstilts.tasks.formats.base import HeadSpec

WANTED = HeadSpec("classification", 3, ("entailment", "neutral", "contradiction"))
BUILT = {"layers": 2, "activation_function": "tanh", "use_pooler": False, "bias": True, "dropout_prob": None}
OLDER = {
    "head_type": "classification",
    "num_labels": 3,
    "layers": 2,
    "activation_function": "tanh",
    "label2id": {"neutral": 1, "entailment": 0, "contradiction": 2},
}


def head(**changes: Any) -> LibraryHead:
    return LibraryHead("x", {**OLDER, **changes}, Path("x"))


def test_a_head_of_an_older_version_fits_with_what_it_does_not_say() -> None:
    assert head().labels == WANTED.labels
    assert head().difference(WANTED, BUILT) == ""
    assert head(use_pooler=False, bias=True, dropout_prob=0.3).difference(WANTED, BUILT) == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_labels": 2}, "it has 2 outputs"),
        ({"num_labels": None}, "it has None outputs"),
        ({"label2id": {"neutral": 0, "entailment": 1, "contradiction": 2}}, "its labels are ('neutral',"),
        ({"label2id": {"neutral": 1, "entailment": 0}}, "its labels are ('entailment', 'neutral')"),
        ({"label2id": {"neutral": 1, "entailment": 0, "contradiction": 1}}, "its labels are ()"),
        ({"label2id": {"neutral": "1", "entailment": "0", "contradiction": "2"}}, "its labels are ()"),
        ({"label2id": None}, "its labels are ()"),
        ({"label2id": [1, 2]}, "its labels are ()"),
        ({"layers": 1}, "its layers is 1"),
        ({"use_pooler": True}, "its use_pooler is True"),
        ({"bias": False}, "its bias is False"),
        ({"activation_function": "relu"}, "its activation_function is relu"),
    ],
)
def test_what_is_no_head_of_the_task_is_told(changes: dict[str, Any], says: str) -> None:
    assert says in head(**changes).difference(WANTED, BUILT)


def test_heads_without_labels_are_told_by_their_outputs() -> None:
    choices = LibraryHead("x", {"head_type": "multiple_choice", "num_choices": 4}, Path("x"))
    assert choices.difference(HeadSpec("multiple_choice", 4), {}) == ""
    assert "it has 4 outputs" in choices.difference(HeadSpec("multiple_choice", 2), {})


@pytest.mark.parametrize("name", ["seq_bn", "double_seq_bn", "par_bn", "seq_bn_inv", "lora", "ia3", "prefix_tuning"])
def test_a_configuration_is_known_by_its_name(name: str) -> None:
    factor = 8 if "bn" in name else None
    config = adapter_config_json(name, reduction_factor=factor)
    assert config_name(config) == name
    if factor:
        assert config_name({**config, "leave_out": [0]}) == name
        assert config_name({**config, "non_linearity": "gelu_new"}) is None
