"""When to give no answer: the threshold of SQuAD 2.0's questions, fitted on validation rows of the source language.

The official script (Rajpurkar et al. 2018, https://arxiv.org/abs/1806.03822) looks for the threshold that is best on
the very predictions it scores. Here it is fitted on the validation rows that choose the checkpoint, kept with the
adapter, and used on all other rows; on the validation rows themselves the score is the script's ``best_f1``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from adapterstilts.evaluation.metrics import get_metric
from adapterstilts.tasks.formats import FORMATS, Answer

if TYPE_CHECKING:
    import numpy as np

    from adapterstilts.data.rows import Rows

NO_ANSWER_THRESHOLD = "no_answer_threshold"


def best_threshold(margins: np.ndarray, gains: np.ndarray) -> float:
    """Return the threshold that makes the sum of scores largest; the lowest of several.

    Args:
        margins: score of no answer minus that of the best text, shape (questions,); the text is given where the
            margin is at most the threshold.
        gains: what giving the text rather than no answer adds to the score, shape (questions,).
    """
    import numpy as np

    if not len(margins):
        return 0.0
    order = np.argsort(margins, kind="stable")
    ordered = margins[order]
    totals = np.cumsum(gains[order])
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # equal margins are answered together
    best = last[int(np.argmax(totals[last]))]
    return float(ordered[best]) if totals[best] > 0 else float(ordered[0]) - 1.0


def fit_threshold(rows: Rows, answers: Sequence[Answer]) -> float:
    """Return the threshold that gives the best F1 on rows with gold answers.

    Args:
        rows: of a task whose questions may have no answer.
        answers: the model's, one a row.
    """
    import numpy as np

    chosen = [position for position, answer in enumerate(answers) if answer.no_answer is not None]
    metric, table = get_metric(rows.task.metric), rows.table.select(chosen)
    column = metric.statistic_names.index("f1")

    def f1(texts: list[str]) -> np.ndarray:
        inputs = FORMATS[rows.task.format].metric_inputs(rows.task, table, texts)
        return metric.statistics(*inputs)[:, column]

    gains = f1([answers[position].alternative or "" for position in chosen]) - f1([""] * len(chosen))
    return best_threshold(np.array([answers[position].no_answer for position in chosen]), gains)


def with_threshold(answers: Sequence[Answer], threshold: float) -> list[Answer]:
    """Return the answers that a threshold gives; a changed answer loses its probability, which was another's."""
    changed = []
    for answer in answers:
        if answer.no_answer is None:
            changed.append(answer)
            continue
        text = "" if answer.no_answer > threshold else answer.alternative
        changed.append(answer if text == answer.value else replace(answer, value=text, score=None))
    return changed
