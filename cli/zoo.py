"""``zoo``: what there is to build on, in the store, in the bundled index, on the Hub; and whether it is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from adapterstilts.errors import ArtifactError

from .console import foreign, notes, print_json, print_table, result_console, session
from .options import Json, StoreFolder
from .pull import show_pulled

if TYPE_CHECKING:
    from adapterstilts.studies.zoo import Offer

app = typer.Typer(
    name="zoo",
    help="Adapters and compositions that are there: in the store, in the index, on the Hub.",
    no_args_is_help=True,
)

OnBackbone = Annotated[str | None, typer.Option("--backbone", help="Only for this backbone, by its name.")]
ForTask = Annotated[str | None, typer.Option("--task", help="Only what has to do with this task.")]
Elsewhere = Annotated[
    str | None, typer.Option("--backbone", help="Where the backbone is, if not where the artifact says.")
]


@app.command("list")
def list_(backbone: OnBackbone = None, task: ForTask = None, store: StoreFolder = None, json: Json = False) -> None:
    """List what the store and the bundled index of published adapters have."""
    with session():
        from adapterstilts.studies.zoo import offers

        _show_offers(
            offers(backbone=backbone, task=task, store=store), "Nothing like that in the store or the index.", json
        )


@app.command()
def search(backbone: OnBackbone = None, task: ForTask = None, json: Json = False) -> None:
    """List what the Hub has with the tag adapterstilts. Anybody can publish there: look before you add."""
    with session():
        from adapterstilts.studies.zoo import search

        _show_offers(search(backbone=backbone, task=task), "The Hub has nothing like that.", json)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Id in the store, name in the index, or USER/REPO on the Hub.")],
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Show one of them; of a repository on the Hub, its card."""
    with session():
        from adapterstilts.studies.zoo import show

        told = show(name, store=store)
        if json:
            print_json(told)
        elif "card" in told:
            result_console().print(foreign(told["card"]), soft_wrap=True)
        else:
            _show_facts(dict(told))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name in the index, or USER/REPO, or USER/REPO@REVISION.")],
    backbone: Elsewhere = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Take one of the index, or of the Hub, into the store, as `pull` does."""
    with session() as reporter:
        from adapterstilts.studies.zoo import add

        show_pulled(add(name, backbone=backbone, store=store, reporter=reporter), json=json)


@app.command()
def check(
    artifacts: Annotated[
        list[str] | None, typer.Argument(metavar="[ARTIFACT]...", help="Ids; all if left out.")
    ] = None,
    backbone: Elsewhere = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Verify the store: hashes of all files, keys and shapes on the backbone, one forward pass each."""
    with session() as reporter:
        from adapterstilts.store.artifacts import Store
        from adapterstilts.studies.verifying import conditions

        found = list(conditions(Store(store), backbone=backbone, names=tuple(artifacts or ()), reporter=reporter))
        if json:
            print_json([condition.to_json() for condition in found])
        else:
            table = Table()
            for title in ("artifact", "kind", "condition"):
                table.add_column(title, overflow="fold")
            for condition in found:
                table.add_row(foreign(condition.artifact), condition.kind, foreign(condition.fault) or "whole")
            print_table(table)
        if damaged := [condition for condition in found if condition.fault]:
            raise ArtifactError(f"{len(damaged)} of {len(found)} artifacts cannot be used: {damaged[0].artifact}.")


def _show_offers(found: list[Offer], nothing: str, json: bool) -> None:
    if json:
        print_json([offer.to_json() for offer in found])
        return
    if not found:
        notes.print(nothing)
        return
    table = Table()
    for title in ("name", "where", "kind", "task", "backbone", ""):
        table.add_column(title, overflow="fold")
    for offer in found:
        table.add_row(*map(foreign, (offer.name, offer.where, offer.kind, offer.task, offer.backbone, offer.note)))
    print_table(table)


def _show_facts(told: dict[str, Any]) -> None:
    console = result_console()
    results = told.pop("results", [])
    for key, value in told.items():
        if value:
            console.print(f"{key:<10} {foreign(str(value))}", soft_wrap=True)
    for result in results:
        table = Table(caption=foreign(f"{result['task']}, {result['split']}"), caption_justify="left")
        names = [name for name in next(iter(result["languages"].values())) if name != "examples"]
        for title in ("language", "rows", *names):
            table.add_column(foreign(title))
        for code, scores in result["languages"].items():
            table.add_row(foreign(code), str(scores["examples"]), *(f"{scores[name]:.1f}" for name in names))
        print_table(table)
