"""Exact match and F1 of extractive question answering, as the official SQuAD scripts compute them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import datasets
import numpy as np

from adapterstilts.errors import DataFormatError
from adapterstilts.evaluation.metrics.base import ExampleMetric, Examples, percent

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_IDS_SHOWN = 3
KEPT_TEXTS = 2**16
"""Gold answers are the same for every composition that is scored, and answers are often the same."""


@lru_cache(maxsize=KEPT_TEXTS)
def normalize_answer(text: str) -> str:
    """Return ``text`` in lower case, without ASCII punctuation and English articles, with single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, golds: Sequence[str]) -> float:
    """Return 1.0 if the prediction equals one of the gold answers after normalisation, else 0.0.

    Without gold answers (SQuAD 2.0) the one right answer is the empty one.
    """
    return float(normalize_answer(prediction) in {normalize_answer(gold) for gold in golds or [""]})


def f1(prediction: str, golds: Sequence[str]) -> float:
    """Return the F1 (0-1) of the bags of normalised words, the best over the gold answers.

    With gold answers this is version 1.1 of the official script: no common word gives 0, also when both sides
    normalise to nothing. Without gold answers it is version 2.0: 1.0 if the prediction normalises to nothing.
    """
    if not golds:
        return exact_match(prediction, golds)
    words = normalize_answer(prediction).split()
    return max(word_f1(words, normalize_answer(gold).split()) for gold in golds)


def word_f1(words: list[str], gold_words: list[str]) -> float:
    """Return the F1 (0-1) of two bags of words; 0.0 where they have none in common."""
    common = (Counter(words) & Counter(gold_words)).total()
    if common == 0:
        return 0.0
    precision, recall = common / len(words), common / len(gold_words)
    return 2 * precision * recall / (precision + recall)


class SquadMetric(ExampleMetric):
    """Mean F1 and exact match over questions, in percent.

    A question with gold answers is scored as by the official ``evaluate-v1.1.py`` (which XTREME uses for XQuAD and
    TyDiQA-GoldP). A question without any is scored as by the official ``evaluate-v2.0.py``: right exactly when the
    prediction is empty after normalisation. The two scripts differ in one more case, where 1.1 is followed: a gold
    answer that normalises to nothing ("the") still counts here, while 2.0 drops it. MLQA has a script of its own,
    with articles and punctuation of each language (``MlqaMetric``). Unlike the scripts, which score a question
    without prediction as 0, missing predictions are an error.

    A prediction is ``{"id": str, "prediction_text": str}``; a reference is
    ``{"id": str, "answers": {"text": [str], "answer_start": [int]}}``. They are matched by id, in any order.

    Rajpurkar et al. 2016, arXiv 1606.05250; Rajpurkar et al. 2018, arXiv 1806.03822.
    """

    statistic_names: tuple[str, ...] = ("examples", "f1", "exact_match")
    main = "f1"
    score_names: tuple[str, ...] = ("f1", "exact_match")
    citation = "Rajpurkar et al. 2016, arXiv 1606.05250; Rajpurkar et al. 2018, arXiv 1806.03822"

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return (1, F1, exact match) of each question, shape (examples, 3), in the order of the references.

        Raises:
            DataFormatError: if the ids of predictions and references are not the same, or an id comes twice.
        """
        texts = _texts_by_id(predictions, references)
        rows = [self.statistics_of(texts[reference["id"]], reference) for reference in references]
        return np.array(rows, dtype=np.float64).reshape(-1, len(self.statistic_names))

    def statistics_of(self, prediction: str, reference: Any) -> tuple[float, ...]:
        """Return the statistics of one question."""
        golds = list(reference["answers"]["text"])
        return (1.0, f1(prediction, golds), exact_match(prediction, golds))

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return F1 and exact match in percent from sums of shape (..., 3)."""
        examples, f1_total, exact_total = np.moveaxis(np.asarray(totals), -1, 0)
        return {"f1": percent(f1_total, examples), "exact_match": percent(exact_total, examples)}

    def features_of_inputs(self) -> datasets.Features:
        """Return the columns of ``evaluate``'s own ``squad`` metric."""
        text, answers = datasets.Value("string"), datasets.Sequence(datasets.Value("string"))
        starts = datasets.Sequence(datasets.Value("int32"))
        return datasets.Features(
            {
                "predictions": {"id": text, "prediction_text": text},
                "references": {"id": text, "answers": {"text": answers, "answer_start": starts}},
            }
        )

    def check_pairs(self, predictions: Examples, references: Examples) -> None:
        """Raise DataFormatError, which names the ids, if there are more predictions than references, or fewer."""
        if len(predictions) != len(references):
            _texts_by_id(predictions, references)


class SquadV2Metric(SquadMetric):
    """Mean F1 and exact match over questions with and without an answer, in percent, as ``evaluate-v2.0.py``.

    ``HasAns`` scores are over the questions that have gold answers, ``NoAns`` scores over those that have none; the
    script leaves them out where there is no such question, here they are 0 then. Gold answers that normalise to
    nothing do not count, and where none is left the empty answer is right. Predictions are scored as they are: the
    threshold above which a question gets no answer is the model's business (``adapterstilts.evaluation.unanswerable``).

    Predictions and references as for ``SquadMetric``. Rajpurkar et al. 2018, arXiv 1806.03822.
    """

    statistic_names = ("examples", "f1", "exact_match", "answerable", "answerable_f1", "answerable_exact")
    score_names = ("f1", "exact_match", "HasAns_f1", "HasAns_exact", "NoAns_f1", "NoAns_exact")
    citation = "Rajpurkar et al. 2018, arXiv 1806.03822"

    def statistics_of(self, prediction: str, reference: Any) -> tuple[float, ...]:
        """Return (1, F1, exact match, has an answer, F1 if so, exact match if so) of one question."""
        texts = list(reference["answers"]["text"])
        golds = [text for text in texts if normalize_answer(text)]
        both = (f1(prediction, golds), exact_match(prediction, golds))
        return (1.0, *both, 1.0, *both) if texts else (1.0, *both, 0.0, 0.0, 0.0)

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return ``score_names`` in percent from sums of shape (..., 6)."""
        examples, f1_total, exact_total, answerable, f1_part, exact_part = np.moveaxis(np.asarray(totals), -1, 0)
        return {
            "f1": percent(f1_total, examples),
            "exact_match": percent(exact_total, examples),
            "HasAns_f1": percent(f1_part, answerable),
            "HasAns_exact": percent(exact_part, answerable),
            "NoAns_f1": percent(f1_total - f1_part, examples - answerable),
            "NoAns_exact": percent(exact_total - exact_part, examples - answerable),
        }


def _texts_by_id(predictions: Iterable[Any], references: Iterable[Any]) -> dict[str, str]:
    predicted = Counter(prediction["id"] for prediction in predictions)
    asked = Counter(reference["id"] for reference in references)
    problems = {
        "no prediction for": [key for key in asked if key not in predicted],
        "a prediction but no reference for": [key for key in predicted if key not in asked],
        "more than one prediction for": [key for key, count in predicted.items() if count > 1],
        "more than one reference for": [key for key, count in asked.items() if count > 1],
    }
    if any(problems.values()):
        found = "; ".join(f"{problem} {_listed(ids)}" for problem, ids in problems.items() if ids)
        raise DataFormatError(f"Each question needs one prediction and one reference, but there is {found}.")
    return {prediction["id"]: prediction["prediction_text"] for prediction in predictions}


def _listed(ids: list[str]) -> str:
    shown = ", ".join(repr(key) for key in ids[:_IDS_SHOWN])
    return f"{len(ids)} id{'s' if len(ids) > 1 else ''} ({shown}{', ...' if len(ids) > _IDS_SHOWN else ''})"
