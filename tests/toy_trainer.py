"""Our trainer on toy data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapterstilts.models.backbone import ComposedModel
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import Encoded
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.trainer import StiltsTrainer


def trainer_for(
    composed: ComposedModel,
    task_name: str,
    features: Encoded,
    folder: Path,
    *,
    validate: Callable[[], Mapping[str, float]] = lambda: {"accuracy": 0.0},
    **settings: Any,
) -> StiltsTrainer:
    """Return our trainer on a few features."""
    chosen = TrainingSettings(**{"steps": 1, "warmup_ratio": 0.0, "evaluations": 1, **settings})
    return StiltsTrainer(
        composed, get_task(task_name), features, validate, chosen, title="a test", output_dir=str(folder)
    )
