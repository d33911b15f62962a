"""Kinds of problems, without words: what is asked and which answer is right."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from adapterstilts.lab.meaning import Clause, Meaning, Place, Role

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Pair:
    """Two texts and how they are related."""

    first: tuple[Meaning, ...]
    second: tuple[Meaning, ...]
    label: int


@dataclass(frozen=True)
class Choice:
    """A text, perhaps a question, and choices of which one is right."""

    context: tuple[Meaning, ...]
    question: Clause | str | None
    """A question, or ``cause`` or ``effect``."""
    choices: tuple[Meaning | Place, ...]
    right: int


@dataclass(frozen=True)
class Reading:
    """A text, a question, and where the answer stands."""

    context: tuple[Meaning, ...]
    question: Clause
    sentence: int | None
    """Number of the sentence with the answer; None where the text has no answer."""
    role: Role | None
    """The phrase of that sentence that is the answer."""


@dataclass(frozen=True)
class Tagged:
    """A sentence whose words are tagged."""

    meaning: Meaning


@dataclass(frozen=True)
class Bitext:
    """A sentence to be found among others."""

    meaning: Meaning
    group: int
    """Sentences of a group differ in one phrase: near misses of each other."""


Problem = Pair | Choice | Reading | Tagged | Bitext


#: The share of the meanings that each part has.
_SHARES: tuple[tuple[Part, float], ...] = (("test", 0.2), ("validation", 0.35), ("train", 1.0))


def part_of(key: Hashable) -> Part:
    """Return the part of the data that a meaning belongs to, by a hash of it: none is in two parts."""
    number = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big") / 2**64
    return next(part for part, upto in _SHARES if number < upto)


def in_part(found: Iterable[tuple[Hashable, tuple[Problem, ...]]], part: Part, count: int) -> Iterator[Problem]:
    """Yield ``count`` problems of a part, without repeating one.

    Args:
        found: problems that belong together (such as the three that share a hypothesis), each with its key.
        part: which part.
        count: how many.
    """
    done = 0
    seen: set[Hashable] = set()
    for key, problems in found:
        if part_of(key) != part or (key, problems) in seen:
            continue
        seen.add((key, problems))
        for problem in problems:
            yield problem
            done += 1
            if done == count:
                return
