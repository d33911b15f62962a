"""The trainer: AdapterTrainer's loop, with what it gets wrong at the edges put right.

Own here: parameter groups (fusion values are not decayed), the fusion regulariser inside the loss, the names of label
columns, the choice and restoring of the best state with its head, the check that the loss is a number, forward passes
of a batch by their tokens, and what makes a step fast on the device at hand.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from adapters import AdapterTrainer
from adapters.trainer import AdapterTrainerCallback
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from adapterstilts.data.collate import feature_length, training_collator
from adapterstilts.data.passes import passes
from adapterstilts.errors import SettingsError, TrainingError, unknown
from adapterstilts.evaluation.metrics import get_metric
from adapterstilts.models.backbone import ComposedModel
from adapterstilts.models.fast_dropout import FastDropout
from adapterstilts.models.half_weights import halve_frozen
from adapterstilts.models.heap import small_heap
from adapterstilts.models.row_states import RowStates, given_to, numbered
from adapterstilts.models.vocabulary import whole_vocabulary
from adapterstilts.progress import Reporter
from adapterstilts.tasks.formats import FORMATS, Encoded
from adapterstilts.training.checkpoints import Checkpoints
from adapterstilts.training.resuming import ResumableTrainer
from adapterstilts.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter
    from transformers import PreTrainedModel

    from adapterstilts.tasks.spec import TaskSpec

LOG_POINTS = 50
"""About how many points a learning curve has."""

COMPILED_LENGTHS = 32
"""Under ``--compile``, lengths are multiples of it: a model is compiled anew for each shape, up to some."""

#: Scores on validation rows, the first being the one that decides.
Validate = Callable[[], Mapping[str, float]]


@dataclass
class TrainingReport:
    """What happened in training."""

    steps: int = 0
    best_step: int = 0
    best_scores: Mapping[str, float] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)
    """Loss, learning rate and validation scores by step."""
    examples: int = 0
    """Features trained on, counted as often as they were used."""
    tokens: int = 0
    """Tokens among them, without padding."""
    seconds: float = 0.0
    """Wall time of training, without validation."""
    stopped_early: bool = False


class StiltsTrainer(ResumableTrainer):
    """Trains what a composed model leaves trainable, and leaves it in its best state.

    Args:
        composed: the model; what requires gradients is trained.
        task: whose format and label names are used.
        encoded: training features.
        validate: scores the model on validation rows.
        settings: of the training.
        title: of the training, for the reporter.
        output_dir: a scratch folder; nothing of value is put there.
        reporter: told of the progress.
        report_to: trackers of the transformers Trainer, such as ``tensorboard``.
        log_dir: where trackers write that write to disk.
        checkpoints: where the state is written now and then, and taken from at the beginning; None for no checkpoints.
        lower: hidden states of the features below the first adapter, where the model shall not work them out itself.
    """

    def __init__(
        self,
        composed: ComposedModel,
        task: TaskSpec,
        encoded: Encoded,
        validate: Validate,
        settings: TrainingSettings,
        *,
        title: str,
        output_dir: str,
        reporter: Reporter | None = None,
        report_to: tuple[str, ...] = (),
        log_dir: str | None = None,
        checkpoints: Checkpoints | None = None,
        lower: RowStates | None = None,
    ) -> None:
        self.checkpoints = checkpoints
        self.lower = lower
        self.composed = composed
        self.title = title
        self.validate_now = validate
        self.settings = settings
        self.reporter = reporter or Reporter()
        self.report = TrainingReport()
        self._best: dict[str, Tensor] | None = None
        self._worse = 0
        self._sign = -1 if get_metric(task.metric).lower_is_better else 1
        self._validating = 0.0
        self._tokens: Any = 0
        self._validated_at = -1
        self._share = 1.0
        self._before = self._started = 0.0
        planned = planned_steps(len(encoded), settings)
        every = max(1, math.ceil(planned / settings.evaluations))
        # Arguments with bf16 leave this behind, and those without take it from there: the next training, too, would be
        # one in bf16.
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16" if settings.precision == "bf16" else "no"
        os.environ["ACCELERATE_DYNAMO_BACKEND"] = "inductor" if settings.compile else "no"  # left behind alike
        arguments = TrainingArguments(
            output_dir=output_dir,
            num_train_epochs=settings.epochs,
            max_steps=settings.steps or -1,
            learning_rate=settings.learning_rate,
            warmup_steps=math.ceil(planned * settings.warmup_ratio),
            per_device_train_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.gradient_accumulation,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            seed=settings.seed,
            bf16=settings.precision == "bf16",
            torch_compile=settings.compile,
            use_cpu=not torch.accelerator.is_available(),
            dataloader_num_workers=loading_processes(task, torch.accelerator.is_available()),
            group_by_length=True,
            length_column_name="length",
            label_names=list(FORMATS[task.format].label_names),
            remove_unused_columns=False,
            eval_strategy="steps",
            eval_steps=every,
            save_strategy="no",
            logging_strategy="steps",
            logging_steps=max(1, planned // LOG_POINTS),
            disable_tqdm=True,
            report_to=list(report_to) or "none",
            logging_dir=log_dir,
            run_name=Path(log_dir).name if log_dir else None,
        )
        if settings.precision == "bf16" and not arguments.use_cpu:
            halve_frozen(composed, whole=lower.lower.modules if lower is not None else ())
        if settings.compile:
            whole_vocabulary(composed.model)  # reading rows is no part of a graph
        # One process uses one accelerator: DataParallel, which the Trainer would choose, breaks adapters.
        arguments._n_gpu = min(arguments.n_gpu, 1)
        features = encoded.features
        if "length" not in features.column_names:
            lengths = [feature_length({"input_ids": ids}) for ids in features["input_ids"]]
            features = features.add_column("length", lengths)
        if lower is not None:
            features = numbered(features)
        # AdapterTrainer refuses a model without adapters; the Trainer below it is what trains a whole backbone.
        begin: Any = super(AdapterTrainer, self).__init__ if composed.composition.full else super().__init__
        begin(
            model=composed.model,
            args=arguments,
            data_collator=training_collator(
                task, composed.backbone.tokenizer, settings.seed, multiple=COMPILED_LENGTHS if settings.compile else 1
            ),
            train_dataset=features,
            eval_dataset=features.select([]),  # required by eval_strategy; evaluate() has rows of its own
            callbacks=[_Progress(self)],
        )
        # The library's callback adds the fusion regulariser's gradient after zero_grad, outside loss and clipping.
        self.remove_callback(AdapterTrainerCallback)
        self.remove_callback(PrinterCallback)

    def fit(self) -> TrainingReport:
        """Train, then bring back the state that scored best on the validation rows.

        Raises:
            TrainingError: the loss is not finite; says at which step and what to do.
        """
        self.reporter.begin(f"Training {self.title}", self.planned)
        self._started = time.perf_counter()
        try:
            with small_heap(self.composed.model) if self._plain else nullcontext():
                self.train_on()
            self.report.seconds = self._seconds
            if self._validated_at != self.state.global_step:
                self.evaluate()
        finally:
            self.reporter.end()
        self._check_weights()
        assert self._best is not None
        self.composed.restore(self._best)
        self.composed.model.eval()
        self.report.steps = int(self.state.global_step)
        self.report.tokens = int(self._tokens)
        return self.report

    @property
    def _seconds(self) -> float:
        """Wall time of training up to now, without validation, that before a checkpoint included."""
        return self._before + time.perf_counter() - self._started - self._validating

    def memory(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the best weights so far, and what was measured."""
        told = {name: getattr(self.report, name) for name in ("best_step", "best_scores", "curve", "examples")}
        told |= {"seconds": self._seconds, "tokens": int(self._tokens), "worse": self._worse}
        return self._best or {}, {**told, "validated_at": self._validated_at}

    def remember(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        """Take back what ``memory`` gave."""
        self._best = tensors or None
        for name in ("best_step", "best_scores", "curve", "examples"):
            setattr(self.report, name, told[name])
        self._before, self._tokens, self._worse = told["seconds"], told["tokens"], told["worse"]
        self._validated_at = told["validated_at"]

    @property
    def planned(self) -> int:
        """Number of optimiser steps that training will take, if it is not stopped early."""
        return planned_steps(len(self.train_dataset), self.settings)

    def create_optimizer(self) -> Any:
        """Make AdamW over the trained parameters; matrices but for fusion values are decayed."""
        if self.optimizer is None:
            decayed: list[Parameter] = []
            other: list[Parameter] = []
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    decays = parameter.ndim >= 2 and not _must_not_decay(name)
                    (decayed if decays else other).append(parameter)
            groups = [
                {"params": decayed, "weight_decay": self.args.weight_decay},
                {"params": other, "weight_decay": 0.0},
            ]
            kind, options = self.get_optimizer_cls_and_kwargs(self.args)
            self.optimizer = kind([group for group in groups if group["params"]], **options)
        return self.optimizer

    def compute_loss(
        self,
        model: PreTrainedModel,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the head's loss, plus the regulariser of the fusion's value matrices (AdapterFusion, section 3.2).

        A fusion that stays as it is adds nothing. In one pass of several over a batch it is the pass's share of that.
        """
        self._tokens = self._tokens + inputs["attention_mask"].sum()
        self.report.examples += len(inputs[self.label_names[0]])
        options: dict[str, Any] = {"return_outputs": True, "num_items_in_batch": num_items_in_batch}
        with given_to(inputs, self.lower):
            loss, outputs = super().compute_loss(model, inputs, **options)
        composition = self.composed.composition
        fusion = composition.fusion if "fusion" in composition.trained_parts else None
        if fusion is not None and fusion.get("regularization"):
            base: Any = self.composed.model.base_model
            penalty = base.get_fusion_regularization_loss()
            if penalty is not None:
                loss = loss + penalty
        loss = loss * self._share if self._share != 1 else loss
        return (loss, outputs) if return_outputs else loss

    def training_step(self, model: PreTrainedModel, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """Make the forward and backward passes of a batch; refuse to go on with a loss that is not a number.

        Raises:
            TrainingError: names step and learning rate.
        """
        loss: Any = 0.0
        with self._quick():
            for part, share in passes(inputs, self.labels_of(inputs)[0], self.settings.batch_tokens):
                self._share = share
                loss = loss + super().training_step(model, part, num_items_in_batch)
        if not math.isfinite(loss.item()):
            raise self._diverged(f"The loss is {loss.item()}", self.state.global_step + 1)
        return loss

    def labels_of(self, inputs: Mapping[str, Any]) -> list[str]:
        """Return the names of the labels of a batch."""
        return list(self.label_names)

    def _quick(self) -> AbstractContextManager[Any]:
        """Return the context of a step: on a CPU, dropout by fewer random numbers, but where a compiler draws them."""
        return FastDropout() if self._plain else nullcontext()

    @property
    def _plain(self) -> bool:
        """Whether a CPU works off the model's layers as they are written, and no compiler changes them."""
        return bool(self.args.use_cpu and not self.args.torch_compile)

    def _check_weights(self) -> None:
        """Refuse weights that are no numbers: the last step can spoil them after a loss that still was one."""
        for name, tensor in self.composed.trained_state().items():
            if not bool(torch.isfinite(tensor).all()):
                raise self._diverged(f"'{name}' holds values that are not finite", self.state.global_step)

    def _diverged(self, what: str, step: int) -> TrainingError:
        if self.checkpoints is not None:
            self.checkpoints.clear()  # it would diverge again
        rate = self._get_learning_rate() if self.lr_scheduler is not None else self.args.learning_rate
        return TrainingError(
            f"{what} at step {step} (learning rate {rate:.2e}). "
            f"Try a --learning-rate below {self.settings.learning_rate:g}, a larger --warmup-ratio, a smaller "
            "--max-grad-norm, or --precision fp32. Nothing was stored."
        )

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score the model on the validation rows, keep its state if it is the best so far, stop when patience ends."""
        started = time.perf_counter()
        scores = dict(self.validate_now())
        self._validating += time.perf_counter() - started
        self._validated_at = int(self.state.global_step)
        main = next(iter(scores))
        if self._best is None or self._sign * scores[main] > self._sign * self.report.best_scores[main]:
            self._best = self.composed.trained_state()
            self.report.best_step = int(self.state.global_step)
            self.report.best_scores = scores
            self._worse = 0
        else:
            self._worse += 1
            if self.settings.patience is not None and self._worse >= self.settings.patience:
                self.control.should_training_stop = True
                self.report.stopped_early = int(self.state.global_step) < self.planned
        metrics = {f"eval_{name}": value for name, value in scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class _Progress(TrainerCallback):
    """Passes steps and losses on to the reporter and the learning curve."""

    def __init__(self, trainer: StiltsTrainer) -> None:
        self.trainer = trainer
        self.facts: dict[str, Any] = {}

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.epoch_begins()

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        logs = logs or {}
        record: dict[str, Any] = {"step": int(state.global_step)}
        names = {"loss": "loss", "learning_rate": "learning_rate", "grad_norm": "gradient_norm"}
        record |= {ours: round(float(logs[theirs]), 8) for theirs, ours in names.items() if theirs in logs}
        record |= {f"validation_{key[5:]}": value for key, value in logs.items() if key.startswith("eval_")}
        if len(record) > 1:
            self.trainer.report.curve.append(record)
            self.facts |= {key: value for key, value in record.items() if key != "step"}
            self.trainer.reporter.advance(int(state.global_step), **self.facts)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.reporter.advance(int(state.global_step), **self.facts)


def check_trackers(names: tuple[str, ...]) -> None:
    """Refuse trackers that do not exist or are not installed.

    Raises:
        UnknownNameError: there is none of that name; the nearest is given.
        SettingsError: its package is not installed.
    """
    from transformers.integrations.integration_utils import (
        INTEGRATION_TO_CALLBACK,
        get_available_reporting_integrations,
    )

    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            raise unknown("tracker", name, INTEGRATION_TO_CALLBACK)
        if name not in get_available_reporting_integrations():
            raise SettingsError(f"--report-to {name} needs a package that is not installed: pip install {name}")


def loading_processes(task: TaskSpec, accelerator: bool) -> int:
    """Return how many processes make batches ahead of the training: one beside an accelerator.

    Where tokens are hidden anew in each batch it is none: a checkpoint keeps how far these random numbers are.
    """
    return int(accelerator and task.format != "language_modelling")


def planned_steps(features: int, settings: TrainingSettings) -> int:
    """Return how many optimiser steps the settings make of so many features."""
    if settings.steps is not None:
        return settings.steps
    batches = math.ceil(features / settings.batch_size)
    updates = max(math.ceil(batches / settings.gradient_accumulation), 1)
    return max(1, math.ceil(updates * settings.epochs))


def _must_not_decay(name: str) -> bool:
    """Tell fusion values, which start as the identity, and orthogonal parametrisations, whose signs decay to zero."""
    fusion_value = ".adapter_fusion_layer." in name and name.endswith(".value.weight")
    return fusion_value or ".parametrizations." in name
