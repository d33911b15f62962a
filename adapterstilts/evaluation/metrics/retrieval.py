"""Scores of sentence retrieval: top-1 accuracy of Tatoeba, F1 over mined pairs of BUCC."""

from __future__ import annotations

import datasets
import numpy as np

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
