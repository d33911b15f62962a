"""The metrics against slow obvious definitions, the official scripts' rules, and seqeval."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapterstilts.errors import DataFormatError, UnknownNameError
from adapterstilts.evaluation.metrics import METRICS, get_metric
from adapterstilts.evaluation.metrics.base import percent
from adapterstilts.evaluation.metrics.squad import exact_match, f1, normalize_answer
from adapterstilts.evaluation.metrics.tagging import chunks_by_sentence

UD_TAGS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
BIO_TAGS = [f"{place}-{kind}" for kind in ("PER", "ORG", "LOC") for place in "BI"] + ["O"]
ODD_TAGS = ["B", "I", "E", "S", "O", "E-PER", "S-PER", "I-PER", "B-A-B", "I-A-B", "B-", ".", "_", "OX", "-", "X", "CC"]


def pairs(tags: list[str], *, most_sentences: int = 6, most_tokens: int = 8) -> st.SearchStrategy:
    """Lists of (gold tags, predicted tags) of one sentence each; few different tags, so that neighbours are equal."""
    few = st.lists(st.sampled_from(tags), min_size=1, max_size=4, unique=True)
    token = few.map(st.sampled_from).map(lambda tag: st.tuples(tag, tag))
    sentence = token.flatmap(lambda both: st.lists(both, max_size=most_tokens))
    return st.lists(sentence, min_size=1, max_size=most_sentences).map(
        lambda rows: ([[gold for gold, _ in row] for row in rows], [[tag for _, tag in row] for row in rows])
    )


def seqeval_scores(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, float]:
    """What XTREME's evaluate.py reports, with token accuracy (0 where seqeval divides by zero)."""
    seqeval = pytest.importorskip("seqeval.metrics")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "f1": 100 * seqeval.f1_score(gold, predicted),
            "precision": 100 * seqeval.precision_score(gold, predicted),
            "recall": 100 * seqeval.recall_score(gold, predicted),
            "token_accuracy": 100 * seqeval.accuracy_score(gold, predicted) if any(gold) else 0.0,
        }


INPUTS: dict[str, tuple[list[Any], list[Any]]] = {
    "accuracy": ([0, 1, 2, 1], [0, 2, 2, 0]),
    "accuracy_f1": ([0, 1, 1, 1], [0, 1, 0, 1]),
    "squad_v2": (
        [{"id": "b", "prediction_text": "the cat"}, {"id": "a", "prediction_text": "dog"}],
        [
            {"id": "a", "answers": {"text": [], "answer_start": []}},
            {"id": "b", "answers": {"text": ["cat food", "dog"], "answer_start": [3, 9]}},
        ],
    ),
    "mlqa": (
        [{"id": "b", "prediction_text": "die Katze"}, {"id": "a", "prediction_text": "猫 today"}],
        [
            {"id": "a", "language": "zh", "answers": {"text": ["猫猫today"], "answer_start": [1]}},
            {"id": "b", "language": "de", "answers": {"text": ["eine Katze", "Hund"], "answer_start": [3, 9]}},
        ],
    ),
    "token_accuracy": ([["N", "N/N", "S"], ["."]], [["N", "N", "S"], ["."]]),
    "perplexity": ([[-0.5, -1.5], [], [-3.0]], ["the cat", "a", "house"]),
    "retrieval_accuracy": (["de-0", "de-0", "de-2"], ["de-0", "de-1", "de-2"]),
    "bucc_f1": (["de-0", "", "de-1"], ["de-0", "de-1", "de-2"]),
    "bucc_pool_f1": (["en-1", "", "en-3", "en-9"], [["en-1"], ["en-2"], [], ["en-4", "en-9"]]),
    "map@20": ([["a", "b"], ["c"], []], [["b"], ["c", "d"], ["e"]]),
    "squad": (
        [{"id": "b", "prediction_text": "the cat"}, {"id": "a", "prediction_text": ""}],
        [
            {"id": "a", "answers": {"text": [], "answer_start": []}},
            {"id": "b", "answers": {"text": ["cat food", "dog"], "answer_start": [3, 9]}},
        ],
    ),
    "entity_f1": ([["B-PER", "I-PER", "O"], ["I-LOC"]], [["B-PER", "I-PER", "O"], ["B-ORG"]]),
    "pos_f1": ([["NOUN", "NOUN", "VERB"], ["DET"]], [["NOUN", "PROPN", "VERB"], ["DET"]]),
}


# The registry and what all metrics share


def test_an_unknown_metric_is_told_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy'"):
        get_metric("acuracy")


def test_the_registry_is_listed_without_heavy_imports() -> None:
    code = "import sys, adapterstilts.evaluation.metrics; print(*{'evaluate', 'datasets', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_instances_do_not_share_what_was_added() -> None:
    first, second = get_metric("accuracy"), get_metric("accuracy")
    first.add_batch(predictions=[1], references=[0])
    assert second.compute(predictions=[1], references=[1]) == {"accuracy": 100.0}
    assert first.compute() == {"accuracy": 0.0}


@pytest.mark.parametrize("name", METRICS)
def test_the_names_of_a_metric_fit_its_numbers(name: str) -> None:
    metric = get_metric(name)
    statistics = metric.statistics(*INPUTS[name])
    assert statistics.shape == (len(INPUTS[name][1]), len(metric.statistic_names))
    assert statistics.dtype == np.float64
    assert metric.statistic_names[0] == "examples"
    assert (statistics[:, 0] == 1).all()
    assert tuple(metric.scores(statistics.sum(0))) == metric.score_names
    assert metric.main in metric.score_names


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_compute_of_evaluate_equals_score(name: str, in_memory: bool, tmp_path: Path) -> None:
    metric = type(get_metric(name))(keep_in_memory=in_memory, cache_dir=str(tmp_path))
    predictions, references = INPUTS[name]
    assert metric.compute(predictions=predictions, references=references) == metric.score(predictions, references)
    for prediction, reference in zip(predictions, references, strict=True):
        metric.add_batch(predictions=[prediction], references=[reference])
    assert metric.compute() == metric.score(predictions, references)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_no_examples_give_zeros(name: str, in_memory: bool, tmp_path: Path) -> None:
    metric = type(get_metric(name))(keep_in_memory=in_memory, cache_dir=str(tmp_path))
    zeros = dict.fromkeys(metric.score_names, 0.0)
    assert metric.score([], []) == zeros
    assert metric.compute(predictions=[], references=[]) == zeros
    assert metric.statistics([], []).shape == (0, len(metric.statistic_names))


@pytest.mark.parametrize("name", METRICS)
def test_different_lengths_are_an_error_and_leave_the_metric_usable(name: str) -> None:
    metric = get_metric(name)
    predictions, references = INPUTS[name]
    with pytest.raises(DataFormatError):
        metric.score(predictions[:1], references)
    with pytest.raises(DataFormatError):
        metric.compute(predictions=predictions[:1], references=references)
    assert metric.compute(predictions=predictions, references=references) == metric.score(predictions, references)


@pytest.mark.parametrize("name", METRICS)
def test_scores_work_on_any_number_of_leading_axes(name: str) -> None:
    metric = get_metric(name)
    rows = metric.statistics(*INPUTS[name])
    totals = np.stack([rows, 2 * rows, rows * 0])
    scores = metric.scores(totals)
    for score in metric.score_names:
        assert scores[score].shape == totals.shape[:-1]
        for index in np.ndindex(*totals.shape[:-1]):
            assert scores[score][index] == metric.scores(totals[index])[score]
        assert (scores[score][2] == 0).all()


def test_percent_of_nothing_is_zero() -> None:
    np.testing.assert_array_equal(percent(np.array([0, 1, 3]), np.array([0, 4, 3])), [0, 25, 100])


# Accuracy


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_accuracy_is_the_share_of_equal_labels(rows: list[tuple[int, int]]) -> None:
    predictions, references = zip(*rows, strict=True)
    expected = {"accuracy": pytest.approx(100 * sum(a == b for a, b in rows) / len(rows))}
    assert get_metric("accuracy").score(predictions, references) == expected
    assert get_metric("accuracy").score(np.array(predictions), np.array(references)) == expected


@pytest.mark.parametrize("predictions", [[0.2, 0.8], [[1, 0], [0, 1]], ["yes", "no"], [None, 1]])
def test_accuracy_wants_integer_labels(predictions: list) -> None:
    with pytest.raises(DataFormatError, match="integer label"):
        get_metric("accuracy").score(predictions, [0, 1])


# SQuAD


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat,\tsat.", "cat sat"),
        ("a an the", ""),
        ("?!...", ""),
        ("theatre an-swer", "theatre answer"),
        ("U.S.A.", "usa"),
        ("“Über”", "“über”"),
        ("a-the", "athe"),
    ],
)
def test_normalize_answer(text: str, expected: str) -> None:
    assert normalize_answer(text) == expected


@pytest.mark.parametrize(
    ("prediction", "golds", "exact", "overlap"),
    [
        ("The cat!", ["cat"], 1, 1),
        ("black cat", ["cat", "a black dog"], 0, 2 / 3),
        ("cat cat", ["cat"], 0, 2 / 3),
        ("dog", ["cat", "Dog"], 1, 1),
        ("", ["cat"], 0, 0),
        ("the", ["cat"], 0, 0),
        ("the", ["a"], 1, 0),  # version 1.1: equal after normalisation, but no common word
        ("", [], 1, 1),
        ("the ...", [], 1, 1),
        ("cat", [], 0, 0),
    ],
)
def test_exact_match_and_f1(prediction: str, golds: list[str], exact: float, overlap: float) -> None:
    assert exact_match(prediction, golds) == exact
    assert f1(prediction, golds) == pytest.approx(overlap)
    reference = {"id": "q", "answers": {"text": golds, "answer_start": [0] * len(golds)}}
    scores = get_metric("squad").score([{"id": "q", "prediction_text": prediction}], [reference])
    assert scores == pytest.approx({"f1": 100 * overlap, "exact_match": 100 * exact})


WORDS = st.lists(st.sampled_from(["cat", "dog", "the", "a", "!", "Cat,", "fish"]), max_size=5).map(" ".join)


@settings(deadline=None)
@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_f1_counts_words_that_can_be_paired(prediction: str, golds: list[str]) -> None:
    def slow(gold: str) -> float:
        left, words = normalize_answer(gold).split(), normalize_answer(prediction).split()
        sizes, common = len(left) + len(words), 0
        for word in words:
            if word in left:
                left.remove(word)
                common += 1
        return 2 * common / sizes if common else 0.0

    assert f1(prediction, golds) == pytest.approx(max(map(slow, golds)))
    assert exact_match(prediction, golds) == any(normalize_answer(prediction) == normalize_answer(g) for g in golds)


def test_squad_matches_by_id_and_keeps_the_order_of_the_references() -> None:
    predictions, references = INPUTS["squad"]
    rows = get_metric("squad").statistics(predictions, references)
    np.testing.assert_allclose(rows, np.array([[1, 1, 1], [1, 2 / 3, 0]]))
    np.testing.assert_array_equal(get_metric("squad").statistics(predictions[::-1], references), rows)


@pytest.mark.parametrize(
    ("predicted", "asked", "message"),
    [
        ("", "ab", r"no prediction for 2 ids \('a', 'b'\)"),
        ("a", "abcdefg", r"no prediction for 6 ids \('b', 'c', 'd', ...\)"),
        ("ab", "b", r"a prediction but no reference for 1 id \('a'\)"),
        ("ac", "ab", r"no prediction for 1 id \('b'\); a prediction but no reference for 1 id \('c'\)"),
        ("aab", "ab", r"more than one prediction for 1 id \('a'\)"),
        ("ab", "aab", r"more than one reference for 1 id \('a'\)"),
    ],
)
def test_squad_names_the_ids_that_do_not_match(predicted: str, asked: str, message: str) -> None:
    predictions = [{"id": key, "prediction_text": "x"} for key in predicted]
    references = [{"id": key, "answers": {"text": ["x"], "answer_start": [0]}} for key in asked]
    metric = get_metric("squad")
    with pytest.raises(DataFormatError, match=message):
        metric.score(predictions, references)
    with pytest.raises(DataFormatError, match=message):
        metric.compute(predictions=predictions, references=references)


# Tags


@pytest.mark.parametrize("tags", [BIO_TAGS, UD_TAGS, ODD_TAGS, BIO_TAGS + UD_TAGS + ODD_TAGS])
@pytest.mark.parametrize("name", ["entity_f1", "pos_f1"])
def test_tag_scores_equal_seqeval(name: str, tags: list[str]) -> None:
    @settings(max_examples=300, deadline=None)
    @given(pairs(tags))
    def check(rows: tuple[list[list[str]], list[list[str]]]) -> None:
        gold, predicted = rows
        metric, expected = get_metric(name), seqeval_scores(gold, predicted)
        assert metric.score(predicted, gold) == pytest.approx({score: expected[score] for score in metric.score_names})

    check()


@settings(max_examples=300, deadline=None)
@given(pairs(UD_TAGS + BIO_TAGS + ODD_TAGS))
def test_chunks_equal_those_of_seqeval(rows: tuple[list[list[str]], list[list[str]]]) -> None:
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    for sentences in rows:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = labeling.get_entities(sentences)
        found = chunks_by_sentence(sentences)
        assert sum(map(len, found)) == len(expected)
        assert set().union(*found) == set(expected)


@settings(max_examples=200, deadline=None)
@given(pairs([tag for tag in UD_TAGS + BIO_TAGS if tag != "X"]))
def test_sentences_are_independent(rows: tuple[list[list[str]], list[list[str]]]) -> None:
    gold, predicted = rows
    metric = get_metric("pos_f1")
    one_by_one = [metric.statistics([tags], [wanted])[0] for tags, wanted in zip(predicted, gold, strict=True)]
    np.testing.assert_array_equal(metric.statistics(predicted, gold), one_by_one)


@pytest.mark.parametrize(
    ("gold", "predicted", "chunk_f1", "accuracy"),
    [
        (["NOUN", "NOUN"], ["NOUN", "VERB"], 0, 50),  # two neighbouring nouns are one chunk
        (["CCONJ", "VERB"], ["SCONJ", "VERB"], 100, 50),  # both are "CONJ"
        (["SCONJ", "SCONJ", "DET"], ["SCONJ", "DET", "DET"], 40, 200 / 3),  # S stands for a single token
        (["DET", "X"], ["DET", "X"], 100, 100),
    ],
)
def test_pos_f1_by_hand(gold: list[str], predicted: list[str], chunk_f1: float, accuracy: float) -> None:
    scores = get_metric("pos_f1").score([predicted], [gold])
    assert scores == pytest.approx({"f1": chunk_f1, "token_accuracy": accuracy})


def test_x_at_the_beginning_of_a_sentence_depends_on_the_sentence_before() -> None:
    metric = get_metric("pos_f1")
    gold, predicted = [["DET", "NOUN"], ["X", "VERB"]], [["DET", "DET"], ["X", "VERB"]]
    matched = metric.statistic_names.index("matched")
    assert metric.statistics(predicted, gold)[1, matched] == 1  # only VERB: the X chunks begin in sentence 1
    assert metric.statistics(predicted[1:], gold[1:])[0, matched] == 2
    assert metric.score(predicted, gold)["f1"] == pytest.approx(seqeval_scores(gold, predicted)["f1"])


def test_entity_f1_by_hand() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"]]
    predicted = [["I-PER", "I-PER", "O", "B-ORG"], ["O", "B-LOC"]]
    expected = {"f1": 40, "precision": 100 / 3, "recall": 50, "token_accuracy": 50}
    assert get_metric("entity_f1").score(predicted, gold) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "gold", "message"),
    [
        ([["O"], ["O"]], [["O"], ["O", "O"]], r"Sentence 2 .* 1 predicted tags for 2 tokens"),
        ([[""]], [["O"]], "at least one character"),
        ([[1]], [["O"]], "not 1"),
        (["NOUN"], ["NOUN"], "a list of tags"),
    ],
)
def test_tags_of_the_wrong_form(predicted: list, gold: list, message: str) -> None:
    with pytest.raises(DataFormatError, match=message):
        get_metric("entity_f1").score(predicted, gold)


def test_mining_among_sentences_of_which_few_have_a_translation() -> None:
    """Three pairs are mined, two of them right; four are gold, two of them of one sentence."""
    found = get_metric("bucc_pool_f1").score(*INPUTS["bucc_pool_f1"])
    assert found == pytest.approx({"f1": 100 * 4 / 7, "precision": 200 / 3, "recall": 50.0})
