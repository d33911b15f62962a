"""Extractive questions over stories, with and without answers."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator
from dataclasses import replace

from adapterstilts.lab.concepts import ANIMALS, RARER
from adapterstilts.lab.meaning import Clause, Compound, Meaning, Noun, Place, but
from adapterstilts.lab.questions import answering, ask, askable
from adapterstilts.lab.tasks.problems import Problem, Reading
from adapterstilts.lab.teller import Story, Teller


def reading(
    rng: random.Random, *, sentences: int, unanswerable: float = 0.0, reworded: float = 0.0
) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield stories with a question whose answer is one phrase of one sentence.

    The sentence is drawn first and what is asked second, so that answers stand anywhere; other sentences of the
    story have the same people, things and verbs. A question is taken only where no other sentence answers it.

    Args:
        rng: generator of all that is drawn.
        sentences: sentences of a story.
        unanswerable: share of the questions that nothing in the story answers.
        reworded: share of the questions with a synonym in place of their verb, where it has one.
    """
    teller = Teller(rng)
    while True:
        story = teller.story(sentences)
        at = rng.randrange(sentences)
        step = story.steps[at]
        roles = askable(step.clause)
        if not roles or step.clause.negated:
            continue
        role = rng.choice(roles)
        question = ask(step.clause, role)
        clauses = [clause for other in story.steps for clause in _clauses(other.meaning)]
        if len(answering(clauses, question)) != 1 or not _has_distractor(story, at):
            continue
        changed = _unanswerable(rng, story, question) if unanswerable else None
        if unanswerable and (changed is None or answering(clauses, changed)):
            continue  # also where the question is kept: its kind must not tell that it can be answered
        if changed and rng.random() < unanswerable:
            problem = Reading(story.sentences, changed, None, None)
        else:
            if rng.random() < reworded:
                question = but(question, verb=RARER.get(question.verb, question.verb))
            problem = Reading(story.sentences, question, at, role)
        yield (problem.context, problem.question), (problem,)


def _clauses(meaning: Meaning) -> tuple[Clause, ...]:
    return (meaning.first, meaning.second) if isinstance(meaning, Compound) else (meaning,)


def _has_distractor(story: Story, at: int) -> bool:
    clause = story.steps[at].clause
    others = [step.clause for index, step in enumerate(story.steps) if index != at]
    return any(other.verb == clause.verb or _head(other.subject) == _head(clause.subject) for other in others)


def _head(phrase: object) -> str:
    return phrase.head if isinstance(phrase, Noun) else ""


def _unanswerable(rng: random.Random, story: Story, question: Clause) -> Clause | None:
    """Return the question with another person, animal, thing or place of the story, or None where there is none."""
    cast = story.cast
    changes = []
    if question.subject is not None:
        changes.append("subject")
    if isinstance(question.object, Noun) and question.verb != "be" and question.asked != "number":
        changes.append("object")
    if question.recipient is not None:
        changes.append("recipient")
    if question.place is not None:
        changes.append("place")
    if not changes:
        return None
    role = rng.choice(changes)
    if role == "place":
        assert question.place is not None
        other = rng.choice(cast.places)
        return but(question, place=Place(question.place.adposition, other)) if other != question.place.noun else None
    old = getattr(question, role)
    pool = cast.things if _is_thing(old, story) else cast.actors
    others = [
        noun
        for noun in pool
        if noun.head not in (_head(old), _head(question.subject), _head(question.object), _head(question.recipient))
        and (noun.head in ANIMALS) == (_head(old) in ANIMALS)
    ]
    if not others:
        return None
    new = rng.choice(others)
    return but(question, **{role: replace(new, definite=True)})


def _is_thing(phrase: object, story: Story) -> bool:
    return _head(phrase) in {thing.head for thing in story.cast.things}
