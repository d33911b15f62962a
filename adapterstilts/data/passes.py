"""A padded batch cut into forward passes of like lengths, each of so many tokens at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from adapterstilts.tasks.formats.base import IGNORED_LABEL

if TYPE_CHECKING:
    from torch import Tensor


def passes(batch: Mapping[str, Any], labels: str, budget: int | None) -> Iterator[tuple[dict[str, Any], float]]:
    """Cut a batch into passes whose losses, weighted, add up to the loss of the whole batch.

    The examples of a batch are sorted by length and put together from the longest on while their tokens, padding
    included, are within the budget; an example that is longer has a pass of its own. So the batch of an optimiser step
    stays what was drawn, whatever memory there is, and little of it is padding.

    Args:
        batch: ``attention_mask`` (sequences, length), with one or more sequences an example, and tensors whose first
            dimension is that of the sequences or of the examples; what is no tensor is in every pass.
        labels: name of the tensor whose values but ``IGNORED_LABEL`` the loss is the mean over, (examples, …).
        budget: tokens of a pass; None is one pass.

    Yields:
        a part of the batch, padded to its longest sequence, and the share of the labels that it holds.
    """
    mask: Tensor = batch["attention_mask"]
    if budget is None or mask.numel() <= budget:
        yield dict(batch), 1.0
        return
    examples = len(batch[labels])
    lengths = mask.sum(dim=1).view(examples, -1).amax(dim=1)
    sequences = len(mask) // examples
    order = lengths.argsort(descending=True, stable=True)
    counted = (batch[labels] != IGNORED_LABEL).view(examples, -1).sum(dim=1)
    total = max(int(counted.sum()), 1)
    first = 0
    while first < examples:
        longest = int(lengths[order[first]])
        last = first + max(1, budget // (sequences * longest))
        chosen = order[first:last]
        share = int(counted[chosen].sum()) / total
        yield {name: _taken(value, chosen, examples, mask.shape[1], longest) for name, value in batch.items()}, share
        first = last


def _taken(value: Any, chosen: Tensor, examples: int, padded: int, longest: int) -> Any:
    """Return the rows of some examples; where a row has a value for each token, without padding beyond the longest."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    rows = value.view(examples, -1, *value.shape[1:])[chosen].flatten(0, 1)
    return rows[:, :longest].contiguous() if rows.ndim > 1 and rows.shape[1] == padded else rows
