"""The words of a language: roots from its phonotactics, affixes, names, and the script they are written in."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from dataclasses import dataclass

from adapterstilts.errors import SettingsError
from adapterstilts.lab.concepts import ADJECTIVES, ADPOSITIONS, AFFIXES, FUNCTION_WORDS, NOUNS, NUMERALS, TIMES, VERBS
from adapterstilts.lab.languages import LANGUAGES, PHONOTACTICS, SOURCE, Language, Phonotactics

#: Sounds, one letter each; x stands for sh, c for ch, j for the first sound of yes.
SOUNDS = "ptkbdgmnszlrfvhjwxcaeiou"
_LETTERS = {
    "Latin": SOUNDS,
    "Cyrillic": "пткбдгмнсзлрфвхйўшчаэиоу",
    "Greek": "πτκβδγμνσζλρφθχϊωξψαειου",
    "Georgian": "პტკბდგმნსზლრფვჰჲწშჩაეიოუ",
    "Devanagari": "पतकबदगमनसजलरफवहयखशचािीोु",
    "Thai": "ปตกบดคมนสซลรฟวหยงฉจาะีืุ",
    "Armenian": "պտկբդգմնսզլրֆվհյւշչաեիոու",
}
#: What Devanagari writes for a vowel that follows no consonant; its inherent vowel is taken for e.
_INITIAL_VOWELS = {"a": "आ", "e": "अ", "i": "ई", "o": "ओ", "u": "उ"}
_DEVANAGARI_VOWELS = {"a": "ा", "e": "", "i": "ी", "o": "ो", "u": "ु"}
VIRAMA = "्"

#: How many names the world has. The last are second names of persons; people, towns and organisations may bear any
#: other.
NAMES, SURNAMES = 40, 12


def write(sounds: str, script: str) -> str:
    """Write sounds in a script.

    Every sound has one letter, but in Devanagari, where vowels are signs on consonants and a virama stands between
    two consonants and at the end.
    """
    if script == "Devanagari":
        return _write_devanagari(sounds)
    return sounds.translate(_table(script))


@functools.cache
def _table(script: str) -> Mapping[int, str]:
    letters = _LETTERS[script]
    if script == "Armenian":  # its u is written with two letters
        return {ord(sound): letter for sound, letter in zip(SOUNDS, [*letters[:23], letters[23:]], strict=True)}
    return {ord(sound): letter for sound, letter in zip(SOUNDS, letters, strict=True)}


def letters() -> str:
    """Return every sign that ``write`` uses, of all scripts."""
    devanagari = {*_INITIAL_VOWELS.values(), *_DEVANAGARI_VOWELS.values(), VIRAMA}
    return "".join(sorted(set().union(*_LETTERS.values(), *devanagari)))


def _write_devanagari(sounds: str) -> str:
    written = ""
    after_consonant = False
    for sound in sounds:
        if sound in _DEVANAGARI_VOWELS:
            written += _DEVANAGARI_VOWELS[sound] if after_consonant else _INITIAL_VOWELS[sound]
            after_consonant = False
        else:
            written += (VIRAMA if after_consonant else "") + _LETTERS["Devanagari"][SOUNDS.index(sound)]
            after_consonant = True
    return written + (VIRAMA if after_consonant else "")


@dataclass(frozen=True)
class Lexicon:
    """All words of a language, in sounds; ``grammar`` inflects and writes them."""

    roots: Mapping[str, str]
    """Concept or function word to its root."""
    affixes: Mapping[str, str]
    """What an affix says to the affix."""
    shared: frozenset[str]
    """Concepts whose root is the source's."""


def concepts() -> tuple[str, ...]:
    """Return all concepts that have a root, in a fixed order."""
    return (*NOUNS, *ADJECTIVES, *VERBS, *ADPOSITIONS, *TIMES, *NUMERALS, *FUNCTION_WORDS)


@functools.lru_cache(maxsize=256)
def lexicon(language: Language) -> Lexicon:
    """Make the words of a language, from its code, phonotactics and share of words in common with the source.

    No two words are the same, also when inflected, and no word is the source's but those that are shared. Shared
    words are content words; those of a language with a smaller share are among those of one with a larger one.

    Raises:
        SettingsError: the phonotactics has not enough roots.
    """
    rng = random.Random(f"lexicon {language.code}")
    sounds = PHONOTACTICS[language.phonotactics]
    source = lexicon(LANGUAGES[SOURCE]) if language.code != SOURCE else None
    taken = {name_root(number) for number in range(NAMES)}
    if source is not None:
        taken |= set(source.roots.values())
    affixes: dict[str, str] = {}
    for label in AFFIXES:
        affixes[label] = _new(rng, sounds, set(affixes.values()), short=True)
    chosen = frozenset(_shared_concepts(language.shared_words)) if source is not None else frozenset()
    roots: dict[str, str] = {}
    forms: set[str] = set(taken)
    for concept in concepts():
        if concept in chosen and source is not None:
            root = source.roots[concept]
        else:
            short = concept in FUNCTION_WORDS or concept in ADPOSITIONS
            root = _new(rng, sounds, forms, short=short, affixes=tuple(affixes.values()))
        roots[concept] = root
        forms |= _inflected(root, tuple(affixes.values()))
    return Lexicon(roots, affixes, chosen)


def _shared_concepts(share: float) -> list[str]:
    content = [concept for concept in concepts() if concept not in FUNCTION_WORDS and concept not in ADPOSITIONS]
    random.Random("shared words").shuffle(content)
    return content[: round(share * len(content))]


def _inflected(root: str, affixes: tuple[str, ...]) -> set[str]:
    once = {root} | {root + affix for affix in affixes} | {affix + root for affix in affixes}
    return (
        once
        | {form + affix for form in once for affix in affixes}
        | {affix + form for form in once for affix in affixes}
    )


def _new(
    rng: random.Random, sounds: Phonotactics, taken: set[str], *, short: bool = False, affixes: tuple[str, ...] = ()
) -> str:
    for _ in range(10_000):
        word = "".join(_syllable(rng, sounds) for _ in range(1 if short else rng.choice(sounds.length)))
        if len(word) >= 2 and not (_inflected(word, affixes) if affixes else {word}) & taken:
            return word
    raise SettingsError("The phonotactics has not enough roots for all concepts.")


def _syllable(rng: random.Random, sounds: Phonotactics) -> str:
    return "".join(
        rng.choice(sounds.consonants if slot == "C" else sounds.vowels) for slot in rng.choice(sounds.syllables)
    )


@functools.cache
def name_root(number: int) -> str:
    """Return the sound of a name, which is the same in all languages."""
    return _names()[number]


@functools.cache
def _names() -> tuple[str, ...]:
    rng = random.Random("names")
    found: list[str] = []
    while len(found) < NAMES:
        word = "".join(rng.choice("ptkbdgmnslrfvhjw") + rng.choice("aeiou") for _ in range(2)) + rng.choice("nlrsmk")
        if word not in found:
            found.append(word)
    return tuple(found)
