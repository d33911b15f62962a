"""The grid of contexts and questions."""

from __future__ import annotations

import io

from rich.console import Console

from adapterstilts.cli.pair_tables import pair_tables
from adapterstilts.studies.comparison import Cell, Comparison
from adapterstilts.tasks.suites import get_suite


def shown(comparison: Comparison) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    for table in pair_tables(comparison):
        console.print(table)
    return console.export_text()


def cell(score: float, baseline: float | None = None) -> Cell:
    return Cell(
        score,
        baseline,
        None if baseline is None else score - baseline,
        None if baseline is None else (-1.0, 2.0),
        scores={"f1": score, "exact_match": score - 5},
    )


def compared(baseline: float | None) -> Comparison:
    cells = {"en": cell(60, baseline), "de": cell(50, baseline), "en-de": cell(40, baseline)}
    means = [cell(score, baseline) for score in (50, 45, 55, 40)]
    return Comparison("f1", get_suite(), cells, means[0], means[1], None, (), means[2], means[3])


def test_a_grid_of_contexts_and_questions() -> None:
    text = shown(compared(None))
    rows = [[part.strip() for part in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    lines = {label: cells for label, *cells in rows}
    assert "F1 / EM; contexts down, questions across" in text
    assert lines["English (en)"] == ["40.0 / 35.0", "60.0 / 55.0", "50.0"]
    assert lines["German (de)"] == ["50.0 / 45.0", "", "50.0"]
    assert lines["question and context in one language (XLT)"] == ["55.0"]
    assert lines["question and context in two languages (G-XLT)"] == ["40.0"]
    assert "difference" not in text


def test_with_a_baseline_there_is_a_grid_of_differences() -> None:
    text = shown(compared(45.0))
    lines = [[part.strip() for part in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    assert ["English (en)", "-5.0", "+15.0", "+5.0"] in lines
    assert ["all pairs", "50.0", "45.0", "+5.0", "-1.0 … +2.0"] in lines
