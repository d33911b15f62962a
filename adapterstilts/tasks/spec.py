"""What a task is: where its rows are, how they are to be read, and how answers are scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapterstilts.errors import SettingsError
from adapterstilts.tasks.columns import Column

FormatName = Literal[
    "classification", "multiple_choice", "span", "tagging", "language_modelling", "retrieval", "search"
]
Kind = Literal["intermediate", "target", "language"]
Split = Literal["train", "validation", "test"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

DEFAULT_SUITE = "xtreme"
XTREME_R = "xtreme-r"
#: Name of the embedded suite, and what stands for a data set in its sources: rows that are generated.
LAB = "lab"
#: What stands for a data set in the sources of tasks that learn from text the user names (``--text``).
TEXT = "text"

#: Suites whose recipes and adapters are another's: they train on the same rows, and differ in what is evaluated.
_BASES = {XTREME_R: DEFAULT_SUITE}


def base_suite(name: str) -> str:
    """Return the suite whose recipes and adapters the suite ``name`` uses: its own, but for XTREME-R."""
    return _BASES.get(name, name)


#: The columns of a row after loading, by format; ``id`` and ``language`` stand beside them.
FORMAT_FIELDS: dict[FormatName, tuple[str, ...]] = {
    "classification": ("text", "text_pair", "label"),
    "multiple_choice": ("text", "choices", "label"),
    "span": ("question", "context", "answers"),
    "tagging": ("tokens", "tags"),
    "language_modelling": ("text",),
    "retrieval": ("text", "text_pair"),
    "search": ("text", "relevant"),
}


@dataclass(frozen=True)
class Source:
    """The rows of one split of a task: a data set on the Hub, and how its columns map to ours."""

    dataset: str
    """Hub id, such as ``google/xtreme``."""
    config: str
    """Configuration name; ``{language}`` in it stands for the data set's own name of the language."""
    split: str
    """Split name on the Hub, which need not be ours (``validation_matched``)."""
    columns: Mapping[str, Column]
    """Our field name to the data set's column, or to what it is made of (``adapterstilts.tasks.columns``)."""
    revision: str | None = None
    """Pinned commit of the data set, None where no commit is known to hold these files."""
    language_from: Literal["fixed", "config", "column", "id"] = "fixed"
    """Where the language of a row stands: all rows are in the source language, or in the configuration name, the
    column ``language_column``, or the part of the id before the first hyphen."""
    language_column: str = "language"
    language_names: Mapping[str, str] = field(default_factory=dict)
    """Our language code to the data set's own name for it, where the two differ."""
    label_aliases: Mapping[str, str] = field(default_factory=dict)
    """Other spellings of label names that occur in the rows."""
    part: tuple[float, float] = (0.0, 1.0)
    """The share of the rows that is taken, by a hash of the row's id: lets a data set without a validation
    split of its own give away a fixed part of its training rows."""
    wording: Mapping[str, str] = field(default_factory=dict)
    """What texts that are made of several columns say for a value."""
    file: str = ""
    """Name of a file below ``dataset`` (a folder in the data root, or an absolute one), for rows that no data set on
    the Hub holds: comma separated (``.csv``), JSON lines (``.jsonl``), ``.parquet``, a JSON
    document (``.json``), else lines of words and tags with
    a tab between them. ``{language}`` in it stands for a language's name as in ``config``."""
    address: str = ""
    """Where ``file`` can be fetched; empty where the user has to bring it."""
    obtain: str = ""
    """How to come by a file that cannot be fetched, as a sentence for the user."""
    sections: tuple[int, int] | None = None
    """First and last section of the Wall Street Journal, for rows that may lie below ``dataset`` as CCGbank's own files
    (``wsj_SSNN.auto``) where ``file`` does not."""
    layout: str = ""
    """Name in ``adapterstilts.data.layouts`` of what makes rows of a data set that has none, lists in one row, say."""
    texts: tuple[str, ...] = ()
    """Where ``dataset`` is ``TEXT``: paths of the files whose lines are the rows; empty until the user names them."""
    more: tuple[Source, ...] = ()
    """Other sources whose rows follow these, for a task that joins several data sets under one head, or that has some
    of its languages from another data set."""
    languages: tuple[str, ...] = ()
    """Codes of the languages that it has where the task's languages lie in several data sets; empty is all of them."""

    def parts(self, language: str) -> tuple[Source, ...]:
        """Return this source and those in ``more``, without those that do not have ``language`` (a code)."""
        return tuple(part for part in (self, *self.more) if not part.languages or language in part.languages)

    def config_for(self, language: str) -> str:
        """Return the configuration that holds the rows of ``language`` (a code)."""
        return self.config.format(language=self.language_names.get(language, language))

    def file_for(self, language: str) -> str:
        """Return the file that holds the rows of ``language`` (a code)."""
        return self.file.replace("{language}", self.language_names.get(language, language))

    def address_for(self, language: str) -> str:
        """Return where the file of ``language`` (a code) can be fetched."""
        return self.address.replace("{language}", self.language_names.get(language, language))


@dataclass(frozen=True)
class TaskSpec:
    """A task: data plus a format. Everything else follows from these two."""

    name: str
    """What the user types; also the adapter's name, so ``[a-z][a-z0-9_]*``."""
    kind: Kind
    """``intermediate`` (in the source language, trained on before the target), ``target`` (evaluated zero-shot) or
    ``language`` (plain text of one language)."""
    format: FormatName
    title: str
    """Full name, for people."""
    sources: Mapping[Split, Source]
    """Where the rows of each split are. Training and validation rows are in the source language; the test split of
    a target task has all its languages."""
    languages: tuple[str, ...]
    """Codes of the languages of the test split (of the validation split where there is no test)."""
    metric: str
    """Name of the metric in ``adapterstilts.evaluation.metrics``."""
    license: str
    citation: str
    """Authors, year, title, where it can be found."""
    labels: tuple[str, ...] = ()
    """Label names in the order of their numbers, as the data set numbers them."""
    labels_file: str = ""
    """Name of a JSON file beside the rows that maps labels to numbers, where they cannot be listed here."""
    choices: int = 0
    """Number of choices of a multiple-choice task."""
    unanswerable: bool = False
    """Whether a question of a span task may have no answer."""
    parallel: bool = False
    """Whether the test rows of all languages are translations of the same originals, in the same order."""
    candidates: Source | None = None
    """Where the candidates are among which what is relevant to a row is searched (format ``search``)."""
    one_pool: bool = False
    """Whether candidates of all languages are one pool, else each language is searched among its own."""
    trains_on: str | None = None
    """Name of the task whose training rows a target task uses, where they are not its own."""
    includes: tuple[str, ...] = ()
    """Names of the tasks whose training rows are among its own."""
    suite: str = DEFAULT_SUITE
    """Name of the suite it belongs to."""
    source_language: str = "en"
    """Code of the language of its training rows."""
    sizes: Mapping[Split, int] = field(default_factory=dict)
    """Rows of the splits as they were published, of all languages together, as far as that is known; a mirror may have
    fewer, and rows that cannot be used are counted, too."""
    note: str = ""
    """What else has to be known to read a score: where the protocol is not the published one, what was not verified."""
    definition: str = ""
    """Fingerprint of the task file that a task of the user's own comes from; empty for tasks of the catalogue."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Training settings of such a task, for which the zoo has no recipe."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the columns of a loaded row besides ``id`` and ``language``; single texts have no ``text_pair``."""
        names = FORMAT_FIELDS[self.format]
        paired = self.format != "classification" or any("text_pair" in one.columns for one in self.sources.values())
        return names if paired else tuple(name for name in names if name != "text_pair")

    @property
    def every_source(self) -> tuple[Source, ...]:
        """The sources of all splits, and that of what is searched."""
        return (*self.sources.values(), *((self.candidates,) if self.candidates else ()))

    @property
    def trained(self) -> bool:
        """Whether an adapter is trained for it; else sentence vectors are compared."""
        return self.format not in ("retrieval", "search")

    @property
    def training_data(self) -> frozenset[str]:
        """Names of the tasks whose rows it trains on; two tasks with one in common train on the same rows."""
        return frozenset({self.trains_on or self.name, *self.includes})

    @property
    def suite_option(self) -> str:
        """What a suggested command needs to find the task: `` --suite lab``, nothing in the default suite."""
        if self.definition:
            return " --task-file FILE"
        return "" if self.suite == DEFAULT_SUITE else f" --suite {self.suite}"

    @property
    def evaluation_split(self) -> Split:
        """The split that is scored: ``test`` where there is one, else ``validation``."""
        return "test" if "test" in self.sources else "validation"

    def source(self, split: str) -> Source:
        """Return the source of ``split``.

        Raises:
            SettingsError: the task has no such split.
        """
        if split not in self.sources:
            raise SettingsError(
                f"Task '{self.name}' has no split '{split}'; it has {', '.join(self.sources)}. Choose with --split."
            )
        return self.sources[split]  # type: ignore[index]

    def languages_of(self, split: str) -> tuple[str, ...]:
        """Return the languages that ``split`` can have: all of the task's, or the source language alone."""
        source = self.source(split)
        if source.language_from == "fixed" or split == "train":
            return (self.source_language,)
        return self.languages
