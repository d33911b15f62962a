"""Answers to rows of the user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from adapterstilts.data.rows import Rows, to_table
from adapterstilts.errors import ArtifactError, DataFormatError
from adapterstilts.evaluation.answering import answers_of
from adapterstilts.evaluation.zero_shot import task_of
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.requests import Folder
from adapterstilts.tasks.columns import Column, field_value, needed_columns
from adapterstilts.tasks.spec import TaskSpec

#: What stands in for gold answers, which rows to be predicted do not have.
_GOLD: dict[str, Any] = {"label": 0, "answers": {"text": [], "answer_start": []}}
_LISTS = ("choices", "tokens")


def predict(
    artifact: str,
    lines: Sequence[str],
    *,
    suite: str | None = None,
    backbone: str | None = None,
    store: Folder | None = None,
    batch_size: int = 32,
    reporter: Reporter | None = None,
) -> list[dict[str, Any]]:
    """Answer rows given as JSON lines.

    Args:
        artifact: id in the store (or its beginning), or a folder.
        lines: one JSON object each, with the fields of the task's format, under our names or the data set's.
        suite: refuse an artifact that is not of this suite, or one that shares its adapters; None is any.
        backbone: id or folder, where the backbone is no longer where the artifact says.
        store: folder of artifacts.
        batch_size: rows a forward pass.
        reporter: told of the progress.

    Returns:
        for each line ``id`` (the given one, else the line number), ``answer`` and ``score`` (a probability, or None).

    Raises:
        ArtifactError: the artifact is none that answers, or of another suite.
        DataFormatError: lines that are no JSON objects or lack a field; all of them are named.
    """
    reporter = reporter or Reporter()
    found = Store(store).get(artifact)
    task = task_of(found, suite)
    if task.format == "language_modelling":
        raise ArtifactError(
            f"Artifact '{found.id}' learnt from plain text and answers nothing by itself; put it under a target: "
            f"`adapterstilts compose {task.name} --target tydiqa{task.suite_option}`."
        )
    rows = read_lines(task, lines)
    if not rows:
        return []
    (answered,) = answers_of(
        [found],
        Rows(task, "prediction", to_table(task, rows), (task.source_language,)),
        title=f"Predicting with {found.id}",
        batch_size=batch_size,
        precision=found.manifest["settings"]["precision"],
        backbone=backbone,
        reporter=reporter,
    )
    for name, count in answered.report.items():
        reporter.message(f"{name}: {count}")
    return [
        {"id": row["given_id"], "answer": answer.value, "score": answer.score and round(answer.score, 6)}
        for row, answer in zip(rows, answered.answers, strict=True)
    ]


def read_lines(task: TaskSpec, lines: Sequence[str]) -> list[dict[str, Any]]:
    """Read rows of a task from JSON lines; blank lines are passed over.

    Raises:
        DataFormatError: names each line that is wrong, and why.
    """
    rows, faults = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            line.encode("utf-8")
            given = json.loads(line)
            json.dumps(given, ensure_ascii=False).encode("utf-8")
            rows.append(_row(task, given, number))
        except UnicodeEncodeError:
            faults.append(f"line {number}: half a surrogate pair, which is no character")
        except RecursionError:
            faults.append(f"line {number}: brackets too deep")
        except (ValueError, DataFormatError) as error:
            faults.append(f"line {number}: {error}")
    if faults:
        shown = "\n  ".join(faults[:10])
        more = f"\n  … and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise DataFormatError(f"The input cannot be read:\n  {shown}{more}")
    return rows


def _row(task: TaskSpec, given: Any, number: int) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise DataFormatError("not a JSON object")
    given_id = given.get("id", str(number))
    row: dict[str, Any] = {"given_id": given_id, "id": str(given_id), "language": task.source_language}
    for name in task.fields:
        if name in _GOLD:
            row[name] = _GOLD[name]
        elif name != "tags":
            row[name] = _value(task, given, name)
    if "tokens" in row:
        row["tags"] = [0] * len(row["tokens"])
    if task.choices and len(row["choices"]) != task.choices:
        raise DataFormatError(f"'choices' has {len(row['choices'])} entries; '{task.name}' takes {task.choices}")
    return row


def _made_of(column: Column, given: dict[str, Any], wording: Mapping[str, str]) -> Any:
    try:
        return field_value(column, given, wording)
    except (TypeError, KeyError) as error:
        parts = ", ".join(map(repr, needed_columns(column)))
        raise DataFormatError(f"{parts} is not of the kind that the data set has") from error


def _value(task: TaskSpec, given: dict[str, Any], name: str) -> Any:
    sources = [source for source in task.sources.values() if name in source.columns]
    names = dict.fromkeys([name, *(", ".join(needed_columns(source.columns[name])) for source in sources)])
    if name in given and not isinstance(given[name], dict):  # a nested column may bear our name
        value = given[name]
    else:
        for source in sources:
            column = source.columns[name]
            if all(part in given for part in needed_columns(column)):
                value = _made_of(column, given, source.wording)
                break
        else:
            raise DataFormatError(f"the field {' or '.join(map(repr, names))} is missing")
    if name in _LISTS:
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise DataFormatError(f"'{name}' must be a list of texts with at least one entry")
    elif not isinstance(value, str):
        raise DataFormatError(f"'{name}' must be a text")
    elif name == "context" and not value.strip():
        raise DataFormatError("'context' is empty, so it can hold no answer")
    return value
