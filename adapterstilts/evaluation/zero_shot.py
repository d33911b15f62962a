"""Zero-shot evaluation: one trained composition, all languages of a task in one pass, predictions kept as files."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.candidates import Candidates
from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import Rows, load_rows
from adapterstilts.errors import ArtifactError
from adapterstilts.evaluation.inference import mean_logits, predict_by_language, predict_logits
from adapterstilts.evaluation.scoring import decoded, scores_of, statistics_by_language
from adapterstilts.evaluation.unanswerable import NO_ANSWER_THRESHOLD
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.models.expression import ENSEMBLE
from adapterstilts.models.languages import LanguageAdapter, own_language
from adapterstilts.models.layers import layers_text
from adapterstilts.models.saved import (
    check_labels,
    is_headless,
    load_backbone_of,
    load_composed,
    members_of,
    read_composition,
    trained_task,
)
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store, write_json, write_lines
from adapterstilts.store.promises import PlanningStore, Promise
from adapterstilts.tasks.formats import Answer, Encoded, EncodingSettings
from adapterstilts.tasks.spec import TaskSpec, base_suite
from adapterstilts.tasks.suites import get_suite

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


@dataclass(frozen=True)
class EvaluationRequest:
    """What shall be evaluated on what; the same for every artifact that is compared."""

    split: str | None = None
    """``validation`` or ``test``; None is the split that the task is scored on."""
    languages: tuple[str, ...] | None = None
    """Codes; None is all that the data source has."""
    root: Path | None = None
    max_examples: int | None = None
    """Seeded sample of at most so many rows a language."""
    sample_seed: int = 0
    batch_size: int = 32
    precision: str = "fp32"
    drop_layers: tuple[int, ...] = ()
    """Layers in which no adapter shall work, whatever was trained there."""

    def rows(self, task: TaskSpec, candidates: Candidates | None = None) -> Rows:
        """Load the rows to be answered; their candidates, too, unless they are given."""
        return load_rows(
            task,
            self.split or task.evaluation_split,
            self.languages,
            root=self.root,
            max_examples=self.max_examples,
            sample_seed=self.sample_seed,
            candidates=candidates,
        )


def task_of(artifact: Artifact, suite: str | None = None) -> TaskSpec:
    """Return the task whose head an artifact has.

    Args:
        artifact: of kind ``intermediate``, ``target`` or ``ensemble``.
        suite: the suite that the user named; None is the artifact's. What was trained in XTREME can be evaluated in
            the languages of XTREME-R, and the other way round.

    Raises:
        ArtifactError: it is no trained adapter or composition, or one of another suite.
        UnknownNameError: there is no such suite, or it does not have the task.
    """
    if artifact.kind not in ("intermediate", "target", ENSEMBLE):
        raise ArtifactError(
            f"Artifact '{artifact.id}' is of kind '{artifact.kind}'; only adapters and compositions can be evaluated."
        )
    if is_headless(artifact):
        raise ArtifactError(
            f"Artifact '{artifact.id}' came without a head that fits its task, and answers nothing by itself. Put it "
            f"under a target: `adapterstilts compose {artifact.manifest['task']} --target ... --use {artifact.id}`."
        )
    world = get_suite(artifact.suite if suite is None else suite)
    if base_suite(world.name) != base_suite(artifact.suite):
        raise ArtifactError(
            f"Artifact '{artifact.id}' is of the suite '{artifact.suite}', not of '{suite}'. Leave --suite out."
        )
    task = trained_task(artifact, world.name)
    return dataclasses.replace(task, labels=tuple(artifact.manifest["labels"])) if task.labels_file else task


def threshold_of(artifact: Artifact) -> float | None:
    """Return the threshold for no answer that an artifact's validation rows gave, None where it needs none."""
    threshold = artifact.manifest.get("metrics", {}).get("validation", {}).get(NO_ANSWER_THRESHOLD)
    return None if threshold is None else float(threshold)


def more_dropped(artifact: Artifact, layers: Sequence[int]) -> tuple[int, ...]:
    """Return those layers of the given ones in which an artifact has adapters."""
    members = members_of(artifact) if layers else ()
    own = frozenset.intersection(*(read_composition(member).left_out for member in members)) if members else ()
    return tuple(layer for layer in layers if layer not in own)


def encoding_settings(artifact: Artifact) -> EncodingSettings:
    """Return the lengths that an artifact was trained with."""
    settings = artifact.manifest["settings"]
    return EncodingSettings(max_length=settings["max_length"], doc_stride=settings["doc_stride"])


def answers_of(
    artifact: Artifact,
    rows: Rows,
    *,
    title: str,
    batch_size: int,
    precision: str,
    drop_layers: Sequence[int] = (),
    adapters: Mapping[str, LanguageAdapter | None] | None = None,
    backbone: str | None = None,
    home: Path | None = None,
    reporter: Reporter,
) -> tuple[list[Answer], Mapping[str, int]]:
    """Return an artifact's answers to rows, one a row, and what was counted when these were encoded.

    The members of an ensemble are loaded one after the other and answer the same features; their logits are averaged
    before they are decoded.

    Args:
        artifact: of kind ``intermediate``, ``target`` or ``ensemble``.
        rows: of the artifact's task.
        title: what the reporter is told that this is.
        batch_size, precision: as for ``predict_logits``.
        drop_layers: in which no adapter and no fusion works now.
        adapters: for a composition on a language adapter, or an ensemble of such, what takes its place, by code of the
            language of the rows; None leaves the one that it was trained on there for all.
        backbone: id or folder of the backbone, where it is no longer where the artifact says.
        home: folder of the store that keeps encoded rows; None keeps none.
        reporter: told of the progress.

    Raises:
        ArtifactError: it is not whole, or of another backbone.
    """
    settings, members = encoding_settings(artifact), members_of(artifact)
    encoded: Encoded | None = None

    def logits_of(number: int, member: Artifact) -> list[np.ndarray]:
        nonlocal encoded
        dropped = more_dropped(member, drop_layers)
        composed = load_composed(member, load_backbone_of(member, backbone), rows.task, drop_layers=dropped)
        composed.to_device()
        if encoded is None:
            encoded = encode_rows(rows, composed.backbone.tokenizer, settings, training=False, home=home)
            reporter.begin(title, len(encoded) * len(members))
        before = len(encoded) * number
        how: dict[str, Any] = {
            "batch_size": batch_size,
            "precision": precision,
            "progress": lambda done: reporter.advance(before + done),
        }
        if adapters is None:
            return predict_logits(composed, encoded, **how)
        return predict_by_language(composed, rows.table["language"][:], encoded, adapters, **how)

    def one_by_one() -> Iterator[list[np.ndarray]]:
        for number, member in enumerate(members):
            yield logits_of(number, member)
            gc.collect()  # a model that is done with holds itself in circles, and would stay beside the next one

    try:
        logits = mean_logits(one_by_one())
    finally:
        if encoded is not None:
            reporter.end()
    assert encoded is not None
    return decoded(rows, encoded, logits, settings, threshold_of(artifact)), encoded.report


def run_evaluation(
    artifact: Artifact,
    request: EvaluationRequest,
    store: Store,
    *,
    rows: Rows | None = None,
    backbone: str | None = None,
    adapters: Mapping[str, LanguageAdapter | None] | None = None,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Evaluate an artifact on rows of one or more languages, or return what was evaluated of the same before.

    Args:
        artifact: of kind ``intermediate``, ``target`` or ``ensemble``.
        request: rows and batch size.
        store: where predictions are kept.
        rows: the rows of ``request``, if they are loaded already.
        backbone: id or folder of the backbone, where it is no longer where the artifact says.
        adapters: for a composition on a language adapter, what takes its place, by code of the evaluated language; None
            for a language that is evaluated without one. Other artifacts are evaluated as they are.
        reporter: told of the progress.

    Raises:
        AdapterStiltsError: rows or artifact cannot be read or do not fit together.
    """
    reporter = reporter or Reporter()
    started = time.perf_counter()
    task = task_of(artifact) if rows is None else task_of(artifact, rows.task.suite)
    check_labels(artifact, task)
    rows = rows if rows is not None else request.rows(task)
    settings = encoding_settings(artifact)
    identity = {
        "version": FORMAT_VERSION,
        "kind": "evaluation",
        "artifact": artifact.fingerprint,
        "task": task.name,
        "metric": task.metric,
        "rows": rows.fingerprint,
        "encoding": dataclasses.asdict(settings),
        "precision": request.precision,
    }
    adapters = _adapters(artifact, rows, adapters)
    told: dict[str, Any] = {}
    if adapters is not None:
        identity["language_adapters"] = {code: one and one.fingerprint for code, one in adapters.items()}
        told["language_adapters"] = {code: one and one.language for code, one in adapters.items()}
    dropped = more_dropped(artifact, request.drop_layers)
    if dropped:
        identity["drop_layers"] = layers_text(dropped)
    key = fingerprint(identity)
    name = str(artifact.manifest["name"])
    found = kept_evaluation(store, key, rows, started, name=name, of=artifact.id)
    if found is not None:
        return found
    store.check_writable()
    answers, report = answers_of(
        artifact,
        rows,
        title=f"Evaluating {name} in {len(rows.languages)} languages",
        batch_size=request.batch_size,
        precision=request.precision,
        drop_layers=request.drop_layers,
        adapters=adapters,
        backbone=backbone,
        home=store.home,
        reporter=reporter,
    )
    more = {"of": artifact.id, "identity": identity, "encoding": dict(report), **told}
    return keep_evaluation(store, name, key, rows, answers, started, more)


def _adapters(
    artifact: Artifact, rows: Rows, given: Mapping[str, LanguageAdapter | None] | None
) -> Mapping[str, LanguageAdapter | None] | None:
    """Return the language adapter of each evaluated language; None where the artifact is on no language adapter."""
    if own_language(artifact) is None:
        return None
    if absent := [code for code in rows.languages if code not in (given or {})]:
        raise ArtifactError(
            f"Artifact '{artifact.id}' is on a language adapter, and nothing says which one takes its place for "
            f"{', '.join(absent)}."
        )
    return {code: (given or {})[code] for code in rows.languages}


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
    started: float,
    more: Mapping[str, Any],
) -> Evaluation:
    """Score answers, put them into the store and return the evaluation.

    Args:
        store, key, rows, started: as for ``kept_evaluation``.
        name: of what was evaluated.
        answers: one a row.
        more: what else the manifest shall say.
    """
    task = rows.task
    statistics = statistics_by_language(rows, [answer.value for answer in answers])
    seconds = time.perf_counter() - started
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
    return Evaluation(made, task, statistics, _examples(rows), rows.missing, False, time.perf_counter() - started)


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
