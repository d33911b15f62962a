"""Evaluations in the store: answers as files, the scores that they give, and what is promised of them before."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapterstilts.data.rows import Rows
from adapterstilts.evaluation.scoring import scores_of, statistics_by_language
from adapterstilts.store.artifacts import Artifact, Store, write_json, write_lines
from adapterstilts.store.promises import PlanningStore, Promise
from adapterstilts.tasks.formats import Answer
from adapterstilts.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import numpy as np

RESULTS = "results.json"


@dataclass(frozen=True)
class Evaluation:
    """Answers of one artifact to the rows of several languages, and what they score."""

    artifact: Artifact
    """Of kind ``evaluation``: predictions, scores, and what was evaluated."""
    task: TaskSpec
    statistics: dict[str, np.ndarray]
    """Additive statistics of the metric, (examples, statistics), by language."""
    examples: dict[str, tuple[str, ...]]
    """Ids of the rows, without the language, in the order of the statistics, by language."""
    missing: tuple[str, ...]
    """Languages of the task that the data source does not have."""
    reused: bool
    seconds: float

    def scores(self, language: str) -> dict[str, float]:
        """Return the scores (0-100) in a language, the main one first."""
        return scores_of(self.task.metric, self.statistics[language])


def kept_evaluation(store: Store, key: str, rows: Rows, started: float, *, name: str, of: str) -> Evaluation | None:
    """Return the evaluation that the store has under a fingerprint, None where it has none.

    A store that only plans promises it then: an evaluation without statistics, which can be compared with nothing.

    Args:
        store: where it is looked for.
        key: fingerprint of what was evaluated on what.
        rows: the rows that were answered.
        started: when this began, by ``time.perf_counter``.
        name: of what is evaluated.
        of: id of what is evaluated.
    """
    found = store.find(key)
    if found is None and isinstance(store, PlanningStore):
        promised = store.promise(_promise(key, rows, name, of))
        return Evaluation(promised, rows.task, {}, {}, rows.missing, False, 0.0)
    if found is None:
        return None
    statistics = statistics_by_language(rows, _read_answers(found, rows))
    return Evaluation(found, rows.task, statistics, _examples(rows), rows.missing, True, time.perf_counter() - started)


def _promise(key: str, rows: Rows, name: str, of: str) -> Promise:
    """Return an evaluation as far as it is known before anything is evaluated."""
    counted = {language: {"examples": len(rows.of_language(language))} for language in rows.languages}
    manifest = {"suite": rows.task.suite, "task": rows.task.name, "split": rows.split, "metrics": counted, "of": of}
    return Promise.of("evaluation", f"{name}.{rows.split}", key, manifest)


def keep_evaluation(
    store: Store,
    name: str,
    key: str,
    rows: Rows,
    answers: Sequence[Answer],
    seconds: float,
    more: Mapping[str, Any],
) -> Evaluation:
    """Score answers, put them into the store and return the evaluation.

    Args:
        store, key, rows: as for ``kept_evaluation``.
        name: of what was evaluated.
        answers: one a row.
        seconds: that they took.
        more: what else the manifest shall say.
    """
    task = rows.task
    started = time.perf_counter()
    statistics = statistics_by_language(rows, [answer.value for answer in answers])
    seconds += time.perf_counter() - started
    languages = {
        language: {"examples": len(table), **_rounded(scores_of(task.metric, table))}
        for language, table in statistics.items()
    }
    manifest = {
        "suite": task.suite,
        "task": task.name,
        "split": rows.split,
        "languages": list(rows.languages),
        "missing": list(rows.missing),
        "skipped": dict(rows.skipped),
        "metrics": languages,
        "resources": {
            "wall_seconds": round(seconds, 2),
            "examples_per_second": round(len(rows) / seconds, 2),
        },
        **more,
    }
    with store.create("evaluation", f"{name}.{rows.split}", key, manifest) as folder:
        write_json(folder / RESULTS, {"task": task.name, "split": rows.split, "languages": languages})
        ids = rows.table["id"][:]
        for language in rows.languages:
            records = [
                {"id": ids[position], "answer": answers[position].value, "score": answers[position].score}
                for position in rows.of_language(language)
            ]
            write_lines(folder / predictions_file(language), records)
    made = store.find(key)
    assert made is not None
    return Evaluation(made, task, statistics, _examples(rows), rows.missing, False, seconds)


def _examples(rows: Rows) -> dict[str, tuple[str, ...]]:
    ids = rows.table["id"][:]
    return {
        language: tuple(ids[position].removeprefix(f"{language}-") for position in rows.of_language(language))
        for language in rows.languages
    }


def predictions_file(language: str) -> str:
    """Return the name of the file of a language's predictions."""
    return f"predictions/{language}.jsonl"


def _read_answers(evaluation: Artifact, rows: Rows) -> Sequence[Any]:
    """Return kept answers in the order of the rows."""
    values: list[Any] = [None] * len(rows)
    for language in rows.languages:
        for position, record in zip(
            rows.of_language(language), evaluation.read_lines(predictions_file(language)), strict=True
        ):
            values[position] = record["answer"]
    return values


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in scores.items()}
