"""The table of a composition beside its baseline: on the terminal and as CSV."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from adapterstilts.errors import SettingsError
from adapterstilts.models.layers import layers_text
from adapterstilts.tasks.spec import DEFAULT_SUITE, LAB

from .console import notes, print_json, result_console
from .pair_tables import pair_tables

if TYPE_CHECKING:
    from adapterstilts.studies.comparison import Cell
    from adapterstilts.studies.outcome import Transfer
    from adapterstilts.studies.reference import Reference

TITLES = {
    "f1": "F1",
    "exact_match": "EM",
    "accuracy": "accuracy",
    "token_accuracy": "token acc.",
    "accuracy_f1": "mean of both",
    "precision": "precision",
    "recall": "recall",
    "map@20": "mAP@20",
}


SAME_ROWS = "†"
"""Stands beside what an intermediate task brings to a target that trains on the same rows."""
CSV_NUMBERS = ("deviation", "baseline", "delta", "low", "high", "distance")
"""Columns of a CSV after the score."""


def check_csv(path: Path | None, option: str = "--csv") -> None:
    """Refuse a file that cannot be written, before hours of work."""
    if path is None:
        return
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise SettingsError(
            f"{option} '{path}' cannot be written: its folder does not exist, or it is a folder itself."
        )
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise SettingsError(f"{option} '{path}' cannot be written: you are not allowed to.")


def published_scores(transfer: Transfer, reference: bool) -> tuple[Reference, ...] | None:
    """Return the scores that others published for the target, None where they were not asked for."""
    if not reference:
        return None
    from adapterstilts.studies.reference import reference_scores

    return reference_scores(transfer.target, transfer.backbone)


def transfer_document(transfer: Transfer, published: tuple[Reference, ...] | None) -> dict[str, Any]:
    """Return the document of an outcome, with published scores where they were asked for."""
    told = {} if published is None else {"reference": [one.to_json() for one in published]}
    return transfer.to_json() | told


def show_transfer(transfer: Transfer, *, json: bool, csv_file: Path | None, reference: bool = False) -> None:
    """Show the outcome of ``compose`` or ``evaluate``, with published scores beside it if ``reference``."""
    if csv_file is not None:
        _write_csv(transfer, csv_file)
    published = published_scores(transfer, reference)
    if json:
        print_json(transfer_document(transfer, published))
        return
    console = result_console()
    console.print(f"[bold]{_title(transfer)}[/]", soft_wrap=True)
    comparison = transfer.comparison
    for table in pair_tables(comparison, same_rows(transfer)) if comparison.two_languages else [_table(transfer)]:
        console.print(table)
    for line in (*remarks(transfer, published), *_layers(transfer), *left_out(transfer)):
        console.print(line, soft_wrap=True)
    tell_made(transfer.stages)
    console.print(f"Artifact: [bold]{transfer.artifacts[0].id}[/]")


def remarks(transfer: Transfer, published: tuple[Reference, ...] | None) -> Iterator[str]:
    """Yield what has to be known of the rows and the target to read a table, and what others published."""
    if transfer.comparison.missing:
        yield f"Not in the data: {', '.join(transfer.comparison.missing)}."
    for name in transfer.same_training_data:
        yield (
            f"{SAME_ROWS} Note: {name} and {transfer.target.name} train on the same rows. What {name} brings here is "
            "more training on them, not another task."
        )
    if published is not None:
        yield from _published(transfer, published)
    if transfer.target.note:
        yield f"Note: {escape(transfer.target.note)}"


def same_rows(transfer: Transfer) -> str:
    """Return the mark for a difference that is no other task's, nothing where all tasks have rows of their own."""
    return f" {SAME_ROWS}" if transfer.same_training_data else ""


def left_out(transfer: Transfer) -> Iterator[str]:
    """Yield which rows were left out of the evaluation."""
    for reason, count in transfer.skipped.items():
        yield f"Rows left out: {count} ({reason})."


def tell_made(stages: Iterable[Mapping[str, Any]]) -> None:
    """Say on stderr what was trained or evaluated, and how long it took."""
    made = ", ".join(f"{stage['name']} ({stage['seconds']:.0f} s)" for stage in stages if stage["state"] != "reused")
    notes.print(f"Trained or evaluated now: {made or 'nothing, all was in the store'}.", soft_wrap=True)


def _published(transfer: Transfer, published: tuple[Reference, ...]) -> Iterator[str]:
    """Tell what others published for the target on the same backbone."""
    if not published:
        yield f"No published scores of {transfer.target.name} on {transfer.backbone} are known."
        return
    where = f"{transfer.target.name} on {transfer.backbone}"
    yield f"Published for {where}, the whole encoder trained, test set, mean over languages:"
    for one in published:
        scores = ", ".join(f"{TITLES.get(name, name)} {value}" for name, value in one.scores.items())
        doubt = "" if one.sure == "read" else " (worked out from published averages)"
        yield f"  {scores}  {one.system}{doubt}: {escape(one.source)}"


def _layers(transfer: Transfer) -> Iterator[str]:
    """Tell which layers' vectors were compared, and what all that were tried scored."""
    if transfer.layers is not None:
        from adapterstilts.evaluation.sentence_vectors import POOLINGS

        yield f"Vector of a sentence: {POOLINGS[transfer.layers['composition']['pooling']]} (--pooling)."
    for who, told in (transfer.layers or {}).items():
        if told is None:
            continue
        chosen = sorted(set(told["chosen"].values()))
        yield f"Layer of the {who}: {', '.join(map(str, chosen))} (chosen: {told['chosen_on']})."
        if len(told["sweep"]) > 1:
            means = (f"{layer}: {sum(by.values()) / len(by):.1f}" for layer, by in told["sweep"].items())
            yield f"  mean by layer  {', '.join(means)}"


def _title(transfer: Transfer) -> str:
    zero_shot = transfer.target.kind == "target"
    fused = f" (fused on {transfer.fused_on} tasks)" if transfer.fused_on else ""
    what = f"{transfer.composition}{fused} → {transfer.target.name}" if zero_shot else transfer.target.name
    name = transfer.target.suite
    suite = "" if name == DEFAULT_SUITE else " in the lab" if name == LAB else f" in {name}"
    seeds = f", mean of {len(transfer.seeds)} seeds" if len(transfer.seeds) > 1 else ""
    where = f"{what}{suite} on {transfer.backbone}"
    dropped = f", without adapters in layers {layers_text(transfer.drop_layers)}" if transfer.drop_layers else ""
    return f"{where}, {transfer.split} split{', zero-shot' if zero_shot else ''}{seeds}{dropped}"


def _table(transfer: Transfer) -> Table:
    comparison = transfer.comparison
    with_baseline = comparison.mean.baseline is not None
    several = len(transfer.seeds) > 1
    table = Table()
    table.add_column("language")
    if comparison.suite.typology:
        table.add_column("distance", justify="right")
    if transfer.language_adapters is not None:
        table.add_column("language adapter")
    table.add_column("rows", justify="right")
    others = [name for name in next(iter(comparison.languages.values())).scores or {} if name != comparison.metric]
    table.add_column(TITLES.get(comparison.metric, comparison.metric), justify="right", style="bold")
    if several:
        table.add_column("± seeds", justify="right")
    if with_baseline:
        for title in ("baseline", f"difference{same_rows(transfer)}", "95 % interval"):
            table.add_column(title, justify="right")
    for name in others:
        table.add_column(TITLES.get(name, name), justify="right", style="dim")

    def cells(label: str, code: str, distance: float | None, cell: Cell) -> list[str]:
        row = [label]
        if comparison.suite.typology:
            row.append("" if distance is None else f"{distance:.2f}")
        if transfer.language_adapters is not None:
            row.append(_adapter(transfer, code))
        row += ["" if cell.examples is None else str(cell.examples), f"{cell.score:.1f}"]
        if several:
            row.append("" if cell.deviation is None else f"{cell.deviation:.1f}")
        if with_baseline:
            row += [_number(cell.baseline), difference(cell), interval(cell)]
        return row + [_number((cell.scores or {}).get(name)) for name in others]

    for label, code, distance, cell in labelled_cells(transfer):
        if label.startswith("mean") and not any(row.end_section for row in table.rows):
            table.add_section()
        table.add_row(*cells(label, code, distance, cell))
    return table


def _adapter(transfer: Transfer, code: str) -> str:
    """Return the language whose adapter lay at the bottom for another, nothing for means."""
    adapters = transfer.language_adapters or {}
    return "" if code not in adapters else adapter.language if (adapter := adapters[code]) else "none"


def labelled_cells(transfer: Transfer) -> Iterator[tuple[str, str, float | None, Cell]]:
    """Yield label, code, distance from the source language and cell: the languages, then their means, without code."""
    comparison = transfer.comparison
    suite = comparison.suite
    source = suite.source_language
    for code, cell in comparison.languages.items():
        label = f"{suite.language(code).name} ({code}){', source' if code == source else ''}"
        yield label, code, suite.distance(code), cell
    if len(comparison.languages) == 1:
        return
    yield "mean, all languages", "", None, comparison.mean
    if comparison.mean_without_source is not None:
        yield f"mean without {suite.language(source).name}", "", None, comparison.mean_without_source
    if comparison.transfer_gap is not None:
        yield "transfer gap", "", None, comparison.transfer_gap


def _write_csv(transfer: Transfer, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        metric = transfer.comparison.metric
        more = transfer.language_adapters is not None
        writer.writerow(["language", "rows", metric, *CSV_NUMBERS, *(["language_adapter"] if more else [])])
        writer.writerows([*row, *([_adapter(transfer, row[0])] if more else [])] for row in csv_rows(transfer))


def csv_rows(transfer: Transfer) -> Iterator[list[Any]]:
    """Yield language or name of a mean, rows, score and ``CSV_NUMBERS`` for each language, then for the means."""
    for name, cell in (*transfer.comparison.languages.items(), *transfer.comparison.summary.items()):
        if cell is None:
            continue
        value = cell.to_json()
        low, high = value["interval"] or (None, None)
        told = [value[key] for key in ("score", "deviation", "baseline", "delta")]
        distance = transfer.comparison.suite.distance(name)
        yield [name, cell.examples, *told, low, high, None if distance is None else round(distance, 4)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def difference(cell: Cell) -> str:
    """Return the difference to the baseline, coloured where its interval excludes zero."""
    if cell.delta is None:
        return ""
    colour = ("green" if cell.delta > 0 else "red") if is_sure(cell) else ""
    text = f"{cell.delta:+.1f}"
    return f"[{colour}]{text}[/]" if colour else text


def is_sure(cell: Cell) -> bool:
    """Tell whether the interval of the difference excludes zero."""
    return cell.interval is not None and (cell.interval[0] > 0 or cell.interval[1] < 0)


def interval(cell: Cell) -> str:
    """Return the ends of the interval of the difference."""
    return "" if cell.interval is None else f"{cell.interval[0]:+.1f} … {cell.interval[1]:+.1f}"
