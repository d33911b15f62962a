"""Means, differences and intervals of a comparison, against numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from adapterstilts.evaluation.kept import Evaluation
from adapterstilts.studies.comparison import BOOTSTRAP_SAMPLES, Comparison, compare
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.suites import get_suite

#: Right (1) or wrong (0) on four rows, by language: 75, 50, 0 percent against 25, 50, 25.
SYSTEM = {"de": [1, 0, 1, 0], "en": [1, 1, 1, 0], "sw": [0, 0, 0, 0]}
BASELINE = {"de": [1, 1, 0, 0], "en": [1, 0, 0, 0], "sw": [0, 0, 0, 1]}


def evaluation(
    right: dict[str, list[int]], task: str = "xnli", missing: tuple[str, ...] = (), suite: str = "xtreme"
) -> Evaluation:
    """An evaluation in which these rows were answered right."""
    statistics = {code: np.array([[1.0, float(item)] for item in items]) for code, items in right.items()}
    nothing: Any = None
    return Evaluation(nothing, get_suite(suite).task(task), statistics, ids_of(statistics), missing, False, 0.0)


def span_evaluation(f1: dict[str, list[float]], exact: dict[str, list[float]]) -> Evaluation:
    statistics = {code: np.array([[1.0, *pair] for pair in zip(f1[code], exact[code], strict=True)]) for code in f1}
    nothing: Any = None
    return Evaluation(nothing, get_task("tydiqa"), statistics, ids_of(statistics), (), False, 0.0)


def ids_of(statistics: dict[str, np.ndarray]) -> dict[str, tuple[str, ...]]:
    return {code: tuple(map(str, range(len(rows)))) for code, rows in statistics.items()}


def resampled(system: list[list[int]], baseline: list[list[int]], seed: int = 0) -> list[float]:
    """Differences of accuracy on bootstrap samples, one sample after the other; one list a training seed."""
    generator = np.random.default_rng(seed)
    size = len(system[0])
    differences = []
    for _ in range(BOOTSTRAP_SAMPLES):
        drawn = generator.integers(size, size=size)
        means = [
            sum(100 * sum(run[row] for row in drawn) / size for run in runs) / len(runs) for runs in (system, baseline)
        ]
        differences.append(means[0] - means[1])
    return differences


def ends(differences: list[float]) -> tuple[float, float]:
    return float(np.quantile(differences, 0.025)), float(np.quantile(differences, 0.975))


@pytest.fixture(scope="module")
def plain() -> Comparison:
    return compare([evaluation(SYSTEM, missing=("th", "vi"))], [evaluation(BASELINE)])


def test_scores_and_differences_of_each_language(plain: Comparison) -> None:
    assert plain.metric == "accuracy"
    assert {code: (cell.score, cell.baseline, cell.delta) for code, cell in plain.languages.items()} == {
        "en": (75.0, 25.0, 50.0),
        "de": (50.0, 50.0, 0.0),
        "sw": (0.0, 25.0, -25.0),
    }
    assert {cell.examples for cell in plain.languages.values()} == {4}
    assert {cell.deviation for cell in plain.languages.values()} == {None}


def test_english_stands_first_and_the_rest_in_the_order_given(plain: Comparison) -> None:
    assert list(plain.languages) == ["en", "de", "sw"]


def test_means_over_languages(plain: Comparison) -> None:
    # (75 + 50 + 0) / 3 and (25 + 50 + 25) / 3
    assert plain.mean.score == pytest.approx(125 / 3)
    assert plain.mean.baseline == pytest.approx(100 / 3)
    assert plain.mean.delta == pytest.approx(25 / 3)
    # (50 + 0) / 2 and (50 + 25) / 2
    assert plain.mean_without_source is not None
    assert (plain.mean_without_source.score, plain.mean_without_source.baseline) == (25.0, 37.5)
    assert plain.mean_without_source.delta == -12.5


def test_the_transfer_gap_is_english_minus_the_mean_of_the_others(plain: Comparison) -> None:
    assert plain.transfer_gap is not None
    # 75 - 25 and 25 - 37.5
    assert (plain.transfer_gap.score, plain.transfer_gap.baseline) == (50.0, -12.5)
    assert plain.transfer_gap.delta == 62.5
    assert plain.transfer_gap.interval is None


def test_missing_languages_are_handed_on(plain: Comparison) -> None:
    assert plain.missing == ("th", "vi")
    assert plain.to_json()["missing_languages"] == ["th", "vi"]


def test_intervals_are_the_percentiles_of_paired_resamples(plain: Comparison) -> None:
    for code, cell in plain.languages.items():
        assert cell.interval == pytest.approx(ends(resampled([SYSTEM[code]], [BASELINE[code]])))
        assert cell.interval is not None
        assert cell.interval[0] < cell.interval[1]


def test_translations_are_resampled_together(plain: Comparison) -> None:
    """XNLI's rows are translations of each other, so that one draw is one set of originals in all languages."""
    by_language = [resampled([SYSTEM[code]], [BASELINE[code]]) for code in ("en", "de", "sw")]
    assert plain.mean.interval == pytest.approx(ends([sum(values) / 3 for values in zip(*by_language, strict=True)]))
    assert plain.mean_without_source is not None
    others = [sum(values) / 2 for values in zip(*by_language[1:], strict=True)]
    assert plain.mean_without_source.interval == pytest.approx(ends(others))


def test_rows_of_their_own_are_resampled_apart() -> None:
    """With the same answers in two languages the mean is surer by the root of 2, unless the rows are translations."""
    generator = np.random.default_rng(0)
    system, baseline = (generator.integers(0, 2, 400).tolist() for _ in range(2))

    def width(task: str, second: list[int]) -> float:
        made = compare(
            [evaluation({"en": system, "de": second}, task)], [evaluation({"en": baseline, "de": baseline}, task)]
        )
        assert made.mean.interval is not None
        return made.mean.interval[1] - made.mean.interval[0]

    alone = compare([evaluation({"en": system})], [evaluation({"en": baseline})]).mean.interval
    assert alone is not None
    together, apart = width("xnli", system), width("hellaswag", system)
    assert together == pytest.approx(alone[1] - alone[0])
    assert apart == pytest.approx(together / math.sqrt(2), rel=0.1)


def test_translations_with_different_numbers_of_rows_are_taken_apart() -> None:
    """A row that was left out in one language moves the others; the rows are no longer the same originals."""
    made = compare(
        [evaluation({"en": [1, 0, 1, 1], "de": [1, 0, 1]})], [evaluation({"en": [0, 0, 1, 1], "de": [1, 0, 0]})]
    )
    assert made.languages["de"].interval == pytest.approx(ends(resampled([[1, 0, 1]], [[1, 0, 0]], seed=1)))
    assert made.mean.interval is not None


def test_sure_differences_have_narrow_intervals() -> None:
    sure = compare([evaluation({"en": [1] * 9, "de": [1] * 9})], [evaluation({"en": [0] * 9, "de": [0] * 9})])
    assert sure.mean.interval == (100.0, 100.0)
    same = compare([evaluation(SYSTEM)], [evaluation(SYSTEM)])
    assert same.mean.interval == (0.0, 0.0)
    assert same.mean.delta == 0.0


def test_seeds_are_averaged_and_their_deviation_told() -> None:
    first, second = {"en": [1, 1, 1, 0], "de": [1, 0, 0, 0]}, {"en": [1, 0, 0, 0], "de": [1, 0, 1, 1]}
    base = {"en": [0, 0, 0, 1], "de": [0, 1, 0, 0]}
    other = {"en": [0, 1, 0, 1], "de": [0, 0, 0, 0]}
    made = compare([evaluation(first), evaluation(second)], [evaluation(base), evaluation(other)])
    english = made.languages["en"]
    assert (english.score, english.baseline, english.delta) == (50.0, 37.5, 12.5)
    # 75 and 25: 25 away from their mean each, divided by n - 1
    assert english.deviation == pytest.approx(math.sqrt(2 * 25**2))
    assert english.interval == pytest.approx(ends(resampled([first["en"], second["en"]], [base["en"], other["en"]])))
    # Means of the seeds: (75 + 25) / 2 and (25 + 75) / 2, so they do not deviate at all.
    assert (made.mean.score, made.mean.deviation) == (50.0, 0.0)
    # Gaps of the seeds: 75 - 25 and 25 - 75; of the baselines: 25 - 25 and 50 - 0.
    assert made.transfer_gap is not None
    assert (made.transfer_gap.score, made.transfer_gap.baseline) == (0.0, 25.0)
    assert made.transfer_gap.deviation == pytest.approx(math.sqrt(2 * 50**2))


def test_without_a_baseline_there_is_nothing_to_differ_from() -> None:
    made = compare([evaluation(SYSTEM)], [])
    assert made.mean.score == pytest.approx(125 / 3)
    for cell in (*made.languages.values(), made.mean, made.mean_without_source, made.transfer_gap):
        assert cell is not None
        assert (cell.baseline, cell.delta, cell.interval) == (None, None, None)
    assert "baseline_scores" not in made.to_json()["languages"]["en"]


def test_english_alone_has_no_gap() -> None:
    made = compare([evaluation({"en": [1, 0]})], [])
    assert (made.mean_without_source, made.transfer_gap) == (None, None)
    document = made.to_json()
    assert (document["mean"], document["mean_without_source"], document["transfer_gap"]) == (50.0, None, None)


def test_without_english_there_is_no_gap() -> None:
    made = compare([evaluation({"sw": [1, 0], "de": [1, 1]})], [])
    assert made.transfer_gap is None
    assert list(made.languages) == ["sw", "de"]
    assert made.mean_without_source is not None
    assert made.mean_without_source.score == made.mean.score == 75.0


def test_all_scores_of_a_metric_are_given_the_main_one_first() -> None:
    system = span_evaluation({"en": [1.0, 0.5, 0.0]}, {"en": [1.0, 0.0, 0.0]})
    base = span_evaluation({"en": [0.0, 0.5, 0.25]}, {"en": [0.0, 0.0, 0.0]})
    cell = compare([system], [base]).languages["en"]
    assert cell.scores is not None
    assert list(cell.scores.items()) == [("f1", 50.0), ("exact_match", pytest.approx(100 / 3))]
    assert cell.baseline_scores == {"f1": 25.0, "exact_match": 0.0}
    assert (cell.score, cell.delta) == (50.0, 25.0)


def test_documents_have_two_decimals_and_names_of_languages(plain: Comparison) -> None:
    document = plain.to_json()
    assert document["mean"] == 41.67
    assert document["summary"]["mean"]["delta"] == 8.33
    assert document["transfer_gap"] == document["summary"]["transfer_gap"]["score"] == 50.0
    assert [cell["name"] for cell in document["languages"].values()] == ["English", "German", "Swahili"]
    assert document["languages"]["sw"] == {
        "name": "Swahili",
        "distance": None,
        "score": 0.0,
        "baseline": 25.0,
        "delta": -25.0,
        "interval": [-75.0, 0.0],
        "deviation": None,
        "examples": 4,
        "scores": {"accuracy": 0.0},
        "baseline_scores": {"accuracy": 25.0},
    }


def test_rows_that_are_no_translations_of_each_other_are_drawn_apart() -> None:
    """XNLI's languages share their originals; where other rows were left out in one of them, they no longer do."""
    system, baseline = (
        evaluation({"de": [1, 0] * 20, "en": [1, 0] * 20}),
        evaluation({"de": [0, 0] * 20, "en": [0, 0] * 20}),
    )
    together = compare([system], [baseline])
    system.examples["de"] = tuple(f"other-{number}" for number in range(40))
    apart = compare([system], [baseline])
    assert together.languages["en"].interval == apart.languages["en"].interval
    assert together.mean.delta == apart.mean.delta == 50
    width = [item.mean.interval[1] - item.mean.interval[0] for item in (together, apart) if item.mean.interval]
    assert width[0] == pytest.approx(math.sqrt(2) * width[1], rel=0.2)


def test_languages_of_the_lab_stand_by_their_distance(toy_lab: Any) -> None:
    right = {"qab": [1, 0, 1, 0], "qaa": [1, 1, 1, 0], "qac": [0, 0, 0, 0]}
    made = compare([evaluation(right, task="mnli", suite="lab")], [])
    assert list(made.languages) == ["qaa", "qac", "qab"]
    document = made.to_json()
    assert [(cell["name"], cell["distance"]) for cell in document["languages"].values()] == [
        ("Source", 0.0),
        ("Near", 0.25),
        ("Far", 0.5),
    ]
    # (75 + 0 + 50) / 3, (0 + 50) / 2, 75 - 25
    assert (document["mean"], document["mean_without_source"], document["transfer_gap"]) == (41.67, 25.0, 50.0)
