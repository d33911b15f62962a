"""How benchmarks average, against the sums that XTREME's own script makes."""

from __future__ import annotations

import pytest

from adapterstilts.errors import UnknownNameError
from adapterstilts.evaluation.averages import BENCHMARKS, average, get_benchmark, task_score
from adapterstilts.tasks.catalogue import TASKS
from adapterstilts.tasks.languages import LANGUAGES

XTREME = BENCHMARKS["xtreme"]


def test_benchmarks_have_the_published_numbers_of_languages() -> None:
    found = {name: {task: len(codes) for task, codes in mark.languages.items()} for name, mark in BENCHMARKS.items()}
    assert found == {
        "xtreme": {
            "xnli": 15, "pawsx": 7, "udpos": 33, "panx": 40, "xquad": 11, "mlqa": 7, "tydiqa": 9, "bucc2018": 4,
            "tatoeba": 36,
        },
        "xtreme-r": {
            "xnli": 15, "xcopa": 11, "udpos": 38, "panx": 48, "xquad": 12, "mlqa": 7, "tydiqa": 9, "mewslix": 11,
            "lareqa": 11, "tatoeba": 41,
        },
    }  # fmt: skip
    for mark in BENCHMARKS.values():
        assert sorted(task for tasks in mark.groups.values() for task in tasks) == sorted(mark.languages)
        assert {code for codes in mark.languages.values() for code in codes} <= set(LANGUAGES)


def test_the_catalogue_has_xtremes_languages() -> None:
    for task, codes in XTREME.languages.items():
        assert set(TASKS["bucc" if task == "bucc2018" else task].languages) == set(codes), task


def one_score(task: str, value: float) -> dict[str, float]:
    return {
        "xquad": {"f1": value + 5, "exact_match": value - 5},
        "mlqa": {"f1": value + 5, "exact_match": value - 5},
        "tydiqa": {"f1": value + 5, "exact_match": value - 5},
        "udpos": {"f1": value, "token_accuracy": 0.0},
        "panx": {"f1": value, "precision": 0.0},
        "bucc2018": {"f1": value, "precision": 0.0},
    }.get(task, {"accuracy": value})


def test_published_scores_average_to_the_published_averages() -> None:
    """XLM-R Large in XTREME's paper, table 2: task scores to the groups' and the overall average."""
    published = {
        "xnli": 79.2, "pawsx": 86.4, "udpos": 72.6, "panx": 65.4, "xquad": (76.6 + 60.8) / 2, "mlqa": (71.6 + 53.2) / 2,
        "tydiqa": (65.1 + 45.0) / 2, "bucc2018": 66.0, "tatoeba": 57.3,
    }  # fmt: skip
    found = average({task: {"en": one_score(task, value)} for task, value in published.items()}, XTREME)
    assert found.all_tasks == pytest.approx(68.1, abs=0.05)
    assert found.groups["classification"] == pytest.approx(82.8)
    assert found.groups["tagging"] == pytest.approx(69.0)
    assert found.groups["retrieval"] == pytest.approx(61.65)
    assert found.without_retrieval == pytest.approx(69.96, abs=0.01)


def test_a_task_is_the_mean_over_languages_with_english_and_the_gap_is_to_the_others() -> None:
    scores = {"xnli": {code: {"accuracy": value} for code, value in {"en": 90.0, "de": 80.0, "sw": 60.0}.items()}}
    found = average(scores, XTREME).tasks["xnli"]
    assert found.score == pytest.approx(230 / 3)
    assert (found.without_english, found.gap) == (70.0, 20.0)
    assert found.metrics == {"accuracy": pytest.approx(230 / 3)}
    assert len(found.missing) == 12
    assert "de" not in found.missing


def test_no_gap_without_english() -> None:
    found = average({"tatoeba": {"de": {"accuracy": 50.0}}}, XTREME)
    assert (found.tasks["tatoeba"].without_english, found.tasks["tatoeba"].gap) == (None, None)
    alone = average({"xnli": {"en": {"accuracy": 50.0}}}, XTREME).tasks["xnli"]
    assert (alone.score, alone.without_english, alone.gap) == (50.0, None, None)
    others = average({"xnli": {"de": {"accuracy": 50.0}}}, XTREME).tasks["xnli"]
    assert (others.without_english, others.gap) == (50.0, None)


def test_averages_over_missing_tasks_are_not_given() -> None:
    found = average({"xnli": {"en": {"accuracy": 50.0}}, "pawsx": {"en": {"accuracy": 70.0}}}, XTREME)
    assert found.groups == {"classification": 60.0, "tagging": None, "qa": None, "retrieval": None}
    assert found.all_tasks is None
    assert found.without_retrieval is None


def test_questions_are_scored_by_both() -> None:
    assert task_score("tydiqa", {"f1": 60.0, "exact_match": 40.0}) == 50.0
    assert task_score("udpos", {"f1": 60.0, "token_accuracy": 40.0}) == 60.0


def test_unknown_benchmark() -> None:
    with pytest.raises(UnknownNameError, match="xtreme-r"):
        get_benchmark("xtreme_r")
