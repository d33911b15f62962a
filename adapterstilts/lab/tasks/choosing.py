"""Choices: what can happen next, why something happened, what is known to all, cause and effect."""

from __future__ import annotations

import functools
import random
from collections import defaultdict
from collections.abc import Hashable, Iterator

from adapterstilts.lab.concepts import (
    ANIMALS,
    BREAKABLE,
    DRINK,
    FOOD,
    FOUND_IN,
    KINDS,
    OPENABLE,
    PEOPLE,
    PLACES,
    PORTABLE,
    TIMES,
    WASHABLE,
)
from adapterstilts.lab.meaning import Clause, Compound, Meaning, Noun, Place, but
from adapterstilts.lab.questions import ask, ask_fact, some
from adapterstilts.lab.tasks.problems import Choice, Part, Problem, part_of
from adapterstilts.lab.world import Cast, Event, cast, effects, reason

#: What somebody can do only with what he has.
_DEEDS = ("put", "leave", "lose", "hide", "wash", "break", "sell")


class _Even:
    """Sees to it that no outward mark of a choice tells whether it is right.

    Of each mark it knows how often the right choice had it, and how often it would have had it by chance.
    """

    def __init__(self) -> None:
        self.surplus: dict[Hashable, float] = defaultdict(float)
        self.taken = 0

    def take(self, marks: list[tuple[Hashable, ...]], right: int) -> bool:
        """Tell whether a problem may be taken, and count it if so. The right choices may have a mark 1 % too often.

        Args:
            marks: those of each choice.
            right: number of the right choice.
        """
        added = dict.fromkeys((mark for of_choice in marks for mark in of_choice), 0.0)
        for number, of_choice in enumerate(marks):
            for mark in of_choice:
                added[mark] += (number == right) - 1 / len(marks)
        slack = 4 + 0.01 * self.taken
        if any(more > 0 and self.surplus[mark] + more > slack for mark, more in added.items()):
            return False
        for mark, more in added.items():
            self.surplus[mark] += more
        self.taken += 1
        return True


def next_event(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield short texts of things that change hands, and four endings of which one is possible.

    The endings are the same deed with the same thing by each of the four people of the text: only who has the thing
    can do it. All four are named in the text, and whoever is right is named first or last, often or seldom, by chance.
    """
    even = _Even()
    while True:
        who = cast(rng, actors=4, things=3)
        people = [actor for actor in who.actors if actor.head not in ANIMALS]
        if len(people) < 4:
            continue
        told, holder = _changing_hands(rng, who, people)
        named = [noun for event in told for noun in (event.actor, event.thing, event.receiver) if noun in people]
        if set(named) != set(people):
            continue
        thing = rng.choice(list(holder))
        right = people.index(holder[thing])
        if not even.take([_mentions(named, person) for person in people], right):
            continue
        verb = rng.choice([deed for deed in _DEEDS if deed != "wash" or thing.head in WASHABLE])
        where = rng.choice(who.places) if verb in ("put", "leave") else None
        receiver = None
        if verb == "sell":
            receiver = next(noun for noun in map(Noun, ("king", "soldier", *PEOPLE)) if noun not in people)
        endings = [Event(verb, person, thing, receiver=receiver, place=where).clause() for person in people]
        context = tuple(event.clause() for event in told)
        yield (context, thing, verb), (_shuffled(rng, context, None, endings, right),)


def _changing_hands(rng: random.Random, who: Cast, people: list[Noun]) -> tuple[list[Event], dict[Noun, Noun]]:
    """Return events in which two things change hands, others between them, and who has the things in the end."""
    holder: dict[Noun, Noun] = {}
    told: list[Event] = []
    for thing in rng.sample(who.things, 2):
        owner = rng.choice(people)
        told.append(Event(rng.choice(("take", "find", "buy")), owner, thing))
        holder[thing] = owner
    for _ in range(rng.choice((1, 2))):
        thing = rng.choice(list(holder))
        owner = holder[thing]
        other = rng.choice([person for person in people if person != owner])
        told.append(Event(rng.choice(("give", "sell", "send")), owner, thing, receiver=other))
        holder[thing] = other
    for _ in range(rng.choice((1, 2))):
        first, second = rng.sample(people, 2)
        told.insert(rng.randrange(len(told) + 1), Event(rng.choice(("see", "help", "call")), first, second))
    return told, holder


def _mentions(named: list[Noun], person: Noun) -> tuple[Hashable, ...]:
    """Return what can be seen of a person without reading: how often, how early and how late he is named."""
    order = list(dict.fromkeys(named))
    last = list(dict.fromkeys(named[::-1]))
    often = named.count(person)
    rank = sum(named.count(other) > often for other in order)
    return (("first", order.index(person)), ("last", last.index(person)), ("often", often), ("rank", rank))


def reasons(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield texts in which several things happen, each for a reason of its own, and ask for one reason or one outcome.

    The reasons are drawn apart from the events, so that only the text tells which belongs to which; all four choices
    are reasons (or outcomes) of the text.
    """
    while True:
        who = cast(rng, actors=4, things=4)
        doers = rng.sample(who.actors, 4)
        things = rng.sample(who.things, 4)
        events = [
            Event(rng.choice(("take", "find", "buy", "hide", "lose")), *pair).clause()
            for pair in zip(doers, things, strict=True)
        ]
        qualities = [rng.choice(("sad", "happy", "tired", "hungry", "thirsty", "wet", "old")) for _ in range(4)]
        subjects = rng.sample(who.actors, 4)
        states = [Clause("be", subject, quality=quality) for subject, quality in zip(subjects, qualities, strict=True)]
        told: list[Meaning] = []
        for event, state in zip(events, states, strict=True):
            told.append(Compound("because", event, state) if rng.random() < 0.5 else Compound("so", state, event))
        asked = rng.randrange(4)
        if rng.random() < 0.5:
            question, choices = ask(events[asked], "reason"), states
        else:
            question, choices = but(states[asked], polar=False), events
        order = rng.sample(range(4), 4)
        context = tuple(told[index] for index in order)
        yield context, (_shuffled(rng, context, question, choices, asked),)


#: Facts that are asked: what is right, and the things of which it is. Each tool has one use, which would be in one
#: part of the data alone, so that uses are not asked.
_KNOWN = {
    "place": {place: [thing for thing, where in FOUND_IN.items() if where == place] for place in PLACES},
    "object": {kind: list(things) for kind, things in KINDS.items() if kind != "toy"},
}


def knowledge(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield questions without a text about what all know, with five choices: the place or the kind of a thing.

    A fact is in one part of the data, so what is asked in the test rows must be known from pretraining. In each part,
    what is right is drawn evenly over the choices of which the part has a fact, and wrong choices over the others; in
    the training rows, of which one learns, every choice is right as often as chance has it.
    """
    options = {role: list(_of_part(role, "train")) for role in _KNOWN}
    parts: tuple[Part, ...] = ("train", "validation", "test")
    even = _Even()
    while True:
        part, role = rng.choice(parts), rng.choice(list(_KNOWN))
        facts = _of_part(role, part)
        right = rng.choice([right for right in facts if right in options[role]])
        thing = rng.choice(facts[right])
        wrong = rng.sample([other for other in options[role] if other != right], 4)
        order = rng.sample((right, *wrong), 5)
        if part == "train" and not even.take([((role, choice),) for choice in order], order.index(right)):
            continue
        choices: tuple[Meaning | Place, ...]
        if role == "place":
            question = ask_fact(Clause("be", some(thing), place=Place("in", Noun(right))), "place")
            choices = tuple(Place("in", Noun(place)) for place in order)
        else:
            question = ask_fact(Clause("be", some(thing), object=some(right)), "object")
            choices = tuple(Clause("be", some(thing), object=some(kind)) for kind in order)
        yield (thing, right), (Choice((), question, choices, order.index(right)),)


@functools.cache
def _of_part(role: str, part: Part) -> dict[str, list[str]]:
    """Return what is right in a part of the data, and the things of which it is right there."""
    known = _KNOWN[role].items()
    found = {right: [thing for thing in things if part_of((thing, right)) == part] for right, things in known}
    return {right: things for right, things in found.items() if things}


def causes(rng: random.Random, choices: int = 2) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield an event and choices of its cause, or of its effect.

    The choices are causes or effects of other events as often as of this one.
    """
    while True:
        who = cast(rng)
        people = [actor for actor in who.actors if actor.head not in ANIMALS]
        actor = rng.choice(people)
        if rng.random() < 0.5:
            problem = _cause(rng, actor, choices)
        else:
            other = rng.choice([person for person in who.actors if person != actor])
            problem = _effect(rng, actor, other, who.places, choices)
        if problem is not None:
            yield (problem.context, problem.choices[problem.right]), (problem,)


def _cause(rng: random.Random, actor: Noun, choices: int) -> Choice | None:
    if rng.random() < 0.5:
        deeds = {"eat": FOOD, "swallow": DRINK, "sleep": (), "cry": (), "laugh": ()}
        verb = rng.choice(list(deeds))
        things = deeds[verb]
        event = Event(verb, actor, Noun(rng.choice(things)) if things else None)
        others = [reason(Event(other, actor)) for other in deeds if other != verb]
    else:
        done = ("wash", "repair", "unlock", "close")
        thing = Noun(rng.choice((*WASHABLE, *BREAKABLE, *OPENABLE)))  # whatever it is: it must not tell what was done
        event = Event(rng.choice(done), actor, thing)
        others = [reason(Event(other, actor, thing)) for other in done if other != event.verb]
    right = reason(event)
    if right is None:
        return None
    wrong = [other for other in others if other is not None and other != right]
    return _shuffled(rng, (_timed(rng, event),), "cause", [right, *rng.sample(wrong, choices - 1)], 0)


def _effect(rng: random.Random, actor: Noun, other: Noun, places: tuple[Noun, ...], choices: int) -> Choice | None:
    thing = Noun(rng.choice(PORTABLE))
    if rng.random() < 0.5:
        if other.head in ANIMALS:
            return None
        events = [
            Event("give", actor, thing, receiver=other),
            Event("take", actor, thing),
            Event("put", actor, thing, place=rng.choice(places)),
        ]
    else:
        verbs = ("wash", "break", "repair", "unlock", "close", "cook")
        events = [Event(verb, actor, thing) for verb in rng.sample(verbs, 3)]
    told, *others = rng.sample(events, choices)
    (right,) = effects(told)
    wrong = [clause for event in others for clause in effects(event)]
    return _shuffled(rng, (_timed(rng, told),), "effect", [right, *wrong], 0)


def _timed(rng: random.Random, event: Event) -> Clause:
    return event.clause(time=rng.choice((None, *TIMES)))


def _shuffled(
    rng: random.Random, context: tuple[Meaning, ...], question: Clause | str | None, choices: list[Clause], right: int
) -> Choice:
    order = rng.sample(range(len(choices)), len(choices))
    return Choice(context, question, tuple(choices[index] for index in order), order.index(right))
