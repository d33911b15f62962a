"""Our evaluation beside the libraries' way of doing it: questions, tags and mined sentences, in turn, equal results.

    make bench-evaluation

writes benchmarks/EVALUATION.md and benchmarks/evaluation.json. Each side is a process of its own, which loads the same
encoder, weights and rows, says that it is ready, and then runs once a round: we and the peer one after the other, every
second round the other way round. What is measured is everything from rows to scores, so tokenising, too, but not
loading. A ratio is the median over the rounds of ratios within a round. Adapter and head are drawn at random: time does
not depend on what they know, and equality of the answers shows on them as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import evaluation_peers as peers
import torch
from measuring import CLOCKS, Spread, machine_facts, machine_line, typed, write

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import Rows, load_rows, to_table
from adapterstilts.evaluation.inference import predict_logits
from adapterstilts.evaluation.retrieval import mined_pairs, pair_threshold
from adapterstilts.evaluation.scoring import decoded, scores_of, statistics_by_language
from adapterstilts.models.backbone import ComposedModel, build, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.expression import Nothing
from adapterstilts.models.locations import locate
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, EncodingSettings
from adapterstilts.tasks.formats.base import shortened

HERE = Path(__file__).parent
SIDES = ("ours", "peer")
POOLS, GOLD, WIDTH = (8624, 13589), 257, 384
"""Sentences of BUCC's Chinese-English pools, right pairs among them, and numbers in a vector."""
Run = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """A row of the table."""

    title: str
    peer: str
    goal: float
    task: str = ""
    settings: EncodingSettings = field(default_factory=EncodingSettings)


WORKS = {
    "xquad": Work(
        "zero-shot evaluation, XQuAD, every language of the mirror, with post-processing",
        "`Trainer.predict` a language at a time, padded to 384, batches of 8; `postprocess_qa_predictions`",
        3.0,
        "xquad",
        EncodingSettings(max_length=384, doc_stride=128),
    ),
    "udpos": Work(
        "zero-shot evaluation, parts of speech, every language of the mirror",
        "`Trainer.predict` a language at a time, batches of 8 padded to their longest; seqeval",
        2.0,
        "udpos",
        EncodingSettings(max_length=128, doc_stride=0),
    ),
    "bucc": Work(
        "BUCC Chinese-English, full pools, vectors given: search, margins, threshold",
        "faiss `IndexFlatIP` both ways; margins and threshold in Python",
        2.0,
    ),
}


def composed(encoder: str, task: Any) -> ComposedModel:
    """Return an encoder with an adapter and a head that are no initial ones."""
    head = FORMATS[task.format].head(task)
    made = build(load_backbone(encoder), Composition(Nothing(), peers.ADAPTER, head, ADAPTERS), seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        state = made.model.state_dict()
        for key in sorted(key for keys in made.keys.values() for key in keys):
            state[key].add_(torch.randn(state[key].shape, generator=generator) * 0.1)
    return made


ADAPTERS = {peers.ADAPTER: adapter_config_json("seq_bn")}


def comparable_rows(work: Work, tokenizer: Any, root: Path, most: int | None) -> Rows:
    """Load rows, and bring them to a form in which both sides read the same tokens.

    Questions are cut after the tokens that we allow them. Sentences of more tokens than an input has, which we cut into
    windows and the example cuts off, are left out, and those with words without any token.
    """
    task = get_task(work.task)
    rows = load_rows(task, task.evaluation_split, None, root=root, max_examples=most)
    if task.format == "span":
        cut = shortened(rows.table["question"][:], tokenizer, work.settings.question_room)
        kept = [row | {"question": question} for row, question in zip(rows.table, cut, strict=True)]
    else:
        encoding = tokenizer(rows.table["tokens"][:], is_split_into_words=True)
        kept = [
            row
            for number, row in enumerate(rows.table)
            if len(encoding["input_ids"][number]) <= work.settings.max_length
            and len({word for word in encoding.word_ids(number) if word is not None}) == len(row["tokens"])
        ]
    there = {row["language"] for row in kept}
    languages = tuple(code for code in rows.languages if code in there)
    return Rows(task, rows.split, to_table(task, kept), languages, rows.missing)


def our_run(work: Work, given: argparse.Namespace) -> Run:
    """Return our way, ready to run: one pass over all languages."""
    model = composed(given.encoder, get_task(work.task))
    rows = comparable_rows(work, model.backbone.tokenizer, given.data_root, given.max_examples or None)

    def run() -> dict[str, Any]:
        encoded = encode_rows(rows, model.backbone.tokenizer, work.settings, training=False)
        logits = predict_logits(model, encoded)
        values = [answer.value for answer in decoded(rows, encoded, logits, work.settings)]
        found = statistics_by_language(rows, values)
        scores = {code: scores_of(rows.task.metric, table) for code, table in found.items()}
        keys = map(":".join, zip(rows.table["language"][:], rows.table["id"][:], strict=True))
        return {"scores": scores, "answers": dict(zip(keys, values, strict=True))}

    return run


def peer_run(work: Work, given: argparse.Namespace) -> Run:
    """Return the libraries' way, ready to run: a language after the other."""
    from transformers import AutoTokenizer

    task = get_task(work.task)
    head = FORMATS[task.format].head(task)
    folder = str(locate(given.encoder))
    model = peers.model_of(folder, given.weights, head.kind, head.labels)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = comparable_rows(work, tokenizer, given.data_root, given.max_examples or None)
    tables = {code: rows.table.select(rows.of_language(code)) for code in rows.languages}

    def run() -> dict[str, Any]:
        scores, answers = {}, {}
        for code, table in tables.items():
            if task.format == "span":
                found = peers.answer_questions(
                    model, tokenizer, table, work.settings.max_length, work.settings.doc_stride
                )
                golds = {name: answer["text"] for name, answer in zip(table["id"], table["answers"], strict=True)}
                scores[code] = peers.question_scores(found, golds)
                answers |= {f"{code}:{name}": text for name, text in found.items()}
            else:
                tags = peers.tag_words(model, tokenizer, table, task.labels, work.settings.max_length)
                golds = [[task.labels[tag] for tag in row] for row in table["tags"]]
                scores[code] = peers.tag_scores(tags, golds)
                answers |= {f"{code}:{name}": found for name, found in zip(table["id"], tags, strict=True)}
        return {"scores": scores, "answers": answers}

    return run


def mining(side: str, share: float) -> Run:
    """Return a side's way to mine pairs among vectors that are drawn, translations near to each other."""
    generator = torch.Generator().manual_seed(0)
    n, m, pairs = (max(8, int(count * share)) for count in (*POOLS, GOLD))
    sources = torch.randn(n, WIDTH, generator=generator)
    targets = torch.randn(m, WIDTH, generator=generator)
    targets[-pairs:] = sources[:pairs] * 0.3 + targets[-pairs:]
    gold = {(number, m - pairs + number) for number in range(pairs)}

    def ours() -> dict[str, Any]:
        found = mined_pairs(sources, targets)
        threshold = pair_threshold(
            [pair.score for pair in found], [(pair.source, pair.target) in gold for pair in found], len(gold)
        )
        taken = [(pair.source, pair.target) for pair in found if pair.score >= threshold]
        f1 = 200 * len(gold & set(taken)) / (len(taken) + len(gold))
        return {"scores": {"zh": {"f1": f1}}, "answers": {str(source): target for source, target in taken}}

    def theirs() -> dict[str, Any]:
        found = peers.mine(sources.numpy(), targets.numpy())
        best = peers.best_f1(found, gold)
        taken = {str(source): target for score, source, target in found if score >= best["threshold"]}
        return {"scores": {"zh": {"f1": best["f1"]}}, "answers": taken}

    return ours if side == "ours" else theirs


def child(given: argparse.Namespace) -> None:
    """Get ready, then run once for each line of the input, and tell seconds, memory and what was found."""
    import datasets
    import transformers

    out = os.dup(1)
    os.dup2(2, 1)  # what the libraries print does not mix with what is told
    torch.set_num_threads(given.threads)
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    work = WORKS[given.child]
    if given.child == "bucc":
        if given.side == "peer":
            import faiss

            faiss.omp_set_num_threads(given.threads)
        run = mining(given.side, given.share)
    else:
        run = (our_run if given.side == "ours" else peer_run)(work, given)
    clock = CLOCKS[given.clock]
    told: dict[str, Any] = {"ready": True}
    while True:
        os.write(out, json.dumps(told).encode() + b"\n")
        if not sys.stdin.readline().strip():
            return
        started = clock()
        found = run()
        told = found | {
            "seconds": clock() - started,
            "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


class Side:
    """A process that runs one side when it is told to."""

    def __init__(self, name: str, side: str, arguments: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), *arguments, "--child", name, "--side", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.told()

    def told(self) -> dict[str, Any]:
        """Return what it says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"A side ended with {self.process.wait()}; run {' '.join(map(str, self.process.args))}.")
        found: dict[str, Any] = json.loads(line)
        return found

    def run(self) -> dict[str, Any]:
        """Run it once."""
        assert self.process.stdin is not None
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return self.told()

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def same(ours: Any, theirs: Any) -> bool:
    """Tell whether two answers are the same; combining marks that no token covers are ours, and do not count."""

    def bare(answer: Any) -> Any:
        if not isinstance(answer, str):
            return answer
        return "".join(letter for letter in answer if not unicodedata.category(letter).startswith("M")).strip()

    return bool(bare(ours) == bare(theirs))


def measure(name: str, rounds: int, arguments: list[str], say: Callable[[str], None]) -> dict[str, Any]:
    """Return the record of a row."""
    sides = {side: Side(name, side, arguments) for side in SIDES}
    times, last = [], {}
    for number in range(rounds):
        seconds = {}
        for side in SIDES[:: -1 if number % 2 else 1]:
            last[side] = sides[side].run()
            seconds[side] = round(last[side]["seconds"], 3)
        times.append(seconds)
        say(f"{name} round {number + 1}: {seconds}, {seconds['peer'] / seconds['ours']:.2f}")
    for side in sides.values():
        side.end()
    answers = {side: last[side]["answers"] for side in SIDES}
    keys = answers["ours"].keys() | answers["peer"].keys()
    equal = sum(same(answers["ours"].get(key), answers["peer"].get(key)) for key in keys)
    scores = {side: statistics.mean(found["f1"] for found in last[side]["scores"].values()) for side in SIDES}
    return {
        "work": name,
        "rounds": rounds,
        "languages": len(last["ours"]["scores"]),
        "answers": len(keys),
        "equal": equal,
        "f1": {side: round(value, 4) for side, value in scores.items()},
        "peer/ours": asdict(Spread.of([each["peer"] / each["ours"] for each in times])),
        "seconds": {side: round(statistics.median(each[side] for each in times), 3) for side in SIDES},
        "mib": {side: round(last[side]["mib"]) for side in SIDES},
        "times": times,
    }


def report(document: dict[str, Any]) -> str:
    """Return the document."""
    text = ["# What an evaluation costs", "", f"Made by `{document['command']}`.", "", machine_line(document)]
    text += [
        f"Encoder: `{document['encoder']}`, single precision; "
        f"{document['max_examples'] or 'all'} rows a language. A ratio is the median over rounds of ratios within a "
        "round, with the smallest and the largest; each side is a process of its own, and memory is the most that it "
        "held. What is measured goes from rows to scores. *Equal* are answers to the letter, but for combining marks, "
        "which a tokenizer without accents leaves out of an answer and we put back: F1 may differ by them. The example "
        "takes its 20 best starts and ends of all tokens, padding too, and we take those of the context: with weights "
        "drawn at random, that shows in short contexts.",
        "",
        "| work | peer | peer / ours | goal | | seconds, ours | peer | MiB, ours | peer | F1, ours | peer | equal |",
        "|---|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for record in document["records"]:
        work = WORKS[record["work"]]
        if "skipped" in record:
            text.append(f"| {work.title} | {work.peer} | {record['skipped']} | {work.goal:g} |" + " |" * 8)
            continue
        ratio = record["peer/ours"]["median"]
        cells = [work.title, work.peer, str(Spread(**record["peer/ours"])), f"{work.goal:g}"]
        cells += ["met" if ratio >= work.goal else "**not met**"]
        cells += [f"{record['seconds'][side]:.1f}" for side in SIDES] + [str(record["mib"][side]) for side in SIDES]
        cells += [f"{record['f1'][side]:.2f}" for side in SIDES] + [f"{record['equal']} of {record['answers']}"]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def main() -> None:
    """Run it all, and write the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", default=",".join(WORKS), help="which of " + ", ".join(WORKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encoder", default="minilm-l6")
    parser.add_argument("--max-examples", type=int, default=100, help="sample of so many rows a language; 0 for all")
    parser.add_argument("--share", type=float, default=1.0, help="of BUCC's pools")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: beside other work, --threads 1")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("ADAPTERSTILTS_DATA_ROOT"))
    parser.add_argument("--output", type=Path, default=HERE, help="folder of EVALUATION.md and evaluation.json")
    parser.add_argument("--child", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given)
        return
    if not given.data_root and set(given.works.split(",")) - {"bucc"}:
        parser.error("give --data-root, a mirror of the Hub that has google/xtreme")
    torch.set_num_threads(given.threads)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True)

    records: list[dict[str, Any]] = []
    document = {
        "command": typed(__file__, "bench-evaluation"),
        "machine": machine_facts("torch", "transformers", "adapters"),
        "threads": given.threads,
        "clock": given.clock,
        "encoder": given.encoder,
        "max_examples": given.max_examples,
        "share": given.share,
        "records": records,
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.works.split(","):
            if name == "bucc" and find_spec("faiss") is None:
                records.append({"work": name, "skipped": "faiss is not installed"})
                say("bucc: faiss is not installed")
            else:
                weights = Path(scratch) / f"{name}.pt"
                if WORKS[name].task:
                    model = composed(given.encoder, get_task(WORKS[name].task))
                    write_weights(model, weights)
                    del model
                records.append(measure(name, given.rounds, [*sys.argv[1:], "--weights", str(weights)], say))
            write(given.output, "evaluation", document, report(document))
    print(report(document))


def write_weights(model: ComposedModel, path: Path) -> None:
    """Write adapter and head under the names that the peer's model has for them."""
    state = model.model.state_dict()
    head = f"heads.{model.composition.head_name}."
    torch.save(
        {key.replace(head, f"heads.{peers.HEAD}."): state[key].clone() for keys in model.keys.values() for key in keys},
        path,
    )


if __name__ == "__main__":
    main()
