"""Recipes: the settings that suit a task, in the zoo: one YAML file a task, and one for all of the lab.

XTREME-R has those of XTREME.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from adapterstilts.bundled import read_zoo
from adapterstilts.errors import SettingsError, nearest
from adapterstilts.models.full import FULL
from adapterstilts.tasks.spec import DEFAULT_SUITE, TaskSpec, base_suite
from adapterstilts.training.settings import TrainingSettings

FULL_RATE = 0.1
"""Learning rate of full fine-tuning over that of adapters, where the user gives none: recipes are for adapters.

Adapters are trained with 1e-4 (Pfeiffer et al. 2021), XLM-R itself with 1e-5 (Phang et al. 2020).
"""


def recipe_settings(task: TaskSpec, changes: Mapping[str, Any] | None = None) -> TrainingSettings:
    """Return the settings of a task's recipe, with what the user gave in place of its own.

    Args:
        task: the task.
        changes: settings by name; None values are passed over.

    The recipe's reduction factor is that of its own kind of adapter: another kind that has none goes without.

    Raises:
        SettingsError: the recipe or a given value is wrong.
    """
    given = {name: value for name, value in (changes or {}).items() if value is not None}
    own = own_settings(task) if task.definition else TrainingSettings().replaced(_read(task))
    kind = given.get("adapter", own.adapter)
    if kind == own.adapter:
        return own.replaced(given)
    if kind == FULL:  # the recipe's rate is one for adapters
        given = {"learning_rate": own.learning_rate * FULL_RATE} | given
    from adapterstilts.models.configs import has_reduction_factor

    if not has_reduction_factor(kind):
        own = dataclasses.replace(own, reduction_factor=None)
    return own.replaced(given)


def own_settings(task: TaskSpec) -> TrainingSettings:
    """Return the settings that a task file gives, the usual ones for all else.

    Raises:
        SettingsError: a setting that there is not, or a value of the wrong kind or out of range; names the key.
    """
    kinds = get_type_hints(TrainingSettings)
    given = _numbers(task.recipe)
    faults = []
    for name, value in given.items():
        if name not in kinds:
            best = nearest(name, kinds)
            hint = f"did you mean '{best}'?" if best else f"there are {', '.join(kinds)}"
            faults.append(f"settings.{name}: there is no such training setting; {hint}")
        elif not _is_of(kinds[name], value):
            faults.append(f"settings.{name}: must be {_KINDS[_without_none(kinds[name])]}, not {value!r}")
    if not faults:
        try:
            return TrainingSettings().replaced(given)
        except SettingsError as error:
            faults.append(f"settings: {error}")
    raise SettingsError(f"The task file of '{task.name}' cannot be used:" + "".join(f"\n- {fault}" for fault in faults))


_KINDS = {int: "a whole number", float: "a number", str: "a text"}


def _without_none(kind: Any) -> Any:
    return next((part for part in get_args(kind) if part is not type(None)), kind)


def _is_of(kind: Any, value: Any) -> bool:
    wanted = _without_none(kind)
    return type(value) is wanted or (wanted is float and type(value) is int) or (value is None and wanted is not kind)


def _read(task: TaskSpec) -> Mapping[str, Any]:
    return _own(task) if base_suite(task.suite) == DEFAULT_SUITE else _shared(task)


def _own(task: TaskSpec) -> Mapping[str, Any]:
    """Return the settings of the file that is for this task alone."""
    content = _content(task, f"{task.name}.yaml")
    if not isinstance(content.get("settings"), dict):
        raise SettingsError(f"The recipe of '{task.name}' has no settings.")
    return _numbers(content["settings"])


def _shared(task: TaskSpec) -> Mapping[str, Any]:
    """Return the settings of a task in the file of its suite: the defaults there, and what the task changes."""
    content = _content(task, f"{task.suite}.yaml")
    defaults, tasks = content.get("defaults"), content.get("tasks")
    own = tasks.get(task.name, {}) if isinstance(tasks, dict) else None
    if not isinstance(defaults, dict) or not isinstance(own, dict):
        raise SettingsError(f"The recipe of the suite '{task.suite}' needs 'defaults' and 'tasks', with settings each.")
    return _numbers(defaults | own)


def _content(task: TaskSpec, name: str) -> Mapping[str, Any]:
    try:
        content = read_zoo(f"recipes/{name}")
    except FileNotFoundError:
        raise SettingsError(f"The zoo has no recipe for '{task.name}' (adapters_zoo/recipes/{name}).") from None
    return content if isinstance(content, dict) else {}


def _numbers(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    texts = {name for name, kind in get_type_hints(TrainingSettings).items() if _without_none(kind) is str}
    return {key: value if key in texts else _number(value) for key, value in settings.items()}


def _number(value: Any) -> Any:
    """Read ``1e-4``, which YAML 1.1 takes for text, as the number that is meant."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return number if math.isfinite(number) else value
    return value
