"""Draws clauses about events that are possible, and changes them: details, opposites, other roles."""

from __future__ import annotations

import random
from dataclasses import replace

from adapterstilts.lab.concepts import EPITHETS, HYPERNYM, OPPOSITE_VERB, TIMES
from adapterstilts.lab.meaning import Clause, Noun, Phrase, Place, but
from adapterstilts.lab.world import Cast, Event, beginning, cast, possible

#: Verbs with a person or an animal as subject and as object, whichever.
OF_ALL = ("help", "follow", "see", "call")
#: Verbs for what goes on between people.
BETWEEN = (*OF_ALL, "give", "show", "sell", "send")


class Drawer:
    """Draws clauses about events, and changes them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def events(self, verbs: tuple[str, ...] = (), *, count: int = 1) -> tuple[list[Event], Cast]:
        """Return events that are possible at one time, with different verbs, and the cast around them.

        Args:
            verbs: the verbs to choose from; none for all.
            count: how many.
        """
        rng = self.rng
        while True:
            who = cast(rng, actors=4)
            state = beginning(rng, who)
            for actor in who.actors:
                state.make(actor, rng.choice(("hungry", "thirsty", "tired", "sad", "happy")))
            choices = [event for event in possible(state, who) if not verbs or event.verb in verbs]
            known = sorted({event.verb for event in choices})
            if len(known) >= count:
                chosen = rng.sample(known, count)
                return [rng.choice([event for event in choices if event.verb == verb]) for verb in chosen], who

    def event(self, verbs: tuple[str, ...] = ()) -> tuple[Event, Cast]:
        """Return an event that is possible, with one of ``verbs`` if any are given, and the cast around it."""
        (event,), who = self.events(verbs)
        return event, who

    def other(self, pool: tuple[Noun, ...], *used: Phrase | None) -> Noun:
        """Return one of ``pool`` that is not used yet."""
        heads = {noun.head for noun in used if isinstance(noun, Noun)}
        return self.rng.choice([noun for noun in pool if noun.head not in heads])

    def more(self, clause: Clause, who: Cast, *, taken: Clause | None = None) -> Clause:
        """Add one or two details that neither the clause nor ``taken`` has: a time, a place, adjectives."""
        rng = self.rng
        ways = details_to_add(clause)
        if taken is not None:
            ways = [way for way in ways if way in details_to_add(taken)]
        for way in rng.sample(ways, min(len(ways), rng.choice((1, 1, 2)))):
            clause = self.add(clause, way, who)
        return clause

    def add(self, clause: Clause, way: str, who: Cast) -> Clause:
        """Add one detail."""
        rng = self.rng
        if way == "time":
            return but(clause, time=rng.choice(TIMES), fronted=rng.random() < 0.5)
        if way == "place":
            return but(clause, place=Place(rng.choice(("in", "near", "behind")), rng.choice(who.places)))
        return with_adjective(clause, way.split()[1], rng.choice(EPITHETS))

    def contrary(self, clause: Clause, who: Cast) -> Clause:
        """Return a clause that cannot be true beside the given one: denied, opposite, other roles or place."""
        rng = self.rng
        ways = ["deny"]
        if clause.verb in OPPOSITE_VERB:
            ways += ["opposite"] * 2
        if swappable(clause):
            ways += ["swap"] * 2
        if clause.place and clause.verb in ("go", "put", "leave", "be"):
            ways += ["place"] * 2
        way = rng.choice(ways)
        if way == "opposite":
            return but(clause, verb=OPPOSITE_VERB[clause.verb])
        if way == "swap":
            return swapped(clause)
        if way == "place":
            assert clause.place is not None
            others = [place for place in who.places if place.head != clause.place.noun.head]
            return but(clause, place=replace(clause.place, noun=rng.choice(others)))
        return but(clause, negated=not clause.negated)


def details_to_add(clause: Clause) -> list[str]:
    """Return the kinds of details that a clause has not yet."""
    ways = ["time"] * (clause.time is None) + ["place"] * (clause.place is None)
    return ways + [f"adjective {role}" for role in ("subject", "object") if _takes_adjective(getattr(clause, role))]


def with_adjective(clause: Clause, role: str, adjective: str | None) -> Clause:
    """Return the clause with an adjective (or with none) at the noun of a role."""
    return but(clause, **{role: replace(getattr(clause, role), adjective=adjective)})


def _takes_adjective(phrase: object) -> bool:
    return isinstance(phrase, Noun) and not phrase.named and phrase.adjective is None


def swappable(clause: Clause) -> bool:
    """Tell whether the subject and the receiver, or else the object, could change places in this world."""
    other = clause.recipient or clause.object
    return isinstance(other, Noun) and isinstance(clause.subject, Noun) and alike(clause.verb, clause.subject, other)


def alike(verb: str, *nouns: Noun) -> bool:
    """Tell whether all of these can do what the verb says, and have it done to them."""
    kinds = {"person" if noun.named else HYPERNYM.get(noun.head) for noun in nouns}
    return kinds <= {"person", "animal"} and (verb in OF_ALL or len(kinds) == 1)


def swapped(clause: Clause) -> Clause:
    """Return the clause with its subject and its receiver, or else its object, in each other's place."""
    role = "recipient" if clause.recipient else "object"
    return but(clause, subject=getattr(clause, role), **{role: clause.subject})
