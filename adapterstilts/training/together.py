"""Training on several tasks at once, whatever it is that they share: batches in turn, a head a task, one optimiser."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from adapterstilts.errors import ExpressionError, SettingsError
from adapterstilts.models.backbone import Backbone, ComposedModel
from adapterstilts.models.expression import Expression, Mix
from adapterstilts.models.row_states import numbered
from adapterstilts.models.saved import weights_file
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store
from adapterstilts.store.weights import save_weights
from adapterstilts.training.mixtures import Mixture, Portion, normalised, shares
from adapterstilts.training.resources import resources, versions
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stage_rows import data_json, encoded_rows, scores_now, states_below
from adapterstilts.training.stages import TrainingStage, checkpoints_for

#: Settings of which a training has one each, so that all its tasks must have the same.
SHARED = (
    "adapter",
    "reduction_factor",
    "drop_layers",
    "warmup_ratio",
    "gradient_accumulation",
    "batch_tokens",
    "weight_decay",
    "max_grad_norm",
    "patience",
    "precision",
    "compile",
    "seed",
)
#: Settings that each task has for itself.
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
"""Name of the score that chooses the checkpoint: the mean of the tasks' main scores, but for perplexities."""


class Together(Protocol):
    """A training on several tasks at once, as ``train_together`` sees it."""

    @property
    def expression(self) -> Expression:
        """What is trained."""

    @property
    def parts(self) -> tuple[TrainingStage, ...]:
        """For each task the stage that would train it alone: it has the rows and the settings. It is never run."""

    @property
    def settings(self) -> TrainingSettings:
        """Those of the whole training but for its steps, which are known once the rows are tokens."""

    @property
    def fingerprint(self) -> str:
        """Of what is trained."""

    @property
    def shares(self) -> Mapping[str, float]:
        """Share of the batches of each task."""


def check_scores(what: Expression, parts: Sequence[TrainingStage], instead: str) -> None:
    """Refuse tasks whose scores have no mean.

    Args:
        what: the expression, for the message.
        parts: of the training, one a task.
        instead: what to do.

    Raises:
        ExpressionError: names the task.
    """
    if plain := [part.task.name for part in parts if is_plain(part)]:
        raise ExpressionError(
            f"'{what}': '{plain[0]}' is scored by its perplexity, which has no mean with the scores of others. "
            f"{instead}"
        )


def disagreement(parts: Sequence[TrainingStage], shared: Sequence[str]) -> str:
    """Say for which of the shared settings two tasks want different values; empty where they agree."""
    first = parts[0]
    for name in shared:
        for part in parts[1:]:
            one, other = getattr(first.settings, name), getattr(part.settings, name)
            if one != other:
                return f"{name} is {one} for '{first.task.name}' and {other} for '{part.task.name}'"
    return ""


def check_lengths(what: Expression, parts: Sequence[TrainingStage], limit: int, instead: str) -> None:
    """Compare the length of the tasks' inputs with what the backbone takes.

    Args:
        what, parts, instead: as for ``check_scores``.
        limit: the longest input in tokens.

    Raises:
        SettingsError: those of a task are too long.
    """
    for part in parts:
        if part.settings.max_length > limit:
            raise SettingsError(
                f"'{part.task.name}' in '{what}' has inputs of {part.settings.max_length} tokens by its recipe, and "
                f"'{part.backbone.id}' takes at most {limit}. {instead}"
            )


def joint_settings(parts: Sequence[TrainingStage]) -> TrainingSettings:
    """Return the settings of a training on several tasks, but for its steps.

    One optimiser moves what the tasks share, so it has the lowest learning rate that one of the recipes has; it is
    evaluated as often as the task that wants it most.
    """
    chosen = [part.settings for part in parts]
    return dataclasses.replace(
        chosen[0],
        learning_rate=min(each.learning_rate for each in chosen),
        evaluations=max(each.evaluations for each in chosen),
    )


def joint_shares(mix: Mix, parts: Sequence[TrainingStage]) -> dict[str, float]:
    """Return the share of the batches of each task: of the given weights, or of the numbers of training rows."""
    if mix.weights:
        found = normalised(mix.weights)
    else:
        options = dict(mix.options)
        sizes = [len(part.train_rows) for part in parts]
        found = shares(sizes, temperature=options["temperature"], cap=int(options["cap"]))
    return dict(zip(mix.names, found, strict=True))


def planned_mixture(parts: Sequence[TrainingStage]) -> dict[str, Any]:
    """Return what a manifest says of the tasks that is known before anything is trained."""
    return {
        "mixture": {
            part.task.name: {
                "settings": {key: getattr(part.settings, key) for key in OWN},
                "data": {"train": {"rows": len(part.train_rows)}},
            }
            for part in parts
        }
    }


def train_together(
    stage: Together,
    whole: ComposedModel,
    parts: Mapping[str, ComposedModel],
    backbone: Backbone,
    store: Store,
    reporter: Reporter,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Train a model with several heads on a mixture of their tasks, and leave it in its best state.

    Args:
        stage: the tasks, their shares and the settings.
        whole: the model with all heads as one part.
        parts: the model with the head of each task, by the task's name.
        backbone: whose model it is.
        store: where encoded rows and checkpoints are kept.
        reporter: told of the progress.

    Returns:
        the learning curve, and what a manifest says of the training; ``steps`` there is the number that was planned.

    Raises:
        SettingsError: a task has no rows to learn from, or never has its turn.
    """
    rows = {part.task.name: encoded_rows(part, backbone, store, reporter) for part in stage.parts}

    from adapterstilts.data.collate import Collator
    from adapterstilts.tasks.formats.language_modelling import Masking
    from adapterstilts.training.mix_trainer import MixTrainer
    from adapterstilts.training.trainer import planned_steps

    steps = sum(planned_steps(len(rows[part.task.name][0]), part.settings) for part in stage.parts)
    settings = dataclasses.replace(stage.settings, steps=steps)
    plain = {part.task.name for part in stage.parts if is_plain(part)}
    states = {part.task.name: states_below(part, whole, *rows[part.task.name], store, reporter) for part in stage.parts}
    lower = {name: training for name, (training, _) in states.items() if training is not None}
    portions = {
        name: Portion(
            numbered(rows[name][0].features) if name in lower else rows[name][0].features,
            part.settings.batch_size,
            stage.shares[name],
            Masking.of(backbone.tokenizer) if name in plain else None,
        )
        for name, part in ((part.task.name, part) for part in stage.parts)
    }
    collate = Collator.of(backbone.tokenizer)
    mixture = Mixture(portions, steps * settings.gradient_accumulation, collate, seed=settings.seed)
    _check_drawn(stage, mixture, steps)
    whole.to_device()

    def validate() -> Mapping[str, float]:
        by_task: dict[str, dict[str, float]] = {}
        for part in stage.parts:
            name = part.task.name
            parts[name].activate()
            by_task[name] = dict(scores_now(part, parts[name], rows[name][1], states[name][1]))
        trainer.by_task[int(trainer.state.global_step)] = by_task
        mains = {f"{name}.{main}": own[main] for name, own in by_task.items() for main in list(own)[:1]}
        scores = [next(iter(own.values())) for name, own in by_task.items() if name not in plain]
        return {MEAN: sum(scores) / len(scores), **mains}

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
            checkpoints=checkpoints_for(whole, store, stage.fingerprint, str(stage.expression)),
            lower=lower,
        )
        report = trainer.fit()
    return report.curve, {
        "steps": steps,
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
            "by_task": trainer.by_task[report.best_step],
            "best_step": report.best_step,
            "steps": report.steps,
        },
        "stopped_early": report.stopped_early,
        "resources": resources(report.examples, report.tokens, report.seconds, whole.trained_parameters),
        "versions": versions(),
    }


def save_heads(parts: Mapping[str, ComposedModel], folder: Path) -> None:
    """Write the head of each task, by the task's name, into an artifact's folder; not that of the backbone."""
    for task, composed in parts.items():
        if "head" in composed.composition.parts:
            save_weights(folder / weights_file(f"heads/{task}"), composed.state("head"))


def is_plain(part: TrainingStage) -> bool:
    """Tell whether a task learns from plain text: its perplexity has no mean with the scores of others."""
    return part.task.format == "language_modelling"


def _check_drawn(stage: Together, mixture: Mixture, steps: int) -> None:
    """Refuse a mixture in which a task never has its turn."""
    for name, share in stage.shares.items():
        if name not in mixture.order:
            mixed = isinstance(stage.expression, Mix)
            more = "Give it more with a temperature, a cap or weights, or leave" if mixed else "Leave"
            raise SettingsError(
                f"'{stage.expression}' trains for {steps} steps, and in none of them '{name}' is drawn: its share of "
                f"the batches is {share:.2g}. {more} it out."
            )
