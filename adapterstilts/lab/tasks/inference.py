"""Inference. A hypothesis comes three times, with a premise for each label, so that it tells nothing by itself."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator
from dataclasses import replace

from adapterstilts.lab.concepts import HYPERNYM, RARER
from adapterstilts.lab.meaning import Clause, Compound, Meaning, Noun, Place, but
from adapterstilts.lab.tasks.drawer import BETWEEN, Drawer, details_to_add, swappable, swapped, with_adjective
from adapterstilts.lab.tasks.problems import Pair, Problem
from adapterstilts.lab.world import Cast, Event, effects

ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)

Premises = tuple[Meaning, Meaning, Meaning]
"""One for each label."""


def inference(rng: random.Random, *, adversarial: bool = False) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield threes of premise and hypothesis: the same hypothesis entailed, neutral and contradicted, in random order.

    Entailment comes from dropped details, hypernyms, synonyms and the effects of events; contradiction from denial,
    opposites and changed roles or places; a neutral premise lacks something that the hypothesis says. Half of the
    premises have a second clause, which is about something else. A sentence and its hypothesis are about the same
    event, as in SNLI (Bowman et al. 2015, D15-1075): what has other roles is contradicted.

    Args:
        rng: generator of all that is drawn.
        adversarial: the three premises of a hypothesis have the same words: two clauses, of which one or the other
            is denied, or has the detail that the hypothesis has, or has its roles changed.
    """
    draw = Drawer(rng)
    while True:
        hypothesis, premises = _same_words(draw) if adversarial else _plain(draw)
        problems: list[Problem] = [Pair((said,), (hypothesis,), label) for label, said in enumerate(premises)]
        rng.shuffle(problems)
        yield hypothesis, tuple(problems)


def _plain(draw: Drawer) -> tuple[Clause, Premises]:
    kind = draw.rng.random()
    found = _by_effect(draw) if kind < 0.3 else _by_kind(draw) if kind < 0.55 else _by_detail(draw)
    hypothesis, premises, who = found
    if draw.rng.random() < 0.5:
        return hypothesis, premises
    entailing, neutral, contrary = (_beside(draw, premise, hypothesis, who) for premise in premises)
    return hypothesis, (entailing, neutral, contrary)


Found = tuple[Clause, tuple[Clause, Clause, Clause], Cast]


def _by_detail(draw: Drawer) -> Found:
    event, who = draw.event()
    plain = event.clause()
    hypothesis = draw.more(plain, who)
    entailing = draw.more(_reworded(draw.rng, hypothesis), who)
    neutral = draw.more(plain, who, taken=hypothesis) if draw.rng.random() < 0.5 else plain
    contrary = draw.contrary(hypothesis, who)
    if not contrary.negated:  # what did not happen in the morning may have happened all the same
        contrary = draw.more(contrary, who)
    return hypothesis, (entailing, neutral, contrary), who


def _by_kind(draw: Drawer) -> Found:
    while True:
        event, who = draw.event()
        clause = event.clause()
        if _kind(clause.subject) and _kind(clause.object):
            break
    up, down = draw.rng.sample(("subject", "object"), 2)

    def generalised(clause: Clause, role: str) -> Clause:
        noun = getattr(clause, role)
        return but(clause, **{role: replace(noun, head=HYPERNYM[noun.head], definite=False)})

    hypothesis = generalised(clause, up)
    kind = _kind(getattr(clause, up))
    pool = who.things if getattr(clause, up) in who.things else who.actors
    used = (clause.subject, clause.object, clause.recipient)
    others = [noun for noun in pool if noun not in used and kind not in (_kind(noun), "person" if noun.named else None)]
    if others and draw.rng.random() < 0.6:
        contrary = but(clause, **{up: draw.rng.choice(others)})
    else:  # that one of the kind did not do it says nothing about the others
        contrary = but(hypothesis, negated=True)
    return hypothesis, (clause, generalised(clause, down), contrary), who


def _kind(phrase: object) -> str | None:
    return HYPERNYM.get(phrase.head) if isinstance(phrase, Noun) and not phrase.plural else None


#: An event after which it is not so: the opposite of what the first brings about.
_UNDONE_BY = {"break": "repair", "repair": "break", "unlock": "close", "close": "unlock"}


def _by_effect(draw: Drawer) -> Found:
    verbs = ("go", "take", "buy", "give", "sell", "send", "put", "wash", *_UNDONE_BY)
    event, who = draw.event(verbs)
    rng = draw.rng
    (hypothesis, *_) = effects(event)
    true = event.clause()
    thing, actor = event.thing, event.actor
    if event.verb == "go" and event.place:
        contrary = but(true, place=Place("to", draw.other(who.places, event.place)))
        neutral = Event("go", draw.other(who.actors, actor), place=event.place, adposition="to").clause()
    elif hypothesis.verb == "have":
        owner = hypothesis.subject
        assert isinstance(owner, Noun)
        assert thing is not None
        contrary = Event("lose", owner, thing).clause()
        if rng.random() < 0.5:
            contrary = Event("give", owner, thing, receiver=draw.other(who.actors, owner, actor)).clause()
        neutral = rng.choice((Event("see", owner, thing).clause(), but(true, object=draw.other(who.things, thing))))
    elif event.verb == "put" and event.place and thing:
        contrary = but(true, place=Place("in", draw.other(who.places, event.place)))
        neutral = but(true, object=draw.other(who.things, thing))
    else:
        contrary = (
            Clause("be", thing, quality="dirty")
            if event.verb == "wash"
            else Event(_UNDONE_BY[event.verb], actor, thing).clause()
        )
        neutral = rng.choice((Event("see", actor, thing).clause(), Event("hide", actor, thing).clause()))
    return hypothesis, (true, neutral, contrary), who


def _beside(draw: Drawer, premise: Clause, hypothesis: Clause, who: Cast) -> Compound:
    """Put a clause that decides nothing beside a premise, before or after it."""
    rng = draw.rng
    first, second = rng.sample(who.actors, 2)
    beside = Clause(rng.choice(("see", "help", "call", "follow")), first, second)
    if beside.verb == hypothesis.verb:
        beside = but(beside, verb="thank")
    return _joined(rng, premise, but(beside, negated=rng.random() < 0.5))


def _joined(rng: random.Random, first: Clause, second: Clause) -> Compound:
    return Compound("then", first, second) if rng.random() < 0.5 else Compound("then", second, first)


def _reworded(rng: random.Random, clause: Clause) -> Clause:
    if rng.random() < 0.5 and clause.verb in RARER:
        clause = but(clause, verb=RARER[clause.verb])
    if clause.time and rng.random() < 0.5:
        clause = but(clause, fronted=not clause.fronted)
    return clause


def _same_words(draw: Drawer) -> tuple[Clause, Premises]:
    rng = draw.rng
    (told, other), who = draw.events(BETWEEN if rng.random() < 0.5 else (), count=2)
    main, beside = told.clause(), other.clause()
    ways = [way for way in details_to_add(main) if way in details_to_add(beside)]
    ways = [way for way in ways if not way.startswith("adj") or _noun(main, way).head != _noun(beside, way).head]
    way = rng.choice(ways)
    full = draw.add(main, way, who)
    laden = _with_detail_of(beside, full, way)
    exchange = swappable(full) and swappable(beside)  # of both or neither: which it is must not tell
    denies = not exchange or rng.random() < 0.3
    but_not = but(beside, negated=denies)
    if exchange and (not denies or rng.random() < 0.5):
        contrary = (swapped(full), but_not)
    elif rng.random() < 0.5:
        contrary = (but(full, negated=True), beside)
    else:
        contrary = (but(main, negated=True), laden)
    premises = ((full, but_not), (main, but(laden, negated=denies)), contrary)
    entailing, neutral, contradicting = (_joined(rng, *pair) for pair in premises)
    return _reworded(rng, full), (entailing, neutral, contradicting)


def _noun(clause: Clause, way: str) -> Noun:
    noun = getattr(clause, way.split()[1])
    assert isinstance(noun, Noun)
    return noun


def _with_detail_of(clause: Clause, full: Clause, way: str) -> Clause:
    """Return the clause with the detail that another clause has."""
    if way == "time":
        return but(clause, time=full.time, fronted=full.fronted)
    if way == "place":
        return but(clause, place=full.place)
    return with_adjective(clause, way.split()[1], _noun(full, way).adjective)
