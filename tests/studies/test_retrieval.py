"""Sentence retrieval from a request to a table: nothing is trained for the target, the layer is chosen fairly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from adapterstilts.errors import AdapterStiltsError, ArtifactError, ExpressionError, SettingsError
from adapterstilts.evaluation.averages import get_benchmark
from adapterstilts.evaluation.submissions import score_folders
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.exporting import export
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.transfer import compose, train_intermediate

LEARNING: dict[str, Any] = {"steps": 30, "batch_size": 8, "max_length": 64, "evaluations": 1, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def common(common: dict[str, Any]) -> dict[str, Any]:
    """The options of all studies, without settings of training: nothing is trained for the target."""
    return common | {"settings": {"max_length": 64}}


@pytest.fixture(scope="module")
def shelf(common: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an adapter for mnli and one for hellaswag."""
    home = tmp_path_factory.mktemp("shelf")
    for task in ("mnli", "hellaswag"):
        train_intermediate(task, store=home, **common | {"settings": LEARNING})
    return home


@pytest.fixture(scope="module")
def tatoeba(shelf: Path, common: dict[str, Any]) -> Transfer:
    return compose("mnli", target="tatoeba", store=shelf, **common)


@pytest.mark.parametrize(("layer", "same"), [("0", True), ("2", False)])
def test_an_adapter_changes_the_vectors_above_it(
    layer: str, same: bool, shelf: Path, common: dict[str, Any], tmp_path: Path
) -> None:
    home = shutil.copytree(shelf / "artifacts" / "intermediate", tmp_path / "artifacts" / "intermediate").parents[1]
    compose("mnli", target="tatoeba", store=home, layer=layer, **common)
    bare, composed = (
        [record["score"] for record in item.read_lines("predictions/de.jsonl")]
        for item in sorted(Store(home).all("evaluation"), key=lambda item: item.id, reverse=True)
    )
    assert len(bare) == 20
    assert (bare == composed) is same


def test_an_adapter_beside_the_bare_backbone(tatoeba: Transfer, shelf: Path) -> None:
    document = tatoeba.to_json()
    assert (document["metric"], document["split"], document["transfer_gap"]) == ("accuracy", "test", None)
    assert set(document["languages"]) == {"de", "ru", "sw"}
    assert set(document["missing_languages"]) == set(tatoeba.target.languages) - {"de", "ru", "sw"}
    for cell in document["languages"].values():
        assert cell["examples"] == 20
        assert cell["score"] > 50 < cell["baseline"], "the words that pairs share find most of them; chance is 5"
        assert cell["interval"][0] <= cell["delta"] <= cell["interval"][1]
    sweeps = [document["layers"][who]["sweep"] for who in ("composition", "baseline")]
    assert sweeps[0]["0"] == sweeps[1]["0"], "the embeddings lie below the adapters"
    assert document["artifact"].startswith("mnli-")
    assert document["baseline_artifacts"] == []
    assert [(stage["kind"], stage["name"]) for stage in document["stages"]] == [
        ("intermediate", "mnli"),
        ("evaluation", "mnli.tatoeba.test"),
        ("evaluation", "none.tatoeba.test"),
    ]
    (evaluation,) = tatoeba.evaluations
    manifest = Store(shelf).get(evaluation.id).manifest
    assert manifest["metrics"]["de"]["accuracy"] == pytest.approx(document["languages"]["de"]["score"], abs=0.01)
    records = evaluation.read_lines("predictions/de.jsonl")
    right = sum(record["id"] == record["answer"] for record in records)
    assert 100 * right / 20 == document["languages"]["de"]["score"]
    assert not [item for item in Store(shelf).all() if item.kind == "target"], "nothing was trained for the target"


def test_the_layer_of_a_language_is_the_best_of_the_others(tatoeba: Transfer) -> None:
    layers = tatoeba.to_json()["layers"]
    for told in layers.values():
        assert set(told["sweep"]) == {"0", "1", "2"}
        assert told["chosen_on"] == "the other languages"
        for code, layer in told["chosen"].items():
            means = {
                int(number): sum(score for other, score in by.items() if other != code)
                for number, by in told["sweep"].items()
            }
            assert layer == min(number for number, mean in means.items() if mean == max(means.values()))
    for code, cell in tatoeba.to_json()["languages"].items():
        assert cell["score"] == layers["composition"]["sweep"][str(layers["composition"]["chosen"][code])][code]
        assert cell["baseline"] == layers["baseline"]["sweep"][str(layers["baseline"]["chosen"][code])][code]


def test_the_same_again_is_taken_from_the_store(tatoeba: Transfer, shelf: Path, common: dict[str, Any]) -> None:
    again = compose("mnli", target="tatoeba", store=shelf, **common)
    assert [stage["state"] for stage in again.stages] == ["reused"] * 3
    assert again.comparison.to_json() == tatoeba.comparison.to_json()
    assert again.to_json()["layers"] == tatoeba.to_json()["layers"]


def test_a_layer_that_is_asked_for(tatoeba: Transfer, shelf: Path, common: dict[str, Any]) -> None:
    fixed = compose("mnli", target="tatoeba", store=shelf, layer="1", languages="de", **common).to_json()
    told = fixed["layers"]["composition"]
    assert (told["chosen"], told["chosen_on"], set(told["sweep"])) == ({"de": 1}, "asked for", {"1"})
    swept = tatoeba.to_json()["layers"]
    assert fixed["languages"]["de"]["score"] == swept["composition"]["sweep"]["1"]["de"]
    assert fixed["languages"]["de"]["baseline"] == swept["baseline"]["sweep"]["1"]["de"]


def test_embeddings_are_the_same_with_and_without_an_adapter(shelf: Path, common: dict[str, Any]) -> None:
    below = compose("hellaswag", target="tatoeba", store=shelf, layer="0", **common).to_json()
    assert [cell["delta"] for cell in below["languages"].values()] == [0.0, 0.0, 0.0]


def test_none_is_the_bare_backbone_alone(tatoeba: Transfer, shelf: Path, common: dict[str, Any]) -> None:
    bare = compose("none", target="tatoeba", store=shelf, **common).to_json()
    assert [stage["state"] for stage in bare["stages"]] == ["reused"]
    assert bare["layers"]["baseline"] is None
    baseline = {code: cell["baseline"] for code, cell in tatoeba.to_json()["languages"].items()}
    assert {code: cell["score"] for code, cell in bare["languages"].items()} == baseline
    assert bare["artifact"].startswith("none.tatoeba.test-")


def test_bucc_fits_layer_and_threshold_on_validation_rows(shelf: Path, common: dict[str, Any]) -> None:
    transfer = compose("mnli", target="bucc", store=shelf, **common)
    document = transfer.to_json()
    assert (document["metric"], document["split"]) == ("f1", "test")
    told = document["layers"]["composition"]
    assert told["chosen_on"] == "validation rows"
    (layer,) = set(told["chosen"].values())
    means = {int(number): sum(by.values()) for number, by in told["sweep"].items()}
    assert means[layer] == max(means.values())
    assert set(document["languages"]["de"]["scores"]) == {"f1", "precision", "recall"}
    assert document["languages"]["de"]["score"] > 50
    thresholds = transfer.evaluations[0].manifest["thresholds"]
    assert set(thresholds) == {"de", "ru"}
    mined = [record for record in transfer.evaluations[0].read_lines("predictions/ru.jsonl") if record["answer"]]
    assert mined
    assert all(record["score"] >= thresholds["ru"] for record in mined)
    answers = [record["answer"] for record in mined]
    assert len(set(answers)) == len(answers), "no translation is mined twice"

    fitted = compose("mnli", target="bucc", store=shelf, split="validation", layer=str(layer), **common).to_json()
    swept = told["sweep"][str(layer)]
    assert {code: cell["score"] for code, cell in fitted["languages"].items()} == swept


def test_bucc_on_its_pools_fits_on_one_half_of_the_sentences(shelf: Path, common: dict[str, Any]) -> None:
    transfer = compose("mnli", target="bucc_pools", store=shelf, languages="de,ru", **common)
    document = transfer.to_json()
    assert (document["metric"], document["split"]) == ("f1", "test")
    for told in document["layers"].values():
        (layer,) = set(told["chosen"].values())
        means = {int(number): sum(by.values()) for number, by in told["sweep"].items()}
        assert (told["chosen_on"], means[layer]) == ("validation rows", max(means.values()))
    assert document["languages"]["de"]["score"] > 30
    thresholds = transfer.evaluations[0].manifest["thresholds"]
    records = transfer.evaluations[0].read_lines("predictions/de.jsonl")
    assert len(records) == document["languages"]["de"]["examples"] < 80
    mined = [record for record in records if record["answer"]]
    assert all(record["score"] >= thresholds["de"] for record in mined)
    assert len({record["answer"] for record in mined}) == len(mined)
    again = compose("mnli", target="bucc_pools", store=shelf, languages="de,ru", **common)
    assert [stage["state"] for stage in again.stages] == ["reused"] * 3
    assert again.comparison.to_json() == transfer.comparison.to_json()


@pytest.mark.parametrize("target", ["lareqa", "mewslix"])
def test_rankings_choose_the_layer_on_the_other_languages(target: str, shelf: Path, common: dict[str, Any]) -> None:
    transfer = compose("mnli", target=target, store=shelf, **common)
    document = transfer.to_json()
    assert document["metric"] == "map@20"
    assert set(document["languages"]) == ({"en", "de", "ru"} if target == "lareqa" else {"en", "de", "ja"})
    for who, told in document["layers"].items():
        assert told["chosen_on"] == "the other languages"
        for code, layer in told["chosen"].items():
            means = {
                int(number): sum(score for other, score in by.items() if other != code)
                for number, by in told["sweep"].items()
            }
            assert layer == min(number for number, mean in means.items() if mean == max(means.values()))
            cell = document["languages"][code]
            assert cell["score" if who == "composition" else "baseline"] == told["sweep"][str(layer)][code]
    assert document["languages"]["en"]["score"] > 20, "words in common find them; chance is below 10"
    records = transfer.evaluations[0].read_lines("predictions/de.jsonl")
    longest = 20 if target == "lareqa" else 14
    assert all(len(set(record["answer"])) == longest for record in records)
    assert document["layers"]["composition"]["sweep"]["0"] == document["layers"]["baseline"]["sweep"]["0"]


@pytest.mark.parametrize("target", ["lareqa", "mewslix"])
def test_rankings_that_were_exported_score_as_they_were_evaluated(
    target: str, shelf: Path, common: dict[str, Any], tmp_path: Path
) -> None:
    document = compose("mnli", target=target, store=shelf, **common).to_json()
    said, right, evaluation = tmp_path / "said", tmp_path / "right", document["evaluations"][0]
    export([evaluation], said, labels=right, partial=True, data_root=common["data_root"], store=shelf)
    found = score_folders(said, right, get_benchmark("xtreme-r"))
    assert not found.warnings
    ours = {code: pytest.approx(cell["score"], abs=0.006) for code, cell in document["languages"].items()}
    assert {code: scores["map@20"] for code, scores in found.scores[target].items()} == ours


def test_one_vector_of_the_first_token_is_another_search(shelf: Path, common: dict[str, Any]) -> None:
    options: dict[str, Any] = {"target": "lareqa", "store": shelf, "layer": "2", "languages": "de", **common}
    mean, cls = compose("none", **options), compose("none", pooling="cls", **options)
    assert mean.artifacts[0].fingerprint != cls.artifacts[0].fingerprint
    assert [found.to_json()["layers"]["composition"]["pooling"] for found in (mean, cls)] == ["mean", "cls"]
    assert mean.to_json()["languages"]["de"]["score"] != cls.to_json()["languages"]["de"]["score"]
    assert compose("none", pooling="mean", **options).artifacts[0].id == mean.artifacts[0].id


def test_faiss_gives_the_scores_of_torch(shelf: Path, common: dict[str, Any]) -> None:
    pytest.importorskip("faiss")
    options: dict[str, Any] = {"target": "mewslix", "store": shelf, "layer": "2", "languages": "de", **common}
    plain, other = compose("none", **options), compose("none", search="faiss", **options)
    assert plain.artifacts[0].fingerprint != other.artifacts[0].fingerprint
    assert plain.to_json()["languages"] == other.to_json()["languages"]


@pytest.mark.parametrize(
    ("expression", "options", "error", "says"),
    [
        ("mnli+squad", {}, ExpressionError, "'mnli\\+squad' is a fusion, .* Name one adapter: 'mnli' or 'squad'"),
        (
            "mnli",
            {"settings": {"max_length": 64, "epochs": 3.0, "patience": 1}},
            SettingsError,
            "--epochs, --patience would have no eff",
        ),
        ("mnli", {"seeds": (0, 1)}, SettingsError, "--seeds would have no effect"),
        ("mnli", {"layer": "last"}, SettingsError, "--layer 'last' is neither auto nor the number of a layer"),
        ("mnli", {"layer": "-1"}, SettingsError, "--layer '-1' is neither auto"),
        ("mnli", {"layer": "3"}, SettingsError, r"--layer 3 is none of .* give 0 \(its embeddings\) to 2, or auto"),
        ("mnli", {"languages": "de"}, SettingsError, "there is only de. Name more --languages, or give --layer N"),
        ("mnli", {"pooling": "max"}, SettingsError, "--pooling 'max' is none of mean, cls"),
        ("mnli", {"search": "annoy"}, SettingsError, "--search 'annoy' is none of torch, faiss"),
        ("mnli", {"split": "validation"}, SettingsError, "has no split 'validation'; it has test"),
        ("mnli", {"settings": {"max_length": 500}}, SettingsError, "--max-length 500 is more than"),
        ("squad", {"train_missing": False, "layer": "1"}, ArtifactError, "no adapter for squad"),
    ],
)
def test_what_has_no_meaning_is_refused(
    expression: str,
    options: dict[str, Any],
    error: type[AdapterStiltsError],
    says: str,
    shelf: Path,
    common: dict[str, Any],
) -> None:
    with pytest.raises(error, match=says):
        compose(expression, target="tatoeba", store=shelf, **common | options)


def test_a_layer_is_for_retrieval_alone(shelf: Path, common: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="--layer is for targets of sentence retrieval, which 'xnli' is not"):
        compose("mnli", target="xnli", store=shelf, layer="2", **common)
    with pytest.raises(SettingsError, match="--pooling, --search is for targets of sentence retrieval"):
        compose("mnli", target="xnli", store=shelf, pooling="cls", search="torch", **common)


def test_the_document_can_be_written(tatoeba: Transfer) -> None:
    assert json.loads(json.dumps(tatoeba.to_json(), allow_nan=False))["target"] == "tatoeba"
