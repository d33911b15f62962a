"""The forms that a language has: its inflected words, how its text is cut into them, and which meanings have a form."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from adapterstilts.lab.concepts import ADJECTIVES, ADPOSITIONS, FUNCTION_WORDS, NOUNS, NUMERALS, TIMES, VERBS
from adapterstilts.lab.grammar import PUNCTUATION
from adapterstilts.lab.languages import Language
from adapterstilts.lab.meaning import Both, Clause, Compound, Meaning, Noun, Phrase, name
from adapterstilts.lab.words import NAMES, lexicon, name_root, write

Word = tuple[str, frozenset[str]]
"""A concept and what its affixes say."""


def expressed(meaning: Meaning, language: Language) -> Meaning:
    """Return what is left of a meaning when a language says it: number or definiteness may have no form in it."""
    if isinstance(meaning, Compound):
        first, second = (_clause_expressed(clause, language) for clause in (meaning.first, meaning.second))
        return Compound(meaning.conjunction, first, second)
    return _clause_expressed(meaning, language)


def _clause_expressed(clause: Clause, language: Language) -> Clause:
    def said(phrase: Phrase | None) -> Phrase | None:
        if isinstance(phrase, Both):
            return Both(noun(phrase.first), noun(phrase.second))
        return noun(phrase) if phrase else None

    def noun(noun_: Noun) -> Noun:
        if noun_.named:
            return noun_
        return replace(
            noun_,
            definite=noun_.definite or language.articles == "none",
            plural=bool(noun_.count) or (noun_.plural and language.plural != "none"),
            owner=noun(noun_.owner) if noun_.owner else None,
            relative=_clause_expressed(noun_.relative, language) if noun_.relative else None,
        )

    asked = (
        Noun(clause.object.head, plural=True) if clause.asked == "number" and isinstance(clause.object, Noun) else None
    )
    return replace(
        clause,
        subject=said(clause.subject),
        object=asked or said(clause.object),
        recipient=said(clause.recipient),
        place=replace(clause.place, noun=noun(clause.place.noun)) if clause.place else None,
    )


@functools.lru_cache(maxsize=64)
def forms_of(language: Language) -> dict[str, list[Word]]:
    """Return all words of a language as they are written, each with what it may be."""
    words = lexicon(language)
    table: dict[str, list[Word]] = {}

    def add(root: str, concept: str, *affixes: str) -> None:
        said = [affix for affix in affixes if affix]
        for affix in said:
            part = words.affixes[affix]
            root = root + part if language.affixes == "suffixing" else part + root
        table.setdefault(write(root, language.script), []).append((concept, frozenset(said)))

    cases = ("", *language.marked_cases)
    plurals = ("", "PL") if language.plural == "affix" else ("",)
    definite = ("", "DEF") if language.articles == "definite affix" else ("",)
    negation = ("", "NEG") if language.negation == "affix" else ("",)
    persons = ("", "3SG", "3PL") if language.agreement == "subject" else ("",)
    for concept in NOUNS:
        for affixes in product(plurals, definite, cases):
            add(words.roots[concept], concept, *affixes)
    for verb in (*VERBS, "be"):
        for negated, person in product(negation, persons):
            add(words.roots[verb], verb, negated, person)
    for concept in (*ADJECTIVES, *ADPOSITIONS, *TIMES, *NUMERALS, *FUNCTION_WORDS):
        if concept != "be":
            add(words.roots[concept], concept)
    for number, case in product(range(NAMES), cases):
        add(name_root(number), name(number), case)
    for mark in PUNCTUATION:
        table.setdefault(mark, []).append((mark, frozenset()))
    return table


def segmentations(text: str, language: Language) -> Iterator[list[str]]:
    """Yield every way to cut a sentence into words that exist."""
    table = forms_of(language)
    if language.spaced:
        forms = text.split(" ")
        yield [*forms[:-1], forms[-1][:-1], forms[-1][-1]]
        return
    longest = max(map(len, table))

    @functools.cache
    def rest(start: int) -> list[tuple[str, ...]]:
        if start == len(text):
            return [()]
        ends = range(start + 1, min(len(text), start + longest) + 1)
        return [(text[start:end], *after) for end in ends if text[start:end] in table for after in rest(end)]

    yield from map(list, rest(0))
