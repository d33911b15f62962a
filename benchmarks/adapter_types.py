"""What each kind of adapter of the library can do: a short training of every one, every way, on the lab.

    make adapter-types

writes docs/adapters.md. A way counts where its adapters are trained, stored, loaded again and answer rows; what is
refused is listed with the message.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

from adapterstilts.data.rows import rows_kept
from adapterstilts.errors import AdapterStiltsError
from adapterstilts.evaluation.zero_shot import EvaluationRequest, run_evaluation
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.transfer import compose, evaluate, train_intermediate
from adapterstilts.training import recipes

DOCUMENT = Path(__file__).parents[1] / "docs" / "adapters.md"
SUITE, TARGET = "lab", "xnli"
TINY: dict[str, Any] = {
    "steps": 2,
    "batch_size": 4,
    "max_train_examples": 8,
    "max_validation_examples": 4,
    "evaluations": 1,
}
#: Older names of the library for the same configurations.
ALIASES = {
    "pfeiffer": "seq_bn",
    "houlsby": "double_seq_bn",
    "parallel": "par_bn",
    "scaled_parallel": "scaled_par_bn",
    "pfeiffer+inv": "seq_bn_inv",
    "houlsby+inv": "double_seq_bn_inv",
}
WAYS = {
    "spans": "answers questions (`train-intermediate squad`)",
    "stack": "carries a target adapter of its kind (`compose mnli`)",
    "fuse": "is fused (`compose mnli+qqp`)",
    "avg": "is averaged (`avg`, `arithmetic`, `ties`, `dare`)",
    "svd": "is merged by its updates (`svd`)",
    "mix": "is trained on several tasks at once (`mix`)",
    "chain": "starts the target's (`chain`)",
}
EXPRESSIONS = {"stack": "mnli", "fuse": "mnli+qqp", "avg": "avg(mnli, qqp)", "svd": "svd(mnli, qqp)"}
EXPRESSIONS |= {"mix": "mix(mnli, qqp)", "chain": "chain(mnli)"}


@dataclass(frozen=True)
class Outcome:
    """What came of one way to use one kind of adapter."""

    parameters: int = 0
    """Trained by the target stage, or by the intermediate one."""
    refused: str = ""


def kinds() -> list[str]:
    """Return the configurations of the adapters library by name, without the older names."""
    from adapters import ADAPTER_CONFIG_MAP

    return [name for name in ADAPTER_CONFIG_MAP if name not in ALIASES]


def trained(task: str, kind: str, store: Path) -> Outcome:
    """Train an intermediate adapter, load it again and let it answer its validation rows."""
    made = train_intermediate(task, suite=SUITE, settings=TINY | {"adapter": kind}, store=store).artifact
    run_evaluation(made, EvaluationRequest(split="validation", max_examples=2), Store(store))
    return Outcome(int(made.manifest["resources"]["trained_parameters"]))


def composed(expression: str, kind: str, store: Path) -> Outcome:
    """Train a target adapter on an expression, load it again and let it answer rows in two languages."""
    made = compose(
        expression,
        target=TARGET,
        suite=SUITE,
        settings=TINY | {"adapter": kind},
        store=store,
        languages="qaa,qba",
        max_eval_examples=2,
    )
    (artifact,) = made.artifacts
    evaluate(artifact.id, languages="qaa", max_eval_examples=3, store=store)
    return Outcome(int(artifact.manifest["resources"]["trained_parameters"]))


def tried(make: Callable[[], Outcome]) -> Outcome:
    """Return what came of it; a refusal is an outcome, anything else a fault."""
    try:
        return make()
    except AdapterStiltsError as error:
        return Outcome(refused=str(error))


def row_of(kind: str, folder: Path) -> dict[str, Outcome]:
    """Return what a kind of adapter can do, by way; ``train`` is the training on sentence pairs."""
    store = folder / kind.replace("+", "p")
    found = {"train": tried(lambda: trained("mnli", kind, store))}
    if found["train"].refused:
        return found
    trained("qqp", kind, store)
    found["spans"] = tried(lambda: trained("squad", kind, store))
    for way, expression in EXPRESSIONS.items():
        found[way] = tried(lambda expression=expression: composed(expression, kind, store))  # type: ignore[misc]
    return found


def cause(refusal: str, kind: str) -> str:
    """Return why something is refused, without the names of the one case that it was seen in."""
    text = refusal.replace(f"'{kind}'", "'KIND'").replace("|", "/")
    text = re.sub(r"is a \S+ adapter;", "is of another kind;", text)
    _, found, effects = text.partition(" cannot work: ")
    if found:
        effects = re.sub(r" \(such as '[^']*'\)", "", effects)
        effects = re.sub(r"\d+ of the \d+ tensors of '[^']*'", "some tensors of an adapter", effects)
        effects = re.sub(r"'(adapters/[^']*|fusion)' has", "an adapter or the fusion has", effects)
        first, stop, rest = effects.partition(". ")
        text = "; ".join(dict.fromkeys(first.split("; "))) + stop + rest
        return text[0].upper() + text[1:]
    return text


def report(table: Mapping[str, Mapping[str, Outcome]]) -> str:
    """Return the document."""
    reasons: dict[str, int] = {}

    def cell(kind: str, outcome: Outcome | None) -> str:
        if outcome is None:
            return ""
        if not outcome.refused:
            return "yes"
        return f"no [{reasons.setdefault(cause(outcome.refused, kind), len(reasons) + 1)}]"

    lines = ["# Kinds of adapters", ""]
    lines += [
        "`--adapter KIND` takes every configuration of the",
        f"[adapters library](https://docs.adapterhub.ml/methods.html) ({version('adapters')}). Made by",
        "`make adapter-types`: each way was trained for two steps on the lab with the pico encoder (4 layers of 128),",
        "stored, loaded again and evaluated. Parameters are those of an adapter for `mnli` with its head.",
        "",
        "A column says whether an adapter of that kind …",
        "",
    ]
    lines += [f"- **{way}**: {meaning}" for way, meaning in WAYS.items()]
    lines += ["", f"| `--adapter` | parameters | {' | '.join(WAYS)} |", f"|---|---:|{'---|' * len(WAYS)}"]
    for kind, found in table.items():
        train = found["train"]
        count = f"{train.parameters:,}" if not train.refused else cell(kind, train)
        lines.append(f"| `{kind}` | {count} | {' | '.join(cell(kind, found.get(way)) for way in WAYS)} |")
    lines += ["", "Refused before anything is trained:", ""]
    lines += [f"{number}. {reason}" for reason, number in reasons.items()]
    older = ", ".join(f"`{old}` = `{new}`" for old, new in ALIASES.items())
    lines += ["", f"Older names of the library work, too: {older}."]
    return "\n".join(lines) + "\n"


@rows_kept()
def main() -> None:
    """Try every kind, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help="some kinds only; the document is shown then, and not written")
    given = parser.parse_args()
    table = {}
    recipe = recipes._read  # a mix takes as many steps as the recipes of its tasks together
    tiny = patch.object(recipes, "_read", lambda task: {**recipe(task), **TINY})
    with tempfile.TemporaryDirectory(prefix="adapterstilts-kinds-") as folder, tiny:
        for kind in given.kinds or kinds():
            table[kind] = row_of(kind, Path(folder))
            told = ", ".join(f"{way} {'no' if outcome.refused else 'yes'}" for way, outcome in table[kind].items())
            print(f"{kind}: {told}", file=sys.stderr, flush=True)
    if given.kinds:
        print(report(table))
    else:
        DOCUMENT.write_text(report(table), encoding="utf-8")


if __name__ == "__main__":
    main()
