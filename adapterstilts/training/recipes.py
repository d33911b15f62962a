"""Recipes: the settings that suit a task, one YAML file each, in the zoo."""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Mapping
from typing import Any

from adapterstilts.errors import SettingsError
from adapterstilts.tasks.spec import TaskSpec
from adapterstilts.training.settings import TrainingSettings


def recipe_settings(task: TaskSpec, changes: Mapping[str, Any] | None = None) -> TrainingSettings:
    """Return the settings of a task's recipe, with what the user gave in place of its own.

    Args:
        task: the task.
        changes: settings by name; None values are passed over.

    Raises:
        SettingsError: the recipe or a given value is wrong.
    """
    settings = TrainingSettings().replaced(_read(task.name))
    return settings.replaced(changes or {})


def _read(name: str) -> Mapping[str, Any]:
    import yaml

    path = importlib.resources.files("adapterstilts.zoo") / "recipes" / f"{name}.yaml"
    if not path.is_file():
        raise SettingsError(f"The zoo has no recipe for '{name}' (adapters_zoo/recipes/{name}.yaml).")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise SettingsError(f"The recipe of '{name}' has no settings.")
    return {key: _number(value) for key, value in content["settings"].items()}


def _number(value: Any) -> Any:
    """Read ``1e-4``, which YAML 1.1 takes for text, as the number that is meant."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return number if math.isfinite(number) else value
    return value
