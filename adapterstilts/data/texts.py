"""Plain text that the user names: its lines are the rows, and a fixed share of them is held out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapterstilts.errors import DataFormatError, DataUnavailableError, SettingsError
from adapterstilts.tasks.spec import TEXT

if TYPE_CHECKING:
    from datasets import Dataset

    from adapterstilts.tasks.spec import Source, TaskSpec

HELD_OUT = 0.05
"""Share of the different lines that is held out."""
FEWEST = 2
"""Different lines that are needed: one to learn from, one that is held out."""


def with_texts(task: TaskSpec, texts: Sequence[str | os.PathLike[str]]) -> TaskSpec:
    """Return a task that learns from the lines of ``texts``; without any, the task as it is.

    Raises:
        SettingsError: the task has rows of its own.
    """
    if not texts:
        return task
    if any(source.dataset != TEXT for source in task.sources.values()):
        raise SettingsError(
            f"--text is for masked-language modelling (mlm); '{task.name}' has rows of its own. Leave --text out."
        )
    paths = tuple(str(Path(text).expanduser().absolute()) for text in texts)
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise SettingsError(f"--text names '{twice[0]}' twice.")
    return replace(task, sources={name: replace(source, texts=paths) for name, source in task.sources.items()})


def texts_fault(source: Source) -> DataUnavailableError | None:
    """Return what is wrong where no text was named, or a file of it is not there; None where all is well."""
    if not source.texts:
        return DataUnavailableError(source.obtain)
    if absent := [path for path in source.texts if not Path(path).is_file()]:
        what = "is a folder" if Path(absent[0]).is_dir() else "is not there"
        return DataUnavailableError(f"The text '{absent[0]}' {what}. Give --text the path of a file.")
    return None


def load_texts(source: Source) -> Dataset:
    """Load ``id`` and ``text`` of the lines of a source's files, blank ones left out: those of its split.

    What is held out follows from the lines alone, not from their order or the names of files: the lines whose hash
    lies in the lowest 5 % of the range, or the lowest and all but the highest where that would be none or all. Equal
    lines are on the same side, and have the same id.

    Raises:
        DataUnavailableError: no text was named, or a file is not there.
        DataFormatError: a file is no UTF-8 or has no line with text, or there are too few different lines.
    """
    from datasets import Dataset, Features, Value

    if (fault := texts_fault(source)) is not None:
        raise fault
    lines = [line for path in source.texts for line in _lines(Path(path))]
    hashes = {line: hashlib.sha256(line.encode("utf-8")).hexdigest() for line in lines}
    if len(hashes) < FEWEST:
        raise DataFormatError(
            f"The text has {len(hashes)} different line ({', '.join(map(repr, source.texts))}); at least {FEWEST} are "
            "needed, one of which is held out. Put a document or a sentence on each line."
        )
    ordered = sorted(hashes.values())
    share = int(HELD_OUT * 16**8)
    number = sum(int(value[:8], 16) < share for value in ordered)
    last = ordered[min(max(number, 1), len(ordered) - 1) - 1]
    held_out = source.split == "validation"
    chosen = [line for line in lines if (hashes[line] <= last) == held_out]
    text = Value("string")
    ids = [hashes[line][:16] for line in chosen]
    return Dataset.from_dict({"id": ids, "text": chosen}, features=Features({"id": text, "text": text}))


def _lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataUnavailableError(f"The text '{path}' cannot be read: {error.strerror or error}.") from error
    try:
        lines = [line.strip() for line in content.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise DataFormatError(
            f"Line {number} of '{path}' is no UTF-8 ({error.reason}). Convert the text, such as with "
            "`iconv -t UTF-8`, or name another file."
        ) from error
    if not any(lines):
        raise DataFormatError(f"The text '{path}' is empty: it has no line with text.")
    return [line for line in lines if line]
