"""A suite says which world we are in: backbone, tasks with their sources, languages, source language.

The same commands and the same code run in each, since the rows of the lab have the Hub's columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from adapterstilts.errors import unknown
from adapterstilts.tasks.catalogue import TASKS, XTREME_R_TASKS, get_task
from adapterstilts.tasks.catalogue.plain_text import LANGUAGE
from adapterstilts.tasks.languages import LANGUAGES, Language, get_language
from adapterstilts.tasks.spec import DEFAULT_SUITE, LAB, XTREME_R, Kind, Source, Split, TaskSpec

_own_tasks: ContextVar[tuple[TaskSpec, ...]] = ContextVar("own_tasks", default=())


@dataclass(frozen=True)
class Typology:
    """Where a language stands beside the source language."""

    distance: float
    """Gower distance, 0 to 1."""
    differences: tuple[str, ...]
    """Names of the features in which the two differ."""
    seen: bool
    """Whether text in the language was part of the backbone's pretraining."""


@dataclass(frozen=True)
class Suite:
    """A world of tasks and languages."""

    name: str
    """What the user types."""
    title: str
    """For people."""
    backbone: str
    """Backbone where the user names none."""
    source_language: str
    """Code of the language of the training rows."""
    tasks: Mapping[str, TaskSpec]
    languages: Mapping[str, Language]
    typology: Mapping[str, Typology] = field(default_factory=dict)
    """By code; empty where the suite does not know how its languages differ."""
    distance_between: Callable[[str, str], float] | None = field(default=None, compare=False)
    """Distance of two languages by their codes, 0 to 1; None where the suite does not know how its languages differ."""

    def task(self, name: str, kind: Kind | None = None) -> TaskSpec:
        """Return the task ``name``, of ``kind`` if one is given.

        Raises:
            UnknownNameError: there is no such task, or it is of the other kind; the nearest right name is given.
        """
        option = "" if self.name == DEFAULT_SUITE else f" --suite {self.name}"
        return get_task(name, kind, self.tasks, see=f"adapterstilts tasks{option}")

    def language(self, code: str) -> Language:
        """Return the language with this code.

        Raises:
            UnknownNameError: names the nearest code, also when a name was given.
        """
        return get_language(code, self.languages)

    def distance(self, code: str) -> float | None:
        """Return a language's distance from the source, 0 to 1, or None where the suite knows of none."""
        return self.typology[code].distance if code in self.typology else None

    def by_distance(self, codes: Iterable[str]) -> tuple[str, ...]:
        """Return codes with the source first, then from near to far; in the order given where distances are unknown."""
        return tuple(sorted(codes, key=lambda code: (code != self.source_language, self.distance(code) or 0.0)))


def get_suite(name: str = DEFAULT_SUITE) -> Suite:
    """Return the suite ``name``.

    Raises:
        UnknownNameError: there is none of this name; the nearest right one is given.
    """
    if name not in SUITES:
        raise unknown("suite", name, SUITES)
    suite = SUITES[name]()
    own = {task.name: task for task in _own_tasks.get() if task.suite == name}
    if not own:
        return suite
    codes = {code for task in own.values() for code in task.languages} - set(suite.languages)
    languages = {**suite.languages, **{code: LANGUAGES[code] for code in sorted(codes)}}
    return replace(suite, tasks={**suite.tasks, **own}, languages=languages)


@contextmanager
def with_tasks(tasks: Iterable[TaskSpec]) -> Iterator[None]:
    """Let suites have more tasks, the user's own, inside the block."""
    token = _own_tasks.set((*_own_tasks.get(), *tasks))
    try:
        yield
    finally:
        _own_tasks.reset(token)


def _xtreme() -> Suite:
    return _of_the_hub(DEFAULT_SUITE, "XTREME's tasks and languages, from the Hub or a mirror of it", TASKS)


def _xtreme_r() -> Suite:
    title = "XTREME-R's tasks and languages, from the Hub or a mirror of it; shares its adapters with xtreme"
    return _of_the_hub(XTREME_R, title, XTREME_R_TASKS)


def _of_the_hub(name: str, title: str, tasks: Mapping[str, TaskSpec]) -> Suite:
    return Suite(
        name=name,
        title=title,
        backbone="xlm-roberta-base",
        source_language="en",
        tasks=tasks,
        languages={
            code: language
            for code, language in LANGUAGES.items()
            if any(code in task.languages for task in tasks.values())
        },
    )


def _lab() -> Suite:
    # Only this suite pays for the import.
    from adapterstilts.lab import languages as lab
    from adapterstilts.lab.rows import SIZES

    known = lab.all_languages()
    source = known[lab.SOURCE]
    return Suite(
        name=LAB,
        title="small generated languages, and a small encoder for them; needs neither network nor data",
        backbone="pico",
        source_language=lab.SOURCE,
        tasks={
            name: lab_task(spec, tuple(known), lab.SOURCE)
            for name, spec in TASKS.items()
            if name in SIZES or spec.format == "language_modelling"
        },
        languages={
            code: Language(code, language.name, language.family, language.script) for code, language in known.items()
        },
        typology={
            code: Typology(lab.distance(source, language), tuple(lab.differences(source, language)), language.seen)
            for code, language in known.items()
        },
        distance_between=lambda one, other: lab.distance(known[one], known[other]),
    )


def lab_task(spec: TaskSpec, languages: tuple[str, ...], source_language: str) -> TaskSpec:
    """Return a task of the catalogue with the lab's rows: columns, labels and metric stay as they are.

    Training and validation rows are in the source language; the test rows of a target task are in all languages, the
    same problems said in each. Where sentences are to be found again in the source language, it is not among them.
    """
    from adapterstilts.lab.rows import LABELS, SIZES, wording

    if spec.format == "language_modelling":  # the user's text here, too
        return replace(spec, suite=LAB, source_language=source_language, languages=(source_language,))
    retrieval = spec.format == "retrieval"
    scored = tuple(code for code in languages if not (retrieval and code == source_language))
    every = {split for split in spec.sources if split == "test" or retrieval}
    known = SIZES.get(spec.name, {})
    sizes = {split: known[split] * (len(scored) if split in every else 1) for split in spec.sources if split in known}

    def source_of(split: Split, hub: Source) -> Source:
        # A new one: nothing that says where the Hub's rows are may be left over.
        return Source(
            dataset=LAB,
            config=f"{spec.name}.{{language}}",
            split=split,
            columns=hub.columns,
            language_from="config" if split == "test" or retrieval else "fixed",
            label_aliases=hub.label_aliases,
            wording=wording(spec.name),
        )

    return replace(
        spec,
        suite=LAB,
        source_language=source_language,
        sources={split: source_of(split, hub) for split, hub in spec.sources.items()},
        languages=scored if "test" in spec.sources else (source_language,),
        labels=LABELS.get(spec.name, spec.labels),
        labels_file="",
        sizes=sizes,
        includes=(),  # every task of the lab has rows of its own
        note="",
        parallel="test" in spec.sources,
        license="Apache-2.0, generated rows",
        citation=f"In the form of: {spec.citation}",
    )


def language_task(world: Suite, code: str, *, own_text: bool = False) -> TaskSpec:
    """Return the training of a language's adapter, by masked-language modelling on plain text of the language.

    Args:
        world: the suite. The lab has text of its own in all its languages; elsewhere the user names the text.
        code: of the language.
        own_text: the user names the text in the lab, too.

    Raises:
        UnknownNameError: the suite has no such language.
    """
    if world.language(code).code not in world.languages:  # a pair of languages has no adapter
        raise unknown("language code", code, world.languages)
    sources = LANGUAGE.sources
    if world.name == LAB and not own_text:
        columns = next(iter(sources.values())).columns
        sources = {split: Source(LAB, f"{LANGUAGE.name}.{{language}}", split, columns) for split in sources}
    else:
        option = "" if world.name == DEFAULT_SUITE else f" --suite {world.name}"
        obtain = (
            f"An adapter for the language '{code}' learns from plain text in it: adapterstilts train-language {code} "
            f"--text FILE{option} (UTF-8, a document or a sentence a line)."
        )
        sources = {split: replace(source, obtain=obtain) for split, source in sources.items()}
    return replace(LANGUAGE, suite=world.name, source_language=code, languages=(code,), sources=sources)


SUITES: Mapping[str, Callable[[], Suite]] = {DEFAULT_SUITE: _xtreme, XTREME_R: _xtreme_r, LAB: _lab}
