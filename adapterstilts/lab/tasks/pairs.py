"""Pairs of texts: inference, paraphrases, duplicate questions.

A class must not show in one text alone. So hypotheses come in threes, the same one with a premise for each label; and
the two sentences of a paraphrase or of its near miss have the same words, moved in the same way.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator
from dataclasses import replace

from adapterstilts.lab.concepts import EPITHETS, HYPERNYM, OPPOSITE_VERB, RARER, TIMES
from adapterstilts.lab.meaning import Both, Clause, Compound, Meaning, Noun, Phrase, Place, but
from adapterstilts.lab.questions import ask, askable, bare
from adapterstilts.lab.tasks.problems import Pair, Problem
from adapterstilts.lab.world import Cast, Event, beginning, cast, effects, possible

ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)


class _Drawer:
    """Draws clauses about events, and changes them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def event(self, verbs: tuple[str, ...] = (), *, actors: int = 4) -> tuple[Event, Cast]:
        """Return an event that is possible, with one of ``verbs`` if any are given, and the cast around it."""
        rng = self.rng
        while True:
            who = cast(rng, actors=actors)
            state = beginning(rng, who)
            for actor in who.actors:
                state.make(actor, rng.choice(("hungry", "thirsty", "tired", "sad", "happy")))
            choices = [event for event in possible(state, who) if not verbs or event.verb in verbs]
            if choices:
                verb = rng.choice(sorted({event.verb for event in choices}))
                return rng.choice([event for event in choices if event.verb == verb]), who

    def other(self, pool: tuple[Noun, ...], *used: Phrase | None) -> Noun:
        """Return one of ``pool`` that is not used yet."""
        heads = {noun.head for noun in used if isinstance(noun, Noun)}
        return self.rng.choice([noun for noun in pool if noun.head not in heads])

    def more(self, clause: Clause, who: Cast, *, least: int = 1) -> Clause:
        """Add details that the clause does not have: a time, a place, adjectives."""
        rng = self.rng
        ways = ["time"] * (clause.time is None) + ["place"] * (clause.place is None)
        ways += [f"adjective {role}" for role in ("subject", "object") if _takes_adjective(getattr(clause, role))]
        for way in rng.sample(ways, min(len(ways), max(least, rng.choice((1, 1, 2))))):
            clause = self.add(clause, way, who)
        return clause

    def add(self, clause: Clause, way: str, who: Cast) -> Clause:
        """Add one detail."""
        rng = self.rng
        if way == "time":
            return but(clause, time=rng.choice(TIMES), fronted=rng.random() < 0.5)
        if way == "place":
            return but(clause, place=Place(rng.choice(("in", "near", "behind")), rng.choice(who.places)))
        role = way.split()[1]
        return but(clause, **{role: replace(getattr(clause, role), adjective=rng.choice(EPITHETS))})

    def contrary(self, clause: Clause, who: Cast) -> Clause:
        """Return a clause that cannot be true beside the given one: denied, opposite, other roles or place."""
        rng = self.rng
        ways = ["deny"]
        if clause.verb in OPPOSITE_VERB:
            ways += ["opposite"] * 2
        if _swappable(clause):
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


def _takes_adjective(phrase: object) -> bool:
    return isinstance(phrase, Noun) and not phrase.named and phrase.adjective is None


def _swappable(clause: Clause) -> bool:
    other = clause.recipient or clause.object
    return isinstance(other, Noun) and isinstance(clause.subject, Noun) and _animate(clause.subject) and _animate(other)


def _animate(noun: Noun) -> bool:
    return noun.named or HYPERNYM.get(noun.head) in ("person", "animal")


def swapped(clause: Clause) -> Clause:
    """Return the clause with its subject and its receiver, or else its object, in each other's place."""
    role = "recipient" if clause.recipient else "object"
    return but(clause, subject=getattr(clause, role), **{role: clause.subject})


def inference(rng: random.Random, *, adversarial: bool = False) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield threes of premise and hypothesis: the same hypothesis entailed, neutral and contradicted, in random order.

    Entailment comes from dropped details, hypernyms, synonyms and the effects of events; contradiction from denial,
    opposites and changed roles or places; a neutral premise lacks something that the hypothesis says. Half of the
    premises have a second clause, which is about something else.

    Args:
        rng: generator of all that is drawn.
        adversarial: the second clause is there always, and has the people and things of the first in other roles, so
            that the words of premise and hypothesis overlap whatever the label is.
    """
    draw = _Drawer(rng)
    while True:
        kind = rng.random()
        found = _by_effect(draw) if kind < 0.3 else _by_kind(draw) if kind < 0.55 else _by_detail(draw)
        if found is None:
            continue
        hypothesis, premises, who = found
        problems: list[Problem] = []
        with_second = adversarial or rng.random() < 0.5
        for label, premise in enumerate(premises):
            said: Meaning = premise
            if with_second:
                said = _beside(draw, premise, hypothesis, who, adversarial)
            problems.append(Pair((said,), (hypothesis,), label))
        rng.shuffle(problems)
        yield hypothesis, tuple(problems)


def _by_detail(draw: _Drawer) -> tuple[Clause, tuple[Clause, Clause, Clause], Cast]:
    event, who = draw.event()
    plain = event.clause()
    hypothesis = draw.more(plain, who)
    entailing = draw.more(_reworded(draw.rng, hypothesis), who, least=0)
    neutral = draw.more(plain, who) if draw.rng.random() < 0.5 else plain
    if _says(neutral, hypothesis):
        neutral = plain
    contrary = draw.contrary(hypothesis, who)
    return hypothesis, (entailing, neutral, draw.more(contrary, who, least=0)), who


def _says(premise: Clause, hypothesis: Clause) -> bool:
    """Tell whether a premise has every detail of a hypothesis about the same event."""

    def adjective(phrase: object) -> str | None:
        return phrase.adjective if isinstance(phrase, Noun) else None

    roles = ("subject", "object")
    return (
        hypothesis.time in (None, premise.time)
        and hypothesis.place in (None, premise.place)
        and all(adjective(getattr(hypothesis, role)) in (None, adjective(getattr(premise, role))) for role in roles)
    )


def _by_kind(draw: _Drawer) -> tuple[Clause, tuple[Clause, Clause, Clause], Cast] | None:
    event, who = draw.event()
    clause = event.clause()
    roles = [role for role in ("subject", "object") if _kind(getattr(clause, role))]
    if len(roles) < 2:
        return None
    up, down = draw.rng.sample(roles, 2)

    def generalised(clause: Clause, role: str) -> Clause:
        noun = getattr(clause, role)
        return but(clause, **{role: replace(noun, head=HYPERNYM[noun.head], definite=False)})

    hypothesis = generalised(clause, up)
    neutral = generalised(clause, down)
    contrary = draw.contrary(clause, who)
    if contrary.verb == clause.verb and not contrary.negated:  # other roles than with the hypernym
        contrary = but(clause, negated=True)
    return hypothesis, (clause, neutral, contrary), who


def _kind(phrase: object) -> str | None:
    return HYPERNYM.get(phrase.head) if isinstance(phrase, Noun) and not phrase.plural else None


def _by_effect(draw: _Drawer) -> tuple[Clause, tuple[Clause, Clause, Clause], Cast] | None:
    verbs = ("go", "take", "buy", "give", "sell", "send", "put", "wash", "break", "repair", "unlock", "close")
    event, who = draw.event(verbs)
    rng = draw.rng
    (hypothesis, *_) = effects(event)
    true = event.clause()
    thing, actor = event.thing, event.actor
    if event.verb == "go" and event.place:
        other = draw.other(who.places, event.place)
        contrary = but(true, place=Place("to", other))
        neutral = Event("go", draw.other(who.actors, actor), place=event.place, adposition="to").clause()
    elif hypothesis.verb == "have":
        owner = hypothesis.subject
        assert isinstance(owner, Noun)
        assert thing is not None
        lost = rng.choice(("lose", "eat")) if thing.head == "cake" else "lose"
        contrary = Event(lost, owner, thing).clause()
        if rng.random() < 0.5:
            contrary = Event("give", owner, thing, receiver=draw.other(who.actors, owner, actor)).clause()
        neutral = rng.choice((Event("see", owner, thing).clause(), but(true, object=draw.other(who.things, thing))))
    elif event.verb == "put" and event.place and thing:
        contrary = but(true, place=Place("in", draw.other(who.places, event.place)))
        neutral = but(true, object=draw.other(who.things, thing))
    else:
        contrary = but(true, verb={"wash": "break", "break": "repair", "repair": "break"}.get(event.verb, "close"))
        if event.verb == "close":
            contrary = but(true, verb="unlock")
        if event.verb == "wash":
            contrary = Clause("be", thing, quality="dirty")
        neutral = rng.choice((Event("see", actor, thing).clause(), Event("hide", actor, thing).clause()))
    return hypothesis, (true, neutral, contrary), who


def _beside(draw: _Drawer, premise: Clause, hypothesis: Clause, who: Cast, adversarial: bool) -> Compound:
    """Put a clause that decides nothing beside a premise, before or after it."""
    rng = draw.rng
    actors = who.actors
    if adversarial and isinstance(premise.subject, Noun):
        first = draw.other(actors, premise.subject)
        beside = Clause(rng.choice(("see", "help", "call", "follow")), first, premise.subject)
    else:
        first, second = rng.sample(actors, 2)
        beside = Clause(rng.choice(("see", "help", "call", "follow")), first, second)
    if beside.verb == hypothesis.verb:
        beside = but(beside, verb="thank")
    beside = but(beside, negated=rng.random() < 0.5)
    pair = (premise, beside) if rng.random() < 0.5 else (beside, premise)
    return Compound("then", *pair)


def _reworded(rng: random.Random, clause: Clause) -> Clause:
    if rng.random() < 0.5 and clause.verb in RARER:
        clause = but(clause, verb=RARER[clause.verb])
    if clause.time and rng.random() < 0.5:
        clause = but(clause, fronted=not clause.fronted)
    return clause


def paraphrases(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield a paraphrase and a near miss of one sentence, as PAWS has them (Zhang et al. 2019, N19-1131).

    Both have the words of the sentence, and the same ones have moved: the time to the other end, coordinated nouns
    past each other. In the near miss two people, or two adjectives, have changed places as well.
    """
    draw = _Drawer(rng)
    while True:
        event, who = draw.event(("help", "follow", "see", "call", "give", "show", "sell", "chase", "feed"))
        clause = event.clause()
        if not _swappable(clause):
            continue
        if rng.random() < 0.7:
            clause = but(clause, time=rng.choice(TIMES), fronted=rng.random() < 0.5)
        if not clause.time or rng.random() < 0.4:
            third = draw.other(who.actors, clause.subject, clause.object, clause.recipient)
            clause = but(clause, subject=Both(event.actor, third))
        if rng.random() < 0.3:
            clause = but(clause, place=Place("in", rng.choice(who.places)))
        moved = _moved(rng, clause)
        wrong = _exchanged(rng, moved)
        if wrong is None or wrong == moved:
            continue
        problems: list[Problem] = [Pair((clause,), (moved,), 1), Pair((clause,), (wrong,), 0)]
        rng.shuffle(problems)
        yield clause, tuple(problems)


def _moved(rng: random.Random, clause: Clause) -> Clause:
    both = isinstance(clause.subject, Both)
    ways = [way for way, can in (("time", clause.time), ("both", both)) if can]
    for way in rng.sample(ways, rng.randint(1, len(ways))):
        if way == "time":
            clause = but(clause, fronted=not clause.fronted)
        else:
            assert isinstance(clause.subject, Both)
            clause = but(clause, subject=Both(clause.subject.second, clause.subject.first))
    return clause


def _exchanged(rng: random.Random, clause: Clause) -> Clause | None:
    if not isinstance(clause.subject, Both):
        return swapped(clause)
    role = "recipient" if clause.recipient else "object"
    other = getattr(clause, role)
    if not isinstance(other, Noun):
        return None
    first, second = clause.subject.first, clause.subject.second
    subject = Both(other, second) if rng.random() < 0.5 else Both(first, other)
    return but(clause, subject=subject, **{role: first if subject.first == other else second})


def duplicate_questions(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield a question with one that asks the same and one that does not.

    Both are reworded in the same way: a synonym for the verb, the time at the other end. The one that asks something
    else has changed roles, another person, or another question word.
    """
    draw = _Drawer(rng)
    while True:
        event, who = draw.event()
        clause = event.clause()
        roles = [role for role in askable(clause) if role != "number"]
        if not roles:
            continue
        question = ask(clause, rng.choice(roles))
        if rng.random() < 0.6:
            question = but(question, time=rng.choice(TIMES))
        reworded = but(question, verb=RARER.get(question.verb, question.verb))
        if question.time and (reworded == question or rng.random() < 0.5):
            reworded = but(reworded, fronted=True)
        if reworded == question:
            continue
        ways = ["ask"] * (len(roles) > 1)
        if question.subject is not None:
            ways.append("subject")
        if _swappable(question):
            ways += ["swap"] * 2
        if not ways:
            continue
        way = rng.choice(ways)
        if way == "swap":
            wrong = swapped(reworded)
        elif way == "subject":
            wrong = but(reworded, subject=draw.other(who.actors, question.subject, question.object))
        else:
            other = ask(bare(clause), rng.choice([role for role in roles if role != question.asked]))
            wrong = but(other, verb=reworded.verb, time=reworded.time, fronted=reworded.fronted)
        problems: list[Problem] = [Pair((question,), (reworded,), 1), Pair((question,), (wrong,), 0)]
        rng.shuffle(problems)
        yield question, tuple(problems)
