"""What is known of a language, and the languages of XTREME and XTREME-R: code, name, family, script.

Families follow Glottolog's top level where XTREME's paper (Hu et al. 2020, https://arxiv.org/abs/2003.11080, table 7)
splits Indo-European into branches; scripts are ISO 15924 names. How much text XLM-R read of a language is the size in
Conneau et al. 2020 (https://aclanthology.org/2020.acl-main.747, appendix A, table 6): simplified and traditional
Chinese together, and both rows of Burmese; text in Latin letters of languages with another script is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from adapterstilts.errors import unknown


@dataclass(frozen=True)
class Language:
    """A language: a natural one, or one of the lab's."""

    code: str
    """ISO 639-1 code, as XTREME uses it; a private one (``qaa`` to ``qtz``) in the lab."""
    name: str
    """English name, as the UD configurations of google/xtreme spell it."""
    family: str
    script: str
    pretraining: float | None = None
    """GiB of text in it that XLM-R was pretrained on; 0 for none, None for a language of the lab."""


_TABLE = """
af Afrikaans  Indo-European:Germanic   Latin
ar Arabic     Afro-Asiatic             Arabic
az Azerbaijani Turkic                  Latin
bg Bulgarian  Indo-European:Slavic     Cyrillic
bn Bengali    Indo-European:Indo-Aryan Bengali
de German     Indo-European:Germanic   Latin
el Greek      Indo-European:Greek      Greek
en English    Indo-European:Germanic   Latin
es Spanish    Indo-European:Romance    Latin
et Estonian   Uralic                   Latin
eu Basque     Basque                   Latin
fa Persian    Indo-European:Iranian    Arabic
fi Finnish    Uralic                   Latin
fr French     Indo-European:Romance    Latin
gu Gujarati   Indo-European:Indo-Aryan Gujarati
he Hebrew     Afro-Asiatic             Hebrew
hi Hindi      Indo-European:Indo-Aryan Devanagari
ht Haitian    Indo-European:Romance    Latin
hu Hungarian  Uralic                   Latin
id Indonesian Austronesian             Latin
it Italian    Indo-European:Romance    Latin
ja Japanese   Japonic                  Japanese
jv Javanese   Austronesian             Latin
ka Georgian   Kartvelian               Georgian
kk Kazakh     Turkic                   Cyrillic
ko Korean     Koreanic                 Hangul
lt Lithuanian Indo-European:Baltic     Latin
ml Malayalam  Dravidian                Malayalam
mr Marathi    Indo-European:Indo-Aryan Devanagari
ms Malay      Austronesian             Latin
my Burmese    Sino-Tibetan             Myanmar
nl Dutch      Indo-European:Germanic   Latin
pa Punjabi    Indo-European:Indo-Aryan Gurmukhi
pl Polish     Indo-European:Slavic     Latin
pt Portuguese Indo-European:Romance    Latin
qu Quechua    Quechuan                 Latin
ro Romanian   Indo-European:Romance    Latin
ru Russian    Indo-European:Slavic     Cyrillic
sw Swahili    Niger-Congo              Latin
ta Tamil      Dravidian                Tamil
te Telugu     Dravidian                Telugu
th Thai       Kra-Dai                  Thai
tl Tagalog    Austronesian             Latin
tr Turkish    Turkic                   Latin
uk Ukrainian  Indo-European:Slavic     Cyrillic
ur Urdu       Indo-European:Indo-Aryan Arabic
vi Vietnamese Austroasiatic            Latin
wo Wolof      Niger-Congo              Latin
yo Yoruba     Niger-Congo              Latin
zh Chinese    Sino-Tibetan             Han
"""

_PRETRAINING = """
af 1.3 ar 28.0 az 6.5 bg 57.5 bn 8.4 de 66.6 el 46.9 en 300.8 es 53.3 et 6.1 eu 2.0 fa 111.6 fi 54.3 fr 56.8 gu 1.9
he 31.6 hi 20.2 ht 0 hu 58.4 id 148.3 it 30.2 ja 69.3 jv 0.2 ka 9.1 kk 6.4 ko 54.2 lt 13.7 ml 7.6 mr 2.8 ms 8.5 my 2.0
nl 29.3 pa 0.8 pl 44.6 pt 49.1 qu 0 ro 61.4 ru 278.0 sw 1.6 ta 12.2 te 4.7 th 71.7 tl 3.1 tr 20.9 uk 84.6 ur 5.7
vi 137.3 wo 0 yo 0 zh 63.5
"""
_GIB = dict(zip(_PRETRAINING.split()[::2], map(float, _PRETRAINING.split()[1::2]), strict=True))

LANGUAGES: dict[str, Language] = {
    code: Language(code, name, family, script, _GIB[code])
    for code, name, family, script in (line.split() for line in _TABLE.strip().splitlines())
}

#: The others come with XTREME-R.
XTREME_LANGUAGES = tuple(
    code for code in LANGUAGES if code not in ("az", "gu", "ht", "lt", "pa", "pl", "qu", "ro", "uk", "wo")
)


def pair_of(code: str) -> tuple[str, str]:
    """Return the languages of context and question: ``ar-de`` is Arabic text asked in German."""
    context, _, question = code.partition("-")
    return context, question or context


def get_language(code: str, among: Mapping[str, Language] = LANGUAGES) -> Language:
    """Return the language with this code.

    Args:
        code: ISO 639-1 code, a code of the lab, or a pair of two (``pair_of``).
        among: the languages of the suite, by code.

    Raises:
        UnknownNameError: names the nearest code, also when a name was given.
    """
    if code in among:
        return among[code]
    context, question = pair_of(code)
    if context != question and context in among and question in among:
        text = among[context]
        return replace(text, code=code, name=f"{text.name}, questions in {among[question].name}")
    for language in among.values():
        if language.name.casefold() == code.casefold():
            raise unknown(
                "language code", code, [language.code], hint=f"The code of {language.name} is {language.code}."
            )
    raise unknown("language code", code, among)


def parse_languages(
    text: str, known: tuple[str, ...], *, what: str, among: Mapping[str, Language] = LANGUAGES
) -> tuple[str, ...]:
    """Read ``all`` or a list such as ``de,sw`` and check it against the languages that ``what`` has.

    Args:
        text: what the user gave.
        known: codes of the languages that ``what`` has.
        what: for messages.
        among: the languages of the suite, by code.

    Raises:
        UnknownNameError: a code that does not exist, or that ``what`` does not have.
    """
    if text.strip() == "all":
        return known
    codes = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not codes:
        raise unknown("language code", text, known, hint=f"Give 'all' or codes such as '{','.join(known[:2])}'.")
    for code in codes:
        if get_language(code, among).code not in known:
            raise unknown(f"language of {what}", code, known, hint=f"{what} has: {', '.join(known)}.")
    return codes
