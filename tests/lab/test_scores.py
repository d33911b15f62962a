"""Tasks of the lab from their rows to scores, on the shipped encoder, in languages other than the source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapterstilts.data.rows import rows_kept
from adapterstilts.studies.transfer import compose, train_intermediate
from adapterstilts.tasks.suites import get_suite

LAB = get_suite("lab")
LITTLE: dict[str, Any] = {
    "steps": 1,
    "batch_size": 4,
    "max_train_examples": 8,
    "max_validation_examples": 4,
    "evaluations": 1,
}
TARGETS = [task for task in LAB.tasks.values() if task.kind == "target"]


@pytest.fixture(autouse=True, scope="module")
def _rows_once() -> Iterator[None]:
    with rows_kept():
        yield


@pytest.mark.parametrize("name", ["squad2", "ccg", "csqa"])
def test_intermediate_tasks_whose_scores_no_target_has(name: str, tmp_path: Path) -> None:
    made = train_intermediate(name, suite="lab", settings=LITTLE, store=tmp_path).artifact
    assert all(math.isfinite(score) for score in made.manifest["metrics"]["validation"].values())


@pytest.mark.parametrize("name", {(task.format, task.metric): task.name for task in TARGETS}.values())
def test_a_target_of_each_format_and_metric(name: str, tmp_path: Path) -> None:
    settings = LITTLE if LAB.task(name).trained else {}
    codes = [code for code in LAB.task(name).languages if code in ("qaa", "qba", "qoc")]
    made = compose(
        "none",
        target=name,
        suite="lab",
        settings=settings,
        languages=",".join(codes),
        max_eval_examples=3,
        store=tmp_path,
    )
    assert set(made.comparison.languages) == set(codes)
    assert len(codes) >= 2
    for cell in made.comparison.languages.values():
        assert 0 <= cell.score <= 100
