"""``pull USER/REPO``: an adapter or a composition from the Hub into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adapterstilts.studies.own_tasks import own_tasks
from adapterstilts.tasks.spec import DEFAULT_SUITE

from .console import foreign, notes, print_json, result_console, session
from .options import Json, StoreFolder, Suite, TaskFiles

if TYPE_CHECKING:
    from adapterstilts.studies.sharing import Pulled

STATES = {
    "pulled": "Pulled from {repo} at {commit}.",
    "there": "The store had it already, to the bit.",
    "kept": "The store keeps its own {artifact}, of the same settings and data and with other weights.",
}


def command(
    repo: Annotated[str, typer.Argument(metavar="USER/REPO[@REVISION]", help="Repository, and branch, tag or commit.")],
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone", help="Where the backbone is, if not where the artifact says; or that a new one may be loaded."
        ),
    ] = None,
    as_task: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="TASK",
            help="Take an adapter that the adapters library saved, such as AdapterHub/NAME, as that of this "
            "intermediate task; --backbone says what it is on, if not the suite's.",
        ),
    ] = None,
    suite: Suite = DEFAULT_SUITE,
    task_file: TaskFiles = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Take an artifact from the Hub into the store; hashes, keys, shapes and labels are checked before.

    Example: adapterstilts pull alice/squad-xlmr@v1
    """
    with session() as reporter, own_tasks(task_file, suite):
        from adapterstilts.studies.adopting import adopt
        from adapterstilts.studies.sharing import pull

        if as_task is None:
            pulled = pull(repo, backbone=backbone, store=store, reporter=reporter)
        else:
            pulled = adopt(repo, as_task, suite=suite, backbone=backbone, store=store, reporter=reporter)
        show_pulled(pulled, json=json)


def show_pulled(pulled: Pulled, *, json: bool) -> None:
    """Tell what came from where."""
    if json:
        print_json(pulled.to_json())
        return
    told = pulled.to_json()
    result_console().print(foreign(pulled.artifact.id), soft_wrap=True)
    notes.print(foreign(STATES[pulled.state].format(**told)), soft_wrap=True)
