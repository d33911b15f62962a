"""Every task of the catalogue from rows to scores: trained, evaluated, and answered, on the toy mirror."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapterstilts.errors import DataUnavailableError
from adapterstilts.evaluation.unanswerable import NO_ANSWER_THRESHOLD
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.prediction import predict
from adapterstilts.studies.transfer import compose, evaluate, train_intermediate

#: Rows as a user gives them, in the data set's own columns, and what may be answered.
ROWS: dict[str, tuple[dict[str, Any], Any]] = {
    "qqp": ({"question1": "the cat", "question2": "the house"}, ("not_duplicate", "duplicate")),
    "anli": ({"premise": "the cat", "hypothesis": "the house"}, ("entailment", "neutral", "contradiction")),
    "squad2": ({"question": "Which ?", "context": "Alpha"}, ("Alpha", "")),
    "ccg": ({"tokens": ["cat"]}, (["N"], ["N/N"], ["."], ["(S\\NP)/NP"], ["(S\\NP)\\(S\\NP)"])),
    "cosmosqa": ({"context": "the cat", "question": "Why ?"} | {f"answer{n}": str(n) for n in range(4)}, range(4)),
    "csqa": ({"question": "Why ?", "choices": {"label": list("ABCDE"), "text": list("vwxyz")}}, range(5)),
    "copa": ({"premise": "cat", "question": "cause", "choice1": "a", "choice2": "b"}, range(2)),
    "siqa": ({"context": "cat", "question": "?", "answerA": "a", "answerB": "b", "answerC": "c"}, range(3)),
}


@pytest.fixture(scope="module")
def common(common: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The options of all studies, and a store for the tests of this file."""
    return common | {"store": tmp_path_factory.mktemp("store")}


@pytest.mark.parametrize("name", ROWS)
def test_an_intermediate_task_is_trained_evaluated_and_answered(name: str, common: dict[str, Any]) -> None:
    trained = train_intermediate(name, **common)
    metrics = trained.artifact.manifest["metrics"]["validation"]
    again = evaluate(trained.artifact.id, data_root=common["data_root"], store=common["store"])
    cell = again.comparison.languages["en"]
    assert cell.scores == pytest.approx({key: value for key, value in metrics.items() if key != NO_ANSWER_THRESHOLD})
    row, answers = ROWS[name]
    (answer,) = predict(trained.artifact.id, [json.dumps(row)], store=common["store"])
    assert answer["answer"] in answers


@pytest.mark.parametrize("name", ["pawsx", "mlqa", "xcopa"])
def test_a_target_task_is_composed_and_evaluated_in_every_language(name: str, common: dict[str, Any]) -> None:
    document = compose("siqa" if name == "xcopa" else "none", target=name, **common).to_json()
    assert set(document["languages"]) == ({"sw", "th", "zh"} if name == "xcopa" else {"en", "de", "zh"})
    if name == "xcopa":
        assert document["transfer_gap"] is None
        assert document["mean"] == document["mean_without_source"]
        assert all(cell["interval"] for cell in document["languages"].values())


def test_pairs_of_mlqa_are_scored_by_the_language_of_the_context(common: dict[str, Any]) -> None:
    transfer = compose("none", target="mlqa_pairs", **common)
    told, comparison = transfer.to_json(), transfer.comparison
    assert list(told["languages"]) == ["en", "de", "en-de", "zh-en", "zh"]
    assert told["languages"]["en-de"]["name"] == "English, questions in German"
    assert {"de-en", "ar", "ar-de"} <= set(told["missing_languages"])
    scores = {code: cell.score for code, cell in comparison.languages.items()}
    assert comparison.one_language is not None
    assert comparison.one_language.score == pytest.approx((scores["en"] + scores["de"] + scores["zh"]) / 3)
    assert told["mean_two_languages"] == pytest.approx((scores["en-de"] + scores["zh-en"]) / 2, abs=0.006)
    assert told["transfer_gap"] == pytest.approx(scores["en"] - (sum(scores.values()) - scores["en"]) / 4, abs=0.006)


def test_what_is_kept_of_several_data_sets(common: dict[str, Any]) -> None:
    data = train_intermediate("anli", **common).artifact.manifest["data"]["train"]
    assert (data["dataset"], data["rows"], data["skipped"]) == ("stanfordnlp/snli", 84, {"no gold label": 2})
    assert [more.rsplit(" ", 1)[0] for more in data["more"]] == [
        "nyu-mll/glue mnli train",
        *(f"facebook/anli plain_text train_r{number}" for number in (1, 2, 3)),
    ]


def test_the_threshold_for_no_answer_goes_with_the_adapter(common: dict[str, Any]) -> None:
    """It is fitted on validation rows and used wherever the adapter answers."""
    artifact = train_intermediate("squad2", **common).artifact
    transfer = evaluate(artifact.id, data_root=common["data_root"], store=common["store"])
    scores = transfer.comparison.languages["en"].scores
    assert scores is not None
    assert list(scores) == ["f1", "exact_match", "HasAns_f1", "HasAns_exact", "NoAns_f1", "NoAns_exact"]
    threshold = artifact.manifest["metrics"]["validation"][NO_ANSWER_THRESHOLD]
    assert isinstance(threshold, float)
    assert scores["f1"] >= 100 / 3 - 1e-9, "no answer to any question would be right for a third of them"


def test_labels_of_ccg_go_with_the_adapter(common: dict[str, Any]) -> None:
    artifact = train_intermediate("ccg", **common).artifact
    assert "(S\\NP)/NP" in artifact.manifest["labels"]
    composed = compose("ccg", target="udpos", **common, languages="de")
    assert composed.stages[0]["state"] == "reused"
    assert Store(common["store"]).get(composed.artifacts[0].id).manifest["labels"][0] == "ADJ"


def test_without_ccgbank_nothing_is_trained(common: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match="CCGbank is sold by the Linguistic Data Consortium"):
        train_intermediate("ccg", **common | {"data_root": tmp_path})
    with pytest.raises(DataUnavailableError, match="give --data-root DIR"):
        train_intermediate("ccg", **common | {"data_root": None})
