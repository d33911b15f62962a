"""Weights and configurations of strangers: is all of it in range, is it numbers, and does it answer?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

    from adapterstilts.models.backbone import ComposedModel

LARGEST = 1 << 16
"""Of any number in the configuration of an adapter or head: widths, ranks, lengths, labels."""
SMALLEST_FACTOR = 0.1
"""Of reduction factors: below, a bottleneck is more than ten times as wide as the model."""


def check_numbers(config: Mapping[str, Any], where: str, depth: int = 0) -> None:
    """Refuse a configuration that would make a huge model, or that names another one somewhere else.

    Args:
        config: of an adapter or a fusion.
        where: it stands, for messages.
        depth: of the mapping in the configuration.

    Raises:
        ArtifactError: names what is out of range.
    """
    if depth > 4:
        raise ArtifactError(f"{where} is nested too deeply.")
    for key, value in config.items():
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,):
            if isinstance(item, dict):
                check_numbers(item, where, depth + 1)
            elif isinstance(item, (int, float)) and not -1 <= item <= LARGEST:
                raise ArtifactError(f"{where} has {key} {item!r}, out of what is read.")
            elif "reduction_factor" in key and isinstance(item, (int, float)) and item < SMALLEST_FACTOR:
                raise ArtifactError(f"{where} has {key} {item!r}; at least {SMALLEST_FACTOR} is read.")
            elif key == "configs" or isinstance(item, list):
                raise ArtifactError(f"{where} has something in {key} that is no configuration.")


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights that are no numbers, though they need not show in an answer.

    Raises:
        ArtifactError: names the first of them.
    """
    for key, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ArtifactError(f"{where} has no finite numbers in '{key}'.")


def check_answer(composed: ComposedModel, where: str) -> None:
    """Let a model answer to a line of text; what comes out must be numbers.

    Raises:
        ArtifactError: it is not.
    """
    import torch

    composed.activate()
    inputs = composed.backbone.tokenizer("1 2 3", return_tensors="pt")
    choices = composed.composition.head.outputs if composed.composition.head.kind == "multiple_choice" else 0
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    if choices:
        given = {name: tensor.unsqueeze(0).repeat(1, choices, 1) for name, tensor in given.items()}
    model: Any = composed.model
    model.eval()
    with torch.no_grad():
        output = model(**given)
    tensors = [value for value in output.values() if isinstance(value, torch.Tensor)]
    if not tensors or not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise ArtifactError(f"The weights in '{where}' give answers that are not finite numbers.")
