"""Marks that tests of several files carry."""

from __future__ import annotations

import pytest

from adapterstilts.tasks.catalogue import TASKS

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
