"""Files of the user's own: values are what stands there, and a fault is told with its line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from adapterstilts.data.rows import Rows, load_rows
from adapterstilts.data.sources import check_access
from adapterstilts.errors import AdapterStiltsError, DataFormatError, DataUnavailableError
from adapterstilts.tasks.spec import Source, TaskSpec

COLUMNS = {"text": "review", "label": "stars"}


def task_of(folder: Path, file: str, *, form: str = "classification", **more: Any) -> TaskSpec:
    """Return a task with one file of rows."""
    fields = {"labels": ("1", "2", "3"), "choices": 0, "languages": ("en", "de"), "columns": COLUMNS} | more
    source = Source(
        str(folder),
        "default",
        "test",
        fields.pop("columns"),
        file=file,
        **{name: fields.pop(name) for name in ("language_from", "language_names") if name in fields},
    )
    return TaskSpec(
        name="stars",
        kind="target",
        format=form,  # type: ignore[arg-type]
        title="Stars",
        sources={"test": source},
        metric="accuracy",
        license="",
        citation="",
        definition="0" * 64,
        **fields,
    )


def rows_of(folder: Path, file: str, content: str | bytes, **more: Any) -> Rows:
    """Write a file and load its rows."""
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_rows(task_of(folder, file, **more), "test")


def columns(rows: Rows) -> Mapping[str, list[Any]]:
    return {name: rows.table[name][:] for name in rows.table.column_names}


def test_values_of_a_table_stay_texts(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "a.csv", '\ufeffstars,review,no\n1,007,x\n3,"NA, or\nnull",y\n\n2,,z\n')
    assert columns(rows) == {
        "id": ["en-test-0", "en-test-1", "en-test-2"],
        "language": ["en"] * 3,
        "text": ["007", "NA, or\nnull", ""],
        "label": [0, 2, 1],
    }


def test_the_same_rows_in_three_kinds_of_file(tmp_path: Path) -> None:
    texts, stars = ["good", "2020-01-01"], [3, 1]
    table = rows_of(
        tmp_path, "a.csv", "review,stars\n" + "".join(f"{t},{s}\n" for t, s in zip(texts, stars, strict=True))
    )
    lines = [json.dumps({"review": t, "stars": s}) for t, s in zip(texts, stars, strict=True)]
    objects = rows_of(tmp_path, "a.jsonl", "\n".join(lines) + "\n\n")
    Dataset.from_dict({"review": texts, "stars": stars}).to_parquet(str(tmp_path / "a.parquet"))
    parquet = load_rows(task_of(tmp_path, "a.parquet"), "test")
    assert columns(table)["text"] == texts
    assert columns(table)["label"] == [2, 0]
    assert table.fingerprint == objects.fingerprint == parquet.fingerprint


def test_labels_are_matched_by_what_stands_there(tmp_path: Path) -> None:
    told = {"labels": ("false", "true")}
    assert columns(rows_of(tmp_path, "a.jsonl", '{"review": "a", "stars": true}', **told))["label"] == [1]
    assert columns(rows_of(tmp_path, "b.csv", "review,stars\na,false\n", **told))["label"] == [0]
    with pytest.raises(DataFormatError, match="has the label '0'; known: 1, 2, 3"):
        rows_of(tmp_path, "c.csv", "review,stars\na,0\n")
    features = Features({"review": Value("string"), "stars": ClassLabel(names=["3", "2", "1"])})
    Dataset.from_dict({"review": ["a", "b"], "stars": [0, 2]}, features=features).to_parquet(
        str(tmp_path / "d.parquet")
    )
    assert columns(load_rows(task_of(tmp_path, "d.parquet"), "test"))["label"] == [2, 0], "names count, not numbers"
    rows = rows_of(tmp_path, "e.jsonl", '{"review": "a", "stars": null}\n{"review": "b", "stars": "2"}')
    assert (len(rows), rows.skipped) == (1, {"no gold label": 1})


def test_the_other_formats(tmp_path: Path) -> None:
    spans = {"id": "no", "question": "q", "context": "c", "answers": "a"}
    line = {"no": 7, "q": "Who?", "c": "It was Anna.", "a": {"text": ["Anna"], "answer_start": [7], "more": 1}}
    rows = rows_of(tmp_path, "a.jsonl", json.dumps(line), form="span", columns=spans, labels=())
    assert columns(rows)["answers"] == [{"text": ["Anna"], "answer_start": [7]}]
    assert columns(rows)["id"] == ["7"]
    choices = {"text": "{a} {b}", "choices": ("c", "d"), "label": "e"}
    rows = rows_of(
        *(tmp_path, "b.csv", "a,b,c,d,e\nx,y,one,two,2\n"),
        form="multiple_choice", columns=choices, labels=("1", "2"), choices=2,
    )  # fmt: skip
    assert (columns(rows)["text"], columns(rows)["choices"], columns(rows)["label"]) == (["x y"], [["one", "two"]], [1])
    tags = {"tokens": "tokens", "tags": "tags"}
    lines = rows_of(tmp_path, "c.txt", "the cat\tD N\n", form="tagging", columns=tags, labels=("N", "D"))
    objects = rows_of(
        tmp_path,
        "d.jsonl",
        '{"tokens": ["the", "cat"], "tags": ["D", "N"]}',
        form="tagging",
        columns=tags,
        labels=("N", "D"),
    )
    assert columns(lines)["tags"] == [[1, 0]]
    assert lines.fingerprint == objects.fingerprint


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("a.csv", "", "cannot be read: it is empty"),
        ("a.csv", "review,review\n", "has a column twice: review, review"),
        ("a.csv", "review,stars\na,1\nb\n", "has 1 values in the row that ends on line 3; its first line names 2"),
        ("a.csv", 'review,stars\n"a,1\n', "cannot be read, line 2: unexpected end of data"),
        ("a.csv", b"review,stars\n\xff,1\n", "cannot be read as UTF-8"),
        ("a.csv", "text,stars\na,1\n", "has no column 'review'; it has text, stars"),
        ("a.jsonl", '{"review": "a", "stars": 1}\n{"review": "b"}\n', "Line 2 of '.*a.jsonl' lacks stars"),
        ("a.jsonl", "[1]\n", "Line 1 of '.*a.jsonl' is no JSON object"),
        ("a.jsonl", '{"review": \n', "Line 1 of '.*a.jsonl' is no JSON:"),
        ("a.jsonl", '{"review": "a", "stars": 1}\n{"review": 2, "stars": 1}', "has values of different kinds"),
        ("a.jsonl", '{"review": null, "stars": 1}', "Row 1 of .* has 'None' in 'review', where 'text' of 'stars'"),
        ("a.jsonl", '{"review": "a", "stars": 1.5}', "has '1.5' in 'stars', where 'label' of"),
        ("a.parquet", "no", "cannot be read: "),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used(file: str, content: str | bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match=told):
        rows_of(tmp_path, file, content)


def test_values_of_the_wrong_kind(tmp_path: Path) -> None:
    for form, given, value in (
        ("span", {"question": "q", "context": "c", "answers": "a"}, {"q": "a", "c": "b", "a": {"text": ["b"]}}),
        ("tagging", {"tokens": "t", "tags": "g"}, {"t": "the cat", "g": ["N"]}),
        ("multiple_choice", {"text": "t", "choices": "c", "label": "l"}, {"t": "a", "c": [1], "l": "1"}),
        ("classification", {"text": "a.b", "label": "l"}, {"a": None, "l": "1"}),
    ):
        with pytest.raises(DataFormatError, match=r"must be|has a row without"):
            rows_of(tmp_path, "a.jsonl", json.dumps(value), form=form, columns=given, choices=2)


def test_a_file_a_language(tmp_path: Path) -> None:
    for name in ("en", "German"):
        (tmp_path / f"a.{name}.csv").write_text(f"review,stars\n{name},1\n", encoding="utf-8")
    how = {"language_from": "config", "language_names": {"de": "German"}, "languages": ("en", "de", "sw")}
    task = task_of(tmp_path, "a.{language}.csv", **how)
    rows = load_rows(task, "test")
    assert (rows.languages, rows.missing) == (("en", "de"), ("sw",))
    assert columns(rows)["text"] == ["en", "German"]
    assert columns(rows)["id"] == ["en-test-0", "de-test-0"]
    with pytest.raises(AdapterStiltsError, match=r"has no file 'a\.sw\.csv'"):
        load_rows(task, "test", ["sw"])
    check_access(task.source("test"), None)
    with pytest.raises(DataUnavailableError, match=r"There is no file '.*b\.\{language\}\.csv'"):
        check_access(task_of(tmp_path, "b.{language}.csv", **how).source("test"), None)


def test_a_file_in_the_data_root(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.csv").write_text("review,stars\ngood,3\n", encoding="utf-8")
    task = task_of(Path("mine"), "a.csv")
    assert columns(load_rows(task, "test", root=tmp_path))["label"] == [2]
    with pytest.raises(DataUnavailableError, match="give --data-root DIR"):
        load_rows(task, "test")
