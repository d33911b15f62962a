"""``runs``: what the store holds."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from adapterstilts.errors import unknown
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.suites import get_suite

from .console import notes, print_json, print_table, result_console, session
from .options import Json, StoreFolder

KINDS = ("intermediate", "mixed", "merged", "language", "target", "evaluation")


def command(
    artifact: Annotated[str | None, typer.Argument(help="Show one artifact in full.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="intermediate, mixed, merged, language, target or evaluation.")
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="Only artifacts of this suite.")] = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """List finished artifacts, oldest first, or show one."""
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
