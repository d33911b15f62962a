"""Exact search, margins and thresholds against slow obvious definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.errors import SettingsError
from adapterstilts.evaluation import largest, retrieval
from adapterstilts.evaluation.largest import Largest
from adapterstilts.evaluation.retrieval import (
    Nearest,
    block_size,
    check_engine,
    mined_pairs,
    nearest,
    nearest_both_ways,
    nearest_pairs,
    pair_threshold,
    unit,
)


def vectors(seed: int, count: int, width: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator) + 0.7


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    lengths = math.sqrt(sum(value**2 for value in one.tolist())) * math.sqrt(sum(value**2 for value in other.tolist()))
    return sum(a * b for a, b in zip(one.tolist(), other.tolist(), strict=True)) / lengths


sizes = st.integers(1, 9)


@given(st.integers(0, 999), st.integers(0, 9), sizes, st.integers(1, 5), st.integers(1, 40))
def test_the_search_is_exact_whatever_the_blocks(seed: int, n: int, m: int, k: int, block: int) -> None:
    queries, candidates = vectors(seed, n), vectors(seed + 1, m)
    values, positions = nearest(queries, candidates, k, block_values=block)
    assert values.shape == positions.shape == (n, min(k, m))
    for query, found, at in zip(queries, values.tolist(), positions.tolist(), strict=True):
        products = [float(query @ candidate) for candidate in candidates]
        order = sorted(range(m), key=lambda number: -products[number])[:k]
        assert at == order
        assert found == pytest.approx([products[number] for number in order], abs=1e-5)


@given(st.integers(0, 999), st.integers(0, 9), st.lists(st.integers(0, 5), max_size=4), st.integers(1, 5))
def test_candidates_may_come_in_parts(seed: int, n: int, parts: list[int], k: int) -> None:
    queries, candidates = vectors(seed, n), vectors(seed + 1, sum(parts))
    found = Nearest(queries, k, block_values=7)
    for part in candidates.split(parts):
        found.add(part)
    values, positions = nearest(queries, candidates, k)
    assert found.seen == len(candidates)
    torch.testing.assert_close(found.values, values)
    assert found.positions.tolist() == positions.tolist()


def test_a_block_is_never_wider_than_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    whole = Largest.add

    def noted(self: Largest, rows: slice, values: torch.Tensor, first: int) -> None:
        shapes.append(tuple(values.shape))
        whole(self, rows, values, first)

    monkeypatch.setattr(Largest, "add", noted)
    assert nearest(vectors(0, 5), vectors(1, 9), 2, block_values=8)[1].shape == (5, 2)
    assert shapes == [(4, 2), (4, 2), (4, 2), (4, 2), (4, 1), (1, 2), (1, 2), (1, 2), (1, 2), (1, 1)]
    assert block_size(torch.device("cpu")) == 2**22


@pytest.mark.parametrize(("dtype", "few"), [(torch.float32, 0), (torch.float32, 2**20), (torch.float64, 0)])
@given(
    st.integers(0, 999),
    st.integers(1, 40),
    st.lists(st.integers(0, 150), min_size=1, max_size=3).filter(any),
    st.integers(1, 9),
    st.integers(1, 9000),
)
def test_of_equal_candidates_the_first_are_kept(
    dtype: torch.dtype, few: int, seed: int, n: int, parts: list[int], k: int, block: int
) -> None:
    """Products of small whole numbers are exact and often equal."""
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randint(-1, 2, (n, 2), generator=generator).to(dtype)
    candidates = torch.randint(-1, 2, (sum(parts), 2), generator=generator).to(dtype)
    products = queries @ candidates.T
    expected = products.argsort(dim=1, descending=True, stable=True)[:, :k]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(largest, "FEW", few)
        found = Nearest(queries, k, block_values=block)
        for part in candidates.split(parts):
            found.add(part)
        forward, backward = nearest_both_ways(queries, candidates, k, block_values=block)
    assert found.positions.tolist() == expected.tolist()
    assert found.values.tolist() == products.gather(1, expected).tolist()
    assert forward[1].tolist() == expected.tolist()
    assert backward[1].tolist() == products.T.argsort(dim=1, descending=True, stable=True)[:, :k].tolist()


def test_large_pools_are_searched_as_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, targets = unit(vectors(0, 700, 16)), unit(vectors(1, 2600, 16))
    found = mined_pairs(sources, targets)
    monkeypatch.setattr(largest, "FEW", 2**30)
    assert [pair[1:] for pair in mined_pairs(sources, targets, block_values=2**16)] == [pair[1:] for pair in found]


@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 12), st.integers(1, 5), st.integers(1, 200))
def test_the_nearest_of_both_sides_are_those_of_each(seed: int, n: int, m: int, k: int, block: int) -> None:
    sources, targets = vectors(seed, n), vectors(seed + 1, m)
    both = nearest_both_ways(sources, targets, k, block_values=block)
    for (values, positions), (own, others) in zip(both, ((sources, targets), (targets, sources)), strict=True):
        expected = own.double() @ others.double().T
        order = expected.argsort(dim=1, descending=True)[:, :k]
        torch.testing.assert_close(values.double(), expected.gather(1, order), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(expected.gather(1, positions), expected.gather(1, order), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("n", "m", "k"), [(40, 300, 1), (40, 300, 20), (3, 2, 5), (0, 4, 2)])
def test_faiss_finds_what_torch_finds(n: int, m: int, k: int) -> None:
    pytest.importorskip("faiss")
    assert check_engine("faiss") == "faiss"
    queries, candidates = unit(vectors(n, n, 16)), unit(vectors(m + 1, m, 16))
    values, positions = nearest(queries, candidates, k, block_values=1000)
    found, at = nearest(queries, candidates, k, block_values=1000, engine="faiss")
    assert at.tolist() == positions.tolist()
    torch.testing.assert_close(found, values)
    if n and k == 20:
        plain, other = mined_pairs(queries, candidates), mined_pairs(queries, candidates, engine="faiss")
        assert [pair[1:] for pair in plain] == [pair[1:] for pair in other]


def test_an_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="--search 'annoy' is none of torch, faiss"):
        check_engine("annoy")
    monkeypatch.setattr(retrieval.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install adapterstilts\[faiss\]"):
        check_engine("faiss")
    assert check_engine("torch") == "torch"


@given(st.integers(0, 999), st.integers(0, 9), sizes)
def test_the_nearest_by_cosine(seed: int, n: int, m: int) -> None:
    sources, targets = vectors(seed, n), vectors(seed + 1, m) * 3
    pairs = nearest_pairs(sources, targets, block_values=7)
    assert [pair.source for pair in pairs] == list(range(n))
    for pair in pairs:
        cosines = [cosine(sources[pair.source], target) for target in targets]
        assert pair.target == max(range(m), key=cosines.__getitem__)
        assert pair.score == pytest.approx(max(cosines), abs=1e-5)


def test_a_vector_of_zeros_is_no_fault() -> None:
    assert unit(torch.tensor([[0.0, 0.0], [0.0, 2.0]])).tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_of_equal_margins_the_first_sentences_are_taken() -> None:
    sources, targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    found = mined_pairs(sources, targets, k=1)
    assert [pair[1:] for pair in found] == [(0, 1), (1, 0)]


def slow_mining(sources: torch.Tensor, targets: torch.Tensor, k: int) -> list[tuple[float, int, int]]:
    """XTREME's ``mine_bitext`` with ratio margin and ``retrieval="max"``, pair by pair."""
    cosines = [[cosine(source, target) for target in targets] for source in sources]
    n, m = len(sources), len(targets)
    near_targets = [sorted(range(m), key=lambda y: -cosines[x][y])[:k] for x in range(n)]
    near_sources = [sorted(range(n), key=lambda x: -cosines[x][y])[:k] for y in range(m)]
    of_source = [sum(cosines[x][y] for y in near_targets[x]) / len(near_targets[x]) for x in range(n)]
    of_target = [sum(cosines[x][y] for x in near_sources[y]) / len(near_sources[y]) for y in range(m)]

    def margin(x: int, y: int) -> float:
        return cosines[x][y] / ((of_source[x] + of_target[y]) / 2)

    proposals = [max((margin(x, y), x, y) for y in near_targets[x]) for x in range(n)]
    proposals += [max((margin(x, y), x, y) for x in near_sources[y]) for y in range(m)]
    taken: list[tuple[float, int, int]] = []
    for score, x, y in sorted(proposals, key=lambda found: -found[0]):
        if x not in {pair[1] for pair in taken} and y not in {pair[2] for pair in taken}:
            taken.append((score, x, y))
    return taken


@given(st.integers(0, 999), sizes, sizes, st.integers(2, 4))
def test_mining_is_that_of_xtreme(seed: int, n: int, m: int, k: int) -> None:
    """With one neighbour, all pairs that are each other's nearest have margin 1, and rounding would order them."""
    sources, targets = vectors(seed, n).abs(), vectors(seed + 1, m).abs()
    slow = slow_mining(sources, targets, k)
    found = mined_pairs(sources, targets, k=k, block_values=5)
    assert [(pair.source, pair.target) for pair in found] == [(x, y) for _, x, y in slow]
    assert [pair.score for pair in found] == pytest.approx([score for score, _, _ in slow], abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=10), st.integers(1, 10))
def test_no_other_threshold_gives_a_better_f1(pairs: list[tuple[int, bool]], gold: int) -> None:
    scores, right = [float(score) for score, _ in pairs], [is_right for _, is_right in pairs]
    gold = max(gold, sum(right))

    def f1(threshold: float) -> float:
        taken = [is_right for score, is_right in zip(scores, right, strict=True) if score >= threshold]
        return 2 * sum(taken) / (len(taken) + gold)

    assert f1(pair_threshold(scores, right, gold)) == max(map(f1, [*scores, 99.0]))


def test_the_threshold_lies_half_way_to_the_next_pair() -> None:
    assert pair_threshold([3.0, 1.0, 2.0], [True, False, True], 2) == 1.5
    assert pair_threshold([3.0, 2.0], [True, True], 2) == 2.0
    assert pair_threshold([3.0, 2.0], [False, False], 2) == 0.0
