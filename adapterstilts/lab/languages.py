"""The languages of the lab: their parameters, and how far they are from each other.

Each parameter is a feature of the World Atlas of Language Structures (https://wals.info) with values named after
WALS. The source has the values of English. A minimal pair differs from the source in one parameter and, since words
differ between any two languages, in its words; a twin differs in its words alone, so that the effect of a parameter is
the difference between a minimal pair and a twin.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from adapterstilts.errors import SettingsError, unknown
from adapterstilts.home import store_home

SOURCE = "qaa"


@dataclass(frozen=True)
class Feature:
    """A typological parameter."""

    name: str
    """Name of the field of ``Language``."""
    wals: str
    """Number of the WALS feature."""
    title: str
    values: tuple[str, ...]


FEATURES = (
    Feature("word_order", "81A", "order of subject, object and verb", ("SVO", "SOV", "VSO", "VOS", "OVS", "OSV")),
    Feature("adposition", "85A", "order of adposition and noun", ("prepositions", "postpositions")),
    Feature("genitive", "86A", "order of genitive and noun", ("noun-genitive", "genitive-noun")),
    Feature("adjective", "87A", "order of adjective and noun", ("adjective-noun", "noun-adjective")),
    Feature("relative", "90A", "order of relative clause and noun", ("noun-relative", "relative-noun")),
    Feature("negation", "143A", "order of negation and verb", ("before", "after", "affix")),
    Feature("question", "93A", "position of question words", ("initial", "in place")),
    Feature("articles", "37A", "articles", ("definite and indefinite", "definite", "definite affix", "none")),
    Feature("cases", "49A", "number of cases", ("none", "2", "4")),
    Feature("plural", "33A", "coding of plural", ("affix", "word", "none")),
    Feature("agreement", "102A", "verbal person marking", ("none", "subject")),
    Feature("affixes", "26A", "prefixing or suffixing", ("suffixing", "prefixing")),
)

SCRIPTS = ("Latin", "Cyrillic", "Greek", "Georgian", "Devanagari", "Thai", "Armenian")


@dataclass(frozen=True)
class Phonotactics:
    """What the roots of a language may sound like."""

    consonants: str = "ptkbdgmnszlrfvhjw"
    vowels: str = "aeiou"
    syllables: tuple[str, ...] = ("CV", "CV", "CVC")
    """Shapes of syllables to draw from; a shape that stands twice is twice as likely."""
    length: tuple[int, ...] = (2, 2, 3)
    """Numbers of syllables of a root to draw from."""


PHONOTACTICS = {
    "plain": Phonotactics(),
    "open": Phonotactics(consonants="ptkmnslrhjw", syllables=("CV", "CV", "V"), length=(3, 3, 4)),
    "closed": Phonotactics(consonants="ptkbdgmnszlrfvxc", syllables=("CVC", "CV", "VC")),
    "narrow": Phonotactics(consonants="tkbdmnzrvxc", vowels="aiu", syllables=("CV", "CVC"), length=(2, 3, 3)),
}


@dataclass(frozen=True)
class Language:
    """A language: its typological parameters, its script and how its words are made."""

    code: str
    """Private-use code of ISO 639-2 (qaa to qtz)."""
    name: str
    word_order: str = "SVO"
    adposition: str = "prepositions"
    genitive: str = "noun-genitive"
    adjective: str = "adjective-noun"
    relative: str = "noun-relative"
    negation: str = "before"
    question: str = "initial"
    articles: str = "definite and indefinite"
    cases: str = "none"
    plural: str = "affix"
    agreement: str = "none"
    affixes: str = "suffixing"
    script: str = "Latin"
    shared_words: float = 0.0
    """Share of the roots that are the source's (cognates, loans)."""
    phonotactics: str = "plain"
    group: str = "own"
    """What the language is for: source, twin, pair (minimal pair), near, middle, far or own."""
    seen: bool = True
    """Whether the pico XLM-R read it in pretraining."""

    def __post_init__(self) -> None:
        if not (len(self.code) == 3 and "qaa" <= self.code <= "qtz" and self.code.isalpha() and self.code.islower()):
            raise SettingsError(f"'{self.code}' is no private-use language code: take three letters, qaa to qtz.")
        choices = {feature.name: feature.values for feature in FEATURES}
        choices |= {"script": SCRIPTS, "phonotactics": tuple(PHONOTACTICS)}
        for name, values in choices.items():
            if getattr(self, name) not in values:
                raise unknown(f"value of '{name}'", str(getattr(self, name)), values)
        if not 0.0 <= self.shared_words <= 1.0:
            raise SettingsError(f"shared_words is a share from 0 to 1, not {self.shared_words}.")

    @property
    def spaced(self) -> bool:
        """Whether words are written with spaces between them."""
        return self.script != "Thai"

    @property
    def marked_cases(self) -> tuple[str, ...]:
        """The cases that have an affix."""
        return {"none": (), "2": ("ACC",), "4": ("ACC", "GEN", "DAT")}[self.cases]

    @property
    def verb_final(self) -> bool:
        """Whether subject and object stand before the verb."""
        return self.word_order.endswith("V")

    @property
    def verb_before_object(self) -> bool:
        """Whether the object follows the verb."""
        return self.word_order.index("V") < self.word_order.index("O")

    @property
    def family(self) -> str:
        """The group, where tables of natural languages have the family."""
        return f"lab:{self.group}"


def differences(a: Language, b: Language) -> tuple[str, ...]:
    """Return the names of the features in which two languages differ."""
    return tuple(feature.name for feature in FEATURES if getattr(a, feature.name) != getattr(b, feature.name))


def distance(a: Language, b: Language) -> float:
    """Return the typological distance, 0 to 1: the share of ``FEATURES`` in which two languages differ.

    This is Gower's distance (1971, https://doi.org/10.2307/2528823), all features being nominal.
    """
    return len(differences(a, b)) / len(FEATURES)


def _pair(code: str, number: int, **changed: str) -> Language:
    (value,) = changed.values()
    return Language(code, f"{value} {number}".replace(" ", "-"), group="pair", **changed)  # type: ignore[arg-type]


_SHIPPED = (
    Language(SOURCE, "source", group="source"),
    Language("qab", "twin-1", group="twin"),
    Language("qac", "twin-2", group="twin"),
    _pair("qba", 1, word_order="SOV"),
    _pair("qbb", 2, word_order="SOV"),
    _pair("qca", 1, adposition="postpositions"),
    _pair("qcb", 2, adposition="postpositions"),
    _pair("qda", 1, genitive="genitive-noun"),
    _pair("qdb", 2, genitive="genitive-noun"),
    _pair("qea", 1, adjective="noun-adjective"),
    _pair("qeb", 2, adjective="noun-adjective"),
    _pair("qfa", 1, relative="relative-noun"),
    _pair("qfb", 2, relative="relative-noun"),
    _pair("qga", 1, question="in place"),
    _pair("qgb", 2, question="in place"),
    _pair("qha", 1, cases="4"),
    _pair("qhb", 2, cases="4"),
    _pair("qia", 1, negation="after"),
    _pair("qib", 2, negation="after"),
    Language(
        "qma", "near-latin", group="near", adjective="noun-adjective", shared_words=0.5, phonotactics="open"
    ),
    Language(
        "qmb", "near-cyrillic", group="near", articles="none", cases="2", script="Cyrillic", phonotactics="closed"
    ),
    Language(
        "qmc", "near-unseen", group="near", adjective="noun-adjective", agreement="subject", shared_words=0.6,
        seen=False,
    ),
    Language(
        "qna", "middle-greek", group="middle", word_order="VSO", genitive="noun-genitive", adjective="noun-adjective",
        articles="definite", cases="2", agreement="subject", script="Greek",
    ),
    Language(
        "qnb", "middle-armenian", group="middle", word_order="SOV", adposition="postpositions",
        articles="definite affix", genitive="genitive-noun", question="in place", script="Armenian",
        phonotactics="closed",
    ),
    Language(
        "qoa", "far-georgian", group="far", word_order="SOV", adposition="postpositions", genitive="genitive-noun",
        relative="relative-noun", question="in place", articles="none", cases="4", agreement="subject",
        script="Georgian", phonotactics="closed",
    ),
    Language(
        "qob", "far-devanagari", group="far", word_order="OSV", adposition="postpositions", genitive="genitive-noun",
        adjective="noun-adjective", negation="affix", question="in place", articles="definite affix", plural="word",
        cases="2", affixes="prefixing", script="Devanagari", phonotactics="open",
    ),
    Language(
        "qoc", "far-thai", group="far", word_order="VOS", adjective="noun-adjective", negation="after",
        question="in place", articles="none", plural="none", relative="relative-noun", affixes="prefixing",
        agreement="subject", script="Thai", phonotactics="narrow",
    ),
    Language(
        "qod", "far-unseen", group="far", word_order="SOV", adposition="postpositions", genitive="genitive-noun",
        adjective="noun-adjective", relative="relative-noun", negation="after", question="in place", articles="none",
        cases="2", phonotactics="narrow", seen=False,
    ),
)  # fmt: skip

LANGUAGES: dict[str, Language] = {language.code: language for language in _SHIPPED}


def get_language(code: str) -> Language:
    """Return a language of the lab, shipped or declared by the user.

    Raises:
        UnknownNameError: there is none with this code; names the nearest.
        SettingsError: the file in which it was declared was changed by hand, and cannot be read.
    """
    if code in LANGUAGES:
        return LANGUAGES[code]
    if (file := declared_folder() / f"{code}.yaml").is_file():
        return read_language(file.read_text(encoding="utf-8"))
    raise unknown("language of the lab", code, all_languages(), hint="See `adapterstilts languages --suite lab`.")


def all_languages() -> dict[str, Language]:
    """Return the shipped languages and those that the user declared."""
    files = sorted(declared_folder().glob("q??.yaml"))
    declared = [read_language(file.read_text(encoding="utf-8")) for file in files]
    return LANGUAGES | {language.code: language for language in declared}


def declared_folder() -> Path:
    """Return the folder of the languages that the user declared."""
    return store_home() / "lab"


def declare(language: Language, *, replace: bool = False) -> Path:
    """Keep a language, so that commands know it by its code; return the file.

    Raises:
        SettingsError: another language was declared with this code, and ``replace`` is not given, or the folder
            cannot be written.
    """
    import yaml

    file = declared_folder() / f"{language.code}.yaml"
    given = {item.name: getattr(language, item.name) for item in fields(Language) if item.name not in ("group", "seen")}
    said = {name: value for name, value in given.items() if name in ("code", "name") or value != _DEFAULTS[name]}
    if file.exists() and not replace and read_language(file.read_text(encoding="utf-8")) != language:
        raise SettingsError(f"'{language.code}' is declared otherwise in {file}. Take another code, or give --replace.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(yaml.safe_dump(said, sort_keys=False, allow_unicode=True), encoding="utf-8")
        new.replace(file)
    except OSError as error:
        raise SettingsError(f"The language cannot be kept: {error.strerror} ({error.filename}).") from error
    return file


_DEFAULTS = {item.name: item.default for item in fields(Language)}


def read_language(text: str) -> Language:
    """Read a language declared in YAML: ``code``, ``name``, and the parameters that differ from the source's.

    Raises:
        SettingsError: the text is no YAML mapping, a parameter is unknown, or a value does not suit it.
        UnknownNameError: a value that the parameter does not have.
    """
    import yaml

    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"The declaration of the language is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(given, dict):
        raise SettingsError("The declaration of a language is a YAML mapping with code, name and parameters.")
    known = {item.name: item for item in fields(Language)}
    for name in given:
        if name not in known or name in ("group", "seen"):
            raise unknown("parameter of a language", str(name), [n for n in known if n not in ("group", "seen")])
    if absent := [name for name in ("code", "name") if not isinstance(given.get(name), str)]:
        raise SettingsError(f"The declaration of the language lacks {' and '.join(absent)}.")
    if given["code"] in LANGUAGES:
        raise SettingsError(f"The code '{given['code']}' is that of a shipped language; take one that is free.")
    values = {name: value if name == "shared_words" else str(value) for name, value in given.items()}
    if not isinstance(values.get("shared_words", 0.0), (int, float)):
        raise SettingsError(f"shared_words is a share from 0 to 1, not '{values['shared_words']}'.")
    return Language(**values, seen=False)  # type: ignore[arg-type]
