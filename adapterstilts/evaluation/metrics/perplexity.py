"""Perplexity: how many tokens a model hesitates between, where a token is hidden."""

from __future__ import annotations

import datasets
import numpy as np

from adapterstilts.evaluation.metrics.base import ExampleMetric, Examples

LARGEST_LOSS = 700.0
"""Above it, the perplexity would be no number of double precision."""


class Perplexity(ExampleMetric):
    """Mean loss (natural logarithm) of hidden tokens, and its exponential, the perplexity: lower is better.

    A prediction is the list of the log-probabilities that the model gives the tokens hidden in a text; the reference is
    the text, which is not looked at. Neither score is a percentage.
    """

    statistic_names = ("examples", "tokens", "loss")
    main = "perplexity"
    score_names = ("perplexity", "loss")
    lower_is_better = True

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return (1, hidden tokens, sum of their losses) of each example, shape (examples, 3)."""
        self.check_pairs(predictions, references)
        rows = [(1.0, len(values), -np.sum(values, dtype=np.float64)) for values in predictions]
        return np.array(rows, dtype=np.float64).reshape(-1, 3)

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return perplexity and loss a token from sums of shape (..., 3); without tokens, both are 0."""
        _, tokens, total = np.moveaxis(np.asarray(totals, dtype=np.float64), -1, 0)
        loss = np.divide(total, tokens, out=np.zeros(tokens.shape), where=tokens != 0)
        return {"perplexity": np.where(tokens != 0, np.exp(np.minimum(loss, LARGEST_LOSS)), 0.0), "loss": loss}

    def features_of_inputs(self) -> datasets.Features:
        """Return lists of numbers, and texts."""
        numbers = datasets.List(datasets.Value("float64"))
        return datasets.Features({"predictions": numbers, "references": datasets.Value("string")})
