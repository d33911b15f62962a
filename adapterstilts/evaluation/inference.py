"""Logits of encoded rows: one pass, sorted by length, padded a batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from adapterstilts.data.collate import Collator, feature_length

if TYPE_CHECKING:
    import numpy as np

    from adapterstilts.models.backbone import ComposedModel
    from adapterstilts.tasks.formats import Encoded


def predict_logits(
    composed: ComposedModel,
    encoded: Encoded,
    *,
    batch_size: int = 32,
    precision: str = "fp32",
    progress: Callable[[int], None] | None = None,
) -> list[np.ndarray]:
    """Run the model over all features.

    Args:
        composed: the model; it is put into evaluation mode and back into the mode it was in.
        encoded: features of any number of languages.
        batch_size: features a forward pass.
        precision: ``fp32`` or ``bf16`` (autocast).
        progress: told the number of features done after each batch.

    Returns:
        one float32 array a feature, in the order of the features: (labels,), (choices,), (length, tags), or
        (2, length) for the start and end of spans.
    """
    import torch

    model: Any = composed.model
    device = next(model.parameters()).device
    collate = Collator.of(composed.backbone.tokenizer)
    names = [name for name in encoded.features.column_names if name in ("input_ids", "token_type_ids")]
    features = encoded.features.select_columns(names)
    lengths = [feature_length({"input_ids": ids}) for ids in features["input_ids"]]
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    logits: list[Any] = [None] * len(order)
    mode = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                columns = features[chosen]
                rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
                batch = {name: tensor.to(device) for name, tensor in collate(rows).items()}
                with torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext():
                    output = model(**batch)
                values = _values(output)
                for row, index in enumerate(chosen):
                    logits[index] = _trimmed(values[row], lengths[index], composed.composition.head.kind)
                if progress is not None:
                    progress(start + len(chosen))
    finally:
        model.train(mode)
    return logits


def _values(output: Any) -> np.ndarray:
    import torch

    if "start_logits" in output:
        values = torch.stack([output["start_logits"], output["end_logits"]], dim=1)
    else:
        values = output["logits"]
    result: np.ndarray = values.float().cpu().numpy()
    return result


def _trimmed(values: np.ndarray, length: int, kind: str) -> np.ndarray:
    """Cut padding off, and copy so that the whole batch need not be kept."""
    if kind == "question_answering":
        return values[:, :length].copy()
    if kind == "tagging":
        return values[:length].copy()
    return values.copy()
