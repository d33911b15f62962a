"""How long something takes, beside something else that is run in turn with it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Clock = Callable[[], float]
"""Gives seconds that only grow, such as ``time.perf_counter``."""
WARM_UP = 3
"""Runs that are not counted: the first ones allocate memory and choose kernels."""


@dataclass(frozen=True)
class Timing:
    """What runs of something took, in milliseconds, and what runs of something else took between them."""

    iterations: int
    p50: float
    p90: float
    p99: float
    mean: float
    beside: float
    """Median of the other."""
    ratio: float
    """Median of the ratios within pairs of adjacent runs."""

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> Timing:
        """Sum up pairs of seconds, those of the one and of the other; percentiles are interpolated linearly."""
        import numpy as np

        times = [1000 * one for one, _ in pairs]
        p50, p90, p99 = (float(value) for value in np.percentile(times, (50, 90, 99)))
        return cls(
            iterations=len(pairs),
            p50=p50,
            p90=p90,
            p99=p99,
            mean=statistics.fmean(times),
            beside=1000 * statistics.median(other for _, other in pairs),
            ratio=statistics.median(one / other for one, other in pairs),
        )


def alternated(
    one: Callable[[], object],
    other: Callable[[], object],
    *,
    seconds: float,
    iterations: int,
    warm_up: int = WARM_UP,
    clock: Clock = time.perf_counter,
) -> list[tuple[float, float]]:
    """Run two things in turn, so that what else the machine does weighs on both alike.

    Args:
        one, other: run in pairs, every second pair in the reverse order; each is done when it returns.
        seconds: at least so long, both together, is measured.
        iterations: at least so many pairs are measured.
        warm_up: so many pairs before do not count.
        clock: asked before and after each run, but for those of the warm-up.

    Returns:
        the seconds of each pair, those of ``one`` first.
    """
    for _ in range(warm_up):
        one()
        other()
    pairs: list[tuple[float, float]] = []
    elapsed = 0.0
    began: float | None = None
    while len(pairs) < iterations or elapsed < seconds:
        backwards = bool(len(pairs) % 2)
        taken = []
        for run in (other, one) if backwards else (one, other):
            started = clock()
            run()
            ended = clock()
            began = started if began is None else began
            elapsed = ended - began
            taken.append(ended - started)
        pairs.append((taken[1], taken[0]) if backwards else (taken[0], taken[1]))
    return pairs


def repeated(run: Callable[[], object], *, iterations: int, clock: Clock = time.perf_counter) -> float:
    """Return the median of the seconds that so many runs take, after one that does not count."""
    run()
    times = []
    for _ in range(iterations):
        started = clock()
        run()
        times.append(clock() - started)
    return statistics.median(times)
