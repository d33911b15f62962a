"""The largest numbers of rows that come in blocks are those of rows sorted whole, of equal ones the first."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.evaluation.largest import Largest, LargestOnCpu, _keys, _values, largest

ODD = (math.nan, math.inf, -math.inf, -0.0)
KINDS = [(Largest, torch.float64), (Largest, torch.float32), (LargestOnCpu, torch.float32)]


def nothing(rows: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty((rows, 0), dtype=dtype), torch.empty((rows, 0), dtype=torch.long)


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
@given(
    st.integers(0, 999),
    st.integers(0, 12),
    st.lists(st.integers(1, 200), min_size=1, max_size=4),
    st.integers(1, 12),
    st.sampled_from([1, 3, 1000]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 12),
)
def test_the_largest_are_those_of_whole_rows(
    kind: type[Largest],
    dtype: torch.dtype,
    seed: int,
    count: int,
    widths: list[int],
    k: int,
    spread: int,
    odd: bool,
    across: bool,
    height: int,
) -> None:
    """A spread of 1 makes most numbers equal, one of 1000 hardly any; across, rows are columns of the blocks."""
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randint(-spread, spread + 1, (count, sum(widths)), generator=generator).to(dtype)
    if odd:
        for number in ODD:
            whole[torch.rand(whole.shape, generator=generator) < 0.05] = number
    k = min(k, sum(widths))
    best = kind(*nothing(count, dtype), k)
    first = 0
    for part in whole.split(widths, dim=1):
        for top in range(0, count, height):
            rows = slice(top, top + height)
            best.add(rows, part[rows].T.contiguous().T if across else part[rows], first)
        first += part.shape[1]
    values, positions = best.found()
    expected = whole.argsort(dim=1, descending=True, stable=True)[:, :k]
    assert positions.tolist() == expected.tolist()
    torch.testing.assert_close(values, whole.gather(1, expected), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
@pytest.mark.parametrize("kept", [0, 2, 4])
def test_what_was_found_before_goes_on(kind: type[Largest], dtype: torch.dtype, kept: int) -> None:
    whole = torch.tensor([[3, 1, 3, 0, 4, 3, 1, 5], [0, 0, 0, 0, 0, 0, 0, 1]], dtype=dtype)
    order = whole[:, :kept].argsort(dim=1, descending=True, stable=True)[:, :4]
    best = kind(whole.gather(1, order), order, 4)
    best.add(slice(0, 2), whole[:, kept:6], kept)
    best.merge(slice(0, 2), whole[:, 6:].flip(1), torch.tensor([[7, 6], [7, 6]]))
    values, positions = best.found()
    assert positions.tolist() == [[7, 4, 0, 2], [7, 0, 1, 2]]
    assert values.tolist() == [[5, 4, 3, 3], [1, 0, 0, 0]]


def test_one_row_of_equal_numbers_among_others() -> None:
    whole = torch.rand((50, 3000), generator=torch.Generator().manual_seed(0))
    whole[7] = 0
    best = LargestOnCpu(*nothing(50, torch.float32), 4)
    for first in range(0, 3000, 1000):
        best.add(slice(0, 50), whole[:, first : first + 1000], first)
    assert best.found()[1].tolist() == whole.argsort(dim=1, descending=True, stable=True)[:, :4].tolist()


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_keys_are_ordered_as_values_and_positions(numbers: list[float]) -> None:
    values = np.array(numbers, dtype=np.float32)
    keys = _keys(values, np.arange(len(values)))
    assert np.argsort(-keys).tolist() == torch.from_numpy(values).argsort(descending=True, stable=True).tolist()
    np.testing.assert_array_equal(_values(keys), values)


def test_the_fast_way_is_for_many_numbers_in_single_precision_on_a_cpu() -> None:
    assert type(largest(*nothing(1025, torch.float32), 1, coming=1024)) is LargestOnCpu
    assert type(largest(*nothing(1024, torch.float32), 1, coming=1024)) is Largest
    assert type(largest(*nothing(1025, torch.float64), 1, coming=1024)) is Largest
    if torch.cuda.is_available():
        values, positions = (part.cuda() for part in nothing(1025, torch.float32))
        assert type(largest(values, positions, 1, coming=1024)) is Largest
