"""The lab's world: who is where, who has what, and what can happen next. ``teller`` tells stories of it.

An event has preconditions, effects and, often, a reason. Everything is drawn from the generator that is given, and so
is the same for the same seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from adapterstilts.lab.concepts import (
    ANIMALS,
    BREAKABLE,
    DRINK,
    FOOD,
    NUMERALS,
    OPENABLE,
    OPPOSITE,
    ORGANISATIONS,
    PEOPLE,
    PLACES,
    PORTABLE,
    READABLE,
    WASHABLE,
)
from adapterstilts.lab.meaning import Clause, Noun, Place, name, person
from adapterstilts.lab.words import NAMES, SURNAMES


@dataclass(frozen=True)
class Event:
    """Something that happens. Entities are plain noun phrases, without modifiers."""

    verb: str
    actor: Noun
    thing: Noun | None = None
    receiver: Noun | None = None
    place: Noun | None = None
    adposition: str = "in"

    def clause(self, **changes: Any) -> Clause:
        """Return the event as a clause, in which all nouns are known."""
        place = Place(self.adposition, self.place) if self.place else None
        return replace(Clause(self.verb, self.actor, self.thing, recipient=self.receiver, place=place), **changes)


@dataclass
class State:
    """How things stand."""

    where: dict[Noun, Noun] = field(default_factory=dict)
    """Place of each person, animal and thing that lies somewhere."""
    holder: dict[Noun, Noun] = field(default_factory=dict)
    """Who has a thing."""
    quality: dict[Noun, set[str]] = field(default_factory=dict)
    """States such as hungry, dirty, broken."""

    def copy(self) -> State:
        """Return a copy that can change alone."""
        return State(dict(self.where), dict(self.holder), {key: set(value) for key, value in self.quality.items()})

    def has(self, entity: Noun, quality: str) -> bool:
        """Tell whether an entity is in a state."""
        return quality in self.quality.get(entity, ())

    def make(self, entity: Noun, quality: str) -> None:
        """Put an entity into a state, out of the opposite one."""
        self.quality.setdefault(entity, set()).discard(OPPOSITE.get(quality, ""))
        self.quality[entity].add(quality)

    def held_by(self, actor: Noun) -> list[Noun]:
        """Return what somebody has."""
        return [thing for thing, holder in self.holder.items() if holder == actor]


@dataclass(frozen=True)
class Cast:
    """Who and what a story is about."""

    actors: tuple[Noun, ...]
    things: tuple[Noun, ...]
    places: tuple[Noun, ...]

    @property
    def entities(self) -> tuple[Noun, ...]:
        return (*self.actors, *self.things, *self.places)


def cast(rng: random.Random, *, actors: int = 3, things: int = 4, places: int = 3) -> Cast:
    """Draw people, animals, things and places for a story; no two have the same head."""
    names = rng.sample(range(NAMES - SURNAMES), actors + places + 1)
    roles, animals = rng.sample(PEOPLE, actors), rng.sample(ANIMALS, actors)
    chosen: list[Noun] = []
    for index in range(actors):
        kind = rng.random()
        if kind < 0.5:
            last = name(rng.randrange(NAMES - SURNAMES, NAMES)) if rng.random() < 0.4 else None
            chosen.append(person(name(names[index]), last))
        elif kind < 0.85 or index == 0:
            chosen.append(Noun(roles[index]))
        else:
            chosen.append(Noun(animals[index]))
    commons = rng.sample(PLACES, places)
    where = [Noun(name(names[actors + i])) if rng.random() < 0.35 else Noun(commons[i]) for i in range(places)]
    if rng.random() < 0.3:
        where[-1] = Noun(name(names[-1]), organisation=rng.choice(ORGANISATIONS))
    what = []
    for head in rng.sample(PORTABLE, things):
        count = rng.choice(NUMERALS) if rng.random() < 0.3 else None
        what.append(Noun(head, plural=bool(count), count=count))
    return Cast(tuple(chosen), tuple(what), tuple(where))


def beginning(rng: random.Random, who: Cast) -> State:
    """Draw how things stand when a story begins: everybody and everything is somewhere, or is held."""
    state = State()
    for actor in who.actors:
        state.where[actor] = rng.choice(who.places[:2])
    for thing in who.things:
        holders = [actor for actor in who.actors if actor.head not in ANIMALS]
        if holders and rng.random() < 0.5:
            state.holder[thing] = rng.choice(holders)
        else:
            state.where[thing] = rng.choice(who.places[:2])
        if thing.head in WASHABLE and rng.random() < 0.5:
            state.make(thing, "dirty")
        if thing.head in BREAKABLE and rng.random() < 0.3:
            state.make(thing, "broken")
        if thing.head in OPENABLE:
            state.make(thing, rng.choice(("closed", "open")))
    return state


def possible(state: State, who: Cast) -> list[Event]:
    """Return all events that can happen now."""
    events: list[Event] = []
    for actor in who.actors:
        here = state.where[actor]
        near = [other for other in who.actors if other != actor and state.where[other] == here]
        events += [Event("go", actor, place=place, adposition="to") for place in who.places if place != here]
        events += list(_of_body(state, actor))
        events += [Event(verb, actor, other) for other in near for verb in ("help", "follow", "see", "call")]
        if actor.head in ANIMALS:
            events += [Event("chase", actor, other) for other in near]
            continue
        events += [Event("feed", actor, other) for other in near if state.has(other, "hungry")]
        for thing in who.things:
            if state.where.get(thing) == here:
                events += [Event(verb, actor, thing) for verb in ("take", "find", "buy")]
            elif state.holder.get(thing) == actor:
                events += _with_held(state, actor, thing, near, who)
    return events


def _of_body(state: State, actor: Noun) -> Iterator[Event]:
    if state.has(actor, "tired"):
        yield Event("sleep", actor)
    if state.has(actor, "sad"):
        yield Event("cry", actor)
    if state.has(actor, "happy"):
        yield Event("laugh", actor)
        yield Event("sing", actor)


def _with_held(state: State, actor: Noun, thing: Noun, near: list[Noun], who: Cast) -> list[Event]:
    here = state.where[actor]
    people = [other for other in near if other.head not in ANIMALS]
    events = [Event(verb, actor, thing, receiver=other) for other in people for verb in ("give", "show", "sell")]
    events += [
        Event("send", actor, thing, receiver=other)
        for other in who.actors
        if other not in near and other != actor and other.head not in ANIMALS
    ]
    events += [Event("put", actor, thing, place=here), Event("leave", actor, thing, place=here)]
    events += [Event("lose", actor, thing), Event("hide", actor, thing)]
    if state.has(thing, "dirty"):
        events.append(Event("wash", actor, thing))
    if thing.head in BREAKABLE:
        events.append(Event("repair" if state.has(thing, "broken") else "break", actor, thing))
    if thing.head in OPENABLE:
        events.append(Event("unlock" if state.has(thing, "closed") else "close", actor, thing))
    if thing.head in FOOD:
        events += [Event("cook", actor, thing), Event("cut", actor, thing)]
        if state.has(actor, "hungry"):
            events.append(Event("eat", actor, thing))
    if thing.head in DRINK and state.has(actor, "thirsty"):
        events.append(Event("swallow", actor, thing))
    if thing.head in READABLE:
        events.append(Event("read", actor, thing))
    return events


def happen(event: Event, before: State) -> State:
    """Return how things stand after an event."""
    state = before.copy()
    actor, thing = event.actor, event.thing
    if event.verb == "go" and event.place:
        state.where[actor] = event.place
    elif event.verb in ("take", "find", "buy") and thing:
        state.where.pop(thing, None)
        state.holder[thing] = actor
    elif event.verb in ("give", "sell", "send") and thing and event.receiver:
        state.holder[thing] = event.receiver
    elif event.verb in ("put", "leave") and thing and event.place:
        state.holder.pop(thing, None)
        state.where[thing] = event.place
    elif event.verb in ("lose", "hide", "eat", "swallow") and thing:
        state.holder.pop(thing, None)
        state.where.pop(thing, None)
    if (need := _ENDS.get(event.verb)) is not None:
        state.quality.get(thing if event.verb == "feed" and thing else actor, set()).discard(need)
    if (quality := _MAKES.get(event.verb)) is not None and thing:
        state.make(thing, quality)
    return state


#: The need that an event ends, and the state that it puts its object into.
_ENDS = {"eat": "hungry", "swallow": "thirsty", "sleep": "tired", "feed": "hungry"}
_MAKES = {"wash": "clean", "break": "broken", "repair": "whole", "unlock": "open", "close": "closed", "cook": "hot"}
#: Why somebody does something: the state that he is in, or that the object is in.
ACTOR_REASON = {
    "eat": "hungry",
    "swallow": "thirsty",
    "sleep": "tired",
    "cry": "sad",
    "laugh": "happy",
    "sing": "happy",
}
OBJECT_REASON = {"wash": "dirty", "repair": "broken", "unlock": "closed", "close": "open", "feed": "hungry"}


def reason(event: Event) -> Clause | None:
    """Return why an event happens, or None where there is no one reason."""
    if (quality := ACTOR_REASON.get(event.verb)) is not None:
        return Clause("be", event.actor, quality=quality)
    if (quality := OBJECT_REASON.get(event.verb)) is not None:
        return Clause("be", event.thing, quality=quality)
    return None


def effects(event: Event) -> list[Clause]:
    """Return what is so after an event, as clauses."""
    actor, thing, found = event.actor, event.thing, []
    if event.verb == "go" and event.place:
        found.append(Clause("be", actor, place=Place("in", event.place)))
    if event.verb in ("take", "find", "buy"):
        found.append(Clause("have", actor, thing))
    if event.verb in ("give", "sell", "send"):
        found.append(Clause("have", event.receiver, thing))
    if event.verb in ("put", "leave") and event.place:
        found.append(Clause("be", thing, place=Place("in", event.place)))
    if (quality := _MAKES.get(event.verb)) is not None:
        found.append(Clause("be", thing, quality=quality))
    return found
