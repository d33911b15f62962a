"""The search for the best span of a context among the logits of its windows, a block of windows at a time.

What is found is what the official BERT baseline for SQuAD finds (Devlin et al. 2019,
https://arxiv.org/abs/1810.04805): of each window, spans between the ``n_best`` best starts and ends; of all windows of
a context, the ``n_best`` best of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from adapterstilts.tasks.formats.base import batches

if TYPE_CHECKING:
    import numpy as np

    from adapterstilts.tasks.formats.base import EncodingSettings
    from adapterstilts.tasks.formats.sequences import Sequences

OUTSIDE = -1
"""Offset of tokens that are not of the context."""
BLOCK = 256
"""Windows that are searched at once."""


class Spans(NamedTuple):
    """Spans of contexts, side by side, each array of shape (spans,)."""

    row: np.ndarray
    """The row of each."""
    score: np.ndarray
    start: np.ndarray
    """Of characters, as is the end."""
    end: np.ndarray


class Best(NamedTuple):
    """The best span of a row."""

    score: float
    start: int
    end: int
    weight: float
    """Sum over the best spans of the row of e to their score's distance from the best score, which is at least 1."""


def search(
    logits: Sequence[np.ndarray], offsets: Sequences, rows: np.ndarray, settings: EncodingSettings
) -> Mapping[int, Best]:
    """Return the best span of each row that has any.

    Args:
        logits: of each window, (2, length), for start and end.
        offsets: ``offset_starts`` and ``offset_ends`` of each window.
        rows: of each window, (windows,).
        settings: say how many are compared, and how long a span may be.
    """
    import numpy as np

    blocks = [_of_windows(logits, offsets, rows, windows, settings) for windows in batches(len(logits), BLOCK)]
    if not blocks:
        return {}
    row, score, start, end = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    order = np.lexsort((end, start, -score, row))
    row, score, start, end = row[order], score[order].astype(np.float64), start[order], end[order]
    begins = np.flatnonzero(np.diff(row, prepend=-1))
    sizes = np.diff(begins, append=len(row))
    weights = np.exp(score - np.repeat(score[begins], sizes))
    weights[np.arange(len(row)) - np.repeat(begins, sizes) >= settings.n_best] = 0
    totals = np.add.reduceat(weights, begins) if len(begins) else weights
    found = zip(*(values[begins].tolist() for values in (row, score, start, end)), totals.tolist(), strict=True)
    return {place: Best(*values) for place, *values in found}


def _of_windows(
    logits: Sequence[np.ndarray], offsets: Sequences, rows: np.ndarray, windows: range, settings: EncodingSettings
) -> Spans:
    """Return spans from the ``n_best`` start and end tokens of each window that are in order and not too long."""
    import numpy as np

    lengths = offsets.lengths[windows.start : windows.stop]
    flat = slice(offsets.offsets[windows.start], offsets.offsets[windows.stop])
    starts, ends = offsets.columns["offset_starts"][flat], offsets.columns["offset_ends"][flat]
    inside = ends != OUTSIDE
    counts = np.bincount(np.repeat(np.arange(len(windows)), lengths)[inside], minlength=len(windows))
    starts, ends, base = starts[inside], ends[inside], np.cumsum(counts) - counts

    # The context's tokens of each window, moved to the left: begins and ends, (windows, most tokens of a context).
    given = np.concatenate([logits[window][:, : offsets.lengths[window]] for window in windows], axis=1)[:, inside]
    there = np.arange(counts.max()) < counts[:, None]
    begin, finish = np.full((2, *there.shape), -np.inf, dtype=given.dtype)
    begin[there], finish[there] = np.where(np.isnan(given), -np.inf, given)

    top = min(settings.n_best, there.shape[1])
    first, last = largest(begin, top), largest(finish, top)
    length = last[:, None, :] - first[:, :, None]
    real = np.arange(top) < counts[:, None]
    fit = (length >= 0) & (length < settings.max_answer_length) & real[:, None, :] & real[:, :, None]
    scores = np.take_along_axis(begin, first, 1)[:, :, None] + np.take_along_axis(finish, last, 1)[:, None, :]
    scores, fit = np.where(fit, scores, -np.inf).reshape(len(windows), -1), fit.reshape(len(windows), -1)
    kept = largest(scores, min(settings.n_best, scores.shape[1]))
    window, place = np.nonzero(np.take_along_axis(fit, kept, 1))
    pair = kept[window, place]
    return Spans(
        rows[windows.start + window],
        scores[window, pair],
        starts[base[window] + first[window, pair // max(top, 1)]],
        ends[base[window] + last[window, pair % max(top, 1)]],
    )


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the largest values of each row, the largest first, of equal ones the first.

    Args:
        values: shape (rows, width), no NaN among them.
        count: how many, at most the width.

    Returns:
        shape (rows, count).
    """
    import numpy as np

    width = values.shape[1]
    if count == width:
        return np.argsort(-values, axis=1, kind="stable")
    # Only these are sorted: what is above the smallest one to be taken, and of its equals as many as there is room for.
    limit = np.partition(values, width - count, axis=1)[:, width - count, None]
    above, equal = values > limit, values == limit
    taken = above | (equal & (equal.cumsum(axis=1) <= count - above.sum(axis=1, keepdims=True)))
    places = np.nonzero(taken)[1].reshape(len(values), count)
    order = np.argsort(-np.take_along_axis(values, places, 1), axis=1, kind="stable")
    return np.take_along_axis(places, order, 1)
