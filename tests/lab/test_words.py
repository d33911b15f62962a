"""The words of the languages: none twice, shared ones where they are asked for, in real scripts."""

from __future__ import annotations

import re

import pytest

from adapterstilts.errors import SettingsError
from adapterstilts.lab import words
from adapterstilts.lab.concepts import ADPOSITIONS, FUNCTION_WORDS
from adapterstilts.lab.forms import forms_of
from adapterstilts.lab.languages import LANGUAGES, PHONOTACTICS, SOURCE, Language, Phonotactics
from adapterstilts.lab.words import NAMES, SOUNDS, VIRAMA, concepts, lexicon, name_root, write

HERE = LANGUAGES[SOURCE]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_no_two_words_are_written_alike(language: Language) -> None:
    assert {form: found for form, found in forms_of(language).items() if len(found) != 1} == {}


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_shared_words_are_the_source_s_and_no_others(language: Language) -> None:
    source, own = lexicon(HERE), lexicon(language)
    same = {concept for concept in concepts() if own.roots[concept] == source.roots[concept]}
    if language is HERE:
        assert not own.shared
        return
    assert same == own.shared
    content = [concept for concept in concepts() if concept not in FUNCTION_WORDS and concept not in ADPOSITIONS]
    assert same <= set(content)
    assert len(same) == round(language.shared_words * len(content))
    assert not (set(own.roots.values()) - {own.roots[concept] for concept in same}) & set(source.roots.values())


def test_pairs_and_twins_share_no_root_with_the_source_nor_with_each_other() -> None:
    known: dict[str, str] = {}
    for code in ("qaa", "qab", "qac", "qba", "qbb", "qea", "qeb"):
        assert lexicon(LANGUAGES[code]).shared == frozenset()
    for code in ("qaa", "qba"):
        for root in lexicon(LANGUAGES[code]).roots.values():
            assert known.setdefault(root, code) == code


def test_a_smaller_share_is_part_of_a_larger_one() -> None:
    some, more = (lexicon(Language(f"qp{x}", x, shared_words=share)).shared for x, share in (("a", 0.3), ("b", 0.6)))
    assert some < more


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_roots_sound_as_the_language_allows(language: Language) -> None:
    sounds = PHONOTACTICS[language.phonotactics]
    classes = {"C": f"[{sounds.consonants}]", "V": f"[{sounds.vowels}]"}
    shapes = "|".join("".join(classes[slot] for slot in shape) for shape in set(sounds.syllables))
    found = lexicon(language)
    for concept, root in found.roots.items():
        if concept not in found.shared:
            assert re.fullmatch(f"(?:{shapes})+", root), (concept, root)


def test_lexicons_follow_from_code_phonotactics_and_share() -> None:
    a = lexicon(Language("qpa", "a"))
    assert a.roots == lexicon(Language("qpa", "b", word_order="SOV", script="Thai")).roots
    assert a.roots != lexicon(Language("qpb", "a")).roots


def test_names_sound_the_same_in_all_languages() -> None:
    names = [name_root(number) for number in range(NAMES)]
    assert len(set(names)) == NAMES
    for language in LANGUAGES.values():
        forms = forms_of(language)
        for number, root in enumerate(names):
            assert forms[write(root, language.script)] == [(f"name:{number}", frozenset())]


@pytest.mark.parametrize(
    ("script", "written"),
    [
        ("Latin", "pastun"), ("Cyrillic", "пастун"), ("Greek", "παστυν"), ("Georgian", "პასტუნ"), ("Thai", "ปาสตุน"),
        ("Armenian", "պաստուն"), ("Devanagari", f"पास{VIRAMA}तुन{VIRAMA}"),
    ],
)  # fmt: skip
def test_write(script: str, written: str) -> None:
    assert write("pastun", script) == written


def test_devanagari_writes_vowels_without_consonant_as_letters() -> None:
    assert write("aka", "Devanagari") == "आका"
    assert write("ea", "Devanagari") == "अआ"
    assert write("ke", "Devanagari") == "क"


@pytest.mark.parametrize("script", ["Latin", "Cyrillic", "Greek", "Georgian", "Devanagari", "Thai", "Armenian"])
def test_every_sound_is_written_apart(script: str) -> None:
    assert len({write(sound, script) for sound in SOUNDS}) == len(SOUNDS)


def test_too_narrow_a_phonotactics_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(words.PHONOTACTICS, "narrow", Phonotactics(consonants="pt", vowels="a", syllables=("CV",)))
    with pytest.raises(SettingsError, match="not enough roots"):
        lexicon(Language("qpz", "poor", phonotactics="narrow"))
