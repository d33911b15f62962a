"""Tasks of the user's own, from files, for everything that is done inside a ``with`` block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adapterstilts.errors import SettingsError
from adapterstilts.tasks.spec import DEFAULT_SUITE, TaskSpec
from adapterstilts.tasks.suites import get_suite, with_tasks
from adapterstilts.tasks.task_files import read_task_file
from adapterstilts.training.recipes import own_settings


@contextmanager
def own_tasks(
    files: Sequence[str | os.PathLike[str]] | None, suite: str | None = None
) -> Iterator[tuple[TaskSpec, ...]]:
    """Let every function find tasks of the user's own, as the commands do with ``--task-file``.

    Args:
        files: a YAML file each (``adapterstilts.tasks.task_files``); a later one may train on the rows of an earlier.
        suite: the suite that is worked in, if not the default one.

    Yields:
        the tasks.

    Raises:
        SettingsError: a file cannot be read or says what a task cannot be, each fault with its key; or the suite is
            another one, since it has languages of its own.
    """
    if files and suite not in (None, DEFAULT_SUITE):
        raise SettingsError(f"--task-file adds tasks to the suite '{DEFAULT_SUITE}', not to '{suite}'; leave one out.")
    known = dict(get_suite().tasks)
    tasks = []
    for file in files or ():
        task = read_task_file(Path(file).expanduser(), known)
        own_settings(task)
        known[task.name] = task
        tasks.append(task)
    with with_tasks(tasks):
        yield tuple(tasks)
