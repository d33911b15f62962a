"""Stages that take a moment, and what they leave in a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.training.stages import TrainingStage

#: Settings with which a stage takes a moment.
TINY: dict[str, Any] = {"steps": 3, "batch_size": 4, "max_length": 64, "evaluations": 1}
MakeStage = Callable[..., TrainingStage]


def artifact_of(kept: Store, name: str, seed: int = 0) -> Artifact:
    """Return the intermediate adapter for a task that was trained with a seed."""
    (found,) = kept.all(
        "intermediate", lambda item: (item.manifest["task"], item.manifest["settings"]["seed"]) == (name, seed)
    )
    return found


def weights(artifact: Artifact) -> dict[str, bytes]:
    """Return the bytes of each weights file."""
    return {
        path.relative_to(artifact.path).as_posix(): path.read_bytes()
        for path in sorted(artifact.path.rglob("*.safetensors"))
    }


@contextmanager
def short_recipes() -> Iterator[None]:
    """Let recipes of intermediate tasks train for a moment: they, and no option, set the training of their fusion."""
    from adapterstilts.studies import intermediates
    from adapterstilts.training.recipes import recipe_settings

    def short(task: Any, changes: Any = None) -> Any:
        return recipe_settings(
            task, TINY | {name: value for name, value in (changes or {}).items() if value is not None}
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intermediates, "recipe_settings", short)
        yield
