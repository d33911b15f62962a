"""What our metrics have in common: sums over examples, from which every score is computed.

They are written here because the metric scripts of the Hugging Face Hub cannot be fetched without a network,
and because a score that is a function of sums can be bootstrapped without scoring any text twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, TypeAlias

import datasets
import evaluate
import numpy as np

from adapterstilts.errors import DataFormatError

Examples: TypeAlias = Sequence[Any] | np.ndarray
"""Predictions or references, one entry an example; each metric says what an entry is."""


def percent(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return ``100 * part / whole`` element by element, with 0 where ``whole`` is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    return 100.0 * np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)


class ExampleMetric(evaluate.Metric):
    """A metric whose scores depend only on sums of statistics of single examples.

    A subclass sets the three class attributes and writes ``statistics``, ``scores`` and ``features_of_inputs``.
    ``score`` and ``evaluate``'s own ``compute`` then give the same numbers; ``score`` writes no files.
    """

    statistic_names: tuple[str, ...]
    """Names of the k statistics; the first is always ``examples``, which is 1.0 for each example."""
    main: str
    """Name of the score that stands for the task in tables."""
    score_names: tuple[str, ...]
    """Names of all the scores, the main one among them."""
    lower_is_better: bool = False
    """Whether a lower main score is a better one."""
    citation: str = ""
    """BibTeX key or short reference of the scoring rules."""

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return the statistics of each example, float64 of shape (examples, k), in the order of the references.

        Raises:
            DataFormatError: if predictions and references cannot be paired or have the wrong form.
        """
        raise NotImplementedError

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return every score in percent, each of shape (...), from sums of statistics of shape (..., k); 0/0 is 0."""
        raise NotImplementedError

    def features_of_inputs(self) -> datasets.Features:
        """Return the types of one prediction and one reference, as ``evaluate`` wants them."""
        raise NotImplementedError

    def score(self, predictions: Examples, references: Examples) -> dict[str, float]:
        """Return every score in percent (0-100); without examples every score is 0.

        Raises:
            DataFormatError: if predictions and references cannot be paired or have the wrong form.
        """
        totals = self.statistics(predictions, references).sum(axis=0)
        return {name: float(value) for name, value in self.scores(totals).items()}

    def check_pairs(self, predictions: Examples, references: Examples) -> None:
        """Raise DataFormatError if there are more predictions than references, or fewer."""
        if len(predictions) != len(references):
            raise DataFormatError(
                f"There are {len(predictions)} predictions for {len(references)} references; each needs one."
            )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add a batch of predictions and references, after a check that they are as many."""
        if predictions is not None and references is not None:
            self.check_pairs(predictions, references)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=inspect.getdoc(type(self)) or "",
            citation=self.citation,
            inputs_description="",
            features=self.features_of_inputs(),
        )

    def _compute(self, predictions: Examples, references: Examples) -> dict[str, float]:
        return self.score(predictions, references)
