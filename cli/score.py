"""``score PREDICTIONS LABELS``: scores of a folder of predictions in the layout of the XTREME repository."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from .console import notes, print_json, print_table, session
from .options import Json

if TYPE_CHECKING:
    from adapterstilts.evaluation.submissions import Submission


def command(
    predictions: Annotated[Path, typer.Argument(help="Folder with a folder a task: xnli/test-de.tsv and so on.")],
    labels: Annotated[Path, typer.Argument(help="The same with the right answers.")],
    suite: Annotated[
        str, typer.Option("--suite", help="xtreme or xtreme-r: which tasks, languages and averages.")
    ] = "xtreme",
    languages: Annotated[str, typer.Option("--languages", help="'all', or codes such as de,sw.")] = "all",
    json: Json = False,
) -> None:
    """Score predictions as XTREME's own script does, and average them.

    Files are named TASK/test-LANGUAGE.tsv (xnli, pawsx, udpos, panx, bucc2018, tatoeba), .json (xquad, mlqa, tydiqa,
    mewslix, lareqa) or .jsonl (xcopa). Tasks that are in both folders are scored.
    """
    with session():
        from adapterstilts.evaluation.averages import get_benchmark
        from adapterstilts.evaluation.submissions import score_folders
        from adapterstilts.tasks.languages import parse_languages

        benchmark = get_benchmark(suite)
        known = tuple(sorted({code for codes in benchmark.languages.values() for code in codes}))
        found = score_folders(predictions, labels, benchmark, parse_languages(languages, known, what=suite))
        for warning in found.warnings:
            notes.print(f"[yellow]Warning:[/] {escape(warning)}", soft_wrap=True)
        if json:
            print_json(document(found))
        else:
            _show(found)


def document(found: Submission) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "scores": {
            task: {code: {name: round(value, 4) for name, value in metrics.items()} for code, metrics in codes.items()}
            for task, codes in found.scores.items()
        },
        "averages": asdict(found.averages),
        "warnings": list(found.warnings),
    }


def _show(found: Submission) -> None:
    from adapterstilts.evaluation.averages import SCORED_BY

    tasks = list(found.scores)
    table = Table(title="Scores by language, in percent (questions: F1 / exact match)", title_justify="left")
    table.add_column("language")
    for task in tasks:
        table.add_column(task, justify="right")
    codes = sorted({code for by_language in found.scores.values() for code in by_language})
    for code in codes:
        cells = []
        for task in tasks:
            metrics = found.scores[task].get(code, {})
            cells.append(" / ".join(f"{metrics[name]:.1f}" for name in reversed(SCORED_BY[task]) if name in metrics))
        table.add_row(code, *cells)
    print_table(table)
    table = Table(title="Averages", title_justify="left")
    for title in ("task", "languages", "score", "without English", "transfer gap"):
        table.add_column(title, justify="left" if title == "task" else "right")
    averages = found.averages
    for task, mean in averages.tasks.items():
        scored = len(found.scores[task])
        count = f"{scored} of {scored + len(mean.missing)}" if mean.missing else f"{scored}"
        table.add_row(task, count, f"{mean.score:.2f}", _number(mean.without_english), _number(mean.gap))
    table.add_section()
    for group, value in averages.groups.items():
        table.add_row(group, "", _number(value), "", "")
    table.add_section()
    table.add_row("all tasks", "", _number(averages.all_tasks), "", "")
    table.add_row("all without retrieval", "", _number(averages.without_retrieval), "", "")
    print_table(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
