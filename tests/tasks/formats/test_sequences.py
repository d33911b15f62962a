"""Encoded rows as flat arrays: padded they are what the collator makes of them; batches hold about as many tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.data.collate import Collator
from adapterstilts.tasks.formats.sequences import Sequences, batches_of_tokens

PADS = {"input_ids": 1, "token_type_ids": 0}
LISTS = st.lists(st.integers(2, 99), min_size=1, max_size=9)


def features(rows: list[Any]) -> Dataset:
    def types(ids: Any) -> Any:
        return [types(one) for one in ids] if isinstance(ids[0], list) else [token % 2 for token in ids]

    return Dataset.from_dict({"input_ids": rows, "token_type_ids": [types(ids) for ids in rows]})


@given(
    st.lists(LISTS, min_size=1, max_size=6) | st.lists(st.lists(LISTS, min_size=3, max_size=3), min_size=1), st.data()
)
def test_rows_are_padded_as_the_collator_pads_them(rows: list[Any], data: st.DataObject) -> None:
    """Rows of one sequence and of three choices, in any order, of a table and of a selection of it."""
    table = features(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
    expected = Collator(1)([table[position] for position in chosen])
    for sequences, places in (
        (Sequences.of(table, tuple(PADS)), chosen),
        (Sequences.of(table.select(chosen), tuple(PADS)), list(range(len(chosen)))),
    ):
        batch = sequences.padded(places, PADS)
        assert batch.keys() == expected.keys()
        for name, tensor in expected.items():
            assert batch[name].dtype == tensor.dtype
            assert batch[name].tolist() == tensor.tolist()


def test_a_row_is_as_long_as_the_longest_of_its_sequences() -> None:
    sequences = Sequences.of(features([[[5, 6], [7]], [[8], [9, 10, 11]]]), ["input_ids"])
    assert (len(sequences), sequences.per_row) == (2, 2)
    assert sequences.lengths.tolist() == [2, 1, 1, 3]
    assert sequences.row_lengths.tolist() == [2, 3]
    assert sequences.of_rows([1, 0]).tolist() == [2, 3, 0, 1]
    assert sequences.columns["input_ids"].tolist() == [5, 6, 7, 8, 9, 10, 11]
    assert [sequences.one(number) for number in (3, 0)] == [{"input_ids": [9, 10, 11]}, {"input_ids": [5, 6]}]


def test_no_rows_are_no_sequences() -> None:
    sequences = Sequences.of(features([[5, 6]]).select([]), ["input_ids"])
    assert (len(sequences), sequences.per_row, sequences.row_lengths.tolist()) == (0, 1, [])
    assert batches_of_tokens(sequences.row_lengths, 10) == []


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(1, [[2], [0], [3], [1]]), (8, [[2], [0, 3], [1]]), (10, [[2, 0], [3, 1]]), (100, [[2, 0, 3, 1]])],
)
def test_batches_hold_as_many_rows_as_have_no_more_tokens(budget: int, expected: list[list[int]]) -> None:
    batches = batches_of_tokens(np.array([4, 2, 5, 4]), budget)
    assert [rows.tolist() for rows in batches] == expected
