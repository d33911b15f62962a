"""Every intermediate task under every target of the lab, one seed: what each brings in the mean over languages.

    make lab-grid

writes benchmarks/LAB_GRID.md and benchmarks/lab_grid.json. It keeps what is done in its store, and goes on from there.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from adapterstilts.data.rows import rows_kept
from adapterstilts.studies.transfer import compose
from adapterstilts.tasks.suites import get_suite

HERE = Path(__file__).parent
SUITE = "lab"
INTERMEDIATE = ("anli", "mnli", "qqp", "squad", "squad2", "hellaswag", "ccg", "cosmosqa", "csqa")
TARGETS = ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc", "tatoeba")


def cell(intermediate: str, target: str, rows: int, store: Path) -> dict[str, Any]:
    """Return the mean over languages of a target with an intermediate task, and the difference that it makes."""
    retrieval = get_suite(SUITE).task(target).format == "retrieval"
    settings = {} if retrieval else {"max_train_examples": rows}
    found = compose(intermediate, target=target, suite=SUITE, store=store, settings=settings).comparison
    return {
        "score": found.mean.score,
        "baseline": found.mean.baseline,
        "delta": found.mean.delta,
        "interval": found.mean.interval,
    }


def same_data(intermediate: str, target: str) -> bool:
    """Tell whether a target trains on the rows of an intermediate task."""
    return get_suite(SUITE).task(target).trains_on == intermediate


def report(grid: dict[str, dict[str, Any]], rows: int, seconds: float) -> str:
    """Return the document."""
    lines = ["# Every intermediate task under every target of the lab", ""]
    lines += [
        f"Made by `make lab-grid`: one seed, at most {rows} training rows a target, {seconds:.0f} s. Mean over all"
    ]
    lines += [
        "languages; difference to the same target adapter without intermediate task. **Bold**: its 95 % interval over"
    ]
    lines += ["examples excludes zero. *: the target trains on the same data.", ""]
    lines += ["| | " + " | ".join(TARGETS) + " |", "|---" * (1 + len(TARGETS)) + "|"]
    baselines = (f"{next(iter(grid[target].values()))['baseline']:.1f}" for target in TARGETS)
    lines.append("| none | " + " | ".join(baselines) + " |")
    for intermediate in INTERMEDIATE:
        cells = []
        for target in TARGETS:
            found = grid[target][intermediate]
            low, high = found["interval"]
            text = f"{found['delta']:+.1f}"
            cells.append((f"**{text}**" if low > 0 or high < 0 else text) + "*" * same_data(intermediate, target))
        lines.append(f"| {intermediate} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@rows_kept()
def main() -> None:
    """Fill the grid, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, default=Path("build/lab-store"))
    parser.add_argument("--rows", type=int, default=2000, help="Training rows of a target at most.")
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
    (HERE / "lab_grid.json").write_text(json.dumps(grid, indent=1) + "\n", encoding="utf-8")
    text = report(grid, given.rows, time.monotonic() - started)
    (HERE / "LAB_GRID.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
