"""Tasks and text of the user's own, from files, for everything that is done inside a ``with`` block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adapterstilts.data.texts import with_texts
from adapterstilts.errors import SettingsError
from adapterstilts.models.expression import Mix, trained_parts
from adapterstilts.models.grammar import parse
from adapterstilts.tasks.spec import DEFAULT_SUITE, TaskSpec
from adapterstilts.tasks.suites import get_suite, with_tasks
from adapterstilts.tasks.task_files import read_task_file
from adapterstilts.training.recipes import own_settings

PLAIN_TEXT = "mlm"
"""The task that learns from text that the user names."""


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


@contextmanager
def own_text(
    texts: Sequence[str | os.PathLike[str]] | None, expressions: Sequence[str], suite: str | None = None
) -> Iterator[None]:
    """Let mixtures with ``mlm`` learn from text of the user's own, as ``compose`` does with ``--text``.

    ``mix(4*squad, mlm)`` goes on with masked-language modelling in every fifth batch, while SQuAD is learnt.

    Args:
        texts: files of plain text, a document or a sentence a line.
        expressions: what is composed.
        suite: the suite that is worked in, if not the default one.

    Raises:
        ExpressionError: an expression cannot be read.
        SettingsError: there is text, and no mixture that learns from it; or a file is named twice.
    """
    if not texts:
        yield
        return
    task = with_texts(get_suite(suite or DEFAULT_SUITE).task(PLAIN_TEXT), texts)
    parts = [part for text in expressions for part in trained_parts(parse(text))]
    if not any(isinstance(part, Mix) and PLAIN_TEXT in part.names for part in parts):
        raise SettingsError(
            f"--text is for {PLAIN_TEXT} in a mixture, as in 'mix(4*squad, {PLAIN_TEXT})'; an adapter from text alone "
            f"is trained by `adapterstilts train-intermediate {PLAIN_TEXT} --text FILE`. Leave --text out."
        )
    with with_tasks([task]):
        yield
