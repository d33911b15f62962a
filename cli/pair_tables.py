"""The tables of a task whose rows are pairs of languages, such as MLQA's: contexts down, questions across."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.table import Table

from adapterstilts.tasks.languages import pair_of

if TYPE_CHECKING:
    from adapterstilts.studies.comparison import Cell, Comparison


def pair_tables(comparison: Comparison, mark: str = "") -> Iterator[Table]:
    """Yield a grid of scores, one of differences where there is a baseline, and the means.

    Args:
        comparison: of a task with pairs.
        mark: what stands beside differences.
    """
    yield _grid(comparison, f"{_heading(comparison)}; contexts down, questions across", _scores)
    if comparison.mean.delta is not None:
        yield _grid(comparison, f"difference to the baseline{mark}", lambda cell: f"{cell.delta:+.1f}")
    yield _means(comparison, mark)


def _grid(comparison: Comparison, title: str, text: Callable[[Cell], str]) -> Table:
    cells = {pair_of(code): cell for code, cell in comparison.languages.items()}
    contexts = list(dict.fromkeys(context for context, _ in cells))
    questions = sorted({question for _, question in cells})
    table = Table("context", *questions, "mean", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for context in contexts:
        row = [cells.get((context, question)) for question in questions]
        there = [cell for cell in row if cell is not None]
        values = [cell.score if text is _scores else cell.delta or 0.0 for cell in there]
        mean = sum(values) / len(values)
        shown = f"{mean:.1f}" if text is _scores else f"{mean:+.1f}"
        label = f"{comparison.suite.language(context).name} ({context})"
        table.add_row(label, *("" if cell is None else text(cell) for cell in row), shown)
    return table


def _scores(cell: Cell) -> str:
    return " / ".join(f"{score:.1f}" for score in (cell.scores or {}).values())


def _heading(comparison: Comparison) -> str:
    first = next(iter(comparison.languages.values()))
    titles = {"f1": "F1", "exact_match": "EM"}
    return " / ".join(titles.get(name, name) for name in first.scores or {})


def _means(comparison: Comparison, mark: str) -> Table:
    means = (
        ("question and context in one language (XLT)", comparison.one_language),
        ("question and context in two languages (G-XLT)", comparison.two_languages),
        ("all pairs", comparison.mean),
    )
    with_baseline = comparison.mean.delta is not None
    titles = ("baseline", f"difference{mark}", "95 % interval") if with_baseline else ()
    table = Table("mean", comparison.metric, *titles)
    for column in table.columns[1:]:
        column.justify = "right"
    for label, cell in means:
        if cell is None:
            continue
        row = [label, f"{cell.score:.1f}"]
        if with_baseline:
            low, high = cell.interval or (0.0, 0.0)
            row += [f"{cell.baseline:.1f}", f"{cell.delta:+.1f}", f"{low:+.1f} … {high:+.1f}"]
        table.add_row(*row)
    return table
