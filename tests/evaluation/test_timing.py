"""Times that are known: their percentiles, their ratios, and how often and in which order things are run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapterstilts.evaluation.timing import Timing, alternated, repeated


class Machine:
    """Things that take a known time, and the clock that shows it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ran: list[str] = []

    def clock(self) -> float:
        return self.now

    def run(self, name: str, *seconds: float) -> Iterator[None]:
        """Take the given times one after the other, the last one for ever."""
        for number in range(10_000):
            self.ran.append(name)
            self.now += seconds[min(number, len(seconds) - 1)]
            yield


def test_the_numbers_of_known_times() -> None:
    """Of 1 to 101 ms: linear interpolation gives whole numbers."""
    pairs = [(number / 1000, 0.002) for number in range(1, 102)]
    timing = Timing.of(pairs[::-1])
    assert timing.iterations == 101
    assert (timing.p50, timing.p90, timing.p99, timing.mean) == pytest.approx((51.0, 91.0, 100.0, 51.0))
    assert (timing.beside, timing.ratio) == pytest.approx((2.0, 25.5))


def test_percentiles_between_times_are_interpolated() -> None:
    timing = Timing.of([(0.010, 0.010), (0.020, 0.010)])
    assert (timing.p50, timing.p90, timing.p99) == pytest.approx((15.0, 19.0, 19.9))


def test_the_ratio_is_within_pairs() -> None:
    """A machine that gets ten times slower halfway makes both slower: the ratio of the medians would be 20 or 0.2."""
    timing = Timing.of([(2.0, 1.0), (2.0, 1.0), (20.0, 10.0), (20.0, 10.0), (20.0, 10.0)])
    assert timing.ratio == 2.0
    odd = Timing.of([(3.0, 1.0), (20.0, 10.0), (2.0, 8.0)])
    assert odd.ratio == 2.0
    assert odd.p50 / (odd.beside) == pytest.approx(3.0 / 8.0)


def test_pairs_are_run_in_turn_and_every_second_one_backwards() -> None:
    machine = Machine()
    one, other = machine.run("one", 9.0, 9.0, 2.0), machine.run("other", 9.0, 9.0, 1.0)
    pairs = alternated(
        lambda: next(one), lambda: next(other), seconds=0.5, iterations=4, warm_up=2, clock=machine.clock
    )
    assert machine.ran == ["one", "other"] * 2 + ["one", "other", "other", "one"] * 2
    assert pairs == [(2.0, 1.0)] * 4


@pytest.mark.parametrize(
    ("seconds", "iterations", "count"),
    [(0.5, 10, 10), (30.0, 10, 10), (31.0, 10, 11), (33.0, 10, 11), (90.0, 10, 30), (90.0, 40, 40)],
)
def test_both_the_time_and_the_number_are_reached(seconds: float, iterations: int, count: int) -> None:
    machine = Machine()
    one, other = machine.run("one", 2.0), machine.run("other", 1.0)
    pairs = alternated(
        lambda: next(one), lambda: next(other), seconds=seconds, iterations=iterations, clock=machine.clock
    )
    assert len(pairs) == count
    assert machine.ran.count("one") == machine.ran.count("other") == count + 3


def test_repeated_is_the_median_without_the_first() -> None:
    machine = Machine()
    run = machine.run("one", 50.0, 1.0, 7.0, 3.0)
    assert repeated(lambda: next(run), iterations=3, clock=machine.clock) == 3.0
    assert len(machine.ran) == 4
