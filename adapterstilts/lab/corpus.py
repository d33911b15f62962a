"""Text for pretraining: documents of meanings, the same in all languages, of which each language says its share."""

from __future__ import annotations

import random
from collections.abc import Iterator

from adapterstilts.lab.concepts import FUNCTION_WORDS
from adapterstilts.lab.grammar import sentence
from adapterstilts.lab.languages import Language
from adapterstilts.lab.meaning import Clause, Meaning, but
from adapterstilts.lab.questions import ask, ask_fact, askable, facts
from adapterstilts.lab.teller import Story, Teller

Document = tuple[Meaning, ...]


def documents(seed: str) -> Iterator[Document]:
    """Yield documents without end: stories, most with questions about them and their answers; sentences; facts.

    The seeds of the tasks' rows begin with the task's name, those of pretraining text with ``corpus``, so that no
    story of pretraining is one of a task.
    """
    rng = random.Random(seed)
    teller = Teller(rng)
    known = facts()
    while True:
        kind = rng.random()
        if kind < 0.15:
            yield teller.story(rng.choice((4, 5, 6, 7))).sentences
        elif kind < 0.7:
            yield _read(rng, teller.story(rng.choice((2, 3, 4, 5))))
        elif kind < 0.85:
            yield tuple(sentence_or_question(rng, teller) for _ in range(rng.choice((2, 4, 6))))
        else:
            told: list[Meaning] = []
            for clause, role in rng.sample(known, rng.choice((2, 4))):
                told += [ask_fact(clause, role), clause] if rng.random() < 0.4 else [clause]
            yield tuple(told)


def _read(rng: random.Random, story: Story) -> Document:
    """Return a story with questions about two of its steps, in any order, and their answers.

    Both stand before or after it: whoever is to say a word of an answer must look it up in the story.
    """
    asked: list[Meaning] = []
    for step in rng.sample(story.steps, 2):
        if step.reason and step.event and rng.random() < 0.3:
            asked += [ask(step.clause, "reason"), step.reason]
        elif roles := askable(step.clause):
            asked += [ask(step.clause, rng.choice(roles)), step.clause]
    return (*story.sentences, *asked) if rng.random() < 0.5 else (*asked, *story.sentences)


def sentence_or_question(rng: random.Random, teller: Teller) -> Meaning:
    """Return a sentence that stands for itself, or now and then a question."""
    said = teller.sentence()
    if isinstance(said, Clause) and rng.random() < 0.25 and not said.negated:
        roles = askable(said)
        if roles and rng.random() < 0.7:
            return ask(said, rng.choice(roles))
        return but(said, polar=True)
    return said


def text(document: Document, language: Language) -> str:
    """Say a document in a language: sentences with a space between them, also where words have none."""
    return " ".join(sentence(meaning, language).text for meaning in document)


def text_with_meanings(document: Document, language: Language) -> tuple[str, list[tuple[int, int, str]]]:
    """Say a document in a language, and tell what its words mean.

    Returns:
        the text as ``text`` gives it, and the first character, the one after the last, and the concept of each word.
    """
    said: list[str] = []
    words: list[tuple[int, int, str]] = []
    begin = 0
    for meaning in document:
        spoken = sentence(meaning, language)
        for token, (start, end) in zip(spoken.tokens, spoken.spans, strict=True):
            if token.concept:
                words.append((begin + start, begin + end, token.concept))
        said.append(spoken.text)
        begin += len(said[-1]) + 1
    return " ".join(said), words


def switched_text(document: Document, language: Language, other: Language, share: float, rng: random.Random) -> str:
    """Say a document in the grammar of a language with some words of another.

    Args:
        document: what is said.
        language: whose grammar it has.
        other: whose words are mixed in, inflected as in that language.
        share: how likely a content word is the other's.
        rng: generator of which.
    """

    def words_of(concept: str) -> Language:
        content = concept not in FUNCTION_WORDS and not concept.startswith("name:")
        return other if content and rng.random() < share else language

    return " ".join(sentence(meaning, language, words_of).text for meaning in document)
