"""The lab's world: who is where, who has what, and what can happen next. Stories are told of it.

An event has preconditions, effects and, often, a reason; a story is a sequence of events each of which was possible
when it happened. Everything is drawn from the generator that is given, and so is the same for the same seed.
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
    EPITHETS,
    FOOD,
    NUMERALS,
    OPENABLE,
    OPPOSITE,
    ORGANISATIONS,
    PEOPLE,
    PLACES,
    PORTABLE,
    READABLE,
    TIMES,
    WASHABLE,
)
from adapterstilts.lab.meaning import Both, Clause, Compound, Meaning, Noun, Phrase, Place, but, name, person
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


@dataclass(frozen=True)
class Step:
    """A sentence of a story."""

    meaning: Meaning
    clause: Clause
    """Its main clause."""
    event: Event | None
    """What happens in it; None where it says how things stand."""
    reason: Clause | None
    """Why, as far as the world knows."""
    before: State
    after: State


@dataclass(frozen=True)
class Story:
    """A text about the world."""

    cast: Cast
    steps: tuple[Step, ...]

    @property
    def sentences(self) -> tuple[Meaning, ...]:
        return tuple(step.meaning for step in self.steps)


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
_ACTOR_REASON = {
    "eat": "hungry",
    "swallow": "thirsty",
    "sleep": "tired",
    "cry": "sad",
    "laugh": "happy",
    "sing": "happy",
}
_OBJECT_REASON = {"wash": "dirty", "repair": "broken", "unlock": "closed", "close": "open", "feed": "hungry"}


def reason(event: Event) -> Clause | None:
    """Return why an event happens, or None where there is no one reason."""
    if (quality := _ACTOR_REASON.get(event.verb)) is not None:
        return Clause("be", event.actor, quality=quality)
    if (quality := _OBJECT_REASON.get(event.verb)) is not None:
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


class Teller:
    """Tells stories: chooses events, and how much to say of them.

    Args:
        rng: the generator of everything that is drawn.
        detail: how likely adjectives, times, places and relative clauses are, 0 to 1.
    """

    def __init__(self, rng: random.Random, detail: float = 1.0) -> None:
        self.rng = rng
        self.detail = detail

    def story(self, sentences: int = 6) -> Story:
        """Tell a story of so many sentences."""
        rng = self.rng
        who = cast(rng)
        state = beginning(rng, who)
        epithets = {entity: rng.choice(EPITHETS) for entity in who.entities if rng.random() < 0.5}
        known: set[Noun] = set()
        steps: list[Step] = []
        used: set[Event] = set()
        while len(steps) < sentences:
            kind = rng.random()
            told = self.condition(state, who) if kind < 0.2 else self.denial(state, who) if kind < 0.28 else None
            told = told or self.event(state, who, used)
            meaning = self._mention(told.meaning, epithets, known)
            if isinstance(meaning, Compound):
                main = meaning.second if meaning.conjunction == "so" else meaning.first
            else:
                main = meaning
            steps.append(replace(told, meaning=meaning, clause=main))
            state = told.after
        return Story(who, tuple(steps))

    def event(self, state: State, who: Cast, used: set[Event]) -> Step:
        """Let something happen, by preference what has a reason and did not happen yet."""
        rng = self.rng
        choices = [event for event in possible(state, who) if event not in used]
        verbs = sorted({event.verb for event in choices})
        with_reason = [verb for verb in verbs if verb in _ACTOR_REASON or verb in _OBJECT_REASON]
        verb = rng.choice(with_reason if with_reason and rng.random() < 0.5 else verbs)
        event = rng.choice([event for event in choices if event.verb == verb])
        used.add(event)
        after = happen(event, state)
        clause = event.clause()
        if event.place is None and rng.random() < 0.35 * self.detail:
            clause = but(clause, place=Place("in", state.where[event.actor]))
        clause = self.timed(clause)
        why = reason(event)
        meaning: Meaning = clause
        if why and (told := rng.random()) < 0.4:
            meaning = Compound("because", clause, why) if told < 0.25 else Compound("so", why, clause)
        return Step(meaning, clause, event, why, state, after)

    def denial(self, state: State, who: Cast) -> Step:
        """Say of something that is impossible now that it does not happen."""
        rng = self.rng
        now = set(possible(state, who))
        actor, thing = rng.choice(who.actors), rng.choice(who.things)
        verbs = ("take", "find", "buy", "wash", "hide", "lose", "see")
        others = [Event(verb, actor, thing) for verb in verbs]
        event = rng.choice([event for event in others if event not in now])
        clause = self.timed(event.clause(negated=True))
        return Step(clause, clause, None, None, state, state)

    def sentence(self) -> Meaning:
        """Say something that stands for itself: any construction of the languages may be in it."""
        rng = self.rng
        who = cast(rng)
        state = beginning(rng, who)
        for actor in who.actors:
            state.make(actor, rng.choice(("hungry", "thirsty", "tired", "sad", "happy")))
        epithets = {entity: rng.choice(EPITHETS) for entity in who.entities if rng.random() < 0.5}
        steps = [self.event(state, who, set()), self.condition(state, who), self.denial(state, who)]
        told = rng.choices([step for step in steps if step], (7, 1, 1.5)[: len([step for step in steps if step])])[0]
        meaning = self._mention(told.meaning, epithets, {entity for entity in who.entities if rng.random() < 0.6})
        if isinstance(meaning, Compound):
            return meaning
        other = rng.choice(who.actors)
        if isinstance(meaning.object, Noun) and not meaning.object.named and rng.random() < 0.2:
            if other not in (told.clause.subject, told.clause.object) and meaning.object.relative is None:
                meaning = but(meaning, object=replace(meaning.object, owner=other))
        elif isinstance(meaning.subject, Noun) and meaning.subject.relative is None and rng.random() < 0.15:
            if other not in (told.clause.subject, told.clause.object, told.clause.recipient):
                meaning = but(meaning, subject=Both(meaning.subject, other))
        if meaning.place and meaning.place.adposition == "in" and rng.random() < 0.4:
            meaning = but(meaning, place=replace(meaning.place, adposition=rng.choice(("near", "behind", "under"))))
        if rng.random() < 0.1 and not meaning.negated:
            second = self.event(state, who, set()).clause
            return Compound("then", meaning, second)
        return meaning

    def condition(self, state: State, who: Cast) -> Step | None:
        """Say how somebody or something is, so that something will be done about it; None where all is known."""
        rng = self.rng
        actor = rng.choice(who.actors)
        quality = rng.choice(("hungry", "thirsty", "tired", "sad", "happy"))
        if state.has(actor, quality):
            return None
        after = state.copy()
        after.make(actor, quality)
        clause = Clause("be", actor, quality=quality)
        return Step(clause, clause, None, None, state, after)

    def timed(self, clause: Clause) -> Clause:
        """Perhaps say when."""
        if self.rng.random() < 0.3 * self.detail:
            return but(clause, time=self.rng.choice(TIMES), fronted=self.rng.random() < 0.5)
        return clause

    def _mention(self, meaning: Meaning, epithets: dict[Noun, str], known: set[Noun]) -> Meaning:
        if isinstance(meaning, Compound):
            first = self._mention(meaning.first, epithets, known)
            second = self._mention(meaning.second, epithets, known)
            assert isinstance(first, Clause) and isinstance(second, Clause)
            return Compound(meaning.conjunction, first, second)

        def mention(phrase: Phrase | None) -> Phrase | None:
            if isinstance(phrase, Both):
                return phrase
            return self._noun(phrase, epithets, known) if phrase else None

        place = meaning.place and replace(meaning.place, noun=self._noun(meaning.place.noun, epithets, known))
        return but(
            meaning,
            subject=mention(meaning.subject),
            object=mention(meaning.object),
            recipient=mention(meaning.recipient),
            place=place,
        )

    def _noun(self, noun: Noun, epithets: dict[Noun, str], known: set[Noun]) -> Noun:
        new = noun not in known
        known.add(noun)
        if noun.named:
            return noun
        rng = self.rng
        adjective = epithets.get(noun) if rng.random() < (0.8 if new else 0.25) * self.detail else None
        relative = None
        if noun.head in (*PEOPLE, *ANIMALS) and rng.random() < 0.06 * self.detail:
            relative = rng.choice(
                (Clause("work"), Clause("be", quality="old"), Clause("have", object=Noun("ring", definite=False)))
            )
        place = noun.head in PLACES
        return replace(noun, adjective=adjective, definite=place or not new, relative=relative)
