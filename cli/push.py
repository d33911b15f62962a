"""``push ARTIFACT USER/REPO``: an adapter or a composition to the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import foreign, notes, print_json, result_console, session
from .options import Json, StoreFolder

if TYPE_CHECKING:
    from adapterstilts.studies.sharing import Pushed

CARD_LINES = 40
"""Of the card that are shown."""


def command(
    artifact: Annotated[str, typer.Argument(help="Id of an artifact, or its beginning; see `adapterstilts runs`.")],
    repo: Annotated[str, typer.Argument(metavar="USER/REPO", help="Repository; made if it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="A new repository is for its owner alone.")] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", help="Branch to put it on; made if it is not there.")
    ] = None,
    dry_run: Annotated[
        Path | None, typer.Option("--dry-run", metavar="DIR", help="Write all of it to this new folder, send nothing.")
    ] = None,
    license: Annotated[
        str | None, typer.Option("--license", help="The Hub's name of a licence for the card, such as apache-2.0.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Where the backbone is, if no longer where it was.")
    ] = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Put an artifact into a repository on the Hub, with a card made from its manifest and its evaluations.

    Example: adapterstilts push tydiqa.mnli+squad alice/tydiqa-xlmr --dry-run look-first
    """
    with session() as reporter:
        from adapterstilts.studies.sharing import push

        pushed = push(
            artifact,
            repo,
            private=private,
            revision=revision,
            dry_run=dry_run,
            license=license,
            backbone=backbone,
            store=store,
            reporter=reporter,
        )
        if json:
            print_json(pushed.to_json())
        else:
            _show(pushed)


def _show(pushed: Pushed) -> None:
    console = result_console()
    for name, size in pushed.files.items():
        console.print(f"{size:>12,}  {foreign(name)}", soft_wrap=True)
    lines = pushed.card.splitlines()
    console.print()
    console.print(foreign("\n".join(lines[:CARD_LINES])), soft_wrap=True)
    if len(lines) > CARD_LINES:
        console.print(f"… and {len(lines) - CARD_LINES} more lines of the card")
    if pushed.commit is None:
        notes.print(f"Written to {foreign(str(pushed.folder))}; nothing was sent.", soft_wrap=True)
    else:
        notes.print(f"{pushed.artifact} is at {pushed.repo}, commit {pushed.commit}.", soft_wrap=True)
