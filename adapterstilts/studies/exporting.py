"""Stored evaluations as a folder of predictions in the layout of the XTREME repository, checked to be complete.

The rows are loaded again: an evaluation is complete where it answered all of them, in all languages of its task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapterstilts.data.rows import load_rows
from adapterstilts.data.sources import load_split, root_of_suite
from adapterstilts.errors import ArtifactError, DataFormatError
from adapterstilts.evaluation.kept import predictions_file
from adapterstilts.evaluation.sentence_search import MINED
from adapterstilts.evaluation.submission_files import LanguageRows, folder_of, label_text, prediction_text
from adapterstilts.evaluation.submissions import file_name
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.home import check_new_folders, write_folders
from adapterstilts.studies.requests import Folder
from adapterstilts.tasks.catalogue.retrieval import BUCC_TRANSLATION_ID
from adapterstilts.tasks.spec import DEFAULT_SUITE, LAB, TaskSpec
from adapterstilts.tasks.suites import get_suite

TATOEBA_NOTE = (
    "tatoeba: a line is the row of the sentence found for an English one, in the order of the rows. XTREME's own test "
    "files have the English sentences in another order, so score it against labels written here."
)
MEWSLIX_NOTE = (
    "mewslix: a query is named by its language, split and row, from 0, since the data set has no ids. XTREME-R's own "
    "test files name it otherwise, so score it against labels written here."
)
_NOTES = {"tatoeba": TATOEBA_NOTE, "mewslix": MEWSLIX_NOTE}


@dataclass(frozen=True)
class ExportedTask:
    """What was written of one evaluation."""

    folder: str
    evaluation: str
    """Id of the evaluation."""
    of: str
    """Id of what was evaluated: an adapter, a composition, or a bare backbone."""
    rows: Mapping[str, int]
    """Lines, sentences or questions by language."""
    scores: Mapping[str, float]
    """Main score of our own evaluation by language, in percent."""
    lacks: tuple[str, ...]
    """What it is not about; empty where it is complete."""


@dataclass(frozen=True)
class Exported:
    """What was written where."""

    predictions: Path
    labels: Path | None
    tasks: tuple[ExportedTask, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``export --json`` prints (docs/schemas)."""
        return {
            "predictions": str(self.predictions),
            "labels": None if self.labels is None else str(self.labels),
            "complete": not any(task.lacks for task in self.tasks),
            "tasks": {
                task.folder: {
                    "evaluation": task.evaluation,
                    "of": task.of,
                    "files": [file_name(task.folder, code) for code in task.rows],
                    "rows": dict(task.rows),
                    "scores": dict(task.scores),
                    "lacks": list(task.lacks),
                }
                for task in self.tasks
            },
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Evaluated:
    """An evaluation, with the rows it is about."""

    artifact: Artifact
    task: TaskSpec
    folder: str
    languages: Mapping[str, tuple[LanguageRows, Sequence[Any]]]
    """Rows and answers by language."""
    lacks: tuple[str, ...]


def export(
    artifacts: Sequence[str],
    to: Folder,
    *,
    labels: Folder | None = None,
    partial: bool = False,
    data_root: Folder | None = None,
    store: Folder | None = None,
    reporter: Reporter | None = None,
) -> Exported:
    """Write stored evaluations as XTREME's prediction folders, one a task.

    Args:
        artifacts: ids (or beginnings) of evaluations, or of adapters and compositions whose evaluations are taken.
        to: new or empty folder.
        labels: another one for the right answers to the same rows; None writes none.
        partial: also write evaluations of a sample, or of some of the languages.
        data_root, store, reporter: as for ``compose``; the rows have to be those that were evaluated.

    Raises:
        ArtifactError: no such artifact, no evaluation of it, two of one task, one that is not complete, or one of a
            task that XTREME's layout does not have. Everything that is lacking is told at once.
        SettingsError: a folder exists and is not empty, or cannot be written.
    """
    reporter = reporter or Reporter()
    said = Path(to).expanduser()
    right = None if labels is None else Path(labels).expanduser()
    folders = [said] if right is None else [said, right]
    check_new_folders(folders)
    kept = Store(store)
    chosen = _one_a_task([evaluation for name in artifacts for evaluation in _evaluations(kept, name)])
    done = []
    for artifact, task, folder in chosen:
        reporter.message(f"{folder}: {artifact.id}")
        done.append(_read(artifact, task, folder, root_of_suite(task.suite, data_root)))
    if not partial and any(one.lacks for one in done):
        told = "\n".join(f"- {one.folder} ({one.artifact.id}): {text}" for one in done for text in one.lacks)
        raise ArtifactError(
            f"Not complete:\n{told}\nEvaluate all rows in all languages (`adapterstilts evaluate ID`), or give "
            "--partial to write what there is."
        )
    contents = {said: {file_name(one.folder, code): prediction_text(*of) for one, code, of in _files(done)}}
    if right is not None:
        contents[right] = {file_name(one.folder, code): label_text(rows) for one, code, (rows, _) in _files(done)}
    write_folders(contents)
    return Exported(
        said,
        right,
        tuple(_told(one) for one in done),
        tuple(_NOTES[one.folder] for one in done if one.folder in _NOTES),
    )


def _files(done: Sequence[_Evaluated]) -> list[tuple[_Evaluated, str, tuple[LanguageRows, Sequence[Any]]]]:
    return [(one, code, of) for one in done for code, of in one.languages.items()]


def _told(one: _Evaluated) -> ExportedTask:
    scores = {
        code: next(value for name, value in metrics.items() if name != "examples")
        for code, metrics in one.artifact.manifest["metrics"].items()
    }
    rows = {code: len(answers) for code, (_, answers) in one.languages.items()}
    return ExportedTask(one.folder, one.artifact.id, str(one.artifact.manifest["of"]), rows, scores, one.lacks)


def _evaluations(store: Store, name: str) -> list[Artifact]:
    """Return the evaluation that a name stands for, or those of the adapter it stands for, the largest of each task.

    Raises:
        ArtifactError: there is none, or several are as large.
    """
    found = store.get(name)
    if found.kind == "evaluation":
        return [found]

    def fits(item: Artifact) -> bool:
        whole = "drop_layers" not in item.manifest.get("identity", {})
        return whole and item.manifest.get("of") == found.id and item.manifest.get("split") == "test"

    by_task: dict[str, list[Artifact]] = {}
    for evaluation in store.all("evaluation", fits):
        by_task.setdefault(str(evaluation.manifest["task"]), []).append(evaluation)
    if not by_task:
        raise ArtifactError(
            f"'{found.id}' has no evaluation of test rows in {store.home}. Make one with `adapterstilts evaluate "
            f"{found.id}`, or name an evaluation (`adapterstilts runs --kind evaluation`)."
        )
    largest = []
    for task, candidates in by_task.items():
        sizes = [sum(scores["examples"] for scores in item.manifest["metrics"].values()) for item in candidates]
        best = [item for item, size in zip(candidates, sizes, strict=True) if size == max(sizes)]
        if len(best) > 1:
            raise ArtifactError(
                f"'{found.id}' has several evaluations of '{task}': {', '.join(item.id for item in best)}. Name one."
            )
        largest += best
    return largest


def _one_a_task(evaluations: Sequence[Artifact]) -> list[tuple[Artifact, TaskSpec, str]]:
    """Return each evaluation with its task and the name of its folder.

    Raises:
        ArtifactError: two are of the same task, one is not of test rows, or of a task that the layout does not have.
    """
    by_folder: dict[str, tuple[Artifact, TaskSpec, str]] = {}
    for artifact in {evaluation.id: evaluation for evaluation in evaluations}.values():
        name = str(artifact.manifest["task"])
        task = get_suite(artifact.suite).tasks.get(name) if artifact.suite != LAB else None
        folder = None if task is None else folder_of(task)
        if task is None or folder is None:
            suite = "" if artifact.suite == DEFAULT_SUITE else f" of the suite '{artifact.suite}'"
            raise ArtifactError(f"'{artifact.id}' is of the task '{name}'{suite}, which XTREME's layout does not have.")
        if artifact.manifest["split"] != "test":
            raise ArtifactError(
                f"'{artifact.id}' is of {artifact.manifest['split']} rows; XTREME's files are about test rows."
            )
        if folder in by_folder:
            raise ArtifactError(
                f"'{by_folder[folder][0].id}' and '{artifact.id}' are both of the task '{name}'. Name one a task."
            )
        by_folder[folder] = (artifact, task, folder)
    return list(by_folder.values())


def _read(artifact: Artifact, task: TaskSpec, folder: str, root: Path | None) -> _Evaluated:
    """Put the answers of an evaluation beside their rows, and say what it is not about.

    Raises:
        ArtifactError: it answered other rows than there are now.
    """
    codes = tuple(artifact.manifest["languages"])
    rows = load_rows(task, "test", codes, root=root)
    lacks = []
    if absent := [code for code in task.languages if code not in codes]:
        lacks.append(f"no rows in {', '.join(absent)}")
    of_language: dict[str, tuple[list[int], list[int], list[Any]]] = {}
    samples = []
    for code in codes:
        places = rows.of_language(code)
        numbers = {row_id: number for number, row_id in enumerate(rows.table.select(places)["id"])}
        records = artifact.read_lines(predictions_file(code))
        if not {record["id"] for record in records} <= set(numbers):
            raise _other_rows(artifact)
        chosen = [numbers[record["id"]] for record in records]
        if len(records) == len(places):
            chosen = list(range(len(places)))  # ids may stand in several rows
        else:
            samples.append(f"{len(records)} of {len(places)} rows in {code}")
        of_language[code] = ([places[number] for number in chosen], chosen, [record["answer"] for record in records])
    answered = [place for places, _, _ in of_language.values() for place in places]
    if replace(rows, table=rows.table.select(answered)).fingerprint != artifact.manifest["identity"]["rows"]:
        raise _other_rows(artifact)
    if samples:
        lacks.append(f"a sample: {', '.join(samples)}")
    if rows.skipped:
        counted = ", ".join(f"{count} ({reason})" for reason, count in rows.skipped.items())
        lacks.append(f"rows that cannot be scored were left out: {counted}")
    languages = {
        code: (LanguageRows(task, rows.table.select(places), numbers, _translation_ids(task, code, root)), answers)
        for code, (places, numbers, answers) in of_language.items()
    }
    return _Evaluated(artifact, task, folder, languages, tuple(lacks))


def _other_rows(artifact: Artifact) -> ArtifactError:
    return ArtifactError(
        f"The rows of '{artifact.manifest['task']}' are not those that '{artifact.id}' answered. Give the --data-root "
        "of the evaluation, or evaluate again."
    )


def _translation_ids(task: TaskSpec, code: str, root: Path | None) -> Mapping[str, str]:
    """Return the id of each row's translation, for tasks whose pairs are mined."""
    if task.metric not in MINED:
        return {}
    source = task.source("test")
    raw = load_split(source, code, root)
    names = str(source.columns["id"]), BUCC_TRANSLATION_ID
    if absent := [name for name in names if name not in raw.column_names]:
        raise DataFormatError(f"'{source.dataset}' ({source.config_for(code)}) has no ids in {', '.join(absent)}.")
    return dict(zip(*(raw[name][:] for name in names), strict=True))
