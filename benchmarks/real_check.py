"""Every task on real text: its rows, a short training, a zero-shot evaluation, and whether answers come back.

    make real
    make real REAL="--rows 8 --batch-size 4"

reads the mirror named by ADAPTERSTILTS_DATA_ROOT and writes benchmarks/REAL.md and benchmarks/real.json. The sizes are
small: the scores say that a task works from end to end, and nothing about how good an encoder is. A data set that the
mirror does not have is a row of the table that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from answer_offsets import Told, back, report_lines

from adapterstilts.errors import AdapterStiltsError
from adapterstilts.progress import Reporter
from adapterstilts.studies.checking import Checked, check_tasks
from adapterstilts.studies.transfer import compose, train_intermediate
from adapterstilts.tasks.catalogue import TASKS
from adapterstilts.tasks.spec import TaskSpec
from adapterstilts.training.resources import peak_memory

HERE = Path(__file__).parent
LAYER = "4"
"""Of the small encoder's six, where a layer cannot be chosen."""


@dataclass(frozen=True)
class Sizes:
    """How much of each task is run."""

    steps: int = 100
    """Of an intermediate task's training."""
    target_steps: int = 30
    """Of a target's training."""
    batch_size: int = 16
    """Inputs of a step; of multiple choice, a choice is one."""
    max_length: int = 128
    """Tokens of an input in training."""
    search_length: int = 32
    """Tokens that are read of a sentence in search: all candidates of a pool are read, whatever the rows are."""
    validation_rows: int = 100
    rows: int = 20
    """Rows scored in each language of a target; of BUCC's pools all are."""


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    task: str
    kind: str
    split: str = ""
    rows: int = 0
    languages: tuple[str, ...] = ()
    metric: str = ""
    score: float | None = None
    """Validation score of an intermediate task; mean over the languages of a target."""
    seconds: float = 0.0
    peak_mib: int = 0
    """The most memory that the process had at once until then."""
    note: str = ""


def settings_of(task: TaskSpec, sizes: Sizes) -> dict[str, Any]:
    """Return settings of a training that is short on two cores; of a search, where nothing is trained."""
    if not task.trained:
        return {"max_length": sizes.search_length, "batch_size": 64}
    batch = max(1, sizes.batch_size // 4) if task.format == "multiple_choice" else sizes.batch_size
    steps = sizes.steps if task.kind == "intermediate" else sizes.target_steps
    return {
        "steps": steps,
        "batch_size": batch,
        "max_length": sizes.max_length,
        "doc_stride": 8,
        "learning_rate": 1e-3,
        "max_train_examples": steps * batch,
        "max_validation_examples": sizes.validation_rows,
        "evaluations": 1,
    }


def split_of(task: TaskSpec, found: Sequence[Checked]) -> str | None:
    """Return the split of a target that can be scored: its own, else its validation rows, else None."""
    there = {one.split for one in found if one.task == task.name and not one.error}
    if task.evaluation_split in there:
        return task.evaluation_split
    return "validation" if "validation" in there and task.sources["validation"].language_from != "fixed" else None


def line_of(task: TaskSpec, found: Sequence[Checked], sizes: Sizes, backbone: str, root: str, store: Path) -> Line:
    """Train an intermediate task, or train and evaluate a target task; a fault of the data becomes a note."""
    started = time.monotonic()
    faults = [f"{one.split}: {one.error}".replace(root, "DIR") for one in found if one.task == task.name and one.error]
    where: dict[str, Any] = {"backbone": backbone, "data_root": root, "store": store}
    settings = settings_of(task, sizes)
    try:
        if task.kind == "intermediate":
            manifest = train_intermediate(task.name, settings=settings, **where).artifact.manifest
            metric, score = next(iter(manifest["metrics"]["validation"].items()))
            rows = manifest["data"]["train"]["rows"]
            return Line(task.name, task.kind, "validation", rows, ("en",), metric, score, time.monotonic() - started)
        split = split_of(task, found)
        if split is None:
            return Line(task.name, task.kind, note="not in the mirror. " + " ".join(faults))
        sample = None if task.metric == "bucc_pool_f1" else sizes.rows  # pairs are mined among all sentences
        # Without test rows there is nothing that a layer could be chosen on.
        layer = None if task.trained or split == "test" else LAYER
        how: dict[str, Any] = {"split": split, "layer": layer, "max_eval_examples": sample, "settings": settings}
        transfer = compose("none", target=task.name, **how, **where)
    except AdapterStiltsError as error:
        note = str(error).replace(root, "DIR")
        return Line(task.name, task.kind, seconds=time.monotonic() - started, note=note)
    comparison = transfer.comparison
    missing = ", ".join(comparison.missing)
    return Line(
        task=task.name,
        kind=task.kind,
        split=split,
        rows=sum(cell.examples or 0 for cell in comparison.languages.values()),
        languages=tuple(comparison.languages),
        metric=comparison.metric,
        score=comparison.mean.score,
        seconds=time.monotonic() - started,
        note=f"not in the mirror: {missing}" if missing else "",
    )


def lines(
    found: Sequence[Checked], sizes: Sizes, backbone: str, root: str, say: Callable[[str], None]
) -> Iterator[Line]:
    """Run every task of the catalogue, intermediate tasks first, in a store that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="adapterstilts-real-") as store:
        for kind in ("intermediate", "target"):
            for task in TASKS.values():
                if task.kind == kind:
                    say(task.name)
                    line = line_of(task, found, sizes, backbone, root, Path(store))
                    yield replace(line, peak_mib=peak_memory()["resident_bytes"] >> 20)


def cells_of(line: Line) -> list[str]:
    """Return what the table says of a task."""
    score = "" if line.score is None else f"{line.score:.1f}"
    languages = str(len(line.languages)) if line.languages else ""
    note = line.note.replace("|", "/")
    note = note if len(note) <= 160 else f"{note[:157]}..."
    rows = str(line.rows) if line.rows else ""
    cost = [f"{line.seconds:.0f}", str(line.peak_mib)]
    return [line.task, line.kind, line.split, rows, languages, line.metric, score, *cost, note]


def _command(sizes: Sizes) -> str:
    """Return what was typed."""
    usual = asdict(Sizes())
    changed = [f"--{name.replace('_', '-')} {value}" for name, value in asdict(sizes).items() if value != usual[name]]
    return f'make real REAL="{" ".join(changed)}"' if changed else "make real"


def report(document: dict[str, Any], checked: Sequence[Checked], told: Sequence[Line], answers: Sequence[Told]) -> str:
    """Return the document."""
    sizes = Sizes(**document["sizes"])
    text = ["# Every task on real text", ""]
    text.append(
        f"Made by `{_command(sizes)}` on samples of the data sets; {document['backbone']}, {document['machine']}, "
        f"{document['seconds'] / 60:.0f} minutes. An adapter is trained for {sizes.steps} steps, a target's for "
        f"{sizes.target_steps}, of {sizes.batch_size} inputs of at most {sizes.max_length} tokens; {sizes.rows} rows a "
        f"language are scored, BUCC's pools in full, and search reads {sizes.search_length} tokens of each sentence. "
        "The scores say that a task works from end to end, and nothing more. Rows are those trained on (intermediate "
        "tasks) or scored (targets); the score is that on validation rows, or the mean over languages; MiB is the most "
        "memory that the whole run had taken until then."
    )
    text += ["", "| task | kind | split | rows | languages | metric | score | seconds | MiB | |"]
    text += ["|---|---|---|---:|---:|---|---:|---:|---:|---|"]
    text += [f"| {' | '.join(cells_of(line))} |" for line in told]
    text += ["", "## Rows that cannot be had", "", "As `adapterstilts tasks check` says.", ""]
    text += ["| task | split | languages that are not there | what is wrong |", "|---|---|---|---|"]
    for one in checked:
        if one.missing or one.error:
            error = one.error.replace("|", "/").replace(document["data_root"], "DIR")
            text.append(f"| {one.task} | {one.split} | {'' if one.error else ', '.join(one.missing)} | {error} |")
    text += ["", *report_lines(answers)]
    return "\n".join(text) + "\n"


def main() -> None:
    """Run it all, and write the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default=os.environ.get("ADAPTERSTILTS_DATA_ROOT"))
    parser.add_argument("--backbone", default="minilm-l6")
    for name, value in asdict(Sizes()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    parser.add_argument("--output", type=Path, default=HERE, help="folder of REAL.md and real.json")
    given = parser.parse_args()
    if not given.data_root:
        parser.error("give --data-root, or set ADAPTERSTILTS_DATA_ROOT, to a mirror of the Hub (README.md)")
    quiet()
    sizes = Sizes(**{name: getattr(given, name) for name in asdict(Sizes())})
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True)

    say("tasks check")
    checked = check_tasks(data_root=given.data_root, reporter=Reporter())
    told = list(lines(checked, sizes, given.backbone, given.data_root, say))
    say("gold answers, there and back")
    answers = back(given.data_root, given.backbone)
    document = {
        "backbone": given.backbone,
        "data_root": given.data_root,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "sizes": asdict(sizes),
        "seconds": round(time.monotonic() - started, 1),
    }
    (given.output / "REAL.md").write_text(report(document, checked, told, answers), encoding="utf-8")
    del document["data_root"]
    document |= {
        "tasks": [asdict(line) for line in told],
        "checked": [{**one.to_json(), "error": one.error.replace(given.data_root, "DIR")} for one in checked],
        "answers": [one.to_json() for one in answers],
    }
    (given.output / "real.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    widths = (12, 12, 10, 6, 3, 18, 6, 5, 5, 0)
    for line in told:
        print(" ".join(f"{cell:>{width}}" for cell, width in zip(cells_of(line), widths, strict=True)))
    print("\n".join(report_lines(answers)))


def quiet() -> None:
    """Keep the libraries from telling what our own lines tell."""
    import logging

    import datasets

    datasets.disable_progress_bars()
    logging.getLogger("adapters").setLevel(logging.ERROR)


if __name__ == "__main__":
    main()
