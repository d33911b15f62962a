"""Mixtures: shares by the formula, batches of one task, and each row once in a pass."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.data.collate import Collator
from adapterstilts.tasks.formats.language_modelling import Masking
from adapterstilts.training.mixtures import TASK, Mixture, Portion, normalised, shares

#: Rows of MNLI, SQuAD 1.1 and CommonsenseQA.
SIZES = (392_702, 87_599, 9_741)


@pytest.mark.parametrize(
    ("temperature", "cap", "weights"),
    [
        (1, 0, SIZES),
        (1, 131_072, (131_072, 87_599, 9_741)),
        (2, 0, (626.6594, 295.9713, 98.6965)),  # the square roots
        (2, 131_072, (362.0387, 295.9713, 98.6965)),
        (1, 1, (1, 1, 1)),
        (1e9, 0, (1, 1, 1)),
    ],
)
def test_shares_are_those_of_the_formula(temperature: float, cap: int, weights: tuple[float, ...]) -> None:
    found = shares(SIZES, temperature=temperature, cap=cap)
    assert found == pytest.approx([weight / sum(weights) for weight in weights], rel=1e-6)


@given(
    st.lists(st.integers(1, 10**8), min_size=2, max_size=9),
    st.floats(1, 1e6),
    st.integers(0, 10**6),
)
def test_a_temperature_brings_shares_nearer_to_each_other_and_keeps_their_order(
    sizes: list[int], temperature: float, cap: int
) -> None:
    plain, mixed = shares(sizes, cap=cap), shares(sizes, temperature=temperature, cap=cap)
    assert math.fsum(mixed) == pytest.approx(1)
    assert max(mixed) <= max(plain) + 1e-12
    assert min(mixed) >= min(plain) - 1e-12
    for (one, first), (other, second) in itertools.combinations(zip(sizes, mixed, strict=True), 2):
        assert (first - second) * (one - other) >= 0


def test_weights_are_brought_to_a_sum_of_1() -> None:
    assert normalised((2, 1, 1)) == [0.5, 0.25, 0.25]


def features(count: int, first: int, length: int = 3) -> Dataset:
    """Rows whose first token tells which they are; their length grows with the number."""
    rows = [[first + row, *[7] * (length + row % 5)] for row in range(count)]
    return Dataset.from_dict({"input_ids": rows, "labels": [row % 2 for row in range(count)]})


def mixture(count: int, seed: int = 0, sizes: tuple[int, int] = (40, 10), share: float = 0.8) -> Mixture:
    portions = {
        "mnli": Portion(features(sizes[0], 1000), 4, share),
        "squad": Portion(features(sizes[1], 5000), 3, 1 - share),
    }
    return Mixture(portions, count, Collator(1), seed=seed)


@pytest.mark.parametrize("sizes", [(400, 100), (10, 990), (70, 30)])
@pytest.mark.parametrize("seed", [0, 1])
def test_batches_are_drawn_by_the_shares(sizes: tuple[int, int], seed: int) -> None:
    """Of 20 000 draws the number of a share p is within four standard deviations, 4 √(20 000 p (1 - p)) ≤ 283."""
    share = shares(sizes)[0]
    drawn = Counter(mixture(20_000, seed, share=share).order)
    assert drawn["mnli"] == pytest.approx(20_000 * sizes[0] / sum(sizes), abs=283)
    assert drawn["mnli"] + drawn["squad"] == 20_000


def test_a_batch_is_of_one_task_and_of_its_size() -> None:
    made = list(mixture(200).batches())
    assert [batch[TASK] for batch in made] == mixture(200).order
    for batch in made:
        first = {"mnli": 1000, "squad": 5000}[batch[TASK]]
        assert bool(((batch["input_ids"][:, 0] >= first) & (batch["input_ids"][:, 0] < first + 1000)).all())
        assert len(batch["labels"]) in {"mnli": (4,), "squad": (3, 1)}[batch[TASK]]  # 10 rows: 3, 3, 3 and 1
        assert set(batch) == {TASK, "input_ids", "attention_mask", "labels"}


def test_each_row_comes_once_in_a_pass_and_passes_differ() -> None:
    made = [batch for batch in mixture(400).batches() if batch[TASK] == "squad"]
    rows = [[int(row) for row in batch["input_ids"][:, 0]] for batch in made]
    passes = [list(itertools.chain(*rows[start : start + 4])) for start in range(0, len(rows) - 3, 4)]
    assert len(passes) > 10
    assert all(sorted(each) == list(range(5000, 5010)) for each in passes)
    assert len({tuple(each) for each in passes}) > 5


def test_hidden_tokens_follow_from_the_number_of_the_batch() -> None:
    """So that a training that goes on in the middle hides what it would have hidden."""
    masking = Masking(mask=3, special=frozenset(range(4)), ordinary=np.arange(4, 9000))
    portions = {
        "mnli": Portion(features(40, 1000), 4, 0.5),
        "mlm": Portion(features(3, 5000, length=30).remove_columns("labels"), 3, 0.5, masking),
    }
    made = Mixture(portions, 40, Collator(1), seed=0)
    plain = [(number, batch["labels"]) for number, batch in enumerate(made.batches()) if batch[TASK] == "mlm"]
    assert all(bool((labels != -100).any()) for _, labels in plain)
    order = {number: place for place, (number, _) in enumerate(plain)}
    for (item,) in list(made)[20:]:
        if item[1] == "mlm":
            assert torch.equal(made[item]["labels"], plain[order[item[0]]][1])
    hidden = {frozenset(map(tuple, (labels != -100).tolist())) for _, labels in plain}
    assert len(hidden) == len(plain), "the three rows come in every batch, and other tokens are hidden"


def test_the_seed_decides_and_each_run_through_is_the_same() -> None:
    def told(made: Mixture) -> list[tuple[str, tuple[int, ...]]]:
        return [(batch[TASK], tuple(batch["input_ids"][:, 0].tolist())) for batch in made.batches()]

    first, again, other = mixture(60), mixture(60), mixture(60, seed=1)
    assert len(first) == len(told(first)) == 60
    assert told(first) == told(again) == told(first)
    assert told(first) != told(other)
    assert first.order != other.order
