"""Rank correlations and effects of parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.evaluation.typology import effect, minimal_pairs, rank_correlation


def test_rank_correlation_of_known_values() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 30]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3], [30, 20, 10]) == pytest.approx(-1.0)
    assert rank_correlation([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) == pytest.approx(0.8207827)  # scipy.stats.spearmanr
    assert rank_correlation([0.1, 0.1, 0.5, 0.7], [90, 80, 80, 20]) == pytest.approx(-0.8333333)


def test_rank_correlation_of_nothing_and_of_misfits() -> None:
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    with pytest.raises(ValueError, match="2 and 3 values"):
        rank_correlation([1, 2], [1, 2, 3])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_rank_correlation_is_pearson_of_ranks(pairs: list[tuple[int, int]]) -> None:
    import numpy as np

    first, second = ([pair[side] for pair in pairs] for side in (0, 1))

    def ranks(values: list[int]) -> list[float]:
        return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]

    if len(set(first)) == 1 or len(set(second)) == 1:
        assert rank_correlation(first, second) is None
    else:
        assert rank_correlation(first, second) == pytest.approx(np.corrcoef(ranks(first), ranks(second))[0, 1])


def test_an_effect_has_an_interval_over_values() -> None:
    found = effect([60.0, 62.0, 58.0, 64.0], [80.0, 82.0, 78.0, 84.0])
    assert found.difference == pytest.approx(-20.0)
    assert found.low < -20.0 < found.high < 0
    assert found.excludes_zero
    assert not effect([70.0, 90.0], [80.0, 81.0]).excludes_zero
    assert effect([60.0, 62.0], [80.0, 82.0]) == effect([60.0, 62.0], [80.0, 82.0])


def test_minimal_pairs_are_compared_with_twins() -> None:
    scores = {"qab": [80.0], "qac": [82.0], "qba": [50.0], "qbb": [52.0], "qca": [81.0], "qcb": [81.0]}
    found = minimal_pairs(scores, {"order": ["qba", "qbb"], "adposition": ["qca", "qcb"]}, ["qab", "qac"])
    assert found["order"].difference == pytest.approx(-30.0)
    assert found["order"].excludes_zero
    assert found["adposition"].difference == pytest.approx(0.0)
    assert not found["adposition"].excludes_zero
