"""Published scores: only on the same backbone, each with its source, and told as what they are."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from calling import call

from adapterstilts.bundled import read_zoo
from adapterstilts.cli import transfer_table
from adapterstilts.evaluation.averages import SCORED_BY, task_score
from adapterstilts.studies.reference import reference_scores
from adapterstilts.tasks.catalogue import TASKS
from adapterstilts.tasks.suites import get_suite

ENTRIES = read_zoo("reference_scores.yaml")


def test_scores_are_those_of_the_same_backbone_alone() -> None:
    task = TASKS["tydiqa"]
    found = reference_scores(task, "FacebookAI/xlm-roberta-large")
    assert found == reference_scores(task, "xlm-roberta-large")
    assert [one.scores["f1"] for one in found] == [65.1, 76.0]
    assert "X-STILTs" in found[1].system
    assert reference_scores(task, "minilm-l6") == ()
    assert reference_scores(TASKS["squad"], "xlm-roberta-large") == ()
    assert reference_scores(get_suite("lab").task("tydiqa"), "xlm-roberta-large") == ()


def test_in_xtreme_r_those_of_the_same_test_rows_alone() -> None:
    """Means over XTREME's languages do not stand beside means over more."""
    tasks = get_suite("xtreme-r").tasks
    found = {name for name, task in tasks.items() if reference_scores(task, "xlm-roberta-large")}
    assert found == {"xnli", "mlqa", "tydiqa"}
    assert reference_scores(tasks["xnli"], "xlm-roberta-large") == reference_scores(TASKS["xnli"], "xlm-roberta-large")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['backbone']}, {entry['system'][:9]}")
def test_an_entry_is_complete(entry: dict) -> None:
    assert set(entry) == {"backbone", "system", "source", "scores", "sure"}
    assert entry["sure"] in ("read", "computed")
    assert re.search(r"https://arxiv\.org/abs/\d{4}\.\d{5}", entry["source"])
    for task, scores in entry["scores"].items():
        assert set(scores) <= set(SCORED_BY[task]), task
        assert all(0 < score < 100 for score in scores.values())


def test_the_scores_of_x_stilts_give_its_published_average_without_retrieval() -> None:
    """72.66, from RemBERT's table of the tasks."""
    (entry,) = (entry for entry in ENTRIES if "X-STILTs" in entry["system"])
    assert len(entry["scores"]) == 7
    mean = sum(task_score(task, scores) for task, scores in entry["scores"].items()) / 7
    assert mean == pytest.approx(72.66, abs=0.01)


def test_the_lines_tell_what_they_are() -> None:
    transfer = SimpleNamespace(target=TASKS["udpos"], backbone="xlm-roberta-large")
    first, *lines = transfer_table._published(transfer, reference_scores(TASKS["udpos"], "xlm-roberta-large"))
    assert "the whole encoder trained" in first
    assert len(lines) == 2
    assert "F1 72.6  fine-tuned on the target (worked out from published averages): Hu et al. 2020" in lines[0]
    assert "worked out" not in lines[1]
    (line,) = transfer_table._published(transfer, ())
    assert line == "No published scores of udpos on xlm-roberta-large are known."


@pytest.mark.parametrize("command", ["compose", "evaluate"])
def test_the_option(command: str) -> None:
    assert "--reference" in call(command, "--help").stdout
