"""The metrics by name; ``evaluate`` (several seconds of import) is loaded with the first one that is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from adapterstilts.errors import unknown

if TYPE_CHECKING:
    from adapterstilts.evaluation.metrics.base import ExampleMetric

METRICS: dict[str, str] = {
    "accuracy": "adapterstilts.evaluation.metrics.accuracy:Accuracy",
    "accuracy_f1": "adapterstilts.evaluation.metrics.accuracy:AccuracyAndF1",
    "squad": "adapterstilts.evaluation.metrics.squad:SquadMetric",
    "squad_v2": "adapterstilts.evaluation.metrics.squad:SquadV2Metric",
    "mlqa": "adapterstilts.evaluation.metrics.mlqa:MlqaMetric",
    "entity_f1": "adapterstilts.evaluation.metrics.tagging:EntityF1",
    "pos_f1": "adapterstilts.evaluation.metrics.tagging:PosF1",
    "token_accuracy": "adapterstilts.evaluation.metrics.tagging:TokenAccuracy",
    "perplexity": "adapterstilts.evaluation.metrics.perplexity:Perplexity",
    "retrieval_accuracy": "adapterstilts.evaluation.metrics.retrieval:RetrievalAccuracy",
    "bucc_f1": "adapterstilts.evaluation.metrics.retrieval:BuccF1",
    "bucc_pool_f1": "adapterstilts.evaluation.metrics.retrieval:PoolF1",
    "map@20": "adapterstilts.evaluation.metrics.retrieval:MeanAveragePrecision",
}
"""Name of a metric -> ``module:class``."""


def get_metric(name: str) -> ExampleMetric:
    """Return a new instance of the metric ``name``; it keeps what it is given in memory, not in files.

    Raises:
        UnknownNameError: if there is no such metric.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    module, _, class_name = METRICS[name].partition(":")
    return getattr(importlib.import_module(module), class_name)(keep_in_memory=True)


__all__ = ["METRICS", "get_metric"]
