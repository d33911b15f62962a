"""``languages``: the languages of a suite."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from adapterstilts.tasks.languages import pair_of
from adapterstilts.tasks.spec import DEFAULT_SUITE
from adapterstilts.tasks.suites import Suite as World
from adapterstilts.tasks.suites import get_suite

from .console import print_json, print_table, session
from .options import Json, Suite


def command(
    task: Annotated[str | None, typer.Option("--task", help="Only the languages of this task.")] = None,
    suite: Suite = DEFAULT_SUITE,
    json: Json = False,
) -> None:
    """List languages with family, script, XLM-R's text and target tasks; those of the lab by distance from the source.

    The distance is typological (Gower's, 0 to 1), over the features that are listed where they differ.
    """
    with session():
        world = get_suite(suite)
        asked = world.task(task).languages if task else tuple(world.languages)
        codes = tuple(dict.fromkeys(pair_of(code)[0] for code in asked))
        if world.typology:
            codes = world.by_distance(codes)
        rows = [_document(world, code) for code in codes]
        if json:
            print_json(rows)
            return
        print_table(_by_distance(rows) if world.typology else _plain(rows))


def _document(world: World, code: str) -> dict[str, Any]:
    language, typology = world.language(code), world.typology.get(code)
    return {
        "code": code,
        "name": language.name,
        "family": language.family,
        "script": language.script,
        "pretraining_gib": language.pretraining,
        "distance": round(typology.distance, 4) if typology else None,
        "differences": list(typology.differences) if typology else None,
        "seen": typology.seen if typology else None,
        "tasks": [spec.name for spec in world.tasks.values() if spec.kind == "target" and code in spec.languages],
    }


def _plain(rows: list[dict[str, Any]]) -> Table:
    table = Table("code", "name", "family", "script", "XLM-R read", "target tasks")
    table.columns[4].justify = "right"
    for row in rows:
        read = f"{row['pretraining_gib']:.1f} GiB" if row["pretraining_gib"] else "nothing"
        table.add_row(row["code"], row["name"], row["family"], row["script"], read, " ".join(row["tasks"]))
    return table


def _by_distance(rows: list[dict[str, Any]]) -> Table:
    table = Table("code", "name", "script", "distance", "differs in", "pretraining")
    for row in rows:
        seen = "seen" if row["seen"] else "unseen"
        differs = " ".join(row["differences"])
        table.add_row(row["code"], row["name"], row["script"], f"{row['distance']:.2f}", differs, seen)
    return table
