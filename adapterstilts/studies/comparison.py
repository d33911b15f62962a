"""A composition beside its baseline, language by language: scores, differences, intervals, means, transfer gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapterstilts.evaluation.kept import Evaluation
from adapterstilts.evaluation.metrics import get_metric
from adapterstilts.evaluation.significance import Interval, mean_interval, paired_bootstrap
from adapterstilts.tasks.suites import Suite, get_suite

if TYPE_CHECKING:
    import numpy as np

BOOTSTRAP_SAMPLES = 1000


@dataclass(frozen=True)
class Cell:
    """Scores (0-100) in one language, or a mean of several, averaged over seeds."""

    score: float
    baseline: float | None = None
    delta: float | None = None
    interval: tuple[float, float] | None = None
    """95 % interval of ``delta``, by paired bootstrap over the examples."""
    deviation: float | None = None
    """Standard deviation of ``score`` over seeds, None for a single seed."""
    scores: Mapping[str, float] | None = None
    """All scores of the metric."""
    baseline_scores: Mapping[str, float] | None = None
    examples: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the cell as documents hold it, rounded to 2 decimals."""
        value: dict[str, Any] = {
            "score": _round(self.score),
            "baseline": _round(self.baseline),
            "delta": _round(self.delta),
            "interval": [_round(end) for end in self.interval] if self.interval else None,
            "deviation": _round(self.deviation),
        }
        if self.examples is not None:
            value["examples"] = self.examples
        for name, scores in (("scores", self.scores), ("baseline_scores", self.baseline_scores)):
            if scores is not None:
                value[name] = {key: _round(score) for key, score in scores.items()}
        return value


@dataclass(frozen=True)
class Comparison:
    """A table of languages, with its means."""

    metric: str
    """Name of the score that is compared."""
    suite: Suite
    """Knows the names of the languages, which is the source, and how far from it the others are."""
    languages: Mapping[str, Cell]
    """The source first, then from near to far, or in the order of the data where distances are unknown."""
    mean: Cell
    mean_without_source: Cell | None
    transfer_gap: Cell | None
    """The source language minus the mean of the others (Hu et al. 2020, section 5.1); small is good."""
    missing: tuple[str, ...]
    one_language: Cell | None = None
    """Mean over pairs with question and context in one language, where a task has pairs: XLT in Lewis et al. 2020."""
    two_languages: Cell | None = None
    """Mean over pairs with question and context in two languages: G-XLT there."""

    @property
    def summary(self) -> dict[str, Cell | None]:
        """The means, by name."""
        means = {
            "mean": self.mean,
            "mean_without_source": self.mean_without_source,
            "transfer_gap": self.transfer_gap,
        }
        pairs = {"mean_one_language": self.one_language, "mean_two_languages": self.two_languages}
        return means | {name: cell for name, cell in pairs.items() if cell is not None}

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as the documents of ``compose`` and ``evaluate`` hold it."""
        summary = self.summary
        return {
            "metric": self.metric,
            "languages": {
                code: {
                    "name": self.suite.language(code).name,
                    "distance": _round(self.suite.distance(code), 4),
                    **cell.to_json(),
                }
                for code, cell in self.languages.items()
            },
            **{name: _round(cell.score) if cell else None for name, cell in summary.items()},
            "summary": {name: cell.to_json() if cell else None for name, cell in summary.items()},
            "missing_languages": list(self.missing),
        }


def compare(evaluations: Sequence[Evaluation], baselines: Sequence[Evaluation]) -> Comparison:
    """Compare evaluations of one composition, one a seed, with those of its baseline on the same rows.

    Args:
        evaluations: at least one; all on the same rows.
        baselines: as many as seeds, or none for a table without a baseline.
    """
    import numpy as np

    first = evaluations[0]
    metric = get_metric(first.task.metric)
    suite = get_suite(first.task.suite)
    source, codes = suite.source_language, suite.by_distance(first.statistics)
    parallel = first.task.parallel and len({first.examples[code] for code in codes}) == 1
    cells: dict[str, Cell] = {}
    intervals: dict[str, Interval] = {}
    by_seed: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for number, code in enumerate(codes):
        system = np.stack([evaluation.statistics[code] for evaluation in evaluations])
        scores = _all_scores(metric, system)
        other = None
        if baselines:
            base = np.stack([evaluation.statistics[code] for evaluation in baselines])
            other = _all_scores(metric, base)
            intervals[code] = paired_bootstrap(
                metric, system, base, samples=BOOTSTRAP_SAMPLES, seed=0 if parallel else number
            )
        by_seed[code] = (scores[metric.main], other[metric.main] if other else np.zeros(0))
        cells[code] = _cell(by_seed[code], intervals.get(code), scores, other, system.shape[1])
    others = [code for code in codes if code != source]

    def mean_of(chosen: Sequence[str]) -> Cell:
        values = tuple(np.mean([by_seed[code][side] for code in chosen], axis=0) for side in (0, 1))
        interval = mean_interval([intervals[code] for code in chosen], parallel=parallel) if intervals else None
        return _cell((values[0], values[1]), interval)

    gap = None
    if others and source in codes:
        rest = [np.mean([by_seed[code][side] for code in others], axis=0) for side in (0, 1)]
        gaps = tuple(by_seed[source][side] - rest[side] for side in (0, 1))
        gap = _cell((gaps[0], gaps[1]), None)
    rest_mean = mean_of(others) if others else None
    pairs = [code for code in codes if "-" in code]
    alone = [code for code in codes if "-" not in code] if pairs else []
    return Comparison(
        metric.main,
        suite,
        cells,
        mean_of(codes),
        rest_mean,
        gap,
        first.missing,
        mean_of(alone) if alone else None,
        mean_of(pairs) if pairs else None,
    )


def _cell(
    values: tuple[np.ndarray, np.ndarray],
    interval: Interval | None,
    scores: Mapping[str, np.ndarray] | None = None,
    baseline_scores: Mapping[str, np.ndarray] | None = None,
    examples: int | None = None,
) -> Cell:
    system, base = values
    score, baseline = float(system.mean()), float(base.mean()) if base.size else None
    return Cell(
        score=score,
        baseline=baseline,
        delta=score - baseline if baseline is not None else None,
        interval=(interval.low, interval.high) if interval else None,
        deviation=float(system.std(ddof=1)) if system.size > 1 else None,
        scores={name: float(value.mean()) for name, value in scores.items()} if scores else None,
        baseline_scores={name: float(value.mean()) for name, value in baseline_scores.items()}
        if baseline_scores
        else None,
        examples=examples,
    )


def _all_scores(metric: Any, statistics: np.ndarray) -> dict[str, np.ndarray]:
    """Return each score, shape (seeds,), the main one first."""
    scores: dict[str, np.ndarray] = metric.scores(statistics.sum(axis=1))
    return {metric.main: scores[metric.main]} | scores


def _round(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)
