"""Peak memory of a training, ours beside the adapters library and its trainer, each in a process of its own.

    ADAPTERSTILTS_DATA_ROOT=... make bench-memory

writes benchmarks/MEMORY.md and benchmarks/memory.json. An encoder of XLM-R's size is made in a temporary folder, its
weights drawn at random, saved with its masked-language-model head as the published one is; its tokenizer is that of
MiniLM-L6, so that the tokens of English text lie side by side at the beginning of the vocabulary, which spares the side
that maps the whole matrix into its memory. The library's side does what its examples do by default: text classification
with inputs padded to the greatest length, the Trainer's defaults, a checkpoint at the end. Rows, batch size, number of
steps and greatest length are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import machine_facts, typed, write
from random_encoders import SIZES, make_encoder

HERE = Path(__file__).parent
TASK, LABELS = "mnli", 3
GOAL, EQUAL = 0.6, 1e-5
"""Peak of ours over that of the library, and the largest difference of logits."""
SIDES = {
    "ours": "ours",
    "ours-whole": "ours, `--no-trim-vocabulary`",
    "library": "adapters + AdapterTrainer",
}
MEGABYTE = 1e6


def peak() -> float:
    """Return the peak of this process's resident memory, in megabytes."""
    told = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = [line for line in told.splitlines() if line.startswith("VmHWM:")]
    return round(int(line.split()[1]) * 1024 / MEGABYTE, 1)


def size_of(folder: Path) -> float:
    """Return the size of all files of a folder, in megabytes."""
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MEGABYTE, 1)


def settings_of(given: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of our training."""
    return {
        "steps": given.steps,
        "batch_size": given.batch_size,
        "max_length": given.length,
        "max_train_examples": given.rows,
        "max_validation_examples": given.batch_size,
        "evaluations": 1,
    }


def run_ours(given: argparse.Namespace, *, trimmed: bool) -> dict[str, Any]:
    """Train with the library's function behind ``train-intermediate``."""
    from adapterstilts.models.vocabulary import vocabulary
    from adapterstilts.studies.transfer import train_intermediate
    from adapterstilts.training.checkpoints import Checkpoints

    written: list[float] = []
    save: Any = Checkpoints.save

    def watched(checkpoints: Any, *arguments: Any, **options: Any) -> None:
        save(checkpoints, *arguments, **options)
        written.append(size_of(checkpoints.folder))

    Checkpoints.save = watched  # type: ignore[method-assign]
    Checkpoints.due = property(lambda _: True)  # type: ignore[assignment,method-assign]
    with vocabulary(trimmed=trimmed):
        result = train_intermediate(TASK, backbone=given.encoder, store=given.store, settings=settings_of(given))
    curve = result.artifact.read_lines("curve.jsonl")
    losses = [line["loss"] for line in curve if "loss" in line]
    return {
        "artifact": result.artifact.id,
        "checkpoint": max(written),
        "stored": size_of(result.artifact.path),
        "losses": losses,
    }


def run_library(given: argparse.Namespace) -> dict[str, Any]:
    """Train as the examples of the adapters library do (run_glue), with its defaults."""
    import torch
    from adapters import AdapterTrainer, AutoAdapterModel
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainingArguments, default_data_collator, set_seed

    tokenizer: Any = AutoTokenizer.from_pretrained(given.encoder)
    table = rows_of(given, "train")
    encoded = tokenizer(
        table["text"][:], table["text_pair"][:], padding="max_length", max_length=given.length, truncation=True
    )
    rows = Dataset.from_dict({**encoded, "labels": table["label"][:]})
    set_seed(0)
    model: Any = AutoAdapterModel.from_pretrained(given.encoder)
    model.add_adapter(TASK, config="seq_bn")
    model.add_classification_head(TASK, num_labels=LABELS)
    model.train_adapter(TASK)
    arguments = TrainingArguments(
        output_dir=given.store,
        per_device_train_batch_size=given.batch_size,
        max_steps=given.steps,
        learning_rate=1e-4,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.accelerator.is_available(),
    )
    trainer = AdapterTrainer(model=model, args=arguments, train_dataset=rows, data_collator=default_data_collator)
    trainer.train()
    (checkpoint,) = Path(given.store).glob("checkpoint-*")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    model.save_adapter(Path(given.store) / "adapter", TASK)
    return {"checkpoint": size_of(checkpoint), "stored": size_of(Path(given.store) / "adapter"), "losses": losses}


def rows_of(given: argparse.Namespace, split: str) -> Any:
    """Return the rows of the task that both sides see, as a table with ``text``, ``text_pair`` and ``label``."""
    from adapterstilts.data.rows import load_rows
    from adapterstilts.data.sources import root_of_suite
    from adapterstilts.tasks.catalogue import get_task

    task = get_task(TASK)
    rows = load_rows(task, split, [task.source_language], root=root_of_suite(task.suite, None), max_examples=given.rows)
    return rows.table


def run_check(given: argparse.Namespace) -> dict[str, Any]:
    """Compare the logits of our artifact with those of the library's model with the same weights and all embeddings."""
    import torch
    from adapters import AutoAdapterModel
    from safetensors.torch import load_file

    from adapterstilts.models.saved import load_backbone_of, load_trained
    from adapterstilts.store.artifacts import Store

    artifact = Store(Path(given.store)).get(given.artifact)
    composed = load_trained(artifact, load_backbone_of(artifact))
    library: Any = AutoAdapterModel.from_pretrained(given.encoder)
    library.add_adapter(TASK, config="seq_bn")
    library.add_classification_head(TASK, num_labels=LABELS)
    library.set_active_adapters(TASK)
    library.active_head = TASK
    state = library.state_dict()
    for path in artifact.path.rglob("*.safetensors"):
        for name, tensor in load_file(path).items():
            state[name].copy_(tensor)
    library.eval()
    composed.model.eval()
    table = rows_of(given, "train")
    tokenizer: Any = composed.backbone.tokenizer
    batch = tokenizer(
        table["text"][:16], table["text_pair"][:16], padding=True, max_length=given.length, truncation=True,
        return_tensors="pt",
    )  # fmt: skip
    ours: Any = composed.model
    with torch.inference_mode():
        difference = (ours(**batch)["logits"] - library(**batch)["logits"]).abs().max().item()
    return {"difference": difference}


def run_loading(given: argparse.Namespace) -> dict[str, Any]:
    """Load the encoder our way."""
    from adapterstilts.models.backbone import load_backbone

    return {"id": load_backbone(given.encoder).identity.id}


def run_library_loading(given: argparse.Namespace) -> dict[str, Any]:
    """Load the encoder as the library does by default."""
    from adapters import AutoAdapterModel

    import adapterstilts.models.backbone  # noqa: F401  both sides import the same

    return {"heads": list(AutoAdapterModel.from_pretrained(given.encoder).heads)}


def run_imports(given: argparse.Namespace) -> dict[str, Any]:
    """Import what a training imports, and no more."""
    import transformers.models.xlm_roberta.modeling_xlm_roberta  # noqa: F401

    import adapterstilts.studies.transfer
    import adapterstilts.training.trainer  # noqa: F401

    return {}


CHILDREN = {
    "imports": run_imports,
    "load-ours": run_loading,
    "load-library": run_library_loading,
    "ours": lambda given: run_ours(given, trimmed=True),
    "ours-whole": lambda given: run_ours(given, trimmed=False),
    "library": run_library,
    "check": run_check,
}


def child(what: str, given: argparse.Namespace, store: Path, artifact: str = "") -> dict[str, Any]:
    """Run one of ``CHILDREN`` in a fresh process; return what it tells, with its peak."""
    options = ["--encoder", given.encoder, "--store", str(store), "--child", what, "--artifact", artifact]
    for name in ("steps", "rows", "batch_size", "length", "threads"):
        options += [f"--{name.replace('_', '-')}", str(getattr(given, name))]
    environment = os.environ | {"TRANSFORMERS_VERBOSITY": "error", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__)), *options], stdout=subprocess.PIPE, check=True, text=True, env=environment
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def measure(given: argparse.Namespace, size: str) -> dict[str, Any]:
    """Run everything for one size of the encoder."""
    with tempfile.TemporaryDirectory(prefix="adapterstilts-memory-") as scratch:
        given.encoder = f"{scratch}/encoder"
        make_encoder(Path(given.encoder), size)
        found: dict[str, list[dict[str, Any]]] = {}
        for number in range(given.repeats):
            for what in ("imports", "load-ours", "load-library", *SIDES):
                store = Path(scratch, f"{what}-{number}")
                found.setdefault(what, []).append(child(what, given, store))
                print(f"{size} {what}: {found[what][-1]['peak']:.0f} MB", flush=True)
        check = child("check", given, Path(scratch, "ours-0"), found["ours"][0]["artifact"])
        weights = round((Path(given.encoder) / "model.safetensors").stat().st_size / MEGABYTE, 1)
        peaks = {what: [one["peak"] for one in runs] for what, runs in found.items()}
        return {
            "size": size,
            "weights": weights,
            "peaks": peaks,
            "medians": {what: statistics.median(values) for what, values in peaks.items()},
            "checkpoints": {what: found[what][0]["checkpoint"] for what in SIDES},
            "stored": {what: found[what][0]["stored"] for what in SIDES},
            "losses": {what: found[what][0]["losses"] for what in SIDES},
            "difference": check["difference"],
        }


def verdicts(records: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    """Return what is asked, what was found, and whether it is met."""
    told = []
    for record in records:
        size, medians = record["size"], record["medians"]
        share = medians["ours"] / medians["library"]
        same = record["losses"]["ours"] == record["losses"]["ours-whole"]
        told += [
            (f"{size}: peak of a training at most {GOAL} of the library's", f"{share:.2f}", share <= GOAL),
            (f"{size}: the same losses with and without all embeddings", "equal" if same else "not equal", same),
            (
                f"{size}: logits of the trained adapter in the library, equal to {EQUAL:g}",
                f"{record['difference']:.1e}",
                record["difference"] <= EQUAL,
            ),
        ]
    return told


def report(document: dict[str, Any]) -> str:
    """Return the document."""
    machine, records = document["machine"], document["records"]
    facts = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    text = ["# What a training needs of memory", "", f"Made by `{document['command']}`.", ""]
    text += [f"Machine: {machine['processor']}, threads: {document['threads']}; {facts}.", ""]
    text += [
        f"One `seq_bn` adapter for `{TASK}` on an encoder of XLM-R's size with random weights: {document['steps']} "
        f"steps of {document['batch_size']} rows of at most {document['length']} tokens, the same rows on both "
        "sides. The library's side is its example with its defaults: the masked-language-model head of the checkpoint, "
        "inputs padded to the greatest length, a checkpoint at the end. Peaks are of resident memory (VmHWM) of a "
        f"fresh process, medians of {document['repeats']} with the smallest and the largest, in MB (10⁶ bytes)."
    ]
    text += ["", "| asked | found | |", "|---|---|---|"]
    text += [f"| {asked} | {value} | {'met' if met else '**not met**'} |" for asked, value, met in verdicts(records)]
    for record in records:
        text += ["", f"## {record['size']} ({record['weights']:.0f} MB of weights)", ""]
        names = {"imports": "imports alone", "load-ours": "load, ours", "load-library": "load, library"}
        text += ["| | peak, MB | of the library's |", "|---|---:|---:|"]
        for what, values in record["peaks"].items():
            whole = record["medians"]["load-library" if what.startswith("load") else "library"]
            share = f"{record['medians'][what] / whole:.2f}" if what != "imports" else ""
            spread = f"{record['medians'][what]:.0f} ({min(values):.0f} … {max(values):.0f})"
            name = names.get(what) or f"training, {SIDES[what]}"
            text.append(f"| {name} | {spread} | {share} |")
        text += ["", "| on disk | a checkpoint, MB | what is kept at the end, MB |", "|---|---:|---:|"]
        text += [
            f"| {SIDES[what]} | {record['checkpoints'][what]:.1f} | {record['stored'][what]:.1f} |" for what in SIDES
        ]
    return "\n".join(text) + "\n"


def main() -> None:
    """Run it all, and write the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="base", help=f"of {', '.join(SIZES)}; large takes 10 GB of disk and memory")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=HERE, help="folder of MEMORY.md and memory.json")
    for name in ("--child", "--encoder", "--store", "--artifact"):
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        import torch

        torch.set_num_threads(given.threads)
        found = CHILDREN[given.child](given)
        print(json.dumps({**found, "peak": peak()}))
        return
    records: list[dict[str, Any]] = []
    document = {
        "command": typed(__file__, "bench-memory"),
        "machine": machine_facts("torch", "transformers", "adapters", "safetensors"),
        **{name: getattr(given, name) for name in ("threads", "repeats", "steps", "rows", "batch_size", "length")},
        "records": records,
    }
    for size in given.sizes.split(","):
        records.append(measure(given, size))
        write(given.output, "memory", document, report(document))
    for asked, value, met in verdicts(records):
        print("met    " if met else "NOT MET", asked, "|", value)


if __name__ == "__main__":
    main()
