"""What ``compose`` and ``evaluate`` come to: scores by language, beside a baseline, and how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adapterstilts.evaluation.fusion_attention import Weight
from adapterstilts.evaluation.kept import Evaluation
from adapterstilts.models.grammar import parse
from adapterstilts.models.languages import LanguageAdapter
from adapterstilts.models.layers import layers_text
from adapterstilts.store.artifacts import Artifact
from adapterstilts.studies.comparison import Comparison, compare
from adapterstilts.tasks.spec import TaskSpec
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.stages import StageResult


@dataclass(frozen=True)
class Transfer:
    """The outcome of ``compose`` or ``evaluate``."""

    target: TaskSpec
    composition: str
    backbone: str
    split: str
    seeds: tuple[int, ...]
    compared: tuple[Sequence[Evaluation], Sequence[Evaluation]]
    """The evaluations of the compositions, one a seed, and those of their baselines, which may be none."""
    artifacts: tuple[Artifact, ...]
    """The compositions, one a seed."""
    baselines: tuple[Artifact, ...]
    evaluations: tuple[Artifact, ...]
    stages: tuple[dict[str, Any], ...]
    """What was trained, evaluated or reused, with the seconds each took."""
    skipped: Mapping[str, int]
    fused_on: str | None = None
    """``intermediate`` where the fusion was trained on the intermediate tasks, before there was a target."""
    attention: tuple[Weight, ...] | None = None
    """How much the fusion takes of each adapter, by language and layer, where that was asked for."""
    drop_layers: tuple[int, ...] = ()
    """The layers in which no adapter worked in the evaluation alone."""
    layers: Mapping[str, Any] | None = None
    """For retrieval, whose layers' vectors were compared, of composition and baseline, and what all layers scored."""
    language_adapters: Mapping[str, LanguageAdapter | None] | None = None
    """What lay at the bottom for each language, None for nothing; None for all where it is on no language adapter."""

    @cached_property
    def comparison(self) -> Comparison:
        """The compositions beside their baselines, language by language."""
        return compare(*self.compared)

    @property
    def same_training_data(self) -> tuple[str, ...]:
        """The intermediate tasks that train on rows on which the target trains, too: no other task for it."""
        if self.target.kind != "target":
            return ()
        tasks = get_suite(self.target.suite).tasks
        names = [name for name in parse(self.composition).names if name in tasks]
        return tuple(name for name in names if tasks[name].training_data & self.target.training_data)

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``compose --json`` and ``evaluate --json`` print (docs/schemas)."""
        adapters = {code: one and one.to_json() for code, one in (self.language_adapters or {}).items()}
        return {
            "suite": self.target.suite,
            "target": self.target.name,
            "composition": self.composition,
            "backbone": self.backbone,
            "split": self.split,
            **({"drop_layers": layers_text(self.drop_layers)} if self.drop_layers else {}),
            "seeds": list(self.seeds),
            **self.comparison.to_json(),
            "skipped": dict(self.skipped),
            "same_training_data": list(self.same_training_data),
            "artifact": self.artifacts[0].id,
            "artifacts": [artifact.id for artifact in self.artifacts],
            "baseline_artifacts": [artifact.id for artifact in self.baselines],
            "evaluations": [artifact.id for artifact in self.evaluations],
            "stages": list(self.stages),
            **({"fused_on": self.fused_on} if self.fused_on else {}),
            **({"layers": dict(self.layers)} if self.layers is not None else {}),
            **({"language_adapters": adapters} if self.language_adapters is not None else {}),
        }


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as documents tell it among the stages."""
    return StageResult(evaluation.artifact, evaluation.reused, evaluation.seconds).to_json()
