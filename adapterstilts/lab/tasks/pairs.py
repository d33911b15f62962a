"""Paraphrases and duplicate questions.

Two sentences that say different things come with a rewording each, and each sentence with both rewordings: no text
tells by itself whether it stands beside its like.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator

from adapterstilts.lab.concepts import ANIMALS, RARER, TIMES
from adapterstilts.lab.meaning import Both, Clause, Noun, Place, Role, but
from adapterstilts.lab.questions import ask, askable
from adapterstilts.lab.tasks.drawer import BETWEEN, Drawer, alike, swappable, swapped
from adapterstilts.lab.tasks.problems import Pair, Problem, part_of


def _fours(rng: random.Random, first: tuple[Clause, Clause], second: tuple[Clause, Clause]) -> tuple[Problem, ...]:
    """Return the problems of two sentences, each given with its rewording, in random order."""
    said = (first, second)
    problems: list[Problem] = [
        Pair((said[a][0],), (said[b][1],), int(a == b)) for a, b in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    rng.shuffle(problems)
    return tuple(problems)


def _participants(clause: Clause) -> tuple[Hashable, ...]:
    """Return what a clause says, whoever does it to whom: the same for all that is made of it here."""
    subject = (clause.subject.first, clause.subject.second) if isinstance(clause.subject, Both) else (clause.subject,)
    return (clause.verb, *sorted(map(repr, (*subject, clause.object, clause.recipient))), clause.time, clause.place)


def paraphrases(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield sentences with a paraphrase and with a near miss, as PAWS has them (Zhang et al. 2019, N19-1131).

    Both have the words of the sentence, and the same ones have moved: the time to the other end, coordinated nouns
    past each other. In the near miss two people have changed places as well.
    """
    draw = Drawer(rng)
    while True:
        event, who = draw.event((*BETWEEN, "chase", "feed"))
        clause = event.clause()
        if not swappable(clause):
            continue
        if rng.random() < 0.7:
            clause = but(clause, time=rng.choice(TIMES), fronted=rng.random() < 0.5)
        if not clause.time or rng.random() < 0.4:
            third = draw.other(who.actors, clause.subject, clause.object, clause.recipient)
            if not alike(clause.verb, event.actor, third):
                continue
            clause = but(clause, subject=Both(event.actor, third))
        if rng.random() < 0.3:
            clause = but(clause, place=Place("in", rng.choice(who.places)))
        other = _exchanged(rng, clause)
        ways = ["time"] * bool(clause.time) + ["both"] * isinstance(clause.subject, Both)
        ways = rng.sample(ways, rng.randint(1, len(ways)))
        yield _participants(clause), _fours(rng, (clause, _moved(clause, ways)), (other, _moved(other, ways)))


def _moved(clause: Clause, ways: list[str]) -> Clause:
    if "time" in ways:
        clause = but(clause, fronted=not clause.fronted)
    if "both" in ways:
        assert isinstance(clause.subject, Both)
        clause = but(clause, subject=Both(clause.subject.second, clause.subject.first))
    return clause


def _exchanged(rng: random.Random, clause: Clause) -> Clause:
    """Let a subject change places with the receiver, or else with the object."""
    if not isinstance(clause.subject, Both):
        return swapped(clause)
    role = "recipient" if clause.recipient else "object"
    other = getattr(clause, role)
    assert isinstance(other, Noun)
    first, second = clause.subject.first, clause.subject.second
    if rng.random() < 0.5:
        return but(clause, subject=Both(other, second), **{role: first})
    return but(clause, subject=Both(first, other), **{role: second})


def _asked(clause: Clause, role: Role | None) -> Clause:
    """Ask for a phrase of a clause, or for yes or no."""
    return ask(clause, role) if role else but(clause, polar=True)


def duplicate_questions(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield questions with one that asks the same and with one that does not.

    Both are reworded in the same way: a synonym for the verb, the time at the other end. The one that asks something
    else has changed roles or another person, is denied, or asks for another phrase of the same sentence.
    """
    draw = Drawer(rng)
    while True:
        event, who = draw.event(() if rng.random() < 0.5 else BETWEEN)
        clause = event.clause()
        if clause.place is None and rng.random() < 0.5:
            clause = but(clause, place=Place("in", rng.choice(who.places)))
        roles = [role for role in (*askable(clause), None) if role != "number"]
        question = _asked(clause, rng.choice(roles))
        if rng.random() < 0.6:
            question = but(question, time=rng.choice(TIMES))
        moves = question.time is not None and (question.verb not in RARER or rng.random() < 0.5)
        if not moves and question.verb not in RARER:
            continue
        ways = ["deny"] + ["ask"] + ["person"] * (question.subject is not None)
        way = rng.choice(ways + ["swap"] * 3 * swappable(question))
        if way == "swap":
            other = swapped(question)
        elif way == "deny":
            other = but(question, negated=True)
        elif way == "person":
            person = draw.other(who.actors, question.subject, question.object, question.recipient)
            if (person.head in ANIMALS) != (event.actor.head in ANIMALS):
                continue
            other = but(question, subject=person)
        else:
            role = rng.choice([role for role in roles if role != question.asked])
            other = but(_asked(clause, role), time=question.time)
        first, second = (
            (asked, but(asked, verb=RARER.get(asked.verb, asked.verb), fronted=moves)) for asked in (question, other)
        )
        key = _participants(question)
        if part_of(key) == part_of(_participants(other)):  # other sentences may lead to either question
            yield key, _fours(rng, first, second)
