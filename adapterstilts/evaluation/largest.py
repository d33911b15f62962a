"""The k largest numbers of each row, exactly, while the rows come in blocks; of equal ones the first.

``topk`` of every block costs most of what the matrix product of the block does. ``LargestOnCpu`` spares it by looking
twice: the largest number of each chunk of a row is worked out, at the speed of memory, and only chunks whose largest
number passes a bar are looked into. The bar is the row's k-th largest number so far; in a first block, the k-th largest
of the chunks' largest, since k chunks have a number as large as that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Keys = NDArray[np.int64]
    Floats = NDArray[np.float32]

CHUNK, STRIDED_CHUNK = 64, 16
"""Numbers in a chunk at most, where they lie side by side and where each lies in another line of the cache."""
FEW = 2**20
"""Numbers in all, up to which two looks are not worth their overhead."""
LOWEST = np.iinfo(np.int64).min
"""Below the key of any number."""
LAST = 2**32 - 1
"""The last position that a key can hold."""


class Largest:
    """The largest numbers of each row, on any device, in any precision."""

    def __init__(self, values: Tensor, positions: Tensor, k: int) -> None:
        """Begin with what was found before.

        Args:
            values: largest first, shape (rows, found), found at most k; empty at the beginning.
            positions: of the values, same shape.
            k: how many to keep, at most as many as come.
        """
        self.before, self.k = (values, positions), k
        self.parts: dict[int, tuple[Tensor, Tensor]] = {}

    def add(self, rows: slice, values: Tensor, first: int) -> None:
        """Weigh more numbers of some rows against those that were kept.

        Args:
            rows: which rows; always the same slices.
            values: shape (rows, width).
            first: position of their first column; all positions before it have come.
        """
        in_line = values if values.stride(1) == 1 else values.contiguous()
        found, at = _largest(in_line, min(self.k, values.shape[1]))
        self.merge(rows, found, at + first)

    def merge(self, rows: slice, values: Tensor, positions: Tensor) -> None:
        """Weigh the largest numbers of a block, largest first, against those that were kept."""
        import torch

        before = self.parts.get(rows.start) or (self.before[0][rows], self.before[1][rows])
        values, positions = (torch.cat(both, dim=1) for both in zip(before, (values, positions), strict=True))
        order = values.argsort(dim=1, descending=True, stable=True)[:, : self.k]
        self.parts[rows.start] = values.gather(1, order), positions.gather(1, order)

    def found(self) -> tuple[Tensor, Tensor]:
        """Return values, largest first, and their positions, both of shape (rows, k)."""
        import torch

        if not self.parts:
            values, positions = self.before
            return values.new_empty((0, self.k)), positions.new_empty((0, self.k))
        parts = [self.parts[start] for start in sorted(self.parts)]
        return torch.cat([values for values, _ in parts]), torch.cat([positions for _, positions in parts])


def _largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the ``k`` largest values of each row and where they are, of equal ones the first."""
    if k == 1:
        at = values.argmax(dim=1, keepdim=True)
        return values.gather(1, at), at
    found = values.topk(min(k + 1, values.shape[1]), dim=1)
    at = found.indices[:, :k]
    tied = ~(found.values[:, :-1] > found.values[:, 1:]).all(dim=1)  # topk takes any of equal ones
    if tied.any():
        at[tied] = values[tied].argsort(dim=1, descending=True, stable=True)[:, :k]
    return values.gather(1, at), at


class LargestOnCpu(Largest):
    """The largest numbers of each row, in single precision on a CPU.

    Value and position are one whole number, the key: the larger the value and the lower the position, the larger the
    key. No two are equal, so it does not matter in which order they come.
    """

    def __init__(self, values: Tensor, positions: Tensor, k: int) -> None:
        super().__init__(values, positions, k)
        self.keys = np.full((len(values), k), LOWEST)
        self.keys[:, : values.shape[1]] = _keys(values.numpy(), positions.numpy())

    def add(self, rows: slice, values: Tensor, first: int) -> None:
        """As in ``Largest``; rows may be the columns of a block, ``block.T``."""
        keys = self.keys[rows]
        across, begun = values.stride(0) == 1, first >= self.k
        most = STRIDED_CHUNK if across else CHUNK
        size = min(most, values.shape[1] if begun else _power_of_two(values.shape[1] // (2 * self.k)))
        whole = values.shape[1] // size * size
        chunks = values[:, :whole].unflatten(1, (-1, size))
        # In the order of the memory, or it takes twenty times as long.
        maxima = (chunks.permute(1, 2, 0).amax(dim=1).T if across else chunks.amax(dim=2)).numpy()
        if begun:
            bar = _values(keys[:, -1])
            over = ~(maxima <= bar[:, None])  # an equal one comes too late; NaN is above all
        else:
            bar = _kth_largest(maxima, self.k)
            over = ~(maxima < bar[:, None])
        if across:
            chunk, row = np.divmod(np.flatnonzero(over.T), over.shape[0])
        else:
            row, chunk = np.divmod(np.flatnonzero(over), over.shape[1])
        members = chunks.numpy()[row, chunk]
        hits, place_in = np.divmod(np.flatnonzero(~(members < bar[row, None])), size)
        if len(hits):
            positions = first + chunk[hits] * size + place_in
            _merge(keys, row[hits], _keys(members[hits, place_in], positions))
        if whole < values.shape[1]:
            self.add(rows, values[:, whole:], first + whole)

    def merge(self, rows: slice, values: Tensor, positions: Tensor) -> None:
        """As in ``Largest``."""
        row = np.repeat(np.arange(len(values)), values.shape[1])
        _merge(self.keys[rows], row, _keys(values.numpy(), positions.numpy()).ravel())

    def found(self) -> tuple[Tensor, Tensor]:
        """As in ``Largest``."""
        import torch

        return torch.from_numpy(_values(self.keys)), torch.from_numpy(LAST - (self.keys & LAST))


def largest(values: Tensor, positions: Tensor, k: int, *, coming: int) -> Largest:
    """Return the fastest ``Largest`` for rows to which so many numbers will come; its arguments are the others."""
    import torch

    fast = values.device.type == "cpu" and values.dtype == torch.float32 and len(values) * coming > FEW
    return (LargestOnCpu if fast else Largest)(values, positions, k)


def _power_of_two(number: int) -> int:
    """Return the largest power of two that is not above a number; 1 for 0."""
    return 1 << max(0, number.bit_length() - 1)


def _kth_largest(maxima: Floats, k: int) -> Floats:
    """Return the k-th largest of each row; where there are fewer, what is below all."""
    place = maxima.shape[1] - k
    if place < 0:
        return np.full(len(maxima), -np.inf, np.float32)
    found: Floats = np.partition(np.ascontiguousarray(maxima), place)[:, place]
    return found


def _merge(keys: Keys, rows: NDArray[np.int64], new: Keys) -> None:
    """Put new keys among those that are kept, largest first, in place.

    Args:
        keys: shape (rows, k).
        rows: of each new key, in any order; at least one.
        new: same length.
    """
    k = keys.shape[1]
    order = np.sort((rows << 32) | np.arange(len(rows)))
    rows, new = order >> 32, new[order & LAST]
    starts = np.concatenate(([0], np.flatnonzero(rows[1:] != rows[:-1]) + 1))
    counts = np.diff(starts, append=len(rows))
    long = counts > 4 * k
    if long.any() and not long.all():  # one long row must not make a long table of all
        of_long = np.repeat(long, counts)
        for part in (of_long, ~of_long):
            _merge(keys, rows[part], new[part])
        return
    touched, width = rows[starts], k + int(counts.max())
    table = np.full((len(touched), width), LOWEST)
    table[:, :k] = keys[touched]
    table.reshape(-1)[np.arange(len(new)) + np.repeat(np.arange(len(touched)) * width + k - starts, counts)] = new
    table.sort(axis=1)
    keys[touched] = table[:, : -k - 1 : -1]


def _keys(values: Floats, positions: NDArray[np.int64]) -> Keys:
    """Return whole numbers that are ordered as values are, NaN above all, and among equal ones as the first is."""
    bits = (values + np.float32(0)).view(np.int32)  # -0 becomes 0
    ordered = np.where(np.isnan(values), np.iinfo(np.int32).max, bits ^ ((bits >> 31) & np.iinfo(np.int32).max))
    keys: Keys = (ordered.astype(np.int64) << 32) | (LAST - positions)
    return keys


def _values(keys: Keys) -> Any:
    """Return the values of keys."""
    ordered = (keys >> 32).astype(np.int32)
    return (ordered ^ ((ordered >> 31) & np.iinfo(np.int32).max)).view(np.float32)
