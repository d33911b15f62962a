"""Gold answers, to token ids and back: what is lost, and why."""

from __future__ import annotations

from typing import Any

import pytest
from toy_tokenizers import make_tokenizer, make_wordpiece

from adapterstilts.data.rows import Rows, to_table
from adapterstilts.studies.answer_offsets import AnswersBack, answers_back
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import EncodingSettings

SQUAD = get_task("squad")


def rows_of(*asked: tuple[str, str, int], language: str = "en") -> Rows:
    """Return questions of SQuAD: context, answer and where it stands."""
    rows: list[dict[str, Any]] = [
        {
            "id": f"q{number}",
            "language": language,
            "question": "Which?",
            "context": context,
            "answers": {"text": [text], "answer_start": [start]},
        }
        for number, (context, text, start) in enumerate(asked)
    ]
    return Rows(SQUAD, "validation", to_table(SQUAD, rows), (language,))


def test_answers_that_come_back() -> None:
    rows = rows_of(("the Alpha house", "Alpha", 4), ("a cat", "cat", 2), ("the Alpha\u200b", "Alpha\u200b", 4))
    assert answers_back(rows, make_wordpiece(), EncodingSettings()) == {"en": AnswersBack(3, (), 0)}


@pytest.mark.parametrize(
    ("context", "text", "start", "decoded", "reason", "scored_right"),
    [
        ("the Alpha house", "Alpha", 3, "", "not in the context where the data say", False),
        ("the houses", "house", 4, "houses", "starts or ends inside a word", False),
        ("the cats", "cat", 4, "cats", "starts or ends inside a word", False),
        ("the cat's", "cat", 4, "cat's", "starts or ends inside a token", False),
        ("the cat.", "cat", 4, "cat.", "starts or ends inside a token", True),
    ],
)
def test_answers_that_do_not(
    context: str, text: str, start: int, decoded: str, reason: str, scored_right: bool
) -> None:
    tokenizer = make_tokenizer(("▁houses", "▁cats", "▁cat's", "▁cat."))
    back = answers_back(rows_of((context, text, start)), tokenizer, EncodingSettings())["en"]
    assert [(one.id, one.gold, one.reason, one.scored_right) for one in back.lost] == [
        ("q0", text, reason, scored_right)
    ]
    if decoded:
        assert back.lost[0].decoded == decoded
    assert (back.exact, back.scored) == (0.0, 100.0 * scored_right)
    assert back.whole_words == (0.0 if reason.endswith("token") and not scored_right else 100.0)
    assert back.reasons == {reason: 1}


def test_an_answer_longer_than_the_overlap_of_windows_is_lost() -> None:
    text = "the cat sees " * 10
    settings = EncodingSettings(max_length=20, doc_stride=0)
    back = answers_back(rows_of((text, text[:103], 0)), make_wordpiece(), settings)["en"]
    assert back.reasons == {"no window holds it": 1}


def test_the_limit_on_length_is_lifted_and_counted_apart() -> None:
    text = "the cat sees " * 4
    settings = EncodingSettings(max_answer_length=11)
    rows = rows_of((text, text.strip(), 0), (text, text[:25].strip(), 0))
    assert answers_back(rows, make_wordpiece(), settings)["en"] == AnswersBack(2, (), 1)


def test_a_combining_mark_is_of_the_word_that_it_ends() -> None:
    """अं is one letter with its mark; the answer begins behind it, within the word."""
    tokenizer = make_tokenizer(("▁अंतर",))
    (lost,) = answers_back(rows_of(("अंतर", "तर", 2), language="hi"), tokenizer, EncodingSettings())["hi"].lost
    assert (lost.decoded, lost.reason) == ("अंतर", "starts or ends inside a word")


def test_edges_of_words_where_no_spaces_are_written() -> None:
    """The sign 病毒 in 病毒包 may be a word or not; 2 in 2007 is none."""
    tokenizer = make_tokenizer(("病毒包", "2007"))
    rows = rows_of(("猫病毒包", "病毒", 1), ("猫2007猫", "2", 1), language="zh")
    reasons = [one.reason for one in answers_back(rows, tokenizer, EncodingSettings())["zh"].lost]
    assert reasons == ["starts or ends inside a token", "starts or ends inside a word"]
