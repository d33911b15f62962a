"""How scores go with typological distance, and what one parameter changes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, -1 to 1; equal values share the mean of their ranks.

    None where one side has a single value throughout, so that nothing can be said.

    Raises:
        ValueError: the two are not of one length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values cannot be paired")
    a, b = _ranks(first), _ranks(second)
    middle = (len(a) + 1) / 2
    above = sum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
    below = (sum((x - middle) ** 2 for x in a) * sum((y - middle) ** 2 for y in b)) ** 0.5
    return above / below if below else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(values)
    return [order.index(value) + (order.count(value) + 1) / 2 for value in values]


@dataclass(frozen=True)
class Effect:
    """What a score loses or gains when one parameter of a language differs from the source."""

    difference: float
    """Mean score of the minimal pairs minus that of the twins, which differ from the source in their words alone."""
    low: float
    high: float
    """95 % interval over lexicons and seeds."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of zero."""
        return self.low > 0 or self.high < 0


def effect(pairs: Sequence[float], twins: Sequence[float], *, samples: int = 10_000, seed: int = 0) -> Effect:
    """Return the effect of a parameter, with a percentile bootstrap (Efron and Tibshirani 1993, chapter 13).

    Args:
        pairs: scores of the minimal pairs of the parameter, one for each lexicon and seed.
        twins: scores of the twins, likewise.
        samples: bootstrap samples; each draws as many values as there are from either side.
        seed: seed of the samples.
    """
    rng = random.Random(seed)

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    drawn = sorted(
        mean(rng.choices(pairs, k=len(pairs))) - mean(rng.choices(twins, k=len(twins))) for _ in range(samples)
    )
    return Effect(mean(pairs) - mean(twins), drawn[int(0.025 * samples)], drawn[min(samples - 1, int(0.975 * samples))])


def minimal_pairs(
    scores: Mapping[str, Sequence[float]], pairs: Mapping[str, Sequence[str]], twins: Sequence[str]
) -> dict[str, Effect]:
    """Return the effect of each parameter.

    Args:
        scores: scores of each language, one a seed.
        pairs: codes of the minimal pairs of each parameter.
        twins: codes of the twins.
    """
    plain = [score for code in twins for score in scores[code]]
    return {name: effect([score for code in codes for score in scores[code]], plain) for name, codes in pairs.items()}


def nearest(code: str, among: Iterable[str], distance: Callable[[str, str], float]) -> str:
    """Return the language that is nearest to another one, the first of those that are equally near.

    Args:
        code: of the language.
        among: codes, at least one.
        distance: between two languages, by their codes.
    """
    return min(among, key=lambda other: distance(code, other))
