"""Accuracy of classification and multiple choice."""

from __future__ import annotations

import datasets
import numpy as np

from adapterstilts.errors import DataFormatError
from adapterstilts.evaluation.metrics.base import ExampleMetric, Examples, percent


class Accuracy(ExampleMetric):
    """Percentage of the examples whose predicted label is the gold label.

    A prediction and a reference are each the integer number of a label.
    """

    statistic_names = ("examples", "correct")
    main = "accuracy"
    score_names = ("accuracy",)

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


def _labels(values: Examples, side: str) -> np.ndarray:
    labels = np.asarray(values)
    if labels.size == 0:
        return np.zeros(0, dtype=np.int64)
    if labels.ndim != 1 or labels.dtype.kind not in "iub":
        raise DataFormatError(
            f"Accuracy wants one integer label an example; the {side} are {labels.dtype} of shape {labels.shape}."
        )
    return labels
