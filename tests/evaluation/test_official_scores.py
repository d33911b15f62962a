"""GLUE's scores of QQP, SQuAD 2.0's and MLQA's scripts, CCG, Tatoeba and BUCC against slow obvious definitions."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.errors import DataFormatError
from adapterstilts.evaluation.metrics import get_metric
from adapterstilts.evaluation.metrics.mlqa import normalize_mlqa
from adapterstilts.evaluation.metrics.squad import normalize_answer

WORDS = [
    "the",
    "a",
    "cat",
    "Cat",
    "dog",
    "food",
    ",",
    "!",
    "«",
    "la",
    "die",
    "der",
    "ال",
    "القط",
    "猫",
    "狗。",
    "của",
    "है",
]
texts = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
golds = st.lists(texts, max_size=3)


def question(number: int, gold: list[str], **more: Any) -> dict[str, Any]:
    return {"id": str(number), "answers": {"text": gold, "answer_start": [0] * len(gold)}, **more}


def said(answers: list[str]) -> list[dict[str, str]]:
    return [{"id": str(number), "prediction_text": text} for number, text in enumerate(answers)]


# QQP


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=12))
def test_accuracy_and_f1_of_paraphrases(pairs: list[tuple[int, int]]) -> None:
    predictions, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    right = sum(pair == (1, 1) for pair in pairs)
    precision = right / sum(predictions) if sum(predictions) else 0.0
    recall = right / sum(references) if sum(references) else 0.0
    f1 = 100 * 2 * precision * recall / (precision + recall) if right else 0.0
    accuracy = 100 * sum(one == other for one, other in pairs) / len(pairs)
    found = get_metric("accuracy_f1").score(predictions, references)
    assert found == pytest.approx({"accuracy_f1": (accuracy + f1) / 2, "accuracy": accuracy, "f1": f1})
    assert next(iter(found)) == "accuracy_f1"


# SQuAD 2.0


def official_v2(predictions: list[str], questions: list[list[str]]) -> dict[str, float]:
    """``get_raw_scores`` and ``make_eval_dict`` of evaluate-v2.0.py; 0 where it leaves a score out."""

    def one(prediction: str, gold: str) -> tuple[float, float]:
        ours, theirs = normalize_answer(prediction).split(), normalize_answer(gold).split()
        exact = float(normalize_answer(prediction) == normalize_answer(gold))
        if not ours or not theirs:
            return float(ours == theirs), exact
        same = sum((Counter(ours) & Counter(theirs)).values())
        if not same:
            return 0.0, exact
        precision, recall = same / len(ours), same / len(theirs)
        return 2 * precision * recall / (precision + recall), exact

    rows = []
    for prediction, gold in zip(predictions, questions, strict=True):
        counted = [text for text in gold if normalize_answer(text)] or [""]
        scores = [one(prediction, text) for text in counted]
        rows.append((bool(gold), max(score[0] for score in scores), max(score[1] for score in scores)))

    def mean(column: int, chosen: list[tuple[bool, float, float]]) -> float:
        return 100 * sum(row[column] for row in chosen) / len(chosen) if chosen else 0.0

    has, no = [row for row in rows if row[0]], [row for row in rows if not row[0]]
    return {
        "f1": mean(1, rows),
        "exact_match": mean(2, rows),
        "HasAns_f1": mean(1, has),
        "HasAns_exact": mean(2, has),
        "NoAns_f1": mean(1, no),
        "NoAns_exact": mean(2, no),
    }


@given(st.lists(st.tuples(texts, golds), min_size=1, max_size=6))
def test_squad_2_equals_the_official_script(rows: list[tuple[str, list[str]]]) -> None:
    predictions, questions = [row[0] for row in rows], [row[1] for row in rows]
    references = [question(number, gold) for number, gold in enumerate(questions)]
    found = get_metric("squad_v2").score(said(predictions), references)
    assert found == pytest.approx(official_v2(predictions, questions))


def test_only_articles_are_an_empty_answer_in_version_2_and_not_in_1() -> None:
    references, predictions = [question(0, ["the"])], said([""])
    assert get_metric("squad_v2").score(predictions, references)["f1"] == 100.0
    assert get_metric("squad").score(predictions, references)["f1"] == 0.0


def test_questions_without_an_answer_are_scored_apart() -> None:
    references = [question(0, ["cat food"]), question(1, []), question(2, [])]
    assert get_metric("squad_v2").score(said(["cat", "", "dog"]), references) == pytest.approx(
        {
            "f1": 100 * (2 / 3 + 1) / 3,
            "exact_match": 100 / 3,
            "HasAns_f1": 200 / 3,
            "HasAns_exact": 0.0,
            "NoAns_f1": 50.0,
            "NoAns_exact": 50.0,
        }
    )


# MLQA


def official_mlqa(text: str, language: str) -> str:
    """``normalize_answer`` of mlqa_evaluation_v1.py, character by character."""
    articles = {
        "en": r"\b(a|an|the)\b",
        "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
        "vi": r"\b(của|là|cái|chiếc|những)\b",
        "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
        "ar": "\\sال^|ال",
    }
    text = "".join(
        char
        for char in text.lower()
        if not unicodedata.category(char).startswith("P") and char not in string.punctuation
    )
    if language in articles:
        text = re.sub(articles[language], " ", text)
    if language != "zh":
        return " ".join(text.split())
    pieces, open_piece = [], ""
    for char in text:
        if "\u4e00" <= char <= "\u9fa5":
            pieces += [*open_piece.split(), char]
            open_piece = ""
        else:
            open_piece += char
    return " ".join([*pieces, *open_piece.split()])


LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")


@given(texts | st.text(max_size=12), st.sampled_from(LANGUAGES))
def test_texts_of_mlqa_are_normalised_as_by_its_script(text: str, language: str) -> None:
    assert normalize_mlqa(text, language) == official_mlqa(text, language)


@pytest.mark.parametrize(
    ("language", "text", "normal"),
    [
        ("de", "Der Hund, die Katze!", "hund katze"),
        ("en", "The «cat» (a dog)", "cat dog"),
        ("es", "la casa del Sol", "casa del sol"),
        ("vi", "những con mèo của tôi", "con mèo tôi"),
        ("hi", "बिल्ली, है।", "बिल्ली है"),
        ("ar", "القط في البيت", "قط في بيت"),
        ("ar", "خالد", "خ د"),
        ("zh", "1990年的《红楼梦》", "1990 年 的 红 楼 梦"),
    ],
)
def test_normal_forms_by_language(language: str, text: str, normal: str) -> None:
    assert normalize_mlqa(text, language) == normal


@given(st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3), st.sampled_from(LANGUAGES)), max_size=5))
def test_mlqa_equals_its_script(rows: list[tuple[str, list[str], str]]) -> None:
    def f1(prediction: str, gold: str, language: str) -> float:
        ours, theirs = official_mlqa(prediction, language).split(), official_mlqa(gold, language).split()
        same = sum((Counter(ours) & Counter(theirs)).values())
        return 2 * (same / len(ours)) * (same / len(theirs)) / (same / len(ours) + same / len(theirs)) if same else 0.0

    references = [question(number, gold, language=language) for number, (_, gold, language) in enumerate(rows)]
    found = get_metric("mlqa").score(said([row[0] for row in rows]), references)
    number = max(len(rows), 1)
    exact = sum(any(official_mlqa(p, c) == official_mlqa(g, c) for g in gold) for p, gold, c in rows)
    best = sum(max(f1(p, g, c) for g in gold) for p, gold, c in rows)
    assert found == pytest.approx({"f1": 100 * best / number, "exact_match": 100 * exact / number})


def test_mlqa_knows_seven_languages_and_no_question_without_an_answer() -> None:
    metric = get_metric("mlqa")
    with pytest.raises(DataFormatError, match=r"no rules for the language 'sw'; it has ar, de, en, es, hi, vi, zh"):
        metric.score(said(["a"]), [question(0, ["a"], language="sw")])
    with pytest.raises(DataFormatError, match=r"'0' has no gold answer"):
        metric.score(said(["a"]), [question(0, [], language="de")])
    lab = question(0, ["the cat"], language="qob")
    assert metric.score(said(["The  cat."]), [lab])["exact_match"] == 100
    assert metric.score(said(["cat"]), [lab])["f1"] == pytest.approx(200 / 3), "no word of the lab is an article"


# CCG, Tatoeba, BUCC


def test_token_accuracy_counts_words_and_not_sentences() -> None:
    metric = get_metric("token_accuracy")
    assert metric.score([["N", "N"], ["S"]], [["N", "NP"], ["S"]]) == pytest.approx({"token_accuracy": 200 / 3})
    with pytest.raises(DataFormatError, match=r"Sentence 1 .* has 1 predicted tags for 2 tokens"):
        metric.score([["N"]], [["N", "N"]])


def test_another_row_with_the_same_translation_is_wrong() -> None:
    assert get_metric("retrieval_accuracy").score(["a", "a"], ["a", "b"]) == {"accuracy": 50.0}


@given(st.lists(st.integers(-1, 9), min_size=1, max_size=10))
def test_bucc_is_the_f1_of_sets_of_pairs(found: list[int]) -> None:
    """``found[i]`` is the row whose translation was mined for sentence i, -1 for none."""
    mined = {(at, row) for at, row in enumerate(found) if row >= 0}
    gold = {(at, at) for at in range(len(found))}
    precision = len(mined & gold) / len(mined) if mined else 0.0
    recall = len(mined & gold) / len(gold)
    f1 = 2 * precision * recall / (precision + recall) if mined & gold else 0.0
    scores = get_metric("bucc_f1").score(
        [str(row) if row >= 0 else "" for row in found], [str(at) for at in range(len(found))]
    )
    assert scores == pytest.approx({"f1": 100 * f1, "precision": 100 * precision, "recall": 100 * recall})
