"""CCG categories of the words of the source language (Steedman 2000; Hockenmaier and Steedman 2007, J07-3004)."""

from __future__ import annotations

from adapterstilts.lab.grammar import Sentence, Token

_VERBS = {
    "intransitive": "S\\NP",
    "intransitive-place": "(S\\NP)/PP",
    "transitive": "(S\\NP)/NP",
    "transitive-place": "((S\\NP)/PP)/NP",
    "transitive-recipient": "((S\\NP)/PP)/NP",
    "be-quality": "(S\\NP)/(S[adj]\\NP)",
    "be-noun": "(S\\NP)/NP",
    "be-place": "(S\\NP)/PP",
}
_FIXED = {
    "article": "NP/N",
    "numeral": "N/N",
    "plural": "N/N",
    "adjective": "N/N",
    "noun": "N",
    "name": "NP",
    "organisation": "NP/NP",
    "linker": "(NP\\NP)/NP",
    "relativiser": "(NP\\NP)/(S\\NP)",
    "and": "conj",
    "negation": "(S\\NP)/(S\\NP)",
    "quality": "S[adj]\\NP",
    "adposition:argument": "PP/NP",
    "adposition:recipient": "PP/NP",
    "adposition:adjunct": "((S\\NP)\\(S\\NP))/NP",
    "time:front": "S/S",
    "time:end": "(S\\NP)\\(S\\NP)",
    "link:then": "conj",
    "link:because": "(S\\S)/S",
    "link:so": "(S\\S)/S",
    "whether": "S[q]\\S",
    "ask:subject": "S[wq]/(S\\NP)",
    "ask:object": "S[wq]/(S/NP)",
    "ask:number": "(S[wq]/(S/NP))/N",
    "ask:recipient": "(S[wq]/(S/PP))\\(PP/NP)",
    "ask:place": "S[wq]/S",
    "ask:means": "S[wq]/S",
    "ask:time": "S[wq]/S",
    "ask:reason": "S[wq]/S",
    "punctuation": ".",
}
#: What ``where`` is beside a verb that wants a place: ``be`` (others have the frame without one in such a question).
_WHERE_IS = "S[wq]/(S/PP)"
#: All categories, in a fixed order: the labels of the task.
CATEGORIES: tuple[str, ...] = tuple(dict.fromkeys((*_FIXED.values(), _WHERE_IS, *_VERBS.values())))


def supertags(sentence: Sentence) -> list[str]:
    """Return the category of each word of a sentence of the source language."""
    tokens = sentence.tokens
    found = [_category(token) for token in tokens]
    wants_place = any(token.use == "verb:be-place" for token in tokens)
    for index, token in enumerate(tokens):
        if wants_place and token.use == "ask:place":
            found[index] = _WHERE_IS
        if token.entity == "I-PER":  # a second name
            found[index - 1 : index + 1] = "N/N", "N"
    return found


def _category(token: Token) -> str:
    use, _, frame = token.use.partition(":")
    return _VERBS[frame] if use == "verb" else _FIXED[token.use]
