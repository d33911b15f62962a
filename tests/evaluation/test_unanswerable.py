"""The threshold for no answer: the best of all, as the official script finds it, and what it changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.data.rows import Rows, to_table
from adapterstilts.evaluation.unanswerable import best_threshold, fit_threshold, with_threshold
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import Answer

margin = st.integers(-4, 4).map(float)


@given(st.lists(st.tuples(margin, st.sampled_from([-1.0, 0.0, 0.5, 1.0])), max_size=10))
def test_no_other_threshold_is_better(rows: list[tuple[float, float]]) -> None:
    margins, gains = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])

    def total(threshold: float) -> float:
        return float(gains[margins <= threshold].sum()) if rows else 0.0

    assert total(best_threshold(margins, gains)) == max(map(total, [-9.0, *margins, 9.0]))


@given(st.lists(st.tuples(st.integers(-50, 50), st.booleans(), st.sampled_from([0.0, 0.4, 1.0])), max_size=10))
def test_as_the_official_script_finds_it(rows: list[tuple[int, bool, float]]) -> None:
    """``find_best_thresh``: all questions without an answer first, then one text after the other is given."""
    rows = list({row[0]: row for row in rows}.values())  # the script takes equal margins one by one
    current = best = sum(not answerable for _, answerable, _ in rows)
    for _, answerable, score in sorted(rows):
        current += score if answerable else -1
        best = max(best, current)
    margins = np.array([float(row[0]) for row in rows])
    gains = np.array([score if answerable else -1.0 for _, answerable, score in rows])
    threshold = best_threshold(margins, gains)
    given_score = sum(
        (score if answerable else 0) if value <= threshold else (not answerable) for value, answerable, score in rows
    )
    assert given_score == pytest.approx(best)


def test_a_threshold_turns_answers_into_none_and_back() -> None:
    answers = [
        Answer("cat", 0.9, "cat", -2.0),
        Answer("", 0.6, "dog", 1.0),
        Answer("", 0.7, "cow", 3.0),
        Answer("x", 1.0),
    ]
    changed = with_threshold(answers, 1.0)
    assert [answer.value for answer in changed] == ["cat", "dog", "", "x"]
    assert [answer.score for answer in changed] == [0.9, None, 0.7, 1.0]
    assert [answer.value for answer in with_threshold(answers, -3.0)] == ["", "", "", "x"]


def test_the_threshold_is_fitted_on_f1() -> None:
    task = get_task("squad2")
    golds = [["cat"], [], ["dog"]]
    rows = [
        {
            "id": str(at),
            "language": "en",
            "question": "?",
            "context": "cat dog",
            "answers": {"text": gold, "answer_start": [0] * len(gold)},
        }
        for at, gold in enumerate(golds)
    ]
    table = Rows(task, "validation", to_table(task, rows), ("en",))
    answers = [Answer("cat", 0.9, "cat", -1.0), Answer("dog", 0.9, "dog", 2.0), Answer("", 0.9, "dog", 1.0)]
    assert fit_threshold(table, answers) == 1.0
    assert fit_threshold(table, [answers[0], Answer(""), Answer("")]) == -1.0
