"""The world: what can happen, what follows from it, and why it happens."""

from __future__ import annotations

import random

import pytest

from adapterstilts.lab.concepts import ANIMALS
from adapterstilts.lab.meaning import Clause, Noun, Place
from adapterstilts.lab.world import Cast, Event, State, beginning, cast, effects, happen, possible, reason

TEACHER, THIEF, DOG = Noun("teacher"), Noun("thief"), Noun("dog")
BREAD, CUP, BOX = Noun("bread"), Noun("cup"), Noun("box")
HOUSE, FIELD = Noun("house"), Noun("field")
WHO = Cast((TEACHER, THIEF, DOG), (BREAD, CUP, BOX), (HOUSE, FIELD))


def state() -> State:
    """The teacher has the bread and is in the house with the dog and the cup; the thief is outside with the box."""
    return State(
        where={TEACHER: HOUSE, DOG: HOUSE, THIEF: FIELD, CUP: HOUSE}, holder={BREAD: TEACHER, BOX: THIEF},
        quality={BOX: {"closed"}, DOG: {"hungry"}},
    )  # fmt: skip


def verbs(found: list[Event], actor: Noun, thing: Noun | None = None) -> set[str]:
    return {event.verb for event in found if event.actor == actor and event.thing == thing}


def test_what_is_possible() -> None:
    found = possible(state(), WHO)
    assert verbs(found, TEACHER, BREAD) == {"send", "put", "leave", "lose", "hide", "cook", "cut"}
    assert verbs(found, TEACHER, CUP) == {"take", "find", "buy"}
    assert verbs(found, TEACHER, BOX) == set()
    assert verbs(found, TEACHER, DOG) == {"help", "follow", "see", "call", "feed"}
    assert verbs(found, TEACHER, THIEF) == set()
    assert verbs(found, DOG, TEACHER) == {"help", "follow", "see", "call", "chase"}
    assert verbs(found, DOG, CUP) == set()
    assert verbs(found, THIEF, BOX) == {"send", "put", "leave", "lose", "hide", "unlock"}
    assert [event.place for event in found if event.verb == "go"] == [FIELD, HOUSE, FIELD]
    assert {event.receiver for event in found if event.verb == "send"} == {THIEF, TEACHER}


def test_states_allow_events() -> None:
    now = state()
    now.make(TEACHER, "hungry")
    now.make(THIEF, "tired")
    now.make(DOG, "sad")
    found = possible(now, WHO)
    assert "eat" in verbs(found, TEACHER, BREAD)
    assert "sleep" in verbs(found, THIEF)
    assert "cry" in verbs(found, DOG)
    assert not {"sleep", "cry", "laugh", "sing"} & verbs(found, TEACHER)


@pytest.mark.parametrize(
    ("event", "where", "holder"),
    [
        (Event("go", TEACHER, place=FIELD, adposition="to"), {TEACHER: FIELD}, {}),
        (Event("take", TEACHER, CUP), {CUP: None}, {CUP: TEACHER}),
        (Event("send", TEACHER, BREAD, receiver=THIEF), {}, {BREAD: THIEF}),
        (Event("put", TEACHER, BREAD, place=HOUSE), {BREAD: HOUSE}, {BREAD: None}),
        (Event("lose", TEACHER, BREAD), {BREAD: None}, {BREAD: None}),
        (Event("see", TEACHER, DOG), {}, {}),
    ],
)
def test_what_happens(event: Event, where: dict, holder: dict) -> None:
    before = state()
    after = happen(event, before)
    for changed, table, old in ((where, after.where, before.where), (holder, after.holder, before.holder)):
        assert table == {entity: place for entity, place in {**old, **changed}.items() if place is not None}
    assert before.where == state().where
    assert before.holder == state().holder


def test_needs_end_and_things_change() -> None:
    assert not happen(Event("feed", TEACHER, DOG), state()).has(DOG, "hungry")
    opened = happen(Event("unlock", THIEF, BOX), state())
    assert opened.has(BOX, "open")
    assert not opened.has(BOX, "closed")
    assert state().has(BOX, "closed")


def test_reasons_and_effects() -> None:
    assert reason(Event("unlock", THIEF, BOX)) == Clause("be", BOX, quality="closed")
    assert reason(Event("eat", TEACHER, BREAD)) == Clause("be", TEACHER, quality="hungry")
    assert reason(Event("take", TEACHER, CUP)) is None
    assert effects(Event("give", TEACHER, BREAD, receiver=THIEF)) == [Clause("have", THIEF, BREAD)]
    assert effects(Event("go", TEACHER, place=FIELD, adposition="to")) == [
        Clause("be", TEACHER, place=Place("in", FIELD))
    ]
    assert effects(Event("unlock", THIEF, BOX)) == [Clause("be", BOX, quality="open")]
    assert effects(Event("see", TEACHER, DOG)) == []


def test_reasons_hold_before_and_effects_after() -> None:
    rng = random.Random("tests world")
    for _ in range(150):
        who = cast(rng)
        now = beginning(rng, who)
        for actor in who.actors:
            now.make(actor, rng.choice(("hungry", "thirsty", "tired", "sad", "happy")))
        for event in possible(now, who):
            why, after = reason(event), happen(event, now)
            if why is not None and event.verb != "close":  # what is open need not be said to be so
                assert isinstance(why.subject, Noun)
                assert why.quality
                assert now.has(why.subject, why.quality)
            for effect in effects(event):
                assert isinstance(effect.subject, Noun)
                if effect.quality:
                    assert after.has(effect.subject, effect.quality)
                elif effect.place:
                    assert after.where[effect.subject] == effect.place.noun
                else:
                    assert after.holder[effect.object] == effect.subject  # type: ignore[index]


def test_casts_have_different_heads_and_someone_to_act() -> None:
    rng = random.Random("tests cast")
    for _ in range(300):
        who = cast(rng, actors=4, things=4)
        heads = [noun.head for noun in who.entities]
        assert len(set(heads)) == len(heads) == 11
        assert who.actors[0].head not in ANIMALS
        assert all(noun.plural == bool(noun.count) for noun in who.things)


def test_a_story_begins_with_everything_in_its_place() -> None:
    rng = random.Random("tests beginning")
    for _ in range(200):
        who = cast(rng)
        now = beginning(rng, who)
        assert all((thing in now.holder) != (thing in now.where) for thing in who.things)
        assert all(holder in who.actors and holder.head not in ANIMALS for holder in now.holder.values())
        assert set(now.where.values()) <= set(who.places)
