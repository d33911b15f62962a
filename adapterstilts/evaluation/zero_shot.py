"""Zero-shot evaluation: one trained composition, all languages of a task in one pass, predictions kept as files."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from adapterstilts.data.candidates import Candidates
from adapterstilts.data.rows import Rows, load_rows
from adapterstilts.errors import ArtifactError
from adapterstilts.evaluation.answering import Answered, answers_of, encoding_settings, more_dropped, passes
from adapterstilts.evaluation.kept import Evaluation, keep_evaluation, kept_evaluation
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.models.expression import ENSEMBLE
from adapterstilts.models.languages import LanguageAdapter, own_language
from adapterstilts.models.layers import layers_text
from adapterstilts.models.saved import check_labels, is_headless, trained_task
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.spec import TaskSpec, base_suite
from adapterstilts.tasks.suites import get_suite


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
        artifact, request, store, backbone, reporter: as for ``run_evaluations``.
        rows: the rows of ``request``, if they are loaded already.
        adapters: for a composition on a language adapter, what takes its place, by code of the evaluated language; None
            for a language that is evaluated without one. Other artifacts are evaluated as they are.

    Raises:
        AdapterStiltsError: rows or artifact cannot be read or do not fit together.
    """
    if rows is None:
        task = task_of(artifact)
        check_labels(artifact, task)  # before the rows are read
        rows = request.rows(task)
    given = {artifact.id: adapters} if adapters is not None else None
    (made,) = run_evaluations(
        [artifact], request, store, rows=rows, backbone=backbone, adapters=given, reporter=reporter
    )
    return made


def run_evaluations(
    artifacts: Sequence[Artifact],
    request: EvaluationRequest,
    store: Store,
    *,
    rows: Rows,
    backbone: str | None = None,
    adapters: Mapping[str, Mapping[str, LanguageAdapter | None] | None] | None = None,
    reporter: Reporter | None = None,
) -> list[Evaluation]:
    """Evaluate artifacts on the same rows, or return what was evaluated of the same before.

    What is not adapted is the same for all of them: neighbours without adapters in the lowest layers go through these
    in one pass.

    Args:
        artifacts: of kind ``intermediate``, ``target`` or ``ensemble``, of one task.
        request: rows and batch size.
        store: where predictions are kept.
        rows: the rows of ``request``.
        backbone: id or folder of the backbone, where it is no longer where the artifacts say.
        adapters: by id of an artifact on a language adapter, as for ``run_evaluation``.
        reporter: told of the progress.

    Returns:
        the evaluations, in the order of the artifacts.

    Raises:
        AdapterStiltsError: rows or an artifact cannot be read or do not fit together. What was finished is kept.
    """
    reporter = reporter or Reporter()
    asked = [Asked.of(artifact, request, rows, (adapters or {}).get(artifact.id)) for artifact in artifacts]
    found: dict[str, Evaluation] = {}
    for one in asked:
        started = time.perf_counter()
        check_labels(one.artifact, task_of(one.artifact, rows.task.suite))
        kept = kept_evaluation(store, one.key, rows, started, name=one.name, of=one.artifact.id)
        if kept is not None:
            found[one.key] = kept
    lacking = {one.artifact.id: one for one in asked if one.key not in found}
    if lacking:
        store.check_writable()
    for group in passes([one.artifact for one in lacking.values()], request.drop_layers):
        own = [lacking[artifact.id] for artifact in group]
        what = own[0].name if len(own) == 1 else f"{len(own)} compositions"
        answered = answers_of(
            group,
            rows,
            title=f"Evaluating {what} in {len(rows.languages)} languages",
            batch_size=request.batch_size,
            precision=request.precision,
            drop_layers=request.drop_layers,
            adapters=own[0].adapters,
            backbone=backbone,
            home=store.home,
            reporter=reporter,
        )
        for one, result in zip(own, answered, strict=True):
            found[one.key] = one.keep(store, rows, result)
    return [found[one.key] for one in asked]


@dataclass(frozen=True)
class Asked:
    """An artifact that shall be evaluated, and what tells this evaluation from others."""

    artifact: Artifact
    identity: Mapping[str, Any]
    adapters: Mapping[str, LanguageAdapter | None] | None
    """For each evaluated language; None where the artifact is on no language adapter."""

    @classmethod
    def of(
        cls,
        artifact: Artifact,
        request: EvaluationRequest,
        rows: Rows,
        given: Mapping[str, LanguageAdapter | None] | None,
    ) -> Asked:
        """Return what is asked of an artifact.

        Raises:
            ArtifactError: it is on a language adapter, and nothing takes its place for a language.
        """
        identity: dict[str, Any] = {
            "version": FORMAT_VERSION,
            "kind": "evaluation",
            "artifact": artifact.fingerprint,
            "task": rows.task.name,
            "metric": rows.task.metric,
            "rows": rows.fingerprint,
            "encoding": dataclasses.asdict(encoding_settings(artifact)),
            "precision": request.precision,
        }
        adapters = _adapters(artifact, rows, given)
        if adapters is not None:
            identity["language_adapters"] = {code: one and one.fingerprint for code, one in adapters.items()}
        if dropped := more_dropped(artifact, request.drop_layers):
            identity["drop_layers"] = layers_text(dropped)
        return cls(artifact, identity, adapters)

    @cached_property
    def key(self) -> str:
        """Its fingerprint."""
        return fingerprint(self.identity)

    @property
    def name(self) -> str:
        """What the artifact is called."""
        return str(self.artifact.manifest["name"])

    def keep(self, store: Store, rows: Rows, answered: Answered) -> Evaluation:
        """Score what was answered, and put it into the store."""
        more: dict[str, Any] = {
            "of": self.artifact.id,
            "identity": self.identity,
            "encoding": dict(answered.report),
        }
        if self.adapters is not None:
            more["language_adapters"] = {code: one and one.language for code, one in self.adapters.items()}
        if answered.together > 1:
            more["evaluated_together"] = answered.together
        return keep_evaluation(store, self.name, self.key, rows, answered.answers, answered.seconds, more)


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
