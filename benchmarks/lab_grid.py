"""Every intermediate task under every target of the lab, one seed: what each brings in the mean over languages.

    make lab-grid

writes benchmarks/LAB_GRID.md and benchmarks/lab_grid.json. It keeps what is done in its store, and goes on from there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from measuring import write

from adapterstilts.data.rows import rows_kept
from adapterstilts.lab.languages import SOURCE
from adapterstilts.studies.transfer import compose, train_intermediate
from adapterstilts.tasks.suites import get_suite

HERE = Path(__file__).parent
SUITE = "lab"
INTERMEDIATE = ("anli", "mnli", "qqp", "squad", "squad2", "hellaswag", "ccg", "cosmosqa", "csqa")
ROWS = 1000
SPANS: dict[str, int] = {"epochs": 6, "max_eval_examples": 100}
"""Less for the targets whose inputs are long: of their recipes' epochs, and of the rows of a language."""
TARGETS = ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc", "tatoeba")


def cell(intermediate: str, target: str, rows: int, store: Path) -> dict[str, Any]:
    """Return the mean over languages of a target with an intermediate task, and the difference that it makes."""
    kind = get_suite(SUITE).task(target).format
    settings = {} if kind == "retrieval" else {"max_train_examples": rows}
    most = None
    if kind == "span":
        settings, most = settings | {"epochs": SPANS["epochs"]}, SPANS["max_eval_examples"]
    found = compose(
        intermediate, target=target, suite=SUITE, store=store, settings=settings, max_eval_examples=most
    ).comparison
    source = found.languages.get(SOURCE)
    return {
        "score": found.mean.score,
        "baseline": found.mean.baseline,
        "delta": found.mean.delta,
        "interval": found.mean.interval,
        "source": source.score if source else None,
        "source_baseline": source.baseline if source else None,
    }


def own_score(intermediate: str, store: Path) -> float:
    """Return the main score of an intermediate adapter on its own validation rows."""
    made = train_intermediate(intermediate, suite=SUITE, store=store).artifact
    return float(next(iter(made.manifest["metrics"]["validation"].values())))


def same_data(intermediate: str, target: str) -> bool:
    """Tell whether a target trains on the rows of an intermediate task."""
    return get_suite(SUITE).task(target).trains_on == intermediate


def report(document: dict[str, Any]) -> str:
    """Return the document."""
    grid, own = document["grid"], document["own"]
    lines = [
        "# Every intermediate task under every target of the lab",
        "",
        f"Made by `{document['command']}`: one seed, at most {document['rows']} training rows a target; for "
        f"questions about texts {SPANS['epochs']} epochs and {SPANS['max_eval_examples']} rows a language. Mean over "
        "all languages; difference to the same target adapter without intermediate task. **Bold**: its 95 % interval "
        "over examples excludes zero. *: the target trains on the same data. In parentheses: what an intermediate "
        "adapter scores on validation rows of its own task, which says whether it learnt it.",
        "",
        "| | " + " | ".join(TARGETS) + " |",
        "|---" * (1 + len(TARGETS)) + "|",
    ]
    first = [next(iter(grid[target].values())) for target in TARGETS]
    for title, key in (("none, source language", "source_baseline"), ("none, all languages", "baseline")):
        scores = ("" if each[key] is None else f"{each[key]:.1f}" for each in first)
        lines.append(f"| {title} | " + " | ".join(scores) + " |")
    for intermediate in INTERMEDIATE:
        cells = []
        for target in TARGETS:
            found = grid[target][intermediate]
            low, high = found["interval"]
            text = f"{found['delta']:+.1f}"
            cells.append((f"**{text}**" if low > 0 or high < 0 else text) + "\\*" * same_data(intermediate, target))
        lines.append(f"| {intermediate} ({own[intermediate]:.1f}) | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@rows_kept()
def main() -> None:
    """Fill the grid, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, default=Path("build/lab-store"))
    parser.add_argument("--rows", type=int, default=ROWS, help="Training rows of a target at most.")
    given = parser.parse_args()
    started = time.monotonic()
    grid: dict[str, dict[str, Any]] = {}
    for target in TARGETS:
        grid[target] = {}
        for intermediate in INTERMEDIATE:
            grid[target][intermediate] = cell(intermediate, target, given.rows, given.store)
            print(
                f"{time.monotonic() - started:6.0f} s  {intermediate} -> {target}",
                grid[target][intermediate],
                flush=True,
            )
    command = ["python benchmarks/lab_grid.py", *(["--rows", str(given.rows)] if given.rows != ROWS else [])]
    document = {
        "command": " ".join(command) if command[1:] else "make lab-grid",
        "rows": given.rows,
        "grid": grid,
        "own": {intermediate: own_score(intermediate, given.store) for intermediate in INTERMEDIATE},
    }
    write(HERE, "lab_grid", document, report(document))
    print(report(document))


if __name__ == "__main__":
    main()
