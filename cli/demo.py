"""``demo``: the main job on the lab, in minutes and without network or data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapterstilts.tasks.spec import LAB

from .console import notes, result_console, session
from .options import Json, StoreFolder
from .transfer_table import show_transfer

if TYPE_CHECKING:
    from adapterstilts.studies.comparison import Comparison

INTERMEDIATE, TARGET = ("mnli", "squad"), "tydiqa"
NEAR, FAR = 0.2, 0.5
"""Typological distances up to which, and from which, the demo calls a language near or far."""
COMMANDS = (
    *(f"adapterstilts train-intermediate {name} --suite {LAB}" for name in INTERMEDIATE),
    f"adapterstilts compose {'+'.join(INTERMEDIATE)} --target {TARGET} --suite {LAB}",
)


def command(store: StoreFolder = None, json: Json = False) -> None:
    """Run the main job on the lab: two intermediate adapters, fused under a target adapter, in all its languages.

    It takes some minutes on two cores and needs neither network nor data. Run again, it takes all from the store.
    """
    with session() as reporter:
        from adapterstilts.studies.transfer import compose, train_intermediate

        for name, said in zip(INTERMEDIATE, COMMANDS, strict=False):
            notes.print(f"[bold]$ {said}[/]")
            train_intermediate(name, suite=LAB, store=store, reporter=reporter)
        notes.print(f"[bold]$ {COMMANDS[-1]}[/]")
        transfer = compose("+".join(INTERMEDIATE), target=TARGET, suite=LAB, store=store, reporter=reporter)
        show_transfer(transfer, json=json, csv_file=None)
        if json:
            return
        console = result_console()
        console.print()
        for sentence in what_one_sees(transfer.comparison):
            console.print(sentence, soft_wrap=True)
        console.print("\nWhat was run:")
        for said in COMMANDS:
            console.print(f"  {said}", soft_wrap=True)


def what_one_sees(comparison: Comparison) -> tuple[str, str]:
    """Say what the table shows: how scores go with distance, and what the intermediate tasks brought.

    Args:
        comparison: all languages of the lab, with a baseline.
    """
    from adapterstilts.evaluation.typology import rank_correlation

    suite = comparison.suite
    source = suite.source_language
    apart = {code: suite.distance(code) or 0.0 for code in comparison.languages if code != source}
    scores = {code: cell.score for code, cell in comparison.languages.items()}

    def mean(codes: list[str]) -> str:
        return f"{sum(scores[code] for code in codes) / len(codes):.0f}" if codes else "none"

    near = [code for code, distance in apart.items() if distance <= NEAR]
    far = [code for code, distance in apart.items() if distance >= FAR]
    rho = rank_correlation(list(apart.values()), [scores[code] for code in apart])
    goes = "" if rho is None else f" (rank correlation of score and distance {rho:+.2f})"
    first = (
        f"Trained on the source language alone ({scores[source]:.0f}), the composition reaches {mean(near)} in "
        f"languages near to it in grammar and {mean(far)} in far ones{goes}."
    )
    cell = comparison.mean
    low, high = cell.interval or (0.0, 0.0)
    sure = "the interval excludes zero" if low > 0 or high < 0 else "the interval includes zero"
    second = (
        f"In the mean of all languages the intermediate tasks bring {cell.delta or 0.0:+.1f} points over the same "
        f"target adapter without them ({low:+.1f} … {high:+.1f}: {sure})."
    )
    return first, second
