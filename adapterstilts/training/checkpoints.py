"""Checkpoints: what a training that was cut off needs to go on to the same result, bit for bit.

A checkpoint holds what is trained and nothing else of the model: the trained weights now and at their best, the
optimiser's moments, the schedule, the random numbers' states, the place in the data, and what was measured so far. It
is a folder of one safetensors file and two JSON documents, which appears whole or not at all, and no pickle.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ArtifactError
from adapterstilts.fingerprints import fingerprint_file
from adapterstilts.store.artifacts import write_json
from adapterstilts.store.home import checkpoints_of, new_folder
from adapterstilts.store.weights import load_weights, save_weights

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

logger = logging.getLogger(__name__)

TENSORS = "state.safetensors"
DOCUMENT = "checkpoint.json"
TRAINER_STATE = "trainer_state.json"
"""The name that the transformers Trainer looks for."""
EVERY_SECONDS = 60.0
"""Least time between two checkpoints; they are written where the learning curve has a point."""


@dataclass
class Checkpoints:
    """The checkpoints of one training, of which the last is kept.

    Args:
        home: the store's folder.
        key: fingerprint of what is trained.
        versions: of the packages that train; with others the result would be another, and one begins anew.
        every: seconds between two of them, at least.
    """

    home: Path
    key: str
    versions: Mapping[str, str]
    every: float = EVERY_SECONDS
    _written: float = field(default_factory=time.monotonic)

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return checkpoints_of(self.home, self.key)

    @property
    def due(self) -> bool:
        """Whether the last one is old enough for another."""
        return time.monotonic() - self._written >= self.every

    def save(self, step: int, tensors: Mapping[str, Tensor], told: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Write the state after a step, and remove the ones before it.

        Args:
            step: of the optimiser.
            tensors: all that is large.
            told: all else.
            state: the transformers Trainer's own, which it reads from a file of its own.

        Raises:
            ArtifactError: the store cannot be written; names the path. The one before is still there.
        """
        target = self.folder / f"step-{step:08d}"
        with new_folder(target, self.home) as folder:
            save_weights(folder / TENSORS, tensors)
            head = {"key": self.key, "versions": dict(self.versions), "sha256": fingerprint_file(folder / TENSORS)}
            write_json(folder / DOCUMENT, {**head, **told})
            write_json(folder / TRAINER_STATE, state)
        for other in self._steps():
            if other != target:
                shutil.rmtree(other, ignore_errors=True)
        self._written = time.monotonic()

    def last(self) -> tuple[Path, dict[str, Tensor], dict[str, Any]] | None:
        """Return folder, tensors and document of the last checkpoint that can be used; None where there is none.

        One that is damaged, or was written with other versions of the packages, is passed over with a warning.
        """
        for folder in reversed(self._steps()):
            try:
                told = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
                if told["key"] != self.key:
                    raise ValueError("it is of another training")
                if told["versions"] != dict(self.versions):
                    raise ValueError("it was written with other versions of the packages")
                if told["sha256"] != fingerprint_file(folder / TENSORS):
                    raise ValueError(f"{TENSORS} is not what was written")
                return folder, load_weights(folder / TENSORS), told
            except (OSError, ValueError, KeyError, TypeError, ArtifactError) as error:
                logger.warning("The checkpoint '%s' is not used: %s.", folder, error)
        return None

    def clear(self) -> None:
        """Remove them: what they were for is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's moments by the number of the parameter and their name."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": tensor for number, own in state.items() for name, tensor in own.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]) -> None:
    """Put back what ``optimizer_tensors`` gave, and the groups' settings.

    Args:
        optimizer: over the same parameters.
        tensors: the moments.
        groups: of ``state_dict()["param_groups"]``, as JSON gives them back.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = tensor
    restored = [{name: tuple(value) if name == "betas" else value for name, value in group.items()} for group in groups]
    optimizer.load_state_dict({"state": state, "param_groups": restored})
