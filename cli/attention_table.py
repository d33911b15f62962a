"""How much a fusion takes of each adapter: as CSV, and as a small table on the terminal."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from adapterstilts.tasks.suites import get_suite

from .console import notes, result_console

if TYPE_CHECKING:
    from adapterstilts.evaluation.fusion_attention import Weight
    from adapterstilts.tasks.spec import TaskSpec


def show_attention(weights: tuple[Weight, ...], task: TaskSpec, path: Path, *, json: bool) -> None:
    """Write the weights to a file, and show their means over the layers unless ``json``."""
    from adapterstilts.evaluation.fusion_attention import Weight, means_over_layers

    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(Weight._fields)
        writer.writerows(weight._replace(weight=round(weight.weight, 6)) for weight in weights)
    notes.print(f"Attention of the fusion, by layer: {path}", soft_wrap=True)
    if json:
        return
    suite = get_suite(task.suite)
    means = means_over_layers(weights)
    table = Table(title="Attention of the fusion, mean over the layers", title_justify="left")
    table.add_column("language")
    for adapter in next(iter(means.values())):
        table.add_column(adapter, justify="right")
    for code, by_adapter in means.items():
        table.add_row(f"{suite.language(code).name} ({code})", *(f"{value:.3f}" for value in by_adapter.values()))
    result_console().print(table)
