"""Sentences for tagging, and sentences to be found again in another language."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator
from dataclasses import replace

from adapterstilts.lab.concepts import FOUND_IN, OPPOSITE, PEOPLE, PLACES, PORTABLE, TIMES
from adapterstilts.lab.corpus import sentence_or_question
from adapterstilts.lab.forms import expressed
from adapterstilts.lab.grammar import TOWN
from adapterstilts.lab.languages import Language
from adapterstilts.lab.meaning import Clause, Compound, Meaning, Noun, Place, but, name
from adapterstilts.lab.tasks.problems import Bitext, Problem, Tagged
from adapterstilts.lab.teller import Teller
from adapterstilts.lab.words import NAMES, SURNAMES


def tagged(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield sentences of all constructions."""
    teller = Teller(rng)
    while True:
        said = sentence_or_question(rng, teller)
        yield said, (Tagged(said),)


def named(rng: random.Random) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield sentences with names. Any name may be a person's, a town's or an organisation's: the sentence tells."""
    teller = Teller(rng)
    while True:
        if rng.random() < 0.1:
            said: Meaning = Clause("be", Noun(name(rng.randrange(NAMES - SURNAMES))), object=TOWN)
        else:
            said = sentence_or_question(rng, teller)
        if "name:" in repr(said):
            yield said, (Tagged(said),)


#: A language that says as little as any.
_TERSE = Language("qtz", "terse", articles="none", plural="none")


def bitext(rng: random.Random, misses: int = 2) -> Iterator[tuple[Hashable, tuple[Problem, ...]]]:
    """Yield sentences in groups that differ in one phrase, so that what is near is not yet right.

    No sentence comes twice, not even in a language without articles and plural: each has one translation.
    """
    teller = Teller(rng)
    number = 0
    seen: set[Meaning] = set()
    while True:
        said = teller.sentence()
        clause = said.first if isinstance(said, Compound) else said
        if clause.subject is None or clause.verb == "be":
            continue
        group: list[Meaning] = []
        for changed in (clause, *(_missed(rng, clause) for _ in range(misses))):
            near: Meaning = replace(said, first=changed) if isinstance(said, Compound) else changed
            if (left := expressed(near, _TERSE)) not in seen:
                seen.add(left)
                group.append(near)
        number += 1
        yield clause, tuple(Bitext(meaning, number) for meaning in group)


def _missed(rng: random.Random, clause: Clause) -> Clause:
    ways = [role for role in ("subject", "object", "place", "time") if getattr(clause, role) is not None]
    role = rng.choice(ways)
    if role == "time":
        return but(clause, time=rng.choice(TIMES))
    if role == "place":
        assert clause.place is not None
        return but(clause, place=Place(clause.place.adposition, Noun(rng.choice(PLACES))))
    old = getattr(clause, role)
    if not isinstance(old, Noun):
        return clause
    if old.adjective and old.adjective in OPPOSITE and rng.random() < 0.5:
        return but(clause, **{role: replace(old, adjective=OPPOSITE[old.adjective])})
    if old.named:
        return but(clause, **{role: Noun(name(rng.randrange(NAMES - SURNAMES)))})
    pool = PORTABLE if old.head in PORTABLE or (old.head in FOUND_IN and old.head not in PEOPLE) else PEOPLE
    return but(clause, **{role: replace(old, head=rng.choice(pool))})
