"""``tasks``: those of the catalogue."""

from __future__ import annotations

from calling import document

from adapterstilts.tasks.catalogue import TASKS


def test_tasks_are_those_of_the_catalogue() -> None:
    assert [task["name"] for task in document("tasks", "tasks")] == list(TASKS)
    assert {task["kind"] for task in document("tasks", "tasks", "--kind", "target")} == {"target"}
