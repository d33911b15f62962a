"""Accuracy of classification and multiple choice, and the F1 of paraphrases beside it."""

from __future__ import annotations

import datasets
import numpy as np

from adapterstilts.errors import DataFormatError
from adapterstilts.evaluation.metrics.base import ExampleMetric, Examples, percent


class Accuracy(ExampleMetric):
    """Percentage of the examples whose predicted label is the gold label.

    A prediction and a reference are each the integer number of a label.
    """

    statistic_names: tuple[str, ...] = ("examples", "correct")
    main = "accuracy"
    score_names: tuple[str, ...] = ("accuracy",)

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return (1, label is correct) of each example, shape (examples, 2)."""
        self.check_pairs(predictions, references)
        correct = _labels(predictions, "predictions") == _labels(references, "references")
        return np.column_stack([np.ones(len(correct)), correct.astype(np.float64)])

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return the accuracy in percent from sums of shape (..., 2)."""
        examples, correct = np.moveaxis(np.asarray(totals), -1, 0)
        return {"accuracy": percent(correct, examples)}

    def features_of_inputs(self) -> datasets.Features:
        """Return integer labels on both sides."""
        return datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})


class AccuracyAndF1(Accuracy):
    """Accuracy, F1 of label 1 and the mean of the two, in percent, as GLUE scores QQP.

    The F1 equals ``sklearn.metrics.f1_score`` with its default arguments, times 100; without any 1 it is 0. The mean
    stands for the task, as in GLUE's average and in jiant, with which Phang et al. 2020 chose their checkpoints.

    A prediction and a reference are each 0 or 1. Wang et al. 2019, arXiv 1804.07461.
    """

    statistic_names = ("examples", "correct", "true_positive", "predicted", "gold")
    main = "accuracy_f1"
    score_names = ("accuracy_f1", "accuracy", "f1")
    citation = "Wang et al. 2019, arXiv 1804.07461"

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return (1, correct, both are 1, prediction is 1, reference is 1) of each example, shape (examples, 5)."""
        rows = super().statistics(predictions, references)
        found, wanted = _labels(predictions, "predictions") == 1, _labels(references, "references") == 1
        return np.column_stack([rows, found & wanted, found, wanted]).astype(np.float64)

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return ``score_names`` in percent from sums of shape (..., 5)."""
        examples, correct, both, predicted, gold = np.moveaxis(np.asarray(totals), -1, 0)
        accuracy, f1 = percent(correct, examples), percent(2 * both, predicted + gold)
        return {"accuracy_f1": (accuracy + f1) / 2, "accuracy": accuracy, "f1": f1}


def _labels(values: Examples, side: str) -> np.ndarray:
    labels = np.asarray(values)
    if labels.size == 0:
        return np.zeros(0, dtype=np.int64)
    if labels.ndim != 1 or labels.dtype.kind not in "iub":
        raise DataFormatError(
            f"Accuracy wants one integer label an example; the {side} are {labels.dtype} of shape {labels.shape}."
        )
    return labels
