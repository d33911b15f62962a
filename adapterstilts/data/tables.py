"""Tables in files of the user's own, read as they stand: no value is taken for a number, a date or a missing one."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import DataFormatError
from adapterstilts.tasks.columns import needed_columns

if TYPE_CHECKING:
    from datasets import Dataset

    from adapterstilts.tasks.spec import Source, TaskSpec

#: Our fields by what their values must be.
_TEXTS = ("text", "text_pair", "question", "context")
_LISTS = ("choices", "tokens")


def read_table(path: Path, source: Source) -> Dataset:
    """Read a file by its ending: ``.csv``, ``.jsonl``, ``.parquet``, else lines of words and tags.

    Args:
        path: the file.
        source: tells which of its columns are needed; of JSON lines, only these are read.

    Raises:
        DataFormatError: it cannot be read; names the line where it is known.
    """
    readers = {".csv": _comma_separated, ".jsonl": _json_lines, ".parquet": _parquet}
    return readers.get(path.suffix, _tagged_lines)(path, source)


def _comma_separated(path: Path, source: Source) -> Dataset:
    """Read a table whose first line names its columns; all values are texts."""
    from datasets import Dataset

    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            names = next(reader, None)
            if not names:
                raise DataFormatError(f"'{path}' cannot be read: it is empty.")
            if len(set(names)) != len(names):
                raise DataFormatError(f"'{path}' has a column twice: {', '.join(names)}.")
            rows = []
            for row in reader:
                if row and len(row) != len(names):
                    raise DataFormatError(
                        f"'{path}' has {len(row)} values in the row that ends on line {reader.line_num}; its "
                        f"first line names {len(names)} columns."
                    )
                rows += [row] if row else []
    except UnicodeDecodeError as error:
        raise DataFormatError(f"'{path}' cannot be read as UTF-8: {error}.") from error
    except csv.Error as error:
        raise DataFormatError(f"'{path}' cannot be read, line {reader.line_num}: {error}.") from error
    return Dataset.from_dict({name: [row[place] for row in rows] for place, name in enumerate(names)})


def _json_lines(path: Path, source: Source) -> Dataset:
    from datasets import Dataset

    needed = [name for column in source.columns.values() for name in needed_columns(column)]
    if source.language_from == "column":
        needed.append(source.language_column)
    columns: dict[str, list[Any]] = {name: [] for name in needed}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataFormatError(f"Line {number} of '{path}' is no JSON: {error}.") from error
        if not isinstance(row, dict) or (absent := [name for name in columns if name not in row]):
            lacks = f"lacks {', '.join(absent)}" if isinstance(row, dict) else "is no JSON object"
            raise DataFormatError(f"Line {number} of '{path}' {lacks}.")
        for name, values in columns.items():
            values.append(row[name])
    try:
        return Dataset.from_dict(columns)
    except Exception as error:  # Arrow has its own kinds for values of several types in one column
        reason = str(error).strip().split("\n")[0]
        raise DataFormatError(f"'{path}' has values of different kinds in a column: {reason}.") from error


def _parquet(path: Path, source: Source) -> Dataset:
    import pyarrow.parquet
    from datasets import Dataset

    try:
        return Dataset(pyarrow.parquet.read_table(path))
    except Exception as error:  # pyarrow and datasets raise whatever their parsers raise
        reason = str(error).strip().split("\n")[0]
        raise DataFormatError(f"'{path}' cannot be read: {reason.rstrip('.')}.") from error


def _tagged_lines(path: Path, source: Source) -> Dataset:
    """Read sentences as jiant keeps them: words and tags, each joined by spaces, with a tab between the two."""
    rows = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        parts = line.strip().split("\t")
        if len(parts) != 2:
            raise DataFormatError(
                f"Line {number} of '{path}' has {len(parts) - 1} tabs; one between words and tags is needed."
            )
        rows.append({"tokens": parts[0].split(" "), "tags": parts[1].split()})
    return tagged_rows(rows)


def tagged_rows(rows: Iterable[dict[str, list[str]]]) -> Dataset:
    """Put sentences, with ``tokens`` and ``tags``, into a table."""
    from datasets import Dataset, Features, List, Value

    texts = List(Value("string"))
    return Dataset.from_list(list(rows), features=Features({"tokens": texts, "tags": texts}))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataFormatError(f"'{path}' cannot be read as UTF-8: {error}.") from error


def check_values(task: TaskSpec, source: Source, columns: Mapping[str, Sequence[Any]]) -> None:
    """Compare the values of a task of the user's own with what its format takes.

    Args:
        task, source: whose rows they are.
        columns: values by our field, before labels become numbers.

    Raises:
        DataFormatError: names the column and the first row that is wrong.
    """
    for name, values in columns.items():
        for number, value in enumerate(values, start=1):
            if (wanted := _wanted(name, value)) is not None:
                where = f"'{source.dataset}' ({source.file or source.config}, {source.split})"
                raise DataFormatError(
                    f"Row {number} of {where} has {str(value)[:60]!r} in {source.columns[name]!r}, where '{name}' of "
                    f"'{task.name}' must be {wanted}."
                )


def _wanted(name: str, value: Any) -> str | None:
    """Return what a value must be, None where it is that."""
    if name in _TEXTS:
        return None if isinstance(value, str) else "a text"
    if name in _LISTS:
        return None if _all_are(value, str) else "a list of texts"
    if name == "tags":
        return None if _all_are(value, (str, int)) else "a list of labels"
    if name == "answers":
        texts, starts = (value.get(part) if isinstance(value, dict) else None for part in ("text", "answer_start"))
        whole = _all_are(texts, str) and _all_are(starts, int) and len(texts) == len(starts)  # type: ignore[arg-type]
        return None if whole else "an object with as many texts in text as numbers in answer_start"
    return None if isinstance(value, (str, int)) or (value is None and name == "label") else "a text or a whole number"


def _all_are(values: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)
