"""``export ARTIFACT... --to DIR``: stored evaluations as a folder of predictions in XTREME's layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .console import notes, print_json, print_table, session
from .options import DataRoot, Json, StoreFolder

if TYPE_CHECKING:
    from adapterstilts.studies.exporting import Exported


def command(
    artifacts: Annotated[
        list[str],
        typer.Argument(
            metavar="ARTIFACT...", help="Ids of evaluations, one a task, or of adapters whose evaluations are taken."
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="New folder for the predictions.")],
    labels: Annotated[
        Path | None, typer.Option("--labels", help="New folder for the right answers to the same rows.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also write samples, and evaluations of some languages.")
    ] = False,
    data_root: DataRoot = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Write predictions as TASK/test-LANGUAGE.tsv, .json or .jsonl, the layout that `score` reads; checked complete.

    Example: adapterstilts export xnli.mnli panx.mnli --to predictions
    """
    with session() as reporter:
        from adapterstilts.studies.exporting import export

        written = export(
            artifacts, to, labels=labels, partial=partial, data_root=data_root, store=store, reporter=reporter
        )
        if json:
            print_json(written.to_json())
        else:
            _show(written)


def _show(written: Exported) -> None:
    table = Table(caption=str(written.predictions), caption_justify="left")
    for title in ("task", "evaluation", "languages", "rows", "mean score", "lacks"):
        table.add_column(
            title, overflow="fold", justify="right" if title in ("languages", "rows", "mean score") else "left"
        )
    for task in written.tasks:
        mean = sum(task.scores.values()) / len(task.scores)
        rows = str(sum(task.rows.values()))
        table.add_row(task.folder, task.evaluation, str(len(task.rows)), rows, f"{mean:.1f}", "; ".join(task.lacks))
    print_table(table)
    if written.labels is not None:
        notes.print(f"Labels: {written.labels}", soft_wrap=True)
    for note in written.notes:
        notes.print(note, soft_wrap=True)
