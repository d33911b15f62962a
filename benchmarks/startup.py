"""How long ``adapterstilts --help`` and ``adapterstilts tasks`` take: median of repeated runs of the installed command.

The goal is half a second; what keeps it is that torch and transformers are imported inside functions.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

GOAL_SECONDS = 0.5


def seconds(command: list[str]) -> float:
    """Return the wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    arguments = parser.parse_args()
    slow = False
    for words in (["--help"], ["tasks"], ["compose", "--help"]):
        command = [sys.executable, "-m", "adapterstilts.cli", *words]
        seconds(command)  # fills the caches of the file system and of compiled modules
        times = [seconds(command) for _ in range(arguments.runs)]
        median = statistics.median(times)
        slow = slow or median > GOAL_SECONDS
        print(f"adapterstilts {' '.join(words):15} median {median:.2f} s  (from {min(times):.2f} to {max(times):.2f})")
    if slow:
        raise SystemExit(f"Slower than {GOAL_SECONDS} s.")


if __name__ == "__main__":
    main()
