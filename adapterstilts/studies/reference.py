"""Published scores on the same backbone, to stand beside ours. They come from the zoo, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from adapterstilts.bundled import read_zoo
from adapterstilts.tasks.catalogue import TASKS
from adapterstilts.tasks.spec import TaskSpec

#: Ids under which the Hub has the same weights.
_SAME = {
    "FacebookAI/xlm-roberta-base": "xlm-roberta-base",
    "FacebookAI/xlm-roberta-large": "xlm-roberta-large",
    "google-bert/bert-base-multilingual-cased": "bert-base-multilingual-cased",
}


@dataclass(frozen=True)
class Reference:
    """What somebody published for a task: test set, mean over the languages, English included."""

    system: str
    """How it was trained."""
    scores: Mapping[str, float]
    """Percent by metric."""
    source: str
    """Where it is published."""
    sure: str
    """``read`` in the source, or ``computed``: agrees with the averages of the source."""

    def to_json(self) -> dict[str, Any]:
        """Return it as documents tell it."""
        return asdict(self)


def reference_scores(task: TaskSpec, backbone: str) -> tuple[Reference, ...]:
    """Return the published scores of a task on this very backbone, none if none are known.

    Args:
        task: only those that are scored on XTREME's own rows have any, in XTREME-R those that it left as they were.
        backbone: id on the Hub.
    """
    if task.name not in TASKS or task.sources != TASKS[task.name].sources:
        return ()
    return tuple(
        Reference(entry["system"], entry["scores"][task.name], entry["source"], entry["sure"])
        for entry in read_zoo("reference_scores.yaml")
        if entry["backbone"] == _SAME.get(backbone, backbone) and task.name in entry["scores"]
    )
