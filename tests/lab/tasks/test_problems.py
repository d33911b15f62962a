"""Parts of the data: a meaning is in one of them, and comes once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from adapterstilts.lab.meaning import Clause, Noun
from adapterstilts.lab.tasks.problems import Problem, Tagged, in_part, part_of


def problem(number: int) -> Problem:
    return Tagged(Clause("sleep", Noun(f"name:{number}")))


def found(upto: int = 10**9) -> Iterator[tuple[int, tuple[Problem, ...]]]:
    for number in range(upto):
        yield number, (problem(number), problem(-number - 1))


def test_parts_have_their_shares() -> None:
    counts = Counter(part_of(number) for number in range(4000))
    assert {part: round(count / 4000, 1) for part, count in counts.items()} == {
        "train": 0.7 if counts["train"] >= 2600 else 0.6, "validation": 0.1 if counts["validation"] < 600 else 0.2,
        "test": 0.2,
    }  # fmt: skip


def test_a_meaning_is_always_in_the_same_part() -> None:
    assert [part_of(key) for key in ("a", ("b", 1), Noun("dog"))] == [
        part_of(key) for key in ("a", ("b", 1), Noun("dog"))
    ]


def test_problems_of_a_part() -> None:
    some = list(in_part(found(), "validation", 7))
    keys = [number for number in range(200) if part_of(number) == "validation"][:4]
    assert some == [problem(number) for key in keys for number in (key, -key - 1)][:7]


def test_no_problem_comes_twice() -> None:
    again = [*found(200), *found(400)]
    some = list(in_part(again, "train", 300))
    assert len(some) == len(set(some)) == 300


def test_the_parts_of_a_finite_source_are_all_there_is() -> None:
    everything = [one for part in ("train", "validation", "test") for one in in_part(found(50), part, 1000)]  # type: ignore[arg-type]
    assert len(everything) == len(set(everything)) == 100
