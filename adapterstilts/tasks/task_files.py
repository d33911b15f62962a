"""A task of the user's own in one YAML file: the fields of ``TaskSpec`` and ``Source`` under their names.

Nothing in a file is guessed: a key that is not known, a value of the wrong kind (``no`` without quotes is no text in
YAML) or a field that is not there is a fault, and all faults of a file are told together, each with its key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from adapterstilts.errors import nearest
from adapterstilts.fingerprints import fingerprint
from adapterstilts.tasks.columns import Column
from adapterstilts.tasks.languages import LANGUAGES
from adapterstilts.tasks.spec import FORMAT_FIELDS, LAB, SPLITS, Source, Split, TaskSpec
from adapterstilts.tasks.strict_yaml import Faults, read_mapping

SOURCE_LANGUAGE = "en"
KINDS = ("intermediate", "target")
#: Metrics that can score a format's answers.
METRICS_OF: Mapping[str, tuple[str, ...]] = {
    "classification": ("accuracy", "accuracy_f1"),
    "multiple_choice": ("accuracy",),
    "span": ("squad", "squad_v2", "mlqa"),
    "tagging": ("entity_f1", "pos_f1", "token_accuracy"),
    "retrieval": ("retrieval_accuracy", "bucc_f1"),
}
FILES = (".csv", ".jsonl", ".parquet")
TAGGED_LINES = ".txt"
#: What adapters cannot be called: names that torch's dictionaries of modules have for themselves.
RESERVED = frozenset(
    "none add_module apply bfloat16 buffers call_super_init children clear compile cpu cuda double dump_patches eval "
    "extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu items keys "
    "load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters pop "
    "register_backward_hook register_buffer register_forward_hook register_forward_pre_hook "
    "register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook "
    "register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook "
    "register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory state_dict to to_empty "
    "train training type update values xpu zero_grad".split()
)

_TASK_KEYS = (
    "name", "kind", "format", "title", "sources", "languages", "metric", "license", "citation", "labels", "choices",
    "unanswerable", "parallel", "trains_on", "includes", "settings", "note",
)  # fmt: skip
_SOURCE_KEYS = (
    "dataset", "config", "split", "columns", "revision", "language_from", "language_column", "language_names",
    "label_aliases", "part", "wording", "file", "obtain", "more",
)  # fmt: skip
_LANGUAGE_FROM = ("fixed", "config", "column", "id")
#: Keys that do not decide what is learnt or scored; settings stand among the stage's own.
_FOR_PEOPLE = ("title", "license", "citation", "note", "settings")


def read_task_file(path: Path, known: Mapping[str, TaskSpec]) -> TaskSpec:
    """Read a task from a YAML file.

    Args:
        path: the file; files of rows that name no ``dataset`` lie beside it.
        known: the tasks that there are already, by name.

    Raises:
        SettingsError: the file cannot be read, or says what a task cannot be; names every key that is wrong.
    """
    given = read_mapping(path, "task file")
    faults = Faults()
    faults.keys(given, "", _TASK_KEYS, needed=("name", "kind", "format", "title", "sources", "metric", "license"))
    name = faults.text(given, "name")
    if name and not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        faults.add("name", f"{name!r} must be small letters, digits and _, a letter first")
    elif name in known:
        faults.add("name", f"there is a task '{name}' already; take another name")
    elif name in RESERVED:
        faults.add("name", f"'{name}' is kept for something else; take another name")
    kind = faults.one_of(given, "kind", KINDS)
    form = faults.one_of(given, "format", tuple(METRICS_OF))
    metric = faults.one_of(given, "metric", METRICS_OF[form]) if form else ""
    labels = _labels(given, form, metric, faults)
    languages = _languages(given, kind, faults)
    other = _trains_on(given, form, labels, known, faults)
    task = _Reader(path.resolve().parent, form, kind, metric, labels, languages, faults)
    sources = task.sources(given.get("sources"), other)
    unanswerable = faults.flag(given, "unanswerable")
    if form == "span" and unanswerable != (metric == "squad_v2"):
        faults.add("unanswerable", "true goes with the metric squad_v2, and squad_v2 with true")
    elif unanswerable and form != "span":
        faults.add("unanswerable", "only the format span has questions without an answer")
    if faults.flag(given, "parallel") and kind == "intermediate":
        faults.add("parallel", "only target tasks have test rows in several languages")
    for place, included in enumerate(faults.texts(given, "includes")):
        if included not in known:
            faults.add(f"includes[{place}]", _no_task(included, known))
    if kind == "intermediate" and form == "retrieval":
        faults.add("format", "retrieval trains nothing, so it is for target tasks")
    if not isinstance(given.get("settings", {}), dict):
        faults.add("settings", "must be a mapping of training settings and their values")
    title, license_, citation, note = (faults.text(given, key) for key in ("title", "license", "citation", "note"))
    faults.raise_if_any(f"The task file '{path}'")
    return TaskSpec(
        name=name,
        kind=kind,  # type: ignore[arg-type]  # checked above
        format=form,  # type: ignore[arg-type]
        sources=sources,
        languages=languages,
        metric=metric,
        labels=labels,
        choices=given.get("choices", 0),
        unanswerable=unanswerable,
        parallel=bool(given.get("parallel", False)),
        trains_on=other.name if other else None,
        includes=tuple(given.get("includes", ())),
        definition=fingerprint({key: value for key, value in given.items() if key not in _FOR_PEOPLE}),
        recipe=given.get("settings", {}),
        title=title,
        license=license_,
        citation=citation,
        note=note,
    )


def _labels(given: Mapping[str, Any], form: str, metric: str, faults: Faults) -> tuple[str, ...]:
    labels = faults.texts(given, "labels")
    wants = form in ("classification", "tagging", "multiple_choice")
    if form and wants != bool(labels) and not faults.about("labels"):
        faults.add("labels", f"missing; {form} needs them" if wants else f"{form} has none")
    if len(labels) == 1 or len(set(labels)) != len(labels):
        faults.add("labels", "must be at least two, each once")
    if metric == "accuracy_f1" and labels and len(labels) != 2:
        faults.add("metric", "accuracy_f1 is for two labels; the second one is looked for")
    choices = given.get("choices")
    if form == "multiple_choice" and (type(choices) is not int or choices != len(labels)):
        faults.add("choices", "must be the number of choices, as many as labels")
    elif form and form != "multiple_choice" and choices is not None:
        faults.add("choices", "only the format multiple_choice has them")
    return labels


def _languages(given: Mapping[str, Any], kind: str, faults: Faults) -> tuple[str, ...]:
    languages = faults.texts(given, "languages")
    for place, code in enumerate(languages):
        if code not in LANGUAGES:
            faults.add(f"languages[{place}]", f"'{code}' is none of {', '.join(LANGUAGES)}")
    if len(set(languages)) != len(languages):
        faults.add("languages", "names a language twice")
    if kind == "target" and not languages and not faults.about("languages"):
        faults.add("languages", "missing; name the languages of the test rows")
    if kind == "intermediate" and languages not in ((), (SOURCE_LANGUAGE,)):
        faults.add("languages", f"an intermediate task is in the source language, [{SOURCE_LANGUAGE}]; leave it out")
    return languages or (SOURCE_LANGUAGE,)


def _trains_on(
    given: Mapping[str, Any], form: str, labels: tuple[str, ...], known: Mapping[str, TaskSpec], faults: Faults
) -> TaskSpec | None:
    name = faults.text(given, "trains_on")
    if not name:
        return None
    if name not in known:
        faults.add("trains_on", _no_task(name, known))
        return None
    other = known[name]
    if form and (other.format, other.labels) != (form, labels):
        told = f" with the labels {', '.join(other.labels)}" if other.labels else ""
        faults.add("trains_on", f"'{name}' is a {other.format} task{told}; this one has to be the same")
    if given.get("kind") == "intermediate":
        faults.add("trains_on", "only target tasks train on another task's rows")
    return other


def _no_task(name: str, known: Mapping[str, TaskSpec]) -> str:
    best = nearest(name, known)
    return f"there is no task '{name}'" + (f"; did you mean '{best}'?" if best else "")


class _Reader:
    """Reads the sources of a task, noting faults by their key."""

    def __init__(
        self,
        folder: Path,
        form: str,
        kind: str,
        metric: str,
        labels: tuple[str, ...],
        languages: tuple[str, ...],
        faults: Faults,
    ) -> None:
        self.folder, self.form, self.kind, self.metric = folder, form, kind, metric
        self.labels, self.languages, self.faults = labels, languages, faults

    def sources(self, given: Any, other: TaskSpec | None) -> dict[Split, Source]:
        """Return the source of each split; those of ``other`` for training where the file names none."""
        if given is None:
            return {}  # told as a key that is missing
        if not isinstance(given, dict):
            self.faults.add("sources", f"must be a mapping of {', '.join(SPLITS)}")
            return {}
        inherited = dict(other.sources) if other else {}
        inherited.pop("test", None)
        needed = self._needed()
        self.faults.keys(given, "sources.", SPLITS, needed=[split for split in needed if split not in inherited])
        if self.kind and self.form:
            for split in given:
                if split in SPLITS and split not in needed:
                    self.faults.add(f"sources.{split}", f"a task of this kind has {' and '.join(needed)} alone")
        own: dict[Split, Source] = {
            split: self.source(given[split], f"sources.{split}", split) for split in SPLITS if split in given
        }
        whole = {split: own.get(split) or inherited[split] for split in SPLITS if split in own or split in inherited}
        if len({"text_pair" in part.columns for source in whole.values() for part in (source, *source.more)}) > 1:
            self.faults.add("sources", "text_pair is a column of some and not of others")
        return whole

    def _needed(self) -> tuple[str, ...]:
        if not (self.kind and self.form):
            return ()
        if self.form == "retrieval":
            return ("validation", "test") if self.metric == "bucc_f1" else ("test",)
        return ("train", "validation") if self.kind == "intermediate" else SPLITS

    def source(self, given: Any, at: str, split: Split, first: Source | None = None) -> Source:
        """Return a source; ``first`` is the one whose ``more`` it is among."""
        faults = self.faults
        if not isinstance(given, dict):
            faults.add(at, "must be a mapping with columns, and file or dataset")
            return Source("", "", split, {})
        of_file = "file" in given
        needed = ("file", "columns") if of_file else ("dataset", "config", "split", "columns")
        faults.keys(given, f"{at}.", _SOURCE_KEYS, needed=needed)
        for key in ("config", "split", "revision") if of_file else ("obtain",):
            if key in given:
                faults.add(f"{at}.{key}", "is for data sets of the Hub" if of_file else "is for a file")
        language_from = faults.one_of(given, "language_from", _LANGUAGE_FROM, at=at, usual="fixed")
        self._check_language(given, at, split, language_from, first)
        columns = self._columns(given.get("columns"), f"{at}.columns", language_from)
        aliases = faults.text_mapping(given, "label_aliases", at=at)
        for alias, label in aliases.items():
            if label not in self.labels:
                faults.add(
                    f"{at}.label_aliases.{alias}", f"{label!r} is none of {', '.join(self.labels) or 'no labels'}"
                )
        names = faults.text_mapping(given, "language_names", at=at)
        for code in names:
            if code not in (*self.languages, SOURCE_LANGUAGE):
                faults.add(f"{at}.language_names.{code}", f"is none of {', '.join(self.languages)}")
        if len(set(names.values())) != len(names):
            faults.add(f"{at}.language_names", "gives two languages one name")
        made = Source(
            dataset=self._dataset(given, at, of_file),
            config=self._place(given, "config", at, language_from) if not of_file else "default",
            split=faults.text(given, "split", at=at) if not of_file else split,
            columns=columns,
            revision=self._revision(given, at),
            language_from=language_from or "fixed",  # type: ignore[arg-type]
            language_column=faults.text(given, "language_column", at=at) or "language",
            language_names=names,
            label_aliases=aliases,
            part=self._part(given, at),
            wording=faults.text_mapping(given, "wording", at=at),
            file=self._file(given, at, language_from) if of_file else "",
            obtain=faults.text(given, "obtain", at=at),
        )
        return replace(made, more=self._more(given, at, split, made, first))

    def _more(
        self, given: Mapping[str, Any], at: str, split: Split, made: Source, first: Source | None
    ) -> tuple[Source, ...]:
        more = given.get("more", [])
        if not isinstance(more, list) or (more and first is not None):
            self.faults.add(f"{at}.more", "must be a list of sources that have no more themselves")
            return ()
        return tuple(self.source(part, f"{at}.more[{place}]", split, made) for place, part in enumerate(more))

    def _check_language(
        self, given: Mapping[str, Any], at: str, split: Split, language_from: str, first: Source | None
    ) -> None:
        faults = self.faults
        many = split == "test" or self.form == "retrieval"
        if self.kind == "target" and many and language_from == "fixed" and first is None:
            faults.add(
                f"{at}.language_from", f"must be one of {', '.join(_LANGUAGE_FROM[1:])} for rows of all languages"
            )
        if first is not None and language_from and language_from != first.language_from:
            faults.add(f"{at}.language_from", f"must be {first.language_from}, as in the source before it")
        if "language_column" in given and language_from != "column":
            faults.add(f"{at}.language_column", "goes with language_from: column")

    def _dataset(self, given: Mapping[str, Any], at: str, of_file: bool) -> str:
        dataset = self.faults.text(given, "dataset", at=at)
        if of_file and "dataset" not in given:
            return str(self.folder)
        if dataset and (dataset == LAB or not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", dataset) or ".." in dataset):
            where = "a folder below the data root" if of_file else "the id of a data set on the Hub"
            self.faults.add(f"{at}.dataset", f"{dataset!r} is not {where}")
        return dataset

    def _place(self, given: Mapping[str, Any], key: str, at: str, language_from: str) -> str:
        """Return a text in which ``{language}`` stands where, and only where, it tells the language."""
        text = self.faults.text(given, key, at=at)
        plain = text.replace("{language}", "")
        if "{" in plain or "}" in plain:
            self.faults.add(f"{at}.{key}", "only {language} may stand in braces")
        elif text and ("{language}" in text) != (language_from == "config"):
            self.faults.add(f"{at}.{key}", "{language} in it goes with language_from: config, and the other way round")
        return text

    def _file(self, given: Mapping[str, Any], at: str, language_from: str) -> str:
        file = self._place(given, "file", at, language_from)
        path = PurePosixPath(file)
        kinds = (*FILES, TAGGED_LINES) if self.form == "tagging" else FILES
        if file and (path.is_absolute() or ".." in path.parts or "\\" in file):
            self.faults.add(f"{at}.file", "must be a path below the folder of the task file, or below its dataset")
        elif file and path.suffix not in kinds:
            self.faults.add(f"{at}.file", f"'{file}' must end in one of {', '.join(kinds)}")
        return file

    def _columns(self, given: Any, at: str, language_from: str) -> dict[str, Column]:
        faults = self.faults
        fields = FORMAT_FIELDS.get(self.form, ())  # type: ignore[call-overload]
        if not isinstance(given, dict):
            if given is not None:
                faults.add(at, f"must be a mapping of {', '.join(fields)} to columns of the rows")
            return {}
        optional = ("id", "text_pair") if self.form == "classification" else ("id",)
        if self.form:
            needed = [name for name in fields if name not in optional]
            needed += ["id"] if language_from == "id" else []
            faults.keys(given, f"{at}.", tuple(dict.fromkeys(("id", *fields))), needed=needed)
        columns: dict[str, Column] = {}
        for name, column in given.items():
            if name == "choices" and isinstance(column, list) and all(isinstance(part, str) for part in column):
                columns[name] = tuple(column)
            elif not isinstance(column, str) or not column:
                faults.add(f"{at}.{name}", f"must be the name of a column, not {column!r}")
            elif name in ("label", "tags", "tokens", "answers") and not re.fullmatch(r"[^{}.]+", column):
                faults.add(f"{at}.{name}", f"must be one column, not {column!r}")
            elif re.sub(r"\{\w+\}", "", column).count("{") or re.sub(r"\{\w+\}", "", column).count("}"):
                faults.add(f"{at}.{name}", "in braces stand names of columns, such as {premise} {question}")
            else:
                columns[name] = column
        return columns

    def _revision(self, given: Mapping[str, Any], at: str) -> str | None:
        revision = self.faults.text(given, "revision", at=at)
        if revision and not re.fullmatch(r"[0-9a-f]{40}", revision):
            self.faults.add(f"{at}.revision", "must be a commit of the data set, 40 hex digits")
        return revision or None

    def _part(self, given: Mapping[str, Any], at: str) -> tuple[float, float]:
        part = given.get("part", [0.0, 1.0])
        numbers = isinstance(part, list) and len(part) == 2 and all(type(end) in (int, float) for end in part)
        if not numbers or not 0 <= part[0] < part[1] <= 1:
            self.faults.add(f"{at}.part", "must be two shares from 0 to 1, such as [0.0, 0.1]")
            return (0.0, 1.0)
        return (float(part[0]), float(part[1]))
