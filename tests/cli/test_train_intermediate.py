"""``train-intermediate``: the document, the lines for people, and options and variables that reach the training."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import TINY, call, document, refused
from cli_world import World


def test_a_trained_adapter_and_the_same_again(world: World) -> None:
    first = world.made["mnli"]
    assert (first["reused"], first["stages"][0]["state"]) == (False, "trained")
    again = document("train_intermediate", "train-intermediate", "mnli", *world.options, *TINY)
    assert (again["reused"], again["stages"][0]["state"]) == (True, "reused")
    for value in (first, again):
        value = dict(value)
        assert Path(value["path"]).name == value["artifact"]
    assert {key: again[key] for key in ("artifact", "metrics", "settings", "resources")} == {
        key: first[key] for key in ("artifact", "metrics", "settings", "resources")
    }


def test_each_option_of_training_reaches_the_settings(world: World, options: tuple[str, ...]) -> None:
    settings = {
        "adapter": "double_seq_bn",
        "reduction_factor": 8.0,
        "epochs": 0.5,
        "steps": 2,
        "learning_rate": 0.002,
        "warmup_ratio": 0.25,
        "batch_size": 3,
        "gradient_accumulation": 2,
        "weight_decay": 0.05,
        "max_grad_norm": 0.7,
        "fusion_dropout": 0.2,
        "max_length": 48,
        "doc_stride": 12,
        "max_train_examples": 30,
        "max_validation_examples": 9,
        "sample_seed": 4,
        "evaluations": 2,
        "patience": 3,
        "precision": "bf16",
        "seed": 6,
    }
    assert settings.keys() == world.made["mnli"]["settings"].keys()
    flags = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    made = document("train_intermediate", "train-intermediate", "mnli", *options, *flags)
    assert made["settings"] == settings
    assert made["metrics"]["steps"] == 2


def test_lines_for_people_on_a_trained_adapter(world: World) -> None:
    shown = call("train-intermediate", "mnli", *world.options, *TINY).stdout
    made = world.made["mnli"]
    assert f"{made['artifact']} was trained before." in shown
    assert f"accuracy {made['metrics']['validation']['accuracy']:.2f} (step 3 of 3)" in shown
    assert made["path"] in shown


def test_variables_stand_in_for_options(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERSTILTS_BACKBONE", str(world.backbone))
    monkeypatch.setenv("ADAPTERSTILTS_DATA_ROOT", str(world.mirror))
    monkeypatch.setenv("ADAPTERSTILTS_HOME", str(world.store))
    again = document("train_intermediate", "train-intermediate", "squad", *TINY)
    assert (again["artifact"], again["reused"]) == (world.artifact("squad"), True)


def test_validation_rows_are_evaluation_rows_to_who_trains_an_intermediate_task(world: World, tmp_path: Path) -> None:
    common = ("train-intermediate", "mnli", "--backbone", world.backbone, "--data-root", world.mirror, *TINY)
    told = [
        document("train_intermediate", *common, "--store", tmp_path / "store", option, 7)
        for option in ("--max-validation-examples", "--max-eval-examples")
    ]
    assert [item["settings"]["max_validation_examples"] for item in told] == [7, 7]
    assert [item["reused"] for item in told] == [False, True]


def test_an_adapter_from_plain_text(world: World, options: tuple[str, ...], tmp_path: Path) -> None:
    text, more = tmp_path / "text.txt", tmp_path / "more.txt"
    text.write_text("the cat sees a tree\nthe house\n", encoding="utf-8")
    more.write_text("a dog sees the house\n", encoding="utf-8")
    named = ("train-intermediate", "mlm", "--text", text, "--text", more)
    made = document("train_intermediate", *named, *options, *TINY)
    assert set(made["metrics"]["validation"]) == {"perplexity", "loss"}
    assert made["metrics"]["validation"]["perplexity"] > 1
    assert "perplexity" in call(*named, *options, *TINY).stdout
    (listed,) = document("runs", "runs", "--store", options[-1])
    assert listed["id"] == made["artifact"]


def test_text_goes_with_mlm_and_mlm_with_text(options: tuple[str, ...], tmp_path: Path) -> None:
    store = Path(options[-1])
    for suite in ("xtreme", "xtreme-r", "lab"):
        told = refused("train-intermediate", "mlm", "--suite", suite, *options, store=store)
        assert "train-intermediate mlm --text FILE" in told
    told = refused("train-intermediate", "squad", "--text", tmp_path / "any.txt", *options, store=store)
    assert "--text is for masked-language modelling (mlm); 'squad' has rows of its own" in told
    told = refused("train-intermediate", "mlm", "--text", tmp_path / "any.txt", *options, store=store)
    assert "any.txt' is not there" in told
