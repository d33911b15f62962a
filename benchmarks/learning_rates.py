"""Five learning rates on one task with dropped layers: our trainings beside the same ones of adapters' own trainer.

    make bench-rates

writes benchmarks/LEARNING_RATES.md and benchmarks/learning_rates.json. Needs a mirror of the Hub with rajpurkar/squad
(ADAPTERSTILTS_DATA_ROOT) and the encoder of the extra ``real``. For each learning rate both sides train an adapter with
the same layers left out on the same windows and predict the same validation windows once; every second pair runs
backwards. Ours is the whole stage: rows, encoding, hidden states of the lower layers where they are not there yet,
backbone, training, validation, artifact. The peer is what the library's examples do: a fresh model and AdapterTrainer,
with the defaults of its example for questions, which pads all windows to the greatest length, and at its best, padded
to the longest of a batch; it gets the windows for nothing.

The bound is what the matrix products of ours would take at the rate at which this machine multiplies matrices of the
encoder's size, counted in two more of our stages: one that works out the lower layers, and one that finds them.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import CLOCKS, Spread, machine_facts, machine_line, matrix_rate, operations, typed, write

from adapterstilts.data.encode import encode_rows
from adapterstilts.evaluation.scoring import decoded, scores_of, statistics_by_language
from adapterstilts.models.backbone import identify, load_backbone
from adapterstilts.models.locations import locate
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store
from adapterstilts.store.hidden_states import states_folder
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import Encoded
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import TrainingStage, run_stage

HERE = Path(__file__).parent
GOAL = 3.0
"""How many times as long five trainings of the peer shall take."""
PEERS = {"defaults": "the library with the defaults of its example", "best": "the library at its best"}
SIDES = ("ours", *PEERS)


class Ours:
    """Our stages, in a store of their own."""

    def __init__(self, given: argparse.Namespace, home: Path) -> None:
        self.given, self.store, self.parts = given, Store(home), _Parts(CLOCKS[given.clock])

    def stage(self, rate: float) -> TrainingStage:
        """Return the training at a learning rate."""
        given = self.given
        settings = TrainingSettings(
            drop_layers=given.drop_layers,
            learning_rate=rate,
            epochs=given.epochs,
            batch_size=given.batch_size,
            max_length=given.max_length,
            doc_stride=given.doc_stride,
            max_train_examples=given.rows,
            max_validation_examples=given.validation_rows,
            evaluations=1,
        )
        return TrainingStage(get_task("squad"), settings, identify(given.backbone), root=Path(given.data_root))

    def run(self, rate: float) -> float:
        """Train, and return the F1 of the validation rows."""
        made = run_stage(self.stage(rate), self.store, reporter=self.parts)
        return float(made.artifact.manifest["metrics"]["validation"]["f1"])


class _Parts(Reporter):
    """Notes where our time goes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.seconds = {"lower layers": 0.0, "training and validation": 0.0}
        self._begun = "", 0.0

    def begin(self, title: str, total: int) -> None:
        self._begun = "training and validation" if title.startswith("Training") else "lower layers", self.clock()

    def end(self) -> None:
        name, started = self._begun
        self.seconds[name] += self.clock() - started


class Peer:
    """The adapters library with its trainer, on windows made before."""

    def __init__(self, given: argparse.Namespace, stage: TrainingStage) -> None:
        self.given, self.stage = given, stage
        self.backbone = load_backbone(given.backbone)  # for the tokenizer alone
        self.train, self.validation = self.windows(stage.train_rows, True), self.windows(stage.validation_rows, False)

    def windows(self, rows: Any, training: bool) -> Encoded:
        """Return rows as windows."""
        return encode_rows(rows, self.backbone.tokenizer, self.stage.settings.encoding, training=training)

    def run(self, rate: float, *, pad: bool) -> float:
        """Train, and return the F1 of the validation rows.

        Args:
            rate: learning rate.
            pad: all windows to the greatest length, else to the longest of a batch.
        """
        from adapters import AdapterTrainer, AutoAdapterModel, SeqBnConfig
        from transformers import DataCollatorWithPadding, TrainingArguments, set_seed

        given = self.given
        set_seed(0)
        model = AutoAdapterModel.from_pretrained(str(locate(given.backbone)))
        model.add_adapter("squad", config=SeqBnConfig(leave_out=list(self.stage.settings.dropped)))
        model.add_qa_head("squad")
        model.train_adapter("squad")
        labels = ["start_positions", "end_positions"]
        columns = [name for name in ("input_ids", "token_type_ids", *labels) if name in self.train.features.features]
        steps = -(-len(self.train) // given.batch_size) * given.epochs
        with tempfile.TemporaryDirectory() as scratch:
            trainer = AdapterTrainer(
                model=model,
                args=TrainingArguments(
                    output_dir=scratch,
                    num_train_epochs=given.epochs,
                    learning_rate=rate,
                    per_device_train_batch_size=given.batch_size,
                    per_device_eval_batch_size=given.batch_size,
                    warmup_steps=-(-steps // 10),
                    label_names=labels,
                    seed=0,
                    report_to="none",
                    save_strategy="no",
                    disable_tqdm=True,
                ),
                train_dataset=self.train.features.select_columns(columns),
                data_collator=DataCollatorWithPadding(
                    self.backbone.tokenizer,
                    padding="max_length" if pad else True,
                    max_length=given.max_length if pad else None,
                ),
            )
            trainer.train()
            inputs = self.validation.features.select_columns([name for name in columns if name not in labels])
            start, end = trainer.predict(inputs).predictions[:2]
        lengths = [len(ids) for ids in inputs["input_ids"]]
        logits = [
            torch.tensor([start[row][:length].tolist(), end[row][:length].tolist()]).numpy()
            for row, length in enumerate(lengths)
        ]
        rows = self.stage.validation_rows
        answers = decoded(rows, self.validation, logits, self.stage.settings.encoding)
        (found,) = statistics_by_language(rows, [answer.value for answer in answers]).values()
        return scores_of(rows.task.metric, found)["f1"]


def measure(given: argparse.Namespace, home: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the seconds and the F1 of all sides, learning rate by learning rate."""
    clock = CLOCKS[given.clock]
    ours = Ours(given, home)
    peer = Peer(given, ours.stage(given.rates[0]))
    width = int(peer.backbone.model.config.hidden_size)
    peer.backbone.model = None  # type: ignore[assignment]  # each run of theirs has its own
    runs: dict[str, Callable[[float], float]] = {
        "ours": ours.run,
        "defaults": lambda rate: peer.run(rate, pad=True),
        "best": lambda rate: peer.run(rate, pad=False),
    }
    records, rates = [], [matrix_rate(width, clock)]
    for number, rate in enumerate(given.rates):
        record: dict[str, Any] = {"rate": rate}
        for name in list(runs)[:: -1 if number % 2 else 1]:
            started = clock()
            record[f"{name} F1"] = round(runs[name](rate), 2)
            record[name] = round(clock() - started, 2)
        records.append(record)
        rates.append(matrix_rate(width, clock))
        say(f"{rate:g}: " + ", ".join(f"{key} {value}" for key, value in record.items() if key != "rate"))
    kept = sum(path.stat().st_size for path in states_folder(home).rglob("*") if path.is_file())
    windows = {"training": len(peer.train), "validation": len(peer.validation)}
    parts = {name: round(seconds, 2) for name, seconds in ours.parts.seconds.items()}
    parts["rows, backbone, artifact"] = round(sum(each["ours"] for each in records) - sum(parts.values()), 2)
    counted = Ours(given, home / "counted")
    first, *others = (operations(partial(counted.run, rate)) for rate in given.rates[:2])
    bound = (first + sum(others) * (len(given.rates) - 1)) / max(rates)
    matrices = {"matrix rate": max(rates), "bound": round(bound, 2)}
    return {"records": records, "parts": parts, "kept bytes": kept, "windows": windows, **matrices}


def report(document: dict[str, Any]) -> str:
    """Return the document."""
    settings, found = document["settings"], document["found"]
    records = found["records"]
    total = {side: sum(record[side] for record in records) for side in SIDES}
    few = f" ({settings['validation_rows']} rows are too few to tell)" if settings["validation_rows"] < 200 else ""
    lines = [
        "# Learning rates with dropped layers",
        "",
        f"Made by `{document['command']}`.",
        "",
        machine_line(document),
        "",
        f"`--drop-layers {settings['drop_layers']}` on {settings['backbone']}, {settings['rows']} rows of SQuAD "
        f"({found['windows']['training']} windows of at most {settings['max_length']} tokens), {settings['epochs']} "
        f"epochs, batches of {settings['batch_size']}; {settings['validation_rows']} validation rows "
        f"({found['windows']['validation']} windows), predicted once. The library's trainer leaves out the same layers "
        "(`leave_out`); with the defaults of its example for questions all windows are padded to the greatest length, "
        "at its best to the longest of a batch. *Ours* is the whole stage. What the lower layers make of the rows was "
        f"worked out once and takes {found['kept bytes'] / 1e6:.0f} MB.",
        "",
        f"All {len(records)} together, in seconds; asked for is {GOAL:g} times:",
        "",
        f"| | seconds | times ours | by pairs | | share of the bound | F1 in the mean{few} |",
        "|---|---:|---:|---|---|---:|---:|",
    ]
    share = {side: f"{found['bound'] / total[side]:.0%}" for side in SIDES}
    f1 = {side: statistics.mean(record[f"{side} F1"] for record in records) for side in SIDES}
    lines.append(f"| ours | {total['ours']:.0f} | | | | {share['ours']} | {f1['ours']:.1f} |")
    for side, title in PEERS.items():
        ratio, pairs = document["ratios"][side], Spread(**document["pairs"][side])
        met = "met" if ratio >= GOAL else "**not met**"
        cells = [title, f"{total[side]:.0f}", f"{ratio:.2f}", str(pairs), met, share[side], f"{f1[side]:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    parts = ", ".join(f"{name} {spent:.1f}" for name, spent in found["parts"].items())
    lines += [
        "",
        f"Where our seconds go: {parts}. The bound is {found['bound']:.1f} s: the matrix products of all of ours, at "
        f"the {found['matrix rate'] / 1e9:.0f} GFLOP/s that a product of 2048 x width and width x 4 width has here.",
        "",
        "| learning rate | "
        + " | ".join(f"{side}, seconds" for side in SIDES)
        + " | "
        + " | ".join(f"{side}, F1" for side in SIDES)
        + " |",
        "|---:" * (1 + 2 * len(SIDES)) + "|",
    ]
    for record in records:
        cells = [f"{record['rate']:g}", *(f"{record[side]:.1f}" for side in SIDES)]
        cells += [f"{record[side + ' F1']:.1f}" for side in SIDES]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run it all, and write the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default=os.environ.get("ADAPTERSTILTS_DATA_ROOT"))
    parser.add_argument("--backbone", default="minilm-l6")
    parser.add_argument("--drop-layers", default="0-2")
    parser.add_argument("--rates", default="3e-4,1e-3,2e-3,3e-3,5e-3")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--validation-rows", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=384)
    parser.add_argument("--doc-stride", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: beside other work, --threads 1")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the documents")
    given = parser.parse_args()
    if not given.data_root:
        parser.error("give --data-root, a mirror of the Hub that has rajpurkar/squad")
    given.rates = [float(rate) for rate in given.rates.split(",")]
    torch.set_num_threads(given.threads)

    import datasets

    datasets.disable_progress_bars()
    logging.getLogger("adapters").setLevel(logging.ERROR)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        found = measure(given, Path(home), lambda text: print(f"{time.monotonic() - begun:6.0f} s  {text}", flush=True))
    records = found["records"]
    document = {
        "command": typed(__file__, "bench-rates"),
        "machine": machine_facts("torch", "transformers", "adapters"),
        "threads": given.threads,
        "clock": given.clock,
        "settings": {key: value for key, value in vars(given).items() if key not in ("data_root", "output", "threads")},
        "found": found,
        "ratios": {
            side: round(sum(each[side] for each in records) / sum(each["ours"] for each in records), 3)
            for side in PEERS
        },
        "pairs": {side: asdict(Spread.of([each[side] / each["ours"] for each in records])) for side in PEERS},
    }
    write(given.output, "learning_rates", document, report(document))
    print(document["ratios"])


if __name__ == "__main__":
    main()
