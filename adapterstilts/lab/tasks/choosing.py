"""Choices: what can happen next, why something happened, what is known to all, cause and effect."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator

from adapterstilts.lab.concepts import (
    ANIMALS,
    BREAKABLE,
    DRINK,
    FOOD,
    FOUND_IN,
    KINDS,
    OPENABLE,
    PLACES,
    PORTABLE,
    TIMES,
    USED_FOR,
    WASHABLE,
)
from adapterstilts.lab.meaning import Clause, Compound, Meaning, Noun, Place, but
from adapterstilts.lab.questions import ask, ask_fact, some
from adapterstilts.lab.tasks.problems import Choice, Problem
from adapterstilts.lab.world import Event, cast, effects, reason

#: What somebody can do only with what he has.
_DEEDS = ("put", "leave", "lose", "hide", "wash", "break", "sell")


def next_event(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield short texts of things that change hands, and four endings of which one is possible.

    The endings are the same deed with the same thing by each of the four people of the text: only who has the thing
    can do it. All four are named in the text, and whoever is right is named last, second last … equally often.
    """
    places = [0, 0, 0, 0]
    while True:
        who = cast(rng, actors=4, things=3)
        people = [actor for actor in who.actors if actor.head not in ANIMALS]
        if len(people) < 4:
            continue
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
        if rng.random() < 0.7:
            first, second = rng.sample(people, 2)
            told.insert(rng.randrange(len(told) + 1), Event(rng.choice(("see", "help", "call")), first, second))
        named = [noun for event in told for noun in (event.actor, event.thing, event.receiver) if noun in people]
        if set(named) != set(people):
            continue
        thing = rng.choice(list(holder))
        last = sorted(people, key=lambda person: named[::-1].index(person))  # who is named last comes first
        place = last.index(holder[thing])
        if places[place] > min(places):
            continue
        places[place] += 1
        verb = rng.choice([deed for deed in _DEEDS if deed != "wash" or thing.head in WASHABLE])
        where = rng.choice(who.places) if verb in ("put", "leave") else None
        receiver = None
        if verb == "sell":
            receiver = Noun("king") if Noun("king") not in people else Noun("soldier")
            if receiver in people:
                continue
        endings = [Event(verb, person, thing, receiver=receiver, place=where).clause() for person in people]
        right = people.index(holder[thing])
        context = tuple(event.clause() for event in told)
        yield (context, thing, verb), (_shuffled(rng, context, None, endings, right),)


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


def knowledge(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield questions without a text about what all know, with five choices: the place, the tool or the kind.

    What is right is drawn evenly over the choices there are, and so are the wrong ones. Facts of the test rows are in
    no other rows: what is asked there must be known from pretraining.
    """
    by_place = {place: [thing for thing, where in FOUND_IN.items() if where == place] for place in PLACES}
    while True:
        way = rng.random()
        if way < 0.4:
            right = rng.choice([place for place, things in by_place.items() if len(things) > 1])
            thing = rng.choice(by_place[right])
            pool = [place for place, things in by_place.items() if len(things) > 1 and place != right]
            question = ask_fact(Clause("be", some(thing), place=Place("in", Noun(right))), "place")
            options: list[Meaning | Place] = [Place("in", Noun(place)) for place in (right, *rng.sample(pool, 4))]
        elif way < 0.8:
            right = rng.choice([kind for kind in KINDS if kind != "toy"])
            thing = rng.choice(KINDS[right])
            pool = [kind for kind in KINDS if kind not in (right, "toy")]
            question = ask_fact(Clause("be", some(thing), object=some(right)), "object")
            options = [Clause("be", some(thing), object=some(kind)) for kind in (right, *rng.sample(pool, 4))]
        else:
            right = rng.choice(list(USED_FOR))
            verb, what = USED_FOR[right]
            thing = right
            pool = [tool for tool in USED_FOR if tool != right]
            clause = Clause(verb, some("person"), some(what) if what else None, place=Place("with", some(right)))
            question = ask_fact(clause, "means")
            options = [Place("with", some(tool)) for tool in (right, *rng.sample(pool, 4))]
        order = rng.sample(range(5), 5)
        choices = tuple(options[index] for index in order)
        yield (thing, right), (Choice((), question, choices, order.index(0)),)


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
        fit = {"wash": WASHABLE, "repair": BREAKABLE, "unlock": OPENABLE, "close": OPENABLE}
        verb = rng.choice(list(fit))
        thing = Noun(rng.choice(fit[verb]))
        event = Event(verb, actor, thing)
        others = [reason(Event(other, actor, thing)) for other in fit if other != verb]
    right = reason(event)
    if right is None:
        return None
    wrong = [other for other in others if other is not None and other != right]
    return _shuffled(rng, (_timed(rng, event),), "cause", [right, *rng.sample(wrong, choices - 1)], 0)


def _effect(rng: random.Random, actor: Noun, other: Noun, places: tuple[Noun, ...], choices: int) -> Choice | None:
    thing = Noun(rng.choice(PORTABLE))
    if rng.random() < 0.5:
        event = rng.choice((Event("give", actor, thing, receiver=other), Event("take", actor, thing)))
        if other.head in ANIMALS:
            return None
        (right,) = effects(event)
        first, second = places[:2]
        wrong = [
            Clause("have", other if right.subject == actor else actor, thing),
            Clause("be", actor, place=Place("in", first)),
            Clause("be", other, place=Place("in", second)),
        ]
        return _shuffled(rng, (_timed(rng, event),), "effect", [right, *wrong[: choices - 1]], 0)
    made = {"wash": "clean", "break": "broken", "repair": "whole", "unlock": "open", "close": "closed", "cook": "hot"}
    verb = rng.choice(list(made))
    right = Clause("be", thing, quality=made[verb])
    others = [Clause("be", thing, quality=quality) for deed, quality in made.items() if deed != verb]
    return _shuffled(
        rng, (_timed(rng, Event(verb, actor, thing)),), "effect", [right, *rng.sample(others, choices - 1)], 0
    )


def _timed(rng: random.Random, event: Event) -> Clause:
    return event.clause(time=rng.choice((None, *TIMES)))


def _shuffled(
    rng: random.Random, context: tuple[Meaning, ...], question: Clause | str | None, choices: list[Clause], right: int
) -> Choice:
    order = rng.sample(range(len(choices)), len(choices))
    return Choice(context, question, tuple(choices[index] for index in order), order.index(right))
