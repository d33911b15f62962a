"""Meanings: what a sentence says, without words. Languages make the sentences (``grammar``), ``parser`` reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["subject", "object", "recipient", "place", "means", "time", "number", "reason"]


@dataclass(frozen=True)
class Noun:
    """A noun phrase without pronouns."""

    head: str
    """A concept, or a name (``name:17``): what it names follows from its place in the sentence."""
    adjective: str | None = None
    definite: bool = True
    plural: bool = False
    count: str | None = None
    """A numeral; then ``plural`` is true."""
    owner: Noun | None = None
    relative: Clause | None = None
    """A clause whose subject is this noun, and has none of its own."""
    surname: str | None = None
    """The second name of a person."""
    organisation: str | None = None
    """The kind of the organisation that bears the name ``head`` (``company``)."""

    @property
    def named(self) -> bool:
        """Whether the head is a name."""
        return self.head.startswith("name:")


@dataclass(frozen=True)
class Both:
    """Two coordinated noun phrases."""

    first: Noun
    """Neither has an owner or a relative clause."""
    second: Noun


Phrase = Noun | Both


@dataclass(frozen=True)
class Place:
    """An adposition and its noun."""

    adposition: str
    noun: Noun


@dataclass(frozen=True)
class Clause:
    """A statement or a question about one event or state."""

    verb: str
    """A verb, or ``be``."""
    subject: Phrase | None = None
    """None in a relative clause, and where it is asked for."""
    object: Phrase | None = None
    """What the verb is done to; with ``be``, the noun that the subject is said to be."""
    quality: str | None = None
    """With ``be``, the adjective that the subject is said to be."""
    recipient: Phrase | None = None
    place: Place | None = None
    time: str | None = None
    fronted: bool = False
    """Whether the time stands at the beginning."""
    negated: bool = False
    asked: Role | None = None
    """What a question asks for; the phrase itself is then None (the numeral, for ``number``)."""
    asks_person: bool = False
    """Whether an object that is asked for is a person (``whom``) and no thing (``what``)."""
    polar: bool = False
    """Whether this is a question for yes or no."""

    @property
    def question(self) -> bool:
        """Whether this is a question."""
        return self.polar or self.asked is not None


@dataclass(frozen=True)
class Compound:
    """Two clauses and what joins them: ``then``, ``because`` or ``so``."""

    conjunction: str
    first: Clause
    second: Clause


Meaning = Clause | Compound


def name(number: int) -> str:
    """Return the id of a name; ``grammar`` gives it its sound, the same in all languages."""
    return f"name:{number}"


def person(first: str, last: str | None = None) -> Noun:
    """Return the noun phrase of a person with a name."""
    return Noun(first, surname=last)


def but(clause: Clause, **changes: object) -> Clause:
    """Return the clause with some of its fields changed."""
    return replace(clause, **changes)  # type: ignore[arg-type]
