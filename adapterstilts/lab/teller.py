"""Stories of the world: sequences of events each of which was possible when it happened, and how they are told."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from adapterstilts.lab.concepts import ANIMALS, EPITHETS, PEOPLE, PLACES, TIMES
from adapterstilts.lab.meaning import Both, Clause, Compound, Meaning, Noun, Phrase, Place, but
from adapterstilts.lab.world import (
    ACTOR_REASON,
    OBJECT_REASON,
    Cast,
    Event,
    State,
    beginning,
    cast,
    happen,
    possible,
    reason,
)


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
        with_reason = [verb for verb in verbs if verb in ACTOR_REASON or verb in OBJECT_REASON]
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
        elif (
            isinstance(meaning.subject, Noun)
            and meaning.subject.relative is None
            and rng.random() < 0.15
            and other not in (told.clause.subject, told.clause.object, told.clause.recipient)
        ):
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
            assert isinstance(first, Clause)
            assert isinstance(second, Clause)
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
