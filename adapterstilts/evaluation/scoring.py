"""Rows, logits and scores put together: how validation while training and zero-shot evaluation both score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from adapterstilts.evaluation.inference import predict_logits
from adapterstilts.evaluation.metrics import get_metric
from adapterstilts.evaluation.unanswerable import NO_ANSWER_THRESHOLD, fit_threshold, with_threshold
from adapterstilts.tasks.formats import FORMATS, Answer, Encoded, EncodingSettings

if TYPE_CHECKING:
    import numpy as np

    from adapterstilts.data.rows import Rows
    from adapterstilts.models.backbone import ComposedModel
    from adapterstilts.models.row_states import RowStates


def answer_rows(
    composed: ComposedModel,
    rows: Rows,
    encoded: Encoded,
    settings: EncodingSettings,
    *,
    batch_size: int,
    precision: str,
    lower: RowStates | None = None,
) -> list[Answer]:
    """Return the model's answer to each row, in their order."""
    logits = predict_logits(composed, encoded, batch_size=batch_size, precision=precision, lower=lower)
    return decoded(rows, encoded, logits, settings)


def decoded(
    rows: Rows,
    encoded: Encoded,
    logits: Sequence[np.ndarray],
    settings: EncodingSettings,
    threshold: float | None = None,
) -> list[Answer]:
    """Return the answer that logits give to each row, in their order; none where no answer scores above a threshold."""
    answers = FORMATS[rows.task.format].decode(rows.task, rows.table, encoded, logits, settings)
    return answers if threshold is None else with_threshold(answers, threshold)


def statistics_by_language(rows: Rows, values: Sequence[object]) -> dict[str, np.ndarray]:
    """Return the metric's additive statistics, (examples, statistics), of each language.

    Args:
        rows: rows of any number of languages.
        values: the answer to each.
    """
    metric = get_metric(rows.task.metric)
    statistics = {}
    for language in rows.languages:
        positions = rows.of_language(language)
        chosen = [values[position] for position in positions]
        statistics[language] = metric.statistics(
            *FORMATS[rows.task.format].metric_inputs(rows.task, rows.table.select(positions), chosen)
        )
    return statistics


def scores_of(task_metric: str, statistics: np.ndarray) -> dict[str, float]:
    """Return the scores (0-100) that statistics add up to, the main one first."""
    metric = get_metric(task_metric)
    scores = {name: float(value) for name, value in metric.scores(statistics.sum(axis=0)).items()}
    return {metric.main: scores[metric.main]} | scores


def validation_scores(
    composed: ComposedModel,
    rows: Rows,
    encoded: Encoded,
    settings: EncodingSettings,
    *,
    batch_size: int,
    precision: str,
    lower: RowStates | None = None,
) -> Mapping[str, float]:
    """Return the scores on rows of one language, the main score first.

    Where questions may have no answer, the threshold for that is fitted on these rows and stands beside the scores.
    """
    answers = answer_rows(composed, rows, encoded, settings, batch_size=batch_size, precision=precision, lower=lower)
    fitted: dict[str, float] = {}
    if rows.task.unanswerable:
        fitted[NO_ANSWER_THRESHOLD] = fit_threshold(rows, answers)
        answers = with_threshold(answers, fitted[NO_ANSWER_THRESHOLD])
    (statistics,) = statistics_by_language(rows, [answer.value for answer in answers]).values()
    return scores_of(rows.task.metric, statistics) | fitted
