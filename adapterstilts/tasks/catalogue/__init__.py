"""The tasks that can be named. To add one, add an entry to a module of this package, and a recipe to the zoo.

``TASKS`` are those of the suite xtreme (with XCOPA, which is XTREME-R's), ``XTREME_R_TASKS`` those of xtreme-r: the
intermediate tasks are the same, and of the targets a few have other test rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from adapterstilts.errors import unknown
from adapterstilts.tasks.catalogue import intermediate, plain_text, retrieval, xtreme, xtreme_r
from adapterstilts.tasks.spec import XTREME_R, Kind, TaskSpec

TASKS: dict[str, TaskSpec] = {
    task.name: task
    for task in (*intermediate.TASKS, *plain_text.TASKS, *xtreme.TASKS, *xtreme_r.TASKS, *retrieval.TASKS)
}

XTREME_R_TASKS: dict[str, TaskSpec] = {
    name: replace(task, suite=XTREME_R)
    for name, task in {**TASKS, **xtreme_r.CHANGED}.items()
    if task.kind == "intermediate" or name in xtreme_r.TARGETS
}


def get_task(
    name: str, kind: Kind | None = None, among: Mapping[str, TaskSpec] = TASKS, *, see: str = "adapterstilts tasks"
) -> TaskSpec:
    """Return the task ``name``, of ``kind`` if one is given.

    Args:
        name: what the user typed.
        kind: ``intermediate`` or ``target``; None is either.
        among: the tasks of the suite, by name.
        see: the command that lists them.

    Raises:
        UnknownNameError: there is no such task, or it is of the other kind; the nearest right name is given.
    """
    of_kind = [task.name for task in among.values() if kind in (None, task.kind)]
    if name in of_kind:
        return among[name]
    what = "task" if kind is None else f"{kind} task"
    if name in among:
        raise unknown(
            what,
            name,
            [],
            hint=f"'{name}' is {_article(among[name].kind)} task; {kind} tasks are: {', '.join(of_kind)}.",
        )
    raise unknown(what, name, of_kind, hint=f"See `{see}`.")


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
