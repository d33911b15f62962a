"""What a person sees: errors, messages and bars on stderr; results on stdout, as a table or as one JSON document."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape

from adapterstilts.errors import AdapterStiltsError
from adapterstilts.progress import Reporter

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

MISTAKE = 2
INTERRUPTED = 130
PIPE_WIDTH = 140
PLAIN_LINES = 10
"""How many lines a bar is worth where there is no terminal to draw it on."""

notes = Console(stderr=True, highlight=False)


@contextmanager
def session() -> Iterator[Reporter]:
    """Run a command: other libraries are quiet, mistakes are told in a sentence, the rest is a fault of ours.

    Yields:
        a reporter that draws on stderr.
    """
    _quiet_libraries()
    try:
        yield ConsoleReporter()
    except AdapterStiltsError as error:
        notes.print(f"[bold red]Error:[/] {foreign(str(error))}", soft_wrap=True)
        raise typer.Exit(MISTAKE) from None
    except KeyboardInterrupt:
        notes.print("Interrupted. What was finished before is kept; the same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from None


def foreign(text: str) -> str:
    """Return a text that somebody else wrote as one that only shows: no markup, no control signs."""
    from adapterstilts.store.hub import clean

    return escape(clean(text))


def print_json(document: Any) -> None:
    """Write one JSON document to stdout."""
    write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(text: str) -> None:
    """Write to stdout as UTF-8, whatever the terminal or pipe says of itself."""
    if hasattr(sys.stdout, "buffer"):
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.buffer.flush()
    else:
        sys.stdout.write(text)


def print_table(table: Table) -> None:
    """Write a table to stdout; without a terminal it gets room enough not to be broken."""
    result_console().print(table)


def result_console(*, width: int = PIPE_WIDTH, stderr: bool = False) -> Console:
    """Return a console on stdout, or stderr, as it is now.

    Args:
        width: columns that there are where it is no terminal.
        stderr: whether it is for messages.
    """
    console = Console(highlight=False, stderr=stderr)
    return console if console.is_terminal else Console(highlight=False, stderr=stderr, width=width)


class ConsoleReporter(Reporter):
    """Draws progress bars on a terminal, and writes plain lines where stderr is a file or a pipe."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._title = ""
        self._total = 0
        self._told = 0
        self._started = 0.0

    def message(self, text: str) -> None:
        notes.print(foreign(text), soft_wrap=True)

    def begin(self, title: str, total: int) -> None:
        self._title, self._total, self._told, self._started = title, total, 0, time.perf_counter()
        if not notes.is_terminal:
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=notes,
        )
        self._progress.start()
        self._progress.add_task(escape(title), total=total, facts="")

    def advance(self, done: int, **facts: Any) -> None:
        told = "  ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in facts.items())
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, facts=told)
        elif done * PLAIN_LINES // max(self._total, 1) > self._told:
            self._told = done * PLAIN_LINES // max(self._total, 1)
            seconds = time.perf_counter() - self._started
            notes.print(
                escape(f"{self._title}: {done}/{self._total}  {seconds:.0f} s  {told}".rstrip()), soft_wrap=True
            )

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 1e-2 else f"{value:.2f}"
    return str(value)


def _quiet_libraries() -> None:
    """Keep the libraries' own bars and warnings off the screen, imported already or not."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "0" if notes.is_terminal else "1")
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    for name in ("transformers", "adapters", "datasets", "accelerate", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("adapterstilts")
    logger.handlers[:] = [handler]
    level = os.environ.get("ADAPTERSTILTS_LOG", "WARNING").upper()
    logger.setLevel(level if isinstance(logging.getLevelName(level), int) else logging.WARNING)
    logger.propagate = False
