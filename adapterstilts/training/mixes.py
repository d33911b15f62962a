"""One intermediate adapter that is trained on several tasks at once: a stage like any other."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adapterstilts.errors import ExpressionError, SettingsError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.models.backbone import build_shared, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.expression import Mix, Nothing
from adapterstilts.models.full import FULL, check_full
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.layers import leaving_out
from adapterstilts.models.saved import ADAPTER, MIXED, weights_file
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store, write_json, write_lines
from adapterstilts.store.weights import save_weights
from adapterstilts.tasks.formats import FORMATS
from adapterstilts.training.mixtures import Mixture, Portion, normalised, shares
from adapterstilts.training.resources import make_deterministic, resources, versions
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import (
    CURVE,
    StageResult,
    TrainingStage,
    data_json,
    encoded_rows,
    made_once,
    scores_now,
)

#: Settings of which a training has one each, so that all tasks of a mix must have the same.
SHARED = (
    "adapter",
    "reduction_factor",
    "drop_layers",
    "warmup_ratio",
    "gradient_accumulation",
    "weight_decay",
    "max_grad_norm",
    "patience",
    "precision",
    "seed",
)
#: Settings that each task of a mix has for itself.
OWN = (
    "epochs",
    "steps",
    "learning_rate",
    "evaluations",
    "batch_size",
    "max_length",
    "doc_stride",
    "max_train_examples",
    "max_validation_examples",
    "sample_seed",
)
MEAN = "mean"
"""Name of the score that chooses the checkpoint: the mean of the tasks' main scores."""


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
        if plain := [part.task.name for part in self.parts if part.task.format == "language_modelling"]:
            raise ExpressionError(
                f"'{self.expression}': '{plain[0]}' is scored by its perplexity, which has no mean with the scores of "
                f"others. Fuse it instead: {'+'.join(self.expression.names)}."
            )
        if any(part.settings.adapter == FULL for part in self.parts):
            check_full(self.expression)
        first = self.parts[0]
        for name in SHARED:
            for part in self.parts[1:]:
                one, other = getattr(first.settings, name), getattr(part.settings, name)
                if one != other:
                    raise SettingsError(
                        f"'{self.expression}' trains one adapter, and the recipes of its tasks want two: {name} is "
                        f"{one} for '{first.task.name}' and {other} for '{part.task.name}'. Choose one with "
                        "--adapter and --reduction-factor, or set it alike in the task files."
                    )
        _ = self.compositions

    @property
    def backbone(self) -> BackboneIdentity:
        """The backbone that all is trained on."""
        return self.parts[0].backbone

    @cached_property
    def settings(self) -> TrainingSettings:
        """The settings of the whole training but for its steps, which are known once the rows are tokens.

        One optimiser moves the shared adapter, so it has the lowest learning rate that one of the recipes has; it is
        evaluated as often as the task that wants it most.
        """
        chosen = [part.settings for part in self.parts]
        return dataclasses.replace(
            chosen[0],
            learning_rate=min(each.learning_rate for each in chosen),
            evaluations=max(each.evaluations for each in chosen),
        )

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
        if self.expression.weights:
            found = normalised(self.expression.weights)
        else:
            options = dict(self.expression.options)
            sizes = [len(part.train_rows) for part in self.parts]
            found = shares(sizes, temperature=options["temperature"], cap=int(options["cap"]))
        return dict(zip(self.expression.names, found, strict=True))

    def check_length(self, limit: int) -> None:
        """Compare the length of the tasks' inputs with what the backbone takes.

        Raises:
            SettingsError: those of a task are too long.
        """
        for part in self.parts:
            if part.settings.max_length > limit:
                raise SettingsError(
                    f"'{part.task.name}' in '{self.expression}' has inputs of {part.settings.max_length} tokens by its "
                    f"recipe, and '{self.backbone.id}' takes at most {limit}. Leave the task out, or merge adapters "
                    f"that are trained apart: avg({', '.join(self.expression.names)})."
                )

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
    result = made_once(store, stage.fingerprint, name, lambda: _train(stage, store, reporter), reporter)
    if result.reused:
        reporter.message(f"{name}: trained before, {result.artifact.path}")
    return result


def _train(stage: MixStage, store: Store, reporter: Reporter) -> None:
    make_deterministic()
    backbone = load_backbone(stage.backbone.id, stage.backbone.hub_revision)
    stage.check_length(backbone.max_length)
    whole, parts = build_shared(backbone, stage.compositions, seed=stage.settings.seed)
    rows = {part.task.name: encoded_rows(part, backbone, store, reporter) for part in stage.parts}

    from adapterstilts.data.collate import Collator
    from adapterstilts.training.mix_trainer import MixTrainer
    from adapterstilts.training.trainer import planned_steps

    steps = sum(planned_steps(len(rows[part.task.name][0]), part.settings) for part in stage.parts)
    settings = dataclasses.replace(stage.settings, steps=steps)
    portions = {
        name: Portion(rows[name][0].features, part.settings.batch_size, stage.shares[name])
        for name, part in zip(stage.expression.names, stage.parts, strict=True)
    }
    collate = Collator.of(backbone.tokenizer)
    mixture = Mixture(portions, steps * settings.gradient_accumulation, collate, seed=settings.seed)
    _check_drawn(stage, mixture, steps)
    whole.to_device()
    scores: dict[int, dict[str, dict[str, float]]] = {}

    def validate() -> Mapping[str, float]:
        by_task: dict[str, dict[str, float]] = {}
        for part in stage.parts:
            name = part.task.name
            parts[name].activate()
            by_task[name] = dict(scores_now(part, parts[name], rows[name][1]))
        scores[int(trainer.state.global_step)] = by_task
        mains = {f"{name}.{main}": own[main] for name, own in by_task.items() for main in list(own)[:1]}
        return {MEAN: sum(mains.values()) / len(mains), **mains}

    with tempfile.TemporaryDirectory(prefix="adapterstilts-") as scratch:
        trainer = MixTrainer(
            whole,
            parts,
            tuple(part.task for part in stage.parts),
            mixture,
            validate,
            settings,
            title=str(stage.expression),
            output_dir=scratch,
            reporter=reporter,
        )
        report = trainer.fit()
    name, told = stage.expression.adapter, settings.to_json()
    manifest = {
        "suite": stage.parts[0].task.suite,
        "expression": str(stage.expression),
        "tasks": list(stage.expression.names),
        "backbone": dataclasses.asdict(stage.backbone),
        "settings": {key: told[key] for key in (*SHARED, "learning_rate", "evaluations", "steps") if key in told},
        "inputs": [],
        "identity": stage.identity(),
        "mixture": {
            part.task.name: {
                "share": stage.shares[part.task.name],
                "batches": mixture.order[: report.steps * settings.gradient_accumulation].count(part.task.name),
                "settings": {key: getattr(part.settings, key) for key in OWN},
                "data": data_json(part, *rows[part.task.name]),
            }
            for part in stage.parts
        },
        "metrics": {
            "validation": {MEAN: report.best_scores[MEAN]},
            "by_task": scores[report.best_step],
            "best_step": report.best_step,
            "steps": report.steps,
        },
        "stopped_early": report.stopped_early,
        "resources": resources(report.examples, report.tokens, report.seconds, whole.trained_parameters),
        "versions": versions(),
    }
    heads = {task: dataclasses.asdict(composition.head) for task, composition in stage.compositions.items()}
    with store.create(MIXED, str(stage.expression), stage.fingerprint, manifest) as folder:
        write_json(folder / ADAPTER, {"name": name, "config": stage.config, "heads": heads})
        save_weights(folder / weights_file(f"adapters/{name}"), whole.state(f"adapters/{name}"))
        for task, part_model in parts.items():
            save_weights(folder / weights_file(f"heads/{task}"), part_model.state("head"))
        write_lines(folder / CURVE, report.curve)


def _check_drawn(stage: MixStage, mixture: Mixture, steps: int) -> None:
    """Refuse a mixture in which a task never has its turn."""
    for name in stage.expression.names:
        if name not in mixture.order:
            raise SettingsError(
                f"'{stage.expression}' trains for {steps} steps, and in none of them '{name}' is drawn: its share of "
                f"the batches is {stage.shares[name]:.2g}. Give it more with a temperature, a cap or weights, or leave "
                "it out."
            )
