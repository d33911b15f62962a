"""``runs``: what the store holds, and ``runs clean``: what killed processes left in it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from adapterstilts.errors import unknown
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.cleaning import leftovers, remove
from adapterstilts.tasks.suites import get_suite

from .console import notes, print_json, print_table, result_console, session
from .options import Json, StoreFolder

KINDS = ("intermediate", "mixed", "merged", "fusion", "language", "target", "ensemble", "evaluation")


SHOW = "show"


class _ShowsByDefault(TyperGroup):
    """`runs` and `runs ARTIFACT` show; other commands are named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        asks_for_help = bool(args) and args[0] in ctx.help_option_names
        if not asks_for_help and (not args or args[0] not in self.commands):
            args = [SHOW, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="runs", cls=_ShowsByDefault, help="List finished artifacts, show one, or clean up after killed processes."
)


@app.command(SHOW)
def show(
    artifact: Annotated[str | None, typer.Argument(help="Show one artifact in full.")] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="intermediate, mixed, merged, fusion, language, target, ensemble or evaluation."),
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="Only artifacts of this suite.")] = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """List finished artifacts, oldest first, or show one; the word `show` may be left out."""
    with session():
        if kind is not None and kind not in KINDS:
            raise unknown("kind of artifact", kind, KINDS)
        wanted = None if suite is None else get_suite(suite).name
        kept = Store(store)
        if artifact is not None:
            found = kept.get(artifact)
            if json:
                print_json(_document(found))
            else:
                result_console().print_json(data=_document(found))
            return
        found_all = kept.all(kind, lambda item: wanted in (None, item.suite))
        if json:
            print_json([_document(item) for item in found_all])
            return
        if not found_all:
            of_suite = f" of the suite '{wanted}'" if wanted else ""
            holds = f"has no {kind or 'finished'} artifact{of_suite}" if kind or wanted else "is empty"
            notes.print(f"The store {kept.home} {holds}.", soft_wrap=True)
            return
        table = Table(caption=str(kept.home), caption_justify="left")
        for title in ("artifact", "suite", "kind", "backbone", "score", "seconds", "made"):
            table.add_column(title, overflow="fold")
        for item in found_all:
            manifest = item.manifest
            seconds = manifest.get("resources", {}).get("wall_seconds", "")
            backbone = manifest.get("backbone", {}).get("id", "")
            made = str(manifest["created"])[:16]
            table.add_row(item.id, item.suite, item.kind, backbone, _score(item), str(seconds), made)
        print_table(table)


@app.command()
def clean(
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Remove checkpoints of unfinished trainings, too.")
    ] = False,
    hidden_states: Annotated[
        bool, typer.Option("--hidden-states", help="Remove hidden states kept for trainings with --drop-layers, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and remove nothing.")] = False,
    store: StoreFolder = None,
) -> None:
    """Remove what killed processes left in the store: half-written folders, and checkpoints that nothing needs.

    What has changed in the last ten minutes stays: it may be somebody's at work.
    """
    with session():
        home = Store(store).home
        found = leftovers(home)
        spared = {*(() if checkpoints else ("unfinished",)), *(() if hidden_states else ("hidden states",))}
        going = [item for item in found if item.kind not in spared]
        staying = [item for item in found if item.kind == "unfinished" and item not in going]
        kept = [item for item in found if item.kind == "hidden states" and item not in going]
        if not dry_run:
            remove(home, going)
        for item in going:
            notes.print(f"{item.kind}: {item.path} ({_megabytes(item.size)})", soft_wrap=True, markup=False)
        total = _megabytes(sum(item.size for item in going))
        would = "would be removed" if dry_run else "removed"
        notes.print(
            f"{len(going)} of {home} {would}, {total}." if going else f"Nothing is left over in {home}.", soft_wrap=True
        )
        if staying:
            trainings = f"{len(staying)} unfinished training{'s' if len(staying) > 1 else ''}"
            notes.print(
                f"Checkpoints of {trainings} stay ({_megabytes(sum(item.size for item in staying))}): the same command "
                "goes on from them. --checkpoints removes them.",
                soft_wrap=True,
            )
        if kept:
            notes.print(
                f"Hidden states of {len(kept)} sets of rows stay ({_megabytes(sum(item.size for item in kept))}): "
                "trainings with the same --drop-layers use them. --hidden-states removes them.",
                soft_wrap=True,
            )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _document(artifact: Artifact) -> dict[str, Any]:
    return {"path": str(artifact.path), **artifact.manifest}


def _score(artifact: Artifact) -> str:
    metrics = artifact.manifest.get("metrics", {})
    if artifact.kind == "evaluation":
        mains = [
            next((value for key, value in scores.items() if key != "examples"), 0.0) for scores in metrics.values()
        ]
        return f"{sum(mains) / len(mains):.1f} in {len(mains)} languages" if mains else ""
    validation = metrics.get("validation", {})
    return ", ".join(f"{name} {value:.1f}" for name, value in list(validation.items())[:1])
