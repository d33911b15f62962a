"""The trainer of several tasks at once: one adapter, a head a task, batches of one task each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from adapterstilts.models.backbone import ComposedModel
from adapterstilts.progress import Reporter
from adapterstilts.tasks.formats import FORMATS, Encoded
from adapterstilts.tasks.spec import TaskSpec
from adapterstilts.training.checkpoints import Checkpoints
from adapterstilts.training.mixtures import TASK, Mixture
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.trainer import StiltsTrainer, Validate

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from adapterstilts.models.row_states import RowStates


class MixTrainer(StiltsTrainer):
    """Trains an adapter with several heads on a mixture, and leaves it and the heads in their best state.

    A step moves the adapter and the heads of the tasks whose batches it has; the other heads stay as they are. The
    curve has the mean loss of each task beside that of all.

    Args:
        whole: the model with all heads as one part.
        parts: the model with the head of each task, by the task's name.
        tasks: in the order of the expression.
        mixture: the batches of the whole training.
        validate: scores the model on validation rows.
        settings: of the training, ``steps`` included.
        title, output_dir, reporter, checkpoints: as for ``StiltsTrainer``.
        lower: hidden states of the features below the first adapter, by task, where the model shall not work them out.
    """

    def __init__(
        self,
        whole: ComposedModel,
        parts: Mapping[str, ComposedModel],
        tasks: tuple[TaskSpec, ...],
        mixture: Mixture,
        validate: Validate,
        settings: TrainingSettings,
        *,
        title: str,
        output_dir: str,
        reporter: Reporter | None = None,
        checkpoints: Checkpoints | None = None,
        lower: Mapping[str, RowStates] | None = None,
    ) -> None:
        self.parts = parts
        self.lower_by_task = dict(lower or {})
        self.mixture = mixture
        self.by_task: dict[int, dict[str, dict[str, float]]] = {}
        """All scores on validation rows by step and task, which ``validate`` notes here."""
        self.labels = {task.name: list(FORMATS[task.format].label_names) for task in tasks}
        self._losses: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
        # Features of different formats have different columns; the batches come from the mixture, and the length of
        # each feature is all that the Trainer has to see.
        lengths = [length for portion in mixture.portions.values() for length in portion.lengths]
        super().__init__(
            whole,
            tasks[0],
            Encoded(Dataset.from_dict({"length": lengths})),
            validate,
            settings,
            title=title,
            output_dir=output_dir,
            reporter=reporter,
            checkpoints=checkpoints,
            lower=next(iter(self.lower_by_task.values()), None),
        )

    def memory(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the notes, the scores of each task among them."""
        tensors, told = super().memory()
        return tensors, {**told, "by_task": list(self.by_task.items())}

    def remember(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        """Take back what ``memory`` gave."""
        super().remember(tensors, told)
        self.by_task = {step: scores for step, scores in told["by_task"]}

    def get_train_dataloader(self) -> Any:
        """Return the mixture, which is one pass of the Trainer."""
        return self.mixture.batches()

    def compute_loss(
        self,
        model: PreTrainedModel,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the loss of the head of the batch's task."""
        task = inputs[TASK]
        self.parts[task].activate()
        self.label_names = self.labels[task]
        self.lower = self.lower_by_task.get(task)
        tensors = {name: tensor for name, tensor in inputs.items() if name != TASK}
        return super().compute_loss(model, tensors, return_outputs, num_items_in_batch)

    def labels_of(self, inputs: Mapping[str, Any]) -> list[str]:
        """Return the names of the labels of the batch's task."""
        return self.labels[inputs[TASK]]

    def training_step(self, model: PreTrainedModel, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """Note the loss of the batch's task, which the Trainer divides by the batches of a step."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._losses[inputs[TASK]].append(loss * self.current_gradient_accumulation_steps)
        return loss

    def log(self, logs: dict[str, float], *arguments: Any, **options: Any) -> None:
        """Put the mean loss of each task since the last time behind the loss of all."""
        super().log(logs, *arguments, **options)
        if "loss" not in logs:
            return
        for task, losses in self._losses.items():
            if losses:
                mean = sum(loss.item() for loss in losses) / len(losses)
                step = int(self.state.global_step)
                self.report.curve.append({"step": step, "task": task, "loss": round(mean, 8), "batches": len(losses)})
                losses.clear()
