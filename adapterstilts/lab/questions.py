"""Questions about clauses: what can be asked, and which clauses answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from adapterstilts.lab.concepts import ANIMALS, FOUND_IN, HYPERNYM, PEOPLE, SYNONYMS, USED_FOR
from adapterstilts.lab.meaning import Both, Clause, Noun, Phrase, Place, Role, but

ASKABLE: tuple[Role, ...] = ("subject", "object", "recipient", "place", "time", "number")


def plain(phrase: Phrase | None) -> Phrase | None:
    """Return a noun phrase without adjective, relative clause and owner, as somebody who is known already."""
    if isinstance(phrase, Both):
        return Both(_plain(phrase.first), _plain(phrase.second))
    return _plain(phrase) if phrase else None


def _plain(noun: Noun) -> Noun:
    return replace(noun, adjective=None, relative=None, owner=None, definite=True)


def bare(clause: Clause) -> Clause:
    """Return a clause all of whose nouns are plain."""
    place = replace(clause.place, noun=_plain(clause.place.noun)) if clause.place else None
    return but(
        clause,
        subject=plain(clause.subject),
        object=plain(clause.object),
        recipient=plain(clause.recipient),
        place=place,
    )


def askable(clause: Clause) -> tuple[Role, ...]:
    """Return what can be asked about a statement."""
    given: dict[Role, bool] = {
        "subject": clause.subject is not None,
        "object": isinstance(clause.object, Noun) and clause.object.count is None,
        "recipient": clause.recipient is not None,
        "place": clause.place is not None and clause.place.adposition not in ("with", "from"),
        "time": clause.time is not None,
        "number": isinstance(clause.object, Noun) and clause.object.count is not None,
    }
    return tuple(role for role in ASKABLE if given[role])


def ask(clause: Clause, role: Role) -> Clause:
    """Turn a statement into the question for one of its phrases.

    Time and place, where they are not what is asked for and the verb does without them, are left out.
    """
    clause = bare(clause)
    needs_place = clause.verb in ("go", "run", "put", "leave", "be")
    kept = but(clause, time=None, fronted=False, place=clause.place if needs_place else None)
    if role == "number":
        counted = clause.object
        assert isinstance(counted, Noun)
        return but(kept, object=Noun(counted.head, plural=True), asked="number")
    person = role == "object" and isinstance(clause.object, Noun) and is_person(clause.object)
    return replace(kept, **{} if role == "reason" else {role: None}, asked=role, asks_person=person)  # type: ignore[arg-type]


def is_person(noun: Noun) -> bool:
    """Tell whether one asks ``who`` for a noun."""
    return (noun.named and noun.organisation is None) or noun.head in (*PEOPLE, *ANIMALS, "person", "animal")


def answers(clause: Clause, question: Clause) -> bool:
    """Tell whether a statement answers a question: it agrees with all that the question says."""
    said = bare(clause)
    if said.verb != question.verb or said.negated != question.negated or said.quality != question.quality:
        return False
    for role in ("subject", "object", "recipient"):
        wanted = getattr(question, role)
        if role == "object" and question.asked == "number":
            given = said.object
            if not (isinstance(given, Noun) and wanted.head == given.head and given.count):
                return False
        elif (wanted is not None and wanted != getattr(said, role)) or (
            question.asked == role and getattr(said, role) is None
        ):
            return False
    if question.place is not None and question.place != said.place:
        return False
    if question.asked in ("place", "time"):
        return getattr(said, question.asked) is not None
    return True


def answering(clauses: Iterable[Clause], question: Clause) -> list[int]:
    """Return the positions of the clauses that answer a question."""
    return [index for index, clause in enumerate(clauses) if answers(clause, question)]


def facts() -> list[tuple[Clause, Role]]:
    """Return all that everybody knows, each with what one asks about it: kinds, places, uses."""
    found: list[tuple[Clause, Role]] = []
    for thing, kind in HYPERNYM.items():
        found.append((Clause("be", some(thing), object=some(kind)), "object"))
    for thing, place in FOUND_IN.items():
        found.append((Clause("be", some(thing), place=Place("in", Noun(place))), "place"))
    for tool, (verb, used_on) in USED_FOR.items():
        what = some(used_on) if used_on else None
        found.append((Clause(verb, some("person"), what, place=Place("with", some(tool))), "means"))
    for rare, common in SYNONYMS.items():
        if common in HYPERNYM:
            found.append((Clause("be", some(rare), object=some(common)), "object"))
    return found


def some(concept: str) -> Noun:
    """Return ``a dog``: any of the kind."""
    return Noun(concept, definite=False)


def ask_fact(clause: Clause, role: Role) -> Clause:
    """Turn a fact into a question."""
    return replace(clause, **{"place" if role == "means" else role: None}, asked=role)  # type: ignore[arg-type]
