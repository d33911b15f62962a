"""The paired bootstrap against an explicit one, and its promises."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from adapterstilts.errors import DataFormatError, SettingsError, UnknownNameError
from adapterstilts.evaluation import significance
from adapterstilts.evaluation.metrics import get_metric
from adapterstilts.evaluation.significance import Interval, bootstrap_counts, mean_interval, paired_bootstrap

ACCURACY = get_metric("accuracy")


def labels(correct: np.ndarray) -> np.ndarray:
    """Accuracy statistics of examples of which each is correct (1) or not (0)."""
    return ACCURACY.statistics(np.asarray(correct, dtype=int), np.ones(len(correct), dtype=int))


def random_tags(generator: np.random.Generator, sentences: int) -> list[list[str]]:
    tags = ["B-PER", "I-PER", "B-LOC", "O"]
    return [[tags[i] for i in generator.integers(4, size=5)] for _ in range(sentences)]


def noisy(generator: np.random.Generator, gold: list[list[str]], noise: float) -> list[list[str]]:
    return [[tag if generator.random() > noise else "O" for tag in sentence] for sentence in gold]


def test_counts_are_resamples() -> None:
    counts = np.concatenate(list(bootstrap_counts(50, 400, seed=1)))
    assert counts.shape == (400, 50)
    assert (counts.sum(axis=1) == 50).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.25)  # standard error 0.05
    np.testing.assert_allclose(counts.var(axis=0).mean(), 1 - 1 / 50, rtol=0.05)


def test_counts_depend_on_the_seed_and_not_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(bootstrap_counts(7, 20, seed=3))
    assert len(whole) == 1
    monkeypatch.setattr(significance, "_COUNTS_IN_MEMORY", 30)
    chunks = list(bootstrap_counts(7, 20, seed=3))
    assert [len(chunk) for chunk in chunks] == [4] * 5
    np.testing.assert_array_equal(np.concatenate(chunks), whole[0])
    np.testing.assert_array_equal(np.concatenate(list(bootstrap_counts(7, 9, seed=3))), whole[0][:9])
    assert (np.concatenate(list(bootstrap_counts(7, 20, seed=4))) != whole[0]).any()


def test_memory_is_bounded_for_many_examples() -> None:
    examples = 100_000
    chunk = next(bootstrap_counts(examples, 1000, seed=0))
    assert 1 <= len(chunk) < 1000
    assert chunk.nbytes <= 2**25


def test_identical_systems_do_not_differ() -> None:
    rows = labels(np.arange(40) % 3 == 0)
    interval = paired_bootstrap(ACCURACY, rows, rows.copy())
    assert (interval.delta, interval.low, interval.high) == (0, 0, 0)
    assert interval.samples.shape == (1000,)


def test_delta_is_the_difference_of_the_scores() -> None:
    generator = np.random.default_rng(0)
    metric, gold = get_metric("entity_f1"), random_tags(generator, 30)
    system, baseline = noisy(generator, gold, 0.1), noisy(generator, gold, 0.4)
    rows = metric.statistics(system, gold), metric.statistics(baseline, gold)
    for score in metric.score_names:
        interval = paired_bootstrap(metric, *rows, score=score)
        assert interval.delta == pytest.approx(metric.score(system, gold)[score] - metric.score(baseline, gold)[score])
        assert interval.low < interval.delta < interval.high
        swapped = paired_bootstrap(metric, *rows[::-1], score=score)
        np.testing.assert_allclose([-swapped.delta, -swapped.high, -swapped.low], dataclasses.astuple(interval)[:3])
    assert paired_bootstrap(metric, *rows) == paired_bootstrap(metric, *rows, score="f1")


def test_the_same_samples_as_by_scoring_resampled_sentences() -> None:
    generator = np.random.default_rng(0)
    metric, gold = get_metric("entity_f1"), random_tags(generator, 6)
    system, baseline = noisy(generator, gold, 0.1), noisy(generator, gold, 0.5)
    interval = paired_bootstrap(metric, metric.statistics(system, gold), metric.statistics(baseline, gold), samples=40)
    for counts, delta in zip(np.concatenate(list(bootstrap_counts(6, 40, seed=0))), interval.samples, strict=True):
        drawn = [i for i, count in enumerate(counts) for _ in range(int(count))]
        scores = [metric.score([side[i] for i in drawn], [gold[i] for i in drawn])["f1"] for side in (system, baseline)]
        assert delta == pytest.approx(scores[0] - scores[1])


def test_the_interval_agrees_with_an_explicit_bootstrap() -> None:
    generator = np.random.default_rng(5)
    metric, gold = get_metric("entity_f1"), random_tags(generator, 25)
    system, baseline = noisy(generator, gold, 0.1), noisy(generator, gold, 0.3)
    fast = paired_bootstrap(
        metric, metric.statistics(system, gold), metric.statistics(baseline, gold), samples=4000, confidence=0.9
    )
    deltas = []
    for _ in range(1500):
        drawn = generator.integers(25, size=25)
        of_system, of_baseline = (
            metric.score([side[i] for i in drawn], [gold[i] for i in drawn])["f1"] for side in (system, baseline)
        )
        deltas.append(of_system - of_baseline)
    low, high = np.quantile(deltas, [0.05, 0.95])
    width = high - low
    assert abs(fast.low - low) < 0.1 * width
    assert abs(fast.high - high) < 0.1 * width
    assert np.std(fast.samples) == pytest.approx(np.std(deltas), rel=0.1)


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    covered = []
    for seed in range(300):
        shared = generator.random(150)  # the two systems fail on the same hard examples
        system, baseline = labels(shared < 0.8), labels(shared + generator.normal(0, 0.1, 150) < 0.7)
        truth = 100 * (0.8 - 0.7)
        interval = paired_bootstrap(ACCURACY, system, baseline, samples=300, seed=seed)
        covered.append(interval.low <= truth <= interval.high)
    assert 0.89 <= np.mean(covered) <= 0.99


def test_pairing_narrows_the_interval() -> None:
    shared = np.random.default_rng(3).random(300)
    system, baseline = labels(shared < 0.7), labels(shared < 0.65)
    shuffled = labels(np.random.default_rng(4).permutation(shared < 0.65))
    paired, unpaired = (paired_bootstrap(ACCURACY, system, other) for other in (baseline, shuffled))
    assert paired.high - paired.low < 0.6 * (unpaired.high - unpaired.low)


def test_the_same_seed_gives_the_same_interval() -> None:
    generator = np.random.default_rng(6)
    system, baseline = labels(generator.random(60) < 0.7), labels(generator.random(60) < 0.5)
    first, again = (paired_bootstrap(ACCURACY, system, baseline, seed=11) for _ in range(2))
    assert first == again
    np.testing.assert_array_equal(first.samples, again.samples)
    assert (paired_bootstrap(ACCURACY, system, baseline, seed=12).samples != first.samples).any()


def test_scores_are_averaged_over_seeds_within_a_resample() -> None:
    generator = np.random.default_rng(7)
    metric, gold = get_metric("entity_f1"), random_tags(generator, 20)
    system = [metric.statistics(noisy(generator, gold, noise), gold) for noise in (0.1, 0.2, 0.3)]
    baseline = [metric.statistics(noisy(generator, gold, noise), gold) for noise in (0.4, 0.5)]
    interval = paired_bootstrap(metric, np.stack(system), np.stack(baseline), samples=200)
    every_pair = [paired_bootstrap(metric, *pair, samples=200) for pair in itertools.product(system, baseline)]
    assert interval.delta == pytest.approx(np.mean([pair.delta for pair in every_pair]))
    np.testing.assert_allclose(interval.samples, np.mean([pair.samples for pair in every_pair], axis=0))


def test_equal_seeds_are_as_one() -> None:
    generator = np.random.default_rng(8)
    system, baseline = labels(generator.random(60) < 0.7), labels(generator.random(60) < 0.5)
    assert dataclasses.astuple(paired_bootstrap(ACCURACY, np.stack([system] * 3), baseline))[:3] == pytest.approx(
        dataclasses.astuple(paired_bootstrap(ACCURACY, system, baseline))[:3]
    )


def test_the_mean_over_independent_languages_is_narrower() -> None:
    generator = np.random.default_rng(9)
    sides = [(labels(generator.random(200) < 0.7), labels(generator.random(200) < 0.6)) for _ in range(9)]
    intervals = [paired_bootstrap(ACCURACY, *both, samples=4000) for both in sides]
    mean = mean_interval(intervals)
    assert mean.delta == pytest.approx(np.mean([interval.delta for interval in intervals]))
    assert mean.samples.shape == (4000,)
    expected = np.sqrt(np.sum([np.var(interval.samples) for interval in intervals])) / 9
    assert np.std(mean.samples) == pytest.approx(expected, rel=0.05)
    assert mean == mean_interval(intervals)


def test_parallel_languages_keep_what_they_have_in_common() -> None:
    generator = np.random.default_rng(10)
    one = paired_bootstrap(ACCURACY, labels(generator.random(200) < 0.7), labels(generator.random(200) < 0.6))
    together, independent = mean_interval([one] * 4, parallel=True), mean_interval([one] * 4)
    np.testing.assert_allclose(together.samples, one.samples)
    assert np.std(independent.samples) == pytest.approx(np.std(one.samples) / 2, rel=0.1)


def test_a_wrong_score_is_told_the_right_one() -> None:
    rows = labels(np.ones(3))
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy'"):
        paired_bootstrap(ACCURACY, rows, rows, score="acc")


@pytest.mark.parametrize(
    ("system", "baseline", "message"),
    [
        (labels(np.ones(3)), labels(np.ones(4)), "3 examples and the baseline 4"),
        (labels(np.ones(0)), labels(np.ones(0)), "no examples"),
        (np.ones((3, 5)), labels(np.ones(3)), r"statistics of the system have shape \(3, 5\)"),
        (labels(np.ones(3)), np.ones((0, 3, 2)), "statistics of the baseline"),
        (np.ones(2), labels(np.ones(3)), "statistics of the system"),
    ],
)
def test_statistics_that_cannot_be_compared(system: np.ndarray, baseline: np.ndarray, message: str) -> None:
    with pytest.raises(DataFormatError, match=message):
        paired_bootstrap(ACCURACY, system, baseline)


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"confidence": 95}, {"confidence": 0.0}])
def test_settings_out_of_range(wrong: dict) -> None:
    rows = labels(np.ones(3))
    with pytest.raises(SettingsError):
        paired_bootstrap(ACCURACY, rows, rows, **wrong)


def test_intervals_that_cannot_be_averaged() -> None:
    with pytest.raises(SettingsError, match="at least one"):
        mean_interval([])
    short, long = (Interval(delta=0, low=0, high=0, samples=np.zeros(count)) for count in (10, 20))
    with pytest.raises(SettingsError, match=r"10 at 0\.95, 20 at 0\.95"):
        mean_interval([short, long])
