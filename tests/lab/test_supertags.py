"""Supertags: by hand, and whether the words of a sentence combine to one with them."""

from __future__ import annotations

import functools
import random
from itertools import product

import pytest

from adapterstilts.lab.corpus import sentence_or_question
from adapterstilts.lab.grammar import sentence
from adapterstilts.lab.languages import LANGUAGES, SOURCE
from adapterstilts.lab.meaning import Clause, Compound, Meaning, Noun, Place, name
from adapterstilts.lab.questions import ask_fact, facts
from adapterstilts.lab.supertags import CATEGORIES, supertags
from adapterstilts.lab.teller import Teller

HERE = LANGUAGES[SOURCE]


@pytest.mark.parametrize(
    ("meaning", "tags"),
    [
        (Clause("sleep", Noun("dog", adjective="old")), ["NP/N", "N/N", "N", "S\\NP", "."]),
        (
            Clause("give", Noun(name(1)), Noun("cup"), recipient=Noun("dog")),
            ["NP", "((S\\NP)/PP)/NP", "NP/N", "N", "PP/NP", "NP/N", "N", "."],
        ),
        (
            Clause("see", Noun(name(1)), Noun(name(2)), place=Place("in", Noun(name(3))), time="night"),
            ["NP", "(S\\NP)/NP", "NP", "((S\\NP)\\(S\\NP))/NP", "NP", "(S\\NP)\\(S\\NP)", "."],
        ),
        (Clause("go", Noun(name(1)), place=Place("to", Noun(name(3)))), ["NP", "(S\\NP)/PP", "PP/NP", "NP", "."]),
        (
            Compound("because", Clause("sleep", Noun(name(1))), Clause("be", Noun(name(1)), quality="tired")),
            ["NP", "S\\NP", "(S\\S)/S", "NP", "(S\\NP)/(S[adj]\\NP)", "S[adj]\\NP", "."],
        ),
        (
            Clause("sleep", Noun("dog", relative=Clause("work")), negated=True),
            ["NP/N", "N", "(NP\\NP)/(S\\NP)", "S\\NP", "(S\\NP)/(S\\NP)", "S\\NP", "."],
        ),
        (Clause("see", Noun(name(1)), asked="object"), ["S[wq]/(S/NP)", "NP", "(S\\NP)/NP", "."]),
        (Clause("be", Noun(name(1)), asked="place"), ["S[wq]/(S/PP)", "NP", "(S\\NP)/PP", "."]),
        (
            Clause("give", Noun(name(1)), Noun(name(2)), asked="recipient"),
            ["PP/NP", "(S[wq]/(S/PP))\\(PP/NP)", "NP", "((S\\NP)/PP)/NP", "NP", "."],
        ),
        (Clause("see", Noun(name(1), surname=name(35)), Noun(name(2))), ["N/N", "N", "(S\\NP)/NP", "NP", "."]),
        (Clause("sleep", Noun(name(1), organisation="bank"), polar=True), ["NP/NP", "NP", "S\\NP", "S[q]\\S", "."]),
    ],
)
def test_supertags(meaning: Meaning, tags: list[str]) -> None:
    assert supertags(sentence(meaning, HERE)) == tags


# A category is a string, or (result, slash, argument). Combinators: Steedman 2000, chapter 4.

Category = str | tuple


@functools.cache
def category(text: str) -> Category:
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if text[at] in "/\\" and not depth:
            return category(_open(text[:at])), text[at], category(_open(text[at + 1 :]))
    return text


def _open(text: str) -> str:
    return text[1:-1] if text.startswith("(") else text


S, NP, N, PP = "S", "NP", "N", "PP"
VP = (S, "\\", NP)
#: Type raising of subjects, and of the phrases that follow an object.
RAISED: dict[Category, list[Category]] = {NP: [(S, "/", VP)], PP: [(VP, "\\", (VP, "/", PP))]}


@functools.cache
def combined(left: Category, right: Category) -> frozenset[Category]:
    found: set[Category] = set()
    if isinstance(left, tuple) and left[1] == "/":
        if left[2] == right:
            found.add(left[0])
        if isinstance(right, tuple) and right[0] == left[2]:  # composition, also crossed
            found.add((left[0], right[1], right[2]))
    if isinstance(right, tuple) and right[1] == "\\":
        if right[2] == left:
            found.add(right[0])
        if isinstance(left, tuple) and left[0] == right[2] and left[1] == "/":  # crossed
            found.add((right[0], "/", left[2]))
    if left == "conj":
        found.add((right, "\\", right))
    return frozenset(found)


def with_unary(found: set[Category]) -> set[Category]:
    found = found | ({NP} if N in found else set())
    return found | {raised for one in found for raised in RAISED.get(one, ())}


def derives(tags: list[str]) -> set[Category]:
    """Return the categories of the whole sentence (CKY)."""
    words = [category(tag) for tag in tags[:-1]]
    table = {(i, i + 1): with_unary({word}) for i, word in enumerate(words)}
    for size in range(2, len(words) + 1):
        for start in range(len(words) - size + 1):
            end = start + size
            found: set[Category] = set()
            for middle in range(start + 1, end):
                for left, right in product(table[start, middle], table[middle, end]):
                    found |= combined(left, right)
            table[start, end] = with_unary(found)
    return table[0, len(words)]


def test_sentences_can_be_derived() -> None:
    rng = random.Random("tests supertags")
    teller = Teller(rng)
    said: list[Meaning] = [sentence_or_question(rng, teller) for _ in range(250)]
    said += [meaning for _ in range(10) for meaning in teller.story(5).sentences]
    for clause, role in facts()[::6]:
        said += [clause, ask_fact(clause, role)]
    used = set()
    for meaning in said:
        spoken = sentence(meaning, HERE)
        tags = supertags(spoken)
        used |= set(tags)
        wanted = {"S[wq]"} if isinstance(meaning, Clause) and meaning.asked else {"S", "S[q]"}
        assert wanted & derives(tags), " ".join(f"{t.gloss}:{tag}" for t, tag in zip(spoken.tokens, tags, strict=True))
    assert used <= set(CATEGORIES)
    assert len(CATEGORIES) == len(set(CATEGORIES))
