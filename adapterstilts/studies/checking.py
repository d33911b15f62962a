"""Whether the rows of tasks can be had, and have the form that the tasks say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapterstilts.data.rows import load_rows
from adapterstilts.data.sources import root_of_suite
from adapterstilts.errors import AdapterStiltsError
from adapterstilts.progress import Reporter
from adapterstilts.tasks.spec import DEFAULT_SUITE
from adapterstilts.tasks.suites import get_suite


@dataclass(frozen=True)
class Checked:
    """What a split of a task gave."""

    task: str
    split: str
    languages: tuple[str, ...]
    """Those of which a usable row was loaded."""
    missing: tuple[str, ...]
    """Languages of the task that the data do not have."""
    skipped: int
    """Rows that cannot be used, such as those without a gold label."""
    error: str
    """Why nothing could be loaded; empty if something could."""

    def to_json(self) -> dict[str, Any]:
        """Return it as documents tell it."""
        return asdict(self)


def check_tasks(
    names: Sequence[str] | None = None,
    *,
    suite: str = DEFAULT_SUITE,
    data_root: str | os.PathLike[str] | None = None,
    reporter: Reporter | None = None,
) -> list[Checked]:
    """Load a row of every split and language of tasks.

    Args:
        names: tasks; None is all of the suite, but for those that learn from text the user names.
        suite: the suite they are of.
        data_root: local mirror of the Hub; None asks ``ADAPTERSTILTS_DATA_ROOT``, then the Hub.
        reporter: told of the progress.

    Raises:
        UnknownNameError: there is no such suite or task.
        DataUnavailableError: the data root is no folder.
    """
    reporter = reporter or Reporter()
    world = get_suite(suite)
    usual = [name for name, task in world.tasks.items() if task.format != "language_modelling"]
    tasks = [world.task(name) for name in (usual if names is None else dict.fromkeys(names))]
    root = root_of_suite(suite, data_root)
    splits = [(task, split) for task in tasks for split in task.sources]
    found = []
    reporter.begin("Loading rows", len(splits))
    try:
        for done, (task, split) in enumerate(splits, start=1):
            try:
                rows = load_rows(task, split, root=root, max_examples=1)
                checked = Checked(task.name, split, rows.languages, rows.missing, sum(rows.skipped.values()), "")
            except AdapterStiltsError as error:
                checked = Checked(task.name, split, (), task.languages_of(split), 0, str(error))
            found.append(checked)
            reporter.advance(done)
    finally:
        reporter.end()
    return found
