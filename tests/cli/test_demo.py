"""The demo, on a toy lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import call

from adapterstilts.cli.demo import what_one_sees
from adapterstilts.studies.comparison import Cell, Comparison
from adapterstilts.tasks.suites import get_suite

pytestmark = pytest.mark.usefixtures("no_network")


def comparison(scores: dict[str, float], interval: tuple[float, float]) -> Comparison:
    cells = {code: Cell(score) for code, score in scores.items()}
    return Comparison(
        metric="f1",
        suite=get_suite("lab"),
        languages=cells,
        mean=Cell(50.0, 45.0, 5.0, interval),
        mean_without_source=None,
        transfer_gap=None,
        missing=(),
    )


def test_the_sentences_tell_near_and_far() -> None:
    first, second = what_one_sees(comparison({"qaa": 90, "qab": 80, "qba": 60, "qoa": 10, "qob": 20}, (3.0, 7.0)))
    assert "(90)" in first
    assert "70 in languages near" in first
    assert "15 in far ones" in first
    assert "+5.0 points" in second
    assert "excludes zero" in second
    assert "includes zero" in what_one_sees(comparison({"qaa": 90, "qoa": 10}, (-1.0, 7.0)))[1]


@pytest.mark.slow
@pytest.mark.usefixtures("toy_lab")
def test_the_demo_runs_and_a_second_time_takes_all_from_the_store(tmp_path: Path) -> None:
    result = call("demo", "--store", tmp_path / "store")
    for said in (
        "mnli+squad → tydiqa in the lab on pico",
        "Source (qaa), source",
        "adapterstilts train-intermediate mnli",
    ):
        assert said in result.stdout
    again = json.loads(call("demo", "--store", tmp_path / "store", "--json").stdout)
    assert {stage["state"] for stage in again["stages"]} == {"reused"}
