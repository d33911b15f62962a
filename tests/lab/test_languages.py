"""The shipped languages: what differs between them; languages of one's own."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from adapterstilts.errors import AdapterStiltsError, SettingsError, UnknownNameError
from adapterstilts.lab.languages import (
    FEATURES,
    LANGUAGES,
    SCRIPTS,
    SOURCE,
    Language,
    differences,
    distance,
    get_language,
    read_language,
)

SHIPPED = list(LANGUAGES.values())
HERE = LANGUAGES[SOURCE]


def test_there_are_languages_for_every_purpose() -> None:
    assert len(SHIPPED) >= 20
    assert set(Counter(language.group for language in SHIPPED)) == {"source", "twin", "pair", "near", "middle", "far"}
    assert sum(not language.seen for language in SHIPPED) == 2
    assert {language.script for language in SHIPPED} == set(SCRIPTS)
    assert [language.script for language in SHIPPED if not language.spaced] == ["Thai"]


def test_minimal_pairs_differ_in_one_feature_and_come_twice() -> None:
    pairs = [language for language in SHIPPED if language.group == "pair"]
    assert {len(differences(HERE, language)) for language in pairs} == {1}
    counts = Counter(differences(HERE, language)[0] for language in pairs)
    assert len(counts) >= 8
    assert set(counts.values()) == {2}
    for language in pairs:
        assert (language.script, language.phonotactics, language.shared_words) == ("Latin", "plain", 0.0)


def test_twins_differ_in_nothing_but_their_words() -> None:
    twins = [language for language in SHIPPED if language.group == "twin"]
    assert len(twins) == 2
    for twin in twins:
        assert differences(HERE, twin) == ()
        assert (twin.script, twin.phonotactics, twin.shared_words) == ("Latin", "plain", 0.0)


def test_groups_lie_at_growing_distances() -> None:
    far = {
        group: [distance(HERE, language) for language in SHIPPED if language.group == group]
        for group in ("pair", "near", "middle", "far")
    }
    assert max(far["pair"]) <= min(far["near"])
    assert max(far["near"]) < min(far["middle"])
    assert max(far["middle"]) < min(far["far"])


def test_distance_is_the_share_of_differing_features() -> None:
    a = Language("qpa", "a")
    b = Language("qpb", "b", word_order="VSO", cases="4", script="Greek", shared_words=0.5)
    assert differences(a, b) == ("word_order", "cases")
    assert distance(a, b) == 2 / len(FEATURES)


def test_distance_is_a_metric() -> None:
    for a, b, c in itertools.product(SHIPPED, repeat=3):
        assert distance(a, b) == distance(b, a)
        assert 0.0 <= distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12
    assert all(distance(a, a) == 0.0 for a in SHIPPED)


def test_features_have_the_numbers_of_wals_and_fields_of_their_own() -> None:
    for feature in FEATURES:
        assert feature.wals.endswith("A")
        assert getattr(HERE, feature.name) == feature.values[0]
    assert len({feature.wals for feature in FEATURES}) == len(FEATURES) == 12


def test_get_language() -> None:
    assert get_language("qob").script == "Devanagari"
    with pytest.raises(UnknownNameError, match="language of the lab"):
        get_language("qqq")


def test_read_language() -> None:
    read = read_language("{code: qpa, name: mine, word_order: VSO, cases: 2, script: Greek, shared_words: 0.25}")
    assert read == Language(
        "qpa", "mine", word_order="VSO", cases="2", script="Greek", shared_words=0.25, group="own", seen=False
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code: [", "is not YAML"),
        ("- code", "is a YAML mapping"),
        ("", "is a YAML mapping"),
        ("name: mine", "lacks code"),
        ("word_order: SOV", "lacks code and name"),
        ("{code: 7, name: mine}", "lacks code"),
        ("{code: qpa, name: mine, order: SOV}", "parameter of a language 'order'"),
        ("{code: qpa, name: mine, seen: true}", "parameter of a language 'seen'"),
        ("{code: qpa, name: mine, group: near}", "parameter of a language 'group'"),
        ("{code: qpa, name: mine, word_order: SOVV}", "value of 'word_order' 'SOVV'"),
        ("{code: qpa, name: mine, cases: 3}", "value of 'cases' '3'"),
        ("{code: qpa, name: mine, script: Runic}", "value of 'script' 'Runic'"),
        ("{code: qpa, name: mine, phonotactics: odd}", "value of 'phonotactics' 'odd'"),
        ("{code: qpa, name: mine, shared_words: 2}", "a share from 0 to 1, not 2"),
        ("{code: qpa, name: mine, shared_words: much}", "a share from 0 to 1, not 'much'"),
        ("{code: deu, name: mine}", "'deu' is no private-use language code"),
        ("{code: qza, name: mine}", "'qza' is no private-use language code"),
        ("{code: qab, name: mine}", "'qab' is that of a shipped language"),
    ],
)
def test_wrong_declarations_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(AdapterStiltsError) as caught:
        read_language(text)
    assert message in str(caught.value)


def test_a_language_is_checked_when_it_is_made() -> None:
    with pytest.raises(SettingsError, match="private-use"):
        Language("QPA", "loud")
    with pytest.raises(UnknownNameError, match="word_order"):
        Language("qpa", "odd", word_order="SV")
