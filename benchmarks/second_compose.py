"""What a second composition costs that shares all but its target stage with a first one: the target stage, and no more.

    make bench-second

writes benchmarks/SECOND_COMPOSE.md and benchmarks/second_compose.json. Runs on the lab, with no data and no network:
``mnli+squad`` under ``tydiqa``, the same again with another learning rate of the target, and the very same once more,
each in a process of its own, in a new store a round. Where the time of a command is not that of its own stages, it is
start-up, rows and statistics.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import Spread, machine_facts

HERE = Path(__file__).parent
COMMAND = ("compose", "mnli+squad", "--target", "tydiqa", "--suite", "lab", "--json")
RUNS = {"first": (), "another learning rate": ("--learning-rate", "0.0015"), "the same once more": ()}


def run(more: tuple[str, ...], given: argparse.Namespace, store: str) -> dict[str, Any]:
    """Run a command; return its seconds, and those of the stages that it made and that it found."""
    sizes = ("--steps", str(given.steps), "--max-eval-examples", str(given.max_eval_examples))
    called = [sys.executable, "-m", "adapterstilts.cli", *COMMAND, *sizes, *more, "--store", store]
    started = time.perf_counter()
    done = subprocess.run(called, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
    whole = time.perf_counter() - started
    stages = json.loads(done.stdout)["stages"]
    made = {stage["name"]: stage["seconds"] for stage in stages if stage["state"] != "reused"}
    return {"seconds": whole, "made": made, "reused": [stage["name"] for stage in stages if stage["state"] == "reused"]}


def report(found: dict[str, Any]) -> str:
    """Return the document."""
    command = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in found["typed"].items())
    lines = [
        "# A second composition",
        "",
        f"Made by `python benchmarks/second_compose.py {command}`".rstrip() + ".",
        "",
    ]
    facts = ", ".join(f"{name} {value}" for name, value in found["machine"]["versions"].items())
    lines += [f"Machine: {found['machine']['processor']}; {facts}. Wall time, {len(found['rounds'])} rounds.", ""]
    lines += [f"`adapterstilts {' '.join(COMMAND[:-1])}`, each time in a process of its own:", ""]
    lines += ["| run | seconds | of the first | in stages it made | beside them | made | reused |"]
    lines += ["|---|---|---|---:|---:|---|---|"]
    for name in RUNS:
        runs = [one[name] for one in found["rounds"]]
        seconds = Spread.of([one["seconds"] for one in runs])
        share = Spread.of([one[name]["seconds"] / one["first"]["seconds"] for one in found["rounds"]])
        own = Spread.of([sum(one["made"].values()) for one in runs]).median
        beside = Spread.of([one["seconds"] - sum(one["made"].values()) for one in runs]).median
        made, reused = (", ".join(f"`{stage}`" for stage in runs[0][key]) for key in ("made", "reused"))
        lines.append(f"| {name} | {seconds} | {share} | {own:.1f} | {beside:.1f} | {made} | {reused} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--max-eval-examples", type=int, default=50)
    parser.add_argument("--output", type=Path, default=HERE)
    given = parser.parse_args()
    rounds = []
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory() as store:
            rounds.append({name: run(more, given, store) for name, more in RUNS.items()})
        print(
            f"round {number}: {[round(one['seconds'], 1) for one in rounds[-1].values()]}", file=sys.stderr, flush=True
        )
    standard = vars(parser.parse_args([]))
    typed = {name: value for name, value in vars(given).items() if name != "output" and value != standard[name]}
    found = {"machine": machine_facts("torch", "transformers", "adapters"), "typed": typed, "rounds": rounds}
    (given.output / "second_compose.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = report(found)
    (given.output / "SECOND_COMPOSE.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
