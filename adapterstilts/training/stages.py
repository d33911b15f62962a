"""A stage is a pure function of its settings and its inputs; the store finds what was made of the same before."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.files import with_labels
from adapterstilts.data.rows import Rows, load_rows
from adapterstilts.errors import ArtifactError, SettingsError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.models.backbone import ComposedModel, build, load_backbone
from adapterstilts.models.composition import BOTTOM, Composition
from adapterstilts.models.configs import adapter_config_json, check_fusible, fusion_config_json
from adapterstilts.models.expression import ENSEMBLE, Chain, Expression, Fusion, Nothing, reduced
from adapterstilts.models.full import FULL, check_alike, check_full
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.languages import language_json, put_on_language
from adapterstilts.models.layers import check_layers, leaving_out
from adapterstilts.models.options import SEARCH
from adapterstilts.models.saved import (
    COMPOSITION,
    FUSED,
    check_labels,
    load_part,
    load_start,
    read_adapter,
    read_fusion,
    save_composed,
    trained_task,
)
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store, write_lines
from adapterstilts.store.home import check_room, checkpoints_of
from adapterstilts.store.promises import PlanningStore, Promise
from adapterstilts.tasks.formats import FORMATS
from adapterstilts.tasks.spec import DEFAULT_SUITE, TaskSpec, base_suite
from adapterstilts.training.checkpoints import Checkpoints
from adapterstilts.training.resources import make_deterministic, resources, versions
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stage_rows import data_json, encoded_rows, scores_now, states_below

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

CURVE = "curve.jsonl"
FROZEN = "fused"
"""What the name of a composition ends in whose fusion was trained on the intermediate tasks."""


@dataclass(frozen=True)
class TrainingStage:
    """One training run: an intermediate adapter, or a target adapter on top of intermediate ones."""

    task: TaskSpec
    settings: TrainingSettings
    backbone: BackboneIdentity
    expression: Expression = field(default_factory=Nothing)
    inputs: tuple[Artifact, ...] = ()
    """The adapters that the target's is put on, in the order of the expression, or the one that it starts from.

    A single artifact of kind ``fusion`` has them all with a fusion that stays as it is."""
    root: Path | None = None
    """Local mirror of the Hub."""
    language: Artifact | None = None
    """The adapter of the source language, if the target's shall be trained on top of it (of kind ``language``)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", with_labels(self.task, self.root))

    @property
    def kind(self) -> str:
        return self.task.kind

    @property
    def name(self) -> str:
        if self.kind == "intermediate":
            return self.task.name
        if self.kind == "language":
            return f"{self.task.name}.{self.task.source_language}"
        return f"{self.task.name}.{self.expression}{f'.{FROZEN}' if self.on_fusion else ''}"

    @property
    def on_fusion(self) -> bool:
        """Whether the target adapter is put on a fusion that was trained before on the intermediate tasks."""
        return [artifact.kind for artifact in self.inputs] == [FUSED]

    @cached_property
    def train_rows(self) -> Rows:
        """Training rows in the source language, after sampling."""
        return self._rows("train", self.settings.max_train_examples)

    @cached_property
    def validation_rows(self) -> Rows:
        """Rows in the source language that choose the checkpoint."""
        return self._rows("validation", self.settings.max_validation_examples)

    def _rows(self, split: str, limit: int | None) -> Rows:
        source, seed = [self.task.source_language], self.settings.sample_seed
        return load_rows(self.task, split, source, root=self.root, max_examples=limit, sample_seed=seed)

    @cached_property
    def composition(self) -> Composition:
        """What is built on the backbone.

        Raises:
            ExpressionError: the adapters cannot be put together; names the rule.
        """
        own = adapter_config_json(self.settings.adapter, reduction_factor=self.settings.reduction_factor)
        head = FORMATS[self.task.format].head(self.task)
        dropped, full = self.settings.dropped, self.settings.adapter == FULL
        if full:
            check_full(self.expression)
        below = reduced(self.expression)
        own = own if isinstance(self.expression, Chain) else leaving_out(self.task.name, own, dropped)
        if self.on_fusion:
            fused, configs, frozen = read_fusion(self.inputs[0])
            if fused != below:
                raise ArtifactError(f"'{self.expression}' needs another fusion than '{self.inputs[0].id}', '{fused}'.")
            check_fusible(configs, own)
            adapters = configs | {self.task.name: own}
            return self._on_language(Composition(below, self.task.name, head, adapters, frozen, True))
        wanted = ("the start",) if isinstance(self.expression, Chain) else below.names
        if len(wanted) != len(self.inputs):
            raise ArtifactError(f"'{self.expression}' needs an artifact for {', '.join(wanted) or 'nothing'}.")
        given = [read_adapter(artifact) for artifact in self.inputs]
        for name, config in given:
            check_alike(name, config, full=full)
        if isinstance(self.expression, Chain):
            own = leaving_out(self.task.name, given.pop()[1], dropped)
        if odd := [name for (name, _), place in zip(given, wanted, strict=False) if name != place]:
            raise ArtifactError(f"The artifact of the adapter '{odd[0]}' is none of '{self.expression}'.")
        given = [(name, leaving_out(name, config, dropped)) for name, config in given]
        fusion = None
        if isinstance(below, Fusion):
            check_fusible(dict(given), own)
            fusion = fusion_config_json()
        return self._on_language(Composition(below, self.task.name, head, dict(given) | {self.task.name: own}, fusion))

    def _on_language(self, composition: Composition) -> Composition:
        """Return a composition on the stage's language adapter, if it has one."""
        if self.language is None:
            return composition
        return put_on_language(composition, read_adapter(self.language)[1], self.settings.dropped)

    def identity(self, expression: Expression | None = None, inputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Return all that decides the result; its hash is the stage's fingerprint.

        Args:
            expression: another expression in the place of the stage's own, as for its baseline.
            inputs: fingerprints of that expression's adapters.
        """
        chosen = self.expression if expression is None else expression
        settings = self.settings.to_json()
        if not isinstance(chosen, Fusion):
            settings["fusion_dropout"] = None  # has no effect without a fusion
        suite = base_suite(self.task.suite)  # what trains on the same rows is the same artifact in both
        own = {"definition": self.task.definition} if self.task.definition else {}
        own |= {"language": self.task.source_language} if self.kind == "language" else {}
        return ({} if suite == DEFAULT_SUITE else {"suite": suite}) | {
            "version": FORMAT_VERSION,
            "kind": self.kind,
            "task": {"name": self.task.name, "format": self.task.format, "labels": list(self.task.labels), **own},
            "metric": self.task.metric,
            "settings": settings,
            "backbone": self.backbone.key,
            "expression": str(chosen),
            "inputs": list(inputs if inputs is not None else (artifact.fingerprint for artifact in self.inputs)),
            "data": {"train": self.train_rows.fingerprint, "validation": self.validation_rows.fingerprint},
            **({"language": self.language.fingerprint} if self.language is not None else {}),
        }

    def known(self) -> dict[str, Any]:
        """Return what the manifest says that is known before anything is trained."""
        return {
            "suite": self.task.suite,
            "task": self.task.name,
            **({"language": self.task.source_language} if self.kind == "language" else {}),
            "expression": str(self.expression),
            **({"fused_on": "intermediate"} if self.on_fusion else {}),
            "labels": list(self.composition.head.labels),
            "backbone": dataclasses.asdict(self.backbone),
            "settings": self.settings.to_json(),
            "inputs": [artifact.id for artifact in self.inputs],
            **language_json(self.language),
            "identity": self.identity(),
        }

    def promise(self) -> Promise:
        """Return the artifact as far as it is known before anything is trained.

        Raises:
            ArtifactError: an adapter of another backbone, or one whose labels are no longer those of its task.
        """
        _check_inputs(self)
        manifest = self.known() | {"data": {"train": {"rows": len(self.train_rows)}}}
        contents = {COMPOSITION: self.composition.to_json()}
        return Promise.of(self.kind, self.name, self.fingerprint, manifest, contents)

    def check_length(self, limit: int) -> None:
        """Compare the length of inputs with what the backbone takes.

        Raises:
            SettingsError: they are too long; says how to shorten them.
        """
        if self.settings.max_length > limit:
            command = f"adapterstilts train-intermediate {self.task.name}{self.task.suite_option} --max-length {limit}"
            again = f" (for '{self.task.name}': {command})"
            raise SettingsError(
                f"--max-length {self.settings.max_length} is more than '{self.backbone.id}' can take; give at most "
                f"{limit}{again if self.kind == 'intermediate' else ''}."
            )

    def check_layers(self, count: int) -> None:
        """Compare the dropped layers with the number of the backbone's layers.

        Raises:
            SettingsError: there is no such layer, or none is left.
        """
        check_layers(self.settings.dropped, count, what=self.backbone.id)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ``identity()``."""
        return fingerprint(self.identity())


@dataclass(frozen=True)
class StageResult:
    """The artifact of a stage, and whether it had to be made."""

    artifact: Artifact
    reused: bool
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the stage as the command line's documents tell it."""
        manifest = self.artifact.manifest
        done = {"evaluation": "evaluated", "merged": "merged", "ensemble": "joined"}.get(self.artifact.kind, "trained")
        done = "searched" if SEARCH in manifest else done
        done = "pulled" if "origin" in manifest else done
        return {
            "kind": self.artifact.kind,
            "name": str(manifest["name"]),
            "artifact": self.artifact.id,
            "state": "reused" if self.reused else done,
            "seconds": round(self.seconds, 2),
            "seed": manifest.get("settings", {}).get("seed"),
        }


def baseline_of(artifact: Artifact) -> str:
    """Return the fingerprint of what differs from a target artifact only in having no intermediate task.

    Args:
        artifact: of kind ``target``, or an ensemble of these.
    """
    identity = artifact.manifest["identity"]
    if artifact.kind == ENSEMBLE:
        return str(identity["baseline"])
    settings = {**identity["settings"], "fusion_dropout": None}
    trained = {key: value for key, value in identity.items() if key != SEARCH}  # how the weights below were found
    return fingerprint({**trained, "expression": "none", "inputs": [], "settings": settings})


def run_stage(
    stage: TrainingStage, store: Store, *, reporter: Reporter | None = None, report_to: tuple[str, ...] = ()
) -> StageResult:
    """Train a stage, or return what was trained of the same before.

    Where another process trains the same, its artifact is waited for.

    Args:
        stage: what to train.
        store: where artifacts are kept.
        reporter: told of the progress.
        report_to: trackers of the transformers Trainer.

    Raises:
        AdapterStiltsError: the stage cannot be trained; nothing is stored then.
    """
    reporter = reporter or Reporter()
    _ = stage.composition
    make = partial(_train, stage, store, reporter, report_to)
    result = made_once(store, stage.fingerprint, stage.name, make, reporter, promise=stage.promise)
    if result.reused:
        reporter.message(f"{stage.name}: trained before, {result.artifact.path}")
    return result


def made_once(
    store: Store,
    key: str,
    what: str,
    make: Callable[[], None],
    reporter: Reporter,
    *,
    promise: Callable[[], Promise],
) -> StageResult:
    """Return an artifact of the store, made now if it is not there; one process at a time makes it.

    Args:
        store: where it is kept.
        key: its fingerprint.
        what: its name, for people.
        make: puts it into the store.
        reporter: told where another process makes it, which is waited for.
        promise: returns what is known of it before; taken in its place where the store only plans.
    """
    started = time.perf_counter()
    found = store.find(key)
    if found is not None:
        return StageResult(found, True, time.perf_counter() - started)
    if isinstance(store, PlanningStore):
        return StageResult(store.promise(promise()), False, 0.0)
    store.check_writable()
    with store.lock(key, what, reporter.message):
        found = store.find(key)
        if found is not None:
            return StageResult(found, True, time.perf_counter() - started)
        make()
        made = store.find(key)
        shutil.rmtree(checkpoints_of(store.home, key), ignore_errors=True)
    assert made is not None
    return StageResult(made, False, time.perf_counter() - started)


def _train(stage: TrainingStage, store: Store, reporter: Reporter, report_to: tuple[str, ...]) -> None:
    _check_inputs(stage)
    if report_to:
        from adapterstilts.training.trainer import check_trackers

        check_trackers(report_to)
    composition = stage.composition
    make_deterministic()
    settings = stage.settings
    backbone = load_backbone(stage.backbone.id, stage.backbone.hub_revision)
    stage.check_length(backbone.max_length)
    composed = build(backbone, composition, seed=settings.seed, fusion_dropout=settings.fusion_dropout)
    given = stage.inputs * len(composition.expression.names) if stage.on_fusion else stage.inputs
    for name, artifact in zip(composition.expression.names, given, strict=False):
        load_part(composed, f"adapters/{name}", artifact)
    if stage.on_fusion:
        load_part(composed, "fusion", stage.inputs[0])
    if isinstance(stage.expression, Chain):
        load_start(composed, stage.inputs[0])
    if stage.language is not None:
        load_part(composed, f"adapters/{BOTTOM}", stage.language)
    train, validation = encoded_rows(stage, backbone, store, reporter)
    composed.to_device()
    below, below_validation = states_below(stage, composed, train, validation, store, reporter)

    from adapterstilts.training.trainer import StiltsTrainer

    def validate() -> Mapping[str, float]:
        return scores_now(stage, composed, validation, below_validation)

    with tempfile.TemporaryDirectory(prefix="adapterstilts-") as scratch:
        trainer = StiltsTrainer(
            composed,
            stage.task,
            train,
            validate,
            settings,
            title=stage.name,
            output_dir=scratch,
            reporter=reporter,
            report_to=report_to,
            log_dir=str(store.home / "logs" / f"{stage.name}-{stage.fingerprint[:12]}"),
            checkpoints=checkpoints_for(composed, store, stage.fingerprint, stage.name),
            lower=below,
        )
        report = trainer.fit()
    manifest = {
        **stage.known(),
        "data": data_json(stage, train, validation),
        "metrics": {"validation": dict(report.best_scores), "best_step": report.best_step, "steps": report.steps},
        "stopped_early": report.stopped_early,
        "resources": resources(report.examples, report.tokens, report.seconds, composed.trained_parameters),
        "versions": versions(),
    }
    with store.create(stage.kind, stage.name, stage.fingerprint, manifest) as folder:
        save_composed(composed, folder)
        write_lines(folder / CURVE, report.curve)


def checkpoints_for(composed: ComposedModel, store: Store, key: str, name: str) -> Checkpoints:
    """Return where a training keeps its checkpoints, after asking whether there is room for them and its artifact.

    Args:
        composed: what is trained.
        store: where the artifact will be.
        key: its fingerprint.
        name: its name, for people.

    Raises:
        ArtifactError: there is not enough room; says how much is needed.
    """
    kept = sum(_bytes(composed.state(part)) for part in composed.composition.parts)
    # The trained weights now and at their best, two moments each; and all that of the checkpoint before.
    check_room(store.home, kept + 2 * 4 * _bytes(composed.trained_state()), f"training {name}")
    return Checkpoints(store.home, key, versions())


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _check_inputs(stage: TrainingStage) -> None:
    if stage.language is not None:
        what = f"The language adapter '{stage.language.id}'"
        stage.backbone.require_same(stage.language.manifest["backbone"], what=what)
    for artifact in stage.inputs:
        stage.backbone.require_same(artifact.manifest["backbone"], what=f"The intermediate adapter '{artifact.id}'")
        if artifact.kind == "intermediate":  # a merged or mixed adapter comes without a head
            check_labels(artifact, trained_task(artifact))
