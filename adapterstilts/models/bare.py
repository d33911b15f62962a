"""A composed model as the bare backbone: its adapters switched off, or its LoRA worked into the weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ExpressionError

if TYPE_CHECKING:
    from torch import Tensor

    from adapterstilts.models.backbone import ComposedModel
    from adapterstilts.models.composition import Composition

TOLERANCE = 1e-4
"""Largest difference between the outputs before and after a merge into the weights, by the largest of the outputs."""


@contextmanager
def adapters_off(composed: ComposedModel) -> Iterator[None]:
    """Let a model work without its adapters: the backbone's weights as they are now, and the head on top."""
    model: Any = composed.model
    told = logging.getLogger("adapters.model_mixin")  # warns at each pass without adapters, which takes time
    setup, disabled = model.adapters_config.active_setup, told.disabled
    model.adapters_config.active_setup, told.disabled = None, True  # set_active_adapters would undo a merge
    try:
        yield
    finally:
        model.adapters_config.active_setup, told.disabled = setup, disabled


def check_mergeable(composition: Composition) -> None:
    """Refuse a composition whose adapters cannot become part of the backbone's weights.

    Raises:
        ExpressionError: says what cannot, and why.
    """
    if composition.full:
        raise ExpressionError("--merge-lora: with --adapter full there is no adapter; leave the option out.")
    if len(composition.stacked) > 1:
        raise ExpressionError(
            f"--merge-lora: '{', '.join(composition.stacked)}' are several adapters, and the adapters library merges "
            "one LoRA into the weights; leave the option out."
        )
    (name,) = composition.stacked
    config = composition.adapters[name]
    why = ""
    if config.get("architecture") != "lora":
        kind = config.get("architecture") or config.get("alias") or "bottleneck"
        why = f"is a {kind} adapter, whose work no matrix of the backbone can do"
    elif config.get("composition_mode") != "add":
        why = "scales outputs ((IA)³), and the adapters library would leave the biases unscaled"
    elif config.get("use_gating"):
        why = "has gates that depend on the input"
    if why:
        raise ExpressionError(f"--merge-lora: '{name}' {why}; only LoRA can be merged. Leave the option out.")


def merge_lora(composed: ComposedModel, batch: Mapping[str, Tensor]) -> float:
    """Add a LoRA to the weights of the backbone (Hu et al. 2022, https://arxiv.org/abs/2106.09685, section 4.1).

    Args:
        composed: with one adapter; in evaluation mode.
        batch: inputs on which the outputs before and after are compared, in the precision of the weights.

    Returns:
        their largest difference, by the largest of the outputs, or by 1 where that is more.

    Raises:
        ExpressionError: the adapter cannot be merged, or the outputs differ by more than ``TOLERANCE``.
    """
    check_mergeable(composed.composition)
    import torch

    model: Any = composed.model
    (name,) = composed.composition.stacked
    before = _outputs(model, batch)
    with torch.no_grad():
        model.merge_adapter(name)
    pairs = list(zip(before, _outputs(model, batch), strict=True))
    scale = max(1.0, *(one.abs().max().item() for one, _ in pairs))
    difference = max((one - other).abs().max().item() for one, other in pairs) / scale
    if not difference <= TOLERANCE:
        raise ExpressionError(
            f"--merge-lora: with '{name}' in the weights the outputs differ by {difference:.1e}, more than "
            f"{TOLERANCE:g}: the adapters library does not merge this kind of LoRA faithfully. Leave the option out."
        )
    return float(difference)


def _outputs(model: Any, batch: Mapping[str, Tensor]) -> list[Tensor]:
    import torch

    with torch.inference_mode():
        return [value.float() for value in model(**batch).values() if isinstance(value, torch.Tensor)]
