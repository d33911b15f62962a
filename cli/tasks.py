"""``tasks``: what can be named; ``tasks show``: one in full; ``tasks check``: whether its rows can be had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from adapterstilts.data.sources import places, root_of_suite
from adapterstilts.errors import SettingsError, unknown
from adapterstilts.studies.own_tasks import own_tasks
from adapterstilts.tasks.spec import DEFAULT_SUITE, Source, TaskSpec
from adapterstilts.tasks.suites import get_suite

from .console import MISTAKE, print_json, print_table, session
from .options import DataRoot, Json, Suite, TaskFiles

if TYPE_CHECKING:
    from adapterstilts.studies.checking import Checked

app = typer.Typer(name="tasks", help="List the intermediate and target tasks of a suite; show or check them.")


@app.callback(invoke_without_command=True)
def command(
    context: typer.Context,
    kind: Annotated[str | None, typer.Option("--kind", help="intermediate or target.")] = None,
    suite: Suite = DEFAULT_SUITE,
    task_file: TaskFiles = None,
    data_root: DataRoot = None,
    json: Json = False,
) -> None:
    """List the intermediate and target tasks of a suite, and where their rows would come from now.

    That is the data root (mirror), the Hugging Face cache, the Hub, or no; nothing is loaded for it.
    """
    if context.invoked_subcommand is not None and kind is None:
        return
    with session():
        if context.invoked_subcommand is not None:
            raise SettingsError(f"--kind is for the list; leave it out of `tasks {context.invoked_subcommand}`.")
    with session(), own_tasks(task_file, suite):
        tasks = get_suite(suite).tasks.values()
        kinds = sorted({task.kind for task in tasks})
        if kind is not None and kind not in kinds:
            raise unknown("kind of task", kind, kinds)
        chosen = [task for task in tasks if kind in (None, task.kind)]
        root = root_of_suite(suite, data_root)
        if json:
            print_json([_document(task, root) for task in chosen])
            return
        table = Table()
        for title in ("task", "kind", "format", "languages", "size", "rows", "data set", "licence"):
            whole = title in ("task", "kind", "format", "size")
            table.add_column(title, no_wrap=whole, min_width=20 if title == "data set" else None)
        for task in chosen:
            source = task.source(task.evaluation_split)
            number = len(task.languages)
            languages = task.languages[0] if number == 1 else str(number)
            data = ", ".join(f"{part.dataset} {part.config}" for part in (source, *source.more) if part.languages)
            data = data or f"{source.dataset} {source.config}"
            rows = _places(task, root)
            size = _size(task)
            table.add_row(task.name, task.kind, task.format, languages, size, rows, data, task.license)
        print_table(table)


def _given(context: typer.Context, name: str, value: Any) -> Any:
    """Return the value of an option of a subcommand: given after it, else before it, else from the environment."""

    def typed(where: Any) -> bool:
        source = where.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    before = context.parent
    return before.params[name] if before is not None and typed(before) and not typed(context) else value


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="TASK", help="A task, such as tydiqa.")],
    suite: Suite = DEFAULT_SUITE,
    task_file: TaskFiles = None,
    data_root: DataRoot = None,
    json: Json = False,
) -> None:
    """Show a task in full: where its rows are, its languages, labels, metric, recipe, licence and citation."""
    suite = _given(context, "suite", suite)
    with session(), own_tasks(_given(context, "task_file", task_file), suite):
        world = get_suite(suite)
        task = world.task(name)
        from adapterstilts.training.recipes import recipe_settings

        settings = vars(recipe_settings(task))
        root = root_of_suite(suite, _given(context, "data_root", data_root))
        if _given(context, "json", json):
            print_json(_document(task, root) | {"recipe": settings})
            return
        table = Table(title=f"{task.name}: {task.title}", title_justify="left", show_header=False)
        table.add_column("what", style="bold")
        table.add_column("value")
        rows: list[tuple[str, str]] = [("kind", task.kind), ("format", task.format)]
        rows += [(split, _where(source)) for split, source in task.sources.items()]
        if task.sizes:
            told = ", ".join(f"{split} {size:,}" for split, size in task.sizes.items())
            rows.append(("size", f"{told} rows, in all languages"))
        rows.append(("rows now", _places(task, root)))
        if task.candidates:
            rows.append(("candidates", f"{_where(task.candidates)}, {'one pool' if task.one_pool else 'by language'}"))
        if task.trains_on:
            rows.append(("trains on", f"the rows of {task.trains_on}"))
        if task.includes:
            rows.append(("includes", f"the training rows of {', '.join(task.includes)}"))
        names = ", ".join(f"{code} {world.language(code).name}" for code in task.languages)
        rows += [("languages", f"{len(task.languages)}: {names}")]
        if task.labels:
            rows.append(("labels", ", ".join(task.labels)))
        usual = {name: value for name, value in settings.items() if value not in (None, "")}
        rows += [
            ("metric", task.metric),
            ("recipe", ", ".join(f"{name.replace('_', '-')} {value}" for name, value in usual.items())),
            ("licence", task.license),
            ("citation", task.citation),
        ]
        if task.note:
            rows.append(("note", task.note))
        for what, value in rows:
            table.add_row(what, escape(value))
        print_table(table)


def _size(task: TaskSpec) -> str:
    """Return how many rows there are to train on, and to score in all languages, as far as that is known."""
    sizes = [task.sizes.get(split) for split in ("train", task.evaluation_split) if split in task.sources]
    short = ["?" if size is None else f"{size / 1000:,.0f}k" if size >= 10_000 else f"{size:,}" for size in sizes]
    return " / ".join(short) if any(sizes) else "?"


def _places(task: TaskSpec, root: Path | None) -> str:
    """Return where the rows of a task would come from now, for people."""
    told = {"hub": "Hub", "text": "--text FILE"}
    return ", ".join(told.get(place, place) for place in places(task, root)) or "no"


def _where(source: Source) -> str:
    parts = []
    for part in (source, *source.more):
        revision = f" at {part.revision[:10]}" if part.revision else ""
        where = (
            f"file {part.dataset}/{part.file}" if part.file else f"{part.dataset} {part.config} {part.split}{revision}"
        )
        if part.part != (0.0, 1.0):
            where += f", {part.part[0]:.0%} to {part.part[1]:.0%} of the rows"
        parts.append(f"{where} for {', '.join(part.languages)}" if part is not source and part.languages else where)
    return "; ".join(parts)


@app.command()
def check(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Tasks; all of the suite if left out.")
    ] = None,
    suite: Suite = DEFAULT_SUITE,
    task_file: TaskFiles = None,
    data_root: DataRoot = None,
    json: Json = False,
) -> None:
    """Load a row of each split and language of tasks, and say what cannot be had; exits with 2 if anything cannot."""
    suite = _given(context, "suite", suite)
    with session() as reporter, own_tasks(_given(context, "task_file", task_file), suite):
        from adapterstilts.studies.checking import check_tasks

        root = _given(context, "data_root", data_root)
        found = check_tasks(names or None, suite=suite, data_root=root, reporter=reporter)
        if _given(context, "json", json):
            print_json([one.to_json() for one in found])
        else:
            _show_checked(found)
        if any(one.error for one in found):
            raise typer.Exit(MISTAKE)


def _show_checked(found: list[Checked]) -> None:
    table = Table()
    for title in ("task", "split", "languages", "not there", "what is wrong"):
        table.add_column(title)
    for one in found:
        languages = str(len(one.languages)) if len(one.languages) != 1 else one.languages[0]
        table.add_row(one.task, one.split, languages, ", ".join(one.missing), escape(one.error))
    print_table(table)


def _document(task: TaskSpec, root: Path | None) -> dict[str, Any]:
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
        "more": [
            {
                "dataset": part.dataset,
                "config": part.config,
                "revision": part.revision,
                "languages": list(part.languages or task.languages),
            }
            for part in source.more
        ],
        "splits": list(task.sources),
        "sizes": dict(task.sizes),
        "rows_from": list(places(task, root)),
        "trains_on": task.trains_on or task.name,
        "labels": list(task.labels),
        "metric": task.metric,
        "license": task.license,
        "citation": task.citation,
        "note": task.note,
    }
