"""Cards: the metadata, the command, scores and gap, and texts that stay in their cells."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from loopback_hub import card_fault

from adapterstilts.store.card_text import CardFacts, command_of, mean_and_gap
from adapterstilts.store.cards import card

RESULT: dict[str, Any] = {
    "evaluation": "xquad.squad.test-000000000000",
    "suite": "xtreme",
    "task": "xquad",
    "split": "test",
    "languages": {
        "en": {"examples": 10, "f1": 80.0, "exact_match": 70.0},
        "de": {"examples": 10, "f1": 60.0, "exact_match": 50.0},
        "zh": {"examples": 10, "f1": 40.0, "exact_match": 30.0},
    },
    "missing": ["ar"],
}
MANIFEST: dict[str, Any] = {
    "kind": "target",
    "id": "xquad.squad-000000000000",
    "name": "xquad.squad",
    "fingerprint": "0" * 64,
    "suite": "xtreme",
    "task": "xquad",
    "expression": "squad",
    "backbone": {"id": "xlm-roberta-base", "revision": "e" * 40, "config_hash": "1" * 64, "model_type": "xlm-roberta"},
    "settings": {"adapter": "seq_bn", "steps": 300, "epochs": 3.0, "learning_rate": 1e-4, "patience": None, "seed": 2},
    "identity": {"task": {"name": "xquad"}},
    "inputs": ["squad-000000000001"],
    "data": {
        "train": {
            **{"dataset": "rajpurkar/squad", "config": "plain_text", "split": "train", "revision": "a" * 40},
            **{"more": ["nyu-mll/glue mnli train b"], "rows": 87599},
        }
    },
    "metrics": {"validation": {"f1": 81.25}, "best_step": 200, "steps": 300},
    "resources": {"trained_parameters": 894528, "wall_seconds": 12.5, "device": "cpu (x86_64, 2 threads)"},
    "versions": {"torch": "2.6"},
}
FACTS = CardFacts("alice/x", "Stack(squad, xquad) → question_answering head 'xquad'", [RESULT], "load_adapter_setup")


def metadata(text: str) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return value


def test_the_metadata_is_what_the_hub_reads() -> None:
    text = card(MANIFEST, FACTS)
    assert card_fault(text) == ""
    told = metadata(text)
    index = told.pop("model-index")
    assert told == {
        "base_model": "xlm-roberta-base",
        "base_model_relation": "adapter",
        "library_name": "adapterstilts",
        "pipeline_tag": "question-answering",
        "language": ["en", "de", "zh"],
        "datasets": ["rajpurkar/squad", "nyu-mll/glue"],
        "tags": ["adapterstilts", "adapters", "target", "xquad", "seq_bn"],
    }
    assert len(index[0]["results"]) == 3
    german = next(item for item in index[0]["results"] if "(de)" in item["dataset"]["name"])
    assert german["dataset"]["type"] == "google/xtreme"
    assert [(metric["type"], metric["value"]) for metric in german["metrics"]] == [("f1", 60.0), ("exact_match", 50.0)]
    assert ModelCard(text).data.eval_results is not None


def test_the_text_has_scores_gap_command_and_data() -> None:
    text = card(MANIFEST, FACTS)
    for part in (
        "xlm-roberta-base → Stack(squad, xquad) → question_answering head 'xquad'",
        "| de | 10 | 60.0 | 50.0 |",
        "Mean of the 3 languages: 60.0. Transfer gap: 30.0. Not evaluated: ar.",
        "the source language scores 30.0 points more",
        "| trained parameters | 894,528 |",
        "| time | 12.5 s on cpu (x86_64, 2 threads) |",
        "`rajpurkar/squad` (plain_text, train) at `" + "a" * 40,
        'load_adapter_setup(f"{folder}/library"',
        "arxiv.org/abs/2005.13013",
    ):
        assert part in text


def test_the_command_has_every_setting_and_can_be_read_by_the_command_line() -> None:
    from typer.testing import CliRunner

    words = shlex.split(command_of(MANIFEST))
    assert words[:5] == ["adapterstilts", "compose", "squad", "--target", "xquad"]
    assert words[words.index("--seeds") + 1] == "2"
    assert "--epochs" not in words, "steps take its place"
    assert words[words.index("--revision") + 1] == "e" * 40
    from adapterstilts.cli.app import app

    assert CliRunner().invoke(app, [*words[1:], "--help"]).exit_code == 0
    one = {**MANIFEST, "kind": "intermediate", "task": "squad", "expression": "none"}
    words = shlex.split(command_of(one))
    assert words[:3] == ["adapterstilts", "train-intermediate", "squad"]
    assert words[words.index("--seed") + 1] == "2"


def test_mean_and_gap() -> None:
    assert mean_and_gap(RESULT) == (60.0, 30.0)
    only = {**RESULT, "languages": {"de": RESULT["languages"]["de"]}}
    assert mean_and_gap(only) == (60.0, None)


@pytest.mark.parametrize("backbone", ["./toy", "pico", "minilm-l6"])
def test_a_backbone_that_is_not_on_the_hub_is_said_to_be(backbone: str) -> None:
    text = card({**MANIFEST, "backbone": {**MANIFEST["backbone"], "id": backbone}}, FACTS)
    assert "base_model" not in metadata(text)
    assert "from_pretrained('FOLDER')" in text
    assert ("--backbone FOLDER" in text) is (backbone == "./toy")
    assert ("comes as a Python package" in text) is (backbone != "./toy")


def test_the_lab_is_said_to_be_generated_and_has_no_languages() -> None:
    result = {**RESULT, "suite": "lab", "languages": {"qaa": {"examples": 5, "f1": 50.0}}}
    text = card({**MANIFEST, "suite": "lab"}, CardFacts("alice/x", "", [result], "load_adapter"))
    assert "language" not in metadata(text)
    assert "generated" in text


def test_without_evaluations_and_with_a_licence() -> None:
    text = card(MANIFEST, CardFacts("alice/x", "", [], "load_adapter", "apache-2.0"))
    assert "model-index" not in metadata(text)
    assert metadata(text)["license"] == "apache-2.0"
    assert "Nobody has evaluated it yet" in text


def test_a_text_stays_in_its_cell_and_in_the_metadata() -> None:
    evil = "a|b\n---\n`x` <script>"
    told = {**MANIFEST["data"]["train"], "dataset": evil}
    result = {**RESULT, "task": "own", "split": "test\n# Title"}
    facts = CardFacts("alice/x", "", [result], "load_adapter")
    text = card({**MANIFEST, "data": {"train": told}, "task": "own: [x"}, facts)
    assert metadata(text)["tags"][3] == "own: [x"
    assert "\n# Title" not in text
    assert "`a|b --- 'x' <script>`" in text, "inside of backticks nothing is markup"


def test_a_search_tells_the_weights_that_it_found() -> None:
    told = {"weights": {"mnli": 0.71849, "avg(qqp, squad)": -0.1}}
    manifest = {**MANIFEST, "expression": "search(mnli, avg(qqp, squad))", "search": told}
    assert "| weights | 0.718 of `mnli`, -0.100 of `avg(qqp, squad)` |" in card(manifest, FACTS)
    assert "| weights |" not in card(MANIFEST, FACTS)
