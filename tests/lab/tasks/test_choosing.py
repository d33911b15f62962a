"""Choices: the right one, found in other ways, and that no other is right."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from adapterstilts.lab.concepts import FOUND_IN, HYPERNYM
from adapterstilts.lab.meaning import Clause, Compound, Noun, Place
from adapterstilts.lab.tasks.choosing import causes, knowledge, next_event, reasons
from adapterstilts.lab.tasks.problems import Choice

REASONS = {
    "eat": "hungry", "swallow": "thirsty", "sleep": "tired", "cry": "sad", "laugh": "happy", "wash": "dirty",
    "repair": "broken", "unlock": "closed", "close": "open",
}  # fmt: skip
RESULTS = {
    "wash": "clean", "break": "broken", "repair": "whole", "unlock": "open", "close": "closed", "cook": "hot",
}  # fmt: skip


def drawn(generator: Callable, count: int = 300, **options: Any) -> list[Choice]:
    found = [
        problem
        for _, problems in islice(generator(random.Random("tests choosing"), **options), count)
        for problem in problems
    ]
    assert all(isinstance(problem, Choice) for problem in found)
    for problem in found:
        assert len(set(problem.choices)) == len(problem.choices)
    return found


def test_only_who_has_the_thing_can_do_what_comes_next() -> None:
    for problem in drawn(next_event):
        holder: dict[Any, Any] = {}
        for clause in problem.context:
            assert isinstance(clause, Clause)
            if clause.verb in ("give", "sell", "send"):
                assert holder[clause.object] == clause.subject
                holder[clause.object] = clause.recipient
            elif clause.verb in ("take", "find", "buy"):
                assert clause.object not in holder
                holder[clause.object] = clause.subject
        can = [isinstance(said, Clause) and holder[said.object] == said.subject for said in problem.choices]
        assert [number for number, able in enumerate(can) if able] == [problem.right]


def test_reasons_and_outcomes_are_those_of_the_text() -> None:
    ways: Counter[bool] = Counter()
    for problem in drawn(reasons):
        told = [said for said in problem.context if isinstance(said, Compound)]
        pairs = [(c.first, c.second) if c.conjunction == "because" else (c.second, c.first) for c in told]
        assert len(pairs) == 4
        question = problem.question
        assert isinstance(question, Clause)
        ways[bool(question.asked)] += 1
        if question.asked:
            assert question.asked == "reason"
            right = [
                state for event, state in pairs if (event.subject, event.object) == (question.subject, question.object)
            ]
            assert set(problem.choices) == {state for _, state in pairs}
        else:
            right = [event for event, state in pairs if state == question]
            assert set(problem.choices) == {event for event, _ in pairs}
        assert right == [problem.choices[problem.right]]
    assert min(ways.values()) > 100


def test_knowledge_is_that_of_the_ontology() -> None:
    asked: Counter[str] = Counter()
    for problem in drawn(knowledge, 600):
        question = problem.question
        assert isinstance(question, Clause)
        assert isinstance(question.subject, Noun)
        asked[str(question.asked)] += 1
        thing = question.subject.head
        if question.asked == "place":
            true = [isinstance(c, Place) and c.noun.head == FOUND_IN[thing] for c in problem.choices]
        else:
            true = [isinstance(c, Clause) and c.object.head == HYPERNYM[thing] for c in problem.choices]  # type: ignore[union-attr]
        assert [number for number, right in enumerate(true) if right] == [problem.right]
    assert set(asked) == {"place", "object"}


@pytest.mark.parametrize("choices", [2, 3])
def test_causes_and_effects(choices: int) -> None:
    asked: Counter[str] = Counter()
    for problem in drawn(causes, 400, choices=choices):
        (event,) = problem.context
        assert isinstance(event, Clause)
        assert len(problem.choices) == choices
        right = problem.choices[problem.right]
        assert isinstance(right, Clause)
        asked[str(problem.question)] += 1
        if problem.question == "cause":
            subject = event.object if event.verb in ("wash", "repair", "unlock", "close") else event.subject
            assert right == Clause("be", subject, quality=REASONS[event.verb])
        elif event.verb in RESULTS:
            assert right == Clause("be", event.object, quality=RESULTS[event.verb])
        elif event.verb == "put":
            assert event.place
            assert right == Clause("be", event.object, place=Place("in", event.place.noun))
        else:
            assert right == Clause("have", event.recipient or event.subject, event.object)
    assert set(asked) == {"cause", "effect"}
    assert min(asked.values()) > 100
