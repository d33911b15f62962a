"""One intermediate adapter that is trained on several tasks at once: a stage like any other."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from adapterstilts.errors import SettingsError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.models.backbone import load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.expression import Mix, Nothing
from adapterstilts.models.full import FULL, check_full
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.layers import leaving_out
from adapterstilts.models.saved import ADAPTER, MIXED, weights_file
from adapterstilts.models.shared import build_shared
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store, write_json, write_lines
from adapterstilts.store.promises import Promise
from adapterstilts.store.weights import save_weights
from adapterstilts.tasks.formats import FORMATS
from adapterstilts.training.resources import make_deterministic
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import CURVE, StageResult, TrainingStage, made_once
from adapterstilts.training.together import (
    SHARED,
    check_lengths,
    disagreement,
    joint_settings,
    joint_shares,
    planned_mixture,
    save_heads,
    train_together,
)


@dataclass(frozen=True)
class MixStage:
    """Training of one adapter on several intermediate tasks, with a head each.

    Raises:
        SettingsError: the tasks' settings cannot go together; names the setting and two tasks.
        ExpressionError: a task cannot be mixed with others, or the adapter does not fit its head.
    """

    expression: Mix
    parts: tuple[TrainingStage, ...]
    """For each task the stage that would train it alone: it has the rows and the settings. It is never run."""

    def __post_init__(self) -> None:
        assert tuple(part.task.name for part in self.parts) == self.expression.names
        if odd := disagreement(self.parts, SHARED):
            raise SettingsError(
                f"'{self.expression}' trains one adapter, and the recipes of its tasks want two: {odd}. Choose one "
                "with --adapter and --reduction-factor, or set it alike in the task files."
            )
        if any(part.settings.adapter == FULL for part in self.parts):
            check_full(self.expression)
        _ = self.compositions

    @property
    def backbone(self) -> BackboneIdentity:
        """The backbone that all is trained on."""
        return self.parts[0].backbone

    @cached_property
    def settings(self) -> TrainingSettings:
        """The settings of the whole training but for its steps, which are known once the rows are tokens."""
        return joint_settings(self.parts)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Configuration of the adapter."""
        config = adapter_config_json(self.settings.adapter, reduction_factor=self.settings.reduction_factor)
        return leaving_out(self.expression.adapter, config, self.settings.dropped)

    @cached_property
    def compositions(self) -> dict[str, Composition]:
        """The adapter with the head of each task, by the task's name."""
        name = self.expression.adapter
        heads = {part.task.name: FORMATS[part.task.format].head(part.task) for part in self.parts}
        return {task: Composition(Nothing(), name, head, {name: self.config}) for task, head in heads.items()}

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of the batches of each task: of the given weights, or of the numbers of training rows."""
        return joint_shares(self.expression, self.parts)

    def check_length(self, limit: int) -> None:
        """Compare the length of the tasks' inputs with what the backbone takes.

        Raises:
            SettingsError: those of a task are too long.
        """
        instead = (
            f"Leave the task out, or merge adapters that are trained apart: avg({', '.join(self.expression.names)})."
        )
        check_lengths(self.expression, self.parts, limit, instead)

    def identity(self) -> dict[str, Any]:
        """Return all that decides the result; its hash is the fingerprint."""
        return {
            "version": FORMAT_VERSION,
            "kind": MIXED,
            "expression": str(self.expression),
            "adapter": self.expression.adapter,
            "backbone": self.backbone.key,
            "parts": [part.identity() for part in self.parts],
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ``identity()``."""
        return fingerprint(self.identity())

    def known(self) -> dict[str, Any]:
        """Return what the manifest says that is known before anything is trained; the steps are not."""
        told = self.settings.to_json()
        return {
            "suite": self.parts[0].task.suite,
            "expression": str(self.expression),
            "tasks": list(self.expression.names),
            "backbone": dataclasses.asdict(self.backbone),
            "settings": {key: told[key] for key in (*SHARED, "learning_rate", "evaluations") if key in told},
            "inputs": [],
            "identity": self.identity(),
        }

    @property
    def adapter_json(self) -> dict[str, Any]:
        """Name and configuration of the adapter, and the head of each task."""
        heads = {task: dataclasses.asdict(composition.head) for task, composition in self.compositions.items()}
        return {"name": self.expression.adapter, "config": self.config, "heads": heads}

    def promise(self) -> Promise:
        """Return the artifact as far as it is known before anything is trained."""
        manifest = self.known() | planned_mixture(self.parts)
        return Promise.of(MIXED, str(self.expression), self.fingerprint, manifest, {ADAPTER: self.adapter_json})


def run_mix(stage: MixStage, store: Store, *, reporter: Reporter | None = None) -> StageResult:
    """Train an adapter on several tasks, or return what was trained of the same before.

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
        reporter.message(f"{name}: trained before, {result.artifact.path}")
    return result


def _train(stage: MixStage, store: Store, reporter: Reporter) -> None:
    make_deterministic()
    backbone = load_backbone(stage.backbone.id, stage.backbone.hub_revision)
    stage.check_length(backbone.max_length)
    whole, parts = build_shared(backbone, stage.compositions, seed=stage.settings.seed)
    curve, told = train_together(stage, whole, parts, backbone, store, reporter)
    known = stage.known()
    manifest = {
        **known,
        "settings": {**known["settings"], "steps": told.pop("steps")},
        **told,
    }
    with store.create(MIXED, str(stage.expression), stage.fingerprint, manifest) as folder:
        write_json(folder / ADAPTER, stage.adapter_json)
        part_name = f"adapters/{stage.expression.adapter}"
        save_weights(folder / weights_file(part_name), whole.state(part_name))
        save_heads(parts, folder)
        write_lines(folder / CURVE, curve)
