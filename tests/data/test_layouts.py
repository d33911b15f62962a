"""Rows of data sets that have none, by hand; and what is said where a data set is something else."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset

from adapterstilts.data.layouts import with_layout
from adapterstilts.errors import DataFormatError


def pools(gold: list[list[int]]) -> Dataset:
    return Dataset.from_list([{"sentence1": ["a", "b", "a"], "sentence2": ["A", "B"], "gold": gold}])


def paragraph(questions: dict[str, int]) -> dict[str, Any]:
    """Return a paragraph of three sentences, the first and the last the same, with questions answered at a place."""
    return {
        "context": "One.\nTwo. One.",
        "sentence_breaks": [[0, 4], [5, 9], [10, 14]],
        "qas": [
            {"id": key, "question": f"{key}?", "answers": [{"text": "x", "answer_start": at}]}
            for key, at in questions.items()
        ],
    }


def test_gold_pairs_are_counted_from_one() -> None:
    rows = with_layout("pool_sentences", pools([[1, 2], [3, 1], [3, 2]]), "zh")
    assert rows.to_list() == [
        {"id": "zh-1", "text": "a", "relevant": ["en-2"]},
        {"id": "zh-2", "text": "b", "relevant": []},
        {"id": "zh-3", "text": "a", "relevant": ["en-1", "en-2"]},
    ]
    assert with_layout("pool_candidates", pools([]), "zh").to_list() == [
        {"id": "en-1", "text": "A"},
        {"id": "en-2", "text": "B"},
    ]


def test_a_sentence_answers_by_its_words_and_is_followed_by_its_paragraph() -> None:
    """As in ``generate_examples`` and ``load_data`` of XTREME-R's ``utils_lareqa.py``."""
    articles = Dataset.from_list(
        [
            {"paragraphs": [paragraph({"p": 0, "q": 6, "lost": 4})]},
            {"paragraphs": [paragraph({"none": 99}), paragraph({"r": 13})]},
        ]
    )
    questions = with_layout("squad_questions", articles, "de").to_list()
    assert [(row["id"], row["text"], row["relevant"]) for row in questions] == [
        ("p", "p?", ["p"]),
        ("q", "q?", ["q"]),
        ("lost", "lost?", []),
        ("none", "none?", []),
        ("r", "r?", ["r"]),
    ]
    sentences = with_layout("squad_sentences", articles, "de").to_list()
    assert [(row["id"], row["answers"]) for row in sentences] == [
        ("de-1-0", ["p"]), ("de-1-1", ["q"]), ("de-1-2", ["p"]), ("de-3-0", ["r"]), ("de-3-1", []), ("de-3-2", ["r"]),
    ]  # fmt: skip
    assert [row["text"] for row in sentences[:2]] == ["One.One.Two. One.", "Two.One.Two. One."]


@pytest.mark.parametrize(
    ("layout", "raw", "says"),
    [
        ("pool_sentences", pools([[4, 1]]), "The gold pair 4, 1 of 'zh' lies outside"),
        ("pool_sentences", pools([[1, 0]]), "The gold pair 1, 0 of 'zh' lies outside"),
        ("pool_candidates", Dataset.from_list([{"sentence2": ["A"]}] * 2), "there are 2"),
        ("pool_sentences", Dataset.from_list([{"text": "A"}]), "not of the layout 'pool_sentences' .*columns are text"),
        ("squad_questions", Dataset.from_list([{"title": "A"}]), "not of the layout 'squad_questions'"),
        ("squad_sentences", Dataset.from_list([{"paragraphs": [{"context": "A"}]}]), "not of the layout"),
    ],
)
def test_what_is_no_such_data_set(layout: str, raw: Dataset, says: str) -> None:
    with pytest.raises(DataFormatError, match=says):
        with_layout(layout, raw, "zh")
