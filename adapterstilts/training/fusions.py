"""A fusion that is trained on the intermediate tasks themselves: a stage like any other, with a head a task.

AdapterFusion as published learns its fusion on the target's rows (Pfeiffer et al. 2021,
https://arxiv.org/abs/2005.00247); what is made here knows no target, so that one training serves many of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from adapterstilts.errors import SettingsError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.models.backbone import load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import check_fusible, fusion_config_json
from adapterstilts.models.expression import Fusion, Mix, reduced
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.saved import FUSED, FUSION, load_part, read_adapter, weights_file
from adapterstilts.models.shared import build_shared
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store, write_json, write_lines
from adapterstilts.store.promises import Promise
from adapterstilts.store.weights import save_weights
from adapterstilts.tasks.formats import FORMATS
from adapterstilts.training import together
from adapterstilts.training.resources import make_deterministic
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import CURVE, StageResult, TrainingStage, made_once

#: Settings of adapters.
SHAPE = ("adapter", "reduction_factor", "drop_layers")
#: Settings of which a fusion has one each; the adapters' own are those that they were trained with.
SHARED = (*(name for name in together.SHARED if name not in SHAPE), "fusion_dropout")


@dataclass(frozen=True)
class FusionStage:
    """Training of the fusion of frozen intermediate adapters on all their tasks at once.

    Raises:
        SettingsError: the tasks' settings cannot go together; names the setting and two tasks.
        ExpressionError: a task cannot be mixed with others, or the adapters cannot be fused.
        BackboneError: an adapter is of another backbone.
    """

    expression: Fusion
    parts: tuple[TrainingStage, ...]
    """For each task the stage that would train it alone: it has the rows and the settings. It is never run."""
    inputs: tuple[Artifact, ...]
    """The adapters, in the order of the expression."""

    def __post_init__(self) -> None:
        check_tasks(self.expression, self.parts)
        for artifact in self.inputs:
            self.backbone.require_same(artifact.manifest["backbone"], what=f"The adapter '{artifact.id}'")
        _ = self.compositions

    @property
    def backbone(self) -> BackboneIdentity:
        """The backbone that all is trained on."""
        return self.parts[0].backbone

    @property
    def mixture(self) -> Mix:
        """Which tasks the batches come from: all that the expression names, in proportion to their training rows."""
        return Mix(self.expression.names)

    @cached_property
    def settings(self) -> TrainingSettings:
        """The settings of the whole training but for its steps, which are known once the rows are tokens."""
        return together.joint_settings(self.parts)

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of the batches of each task."""
        return together.joint_shares(self.mixture, self.parts)

    @cached_property
    def compositions(self) -> dict[str, Composition]:
        """The fusion with the head of each task, by the task's name."""
        below = reduced(self.expression)
        adapters = dict(map(read_adapter, self.inputs))
        assert tuple(adapters) == below.names
        check_fusible(adapters, None)
        heads = {part.task.name: FORMATS[part.task.format].head(part.task) for part in self.parts}
        return {task: Composition(below, None, head, adapters, fusion_config_json()) for task, head in heads.items()}

    def identity(self) -> dict[str, Any]:
        """Return all that decides the result; its hash is the fingerprint."""
        return {
            "version": FORMAT_VERSION,
            "kind": FUSED,
            "expression": str(self.expression),
            "mixture": str(self.mixture),
            "fusion": fusion_config_json(),
            "fusion_dropout": self.settings.fusion_dropout,
            "backbone": self.backbone.key,
            "inputs": [artifact.fingerprint for artifact in self.inputs],
            "parts": [part.identity() for part in self.parts],
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ``identity()``."""
        return fingerprint(self.identity())

    def known(self) -> dict[str, Any]:
        """Return what the manifest says that is known before anything is trained; the steps are not."""
        kept = {key: getattr(self.settings, key) for key in (*SHARED, "learning_rate", "evaluations")}
        return {
            "suite": self.parts[0].task.suite,
            "expression": str(self.expression),
            "tasks": list(self.expression.names),
            "backbone": dataclasses.asdict(self.backbone),
            "settings": {"adapter": None, "reduction_factor": None, **kept},
            "inputs": [artifact.id for artifact in self.inputs],
            "identity": self.identity(),
        }

    @property
    def fusion_json(self) -> dict[str, Any]:
        """The composition without anything on top, and the head of each task."""
        heads = {task: dataclasses.asdict(each.head) for task, each in self.compositions.items()}
        whole = next(iter(self.compositions.values())).to_json()
        return {**{key: value for key, value in whole.items() if key not in ("top", "head")}, "heads": heads}

    def promise(self) -> Promise:
        """Return the artifact as far as it is known before anything is trained."""
        manifest = self.known() | together.planned_mixture(self.parts)
        return Promise.of(FUSED, str(self.expression), self.fingerprint, manifest, {FUSION: self.fusion_json})


def check_tasks(expression: Fusion, parts: Sequence[TrainingStage]) -> None:
    """Refuse intermediate tasks that a fusion cannot be trained on at once.

    Raises:
        ExpressionError, SettingsError: as for ``FusionStage``.
    """
    assert tuple(part.task.name for part in parts) == expression.names
    together.check_scores(expression, parts, "Let the target learn the fusion: --fuse-on target.")
    if odd := together.disagreement(parts, SHARED):
        raise SettingsError(
            f"'{expression}' is trained on its tasks as one, and their recipes want two things: {odd}. Set it alike in "
            "the task files, or let the target learn the fusion: --fuse-on target."
        )


def check_lengths(expression: Fusion, parts: Sequence[TrainingStage], limit: int) -> None:
    """Compare the length of the tasks' inputs with what the backbone takes.

    Raises:
        SettingsError: those of a task are too long.
    """
    instead = "Leave the task out, or let the target learn the fusion: --fuse-on target."
    together.check_lengths(expression, parts, limit, instead)


def run_fusion(stage: FusionStage, store: Store, *, reporter: Reporter | None = None) -> StageResult:
    """Train a fusion on its intermediate tasks, or return what was trained of the same before.

    Args:
        stage: what to train.
        store: where artifacts are kept.
        reporter: told of the progress.

    Raises:
        AdapterStiltsError: the stage cannot be trained; nothing is stored then.
    """
    reporter = reporter or Reporter()
    name = str(stage.expression)
    make = partial(_train, stage, store, reporter)
    result = made_once(store, stage.fingerprint, name, make, reporter, promise=stage.promise)
    if result.reused:
        reporter.message(f"{name}: fused before, {result.artifact.path}")
    return result


def _train(stage: FusionStage, store: Store, reporter: Reporter) -> None:
    make_deterministic()
    settings = stage.settings
    backbone = load_backbone(stage.backbone.id, stage.backbone.hub_revision)
    check_lengths(stage.expression, stage.parts, backbone.max_length)
    whole, parts = build_shared(
        backbone, stage.compositions, seed=settings.seed, fusion_dropout=settings.fusion_dropout
    )
    composition = whole.composition
    for name, artifact in zip(composition.expression.names, stage.inputs, strict=True):
        load_part(whole, f"adapters/{name}", artifact)
    curve, told = together.train_together(stage, whole, parts, backbone, store, reporter)
    known = stage.known()
    manifest = {**known, "settings": {**known["settings"], "steps": told.pop("steps")}, **told}
    with store.create(FUSED, str(stage.expression), stage.fingerprint, manifest) as folder:
        write_json(folder / FUSION, stage.fusion_json)
        for part in composition.parts:
            if part != "head":
                save_weights(folder / weights_file(part), whole.state(part))
        together.save_heads(parts, folder)
        write_lines(folder / CURVE, curve)
