"""A training step: ours beside the adapters library's trainer, by its examples and at its best, and PEFT's LoRA.

    make bench-training

writes benchmarks/TRAINING.md and benchmarks/training.json. Needs a mirror of the Hub with rajpurkar/squad
(ADAPTERSTILTS_DATA_ROOT) and the encoder of the extra ``real``; the row with PEFT needs ``pip install peft``. All sides
train one adapter on the same windows of SQuAD, which they get for nothing, with the same batch size, learning rate and
dropout, in turn, the order turned around every second round. The clock runs from the first batch to the last step.

The bound is what the matrix products of our step would take at the rate at which this machine multiplies matrices of
the encoder's size: what is beyond it is all else that a step does.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from measuring import CLOCKS, Spread, machine_facts, machine_line
from torch.utils.flop_counter import FlopCounterMode

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


class Sides:
    """All sides on the same windows."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.settings = TrainingSettings(
            epochs=1,
            evaluations=1,
            learning_rate=given.learning_rate,
            batch_size=given.batch_size,
            max_length=given.max_length,
            doc_stride=given.doc_stride,
        )
        rows = load_rows(TASK, "train", ["en"], root=Path(given.data_root), max_examples=given.rows)
        tokenizer = load_backbone(given.backbone).tokenizer
        self.encoded: Encoded = encode_rows(rows, tokenizer, self.settings.encoding, training=True)
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
            load_backbone(self.given.backbone), Composition(Nothing(), TASK.name, head, {TASK.name: config}), seed=0
        )
        validate = lambda: {"f1": 0.0}  # noqa: E731  both sides are timed without validation
        return StiltsTrainer(composed, TASK, self.encoded, validate, self.settings, title="ours", output_dir=scratch)

    def library(self, scratch: str, *, padded: bool) -> Any:
        """Return adapters' trainer as run_qa.py makes it: padded to the greatest length, or grouped by length."""
        from adapters import AdapterTrainer, AutoAdapterModel

        model = AutoAdapterModel.from_pretrained(str(locate(self.given.backbone)))
        model.add_adapter(TASK.name, config="seq_bn")
        model.add_qa_head(TASK.name)
        model.train_adapter(TASK.name)
        return AdapterTrainer(model=model, **self._options(scratch, padded=padded))

    def peft(self, scratch: str) -> Any:
        """Return the Trainer of transformers on PEFT's LoRA, grouped by length."""
        from peft import LoraConfig, TaskType, get_peft_model
        from transformers import AutoModelForQuestionAnswering, Trainer

        model = AutoModelForQuestionAnswering.from_pretrained(str(locate(self.given.backbone)))
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


def matrix_rate(width: int, clock: Callable[[], float]) -> float:
    """Return the floating-point operations a second of a product of matrices of the encoder's size."""
    left, right = torch.randn(2048, width), torch.randn(width, 4 * width)
    rates = []
    for _ in range(15):
        started = clock()
        for _ in range(10):
            left @ right
        rates.append(10 * 2 * 2048 * width * 4 * width / (clock() - started))
    return max(rates)


def operations(sides: Sides) -> int:
    """Return the floating-point operations of our matrix products in one epoch, as many as they are."""
    with tempfile.TemporaryDirectory() as scratch, FlopCounterMode(display=False) as counter:
        sides.ours("seq_bn", scratch).fit()
    return int(counter.get_total_flops())


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run all sides in turn."""
    clock, sides = CLOCKS[given.clock], Sides(given)
    names = [OURS, DEFAULTS, BEST] + ([OURS_LORA, PEFT] if find_spec("peft") else [])
    seconds: dict[str, list[float]] = {name: [] for name in names}
    losses: dict[str, float] = {}
    rates = [matrix_rate(given.width, clock)]
    for number in range(given.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            taken, losses[name] = sides.run(name, clock)
            seconds[name].append(taken)
            print(f"{time.strftime('%H:%M:%S')}  round {number}  {name}: {taken:.1f} s", file=sys.stderr, flush=True)
        rates.append(matrix_rate(given.width, clock))
    bound = operations(sides) / max(rates)
    lengths = sides.lengths
    return {
        "settings": {key: value for key, value in vars(given).items() if key not in ("data_root", "output")},
        "machine": machine_facts("torch", "transformers", "adapters", *(["peft"] if PEFT in seconds else [])),
        "threads": torch.get_num_threads(),
        "clock": given.clock,
        "windows": len(lengths),
        "tokens": sum(lengths) / len(lengths),
        "seconds": seconds,
        "losses": losses,
        "matrix_rate": max(rates),
        "bound_seconds": bound,
    }


def report(found: dict[str, Any]) -> str:
    """Return the document."""
    given, seconds, count = found["settings"], found["seconds"], found["windows"]
    command = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in sorted(given["typed"].items()))
    lines = ["# A training step", "", f"Made by `python benchmarks/training.py{' ' + command if command else ''}`.", ""]
    lines += [machine_line(found), ""]
    lines += [
        f"One epoch of {count} windows of SQuAD, {found['tokens']:.0f} tokens long in the mean and "
        f"{given['max_length']} at most, in batches of {given['batch_size']}, {given['backbone']}, one adapter "
        f"(`seq_bn`) and a head for questions, {given['rounds']} rounds. *Library* is adapters with its trainer: with "
        "defaults, its example pads all to the greatest length; at its best it groups by length and pads to the "
        f"longest of a batch. *PEFT* is LoRA (rank {LORA['r']}, query and value) with the Trainer of transformers, at "
        "its best, beside our `lora`.",
        "",
        "| peer | examples a second, peer | ours | ours / peer | asked | |",
        "|---|---:|---:|---|---:|---|",
    ]
    for peer, ours, goal in PAIRS:
        if peer not in seconds:
            lines.append(f"| {peer} | not installed | | | | |")
            continue
        ratio = Spread.of([theirs / own for theirs, own in zip(seconds[peer], seconds[ours], strict=True)])
        met = "" if goal is None else "met" if ratio.median >= goal else "**not met**"
        theirs, own = (count / Spread.of(seconds[name]).median for name in (peer, ours))
        lines.append(f"| {peer} | {theirs:.1f} | {own:.1f} | {ratio} | {goal or ''} | {met} |")
    lines += ["", "| side | seconds | share of the bound | loss in the mean |", "|---|---|---:|---:|"]
    for name, taken in seconds.items():
        spread = Spread.of(taken)
        share = f"{found['bound_seconds'] / spread.median:.0%}" if name != PEFT and name != OURS_LORA else ""
        lines.append(f"| {name} | {spread} | {share} | {found['losses'][name]:.3f} |")
    lines += [
        "",
        f"The bound is {found['bound_seconds']:.1f} s: the matrix products of our epoch at "
        f"{found['matrix_rate'] / 1e9:.0f} GFLOP/s, the best rate here of a product of 2048 x {given['width']} and "
        f"{given['width']} x {4 * given['width']}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", default=os.environ.get("ADAPTERSTILTS_DATA_ROOT"))
    parser.add_argument("--backbone", default="minilm-l6")
    parser.add_argument("--rows", type=int, default=200)
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
    standard = vars(parser.parse_args([]))
    given.typed = {
        name: value
        for name, value in vars(given).items()
        if value != standard[name] and name not in ("data_root", "output")
    }
    logging.getLogger("adapters").setLevel(logging.ERROR)
    torch.set_num_threads(given.threads)
    given.width = int(load_backbone(given.backbone).model.config.hidden_size)
    found = measure(given)
    found["settings"].pop("typed")
    (given.output / "training.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    found["settings"]["typed"] = given.typed
    text = report(found)
    (given.output / "TRAINING.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
