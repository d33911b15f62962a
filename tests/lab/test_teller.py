"""Stories: each event could happen when it did, and what follows from it does follow."""

from __future__ import annotations

import functools
import random
from collections import Counter

from adapterstilts.lab.concepts import ANIMALS
from adapterstilts.lab.meaning import Clause, Compound, Noun
from adapterstilts.lab.questions import bare
from adapterstilts.lab.teller import Step, Story, Teller
from adapterstilts.lab.world import Event


@functools.cache
def stories() -> list[Story]:
    teller = Teller(random.Random("tests teller"))
    return [teller.story(8) for _ in range(150)]


def events() -> list[tuple[Story, Step, Event]]:
    return [(story, step, step.event) for story in stories() for step in story.steps if step.event]


def test_one_only_gives_away_what_one_has() -> None:
    found = [(step, event) for _, step, event in events() if event.verb in ("give", "show", "sell", "send", "hide")]
    assert len(found) > 50
    for step, event in found:
        assert step.before.holder[event.thing] == event.actor  # type: ignore[index]


def test_one_only_takes_what_lies_where_one_is() -> None:
    found = [(step, event) for _, step, event in events() if event.verb in ("take", "find", "buy")]
    assert len(found) > 50
    for step, event in found:
        assert event.thing not in step.before.holder
        assert step.before.where[event.thing] == step.before.where[event.actor]  # type: ignore[index]
        assert step.after.holder[event.thing] == event.actor  # type: ignore[index]


def test_one_goes_where_one_is_not_and_meets_who_is_there() -> None:
    for _, step, event in events():
        here = step.before.where
        if event.verb == "go":
            assert event.place != here[event.actor]
            assert step.after.where[event.actor] == event.place
        elif event.verb in ("help", "follow", "see", "call", "chase", "feed"):
            assert here[event.actor] == here[event.thing]  # type: ignore[index]
        elif event.receiver is not None:
            assert (here[event.actor] == here[event.receiver]) == (event.verb != "send")


def test_states_come_before_what_is_done_about_them() -> None:
    needs = {"eat": "hungry", "swallow": "thirsty", "sleep": "tired", "cry": "sad", "laugh": "happy", "sing": "happy"}
    wants = {"wash": "dirty", "repair": "broken", "unlock": "closed", "feed": "hungry"}
    found = Counter(event.verb for _, _, event in events())
    assert all(found[verb] for verb in (*needs, *wants))
    for _, step, event in events():
        if event.verb in needs:
            assert step.before.has(event.actor, needs[event.verb])
        if event.verb in wants and event.thing:
            assert step.before.has(event.thing, wants[event.verb])


def test_each_step_begins_where_the_last_one_ended() -> None:
    for story in stories():
        for one, other in zip(story.steps, story.steps[1:], strict=False):
            assert one.after == other.before


def test_things_are_held_by_people_or_lie_somewhere_and_never_both() -> None:
    for story, step, _ in events():
        assert not set(step.after.holder) & set(step.after.where)
        assert all(holder.head not in ANIMALS for holder in step.after.holder.values())
        assert set(step.after.holder) <= set(story.cast.things)


def test_what_is_denied_did_not_happen_and_could_not() -> None:
    denied = [step for story in stories() for step in story.steps if step.clause.negated]
    assert len(denied) > 50
    for step in denied:
        clause = bare(step.clause)
        assert step.event is None
        assert step.before == step.after
        if clause.verb in ("take", "find", "buy"):
            assert isinstance(clause.subject, Noun)
            thing = next((t for t in step.before.where if t.head == clause.object.head), None)  # type: ignore[union-attr]
            actor = next(a for a in step.before.where if a.head == clause.subject.head)
            can = actor.head not in ANIMALS and thing and step.before.where[thing] == step.before.where[actor]
            assert not can


def test_sentences_say_what_happens() -> None:
    for _, step, event in events():
        said = bare(step.clause)
        assert said.verb == event.verb
        for role, entity in (("subject", event.actor), ("object", event.thing), ("recipient", event.receiver)):
            assert getattr(said, role) == entity
        if said.place:
            assert said.place.noun == (event.place or step.before.where[event.actor])


def test_reasons_are_told_beside_what_they_explain() -> None:
    told = [step for story in stories() for step in story.steps if isinstance(step.meaning, Compound)]
    assert {step.meaning.conjunction for step in told} == {"because", "so"}  # type: ignore[union-attr]
    for step in told:
        assert isinstance(step.meaning, Compound)
        because = step.meaning.conjunction == "because"
        assert step.clause == (step.meaning.first if because else step.meaning.second)
        assert bare(step.meaning.second if because else step.meaning.first) == step.reason


def test_what_is_new_has_the_indefinite_article_and_what_is_known_the_definite() -> None:
    for story in stories():
        known: set[str] = set()
        for step in story.steps:
            for clause in (
                (step.meaning.first, step.meaning.second) if isinstance(step.meaning, Compound) else (step.clause,)
            ):
                for noun in (clause.subject, clause.object, clause.recipient):
                    if isinstance(noun, Noun) and not noun.named:
                        assert noun.definite == (noun.head in known)
                        known.add(noun.head)


def test_detail_can_be_left_out() -> None:
    plain = [Teller(random.Random(f"plain {seed}"), detail=0.0).story(6) for seed in range(30)]
    for story in plain:
        for step in story.steps:
            for noun in (step.clause.subject, step.clause.object):
                assert not isinstance(noun, Noun) or (noun.adjective is None and noun.relative is None)
            assert step.clause.time is None


def test_stories_follow_from_the_generator() -> None:
    first, second = (Teller(random.Random(1)).story() for _ in range(2))
    assert first == second
    assert len(first.sentences) == 6
    assert Teller(random.Random(2)).story() != first


def test_sentences_that_stand_alone_have_one_main_clause_or_two() -> None:
    teller = Teller(random.Random("tests alone"))
    said = [teller.sentence() for _ in range(300)]
    assert all(isinstance(meaning, (Clause, Compound)) for meaning in said)
    assert 0.05 < sum(isinstance(meaning, Compound) for meaning in said) / len(said) < 0.4
