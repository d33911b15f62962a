"""Rows of a task in the task's own columns, whatever the data set calls them."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.candidates import Candidates, load_candidates
from adapterstilts.data.sampling import sample_indices
from adapterstilts.data.sources import MissingConfigError, MissingDataSetError, NotCachedError, load_split
from adapterstilts.data.tables import check_values
from adapterstilts.errors import DataFormatError, DataUnavailableError
from adapterstilts.fingerprints import fingerprint, fingerprint_lines
from adapterstilts.tasks.columns import field_value, is_plain, needed_columns
from adapterstilts.tasks.suites import get_suite

if TYPE_CHECKING:
    from datasets import Dataset

    from adapterstilts.tasks.spec import Source, TaskSpec

logger = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Rows of one split, all languages in one table."""

    task: TaskSpec
    split: str
    table: Dataset
    """Columns ``id``, ``language`` and the fields of the task's format."""
    languages: tuple[str, ...]
    """The languages that are there, in the order asked for."""
    missing: tuple[str, ...] = ()
    """Languages of the task that the data source does not have."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """How many rows were left out, by reason."""
    candidates: Candidates | None = None
    """For a search task, what is searched."""

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content: the same rows from the Hub and from a mirror have the same."""
        own = fingerprint_lines(self.table)
        return own if self.candidates is None else fingerprint([own, self.candidates.fingerprint])

    def of_language(self, language: str) -> list[int]:
        """Return the positions of the rows of ``language``."""
        return list(self._by_language.get(language, ()))

    @cached_property
    def _by_language(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for position, code in enumerate(self.table["language"][:]):
            found.setdefault(code, []).append(position)
        return found


MOST_KEPT = 8
"""Tables of rows that ``rows_kept`` holds, the ones used last."""
_KEPT: ContextVar[OrderedDict[object, Rows] | None] = ContextVar("rows", default=None)


@contextmanager
def rows_kept() -> Iterator[None]:
    """Inside the block, rows that were loaded are not loaded again: the stages of one command share them."""
    if _KEPT.get() is not None:
        yield
        return
    token = _KEPT.set(OrderedDict())
    try:
        yield
    finally:
        _KEPT.reset(token)


def load_rows(
    task: TaskSpec,
    split: str,
    languages: Sequence[str] | None = None,
    *,
    root: Path | None = None,
    max_examples: int | None = None,
    sample_seed: int = 0,
    candidates: Candidates | None = None,
) -> Rows:
    """Load the rows of a split, or return those that ``rows_kept`` holds.

    Args:
        task: the task.
        split: ``train``, ``validation`` or ``test``.
        languages: codes; None means every language of the split that the source has.
        root: local mirror of the Hub, or None for the Hub itself.
        max_examples: keep a seeded sample of at most this many rows a language; a smaller sample is
            part of a larger one with the same seed.
        sample_seed: seed of that sample.
        candidates: those of a search task, if they are loaded already; a sample of the rows keeps them all.

    Raises:
        SettingsError: the task has no such split.
        DataUnavailableError: the rows, or those of a language that was named, cannot be had.
        DataFormatError: columns, labels or files are not what the task says.
    """
    kept = _KEPT.get()
    if kept is None:
        return _loaded(task, split, languages, root, max_examples, sample_seed, candidates)
    # Tasks hold mappings, which have no hash; the text of a source says all that decides its rows.
    what = (task.suite, task.name, task.kind, task.definition, task.labels, repr(task.source(split)), split)
    codes = languages if languages is None else tuple(languages)
    key = (what, codes, root, max_examples, sample_seed, id(candidates))
    if key not in kept:
        kept[key] = _loaded(task, split, languages, root, max_examples, sample_seed, candidates)
    kept.move_to_end(key)
    while len(kept) > MOST_KEPT:
        kept.popitem(last=False)
    return kept[key]


def _loaded(
    task: TaskSpec,
    split: str,
    languages: Sequence[str] | None,
    root: Path | None,
    max_examples: int | None,
    sample_seed: int,
    candidates: Candidates | None,
) -> Rows:
    source = task.source(split)
    wanted = tuple(languages) if languages is not None else task.languages_of(split)
    kept: list[Row] = []
    found: list[str] = []
    missing: list[str] = []
    skipped: Counter[str] = Counter()
    absent: DataUnavailableError | None = None
    if task.candidates is not None and task.one_pool and candidates is None:
        candidates = load_candidates(task, wanted, root)
    shared = None if source.language_from == "config" else _raw_rows(task, source, task.source_language, root)
    for language in wanted:
        try:
            raw = shared if shared is not None else _raw_rows(task, source, language, root)
        except (MissingConfigError, MissingDataSetError) as error:
            if languages is not None:
                raise
            if isinstance(error, (MissingDataSetError, NotCachedError)):
                absent = absent or error
            missing.append(language)
            continue
        rows = [row for row in raw if row["language"] == language]
        if not rows:
            if languages is not None or wanted == (task.source_language,):
                raise DataUnavailableError(_no_rows(task, split, source, language, raw))
            missing.append(language)
            continue
        rows = [row for row in rows if _in_part(row["id"], source.part)]
        if candidates is not None and task.one_pool:
            rows = [row | {"relevant": candidates.relevant(row["relevant"])} for row in rows]
        usable = _usable(task, rows, skipped)
        if max_examples is not None:
            usable = [usable[index] for index in sample_indices(len(usable), max_examples, sample_seed)]
        if not usable:
            if languages is not None or wanted == (task.source_language,):
                counted = ", ".join(f"{reason}: {count}" for reason, count in skipped.items())
                where = f"The {split} split of '{task.name}' has no usable row in {_named(task, language)}"
                raise DataUnavailableError(f"{where} ({counted})." if counted else f"{where}.")
            missing.append(language)
            continue
        found.append(language)
        kept.extend(usable)
    if not kept and absent is not None:
        raise absent
    if not kept:
        raise DataUnavailableError(f"The {split} split of '{task.name}' has no usable row in {', '.join(wanted)}.")
    if task.candidates is not None and candidates is None:
        candidates = load_candidates(task, found, root)
    return Rows(task, split, to_table(task, kept), tuple(found), tuple(missing), dict(skipped), candidates)


def to_table(task: TaskSpec, rows: Sequence[Row]) -> Dataset:
    """Put rows of a task into an Arrow table with the columns of its format."""
    from datasets import Dataset, Features, List, Value

    text, number = Value("string"), Value("int32")
    kinds: dict[str, Any] = {
        "label": number,
        "choices": List(text),
        "tokens": List(text),
        "tags": List(number),
        "relevant": List(text),
        "answers": {"text": List(text), "answer_start": List(number)},
    }
    features = Features({"id": text, "language": text} | {name: kinds.get(name, text) for name in task.fields})
    return Dataset.from_dict({name: [row[name] for row in rows] for name in features}, features=features)


def _raw_rows(task: TaskSpec, source: Source, language: str, root: Path | None) -> list[Row]:
    """Load the rows of a source, and of those that follow it and have the language, in our columns."""
    seen: Counter[str] = Counter()
    return [row for part in source.parts(language) for row in _rows_of(task, part, language, root, seen)]


def _rows_of(task: TaskSpec, source: Source, language: str, root: Path | None, seen: Counter[str]) -> list[Row]:
    """Load rows and rename their columns; labels become numbers, each row gets an id and a language.

    Args:
        task, source, language, root: as for ``load_rows``.
        seen: how many rows of each language came before, which their ids count on.
    """
    raw = load_split(source, language, root)
    wanted = dict.fromkeys(name for column in source.columns.values() for name in needed_columns(column))
    if absent := [name for name in wanted if name not in raw.column_names]:
        raise DataFormatError(
            f"'{source.dataset}' ({source.config_for(language)}, {source.split}) has no column "
            f"{', '.join(map(repr, absent))}; it has {', '.join(raw.column_names)}."
        )
    columns = {ours: _field(raw, source, ours) for ours in source.columns}
    if task.definition:
        check_values(task, source, columns)
        if "id" in columns:
            columns["id"] = [str(value) for value in columns["id"]]
        if "answers" in columns:
            columns["answers"] = [
                {part: gold[part] for part in ("text", "answer_start")} for gold in columns["answers"]
            ]
    columns["language"] = _languages(source, language, raw, columns.get("id", []))
    if "id" not in columns:
        columns["id"] = []  # numbered within a language, so that parallel rows have the same number
        for code in columns["language"]:
            columns["id"].append(f"{code}-{source.split}-{seen[code]}")
            seen[code] += 1
    if "label" in columns:
        number = _label_reader(task, source, raw.features[str(source.columns["label"])])
        columns["label"] = [number(label) for label in columns["label"]]
    if "tags" in columns:
        feature = getattr(raw.features[str(source.columns["tags"])], "feature", None)
        number = _label_reader(task, source, feature, outside=-1)
        columns["tags"] = [[number(tag) for tag in tags] for tags in columns["tags"]]
    if not task.trained:  # google/xtreme keeps the line ends of Tatoeba's files
        texts = [name for name in task.fields if name != "relevant"]
        columns |= {name: [(text or "").strip() for text in columns[name]] for name in texts}
    names = tuple(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _field(raw: Dataset, source: Source, name: str) -> list[Any]:
    column = source.columns[name]
    if is_plain(column):
        return list(raw[column])
    try:
        return [field_value(column, row, source.wording) for row in raw.select_columns(list(needed_columns(column)))]
    except (TypeError, KeyError) as error:
        raise DataFormatError(
            f"'{source.dataset}' ({source.file or source.config}, {source.split}) has a row without {column!r}."
        ) from error


def _languages(source: Source, language: str, raw: Dataset, ids: list[str]) -> list[str]:
    if source.language_from in ("fixed", "config"):
        return [language] * len(raw)
    codes = {theirs: ours for ours, theirs in source.language_names.items()}
    if source.language_from == "column":
        if source.language_column not in raw.column_names:
            raise DataFormatError(f"'{source.dataset}' has no column '{source.language_column}' for the language.")
        names = [str(name) for name in raw[source.language_column][:]]
    else:
        names = [row_id.split("-", 1)[0] for row_id in ids]
    return [codes.get(name, name) for name in names]


def _label_reader(task: TaskSpec, source: Source, feature: Any, *, outside: int | None = None) -> Callable[[Any], int]:
    """Return what turns a stored label, a name or a number, into the task's number; -1 where there is no gold label.

    Where the data set names its numbers, the names count, since it may number them in another order than the task.

    Args:
        task: names the labels.
        source: for messages.
        feature: of the column, as datasets describes it.
        outside: what to read a number as that stands for no label; an error if None.
    """
    numbers = {name: number for number, name in enumerate(task.labels)}
    numbers |= {alias: numbers[name] for alias, name in source.label_aliases.items()}
    numbers |= {"": -1, "-": -1}
    names = getattr(feature, "names", None) or task.labels
    as_text = bool(task.definition) and not getattr(feature, "names", None)  # a task file lists labels as they stand

    def number(label: Any) -> int:
        if label is None or label == -1:
            return -1
        if as_text:
            label = str(label).lower() if isinstance(label, bool) else str(label)
        inside = isinstance(label, str) or 0 <= label < len(names)
        if not inside and outside is not None:
            return outside
        name = label if isinstance(label, str) or not inside else names[label]
        if name not in numbers:
            raise DataFormatError(
                f"'{source.dataset}' ({source.config}, {source.split}) has the label {name!r}; known: "
                f"{', '.join(task.labels)}."
            )
        return numbers[name]

    return number


def _in_part(row_id: str, part: tuple[float, float]) -> bool:
    if part == (0.0, 1.0):
        return True
    share = int.from_bytes(hashlib.sha256(row_id.encode("utf-8")).digest()[:8], "big") / 2**64
    return part[0] <= share < part[1]


def _usable(task: TaskSpec, rows: list[Row], skipped: Counter[str]) -> list[Row]:
    """Leave out rows that cannot be scored or trained on, and count them by reason."""
    fault = _FAULTS[task.format]
    usable = []
    for row in rows:
        reason = fault(task, row)
        if reason is None:
            usable.append(row)
        else:
            skipped[reason] += 1
    return usable


def _label_fault(task: TaskSpec, row: Row) -> str | None:
    return "no gold label" if row["label"] < 0 else None


def _choice_fault(task: TaskSpec, row: Row) -> str | None:
    if len(row["choices"]) != task.choices:
        return f"not {task.choices} choices"
    return _label_fault(task, row)


def _span_fault(task: TaskSpec, row: Row) -> str | None:
    if not (row["context"] or "").strip():
        return "empty context"
    if not row["answers"]["text"] and not task.unanswerable:
        return "no gold answer"
    return None


def _tag_fault(task: TaskSpec, row: Row) -> str | None:
    if not row["tokens"]:
        return "empty sentence"
    if len(row["tokens"]) != len(row["tags"]):
        return "as many tags as tokens are needed"
    if any(not 0 <= tag < len(task.labels) for tag in row["tags"]):
        return "unknown tag"
    return None


def _line_fault(task: TaskSpec, row: Row) -> str | None:
    return None if row["text"].strip() else "empty line"


def _pair_fault(task: TaskSpec, row: Row) -> str | None:
    return None if row["text"] and row["text_pair"] else "empty sentence"


def _search_fault(task: TaskSpec, row: Row) -> str | None:
    if not row["text"]:
        return "empty sentence"
    return "no relevant candidate" if task.one_pool and not row["relevant"] else None


_FAULTS: dict[str, Callable[[TaskSpec, Row], str | None]] = {
    "classification": _label_fault,
    "multiple_choice": _choice_fault,
    "span": _span_fault,
    "tagging": _tag_fault,
    "language_modelling": _line_fault,
    "retrieval": _pair_fault,
    "search": _search_fault,
}


def _no_rows(task: TaskSpec, split: str, source: Source, language: str, raw: list[Row]) -> str:
    there = ", ".join(sorted({row["language"] for row in raw})) or "no rows at all"
    part = next(iter(source.parts(language)), source)
    return (
        f"'{part.dataset}' ({part.config_for(language)}, {part.split}) has no row in "
        f"{_named(task, language)} for the {split} split of '{task.name}'; it has {there}."
    )


def _named(task: TaskSpec, language: str) -> str:
    return f"{get_suite(task.suite).language(language).name} ({language})"
