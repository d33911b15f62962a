"""Paraphrases and duplicate questions: labels by what is said, whatever the order."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from itertools import islice

import pytest

from adapterstilts.lab.concepts import SYNONYMS
from adapterstilts.lab.meaning import Both, Clause, but
from adapterstilts.lab.tasks.pairs import duplicate_questions, paraphrases
from adapterstilts.lab.tasks.problems import Pair, part_of

GENERATORS = [paraphrases, duplicate_questions]


def groups(generator: Callable, count: int = 300) -> list[tuple[Hashable, tuple[Pair, ...]]]:
    return list(islice(generator(random.Random("tests pairs")), count))


def content(clause: Clause) -> Clause:
    """Return what a clause says, without how it says it."""
    subject = clause.subject
    if isinstance(subject, Both):
        subject = Both(*sorted((subject.first, subject.second), key=repr))
    return but(clause, subject=subject, fronted=False, verb=SYNONYMS.get(clause.verb, clause.verb))


@pytest.mark.parametrize("generator", GENERATORS)
def test_labels_are_right(generator: Callable) -> None:
    for _, problems in groups(generator):
        for problem in problems:
            (first,), (second,) = problem.first, problem.second
            assert isinstance(first, Clause)
            assert isinstance(second, Clause)
            assert first != second
            assert (content(first) == content(second)) == bool(problem.label)


@pytest.mark.parametrize("generator", GENERATORS)
def test_each_text_comes_with_both_labels(generator: Callable) -> None:
    for _, problems in groups(generator):
        assert len(problems) == 4
        for texts in ([problem.first for problem in problems], [problem.second for problem in problems]):
            labels = {text: {p.label for p, at in zip(problems, texts, strict=True) if at == text} for text in texts}
            assert list(labels.values()) == [{0, 1}, {0, 1}]


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_sentence_is_in_one_part(generator: Callable) -> None:
    parts: dict[Hashable, str] = {}
    for key, problems in groups(generator, 1000):
        for problem in problems:
            assert isinstance(problem.first[0], Clause)
            said = repr(content(problem.first[0]))
            assert parts.setdefault(said, part_of(key)) == part_of(key)


def test_paraphrases_move_words_and_near_misses_people() -> None:
    moved = {"time": 0, "both": 0}
    for _, problems in groups(paraphrases):
        for problem in problems:
            (first,), (second,) = problem.first, problem.second
            assert isinstance(first, Clause)
            assert isinstance(second, Clause)
            moved["time"] += first.fronted != second.fronted
            moved["both"] += isinstance(first.subject, Both)
            assert (first.verb, first.time, first.place) == (second.verb, second.time, second.place)
    assert min(moved.values()) > 300


def test_questions_ask_for_many_things() -> None:
    asked = {problem.first[0].asked for _, problems in groups(duplicate_questions) for problem in problems}  # type: ignore[union-attr]
    assert asked == {None, "subject", "object", "recipient", "place"}
