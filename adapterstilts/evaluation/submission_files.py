"""Answers, and the rows they belong to, as the files of the XTREME repository: what ``submissions`` reads.

Tatoeba's file has a line a sentence of the language, the number of the English sentence found for it, from 0, among
those of the rows. XTREME's own files go the other way: a line an English sentence, in alphabetical order. BUCC's pairs
are the ids of both sentences, the English one second, as there. LAReQA's and Mewsli-X's files have the ids of the
candidates that were found for each query, best first, or of all that are relevant.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import DataFormatError
from adapterstilts.evaluation.averages import BENCHMARKS

if TYPE_CHECKING:
    from datasets import Dataset

    from adapterstilts.tasks.spec import TaskSpec

#: Tasks whose folder has another name.
_FOLDERS = {"bucc": "bucc2018"}


@dataclass(frozen=True)
class LanguageRows:
    """The rows of one language that a file is about, in their order."""

    task: TaskSpec
    table: Dataset
    """Columns ``id``, ``language`` and the fields of the task's format."""
    numbers: Sequence[int]
    """Where each stands among all rows of the language, from 0."""
    translation_ids: Mapping[str, str] = field(default_factory=dict)
    """For mined pairs: the id of a row to that of its translation."""


def folder_of(task: TaskSpec) -> str | None:
    """Return the name of a task's folder in XTREME's layout, None for a task that has none, or whose answers differ."""
    name = _FOLDERS.get(task.name, task.name)
    known = any(name in benchmark.languages for benchmark in BENCHMARKS.values())
    return name if known and _key(task) in _WRITERS else None


def prediction_text(rows: LanguageRows, answers: Sequence[Any]) -> str:
    """Return the text of a file of predictions.

    Args:
        rows: the rows that were answered.
        answers: the value of each row's answer.

    Raises:
        DataFormatError: an answer has no place in the file.
    """
    return _WRITERS[_key(rows.task)](rows, answers)


def label_text(rows: LanguageRows) -> str:
    """Return the text of the file with the right answers to the same rows."""
    if rows.task.format == "span":
        return _questions(rows)
    return prediction_text(rows, _gold(rows))


def _key(task: TaskSpec) -> tuple[str, str]:
    return task.format, "" if task.trained else task.metric


def _gold(rows: LanguageRows) -> Sequence[Any]:
    labels = rows.task.labels
    if rows.task.format == "classification":
        return [labels[number] for number in rows.table["label"][:]]
    if rows.task.format == "tagging":
        return [[labels[tag] for tag in tags] for tags in rows.table["tags"][:]]
    return rows.table[{"multiple_choice": "label", "search": "relevant"}.get(rows.task.format, "id")][:]


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _labels(rows: LanguageRows, answers: Sequence[Any]) -> str:
    return _lines(answers)


def _tags(rows: LanguageRows, answers: Sequence[Any]) -> str:
    for row_id, tags in zip(rows.table["id"][:], answers, strict=True):
        if not tags or not all(tags):
            raise DataFormatError(f"A word of the sentence '{row_id}' of '{rows.task.name}' has no tag.")
    return "\n".join(_lines(tags) for tags in answers)


def _choices(rows: LanguageRows, answers: Sequence[Any]) -> str:
    pairs = zip(rows.numbers, answers, strict=True)
    return _lines([json.dumps({"idx": number, "label": answer}) for number, answer in pairs])


def _by_id(rows: LanguageRows, answers: Sequence[Any]) -> str:
    said = dict(zip(rows.table["id"][:], answers, strict=True))
    return json.dumps(said, ensure_ascii=False, indent=0) + "\n"


def _questions(rows: LanguageRows) -> str:
    paragraphs = [
        {
            "context": row["context"],
            "qas": [
                {
                    "id": row["id"],
                    "question": row["question"],
                    "answers": [
                        {"text": text, "answer_start": start}
                        for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
                    ],
                }
            ],
        }
        for row in rows.table
    ]
    document = {"version": "1.1", "data": [{"title": rows.task.name, "paragraphs": paragraphs}]}
    return json.dumps(document, ensure_ascii=False, indent=0) + "\n"


def _found(rows: LanguageRows, answers: Sequence[Any]) -> str:
    places = {row_id: place for place, row_id in enumerate(rows.table["id"][:])}
    return _lines([str(places[answer]) for answer in answers])


def _pairs(rows: LanguageRows, answers: Sequence[Any]) -> str:
    pairs = zip(rows.table["id"][:], answers, strict=True)
    return _lines([f"{row_id}\t{rows.translation_ids[answer]}" for row_id, answer in pairs if answer])


_WRITERS: Mapping[tuple[str, str], Callable[[LanguageRows, Sequence[Any]], str]] = {
    ("classification", ""): _labels,
    ("tagging", ""): _tags,
    ("multiple_choice", ""): _choices,
    ("span", ""): _by_id,
    ("retrieval", "retrieval_accuracy"): _found,
    ("retrieval", "bucc_f1"): _pairs,
    ("search", "map@20"): _by_id,
}
