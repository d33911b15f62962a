"""What the benchmarks have in common: clocks, spreads, the machine, and the bound that its matrix products set."""

from __future__ import annotations

import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
"""Time of the processor holds beside other work, but with one thread only: waiting threads use some, too."""


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return those of some values."""
        return cls(*(round(value, 4) for value in (statistics.median(values), min(values), max(values))))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} … {self.high:.2f})"


def machine_facts(*packages: str) -> dict[str, Any]:
    """Return what the numbers were taken on, with the versions of some packages."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = f"{len(names)} x " if names else ""
    return {
        "processor": cores + (names or [platform.machine()])[0],
        "versions": {name: version(name) for name in packages},
    }


def machine_line(document: dict[str, Any]) -> str:
    """Return a document's machine, threads, clock and versions as a line of text."""
    machine = document["machine"]
    facts = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    return f"Machine: {machine['processor']}, threads: {document['threads']}, {document['clock']} time; {facts}."


def typed(script: str, target: str) -> str:
    """Return what was typed: the script with its arguments, but for where it writes to, or the target of make."""
    words = re.sub(r"--output[ =]\S+ ?", "", " ".join(sys.argv[1:])).strip()
    return f"python benchmarks/{Path(script).name} {words}" if words else f"make {target}"


def write(folder: Path, name: str, document: dict[str, Any], text: str) -> None:
    """Write what was found as ``name``.json, and as text for people as ``NAME``.md."""
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name.upper()}.md").write_text(text, encoding="utf-8")


def matrix_rate(width: int, clock: Callable[[], float]) -> float:
    """Return the most floating-point operations a second of a product of matrices of an encoder's size."""
    import torch

    left, right = torch.randn(2048, width), torch.randn(width, 4 * width)
    rates = []
    for _ in range(15):
        started = clock()
        for _ in range(10):
            left @ right
        rates.append(10 * 2 * 2048 * width * 4 * width / (clock() - started))
    return max(rates)


def operations(run: Callable[[], Any]) -> int:
    """Return the floating-point operations of the matrix products of a run, as many as they are."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())
