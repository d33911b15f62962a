"""The text for pretraining: the shipped encoder read this very text, so that it must not change unnoticed."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from itertools import islice

import pytest

from adapterstilts.lab.corpus import documents, sentence_or_question, switched_text, text
from adapterstilts.lab.languages import LANGUAGES
from adapterstilts.lab.meaning import Clause, Compound
from adapterstilts.lab.questions import facts
from adapterstilts.lab.teller import Teller

#: SHA-256 of 50 documents in each language, and of the facts that everybody knows.
TEXTS = {
    "qaa": "a5f5ef1dd1522377",
    "qab": "261293f6239a95c0",
    "qac": "0d6af8bff0b80854",
    "qba": "223803a1c3870505",
    "qbb": "1177a047d8fb3689",
    "qca": "d9539fc7a3a6c829",
    "qcb": "33bc20bb2cf688f7",
    "qda": "8f464546e266a4c0",
    "qdb": "9e01440e4cf7be7e",
    "qea": "8de600610bf029eb",
    "qeb": "8edc2c30dd507a61",
    "qfa": "b0e99f6ee932c5a1",
    "qfb": "d5eeb74a5b97c0f4",
    "qga": "6fe03970f7a5ec92",
    "qgb": "3f6acbc4c1e20939",
    "qha": "1cf841d1d44fb9e3",
    "qhb": "790267ee6cac07ce",
    "qia": "bef49c8041984829",
    "qib": "3a4d58a8a69c0022",
    "qma": "cf007934d3b51f36",
    "qmb": "c50154939ce9681d",
    "qmc": "1591ce4bc86d2fe9",
    "qna": "7eda38607e639388",
    "qnb": "8dd02492c1d2a230",
    "qoa": "2bd8fca2d176522c",
    "qob": "d128d4afb7420284",
    "qoc": "1e912ee63b1a6f46",
    "qod": "005f08fefa71f605",
}
FACTS = "7875de45f9dc7fdc1778e5fd76559015aa512709c90a3fa323f4e91b6d141fa3"


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_text_of_a_language_is_as_it_was(code: str) -> None:
    assert set(TEXTS) == set(LANGUAGES)
    said = "\n".join(text(document, LANGUAGES[code]) for document in islice(documents("tests corpus"), 50))
    assert hashlib.sha256(said.encode()).hexdigest()[:16] == TEXTS[code]


def test_the_facts_are_as_they_were() -> None:
    assert hashlib.sha256(repr(facts()).encode()).hexdigest() == FACTS


def test_documents_follow_from_their_seed() -> None:
    first = list(islice(documents("a"), 20))
    assert first == list(islice(documents("a"), 20))
    assert not set(first) & set(islice(documents("b"), 20))


def test_documents_have_all_constructions() -> None:
    meanings = [meaning for document in islice(documents("tests constructions"), 400) for meaning in document]
    clauses = [clause for m in meanings for clause in ((m.first, m.second) if isinstance(m, Compound) else (m,))]
    assert {m.conjunction for m in meanings if isinstance(m, Compound)} == {"then", "because", "so"}
    assert {clause.asked for clause in clauses} == {
        None, "subject", "object", "recipient", "place", "means", "time", "number", "reason",
    }  # fmt: skip
    nouns = [n for c in clauses for n in (c.subject, c.object, c.recipient, c.place and c.place.noun) if n]
    for attribute in ("adjective", "count", "owner", "relative", "surname", "organisation"):
        assert any(getattr(noun, attribute, None) for noun in nouns), attribute
    assert any(clause.negated for clause in clauses)
    assert any(clause.polar for clause in clauses)
    assert any(clause.fronted for clause in clauses)


def test_some_sentences_are_questions() -> None:
    rng = random.Random("tests questions")
    teller = Teller(rng)
    said = [sentence_or_question(rng, teller) for _ in range(500)]
    questions = [meaning for meaning in said if isinstance(meaning, Clause) and meaning.question]
    assert 0.1 < len(questions) / len(said) < 0.25
    assert {bool(question.asked) for question in questions} == {True, False}


@pytest.mark.parametrize("code", ["qaa", "qoc"])
def test_sentences_of_a_document_have_a_space_between_them(code: str) -> None:
    document = next(documents("tests corpus"))
    said = text(document, LANGUAGES[code])
    assert said.count(". ") + said.count("? ") == len(document) - 1


def test_switched_text_has_one_grammar_and_the_words_of_two() -> None:
    source, other = LANGUAGES["qaa"], LANGUAGES["qoa"]
    document = next(documents("switched"))
    assert switched_text(document, source, other, 0.0, random.Random(0)) == text(document, source)
    mixed = switched_text(document, source, other, 0.5, random.Random(0))
    assert mixed == switched_text(document, source, other, 0.5, random.Random(0))
    own = text(document, source).split()
    assert len(mixed.split()) == len(own)  # words stand where the grammar of the first has them
    scripts = ["GEORGIAN" in unicodedata.name(word[0]) for word in mixed.split()]
    assert 0 < sum(scripts) < len(scripts)
    assert [word for word, switched in zip(mixed.split(), scripts, strict=True) if not switched] == [
        word for word, switched in zip(own, scripts, strict=True) if not switched
    ]
