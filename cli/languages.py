"""``languages``: the languages of the target tasks."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from adapterstilts.tasks.catalogue import TASKS, get_task
from adapterstilts.tasks.languages import LANGUAGES

from .console import print_json, print_table, session
from .options import Json


def command(
    task: Annotated[str | None, typer.Option("--task", help="Only the languages of this task.")] = None,
    json: Json = False,
) -> None:
    """List languages with their family, script and target tasks."""
    with session():
        codes = get_task(task).languages if task else tuple(LANGUAGES)
        targets = [spec for spec in TASKS.values() if spec.kind == "target"]
        rows = [
            {
                "code": code,
                "name": LANGUAGES[code].name,
                "family": LANGUAGES[code].family,
                "script": LANGUAGES[code].script,
                "tasks": [spec.name for spec in targets if code in spec.languages],
            }
            for code in codes
        ]
        if json:
            print_json(rows)
            return
        table = Table()
        for title in ("code", "name", "family", "script", "target tasks"):
            table.add_column(title)
        for row in rows:
            table.add_row(*(value if isinstance(value, str) else " ".join(value) for value in row.values()))
        print_table(table)
