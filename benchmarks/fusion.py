"""Our fusion beside the adapters library's: the same models in one process, in turn, inference and training.

    make bench-fusion

writes benchmarks/FUSION.md and benchmarks/fusion.json. Each round runs the library's fusion, ours, one adapter and the
bare encoder one after the other, every second round backwards; a ratio is the median over the rounds of ratios within
a round, so that what else the machine does weighs on both sides alike. Which weights there are has no influence on the
time, and all are drawn at random but for the encoder's, where its package is installed. The bound is what the matrix
products of ours would take at the rate at which this machine multiplies matrices of the encoder's size.

Each number of adapters has a process of its own: first inference, as in one that only answers, then training, then
inference once more, since a training leaves large free blocks on the heap. Before it, a tensor of 50 MB, such as the
library has for a fusion of eight, is memory that the kernel hands out anew, page by page, each time.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from measuring import CLOCKS, Spread, machine_facts, machine_line, matrix_rate, operations, typed, write
from random_encoders import SIZES

from adapterstilts.models.backbone import Backbone, ComposedModel, backbone_from, build, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config_json, fusion_config_json
from adapterstilts.models.expression import Fusion, Nothing, Single
from adapterstilts.models.fast_fusion import fusion_paths, uninstall
from adapterstilts.tasks.formats.base import HeadSpec

HERE = Path(__file__).parent
FASTER, OVER_BARE, TRAINING, EQUAL = 2.9, 1.25, 2.0, 1e-5
"""What is asked of a fusion of eight: inference and training against the library, inference against the bare encoder,
and the largest difference of logits."""
GOAL_COUNT = 8


@dataclass(frozen=True)
class Size:
    """How much is run of an encoder."""

    counts: tuple[int, ...]
    """Numbers of fused adapters."""
    rounds: int
    batch_size: int
    length: int


def minilm() -> Backbone:
    """Return MiniLM-L6 of the extra ``real``: 6 layers, 384 wide."""
    return load_backbone("minilm-l6")


def xlm_r(size: str) -> Backbone:
    """Return an encoder of XLM-R's size, with random weights and a short word list."""
    from adapters import AutoAdapterModel
    from transformers import XLMRobertaConfig

    config = XLMRobertaConfig(vocab_size=30_000, max_position_embeddings=514, type_vocab_size=1, **SIZES[size])
    tokenizer: Any = None  # nothing is tokenized
    torch.manual_seed(0)  # the library's side and ours have the same weights
    return backbone_from(AutoAdapterModel.from_config(config), tokenizer, f"xlm-r-{size}-size")


ENCODERS: dict[str, Callable[[], Backbone]] = {
    "minilm-l6": minilm,
    **{f"xlm-r-{size}-size": partial(xlm_r, size) for size in SIZES},
}


def composed(encoder: str, count: int | None) -> ComposedModel:
    """Return a classifier on a fusion of so many adapters and one on top; of None, on the one on top alone."""
    names = [f"a{number}" for number in range(count or 0)]
    expression = Fusion(tuple(Single(name) for name in names)) if names else Nothing()
    config = adapter_config_json("seq_bn")
    made = build(
        ENCODERS[encoder](),
        Composition(
            expression,
            "top",
            HeadSpec("classification", 3, ("a", "b", "c")),
            {name: dict(config) for name in (*names, "top")},
            fusion_config_json() if names else None,
        ),
        seed=0,
    )
    with torch.no_grad():
        for keys in made.keys.values():
            for key in keys:  # new adapters add nothing, and new heads and fusions little
                tensor = made.model.state_dict()[key]
                tensor.add_(torch.randn_like(tensor) * 0.02)
    return made


def infer(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the logits of a batch."""
    model.eval()
    with torch.inference_mode():
        logits: torch.Tensor = model(**{name: batch[name] for name in ("input_ids", "attention_mask")}).logits
    return logits


def make_step(model: Any, batch: dict[str, torch.Tensor]) -> Callable[[], None]:
    """Return a function that makes a training step with AdamW and the fusion's regulariser."""
    optimizer = torch.optim.AdamW([item for item in model.parameters() if item.requires_grad], lr=1e-5, fused=True)

    def step() -> None:
        model.train()
        loss = model(**batch).loss
        penalty = model.base_model.get_fusion_regularization_loss()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def rounds(runs: dict[str, Callable[[], Any]], count: int, clock: Callable[[], float]) -> list[dict[str, float]]:
    """Return the seconds of each run, a round each, after one round that does not count."""
    found = []
    for number in range(count + 1):
        times = {}
        for name in list(runs)[:: -1 if number % 2 else 1]:
            started = clock()
            runs[name]()
            times[name] = clock() - started
        found.append(times)
    return found[1:]


def apart(function: Callable[..., list[dict[str, Any]]], *arguments: Any) -> list[dict[str, Any]]:
    """Call a function in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure(encoder: str, count: int, size: Size, clock_name: str, threads: int) -> list[dict[str, Any]]:
    """Return a record of inference and one of training, of a fusion of so many adapters."""
    torch.set_num_threads(threads)
    clock = CLOCKS[clock_name]
    generator = torch.Generator().manual_seed(0)
    shape = (size.batch_size, size.length)
    batch = {
        "input_ids": torch.randint(1000, 20_000, shape, generator=generator),
        "attention_mask": torch.ones(shape, dtype=torch.long),
        "labels": torch.randint(0, 3, shape[:1], generator=generator),
    }
    bare, single = composed(encoder, None).model, composed(encoder, None).model
    no_adapters: Any = bare
    no_adapters.set_active_adapters(None)
    width = int(no_adapters.config.hidden_size)
    found = []
    ours, library = composed(encoder, count).model, composed(encoder, count).model
    uninstall(library)
    assert not any(fusion_paths(ours).values())
    difference = (infer(library, batch) - infer(ours, batch)).abs().max().item()
    models = {"library": library, "ours": ours, "single": single}
    inference = {name: partial(infer, model, batch) for name, model in (*models.items(), ("bare", bare))}
    kinds: dict[str, dict[str, Callable[[], Any]]] = {
        "inference": inference,
        "training": {name: make_step(model, batch) for name, model in models.items()},
        "inference after training": inference,
    }
    for kind, runs in kinds.items():
        rate = matrix_rate(width, clock)
        times = rounds(runs, size.rounds, clock)
        rate = max(rate, matrix_rate(width, clock))
        over = "bare" if "bare" in runs else "single"
        record = {
            "encoder": encoder,
            "kind": kind,
            "adapters": count,
            "rounds": size.rounds,
            "difference": difference,
            "over": over,
            "matrix rate": rate,
            "bound": round(operations(runs["ours"]) / rate, 4),
            "seconds": {name: round(statistics.median(each[name] for each in times), 4) for name in runs},
            "library/ours": asdict(Spread.of([each["library"] / each["ours"] for each in times])),
            **{
                f"{name}/{over}": asdict(Spread.of([each[name] / each[over] for each in times]))
                for name in runs
                if name != over
            },
            "times": [{name: round(value, 4) for name, value in each.items()} for each in times],
        }
        found.append(record)
        print(f"{encoder} {kind} {count}: library/ours {Spread(**record['library/ours'])}", flush=True)
    return found


def verdicts(records: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    """Return what is asked of a fusion of eight, what was found, and whether it is met, for each encoder."""
    told = []
    for encoder in dict.fromkeys(record["encoder"] for record in records):
        of = {record["kind"]: record for record in records if record["encoder"] == encoder and is_goal(record)}
        if not of:
            continue
        faster, over = of["inference"]["library/ours"]["median"], of["inference"]["ours/bare"]["median"]
        training = of["training"]["library/ours"]["median"]
        worst = max(record["difference"] for record in records if record["encoder"] == encoder)
        told += [
            (f"{encoder}: inference at least {FASTER} times as fast", f"{faster:.2f}", faster >= FASTER),
            (f"{encoder}: inference at most {OVER_BARE} times the bare encoder", f"{over:.2f}", over <= OVER_BARE),
            (f"{encoder}: training at least {TRAINING:.0f} times as fast", f"{training:.2f}", training >= TRAINING),
            (f"{encoder}: logits equal to {EQUAL:g}, all sizes", f"{worst:.1e}", worst <= EQUAL),
        ]
    return told


def is_goal(record: dict[str, Any]) -> bool:
    """Tell whether a record is of the size that the goals are for."""
    return bool(record["adapters"] == GOAL_COUNT)


def report(document: dict[str, Any]) -> str:
    """Return the document."""
    records = document["records"]
    text = ["# What a fusion costs", "", f"Made by `{document['command']}`.", ""]
    text += [machine_line(document)]
    text += [
        "Adapters are `seq_bn`, with an adapter of the target on the fusion. *Ours* is `models/fast_fusion.py`, "
        "*library* is that of adapters; a ratio is the median over rounds of ratios within a round, with the smallest "
        "and the largest. A training step is forward, backward and AdamW of fusion, adapter on top and head. The bound "
        "is what the matrix products of ours take at the best rate here of a product of 2048 x width and width x 4 "
        "width."
    ]
    text += ["", f"A fusion of {GOAL_COUNT}:", "", "| asked | found | |", "|---|---|---|"]
    text += [f"| {asked} | {value} | {'met' if met else '**not met**'} |" for asked, value, met in verdicts(records)]
    for encoder, size in document["sizes"].items():
        text += ["", f"## {encoder}", ""]
        text += [
            f"Batches of {size['batch_size']} x {size['length']} tokens, {size['rounds']} rounds, single precision."
        ]
        for kind, over, title in (
            ("inference", "bare", "Inference; times the bare encoder"),
            ("training", "single", "Training step; times that of one adapter"),
            ("inference after training", "bare", "Inference again, with the heap that the training left"),
        ):
            text += ["", f"{title}:", "", "| fused | library / ours | library | ours | one adapter | seconds, ours | "]
            text[-1] += "bound | its share of ours | of the library's |"
            text += ["|---:|---|---|---|---|---:|---:|---:|---:|"]
            for record in records:
                if record["encoder"] == encoder and record["kind"] == kind:
                    cells = [str(record["adapters"]), str(Spread(**record["library/ours"]))]
                    cells += [str(Spread(**record[f"{name}/{over}"])) for name in ("library", "ours")]
                    cells += [str(Spread(**record["single/bare"])) if over == "bare" else "1"]
                    cells += [f"{seconds:.2f}" for seconds in (record["seconds"]["ours"], record["bound"])]
                    cells += [f"{record['bound'] / record['seconds'][name]:.0%}" for name in ("ours", "library")]
                    text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def main() -> None:
    """Run it all, and write the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encoders", default=",".join(ENCODERS), help="which of " + ", ".join(ENCODERS))
    parser.add_argument("--counts", help="numbers of fused adapters, such as 2,8, in the place of each encoder's own")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: beside other work, --threads 1")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--output", type=Path, default=HERE, help="folder of FUSION.md and fusion.json")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sizes = {
        "minilm-l6": Size((1, 2, 4, GOAL_COUNT), given.rounds, given.batch_size, given.length),
        "xlm-r-base-size": Size((2, GOAL_COUNT), given.rounds, max(1, given.batch_size // 8), given.length),
        "xlm-r-large-size": Size((GOAL_COUNT,), given.rounds, max(1, given.batch_size // 16), given.length),
    }
    if given.counts:
        counts = tuple(map(int, given.counts.split(",")))
        sizes = {name: replace(size, counts=counts) for name, size in sizes.items()}
    records: list[dict[str, Any]] = []
    chosen = {name: sizes[name] for name in given.encoders.split(",")}
    document = {
        "command": typed(__file__, "bench-fusion"),
        "machine": machine_facts("torch", "transformers", "adapters"),
        "threads": given.threads,
        "clock": given.clock,
        "sizes": {name: asdict(size) for name, size in chosen.items()},
        "records": records,
    }
    for name, count in ((name, count) for name, size in chosen.items() for count in size.counts):
        records += apart(measure, name, count, sizes[name], given.clock, given.threads)
        write(given.output, "fusion", document, report(document))
    for asked, found, met in verdicts(records):
        print("met    " if met else "NOT MET", asked, "|", found)


if __name__ == "__main__":
    main()
