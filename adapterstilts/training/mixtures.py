"""Which task each batch of a mixture comes from, and which of its rows."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from adapterstilts.data.collate import MaskingCollator, feature_length

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from torch.utils.data import DataLoader

    from adapterstilts.data.collate import Collator
    from adapterstilts.tasks.formats.language_modelling import Masking

TASK = "task"
"""Key of a batch under which the name of its task stands."""


def shares(sizes: Sequence[int], *, temperature: float = 1.0, cap: int = 0) -> list[float]:
    """Return how large a share of the batches each task of a mixture has.

    Examples-proportional mixing with a cap K and a temperature T, ``min(size, K) ** (1 / T)`` over the sum of all
    (Raffel et al. 2020, https://arxiv.org/abs/1910.10683, section 3.5.2).

    Args:
        sizes: rows of each task, at least 1.
        temperature: 1 for shares in proportion to the sizes; the larger, the more equal they are.
        cap: rows beyond so many do not count; 0 is no cap.

    Returns:
        one number a task; they add up to 1.
    """
    logs = [math.log(min(size, cap) if cap else size) / temperature for size in sizes]
    return normalised([math.exp(value - max(logs)) for value in logs])


def normalised(weights: Sequence[float]) -> list[float]:
    """Return weights divided by their sum."""
    total = math.fsum(weights)
    return [weight / total for weight in weights]


@dataclass(frozen=True)
class Portion:
    """What one task puts into a mixture."""

    features: Dataset
    """Training features; at least one."""
    batch_size: int
    share: float
    """Of the batches, from 0 to 1."""
    masking: Masking | None = None
    """Hides tokens of plain text, other ones in each batch; None where the features have labels."""

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each feature."""
        return [feature_length({"input_ids": ids}) for ids in self.features["input_ids"]]


class Mixture:
    """Batches of one task each, the task of each drawn by the shares, its rows in shuffled passes.

    In a pass each row of the task comes once; rows of about the same length stand together, and the last batch of a
    pass may be smaller. The same seed gives the same batches.

    Args:
        portions: by the name of the task.
        count: number of batches.
        collate: pads features to a batch.
        seed: of the draws and of the shuffling.
    """

    def __init__(self, portions: Mapping[str, Portion], count: int, collate: Collator, *, seed: int) -> None:
        self.portions = portions
        self.collate = collate
        draws = random.Random(seed)
        self.seeds = {name: draws.getrandbits(62) for name in portions}
        by_share = [portion.share for portion in portions.values()]
        self.order = draws.choices(list(portions), weights=by_share, k=count)
        """Task of each batch."""

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[list[tuple[int, str, list[int]]]]:
        """Yield for each batch its number, its task and the places of its rows, as the one item of a list."""
        passes = {name: self.places(name) for name in self.portions}
        for number, name in enumerate(self.order):
            yield [(number, name, next(passes[name]))]

    def __getitem__(self, batch: tuple[int, str, list[int]]) -> dict[str, Any]:
        """Return a batch: the tensors that the collator makes, and the name of the task under ``task``."""
        number, name, places = batch
        columns = self.portions[name].features[places]
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        made: dict[str, Tensor] = self._collate(number, name)(rows)
        return {TASK: name, **made}

    def _collate(self, number: int, name: str) -> Collator | MaskingCollator:
        """Return what makes a batch; what it hides follows from the seed and the number of the batch alone."""
        import numpy as np

        masking = self.portions[name].masking
        if masking is None:
            return self.collate
        return MaskingCollator(self.collate, masking, np.random.default_rng((self.seeds[name], number)))

    def batches(self) -> DataLoader[dict[str, Any]]:
        """Return all batches in their order, as what the Trainer can begin in the middle of."""
        import torch
        from torch.utils.data import DataLoader

        own: Any = self
        # A generator of its own: a loader would draw from the one that dropout draws from.
        return DataLoader(own, batch_sampler=own, collate_fn=_only, generator=torch.Generator())

    def places(self, name: str) -> Iterator[list[int]]:
        """Yield the places of the rows of a task's batches, pass after pass without end."""
        import torch
        from transformers.trainer_pt_utils import LengthGroupedSampler

        portion = self.portions[name]
        generator = torch.Generator().manual_seed(self.seeds[name])
        sampler = LengthGroupedSampler(portion.batch_size, lengths=portion.lengths, generator=generator)
        while True:
            order = list(sampler)
            for start in range(0, len(order), portion.batch_size):
                yield order[start : start + portion.batch_size]


def _only(items: list[dict[str, Any]]) -> dict[str, Any]:
    return items[0]
