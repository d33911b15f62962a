"""Labels as data sets spell them, and rows that cannot be used: left out, counted, or told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from small_mirrors import mnli_mirror, mnli_table, squad_table, xnli_mirror, xnli_rows
from toy_mirror import write_data_set

from adapterstilts.data.rows import load_rows
from adapterstilts.errors import DataFormatError, DataUnavailableError
from adapterstilts.tasks.catalogue import get_task

# Labels


def test_other_spellings_of_labels(tmp_path: Path) -> None:
    root = xnli_mirror(tmp_path, xnli_rows("contradictory", "neutral", "contradiction", "entailment"))
    rows = load_rows(get_task("xnli"), "test", ["en"], root=root)
    assert rows.table["label"][:] == [2, 1, 2, 0]
    assert rows.skipped == {}


def test_rows_without_a_gold_label_are_left_out_and_counted(tmp_path: Path) -> None:
    root = xnli_mirror(tmp_path, xnli_rows("-", "neutral", "", "entailment"))
    rows = load_rows(get_task("xnli"), "test", ["en"], root=root)
    assert (rows.table["text"][:], rows.table["label"][:]) == (["the 1", "the 3"], [1, 0])
    assert rows.skipped == {"no gold label": 2}

    labels = ClassLabel(names=["entailment", "neutral", "contradiction"])
    table = mnli_table([-1, 2, None, 0, -1], labels)
    rows = load_rows(get_task("mnli"), "train", root=mnli_mirror(tmp_path, table))
    assert (rows.table["text"][:], rows.table["label"][:]) == (["the 1", "the 3"], [2, 0])
    assert rows.skipped == {"no gold label": 3}


def test_no_row_with_a_gold_label(tmp_path: Path) -> None:
    root = mnli_mirror(tmp_path, mnli_table([-1, -1], Value("int64")))
    with pytest.raises(
        DataUnavailableError,
        match=r"The train split of 'mnli' has no usable row in English \(en\) \(no gold label: 2\)",
    ):
        load_rows(get_task("mnli"), "train", root=root)


def test_an_unknown_label(tmp_path: Path) -> None:
    root = xnli_mirror(tmp_path, xnli_rows("neutral", "maybe"))
    says = r"'google/xtreme' \(XNLI, test\) has the label 'maybe'; known: entailment, neutral, contradiction"
    with pytest.raises(DataFormatError, match=says):
        load_rows(get_task("xnli"), "test", ["en"], root=root)
    for number in (3, -2):
        root = mnli_mirror(tmp_path / f"{number}", mnli_table([0, number], Value("int64")))
        with pytest.raises(DataFormatError, match=f"has the label {number}"):
            load_rows(get_task("mnli"), "train", root=root)


def test_labels_are_taken_by_name_where_the_data_set_names_them(tmp_path: Path) -> None:
    """A data set that numbers its labels in another order must not be read with ours."""
    labels = ClassLabel(names=["contradiction", "neutral", "entailment"])
    root = mnli_mirror(tmp_path, mnli_table([0, 1, 2], labels))
    try:
        rows = load_rows(get_task("mnli"), "train", root=root)
    except DataFormatError:
        return
    assert rows.table["label"][:] == [2, 1, 0]


# Rows that cannot be used


def test_faulty_spans_are_left_out_and_counted(tmp_path: Path) -> None:
    from datasets import concatenate_datasets

    none: dict[str, list[Any]] = {"text": [], "answer_start": []}
    table = concatenate_datasets(
        [
            squad_table(["a"]),
            squad_table(["b", "c"], answers=none),
            squad_table(["d"], context="  "),
            squad_table(["e"], context=None),
        ]
    )
    write_data_set(tmp_path, "rajpurkar/squad", {"plain_text": {"train": table}})
    rows = load_rows(get_task("squad"), "train", root=tmp_path)
    assert rows.table["id"][:] == ["a"]
    assert rows.skipped == {"no gold answer": 2, "empty context": 2}
    rows = load_rows(dataclasses.replace(get_task("squad"), unanswerable=True), "train", root=tmp_path)
    assert rows.table["id"][:] == ["a", "b", "c"]


def test_faulty_choices_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        {"ctx": f"the {number}", "endings": endings, "label": label}
        for number, (endings, label) in enumerate([("abcd", "3"), ("abc", "1"), ("abcd", ""), ("abcde", "0")])
    ]
    table = Dataset.from_list([{**row, "endings": list(row["endings"])} for row in rows])
    write_data_set(tmp_path, "Rowan/hellaswag", {"default": {"train": table}})
    loaded = load_rows(get_task("hellaswag"), "train", root=tmp_path)
    assert loaded.table[:] == {
        "id": ["en-train-0"],
        "language": ["en"],
        "text": ["the 0"],
        "choices": [["a", "b", "c", "d"]],
        "label": [3],
    }
    assert loaded.skipped == {"not 4 choices": 2, "no gold label": 1}


def test_faulty_tags_are_left_out_and_counted(tmp_path: Path) -> None:
    features = Features({"tokens": List(Value("string")), "ner_tags": List(Value("int64"))})
    sentences = [(["a", "b"], [0, 6]), ([], []), (["a"], [7]), (["a"], [-1]), (["a", "b"], [0])]
    table = Dataset.from_list([{"tokens": words, "ner_tags": tags} for words, tags in sentences], features=features)
    write_data_set(tmp_path, "google/xtreme", {"PAN-X.en": {"train": table}})
    rows = load_rows(get_task("panx"), "train", root=tmp_path)
    assert rows.table["tags"][:] == [[0, 6]]
    assert rows.skipped == {"empty sentence": 1, "unknown tag": 2, "as many tags as tokens are needed": 1}
