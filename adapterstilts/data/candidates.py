"""The candidates among which a search task looks for what is relevant: loaded once, in one Arrow table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.sources import MissingConfigError, load_split
from adapterstilts.errors import DataFormatError, DataUnavailableError
from adapterstilts.fingerprints import fingerprint_lines

if TYPE_CHECKING:
    from datasets import Dataset

    from adapterstilts.tasks.spec import TaskSpec

BATCH_ROWS = 10_000


@dataclass(frozen=True)
class Candidates:
    """Candidates of one pool, or of a pool a language."""

    table: Dataset
    """Columns ``id`` and ``text``; ids are unique within a pool."""
    ranges: Mapping[str, range]
    """Where in the table the candidates of each language lie."""
    one_pool: bool
    answers: Mapping[str, tuple[str, ...]] | None
    """By what is asked for, the ids of the candidates that answer it; None where that is the candidate's id itself."""

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content."""
        return fingerprint_lines(self.table.iter(batch_size=BATCH_ROWS))

    def pool(self, language: str) -> range:
        """Return the positions of the candidates of a question in ``language``."""
        return range(len(self)) if self.one_pool else self.ranges[language]

    @cached_property
    def ids(self) -> Collection[str]:
        """The ids of all candidates."""
        return frozenset(self.table["id"])

    def relevant(self, asked: Sequence[str]) -> list[str]:
        """Return the ids of the candidates that answer what is asked for, in the order of the table."""
        if self.answers is None:
            return [key for key in asked if key in self.ids]
        return [candidate for key in asked for candidate in self.answers.get(key, ())]


def load_candidates(task: TaskSpec, languages: Sequence[str], root: Path | None) -> Candidates:
    """Load the candidates of a search task.

    Args:
        task: has ``candidates``. Where all are one pool, those of every language that the data source has are loaded,
            whichever are asked for.
        languages: codes of the languages whose own pools are loaded otherwise.
        root: local mirror of the Hub, or None for the Hub itself.

    Raises:
        DataUnavailableError: they cannot be had.
        DataFormatError: columns or files are not what the task says.
    """
    from datasets import concatenate_datasets

    source = task.candidates
    assert source is not None, "only search tasks have candidates"
    every = task.languages if task.one_pool else tuple(languages)
    codes = every if source.language_from == "config" else (task.source_language,)
    parts: list[Dataset] = []
    ranges: dict[str, range] = {}
    answers: dict[str, list[str]] = {}
    for code in codes:
        try:
            raw = load_split(source, code, root)
        except MissingConfigError:
            if not task.one_pool or len(codes) == 1:
                raise
            continue
        columns = {name: str(column) for name, column in source.columns.items()}
        if absent := [name for name in columns.values() if name not in raw.column_names]:
            raise DataFormatError(
                f"The candidates of '{task.name}' ({source.dataset}) have no column {', '.join(map(repr, absent))}; "
                f"they have {', '.join(raw.column_names)}."
            )
        part = _two_columns(raw, columns["id"], columns["text"])
        if "answers" in columns:
            for candidate, keys in zip(part["id"], raw[columns["answers"]], strict=True):
                for key in keys:
                    answers.setdefault(key, []).append(candidate)
        start = sum(map(len, parts))
        ranges[code] = range(start, start + len(part))
        parts.append(part)
    if not sum(map(len, parts)):
        raise DataUnavailableError(f"'{source.dataset}' has no candidates for '{task.name}' in {', '.join(codes)}.")
    return Candidates(
        parts[0] if len(parts) == 1 else concatenate_datasets(parts),
        ranges,
        task.one_pool,
        {key: tuple(ids) for key, ids in answers.items()} if "answers" in source.columns else None,
    )


def _two_columns(raw: Dataset, ids: str, texts: str) -> Dataset:
    """Return the columns ``id`` and ``text``, read from disk where ``raw`` is."""
    from datasets import Features, Value

    table = raw.select_columns([ids, texts]).rename_columns({ids: "id", texts: "text"})
    wanted: Any = Features({"id": Value("string"), "text": Value("string")})
    return table if table.features == wanted else table.cast(wanted)
