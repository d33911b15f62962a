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
    "qaa": "92186d621b6507f7",
    "qab": "d8ecc6c34baa9ee6",
    "qac": "25eb0cbd37ec820b",
    "qba": "a3fe14736e453756",
    "qbb": "cbbd87033a44dc5b",
    "qca": "de8e82afb63f0fe0",
    "qcb": "bdc5fd05a54d9bcc",
    "qda": "223584e7dd3e7a9b",
    "qdb": "47e3e4b727f564f9",
    "qea": "c246e2613489d585",
    "qeb": "24a0acc9f3be2b47",
    "qfa": "c91f7e535b8022ff",
    "qfb": "530b69a264869234",
    "qga": "04cefb617d46b5f5",
    "qgb": "8e7eb4290af1520f",
    "qha": "bf6eab8963b62dba",
    "qhb": "1e38347bb62f540c",
    "qia": "1764cb661496538d",
    "qib": "37c7d22875e4daff",
    "qma": "9655f4509f746c62",
    "qmb": "3c5eda3d017736e2",
    "qmc": "1f57a69c760afb7b",
    "qna": "769572f69eb57c41",
    "qnb": "41d673cc53498b90",
    "qoa": "9927801696812ab0",
    "qob": "56231cfadf0ee94a",
    "qoc": "d14f6eac5a23202f",
    "qod": "149ac578b4d28f6c",
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
