"""A trainer that writes checkpoints and goes on from the last one, to the same weights and the same curve.

The transformers Trainer can resume, but not to the same result: it shuffles the epoch that was cut off anew, forgets
the losses since the last point of the curve, and keeps optimiser and random numbers as pickles.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch
from adapters import AdapterTrainer

from adapterstilts.data.collate import MaskingCollator
from adapterstilts.errors import ArtifactError
from adapterstilts.training.checkpoints import Checkpoints, optimizer_tensors, restore_optimizer

if TYPE_CHECKING:
    from torch import Tensor

    from adapterstilts.models.backbone import ComposedModel
    from adapterstilts.progress import Reporter

CPU, EPOCH = "random.cpu", "random.epoch"


class ResumableTrainer(AdapterTrainer):
    """Writes a checkpoint now and then, where the curve has a point, and begins at the last one there is.

    At such a point the Trainer's running sum of losses is empty. A subclass says with ``memory`` and ``remember`` what
    it has noted itself.
    """

    composed: ComposedModel
    reporter: Reporter
    title: str
    optimizer: Any
    lr_scheduler: Any
    control: Any
    checkpoints: Checkpoints | None = None
    _epoch: Tensor
    """State of the random numbers when the epoch began: they decide its order."""
    _found: tuple[dict[str, Tensor], dict[str, Any]] | None = None
    """What a checkpoint holds, until all of it is back in its place."""

    @property
    def planned(self) -> int:
        """Number of optimiser steps that training will take."""
        raise NotImplementedError

    def memory(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the subclass's own notes: tensors, and what JSON can hold."""
        raise NotImplementedError

    def remember(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        """Take back what ``memory`` gave."""
        raise NotImplementedError

    def train_on(self) -> None:
        """Train from the beginning, or from the last checkpoint."""
        found = self.checkpoints.last() if self.checkpoints else None
        if found is None:
            self.train()
            return
        folder, tensors, told = found
        self._found = tensors, told
        self.reporter.message(f"{self.title}: goes on at step {told['step']} of {self.planned}, from a checkpoint")
        self.train(resume_from_checkpoint=str(folder))

    def epoch_begins(self) -> None:
        """Note the random numbers that shuffle the epoch; for one that was cut off, take those it began with."""
        if self._found is not None:
            torch.set_rng_state(self._found[0][EPOCH])
        self._epoch = torch.get_rng_state()

    def _maybe_log_save_evaluate(self, *arguments: Any, **options: Any) -> None:
        super()._maybe_log_save_evaluate(*arguments, **options)
        step = int(self.state.global_step)
        logged = step == self._globalstep_last_logged
        going_on = step < self.planned and not self.control.should_training_stop
        if self.checkpoints is not None and self.checkpoints.due and logged and going_on:
            try:
                self._write(self.checkpoints, step)
            except ArtifactError as error:
                self.reporter.message(f"{self.title}: goes on without checkpoints. {error}")
                self.checkpoints = None

    def _write(self, checkpoints: Checkpoints, step: int) -> None:
        tensors, told = self.memory()
        found = self.optimizer.state_dict()
        every = {f"trained.{key}": tensor for key, tensor in self.composed.trained_state().items()}
        every |= {f"optimizer.{key}": tensor for key, tensor in optimizer_tensors(self.optimizer).items()}
        every |= {f"own.{key}": tensor for key, tensor in tensors.items()}
        every |= {CPU: torch.get_rng_state(), EPOCH: self._epoch}
        if torch.cuda.is_available():
            every |= {f"random.cuda.{place}": state for place, state in enumerate(torch.cuda.get_rng_state_all())}
        document = {
            "step": step,
            "groups": found["param_groups"],
            "schedule": self.lr_scheduler.state_dict(),
            "masking": self._masking(),
            "own": told,
        }
        checkpoints.save(step, every, document, dataclasses.asdict(self.state))

    def _masking(self) -> Any:
        """Return the state of what hides tokens, which is a batch ahead of the training but at an epoch's end."""
        if not isinstance(self.data_collator, MaskingCollator):
            return None
        at_the_end = float(self.state.epoch).is_integer()
        return self.data_collator.generator.bit_generator.state if at_the_end else self.data_collator.before

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        assert self._found is not None
        tensors, told = self._found
        self.composed.restore(_below(tensors, "trained."))
        self.remember(_below(tensors, "own."), told["own"])
        if isinstance(self.data_collator, MaskingCollator):
            self.data_collator.generator.bit_generator.state = told["masking"]

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            assert self._found is not None
            tensors, told = self._found
            restore_optimizer(self.optimizer, _below(tensors, "optimizer."), told["groups"])
            self.lr_scheduler.load_state_dict(told["schedule"])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Take the random numbers of the checkpoint; the Trainer asks for them when the data stand where they stood."""
        if checkpoint is not None and self._found is not None:
            tensors, _ = self._found
            torch.set_rng_state(tensors[CPU])
            if torch.cuda.is_available():
                torch.cuda.set_rng_state_all(list(_below(tensors, "random.cuda.").values()))
            if float(self.state.epoch).is_integer():
                self._epoch = tensors[CPU]  # the next epoch begins with these
            self._found = None


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
