"""Finding translations by sentence vectors: exact search in blocks, ratio margins, thresholds. Pure functions.

Artetxe & Schwenk 2019, Margin-based Parallel Corpus Mining with Multilingual Sentence Embeddings
(https://arxiv.org/abs/1811.01136), in the form that XTREME uses: ratio margin over 4 neighbours, best pairs first.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from adapterstilts.errors import SettingsError
from adapterstilts.evaluation.largest import largest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NEIGHBOURS = 4
BLOCK_VALUES = 2**22
"""Similarities that are held at once on a CPU: 16 MiB of float32, still in the cache when they are compared."""
LINE = 16
"""Numbers left free between rows of a block on a CPU: 2,048 apart, those of a column share one place of the cache."""

Engine = Literal["torch", "faiss"]
ENGINES: tuple[Engine, ...] = ("torch", "faiss")
DEFAULT_ENGINE: Engine = "torch"


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


class Nearest:
    """The candidates with the largest inner product for each query, exactly, while candidates come a part at a time.

    Of candidates with equal products those that came first are kept, and come first, whatever the blocks. Products are
    worked out a block at a time, so that memory stays bounded whatever the number of candidates.
    """

    def __init__(
        self, queries: Tensor, k: int, *, block_values: int | None = None, engine: Engine = DEFAULT_ENGINE
    ) -> None:
        """Begin without any candidates.

        Args:
            queries: shape (n, hidden).
            k: how many candidates to keep, at least one; fewer where there are fewer.
            block_values: products that are held at once; None takes what memory allows.
            engine: what works out the products; ``faiss`` may order equal candidates otherwise.
        """
        self.queries, self.k, self.engine, self.block_values = queries, k, engine, block_values
        self.values, self.positions = _nothing(queries)
        """Products, largest first, and places of the candidates, in the order in which they came: shape (n, kept)."""
        self.seen = 0

    def add(self, candidates: Tensor) -> None:
        """Weigh more candidates, shape (m, hidden), against those that were kept."""
        if not len(candidates):
            return
        height, width = _block_shape(len(candidates), self.block_values or block_size(self.queries.device))
        kept = min(self.k, self.seen + len(candidates))
        best = largest(self.values, self.positions, kept, coming=len(candidates))
        product = _products(self.queries, min(height, len(self.queries)), width)
        for top in range(0, len(self.queries), height):
            rows = slice(top, top + height)
            for left in range(0, len(candidates), width):
                block, first = candidates[left : left + width], self.seen + left
                if self.engine == "faiss":
                    values, at = _faiss_nearest(self.queries[rows], block, min(self.k, len(block)))
                    best.merge(rows, values, at + first)
                else:
                    best.add(rows, product(self.queries[rows], block), first)
        self.values, self.positions = best.found()
        self.seen += len(candidates)


def _nothing(queries: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and positions of no candidates, shape (n, 0)."""
    import torch

    return queries.new_empty((len(queries), 0)), torch.empty((len(queries), 0), dtype=torch.long, device=queries.device)


def _block_shape(candidates: int, held: int) -> tuple[int, int]:
    """Return how many queries and candidates a block has: about a square, in which products are fastest."""
    width = max(1, min(candidates, math.isqrt(held)))
    return max(1, held // width), width


def _products(like: Tensor, height: int, width: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what works out the products of queries and candidates, at most so many, in memory of its own.

    The products hold until the next ones are worked out.
    """
    import torch

    held = like.new_empty((height, width + LINE * (like.device.type == "cpu")))

    def product(rows: Tensor, block: Tensor) -> Tensor:
        return torch.mm(rows.detach(), block.detach().T, out=held[: len(rows), : len(block)])

    return product


def block_size(device: torch.device) -> int:
    """Return how many float32 products to hold at once: 16 MiB of them, or a 16th of the free memory of a GPU."""
    import torch

    if device.type != "cuda":
        return BLOCK_VALUES
    free, _ = torch.cuda.mem_get_info(device)
    return max(BLOCK_VALUES, int(free) // 16 // 4)


def check_engine(name: str) -> Engine:
    """Return the search engine of this name.

    Raises:
        SettingsError: there is none, or it is not installed; says what to do.
    """
    if name == "faiss" and importlib.util.find_spec("faiss") is None:
        raise SettingsError("--search faiss needs the package: `pip install adapterstilts[faiss]`, or --search torch.")
    for known in ENGINES:
        if name == known:
            return known
    raise SettingsError(f"--search '{name}' is none of {', '.join(ENGINES)}.")


def _faiss_nearest(queries: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return what faiss's exact search finds (https://arxiv.org/abs/2401.08281); it works on the CPU."""
    import faiss
    import torch

    if not len(queries):
        return queries.new_empty((0, k)), torch.empty((0, k), dtype=torch.long, device=queries.device)
    sides = (side.detach().float().cpu().numpy() for side in (queries, candidates))
    values, positions = faiss.knn(*sides, k, metric=faiss.METRIC_INNER_PRODUCT)
    return torch.from_numpy(values).to(queries), torch.from_numpy(positions).to(queries.device)


def nearest(
    queries: Tensor,
    candidates: Tensor,
    k: int,
    *,
    block_values: int | None = None,
    engine: Engine = DEFAULT_ENGINE,
) -> tuple[Tensor, Tensor]:
    """Return the ``k`` candidates with the largest inner product for each query, exactly.

    Args:
        queries: shape (n, hidden).
        candidates: shape (m, hidden), at least one.
        k, block_values, engine: as for ``Nearest``.

    Returns:
        products, largest first, and positions of the candidates, both of shape (n, min(k, m)).
    """
    found = Nearest(queries, k, block_values=block_values, engine=engine)
    found.add(candidates)
    return found.values, found.positions


def nearest_both_ways(
    sources: Tensor,
    targets: Tensor,
    k: int,
    *,
    block_values: int | None = None,
    engine: Engine = DEFAULT_ENGINE,
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return what ``nearest`` finds for the sources among the targets, and for the targets among the sources.

    Each product is worked out once.

    Args:
        sources, targets: shapes (n, hidden) and (m, hidden), n and m above 0.
        k, block_values, engine: as for ``Nearest``.
    """
    if engine == "faiss":
        return nearest(sources, targets, k, engine=engine), nearest(targets, sources, k, engine=engine)
    height, width = _block_shape(len(targets), block_values or block_size(sources.device))
    forward = largest(*_nothing(sources), min(k, len(targets)), coming=len(targets))
    backward = largest(*_nothing(targets), min(k, len(sources)), coming=len(sources))
    product = _products(sources, min(height, len(sources)), width)
    for top in range(0, len(sources), height):
        rows = slice(top, top + height)
        for left in range(0, len(targets), width):
            columns = slice(left, left + width)
            products = product(sources[rows], targets[columns])
            forward.add(rows, products, left)
            backward.add(columns, products.T, top)
    return forward.found(), backward.found()


def nearest_pairs(
    sources: Tensor, targets: Tensor, *, block_values: int | None = None, engine: Engine = DEFAULT_ENGINE
) -> list[Pair]:
    """Return for each source the target with the largest cosine, in the order of the sources.

    Args:
        sources: sentence vectors, shape (n, hidden).
        targets: those of the candidates, shape (m, hidden).
        block_values, engine: as for ``Nearest``.
    """
    values, positions = nearest(unit(sources), unit(targets), 1, block_values=block_values, engine=engine)
    found = zip(values[:, 0].tolist(), positions[:, 0].tolist(), strict=True)
    return [Pair(value, source, target) for source, (value, target) in enumerate(found)]


def mined_pairs(
    sources: Tensor,
    targets: Tensor,
    *,
    k: int = NEIGHBOURS,
    block_values: int | None = None,
    engine: Engine = DEFAULT_ENGINE,
) -> list[Pair]:
    """Return the pairs with the best ratio margins, best first; no sentence is in two of them.

    The margin of a pair is its cosine over the mean of the cosines of both sentences' ``k`` nearest neighbours on the
    other side. Each sentence of either side proposes the best of its neighbours; of the proposals, the best ones are
    taken first.

    Args:
        sources, targets: sentence vectors, shapes (n, hidden) and (m, hidden), n and m above 0.
        k: neighbours.
        block_values, engine: as for ``Nearest``.
    """
    import torch

    sources, targets = unit(sources), unit(targets)
    (forward, forward_at), (backward, backward_at) = nearest_both_ways(
        sources, targets, k, block_values=block_values, engine=engine
    )
    source_means, target_means = forward.mean(dim=1), backward.mean(dim=1)

    def best(cosines: Tensor, own: Tensor, others: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        margins = cosines / ((own[:, None] + others[at]) / 2).clamp(min=1e-9)
        scores, column = margins.max(dim=1)
        return scores, at.gather(1, column[:, None])[:, 0]

    forward_scores, forward_at = best(forward, source_means, target_means, forward_at)
    backward_scores, backward_at = best(backward, target_means, source_means, backward_at)
    scores = torch.cat([forward_scores, backward_scores])
    source = torch.cat([torch.arange(len(sources), device=scores.device), backward_at])
    target = torch.cat([forward_at, torch.arange(len(targets), device=scores.device)])
    order = (source * len(targets) + target).argsort()
    order = order[scores[order].argsort(descending=True, stable=True)]
    used = [False] * len(sources), [False] * len(targets)
    taken = []
    for pair in zip(*(column[order].tolist() for column in (scores, source, target)), strict=True):
        if not used[0][pair[1]] and not used[1][pair[2]]:
            used[0][pair[1]] = used[1][pair[2]] = True
            taken.append(Pair(*pair))
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
