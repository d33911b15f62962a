"""Marks that tests of several files carry."""

from __future__ import annotations

import pytest

from adapterstilts.tasks.catalogue import TASKS, XTREME_R_TASKS
from adapterstilts.tasks.catalogue.xtreme_r import CHANGED

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)

#: With those that XTREME-R has other rows for.
every_task_of_the_hub = pytest.mark.parametrize(
    "task", [*TASKS.values(), *(XTREME_R_TASKS[name] for name in CHANGED)], ids=lambda task: f"{task.suite}-{task.name}"
)
