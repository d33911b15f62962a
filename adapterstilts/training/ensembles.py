"""Ensembles: an artifact that names trained target adapters whose answers are averaged; it holds no weights."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from adapterstilts.errors import ArtifactError, ExpressionError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.models.expression import ENSEMBLE, Ensemble, Expression
from adapterstilts.models.languages import IN_MANIFEST
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.promises import Promise
from adapterstilts.tasks.spec import TaskSpec
from adapterstilts.training.resources import versions
from adapterstilts.training.stages import StageResult, baseline_of, made_once


def check_ensemble(expression: Expression, task: TaskSpec) -> None:
    """Refuse an ensemble for a task whose questions may have no answer.

    When to give none is decided by a threshold that belongs to the logits of one model.

    Raises:
        ExpressionError: names the parts, each of which can be composed.
    """
    if isinstance(expression, Ensemble) and task.unanswerable:
        raise ExpressionError(
            f"'{expression}' averages logits, and questions of '{task.name}' may have no answer, for which each model "
            f"has a threshold of its own. Compose one: {' or '.join(repr(str(part)) for part in expression.parts)}."
        )


@dataclass(frozen=True)
class EnsembleStage:
    """The mean of what several target adapters answer, which differ in nothing but what they were trained on.

    Raises:
        ArtifactError: they differ in more: in task, rows, settings or backbone.
    """

    expression: Ensemble
    members: tuple[Artifact, ...]
    """Of kind ``target``, one a part of the expression."""

    def __post_init__(self) -> None:
        first, *others = self.members
        for other in others:
            if baseline_of(other) != baseline_of(first):
                raise ArtifactError(
                    f"'{first.id}' and '{other.id}' differ in more than what they were trained on: in task, rows, "
                    "settings or backbone. An ensemble is made of adapters that have these in common."
                )

    @property
    def name(self) -> str:
        return f"{self.members[0].manifest['task']}.{self.expression}"

    def identity(self) -> dict[str, Any]:
        """Return all that decides the result, which the order of the members does not; its hash is the fingerprint."""
        return {
            "version": FORMAT_VERSION,
            "kind": ENSEMBLE,
            "task": self.members[0].manifest["identity"]["task"],
            "baseline": baseline_of(self.members[0]),
            "members": sorted(artifact.fingerprint for artifact in self.members),
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ``identity()``."""
        return fingerprint(self.identity())

    def known(self) -> dict[str, Any]:
        """Return what the manifest says that is known before the members are trained."""
        first = self.members[0].manifest
        return {
            "suite": self.members[0].suite,
            "task": first["task"],
            "expression": str(self.expression),
            "labels": first["labels"],
            "backbone": first["backbone"],
            "settings": first["settings"],
            "inputs": [artifact.id for artifact in self.members],
            **({IN_MANIFEST: first[IN_MANIFEST]} if IN_MANIFEST in first else {}),
            "identity": self.identity(),
        }

    def promise(self) -> Promise:
        """Return the artifact as far as it is known before the members are trained."""
        return Promise.of(ENSEMBLE, self.name, self.fingerprint, self.known())


def run_ensemble(stage: EnsembleStage, store: Store, *, reporter: Reporter | None = None) -> StageResult:
    """Put an ensemble into the store, or return the one of the same members that is there.

    Args:
        stage: what to make.
        store: where the members are, too.
        reporter: told of the progress.
    """
    make = partial(_make, stage, store)
    return made_once(store, stage.fingerprint, stage.name, make, reporter or Reporter(), promise=stage.promise)


def _make(stage: EnsembleStage, store: Store) -> None:
    started = time.perf_counter()
    trained = sum(artifact.manifest["resources"]["trained_parameters"] for artifact in stage.members)
    manifest = {
        **stage.known(),
        "resources": {"wall_seconds": round(time.perf_counter() - started, 2), "trained_parameters": trained},
        "versions": versions(),
    }
    with store.create(ENSEMBLE, stage.name, stage.fingerprint, manifest):
        pass  # its members hold the weights
