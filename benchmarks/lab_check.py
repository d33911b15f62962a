"""What the lab must show, on the frozen pico with adapters alone: sources, transfer, minimal pairs, intermediate tasks.

    make lab-check

writes benchmarks/LAB.md and benchmarks/lab.json. With a store that has the stages, they are reused.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measuring import write

from adapterstilts.evaluation.typology import minimal_pairs, rank_correlation
from adapterstilts.lab.languages import FEATURES, LANGUAGES, SOURCE, differences, distance
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.transfer import compose, train_intermediate

HERE = Path(__file__).parent
SUITE = "lab"
ZERO_SHOT = ("xnli", "udpos", "panx", "xquad")
#: Multiple choice, and the score of chance.
CHOICE = {"siqa": 33.3, "csqa": 20.0, "hellaswag": 25.0, "cosmosqa": 25.0}

#: What is asked of the source language: task to least score.
LEAST = {"xnli": 80.0, "xquad": 80.0, "udpos": 97.0, "panx": 95.0} | dict.fromkeys(CHOICE, 65.0)
NEAR_WITHIN, CORRELATION, RETRIEVAL_NEAR, SQUAD_GAIN = 15.0, -0.6, 60.0, 5.0

Scores = dict[str, list[float]]
"""Scores of each language, one a seed."""


def group(*names: str) -> list[str]:
    """Return the codes of the languages of some groups."""
    return [code for code, language in LANGUAGES.items() if language.group in names]


def zero_shot(target: str, expression: str, seeds: Sequence[int], store: Path) -> tuple[Scores, list[Transfer]]:
    """Return the scores of a composition in every language, one a seed."""
    transfers = [compose(expression, target=target, suite=SUITE, seeds=(seed,), store=store) for seed in seeds]
    codes = transfers[0].comparison.languages
    return {code: [transfer.comparison.languages[code].score for transfer in transfers] for code in codes}, transfers


def mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)


def check(seeds: Sequence[int], store: Path, without: Sequence[str], say: Callable[[str], None]) -> dict[str, Any]:
    """Train and evaluate all that is asked for, but for tasks of multiple choice that are left out."""
    found: dict[str, Any] = {"seeds": list(seeds), "machine": platform.processor() or platform.machine()}
    found["without"] = list(without)
    source: dict[str, list[float]] = {}
    tables: dict[str, Scores] = {}
    for target in ZERO_SHOT:
        say(f"{target}, no intermediate task")
        tables[target], _ = zero_shot(target, "none", seeds, store)
        source[target] = tables[target][SOURCE]
    say("tydiqa on squad")
    tables["tydiqa on squad"], transfers = zero_shot("tydiqa", "squad", seeds, store)
    found["squad_gain"] = [transfer.comparison.mean.delta for transfer in transfers]
    tables["tydiqa"] = {
        code: [transfer.comparison.languages[code].baseline or 0.0 for transfer in transfers]
        for code in transfers[0].comparison.languages
    }
    say("panx on mnli")
    _, transfers = zero_shot("panx", "mnli", seeds, store)
    found["mnli_on_panx"] = [transfer.comparison.mean.delta for transfer in transfers]
    say("tatoeba by layer")
    layers = {}
    for layer in range(1, 5):
        transfer = compose("none", target="tatoeba", suite=SUITE, layer=str(layer), store=store)
        layers[layer] = {code: cell.score for code, cell in transfer.comparison.languages.items()}
    found["retrieval"] = layers
    for task in CHOICE:
        if task in without:
            continue
        say(task)
        results = [train_intermediate(task, suite=SUITE, store=store, settings={"seed": seed}) for seed in seeds]
        source[task] = [next(iter(result.artifact.manifest["metrics"]["validation"].values())) for result in results]
    found["source"] = source
    found["tables"] = tables
    pairs = {
        feature.name: [
            code for code in group("pair") if differences(LANGUAGES[SOURCE], LANGUAGES[code]) == (feature.name,)
        ]
        for feature in FEATURES
    }
    pairs = {name: codes for name, codes in pairs.items() if codes}
    found["effects"] = {
        target: {
            name: [round(value, 2) for value in (effect.difference, effect.low, effect.high)]
            for name, effect in minimal_pairs(table, pairs, group("twin")).items()
        }
        for target, table in tables.items()
    }
    found["correlation"] = {target: _correlation(table) for target, table in tables.items()}
    found["correlation_with_source"] = {
        target: _correlation(table, with_source=True) for target, table in tables.items()
    }
    return found


def _correlation(table: Scores, *, with_source: bool = False) -> float | None:
    codes = [code for code in table if with_source or code != SOURCE]
    apart = [distance(LANGUAGES[SOURCE], LANGUAGES[code]) for code in codes]
    rho = rank_correlation(apart, [mean(table[code]) for code in codes])
    return None if rho is None else round(rho, 3)


def verdicts(found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return each demand, what was found, and whether it is met."""
    told: list[tuple[str, str, bool]] = []
    for task, least in LEAST.items():
        chance = f" (chance is {CHOICE[task]:.0f})" if task in CHOICE else ""
        if task in found["without"]:
            told.append((f"source language, {task}: at least {least:.0f}{chance}", "not run", False))
            continue
        score = mean(found["source"][task])
        told.append((f"source language, {task}: at least {least:.0f}{chance}", f"{score:.1f}", score >= least))
    near, far = group("near"), group("far")
    for task in ("udpos", "xquad"):
        table = found["tables"][task]
        own = mean(table[SOURCE])
        worst = min(mean(table[code]) for code in near if LANGUAGES[code].seen)
        text = f"{task}: near languages that were read within {NEAR_WITHIN:.0f} points of the source"
        told.append((text, f"source {own:.1f}, worst {worst:.1f}", own - worst <= NEAR_WITHIN))
        below = mean([mean(table[code]) for code in far])
        told.append((f"{task}: far languages clearly lower", f"mean {below:.1f}", own - below > NEAR_WITHIN))
    for task in ("udpos", "panx", "xquad"):
        rho = found["correlation"][task]
        text = f"{task}: rank correlation of distance and score at most {CORRELATION}"
        told.append((text, f"{rho}", rho is not None and rho <= CORRELATION))
    best = {code: max(by[code] for by in found["retrieval"].values()) for code in near if LANGUAGES[code].seen}
    told.append(
        (f"retrieval, near languages that were read: at least {RETRIEVAL_NEAR:.0f}", f"{min(best.values()):.1f}",
         min(best.values()) >= RETRIEVAL_NEAR)
    )  # fmt: skip
    sure = {
        name for effects in found["effects"].values() for name, (_, low, high) in effects.items() if low > 0 or high < 0
    }
    told.append(
        (
            "at least three parameters have an effect whose interval excludes zero",
            ", ".join(sorted(sure)),
            len(sure) >= 3,
        )
    )
    gain = mean(found["squad_gain"])
    told.append(
        (
            f"squad → tydiqa: at least +{SQUAD_GAIN:.0f} F1 in the mean over languages",
            f"{gain:+.1f}",
            gain >= SQUAD_GAIN,
        )
    )
    return told


def report(found: dict[str, Any]) -> str:
    """Return the document."""
    lines = ["# What the lab shows", "", f"Made by `make lab-check`; seeds {', '.join(map(str, found['seeds']))}.", ""]
    lines += ["| asked | found | |", "|---|---|---|"]
    lines += [f"| {asked} | {value} | {'met' if met else '**not met**'} |" for asked, value, met in verdicts(found)]
    tables = found["tables"]
    lines += ["", "What was tried for what is not met stands in [PICO.md](PICO.md).", ""]
    lines += ["## Zero-shot scores, from near to far", ""]
    lines += ["Means over seeds. Adapters are trained on the source language alone.", ""]
    lines += ["| language | distance | read | " + " | ".join(tables) + " | tatoeba, best layer |"]
    lines += ["|---" * (4 + len(tables)) + "|"]
    for code in sorted(LANGUAGES, key=lambda code: (distance(LANGUAGES[SOURCE], LANGUAGES[code]), code)):
        language = LANGUAGES[code]
        cells = [
            f"{language.name} ({code})",
            f"{distance(LANGUAGES[SOURCE], language):.2f}",
            "yes" if language.seen else "no",
        ]
        cells += [f"{mean(table[code]):.1f}" for table in tables.values()]
        cells.append("" if code == SOURCE else f"{max(by[code] for by in found['retrieval'].values()):.1f}")
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## Minimal pairs: what one parameter changes", ""]
    lines.append(
        "Score of the two languages that differ from the source in this parameter alone, minus that of the two"
    )
    lines += ["that differ in their words alone; 95 % bootstrap interval over lexicons and seeds.", ""]
    names = list(next(iter(found["effects"].values())))
    lines += ["| WALS | parameter | " + " | ".join(found["effects"]) + " |", "|---" * (2 + len(tables)) + "|"]
    for name in names:
        feature = next(feature for feature in FEATURES if feature.name == name)
        cells = [feature.wals, feature.title]
        for effects in found["effects"].values():
            difference, low, high = effects[name]
            text = f"{difference:+.1f} ({low:+.1f} … {high:+.1f})"
            cells.append(f"**{text}**" if low > 0 or high < 0 else text)
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## Rank correlation of typological distance and score", ""]
    lines += ["Over all languages but the source; in parentheses with the source, whose distance is 0.", ""]
    lines += [
        f"- {target}: {rho} ({found['correlation_with_source'][target]})"
        for target, rho in found["correlation"].items()
    ]
    lines += ["", "## Retrieval by layer (top-1 among 300, groups of near misses)", ""]
    lines += ["| language | " + " | ".join(f"layer {layer}" for layer in found["retrieval"]) + " |"]
    lines += ["|---" * (1 + len(found["retrieval"])) + "|"]
    for code in next(iter(found["retrieval"].values())):
        cells = [f"{by[code]:.0f}" for by in found["retrieval"].values()]
        lines.append(f"| {LANGUAGES[code].name} ({code}) | " + " | ".join(cells) + " |")
    gain = mean(found["mnli_on_panx"])
    lines += ["", f"mnli → panx: {gain:+.1f} F1 in the mean over languages."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run it all, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, default=Path("build/lab-store"))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--without", default="", help="tasks of multiple choice to leave out, such as hellaswag")
    given = parser.parse_args()
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True)

    without = [task for task in given.without.split(",") if task]
    found = check([int(seed) for seed in given.seeds.split(",")], given.store, without, say)
    found["seconds"] = time.monotonic() - started
    write(HERE, "lab", found, report(found))
    for asked, value, met in verdicts(found):
        print("met    " if met else "NOT MET", asked, "|", value)


if __name__ == "__main__":
    main()
