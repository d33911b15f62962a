"""Sentences: each parameter by hand, spans of phrases, and the scripts of all languages."""

from __future__ import annotations

import unicodedata
from itertools import islice

import pytest

from adapterstilts.lab.corpus import documents, text
from adapterstilts.lab.grammar import PUNCTUATION, TOWN, sentence
from adapterstilts.lab.languages import LANGUAGES, Language
from adapterstilts.lab.meaning import Both, Clause, Compound, Meaning, Noun, Place, name, person

GIVE = Clause(
    "give", Noun("teacher", adjective="old"), Noun("book", definite=False, plural=True), recipient=Noun("dog"),
    place=Place("in", Noun("house")), time="night",
)  # fmt: skip


def gloss(meaning: Meaning, **parameters: str) -> str:
    said = sentence(meaning, Language("qpa", "test", **parameters))  # type: ignore[arg-type]
    return " ".join(token.gloss for token in said.tokens)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "the old teacher give a book-PL to the dog in the house night ."),
        ({"word_order": "SOV"}, "the old teacher in the house to the dog a book-PL night give ."),
        ({"word_order": "VSO"}, "give the old teacher a book-PL to the dog in the house night ."),
        ({"word_order": "VOS"}, "give a book-PL the old teacher to the dog in the house night ."),
        ({"word_order": "OVS"}, "a book-PL give the old teacher to the dog in the house night ."),
        ({"word_order": "OSV"}, "a book-PL in the house to the dog the old teacher night give ."),
        ({"adposition": "postpositions"}, "the old teacher give a book-PL the dog to the house in night ."),
        ({"adjective": "noun-adjective"}, "the teacher old give a book-PL to the dog in the house night ."),
        ({"articles": "none"}, "old teacher give book-PL to dog in house night ."),
        ({"articles": "definite"}, "the old teacher give book-PL to the dog in the house night ."),
        ({"articles": "definite affix"}, "old teacher-DEF give book-PL to dog-DEF in house-DEF night ."),
        ({"cases": "2"}, "the old teacher give a book-PL-ACC to the dog in the house night ."),
        ({"cases": "4"}, "the old teacher give a book-PL-ACC the dog-DAT in the house night ."),
        ({"plural": "word"}, "the old teacher give a several book to the dog in the house night ."),
        ({"plural": "none"}, "the old teacher give a book to the dog in the house night ."),
        ({"agreement": "subject"}, "the old teacher give-3SG a book-PL to the dog in the house night ."),
        ({"affixes": "prefixing", "cases": "2"}, "the old teacher give a ACC-PL-book to the dog in the house night ."),
    ],
)
def test_parameters(parameters: dict[str, str], expected: str) -> None:
    assert gloss(GIVE, **parameters) == expected


SLEEP = Clause("sleep", Noun("dog"), negated=True)
OWNED = Clause("sleep", Noun("dog", owner=person(name(3))))
RELATIVE = Clause("sleep", Noun("dog", relative=Clause("have", object=Noun("ring"))))
ASKED = Clause("see", Noun("dog"), asked="object")


@pytest.mark.parametrize(
    ("meaning", "parameters", "expected"),
    [
        (SLEEP, {"negation": "before"}, "the dog not sleep ."),
        (SLEEP, {"negation": "after"}, "the dog sleep not ."),
        (SLEEP, {"negation": "affix"}, "the dog sleep-NEG ."),
        (OWNED, {"genitive": "noun-genitive"}, "the dog of Lovas sleep ."),
        (OWNED, {"genitive": "genitive-noun"}, "Lovas of the dog sleep ."),
        (OWNED, {"genitive": "genitive-noun", "cases": "4"}, "Lovas-GEN the dog sleep ."),
        (RELATIVE, {"relative": "noun-relative"}, "the dog that have the ring sleep ."),
        (RELATIVE, {"relative": "relative-noun"}, "have the ring that the dog sleep ."),
        (RELATIVE, {"relative": "relative-noun", "word_order": "SOV"}, "the ring have that the dog sleep ."),
        (ASKED, {"question": "initial"}, "what the dog see ?"),
        (ASKED, {"question": "in place"}, "the dog see what ?"),
        (ASKED, {"question": "in place", "word_order": "SOV"}, "the dog what see ?"),
    ],
)  # fmt: skip
def test_constructions(meaning: Meaning, parameters: dict[str, str], expected: str) -> None:
    given = gloss(meaning, **parameters)
    third = sentence(Clause("sleep", person(name(3))), LANGUAGES["qaa"]).tokens[0].gloss
    assert given == expected.replace("Lovas", third)


def test_agreement_is_with_the_subject() -> None:
    both = Clause("sleep", Both(Noun("dog"), Noun("cat")))
    assert gloss(both, agreement="subject") == "the dog and the cat sleep-3PL ."
    assert gloss(Clause("sleep", asked="subject"), agreement="subject") == "who sleep ?"


def test_compounds_and_polar_questions() -> None:
    told = Compound("because", Clause("sleep", Noun("dog")), Clause("be", Noun("dog"), quality="tired"))
    assert gloss(told) == "the dog sleep because the dog be tired ."
    assert gloss(Clause("sleep", Noun("dog"), polar=True)) == "the dog sleep whether ?"


@pytest.mark.parametrize("code", ["qaa", "qoa", "qob", "qoc"])
@pytest.mark.parametrize("role", ["subject", "object", "recipient", "place", "time"])
def test_spans_are_the_phrases(code: str, role: str) -> None:
    said = sentence(GIVE, LANGUAGES[code])
    start, end = said.span(role)
    phrase = [token.form for token in said.tokens if token.role == role]
    assert said.text[start:end] == (" " if LANGUAGES[code].spaced else "").join(phrase)
    with pytest.raises(ValueError, match="no phrase is 'number'"):
        said.span("number")


def test_entities_are_told_by_the_sentence() -> None:
    def entities(meaning: Meaning) -> list[str]:
        return [token.entity for token in sentence(meaning, LANGUAGES["qaa"]).tokens if token.entity != "O"]

    assert entities(Clause("go", person(name(1), name(35)), place=Place("to", Noun(name(2))))) == [
        "B-PER", "I-PER", "B-LOC",
    ]  # fmt: skip
    assert entities(Clause("call", person(name(1)), Noun(name(2), organisation="bank"))) == ["B-PER", "B-ORG", "I-ORG"]
    assert entities(Clause("be", Noun(name(2)), object=TOWN)) == ["B-LOC"]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_text_is_in_the_script_of_its_language(language: Language) -> None:
    for document in islice(documents("tests scripts"), 60):
        said = text(document, language)
        assert unicodedata.normalize("NFKC", said) == said
        letters = {letter for letter in said if letter != " " and letter not in PUNCTUATION}
        assert all(unicodedata.name(letter).startswith(language.script.upper()) for letter in letters)
        for meaning in document:
            alone = sentence(meaning, language).text
            assert (" " in alone) == language.spaced
            assert alone[-1] in PUNCTUATION
