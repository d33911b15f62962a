"""A training step: ours beside the adapters library's trainer, by its examples and at its best, and PEFT's LoRA.

    make bench-training

writes benchmarks/TRAINING.md and benchmarks/training.json; encoders that are not run keep what was found of them, if
that was on the same machine. Needs a mirror of the Hub with rajpurkar/squad (ADAPTERSTILTS_DATA_ROOT) and the encoder
of the extra ``real``; the row with PEFT needs ``pip install peft``. All sides train one adapter on the same windows of
SQuAD, which they get for nothing, with the same batch size, learning rate and dropout, in turn, the order turned around
every second round. The clock runs from the first batch to the last step. Encoders of XLM-R's sizes have random weights
and MiniLM's tokenizer, and fewer windows.

The bound is what the matrix products of our step would take at the rate at which this machine multiplies matrices of
the encoder's size: what is beyond it is all else that a step does.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from measuring import CLOCKS, Spread, machine_facts, machine_line, matrix_rate, operations, typed, write
from random_encoders import make_encoder

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import load_rows
from adapterstilts.models.backbone import build, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.expression import Nothing
from adapterstilts.models.locations import locate
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.trainer import StiltsTrainer

HERE = Path(__file__).parent
TASK = get_task("squad")
OURS, DEFAULTS, BEST, OURS_LORA, PEFT = (
    "ours",
    "library, defaults",
    "library, best practice",
    "ours, LoRA",
    "PEFT, LoRA",
)
#: Peer, which of ours it is beside, and how many times as many examples a second ours shall have.
PAIRS = ((DEFAULTS, OURS, 2.5), (BEST, OURS, 1.2), (PEFT, OURS_LORA, None))
LORA = {"r": 8, "alpha": 8}
OPERATIONS = {
    "matrix products": r"^aten::(mm|addmm|bmm|baddbmm)$",
    "softmax": r"softmax",
    "GELU": r"gelu",
    "layer norms": r"layer_norm",
    "random numbers": r"random|bernoulli|dropout",
    "adding, multiplying, comparing": r"^aten::(add|mul|div|sub|lt|ge|bitwise|where|masked_fill|threshold|relu)",
    "copying": r"copy_|cat$|fill_|zero_|clone|contiguous",
}
"""What a profile is told by: the first pattern that is found in the name of an operation."""
REST = "all else"
VOCABULARY = 40_000
"""Tokens of the encoders with random weights: more would be memory only."""


@dataclass(frozen=True)
class Size:
    """How much is run of an encoder: its sides, and what share of the rows."""

    sides: tuple[str, ...]
    share: float


ENCODERS = {
    "minilm-l6": Size((OURS, DEFAULTS, BEST, OURS_LORA, PEFT), 1.0),
    "xlm-r-base-size": Size((OURS, DEFAULTS, BEST), 1 / 4),
    "xlm-r-large-size": Size((OURS, DEFAULTS, BEST), 1 / 12),
}


class Sides:
    """All sides on the same windows.

    Args:
        given: the settings.
        rows: of SQuAD, whose windows they train on.
        backbone: name or folder.
    """

    def __init__(self, given: argparse.Namespace, rows: int, backbone: str) -> None:
        self.given, self.backbone = given, backbone
        self.settings = TrainingSettings(
            epochs=1,
            evaluations=1,
            learning_rate=given.learning_rate,
            batch_size=given.batch_size,
            max_length=given.max_length,
            doc_stride=given.doc_stride,
        )
        table = load_rows(TASK, "train", ["en"], root=Path(given.data_root), max_examples=rows)
        loaded = load_backbone(backbone)
        tokenizer, self.width = loaded.tokenizer, int(loaded.model.config.hidden_size)
        self.encoded: Encoded = encode_rows(table, tokenizer, self.settings.encoding, training=True)
        names = ("input_ids", "token_type_ids", "attention_mask", "start_positions", "end_positions")
        features = self.encoded.features
        masks = [[1] * len(ids) for ids in features["input_ids"]]
        self.lengths = [len(ids) for ids in masks]
        features = features.add_column("attention_mask", masks)
        self.plain = features.select_columns([name for name in names if name in features.column_names])
        self.tokenizer = tokenizer

    def run(self, side: str, clock: Callable[[], float]) -> tuple[float, float]:
        """Train once; return the seconds and the mean loss of the steps."""
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as scratch:
            if side in (OURS, OURS_LORA):
                trainer: Any = self.ours("lora" if side == OURS_LORA else "seq_bn", scratch)
                started = clock()
                trainer.fit()
                return clock() - started, next(
                    told["train_loss"] for told in trainer.state.log_history if "train_loss" in told
                )
            trainer = self.peft(scratch) if side == PEFT else self.library(scratch, padded=side == DEFAULTS)
            started = clock()
            done = trainer.train()
            return clock() - started, float(done.training_loss)

    def ours(self, adapter: str, scratch: str) -> StiltsTrainer:
        """Return our trainer, on a model made anew."""
        config = adapter_config_json(adapter)
        head = FORMATS[TASK.format].head(TASK)
        composed = build(
            load_backbone(self.backbone), Composition(Nothing(), TASK.name, head, {TASK.name: config}), seed=0
        )
        validate = lambda: {"f1": 0.0}  # noqa: E731  both sides are timed without validation
        return StiltsTrainer(composed, TASK, self.encoded, validate, self.settings, title="ours", output_dir=scratch)

    def library(self, scratch: str, *, padded: bool) -> Any:
        """Return adapters' trainer as run_qa.py makes it: padded to the greatest length, or grouped by length."""
        from adapters import AdapterTrainer, AutoAdapterModel

        model = AutoAdapterModel.from_pretrained(str(locate(self.backbone)))
        model.add_adapter(TASK.name, config="seq_bn")
        model.add_qa_head(TASK.name)
        model.train_adapter(TASK.name)
        return AdapterTrainer(model=model, **self._options(scratch, padded=padded))

    def peft(self, scratch: str) -> Any:
        """Return the Trainer of transformers on PEFT's LoRA, grouped by length."""
        from peft import LoraConfig, TaskType, get_peft_model
        from transformers import AutoModelForQuestionAnswering, Trainer

        model = AutoModelForQuestionAnswering.from_pretrained(str(locate(self.backbone)))
        config = LoraConfig(
            task_type=TaskType.QUESTION_ANS, r=LORA["r"], lora_alpha=LORA["alpha"], target_modules=["query", "value"]
        )
        return Trainer(model=get_peft_model(model, config), **self._options(scratch, padded=False))

    def _options(self, scratch: str, *, padded: bool) -> dict[str, Any]:
        from transformers import DataCollatorWithPadding, TrainingArguments, default_data_collator

        features = self.plain
        if padded:
            how = {"padding": "max_length", "max_length": self.given.max_length}
            features = features.map(self.tokenizer.pad, fn_kwargs=how)
        else:
            features = features.add_column("length", self.lengths)
        arguments = TrainingArguments(
            output_dir=scratch,
            num_train_epochs=1,
            learning_rate=self.given.learning_rate,
            per_device_train_batch_size=self.given.batch_size,
            group_by_length=not padded,
            length_column_name="length",
            label_names=["start_positions", "end_positions"],
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=0,
        )
        collator = default_data_collator if padded else DataCollatorWithPadding(self.tokenizer)
        return {"args": arguments, "train_dataset": features, "data_collator": collator}


def profile(sides: Sides) -> dict[str, float]:
    """Return the shares of our step's time by what is done, the largest first."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiling

    with tempfile.TemporaryDirectory() as scratch:
        trainer = sides.ours("seq_bn", scratch)
        with profiling(activities=[ProfilerActivity.CPU]) as found:
            trainer.fit()
    spent = dict.fromkeys([*OPERATIONS, REST], 0.0)
    for item in found.key_averages():
        name = next((name for name, pattern in OPERATIONS.items() if re.search(pattern, item.key)), REST)
        spent[name] += item.self_cpu_time_total
    total = sum(spent.values())
    return {name: round(spent[name] / total, 4) for name in sorted(spent, key=lambda name: -spent[name])}


def measure(encoder: str, given: argparse.Namespace) -> dict[str, Any]:
    """Run all sides on an encoder in turn."""
    clock, size = CLOCKS[given.clock], ENCODERS[encoder]
    names = [name for name in size.sides if find_spec("peft") or name not in (OURS_LORA, PEFT)]
    with tempfile.TemporaryDirectory() as folder:
        if encoder.startswith("xlm-r"):
            make_encoder(Path(folder), encoder.split("-")[2], vocabulary=VOCABULARY)
        sides = Sides(given, round(given.rows * size.share), folder if encoder.startswith("xlm-r") else encoder)
        seconds: dict[str, list[float]] = {name: [] for name in names}
        losses: dict[str, float] = {}
        rates = [matrix_rate(sides.width, clock)]
        for number in range(given.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                taken, losses[name] = sides.run(name, clock)
                seconds[name].append(taken)
                told = f"{time.strftime('%H:%M:%S')}  {encoder} round {number}  {name}: {taken:.1f} s"
                print(told, file=sys.stderr, flush=True)
            rates.append(matrix_rate(sides.width, clock))
        with tempfile.TemporaryDirectory() as scratch:
            bound = operations(sides.ours("seq_bn", scratch).fit) / max(rates)
        parts = profile(sides)
    return {
        "encoder": encoder,
        "command": typed(__file__, "bench-training"),
        "width": sides.width,
        "windows": len(sides.lengths),
        "tokens": sum(sides.lengths) / len(sides.lengths),
        "seconds": seconds,
        "losses": losses,
        "matrix_rate": max(rates),
        "bound_seconds": bound,
        "profile": parts,
    }


def report(document: dict[str, Any]) -> str:
    """Return the document."""
    given = document["settings"]
    lines = ["# A training step", "", "Made by `make bench-training`, or an encoder at a time.", ""]
    lines += [machine_line(document), ""]
    lines += [
        f"One epoch of windows of SQuAD, {given['max_length']} tokens at most, in batches of {given['batch_size']}, "
        f"one adapter (`seq_bn`) and a head for questions, {given['rounds']} rounds. *Library* is adapters with "
        "its trainer: with defaults, its example pads all to the greatest length; at its best it groups by length and "
        f"pads to the longest of a batch. *PEFT* is LoRA (rank {LORA['r']}, query and value) with the Trainer of "
        "transformers, at its best, beside our `lora`. The bound is what the matrix products of our epoch take at the "
        "best rate here of a product of 2048 x width and width x 4 width.",
    ]
    for found in document["records"]:
        lines += section(found)
    return "\n".join(lines) + "\n"


def section(found: dict[str, Any]) -> list[str]:
    """Return what is told of an encoder."""
    seconds, count = found["seconds"], found["windows"]
    lines = [
        "",
        f"## {found['encoder']}",
        "",
        f"`{found['command']}`: {count} windows, {found['tokens']:.0f} tokens long in the mean.",
        "",
        "| peer | examples a second, peer | ours | ours / peer | asked | |",
        "|---|---:|---:|---|---:|---|",
    ]
    for peer, ours, goal in PAIRS:
        if peer not in seconds:
            continue
        ratio = Spread.of([theirs / own for theirs, own in zip(seconds[peer], seconds[ours], strict=True)])
        met = "" if goal is None else "met" if ratio.median >= goal else "**not met**"
        theirs, own = (count / Spread.of(seconds[name]).median for name in (peer, ours))
        lines.append(f"| {peer} | {theirs:.2f} | {own:.2f} | {ratio} | {goal or ''} | {met} |")
    lines += ["", "| side | seconds | share of the bound | loss in the mean |", "|---|---|---:|---:|"]
    for name, taken in seconds.items():
        spread = Spread.of(taken)
        share = f"{found['bound_seconds'] / spread.median:.0%}" if name != PEFT and name != OURS_LORA else ""
        lines.append(f"| {name} | {spread} | {share} | {found['losses'][name]:.3f} |")
    return [
        *lines,
        "",
        f"The bound is {found['bound_seconds']:.1f} s, at {found['matrix_rate'] / 1e9:.0f} GFLOP/s. Where our time "
        "goes: " + ", ".join(f"{name} {share:.0%}" for name, share in found["profile"].items()) + ".",
    ]


def main() -> None:
    """Measure, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", default=os.environ.get("ADAPTERSTILTS_DATA_ROOT"))
    parser.add_argument("--encoders", default=",".join(ENCODERS), help="which of " + ", ".join(ENCODERS))
    parser.add_argument("--rows", type=int, default=48, help="of SQuAD; the larger encoders get a share of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--max-length", type=int, default=384)
    parser.add_argument("--doc-stride", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--output", type=Path, default=HERE)
    given = parser.parse_args()
    if not given.data_root:
        parser.error("give --data-root, a mirror of the Hub that has rajpurkar/squad")
    logging.getLogger("adapters").setLevel(logging.ERROR)
    torch.set_num_threads(given.threads)
    surroundings = {
        "machine": machine_facts("torch", "transformers", "adapters", *(["peft"] if find_spec("peft") else [])),
        "threads": given.threads,
        "clock": given.clock,
    }
    settings = {
        name: getattr(given, name) for name in ("rounds", "batch_size", "learning_rate", "max_length", "doc_stride")
    }
    path = given.output / "training.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    same = all(before.get(key) == value for key, value in {**surroundings, "settings": settings}.items())
    found = {record["encoder"]: record for record in before["records"]} if same else {}
    for encoder in given.encoders.split(","):
        found[encoder] = measure(encoder, given)
        records = [found[name] for name in ENCODERS if name in found]
        document = {**surroundings, "settings": settings, "records": records}
        write(given.output, "training", document, report(document))
    print(report(document))


if __name__ == "__main__":
    main()
