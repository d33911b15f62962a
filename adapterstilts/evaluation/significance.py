"""How far a difference of two systems on the same examples can be trusted: the paired bootstrap.

The examples are drawn with replacement, the same draw for both systems, and the difference of the scores is taken on
each draw; the interval is that of the percentiles (Efron & Tibshirani 1993, An Introduction to the Bootstrap,
chapter 13). Koehn (2004, Statistical Significance Tests for Machine Translation Evaluation) draws in the same way but
reports the share of the draws that a system wins; here the size of the difference gets an interval, and scores of
several training seeds are averaged within a draw. The interval is about the choice of test examples: how much another
training seed would change is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from adapterstilts.errors import DataFormatError, SettingsError, unknown

if TYPE_CHECKING:
    from adapterstilts.evaluation.metrics.base import ExampleMetric

_COUNTS_IN_MEMORY = 2**22
"""Resample counts that are held at once: 32 MiB of float64."""


@dataclass(frozen=True)
class Interval:
    """A difference of scores in percentage points, with its confidence interval."""

    delta: float
    """Score of the system minus score of the baseline, on the examples as they are."""
    low: float
    """Lower end of the confidence interval."""
    high: float
    """Upper end of the confidence interval."""
    samples: np.ndarray = field(compare=False, repr=False)
    """The difference on each bootstrap sample, shape (samples,)."""
    confidence: float = 0.95
    """Probability that the interval aims at."""


def bootstrap_counts(examples: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each example is drawn in each of ``samples`` resamples of the same size.

    The chunks together have ``samples`` rows; memory stays bounded whatever the number of examples. The rows depend
    only on ``examples`` and ``seed``: more samples continue the same sequence.

    Yields:
        float64 counts of shape (rows, examples); each row sums to ``examples``.
    """
    generator = np.random.default_rng(seed)
    most_rows = max(1, _COUNTS_IN_MEMORY // max(1, examples))
    for first in range(0, samples, most_rows):
        counts = np.empty((min(most_rows, samples - first), examples))
        for row in counts:
            row[:] = np.bincount(generator.integers(examples, size=examples), minlength=examples)
        yield counts


def paired_bootstrap(
    metric: ExampleMetric,
    system: np.ndarray,
    baseline: np.ndarray,
    *,
    score: str | None = None,
    samples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Return the difference of two systems on the same examples, with its percentile bootstrap interval.

    Args:
        metric: The metric that made the statistics.
        system: ``metric.statistics`` of the system, shape (examples, k); or one per training seed, shape
            (seeds, examples, k): the scores are then averaged over the seeds within each resample.
        baseline: The same for the baseline, on the same examples in the same order; it may have other seeds.
        score: Name of a score of the metric; the main one if None.
        samples: Number of resamples.
        seed: Seed of the resampling; the same seed and number of examples give the same resamples.
        confidence: Probability of the interval, between 0 and 1.

    Raises:
        UnknownNameError: if the metric has no such score.
        SettingsError: if ``samples`` or ``confidence`` is out of range.
        DataFormatError: if the systems have different numbers of examples, none, or statistics of another metric.
    """
    score = metric.main if score is None else score
    if score not in metric.score_names:
        raise unknown("score", score, metric.score_names)
    if samples < 1:
        raise SettingsError(f"A bootstrap needs at least 1 sample, not {samples}.")
    if not 0 < confidence < 1:
        raise SettingsError(f"The confidence lies between 0 and 1, such as 0.95, and is not {confidence}.")
    sides = [_by_seed(metric, system, "system"), _by_seed(metric, baseline, "baseline")]
    examples, baseline_examples = (side.shape[1] for side in sides)
    if examples != baseline_examples:
        raise DataFormatError(
            f"The system has {examples} examples and the baseline {baseline_examples}; "
            "a paired comparison needs the same examples on both sides."
        )
    if examples == 0:
        raise DataFormatError("There are no examples to compare the systems on.")

    def delta(weights: np.ndarray) -> np.ndarray:
        of_system, of_baseline = (metric.scores(weights @ side)[score].mean(axis=0) for side in sides)
        return of_system - of_baseline

    point = float(delta(np.ones((1, examples)))[0])
    deltas = np.concatenate([delta(counts) for counts in bootstrap_counts(examples, samples, seed)])
    return _interval(point, deltas, confidence)


def mean_interval(intervals: Sequence[Interval], *, parallel: bool = False) -> Interval:
    """Return the interval of the mean difference over languages (or tasks).

    Args:
        intervals: One interval a language, all with the same number of samples and the same confidence.
        parallel: False where the languages have different test examples: their samples are combined as independent
            draws, whatever their seeds. True where example i is a translation of the same original in every language
            (XNLI, PAWS-X, XQuAD) and all were resampled with one seed: the resamples stay together, so that what the
            languages have in common is not averaged away. The independent interval is too narrow there.

    Raises:
        SettingsError: if there is no interval, or they differ in the number of samples or in the confidence.
    """
    if not intervals:
        raise SettingsError("The mean over languages needs at least one interval.")
    kinds = {(len(interval.samples), interval.confidence) for interval in intervals}
    if len(kinds) > 1:
        found = ", ".join(f"{count} at {confidence}" for count, confidence in sorted(kinds))
        raise SettingsError(f"The intervals differ in samples and confidence ({found}); compute them alike.")
    generator = np.random.default_rng(0)
    draws = [interval.samples if parallel else generator.permutation(interval.samples) for interval in intervals]
    point = float(np.mean([interval.delta for interval in intervals]))
    return _interval(point, np.mean(draws, axis=0), intervals[0].confidence)


def _interval(point: float, deltas: np.ndarray, confidence: float) -> Interval:
    low, high = np.quantile(deltas, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(delta=point, low=float(low), high=float(high), samples=deltas, confidence=confidence)


def _by_seed(metric: ExampleMetric, statistics: np.ndarray, side: str) -> np.ndarray:
    statistics = np.ascontiguousarray(statistics, dtype=np.float64)
    width = len(metric.statistic_names)
    if statistics.ndim not in (2, 3) or statistics.shape[-1] != width or 0 in statistics.shape[:-2]:
        raise DataFormatError(
            f"The statistics of the {side} have shape {statistics.shape}; "
            f"the metric wants (examples, {width}) or (seeds, examples, {width})."
        )
    return statistics if statistics.ndim == 3 else statistics[None]
