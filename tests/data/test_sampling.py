"""Samples of rows, parts held out for validation, and fingerprints of what was chosen."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from datasets import ClassLabel, Features, Value
from hypothesis import given
from hypothesis import strategies as st
from small_mirrors import mnli_mirror, mnli_table, squad_table
from toy_mirror import write_data_set

from adapterstilts.data.rows import Rows, load_rows, to_table
from adapterstilts.data.sampling import sample_indices
from adapterstilts.tasks.catalogue import get_task


@given(total=st.integers(0, 200), first=st.integers(0, 250), second=st.integers(0, 250), seed=st.integers(0, 99))
def test_smaller_samples_are_part_of_larger_ones(total: int, first: int, second: int, seed: int) -> None:
    small, large = sorted((first, second))
    chosen = sample_indices(total, small, seed)
    assert len(chosen) == min(total, small)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(sample_indices(total, large, seed)) <= set(range(total))


def test_samples_follow_their_seed() -> None:
    assert sample_indices(1000, 5, 0) == sample_indices(1000, 5, 0)
    assert sample_indices(1000, 5, 0) != sample_indices(1000, 5, 1)
    assert Counter(index for seed in range(300) for index in sample_indices(10, 3, seed)).most_common()[-1][1] > 50


def test_rows_are_sampled_by_language(toy_mirror: Path) -> None:
    task = get_task("xnli")
    everything = load_rows(task, "test", root=toy_mirror)
    small, large = (load_rows(task, "test", root=toy_mirror, max_examples=count, sample_seed=3) for count in (5, 9))
    assert Counter(small.table["language"]) == dict.fromkeys(("de", "en", "sw", "zh"), 5)
    kept, more, all_of = ([tuple(sorted(row.items())) for row in rows.table] for rows in (small, large, everything))
    assert set(kept) < set(more) < set(all_of)
    assert kept == [row for row in all_of if row in kept]  # in their order
    other = load_rows(task, "test", root=toy_mirror, max_examples=5, sample_seed=4)
    assert other.fingerprint != small.fingerprint
    alone = load_rows(task, "test", ["sw"], root=toy_mirror, max_examples=5, sample_seed=3)
    assert alone.table[:] == small.table.select(small.of_language("sw"))[:]


def test_only_usable_rows_are_sampled(tmp_path: Path) -> None:
    root = mnli_mirror(tmp_path, mnli_table([-1] * 50 + [0] * 5, Value("int64")))
    assert len(load_rows(get_task("mnli"), "train", root=root, max_examples=5)) == 5


def test_the_validation_part_of_tydiqa(toy_mirror: Path) -> None:
    """A fixed tenth of the training rows, chosen by a hash of the id: no row is in both, none is in neither."""
    task = get_task("tydiqa")
    train, validation = (load_rows(task, split, ["en"], root=toy_mirror) for split in ("train", "validation"))
    ids = [set(rows.table["id"]) for rows in (train, validation)]
    assert len(ids[0]) + len(ids[1]) == 60
    assert ids[0].isdisjoint(ids[1])
    assert 2 <= len(ids[1]) <= 12
    for row_id in ids[0] | ids[1]:
        share = int(hashlib.sha256(row_id.encode()).hexdigest(), 16) / 2**256
        assert (share < 0.1) == (row_id in ids[1])
    assert not (ids[0] | ids[1]) & set(load_rows(task, "test", ["en"], root=toy_mirror).table["id"])


def test_the_validation_part_stays_when_rows_are_added(tmp_path: Path) -> None:
    seen = []
    for count in (200, 400):
        ids = [f"english-{number}-0" for number in range(count)]
        root = tmp_path / str(count)
        write_data_set(root, "google/xtreme", {"tydiqa": {"train": squad_table(ids)}})
        seen.append(set(load_rows(get_task("tydiqa"), "validation", ["en"], root=root).table["id"]))
    assert seen[0] < seen[1]
    assert 20 < len(seen[1]) < 60


def test_equal_rows_have_equal_fingerprints(toy_mirror: Path, tmp_path: Path) -> None:
    """Wherever they come from, however the file is written; and any difference tells."""
    labels = ClassLabel(names=["entailment", "neutral", "contradiction"])
    tables = [mnli_table([0, 1, 2], labels), mnli_table([0, 1, 2], Value("int64")), mnli_table([0, 1, 1], labels)]
    rows = [
        load_rows(get_task("mnli"), "train", root=mnli_mirror(tmp_path / str(number), table))
        for number, table in enumerate(tables)
    ]
    assert rows[0].fingerprint == rows[1].fingerprint
    assert rows[0].fingerprint != rows[2].fingerprint
    task = get_task("xnli")
    first, again = (load_rows(task, "test", ["de", "en"], root=toy_mirror).fingerprint for _ in range(2))
    assert first == again
    assert first != load_rows(task, "test", ["en", "de"], root=toy_mirror).fingerprint
    assert first != load_rows(task, "validation", ["de", "en"], root=toy_mirror).fingerprint


def test_a_fingerprint_reads_values_not_their_arrow_types() -> None:
    task = get_task("mnli")
    made = [{"id": "a", "language": "en", "text": "é \u200b 𝄞", "text_pair": "", "label": 1}]
    table = to_table(task, made)
    wider = table.cast(Features({**table.features, "label": Value("int64"), "text": Value("large_string")}))
    assert Rows(task, "train", wider, ("en",)).fingerprint == Rows(task, "train", table, ("en",)).fingerprint
