"""Scores of retrieval: top-1 accuracy of Tatoeba, F1 over mined pairs of BUCC, mean average precision of rankings."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import datasets
import numpy as np

from adapterstilts.errors import DataFormatError
from adapterstilts.evaluation.metrics.base import ExampleMetric, Examples, percent


class RetrievalAccuracy(ExampleMetric):
    """Percentage of the sentences whose nearest candidate is their translation.

    A prediction is the id of the row whose translation was found, a reference the sentence's own id: as in XTREME,
    another row with the same English sentence is wrong. Artetxe & Schwenk 2019, arXiv 1812.10464.
    """

    statistic_names: tuple[str, ...] = ("examples", "correct")
    main = "accuracy"
    score_names: tuple[str, ...] = ("accuracy",)
    citation = "Artetxe & Schwenk 2019, arXiv 1812.10464"

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return (1, the right row was found) of each sentence, shape (examples, 2)."""
        self.check_pairs(predictions, references)
        rows = [(1.0, float(found == own)) for found, own in zip(predictions, references, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return the accuracy in percent from sums of shape (..., 2)."""
        examples, correct = np.moveaxis(np.asarray(totals), -1, 0)
        return {"accuracy": percent(correct, examples)}

    def features_of_inputs(self) -> datasets.Features:
        """Return ids on both sides."""
        return datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})


class BuccF1(RetrievalAccuracy):
    """F1, precision and recall of mined sentence pairs, in percent, as BUCC scores them.

    A prediction is the id of the row whose translation was mined for the sentence, or empty where no pair of it
    scores above the threshold; a reference is the sentence's own id. Each sentence has one gold translation.
    Zweigenbaum, Sharoff, Rapp 2018.
    """

    statistic_names = ("examples", "matched", "mined", "gold")
    main = "f1"
    score_names = ("f1", "precision", "recall")
    citation = "Zweigenbaum, Sharoff, Rapp 2018"

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return (1, the pair is right, a pair was mined, 1) of each sentence, shape (examples, 4)."""
        rows = super().statistics(predictions, references)
        mined = np.array([float(found != "") for found in predictions], dtype=np.float64)
        return np.column_stack([rows, mined, np.ones(len(mined))])

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return ``score_names`` in percent from sums of shape (..., 4)."""
        _, matched, mined, gold = np.moveaxis(np.asarray(totals), -1, 0)
        return {
            "f1": percent(2 * matched, mined + gold),
            "precision": percent(matched, mined),
            "recall": percent(matched, gold),
        }


class PoolF1(BuccF1):
    """F1, precision and recall of pairs mined among sentences of which few have a translation, in percent.

    A prediction is the id of the candidate that was mined for a sentence, or empty; a reference is the list of the
    candidates that translate it, empty for most sentences. Zweigenbaum, Sharoff, Rapp 2018.
    """

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return (1, the pair is right, a pair was mined, gold pairs) of each sentence, shape (examples, 4)."""
        self.check_pairs(predictions, references)
        rows = [
            (1.0, float(found in gold), float(found != ""), float(len(gold)))
            for found, gold in zip(predictions, references, strict=True)
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 4)

    def features_of_inputs(self) -> datasets.Features:
        """Return an id, and a list of ids."""
        one = datasets.Value("string")
        return datasets.Features({"predictions": one, "references": datasets.Sequence(one)})


CUTOFF = 20


def average_precision(ranking: Sequence[str], relevant: Collection[str], cutoff: int = CUTOFF) -> float:
    """Return the average precision (0-1) of the first ``cutoff`` of a ranking.

    This is the mean, over as many ranks as there could be hits, of the precision at each hit; what stands in the
    ranking a second time is no hit. As in LAReQA's ``utils_lareqa.py`` (Roy et al. 2020, arXiv 2004.05484).
    """
    seen: set[str] = set()
    total = 0.0
    hits = 0
    for rank, candidate in enumerate(ranking[:cutoff], start=1):
        if candidate in relevant and candidate not in seen:
            hits += 1
            total += hits / rank
        seen.add(candidate)
    return total / min(len(relevant), cutoff)


class MeanAveragePrecision(ExampleMetric):
    """Mean over queries of the average precision among the first 20 candidates, in percent (mAP@20).

    A prediction is the list of candidate ids, best first; a reference is the list of the relevant ones, at least one.
    Roy et al. 2020, arXiv 2004.05484 (LAReQA); Ruder et al. 2021, arXiv 2104.07412 (XTREME-R).
    """

    statistic_names = ("examples", "average_precision")
    main = "map@20"
    score_names = ("map@20",)
    citation = "Roy et al. 2020, arXiv 2004.05484; Ruder et al. 2021, arXiv 2104.07412"

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return (1, average precision) of each query, shape (examples, 2).

        Raises:
            DataFormatError: a query has no relevant candidate.
        """
        self.check_pairs(predictions, references)
        if empty := next((number for number, relevant in enumerate(references, start=1) if not len(relevant)), 0):
            raise DataFormatError(f"Query {empty} (counted from 1) has no relevant candidate.")
        rows = [
            (1.0, average_precision(found, set(wanted))) for found, wanted in zip(predictions, references, strict=True)
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return mAP@20 in percent from sums of shape (..., 2)."""
        examples, precision = np.moveaxis(np.asarray(totals), -1, 0)
        return {"map@20": percent(precision, examples)}

    def features_of_inputs(self) -> datasets.Features:
        """Return lists of ids on both sides."""
        ids = datasets.Sequence(datasets.Value("string"))
        return datasets.Features({"predictions": ids, "references": ids})
