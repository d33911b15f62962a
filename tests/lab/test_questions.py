"""Questions: what they keep of a statement, and which statements answer them."""

from __future__ import annotations

import random

import pytest

from adapterstilts.lab.concepts import FOUND_IN, HYPERNYM, USED_FOR
from adapterstilts.lab.meaning import Both, Clause, Noun, Place, name, person
from adapterstilts.lab.questions import answering, answers, ask, ask_fact, askable, bare, facts, is_person
from adapterstilts.lab.teller import Teller

GIVE = Clause(
    "give", Noun("teacher", adjective="old", definite=False), Noun("book", plural=True, count="two"),
    recipient=person(name(1)), place=Place("in", Noun("house")), time="night",
)  # fmt: skip


def test_what_can_be_asked() -> None:
    assert askable(GIVE) == ("subject", "recipient", "place", "time", "number")
    assert askable(Clause("see", Noun("dog"), Noun("cat"))) == ("subject", "object")
    assert askable(Clause("cut", Noun("dog"), place=Place("with", Noun("knife")))) == ("subject",)


@pytest.mark.parametrize("role", ["subject", "object", "recipient", "place", "time"])
def test_what_is_asked_for_is_left_out(role: str) -> None:
    question = ask(GIVE, role)  # type: ignore[arg-type]
    assert question.asked == role
    assert getattr(question, role) is None
    assert question.time is None
    assert question.place is None
    if role != "subject":
        assert question.subject == Noun("teacher")


def test_verbs_keep_the_places_that_they_need() -> None:
    went = Clause("go", Noun("dog"), place=Place("to", Noun("house")), time="night")
    assert ask(went, "time") == Clause("go", Noun("dog"), place=Place("to", Noun("house")), asked="time")


def test_numbers_are_asked_with_their_noun() -> None:
    assert ask(GIVE, "number").object == Noun("book", plural=True)
    assert answers(GIVE, ask(GIVE, "number"))
    assert not answers(Clause("give", Noun("teacher"), Noun("book"), recipient=person(name(1))), ask(GIVE, "number"))


def test_persons_are_asked_for_otherwise_than_things() -> None:
    assert ask(Clause("see", Noun("dog"), Noun("cat")), "object").asks_person
    assert not ask(Clause("see", Noun("dog"), Noun("cup")), "object").asks_person
    assert is_person(person(name(1)))
    assert not is_person(Noun(name(1), organisation="bank"))


def test_answers_agree_with_all_that_is_asked() -> None:
    question = ask(GIVE, "recipient")
    assert answers(GIVE, question)
    for changed in (
        Clause("sell", GIVE.subject, GIVE.object, recipient=GIVE.recipient),
        Clause("give", Noun("thief"), GIVE.object, recipient=GIVE.recipient),
        Clause("give", GIVE.subject, Noun("cup"), recipient=GIVE.recipient),
        Clause("give", GIVE.subject, GIVE.object, recipient=GIVE.recipient, negated=True),
    ):
        assert not answers(changed, question)
    assert answering([GIVE, Clause("sleep", Noun("dog")), GIVE], question) == [0, 2]
    assert not answers(Clause("give", GIVE.subject, GIVE.object, recipient=GIVE.recipient), ask(GIVE, "time"))


def test_every_clause_answers_the_questions_for_its_phrases() -> None:
    teller = Teller(random.Random("tests questions"))
    for _ in range(100):
        for step in teller.story(5).steps:
            for role in askable(step.clause):
                assert answers(step.clause, ask(step.clause, role))


def test_bare_nouns() -> None:
    noun = Noun("dog", adjective="red", definite=False, owner=Noun("cat"), relative=Clause("work"))
    assert bare(Clause("see", Both(noun, noun), noun)) == Clause("see", Both(Noun("dog"), Noun("dog")), Noun("dog"))


def test_facts_are_kinds_places_and_uses() -> None:
    found = facts()
    assert len(found) == len(set(found)) == len(HYPERNYM) + len(FOUND_IN) + len(USED_FOR) + 3
    clause, role = found[0]
    assert (clause.subject, clause.object, role) == (
        Noun("teacher", definite=False), Noun("person", definite=False), "object",
    )  # fmt: skip
    for clause, role in found:
        question = ask_fact(clause, role)
        assert question.asked == role
        assert (question.place if role in ("place", "means") else question.object) is None
