"""``evaluate``: the baseline is found, and one language is enough."""

from __future__ import annotations

import pytest
from calling import call, document, refused
from cli_world import World


def test_evaluating_finds_the_baseline(world: World) -> None:
    made = document(
        "evaluate", "evaluate", world.artifact("fusion"), "--data-root", world.mirror, "--store", world.store
    )
    assert {stage["state"] for stage in made["stages"]} == {"reused"}
    before = world.made["fusion"]
    assert {key: value for key, value in made.items() if key != "stages"} == {
        key: value for key, value in before.items() if key != "stages"
    }


def test_evaluating_one_language_of_an_intermediate_adapter(own_world: World) -> None:
    made = document(
        "evaluate", "evaluate", own_world.artifact("squad"), "--data-root", own_world.mirror, "--store", own_world.store
    )
    assert (made["split"], list(made["languages"])) == ("validation", ["en"])
    assert (made["mean_without_source"], made["transfer_gap"]) == (None, None)
    assert made["summary"] == {
        "mean": {"score": made["mean"], "baseline": None, "delta": None, "interval": None, "deviation": None},
        "mean_without_source": None,
        "transfer_gap": None,
    }


def test_an_evaluation_without_layers_says_so(own_world: World) -> None:
    options = ("--data-root", own_world.mirror, "--store", own_world.store, "--languages", "en")
    made = document("evaluate", "evaluate", own_world.artifact("fusion"), *options, "--drop-layers", "0")
    assert made["drop_layers"] == "0"
    told = call("evaluate", own_world.artifact("fusion"), *options, "--drop-layers", "0").stdout
    assert "split, zero-shot, without adapters in layers 0\n" in told
    assert "without adapters" not in call("evaluate", own_world.artifact("fusion"), *options).stdout
    assert "no layer 2" in refused("evaluate", own_world.artifact("fusion"), *options, "--drop-layers", "2")


@pytest.mark.parametrize("option", ["--batch-size", "--max-eval-examples"])
def test_evaluating_takes_at_least_one(option: str, world: World) -> None:
    told = refused(
        *("evaluate", world.artifact("fusion"), "--data-root", world.mirror, "--store", world.store, option, "0")
    )
    assert option in told
