"""Forward passes of a batch: which examples each has, that nothing is lost, and that the shares add up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapterstilts.data.collate import Collator
from adapterstilts.data.passes import passes


def batch_of(lengths: list[int], labels: list[Any], choices: int = 1) -> dict[str, Any]:
    """A padded batch in which each token is the number of its example."""
    rows = [[number + 3] * length for number, length in enumerate(lengths)]
    features = [
        {"input_ids": row if choices == 1 else [row[: max(1, len(row) - place)] for place in range(choices)]}
        | {"labels": label}
        for row, label in zip(rows, labels, strict=True)
    ]
    return dict(Collator(pad_token_id=1)(features))


def test_a_batch_within_the_budget_is_one_pass() -> None:
    batch = batch_of([4, 2], [0, 1])
    for budget in (None, 8):
        ((part, share),) = passes(batch, "labels", budget)
        assert share == 1
        assert all(part[name] is batch[name] for name in batch)


def test_the_longest_come_first_and_padding_is_cut_off() -> None:
    parts = list(passes(batch_of([2, 5, 3, 5], [10, 11, 12, 13]), "labels", 10))
    assert [part["labels"].tolist() for part, _ in parts] == [[11, 13], [12, 10]]
    assert [part["input_ids"].tolist() for part, _ in parts] == [[[4] * 5, [6] * 5], [[5] * 3, [3, 3, 1]]]
    assert [share for _, share in parts] == [0.5, 0.5]


def test_choices_of_one_example_stay_together() -> None:
    parts = list(passes(batch_of([3, 6], [0, 1], choices=3) | {"task": "csqa"}, "labels", 18))
    assert [part["labels"].tolist() for part, _ in parts] == [[1], [0]]
    assert [part["input_ids"].tolist() for part, _ in parts] == [
        [[4] * 6, [4] * 5 + [1], [4] * 4 + [1, 1]],
        [[3] * 3, [3, 3, 1], [3, 1, 1]],
    ]
    assert [part["task"] for part, _ in parts] == ["csqa", "csqa"]


def test_an_example_over_the_budget_has_a_pass_of_its_own() -> None:
    parts = list(passes(batch_of([9, 1, 1], [0, 1, 2]), "labels", 2))
    assert [part["labels"].tolist() for part, _ in parts] == [[0], [1, 2]]


def test_shares_are_those_of_the_labels_that_count() -> None:
    labels = [[-100, 5, 5, 5, -100, -100], [-100, 7]]
    parts = list(passes(batch_of([6, 2], labels), "labels", 6))
    assert [share for _, share in parts] == [0.75, 0.25]
    assert [part["labels"].tolist() for part, _ in parts] == [[labels[0]], [labels[1]]]


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=9), st.integers(1, 40))
def test_every_token_is_in_one_pass_and_no_pass_is_over_the_budget(lengths: list[int], budget: int) -> None:
    batch = batch_of(lengths, list(range(len(lengths))))
    parts = list(passes(batch, "labels", budget))
    assert sorted(label for part, _ in parts for label in part["labels"].tolist()) == list(range(len(lengths)))
    assert sum(share for _, share in parts) == pytest.approx(1)
    for part, _ in parts:
        assert part["input_ids"].numel() <= budget or len(part["labels"]) == 1
        for label, ids, mask in zip(part["labels"].tolist(), part["input_ids"], part["attention_mask"], strict=True):
            assert ids[mask.bool()].tolist() == [label + 3] * lengths[label]
    tokens = torch.cat([part["attention_mask"].sum().view(1) for part, _ in parts]).sum()
    assert int(tokens) == sum(lengths)
