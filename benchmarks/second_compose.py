"""What a second composition costs that shares all but its target stage with a first one: the target stage, and no more.

    make bench-second

writes benchmarks/SECOND_COMPOSE.md and benchmarks/second_compose.json. Runs on the lab, with no data and no network:
two intermediate adapters and ``mnli+squad`` under ``tydiqa``, the composition again with another learning rate of the
target, and the very same once more, each command in a process of its own, in a new store and a new cache of data sets a
round. Where the time of a command is not that of its own stages, it is start-up, rows and statistics.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import Spread, machine_facts, write

HERE = Path(__file__).parent
COMPOSE = ("compose", "mnli+squad", "--target", "tydiqa")
BEFORE = (("train-intermediate", "mnli"), ("train-intermediate", "squad"))
RUNS = {
    "first, with its adapters": (*BEFORE, COMPOSE),
    "another learning rate": ((*COMPOSE, "--learning-rate", "0.0015"),),
    "the same once more": (COMPOSE,),
}
FIRST = next(iter(RUNS))


def run(commands: tuple[tuple[str, ...], ...], given: argparse.Namespace, store: str) -> dict[str, Any]:
    """Run commands; return their seconds, and the stages of the last that it made and that it found."""
    started, trained = time.perf_counter(), 0.0
    for command in commands:
        sizes = ["--steps", str(given.steps), "--suite", "lab", "--json", "--store", store]
        sizes += ["--max-eval-examples", str(given.max_eval_examples)]
        called = [sys.executable, "-m", "adapterstilts.cli", *command, *sizes]
        new = {**os.environ, "HF_DATASETS_CACHE": f"{store}/datasets"}
        done = subprocess.run(called, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True, env=new)
        document = json.loads(done.stdout)
        trained += document.get("seconds", 0.0) if command in BEFORE else 0.0
    whole, stages = time.perf_counter() - started, document["stages"]
    made = {stage["name"]: stage["seconds"] for stage in stages if stage["state"] != "reused"}
    reused = [stage["name"] for stage in stages if stage["state"] == "reused"]
    return {"seconds": whole, "stages": trained + sum(made.values()), "made": list(made), "reused": reused}


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
    commands = "`, `".join(f"adapterstilts {' '.join(command)} --suite lab" for command in RUNS[FIRST])
    lines += [f"`{commands}`, each in a process of its own; of the adapters, the stages of `compose` are told:", ""]
    lines += ["| run | seconds | of the first | in what it made | beside that | made | reused |"]
    lines += ["|---|---|---|---:|---:|---|---|"]
    for name in RUNS:
        runs = [one[name] for one in found["rounds"]]
        seconds = Spread.of([one["seconds"] for one in runs])
        share = Spread.of([one[name]["seconds"] / one[FIRST]["seconds"] for one in found["rounds"]])
        own = Spread.of([one["stages"] for one in runs]).median
        beside = Spread.of([one["seconds"] - one["stages"] for one in runs]).median
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
            rounds.append({name: run(commands, given, store) for name, commands in RUNS.items()})
        print(
            f"round {number}: {[round(one['seconds'], 1) for one in rounds[-1].values()]}", file=sys.stderr, flush=True
        )
    standard = vars(parser.parse_args([]))
    typed = {name: value for name, value in vars(given).items() if name != "output" and value != standard[name]}
    found = {"machine": machine_facts("torch", "transformers", "adapters"), "typed": typed, "rounds": rounds}
    text = report(found)
    write(given.output, "second_compose", found, text)
    print(text)


if __name__ == "__main__":
    main()
