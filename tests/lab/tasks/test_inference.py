"""Inference: labels as another reading of premise and hypothesis gives them."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest

from adapterstilts.lab.concepts import HYPERNYM, OPPOSITE_VERB, SYNONYMS
from adapterstilts.lab.meaning import Clause, Compound, Meaning, Noun, but
from adapterstilts.lab.tasks.inference import CONTRADICTION, ENTAILMENT, NEUTRAL, inference
from adapterstilts.lab.tasks.problems import Pair, Problem

ROLES = ("subject", "object", "recipient")
#: What is so after an event, by its verb: who has the thing; how the thing is.
HAS = {"take": "subject", "buy": "subject", "find": "subject"} | dict.fromkeys(("give", "sell", "send"), "recipient")
IS = {"wash": "clean", "break": "broken", "repair": "whole", "unlock": "open", "close": "closed"}


def threes(adversarial: bool, count: int = 250) -> list[tuple[Pair, ...]]:
    found = inference(random.Random("tests inference"), adversarial=adversarial)
    groups = [problems for _, problems in islice(found, count)]
    assert all(isinstance(problem, Pair) for problems in groups for problem in problems)
    return groups  # type: ignore[return-value]


def clauses(meaning: Meaning) -> tuple[Clause, ...]:
    found = (meaning.first, meaning.second) if isinstance(meaning, Compound) else (meaning,)
    return tuple(but(clause, verb=SYNONYMS.get(clause.verb, clause.verb)) for clause in found)


def is_a(given: Noun | None, wanted: Noun | None) -> bool:
    if given is None or wanted is None:
        return wanted is None
    kinds = {given.head, HYPERNYM.get(given.head), "person" if given.named else None}
    return wanted.head in kinds and wanted.adjective in (None, given.adjective)


def entails(said: Clause, wanted: Clause) -> bool:
    return (
        said.verb == wanted.verb
        and said.negated == wanted.negated
        and all(is_a(getattr(said, role), getattr(wanted, role)) for role in ROLES)
        and wanted.time in (None, said.time)
        and wanted.place in (None, said.place)
        and wanted.quality == said.quality
    )


def excludes(said: Clause, wanted: Clause) -> bool:
    """Tell whether a clause says that the event was otherwise."""
    if said.negated:
        return entails(wanted, but(said, negated=False))

    def apart(a: Noun | None, b: Noun | None) -> bool:
        bare = [noun and Noun(noun.head) for noun in (a, b)]
        return not is_a(bare[0], bare[1]) and not is_a(bare[1], bare[0])

    heads = any(apart(getattr(said, role), getattr(wanted, role)) for role in ROLES)
    if said.verb == OPPOSITE_VERB.get(wanted.verb):
        return not heads
    elsewhere = wanted.verb in ("go", "put", "leave") and said.place != wanted.place
    return said.verb == wanted.verb and (heads or elsewhere)


def follows(said: Clause, state: Clause) -> bool | None:
    """Tell whether a state follows from an event, is excluded by it, or neither (None)."""
    if said.negated:
        return None
    thing = state.object if state.verb == "have" else state.subject
    if state.quality:
        if said.verb == "be" or said.object != thing or said.verb not in IS:
            return False if said.verb == "be" and said.subject == thing else None
        return IS[said.verb] == state.quality
    if state.place:
        moved = said.subject if said.verb == "go" else said.object
        if said.verb not in ("go", "put") or moved != thing or not said.place:
            return None
        return said.place.noun == state.place.noun
    if said.object != thing:
        return None
    if said.verb in HAS:
        return getattr(said, HAS[said.verb]) == state.subject
    return False if said.verb == "lose" and said.subject == state.subject else None


def label(premise: Meaning, hypothesis: Clause) -> int:
    if hypothesis.verb in ("have", "be"):
        told = [follows(clause, hypothesis) for clause in clauses(premise)]
        return ENTAILMENT if True in told else CONTRADICTION if False in told else NEUTRAL
    said = clauses(premise)
    wanted = clauses(hypothesis)[0]
    if any(entails(clause, wanted) for clause in said):
        return ENTAILMENT
    return CONTRADICTION if any(excludes(clause, wanted) for clause in said) else NEUTRAL


@pytest.mark.parametrize("adversarial", [False, True])
def test_labels_are_right(adversarial: bool) -> None:
    for problems in threes(adversarial):
        for problem in problems:
            (premise,), (hypothesis,) = problem.first, problem.second
            assert isinstance(hypothesis, Clause)
            assert label(premise, hypothesis) == problem.label, (premise, hypothesis)


@pytest.mark.parametrize("adversarial", [False, True])
def test_a_hypothesis_comes_with_each_label(adversarial: bool) -> None:
    for problems in threes(adversarial):
        assert sorted(problem.label for problem in problems) == [ENTAILMENT, NEUTRAL, CONTRADICTION]
        assert len({problem.second for problem in problems}) == 1
        assert len({problem.first for problem in problems}) == 3


def words(meaning: Meaning) -> Counter[object]:
    found: Counter[object] = Counter()
    for clause in clauses(meaning):
        nouns = [getattr(clause, role) for role in ROLES] + [clause.place and clause.place.noun]
        found.update(noun.head for noun in nouns if noun)
        found.update(noun.adjective for noun in nouns if noun)
        found.update((clause.verb, clause.time, clause.negated, clause.place and clause.place.adposition))
    del found[None]
    return found


def test_adversarial_premises_have_the_same_words() -> None:
    for problems in threes(adversarial=True):
        first, *others = (words(problem.first[0]) for problem in problems)
        assert all(other == first for other in others)


def test_kinds_of_problems() -> None:
    plain: list[Problem] = [problem for problems in threes(adversarial=False) for problem in problems]
    hypotheses = [problem.second[0] for problem in plain if isinstance(problem, Pair)]
    verbs = Counter(said.verb for said in hypotheses if isinstance(said, Clause))
    assert verbs["have"] > 30
    assert verbs["be"] > 30
    assert len(verbs) > 15
    kinds = set(HYPERNYM.values())
    assert sum(any(getattr(getattr(said, role), "head", "") in kinds for role in ROLES) for said in hypotheses) > 150
    with_second = sum(isinstance(problem.first[0], Compound) for problem in plain if isinstance(problem, Pair))
    assert 0.4 < with_second / len(plain) < 0.6
