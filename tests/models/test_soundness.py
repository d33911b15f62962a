"""What a stranger's configuration or weights may say: numbers in range, and numbers at all."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adapterstilts.errors import ArtifactError
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.soundness import LARGEST, check_finite, check_numbers


@pytest.mark.parametrize("name", ["seq_bn", "double_seq_bn", "seq_bn_inv", "lora", "prefix_tuning", "ia3", "compacter"])
def test_the_librarys_own_configurations_are_in_range(name: str) -> None:
    check_numbers(adapter_config_json(name), "x")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"reduction_factor": 1e-9}, "x has reduction_factor 1e-09; at least"),
        ({"reduction_factor": {"0": 1e-9}}, "reduction_factor 1e-09"),
        ({"prefix_length": LARGEST + 1}, f"prefix_length {LARGEST + 1}, out of"),
        ({"r": float("nan")}, "r nan, out of"),
        ({"r": -2}, "r -2, out of"),
        ({"leave_out": [10**9]}, "leave_out 1000000000"),
        ({"configs": [{"r": 1}]}, None),
        ({"configs": ["evil"]}, "something in configs"),
        ({"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}, None),
        ({"leave_out": [[0]]}, "something in leave_out"),
    ],
)
def test_what_is_out_of_range_is_named(config: dict[str, Any], says: str | None) -> None:
    if says is None:
        check_numbers(config, "x")
        return
    with pytest.raises(ArtifactError) as refusal:
        check_numbers(config, "x")
    assert says in str(refusal.value)


def test_what_is_nested_too_deeply_is_refused() -> None:
    config: dict[str, Any] = {"a": {"b": 1}}
    for _ in range(12):
        config = {"a": {"b": config}}
    with pytest.raises(ArtifactError, match="nested too deeply"):
        check_numbers(config, "x")


def test_one_number_that_is_none_is_named() -> None:
    tensors = {"one": torch.zeros(3), "two": torch.tensor([0.0, float("inf")])}
    with pytest.raises(ArtifactError, match="x has no finite numbers in 'two'"):
        check_finite(tensors, "x")
    check_finite({"one": torch.zeros(3)}, "x")
