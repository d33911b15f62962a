"""Token ids of encoded rows as flat arrays, straight from Arrow, and padded a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset
    from torch import Tensor


@dataclass(frozen=True)
class Sequences:
    """Lists of numbers of encoded rows, one sequence after the other; rows of multiple choice have several."""

    columns: Mapping[str, np.ndarray]
    """By name, the numbers of all sequences, (tokens,)."""
    offsets: np.ndarray
    """Where each sequence begins, and the end, (sequences + 1,)."""
    first: np.ndarray
    """The first sequence of each row, and the end, (rows + 1,)."""

    @classmethod
    def of(cls, features: Dataset, names: Sequence[str]) -> Sequences:
        """Return some columns of encoded rows, all of them lists of the same lengths, or lists of such lists."""
        import numpy as np
        import pyarrow as pa

        table: pa.Table = features.select_columns(list(names)).with_format("arrow")[:]
        columns = {}
        first = np.arange(len(table) + 1)
        for name in names:
            rows = table[name].combine_chunks()
            if pa.types.is_nested(rows.type.value_type):
                first = _offsets(rows)
                rows = rows.flatten()
            offsets = _offsets(rows)
            columns[name] = rows.flatten().to_numpy(zero_copy_only=False)
        return cls(columns, offsets, first)

    def __len__(self) -> int:
        return len(self.first) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each sequence."""
        import numpy as np

        return np.diff(self.offsets)

    @cached_property
    def row_lengths(self) -> np.ndarray:
        """Tokens of the longest sequence of each row, (rows,)."""
        import numpy as np

        return np.maximum.reduceat(self.lengths, self.first[:-1]) if len(self) else self.lengths

    @cached_property
    def per_row(self) -> int:
        """Sequences of a row, at most."""
        import numpy as np

        return int(np.diff(self.first).max(initial=1))

    def of_rows(self, rows: Sequence[int]) -> np.ndarray:
        """Return the numbers of the sequences of rows."""
        import numpy as np

        return np.concatenate([np.arange(self.first[row], self.first[row + 1]) for row in rows])

    def one(self, number: int) -> dict[str, list[int]]:
        """Return a sequence, by column."""
        start, end = self.offsets[number], self.offsets[number + 1]
        return {name: values[start:end].tolist() for name, values in self.columns.items()}

    def matrices(self, numbers: np.ndarray, pads: Mapping[str, int]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return sequences padded to the longest of them.

        Args:
            numbers: of the sequences.
            pads: by column, what fills it.

        Returns:
            each column of ``pads``, and where there is something in it, all of shape (sequences, length).
        """
        import numpy as np

        lengths = self.lengths[numbers]
        steps = np.arange(lengths.max(initial=0))
        there = steps < lengths[:, None]
        places = (self.offsets[numbers][:, None] + steps)[there]
        found = {}
        for name, pad in pads.items():
            found[name] = np.full(there.shape, pad, dtype=np.int64)
            found[name][there] = self.columns[name][places]
        return found, there

    def padded(self, rows: Sequence[int], pads: Mapping[str, int]) -> dict[str, Tensor]:
        """Return rows as the model takes them, with their mask: what ``Collator`` makes of the same rows.

        Args:
            rows: their positions.
            pads: by column, what fills it.
        """
        import torch

        found, there = self.matrices(self.of_rows(rows), pads)
        return {name: torch.from_numpy(values) for name, values in found.items()} | {
            "attention_mask": torch.from_numpy(there).long()
        }


def batches_of_tokens(lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Cut rows into batches of nearly equal lengths, the longest first.

    Args:
        lengths: tokens of each row.
        budget: tokens of a padded batch, at most; a row that has more is a batch by itself.

    Returns:
        the positions of the rows of each batch.
    """
    import numpy as np

    order = np.argsort(-lengths, kind="stable")
    found = []
    while len(order):
        size = max(1, budget // max(1, int(lengths[order[0]])))
        found.append(order[:size])
        order = order[size:]
    return found


def _offsets(lists: pa.ListArray) -> np.ndarray:
    """Return where each list begins in ``lists.flatten()``, and the end."""
    import numpy as np

    offsets = lists.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    return offsets - offsets[0]
