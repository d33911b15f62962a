"""Several compositions: their plan, and their tables, on the terminal and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from .console import print_json, result_console
from .transfer_table import (
    CSV_NUMBERS,
    TITLES,
    csv_rows,
    difference,
    interval,
    is_sure,
    labelled_cells,
    left_out,
    published_scores,
    remarks,
    same_rows,
    tell_made,
    transfer_document,
)

if TYPE_CHECKING:
    from rich.console import Console

    from adapterstilts.studies.comparison import Cell
    from adapterstilts.studies.grids import Grid, GridRow
    from adapterstilts.studies.outcome import Transfer
    from adapterstilts.studies.plans import Plan, PlannedStage

LAST = ("target", "evaluation")
"""Kinds of stages that a plan shows after all others."""
WIDE = 1000
"""Columns for tables that grow with the number of targets and expressions, where there is no terminal."""


def show_plan(plan: Plan, *, json: bool = False, stderr: bool = False) -> None:
    """Show what a plan has and needs, each stage once: on stdout, or on stderr where it comes before the result."""
    if json:
        print_json(plan.to_json())
        return
    console = result_console(width=WIDE, stderr=stderr)
    table = Table("stage", "name", "seeds", "state", "time")
    for group in _grouped(plan.stages):
        seeds = ", ".join(dict.fromkeys(str(stage.seed) for stage in group if stage.seed is not None))
        table.add_row(group[0].kind, escape(group[0].name), seeds, _states(group), _time(group))
    console.print(table)
    there = len(plan.stages) - len(plan.to_do)
    about = f", about {_duration(plan.seconds)}" if plan.unknown < len(plan.to_do) else ""
    unknown = f", {plan.unknown} of unknown time" if plan.unknown else ""
    cells = f"{len(plan.cells)} composition{'s' if len(plan.cells) > 1 else ''}"
    stages = f"{there} stage{'' if there == 1 else 's'} in the store"
    console.print(f"{cells}: {stages}, {len(plan.to_do)} to make{about}{unknown}.", soft_wrap=True)


def show_grid(grid: Grid, *, json: bool, csv_file: Path | None, reference: bool = False) -> None:
    """Show the outcome of several compositions: one table of all, then one a target with its languages."""
    if csv_file is not None:
        _write_csv(grid, csv_file)
    if json:
        cells = [transfer_document(transfer, published_scores(transfer, reference)) for transfer in grid.transfers]
        print_json(grid.to_json() | {"cells": cells})
        return
    console = result_console(width=WIDE)
    console.print(f"[bold]{_heading(grid)}[/]", soft_wrap=True)
    console.print(_summary(grid))
    for target in grid.targets:
        _show_target(grid.of_target(target), console, reference)
    tell_made({stage["artifact"]: stage for one in grid.transfers for stage in reversed(one.stages)}.values())
    console.print("\nArtifacts:")
    for transfer in grid.transfers:
        label = f"{transfer.composition} → {transfer.target.name}"
        console.print(f"  {escape(label)}: [bold]{escape(transfer.artifacts[0].id)}[/]", soft_wrap=True)


def _show_target(transfers: Sequence[Transfer], console: Console, reference: bool) -> None:
    first = transfers[0]
    metric = TITLES.get(first.comparison.metric, first.comparison.metric)
    console.print(f"\n[bold]{first.target.name}, {metric} by language[/]", soft_wrap=True)
    console.print(_languages(transfers))
    if any(one.comparison.mean.delta is not None for one in transfers):
        console.print("With the difference to the baseline; * where its 95 % interval excludes zero.")
    lines = (line for one in transfers for line in remarks(one, published_scores(one, reference)))
    for line in dict.fromkeys((*lines, *left_out(first))):
        console.print(line, soft_wrap=True)


def _summary(grid: Grid) -> Table:
    """Return the table of methods and targets: means over languages, differences, and what they cost."""
    table = Table("method")
    for target in grid.targets:
        metric = grid.of_target(target)[0].comparison.metric
        table.add_column(f"{target}\n{TITLES.get(metric, metric)}", justify="right", style="bold")
        table.add_column("difference\n95 % interval", justify="right")
    table.add_column("trained\nparameters", justify="right")
    table.add_column("time", justify="right")
    baselines = {target: _baseline(grid.of_target(target)) for target in grid.targets}
    if "none" not in grid.compositions:
        shown = (text for target in grid.targets for text in (_score(baselines[target]), ""))
        table.add_row("none (baseline)", *shown, "", "")
    for method in grid.compositions:
        rows = [row for row in grid.rows if row.composition == method]
        marks = {one.target.name: same_rows(one) for one in grid.transfers if one.composition == method}
        shown = (text for row in rows for text in (_score(row.mean.score), _against(row.mean, marks[row.target])))
        label = "none (baseline)" if method == "none" else method
        table.add_row(escape(label), *shown, _parameters(rows), _total(rows))
    return table


def _languages(transfers: Sequence[Transfer]) -> Table:
    """Return the table of a target's languages and the methods."""
    first = transfers[0]
    with_distance = bool(first.comparison.suite.typology)
    methods = [one for one in transfers if one.composition != "none"]
    table = Table("language")
    for title in (*(("distance",) if with_distance else ()), "rows", "baseline"):
        table.add_column(title, justify="right")
    for one in methods:
        table.add_column(f"{escape(one.composition)}{same_rows(one)}", justify="right")
    others = [[cell for _, _, _, cell in labelled_cells(one)] for one in methods]
    for place, (label, _, distance, cell) in enumerate(labelled_cells(first)):
        if label.startswith("mean") and not any(row.end_section for row in table.rows):
            table.add_section()
        row = [label, *(["" if distance is None else f"{distance:.2f}"] if with_distance else [])]
        row.append("" if cell.examples is None else str(cell.examples))
        row.append(_score(cell.score if first.composition == "none" else cell.baseline))
        table.add_row(*row, *(_beside(cells[place]) for cells in others))
    return table


def _beside(cell: Cell) -> str:
    """Return a score with its difference, marked where it is sure."""
    return f"{cell.score:.1f} {difference(cell)}{'*' if is_sure(cell) else ' '}"


def _against(cell: Cell, mark: str) -> str:
    return "" if cell.delta is None else f"{difference(cell)}{mark}\n{interval(cell)}"


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _baseline(transfers: Sequence[Transfer]) -> float | None:
    return next((one.comparison.mean.baseline for one in transfers if one.comparison.mean.baseline is not None), None)


def _parameters(rows: Sequence[GridRow]) -> str:
    counts = sorted({row.parameters for row in rows})
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} … {counts[-1]:,}"


def _total(rows: Sequence[GridRow]) -> str:
    from adapterstilts.studies.grids import total

    seconds = total(row.times for row in rows)
    return "?" if seconds is None else _duration(seconds)


def _heading(grid: Grid) -> str:
    plan = grid.plan
    seeds = f", mean of {len(plan.seeds)} seeds" if len(plan.seeds) > 1 else ""
    return f"{', '.join(map(escape, grid.compositions))} on {plan.backbone}, mean over languages, zero-shot{seeds}"


def _grouped(stages: Sequence[PlannedStage]) -> list[list[PlannedStage]]:
    """Return the stages of one name together, kind by kind."""
    groups: dict[tuple[str, str], list[PlannedStage]] = {}
    for stage in stages:
        groups.setdefault((stage.kind, stage.name), []).append(stage)
    return sorted(groups.values(), key=lambda group: LAST.index(group[0].kind) if group[0].kind in LAST else -1)


def _states(stages: Sequence[PlannedStage]) -> str:
    counts: dict[str, int] = {}
    for stage in stages:
        counts[stage.state] = counts.get(stage.state, 0) + 1
    return ", ".join(state if len(counts) == 1 else f"{count} {state}" for state, count in counts.items())


def _time(stages: Sequence[PlannedStage]) -> str:
    """Return about how long what lacks takes, or what it took where nothing lacks."""
    lacking = [stage for stage in stages if stage.state != "in store"]
    known = [stage.seconds for stage in lacking or stages if stage.seconds is not None]
    told = f"{'about' if lacking else 'took'} {_duration(sum(known))}" if known else ""
    unknown = "?" if len(known) < len(lacking or stages) else ""
    return " + ".join(text for text in (told, unknown) if text)


def _duration(seconds: float) -> str:
    """Return seconds for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _write_csv(grid: Grid, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["composition", "target", "seeds", "metric", "language", "rows", "score", *CSV_NUMBERS])
        for transfer in grid.transfers:
            head = [transfer.composition, transfer.target.name, " ".join(map(str, transfer.seeds))]
            writer.writerows([*head, transfer.comparison.metric, *row] for row in csv_rows(transfer))
