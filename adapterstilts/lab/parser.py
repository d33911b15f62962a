"""From a sentence back to its meaning, by the parameters of its language: what ``grammar`` does, the other way round.

Slow and plain: all readings are tried. It shows that no two meanings share a sentence.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from adapterstilts.lab.concepts import (
    ADJECTIVES,
    ADPOSITIONS,
    DITRANSITIVE,
    INTRANSITIVE,
    MOTION,
    NOUNS,
    NUMERALS,
    ORGANISATIONS,
    PLACING,
    TIMES,
    VERBS,
)
from adapterstilts.lab.forms import forms_of, segmentations
from adapterstilts.lab.grammar import QUESTION_WORDS
from adapterstilts.lab.languages import Language
from adapterstilts.lab.meaning import Both, Clause, Compound, Meaning, Noun, Phrase, Place, but
from adapterstilts.lab.words import NAMES, SURNAMES

T = TypeVar("T")


def parse(text: str, language: Language) -> list[Meaning]:
    """Return all readings of a sentence.

    Args:
        text: one sentence, as ``Sentence.text`` writes it.
        language: its language.
    """
    readings: list[Meaning] = []
    for forms in segmentations(text, language):
        for reading in _Reader(forms, language).sentence():
            if reading not in readings:
                readings.append(reading)
    return readings


class _Reader:
    def __init__(self, forms: Sequence[str], language: Language) -> None:
        table = forms_of(language)
        self.words = [table.get(form, []) for form in forms]
        self.forms = forms
        self.language = language

    def sentence(self) -> Iterator[Meaning]:
        end = len(self.words) - 1
        asks = {concept for concept, _ in self.words[end]} & {"?", ";", "՞"}
        for clause, at in self.clause(0, end):
            if at == end and clause.question == bool(asks):
                yield clause
            for conjunction, after in self.one_of(("then", "because", "so"), at):
                for second, last in self.clause(after, end):
                    if last == end and clause.question == bool(asks) and not second.question:
                        yield Compound(conjunction, clause, second)

    # words

    def one_of(self, concepts: Sequence[str], at: int) -> Iterator[tuple[str, int]]:
        if at < len(self.words):
            for concept, affixes in self.words[at]:
                if concept in concepts and not affixes:
                    yield concept, at + 1

    def optional(self, concepts: Sequence[str], at: int, *, given: bool = True) -> Iterator[tuple[str | None, int]]:
        yield None, at
        if given:
            yield from self.one_of(concepts, at)

    # phrases

    def phrase(self, at: int, case: str = "", *, plain: bool = False) -> Iterator[tuple[Phrase, int]]:
        for first, after in self.noun(at, case, plain=plain):
            yield first, after
            for _, second_at in self.one_of(("and",), after) if not plain and _bare(first) else ():
                for second, end in self.noun(second_at, case, plain=True):
                    yield Both(first, second), end

    def noun(self, at: int, case: str = "", *, plain: bool = False) -> Iterator[tuple[Noun, int]]:
        """Yield noun phrases; plain ones have neither owner nor relative clause."""
        yield from self.name(at, case)
        language = self.language
        for relative, start in self.relative_before(at, plain):
            for owner, article_at in self.owner_before(start, plain):
                for article, count_at in self.article(article_at):
                    for count, adjective_at in self.optional(NUMERALS, count_at):
                        for several, here in self.optional(
                            ("several",), adjective_at, given=language.plural == "word" and count is None
                        ):
                            yield from self.head(here, case, relative, owner, article, count, bool(several), plain)

    def head(
        self, at: int, case: str, relative: Clause | None, owner: Noun | None, definite: bool | None,
        count: str | None, several: bool, plain: bool,
    ) -> Iterator[tuple[Noun, int]]:  # fmt: skip
        language = self.language
        first = language.adjective == "adjective-noun"
        for before, noun_at in self.optional(ADJECTIVES, at, given=first):
            for concept, affixes in self.words[noun_at] if noun_at < len(self.words) else ():
                wanted = case if case in self.language.marked_cases else ""
                if (
                    concept not in NOUNS
                    or concept in ORGANISATIONS
                    or affixes & {"ACC", "GEN", "DAT"} != {wanted} - {""}
                ):
                    continue
                plural = "PL" in affixes or several or bool(count)
                if count and language.plural == "affix" and "PL" not in affixes:
                    continue
                known = "DEF" in affixes if language.articles == "definite affix" else definite
                for after, end in self.optional(ADJECTIVES, noun_at + 1, given=not first):
                    adjective = before or after
                    noun = Noun(concept, adjective, known is None or known, plural, count, owner, relative)
                    for owned, owner_end in self.owner_after(noun, end, plain):
                        yield from self.relative_after(owned, owner_end, plain)

    def article(self, at: int) -> Iterator[tuple[bool | None, int]]:
        articles = self.language.articles
        if articles == "definite and indefinite":
            for word, after in self.one_of(("the", "a"), at):
                yield word == "the", after
            for _, _ in self.one_of(NUMERALS, at):  # "three dogs" has no article
                yield False, at
        elif articles == "definite":
            yield False, at
            for _, after in self.one_of(("the",), at):
                yield True, after
        else:
            yield None, at

    def owner_before(self, at: int, plain: bool) -> Iterator[tuple[Noun | None, int]]:
        yield None, at
        if plain or self.language.genitive != "genitive-noun":
            return
        if "GEN" in self.language.marked_cases:
            yield from self.noun(at, "GEN", plain=True)
        else:
            for owner, after in self.noun(at, plain=True):
                for _, end in self.one_of(("of",), after):
                    yield owner, end

    def owner_after(self, noun: Noun, at: int, plain: bool) -> Iterator[tuple[Noun, int]]:
        yield noun, at
        if plain or self.language.genitive != "noun-genitive":
            return
        starts = [at] if "GEN" in self.language.marked_cases else [after for _, after in self.one_of(("of",), at)]
        for start in starts:
            for owner, end in self.noun(start, "GEN", plain=True):
                yield replace(noun, owner=owner), end

    def relative_before(self, at: int, plain: bool) -> Iterator[tuple[Clause | None, int]]:
        yield None, at
        if not plain and self.language.relative == "relative-noun":
            for clause, after in self.core(at):
                for _, end in self.one_of(("that",), after):
                    yield clause, end

    def relative_after(self, noun: Noun, at: int, plain: bool) -> Iterator[tuple[Noun, int]]:
        yield noun, at
        if not plain and self.language.relative == "noun-relative":
            for _, start in self.one_of(("that",), at):
                for clause, end in self.core(start):
                    yield replace(noun, relative=clause), end

    def name(self, at: int, case: str) -> Iterator[tuple[Noun, int]]:
        if at >= len(self.words):
            return
        wanted = frozenset({case} & set(self.language.marked_cases))
        head_first = self.language.genitive == "noun-genitive"
        for concept, affixes in self.words[at]:
            if concept in ORGANISATIONS and head_first and affixes == wanted:
                for other, after in self.names(at + 1, frozenset()):
                    yield Noun(other, organisation=concept), after
            if not concept.startswith("name:") or _is_surname(concept):
                continue
            if affixes == wanted:
                yield Noun(concept), at + 1
            if affixes or at + 1 >= len(self.words):
                continue
            for other, said in self.words[at + 1]:
                if said == wanted and other in ORGANISATIONS and not head_first:
                    yield Noun(concept, organisation=other), at + 2
                if said == wanted and _is_surname(other):
                    yield Noun(concept, surname=other), at + 2

    def names(self, at: int, wanted: frozenset[str]) -> Iterator[tuple[str, int]]:
        for concept, affixes in self.words[at] if at < len(self.words) else ():
            if concept.startswith("name:") and not _is_surname(concept) and affixes == wanted:
                yield concept, at + 1

    def with_adposition(
        self, at: int, adpositions: Sequence[str], inner: Callable[[int], Iterator[tuple[T, int]]]
    ) -> Iterator[tuple[str, T, int]]:
        if self.language.adposition == "prepositions":
            for adposition, start in self.one_of(adpositions, at):
                for value, end in inner(start):
                    yield adposition, value, end
        else:
            for value, after in inner(at):
                for adposition, end in self.one_of(adpositions, after):
                    yield adposition, value, end

    def place(self, at: int, plain: bool) -> Iterator[tuple[Place, int]]:
        inner = functools.partial(self.noun, plain=plain)
        for adposition, value, end in self.with_adposition(at, ADPOSITIONS, inner):
            yield Place(adposition, value), end

    def recipient(self, at: int) -> Iterator[tuple[Phrase, int]]:
        if "DAT" in self.language.marked_cases:
            yield from self.phrase(at, "DAT")
            return
        for _, value, end in self.with_adposition(at, ("to",), self.phrase):
            yield value, end

    # clauses

    def verb(self, at: int) -> Iterator[tuple[tuple[str, bool, str | None], int]]:
        """Yield the verb, whether it is negated, and the number it agrees with."""
        negation = self.language.negation
        for particle, start in self.optional(("not",), at, given=negation == "before"):
            for concept, affixes in self.words[start] if start < len(self.words) else ():
                if concept not in VERBS and concept != "be":
                    continue
                person = next(iter(affixes & {"3SG", "3PL"}), None)
                for after, end in self.optional(("not",), start + 1, given=negation == "after"):
                    yield (concept, bool(particle or after or "NEG" in affixes), person), end

    def core(self, at: int) -> Iterator[tuple[Clause, int]]:
        """Yield clauses without subject, as relative clauses are."""
        slots = ["place?", "object?", "verb"] if self.language.verb_final else (
            ["verb", "object?", "place?"] if self.language.verb_before_object else ["object?", "verb", "place?"]
        )  # fmt: skip
        for clause, end, person in self.fill(Clause(""), slots, at, plain=True):
            adjunct = clause.place and clause.verb not in (*MOTION, *PLACING, "be")
            if person is None and not clause.question and not adjunct and _complete(clause):
                yield clause, end

    def clause(self, at: int, end: int) -> Iterator[tuple[Clause, int]]:
        letters = {"S": "subject?", "V": "verb", "O": "object?"}
        core = [letters[letter] for letter in self.language.word_order]
        if self.language.verb_final:
            slots = [core[0], "place?", "recipient?", core[1], "time?", core[2]]
        else:
            slots = [*core, "recipient?", "place?", "time?"]
        for clause, after, person in self.fill(Clause(""), ["asked?", "front?", *slots, "whether?"], at):
            if clause.asked == "subject":
                right = clause.subject is None and person in (None, "3SG")
            else:
                right = clause.subject is not None
                if right and self.language.agreement == "subject":
                    plural = isinstance(clause.subject, Both) or bool(clause.subject and clause.subject.plural)
                    spoken = self.language.plural != "none" or isinstance(clause.subject, Both) or plural
                    right = person == ("3PL" if plural else "3SG") or (not spoken and person is not None)
            if right and _complete(clause):
                yield clause, after

    def fill(
        self, clause: Clause, slots: Sequence[str], at: int, *, plain: bool = False
    ) -> Iterator[tuple[Clause, int, str | None]]:
        """Read slot after slot; one with a question mark may be empty."""
        if not slots:
            yield clause, at, None
            return
        slot, rest = slots[0], slots[1:]
        if slot == "verb":
            for (verb, negated, person), after in self.verb(at):
                for filled, end, _ in self.fill(but(clause, verb=verb, negated=negated), rest, after, plain=plain):
                    yield filled, end, person
            return
        yield from self.fill(clause, rest, at, plain=plain)
        for changed, after in self.slot(clause, slot.rstrip("?"), at, plain):
            yield from self.fill(changed, rest, after, plain=plain)

    def slot(self, clause: Clause, slot: str, at: int, plain: bool) -> Iterator[tuple[Clause, int]]:
        in_place = self.language.question == "in place"
        if slot == "asked" and not in_place:
            for role in ("subject", "object", "number", "recipient", "place", "means", "time", "reason"):
                yield from self.question_word(clause, role, at)
        elif slot == "front":
            for time, after in self.one_of(TIMES, at):
                yield but(clause, time=time, fronted=True), after
        elif slot == "whether" and clause.asked is None:
            for _, after in self.one_of(("whether",), at):
                yield but(clause, polar=True), after
        elif slot == "time" and clause.time is None:
            for time, after in self.one_of(TIMES, at):
                yield but(clause, time=time), after
            if in_place and clause.asked is None:
                yield from self.question_word(clause, "time", at)
                yield from self.question_word(clause, "reason", at)
        elif slot == "subject" and clause.asked != "subject":
            for subject, after in self.phrase(at):
                yield but(clause, subject=subject), after
        elif slot == "object" and clause.asked not in ("object", "number"):
            for said, after in self.phrase(at, "ACC" if "ACC" in self.language.marked_cases else "", plain=plain):
                yield but(clause, object=said), after
            for quality, after in self.one_of(ADJECTIVES, at):
                yield but(clause, quality=quality), after
        elif slot == "recipient" and clause.asked != "recipient":
            for recipient, after in self.recipient(at):
                yield but(clause, recipient=recipient), after
        elif slot == "place" and clause.asked not in ("place", "means"):
            for place, after in self.place(at, plain):
                yield but(clause, place=place), after
        if in_place and clause.asked is None and slot in ("subject", "object", "recipient", "place"):
            yield from self.question_word(clause, slot, at)
            if slot in ("object", "place"):
                yield from self.question_word(clause, "number" if slot == "object" else "means", at)

    def question_word(self, clause: Clause, role: str, at: int) -> Iterator[tuple[Clause, int]]:
        if role == "number":
            for _, noun_at in self.one_of(("how-many",), at):
                for concept, affixes in self.words[noun_at] if noun_at < len(self.words) else ():
                    case = {"ACC"} & set(self.language.marked_cases)
                    plural = {"PL"} if self.language.plural == "affix" else set()
                    if concept in NOUNS and affixes == plural | case:
                        yield but(clause, asked="number", object=Noun(concept, plural=True)), noun_at + 1
        elif role == "recipient":
            for _, _, end in self.with_adposition(at, ("to",), lambda start: self.one_of(("whom",), start)):
                yield but(clause, asked="recipient"), end
        else:
            for _, after in self.one_of((QUESTION_WORDS[role],), at):
                yield but(clause, asked=role, asks_person=role == "object"), after
            if role == "object":
                for _, after in self.one_of(("what",), at):
                    yield but(clause, asked="object"), after


def _complete(clause: Clause) -> bool:
    """Tell whether a clause has what its verb asks for, and nothing else."""
    verb = clause.verb
    has_object = clause.object is not None or clause.asked in ("object", "number")
    has_recipient = clause.recipient is not None or clause.asked == "recipient"
    has_place = clause.place is not None or clause.asked == "place"
    # Of a thing that is for sending it is not said to whom.
    use = clause.asked == "means" or (clause.place is not None and clause.place.adposition == "with")
    if has_recipient != (verb in DITRANSITIVE) and (has_recipient or not use):
        return False
    if clause.asked and clause.polar:
        return False
    if clause.place and (clause.place.adposition in ("to", "from")) and verb not in MOTION:
        return False
    if verb == "be":
        return [bool(clause.quality), has_object, has_place].count(True) == 1
    if clause.quality:
        return False
    if verb in MOTION:
        return has_place and not has_object
    if verb in PLACING:
        return has_place and has_object
    return has_object == (verb not in INTRANSITIVE)


def _bare(noun: Noun) -> bool:
    return noun.owner is None and noun.relative is None


def _is_surname(concept: str) -> bool:
    return concept.startswith("name:") and int(concept[5:]) >= NAMES - SURNAMES
