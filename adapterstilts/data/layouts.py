"""Rows made of data sets that have none: lists in one row, questions and sentences within documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import DataFormatError

if TYPE_CHECKING:
    from datasets import Dataset


def with_layout(name: str, raw: Dataset, language: str) -> Dataset:
    """Return the rows that a layout makes of what a data set stores.

    Args:
        name: of the layout, as a source of the catalogue says it.
        raw: what is stored for ``language``.
        language: its code, which ids begin with.

    Raises:
        DataFormatError: columns are missing, or hold something else.
    """
    try:
        return LAYOUTS[name](raw, language)
    except (KeyError, TypeError, IndexError) as error:
        raise DataFormatError(
            f"The data for '{language}' are not of the layout '{name}' ({type(error).__name__}: {error}); the columns "
            f"are {', '.join(raw.column_names)}."
        ) from error


def _pool_sentences(raw: Dataset, language: str) -> Dataset:
    """Return ``id``, ``text`` and ``relevant``, the ids of its translations, of mteb/BUCC's first list.

    Sentences are counted from 1, as the gold pairs count them.
    """
    (row,) = _one(raw)
    relevant: list[list[str]] = [[] for _ in row["sentence1"]]
    for own, other in row["gold"]:
        if not (0 < own <= len(relevant) and 0 < other <= len(row["sentence2"])):
            raise DataFormatError(f"The gold pair {own}, {other} of '{language}' lies outside the lists of sentences.")
        relevant[own - 1].append(f"en-{other}")
    return _table({"id": _numbered(language, len(relevant)), "text": row["sentence1"]}, "relevant", relevant)


def _pool_candidates(raw: Dataset, language: str) -> Dataset:
    """Return ``id`` and ``text`` of mteb/BUCC's second list, English sentences, counted from 1."""
    (row,) = _one(raw)
    return _table({"id": _numbered("en", len(row["sentence2"])), "text": row["sentence2"]})


def _squad_questions(raw: Dataset, language: str) -> Dataset:
    """Return ``id``, ``text`` and ``relevant`` of LAReQA's questions: what answers a question is known by its id.

    A question whose answer begins in no sentence has nothing relevant, as in LAReQA's ``generate_examples``.
    """
    questions = [(question, found) for _, paragraph in _paragraphs(raw) for question, found in _located(paragraph)]
    texts = {name: [question[key] for question, _ in questions] for name, key in (("id", "id"), ("text", "question"))}
    return _table(texts, "relevant", [[] if found is None else [question["id"]] for question, found in questions])


def _squad_sentences(raw: Dataset, language: str) -> Dataset:
    """Return ``id``, ``text`` and ``answers``, ids of questions, of the sentences of LAReQA's paragraphs.

    The text is the sentence and then its whole paragraph, without a space, as XTREME-R's ``evaluate_retrieval.py``
    encodes a candidate. A sentence answers a question if it is, to the letter, the one that the answer begins in.
    """
    ids, texts, answers = [], [], []
    for number, paragraph in _paragraphs(raw):
        context = paragraph["context"]
        located = [(question["id"], found) for question, found in _located(paragraph) if found is not None]
        for position, (start, end) in enumerate(paragraph["sentence_breaks"] if located else ()):
            sentence = context[start:end]
            ids.append(f"{language}-{number}-{position}")
            texts.append((sentence + context).replace("\n", ""))
            answers.append([question for question, found in located if found == sentence])
    return _table({"id": ids, "text": texts}, "answers", answers)


def _paragraphs(raw: Dataset) -> Iterator[tuple[int, Mapping[str, Any]]]:
    paragraphs = (paragraph for article in raw for paragraph in article["paragraphs"])
    return enumerate(paragraphs, start=1)


def _located(paragraph: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """Yield the questions of a paragraph, each with the sentence that its answer begins in."""
    for question in paragraph["qas"]:
        first = question["answers"][0]["answer_start"]
        spans = [(start, end) for start, end in paragraph["sentence_breaks"] if start <= first < end]
        yield question, paragraph["context"][slice(*spans[0])] if spans else None


def _one(raw: Dataset) -> list[dict[str, Any]]:
    if len(raw) != 1:
        raise DataFormatError(f"One row with the lists of all sentences is needed; there are {len(raw)}.")
    return [raw[0]]


def _numbered(language: str, count: int) -> list[str]:
    return [f"{language}-{number}" for number in range(1, count + 1)]


def _table(texts: dict[str, list[str]], lists: str = "", values: list[list[str]] | None = None) -> Dataset:
    from datasets import Dataset, Features, List, Value

    kinds: dict[str, Any] = dict.fromkeys(texts, Value("string"))
    columns: dict[str, Any] = dict(texts)
    if values is not None:
        kinds[lists], columns[lists] = List(Value("string")), values
    return Dataset.from_dict(columns, features=Features(kinds))


LAYOUTS: Mapping[str, Callable[[Dataset, str], Dataset]] = {
    "pool_sentences": _pool_sentences,
    "pool_candidates": _pool_candidates,
    "squad_questions": _squad_questions,
    "squad_sentences": _squad_sentences,
}
