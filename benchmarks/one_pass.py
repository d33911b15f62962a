"""Several compositions without adapters in the lowest layers: evaluated in one pass, and one after the other.

    make bench-pass

writes benchmarks/ONE_PASS.md and benchmarks/one_pass.json. Needs a mirror of the Hub with google/xtreme
(ADAPTERSTILTS_DATA_ROOT) and the encoder of the extra ``real``. Both ways run in one process, in turn, the order turned
around every second round; a ratio is the median over the rounds.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import CLOCKS, Spread, machine_facts, machine_line, typed, write

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import load_rows
from adapterstilts.evaluation.inference import predict_logits, predict_together
from adapterstilts.models.backbone import build, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.expression import Nothing
from adapterstilts.models.layers import read_layers
from adapterstilts.models.lower_layers import one_backbone
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, EncodingSettings

HERE = Path(__file__).parent
TASK = get_task("udpos")


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run both ways in turn, for each number of compositions."""
    clock, dropped = CLOCKS[given.clock], read_layers(given.drop_layers)
    config = adapter_config_json("seq_bn")
    head = FORMATS[TASK.format].head(TASK)
    composition = Composition(Nothing(), TASK.name, head, {TASK.name: config}).without(dropped)
    models = one_backbone(
        build(load_backbone(given.backbone), composition, seed=seed) for seed in range(max(given.counts))
    )
    rows = load_rows(TASK, "test", None, root=Path(given.data_root), max_examples=given.max_examples)
    encoded = encode_rows(rows, models[0].backbone.tokenizer, EncodingSettings(), training=False)
    records = []
    for count in given.counts:
        some, times, equal = models[:count], [], True
        for number in range(given.rounds + 1):
            taken, found = {}, {}
            for way in ("apart", "together")[:: -1 if number % 2 else 1]:
                started = clock()
                found[way] = (
                    predict_together(some, encoded)
                    if way == "together"
                    else [predict_logits(composed, encoded) for composed in some]
                )
                taken[way] = clock() - started
            pairs = zip(found["apart"], found["together"], strict=True)
            equal &= all(np.array_equal(one, two) for each in pairs for one, two in zip(*each, strict=True))
            times.append(taken)
        times = times[1:]
        ratio = Spread.of([each["apart"] / each["together"] for each in times])
        seconds = {way: Spread.of([each[way] for each in times]).median for way in times[0]}
        records.append({"compositions": count, "ratio": asdict(ratio), "seconds": seconds, "equal": equal})
        print(records[-1], file=sys.stderr, flush=True)
    layers = int(models[0].model.config.num_hidden_layers)
    return {"records": records, "features": len(encoded), "languages": len(rows.languages), "layers": layers}


def report(document: dict[str, Any]) -> str:
    """Return the document."""
    given, found = document["settings"], document["found"]
    lines = ["# Several compositions in one pass", "", f"Made by `{document['command']}`.", "", machine_line(document)]
    lines += [
        f"Parts of speech in {found['languages']} languages, {found['features']} sentences, `{given['backbone']}` with "
        f"`--drop-layers {given['drop_layers']}` of its {found['layers']} layers, {given['rounds']} rounds. *Apart*: "
        "each composition runs the whole model. *Together*: embeddings, dropped layers and the next one up to its "
        "adapter are run once.",
        "",
        "| compositions | apart / together | no more than | seconds, apart | together | logits equal to the bit |",
        "|---:|---|---:|---:|---:|---|",
    ]
    below, every = len(read_layers(given["drop_layers"])) + 1, found["layers"]
    for record in found["records"]:
        count, seconds = record["compositions"], record["seconds"]
        most = count * every / (below + count * (every - below))
        cells = [str(count), str(Spread(**record["ratio"])), f"{most:.2f}"]
        cells += [f"{seconds['apart']:.1f}", f"{seconds['together']:.1f}", "yes" if record["equal"] else "**no**"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "*No more than*: if a layer were all that costs, and each the same."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default=os.environ.get("ADAPTERSTILTS_DATA_ROOT"))
    parser.add_argument("--backbone", default="minilm-l6")
    parser.add_argument("--drop-layers", default="0-2")
    parser.add_argument("--counts", type=lambda text: tuple(map(int, text.split(","))), default=(2, 8))
    parser.add_argument("--max-examples", type=int, default=8, help="rows a language")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: beside other work, --threads 1")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the documents")
    given = parser.parse_args()
    if not given.data_root:
        parser.error("give --data-root, a mirror of the Hub that has google/xtreme")
    torch.set_num_threads(given.threads)
    found = measure(given)
    document = {
        "command": typed(__file__, "bench-pass"),
        "machine": machine_facts("torch", "transformers", "adapters"),
        "threads": given.threads,
        "clock": given.clock,
        "settings": {key: value for key, value in vars(given).items() if key not in ("data_root", "output")},
        "found": found,
    }
    write(given.output, "one_pass", document, report(document))
    print(report(document))


if __name__ == "__main__":
    main()
