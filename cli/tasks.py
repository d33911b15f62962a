"""``tasks``: what can be named."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from adapterstilts.tasks.spec import DEFAULT_SUITE, TaskSpec
from adapterstilts.tasks.suites import get_suite

from .console import print_json, print_table, session
from .options import Json, Suite


def command(
    kind: Annotated[str | None, typer.Option("--kind", help="intermediate or target.")] = None,
    suite: Suite = DEFAULT_SUITE,
    json: Json = False,
) -> None:
    """List the intermediate and target tasks of a suite."""
    with session():
        from adapterstilts.errors import unknown

        tasks = get_suite(suite).tasks.values()
        kinds = sorted({task.kind for task in tasks})
        if kind is not None and kind not in kinds:
            raise unknown("kind of task", kind, kinds)
        chosen = [task for task in tasks if kind in (None, task.kind)]
        if json:
            print_json([_document(task) for task in chosen])
            return
        table = Table()
        for title in ("task", "kind", "format", "languages", "metric", "data set", "licence"):
            table.add_column(title)
        for task in chosen:
            source = task.source(task.evaluation_split)
            number = len(task.languages)
            languages = task.languages[0] if number == 1 else str(number)
            data = f"{source.dataset} {source.config}"
            table.add_row(task.name, task.kind, task.format, languages, task.metric, data, task.license)
        print_table(table)


def _document(task: TaskSpec) -> dict[str, Any]:
    source = task.source(task.evaluation_split)
    return {
        "name": task.name,
        "kind": task.kind,
        "format": task.format,
        "title": task.title,
        "languages": list(task.languages),
        "dataset": source.dataset,
        "config": source.config,
        "revision": source.revision,
        "splits": list(task.sources),
        "trains_on": task.trains_on or task.name,
        "labels": list(task.labels),
        "metric": task.metric,
        "license": task.license,
        "citation": task.citation,
    }
