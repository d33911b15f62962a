"""Finding translations by sentence vectors: exact search in blocks, ratio margins, thresholds. Pure functions.

Artetxe & Schwenk 2019, Margin-based Parallel Corpus Mining with Multilingual Sentence Embeddings
(https://arxiv.org/abs/1811.01136), in the form that XTREME uses: ratio margin over 4 neighbours, best pairs first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

NEIGHBOURS = 4
BLOCK_VALUES = 2**24
"""Similarities that are held at once: 64 MiB of float32."""


class Pair(NamedTuple):
    """A sentence and the candidate found for it."""

    score: float
    source: int
    """Position of the sentence."""
    target: int
    """Position of the candidate."""


def unit(vectors: Tensor) -> Tensor:
    """Return vectors, shape (n, hidden), at length 1; a vector of zeros stays one."""
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=-1)


def nearest(queries: Tensor, candidates: Tensor, k: int, *, block_values: int = BLOCK_VALUES) -> tuple[Tensor, Tensor]:
    """Return the ``k`` candidates with the largest inner product for each query, exactly.

    The products are worked out a block at a time, so that memory stays bounded whatever the number of candidates.

    Args:
        queries: shape (n, hidden).
        candidates: shape (m, hidden), at least one.
        k: how many; fewer where there are fewer candidates. With one, the first of equal candidates is taken.
        block_values: products that are held at once.

    Returns:
        products, largest first, and positions of the candidates, both of shape (n, min(k, m)).
    """
    import torch

    k = min(k, len(candidates))
    width = max(1, min(len(candidates), block_values))
    height = max(1, block_values // width)
    values, positions = [], []
    for top in range(0, len(queries), height):
        rows = queries[top : top + height]
        best = torch.empty((len(rows), 0), dtype=queries.dtype, device=queries.device)
        where = torch.empty((len(rows), 0), dtype=torch.long, device=queries.device)
        for left in range(0, len(candidates), width):
            block = rows @ candidates[left : left + width].T
            if k == 1:
                at = block.argmax(dim=1, keepdim=True)
                found = block.gather(1, at)
            else:
                found, at = block.topk(min(k, block.shape[1]), dim=1)
            joined, places = torch.cat([best, found], dim=1), torch.cat([where, at + left], dim=1)
            order = joined.argsort(dim=1, descending=True, stable=True)[:, :k]
            best, where = joined.gather(1, order), places.gather(1, order)
        values.append(best)
        positions.append(where)
    if not values:
        return queries.new_empty((0, k)), torch.empty((0, k), dtype=torch.long, device=queries.device)
    return torch.cat(values), torch.cat(positions)


def nearest_pairs(sources: Tensor, targets: Tensor, *, block_values: int = BLOCK_VALUES) -> list[Pair]:
    """Return for each source the target with the largest cosine, in the order of the sources.

    Args:
        sources: sentence vectors, shape (n, hidden).
        targets: those of the candidates, shape (m, hidden).
        block_values: similarities that are held at once.
    """
    values, positions = nearest(unit(sources), unit(targets), 1, block_values=block_values)
    found = zip(values[:, 0].tolist(), positions[:, 0].tolist(), strict=True)
    return [Pair(value, source, target) for source, (value, target) in enumerate(found)]


def mined_pairs(
    sources: Tensor, targets: Tensor, *, k: int = NEIGHBOURS, block_values: int = BLOCK_VALUES
) -> list[Pair]:
    """Return the pairs with the best ratio margins, best first; no sentence is in two of them.

    The margin of a pair is its cosine over the mean of the cosines of both sentences' ``k`` nearest neighbours on the
    other side. Each sentence of either side proposes the best of its neighbours; of the proposals, the best ones are
    taken first.

    Args:
        sources, targets: sentence vectors, shapes (n, hidden) and (m, hidden), n and m above 0.
        k: neighbours.
        block_values: similarities that are held at once.
    """
    import torch

    sources, targets = unit(sources), unit(targets)
    forward, forward_at = nearest(sources, targets, k, block_values=block_values)
    backward, backward_at = nearest(targets, sources, k, block_values=block_values)
    source_means, target_means = forward.mean(dim=1), backward.mean(dim=1)

    def best(cosines: Tensor, own: Tensor, others: Tensor, at: Tensor) -> tuple[list[float], list[int]]:
        margins = cosines / ((own[:, None] + others[at]) / 2).clamp(min=1e-9)
        scores, column = margins.max(dim=1)
        return scores.tolist(), at.gather(1, column[:, None])[:, 0].tolist()

    scores, found = best(forward, source_means, target_means, forward_at)
    pairs = [Pair(score, source, target) for source, (score, target) in enumerate(zip(scores, found, strict=True))]
    scores, found = best(backward, target_means, source_means, backward_at)
    pairs += [Pair(score, source, target) for target, (score, source) in enumerate(zip(scores, found, strict=True))]
    used = torch.zeros(len(sources), dtype=torch.bool).tolist(), torch.zeros(len(targets), dtype=torch.bool).tolist()
    taken = []
    for pair in sorted(pairs, key=lambda pair: (-pair.score, pair.source, pair.target)):
        if not used[0][pair.source] and not used[1][pair.target]:
            used[0][pair.source] = used[1][pair.target] = True
            taken.append(pair)
    return taken


def pair_threshold(scores: Sequence[float], right: Sequence[bool], gold: int) -> float:
    """Return the score from which on pairs are taken so that F1 is largest; half-way to the next lower one.

    Args:
        scores: of mined pairs, in any order.
        right: whether each is a gold pair.
        gold: number of gold pairs.
    """
    order = sorted(zip(scores, right, strict=True), key=lambda pair: -pair[0])
    correct, best, threshold = 0, 0.0, 0.0
    for taken, (score, is_right) in enumerate(order, start=1):
        correct += is_right
        following = order[taken][0] if taken < len(order) else score
        if taken < len(order) and following == score:
            continue  # equal scores are taken together
        f1 = 2 * correct / (taken + gold)
        if f1 > best:
            best, threshold = f1, (score + following) / 2
    return threshold
