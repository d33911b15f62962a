"""``evaluate``: the baseline is found, and one language is enough."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from calling import call, document, refused
from cli_world import World

from adapterstilts.cli.transfer_table import check_csv
from adapterstilts.errors import SettingsError


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


def test_attention_as_csv_and_as_a_small_table(world: World, tmp_path: Path) -> None:
    target = tmp_path / "attention.csv"
    command = ("evaluate", world.artifact("fusion"), "--data-root", world.mirror, "--store", world.store)
    shown = call(*command, "--attention", target).stdout
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    assert list(rows[0]) == ["language", "layer", "place", "adapter", "weight"]
    assert [(row["language"], row["layer"], row["place"], row["adapter"]) for row in rows] == [
        (code, layer, "feed-forward", name)
        for code in world.made["fusion"]["languages"]
        for layer in ("0", "1")
        for name in ("mnli", "squad")
    ]
    means = {
        name: sum(float(row["weight"]) for row in rows if (row["language"], row["adapter"]) == ("sw", name)) / 2
        for name in ("mnli", "squad")
    }
    assert sum(means.values()) == pytest.approx(1.0, abs=1e-5)
    table = shown[shown.index("Attention of the fusion") :]
    (line,) = (line for line in table.splitlines() if "Swahili (sw)" in line)
    assert [cell.strip() for cell in line.split("│")[2:4]] == [f"{value:.3f}" for value in means.values()]
    before = target.read_bytes()
    target.unlink()
    made = document("evaluate", *command, "--attention", target)
    assert made["artifact"] == world.artifact("fusion")
    assert target.read_bytes() == before


def test_attention_that_cannot_be_told_is_refused_in_time(world: World, tmp_path: Path) -> None:
    options = ("--data-root", world.mirror, "--store", world.store, "--attention")
    told = refused("evaluate", world.artifact("fusion"), *options, tmp_path / "missing" / "file.csv")
    assert "--attention" in told
    assert "cannot be written" in told
    told = refused("evaluate", world.artifact("mnli"), *options, tmp_path / "file.csv")
    assert "has no learned fusion" in " ".join(told.split())
    assert not (tmp_path / "file.csv").exists()


def test_a_file_that_one_may_not_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # the one who runs the tests may write everywhere
    with pytest.raises(SettingsError, match=r"--attention '.*file\.csv' cannot be written: you are not allowed to"):
        check_csv(tmp_path / "file.csv", "--attention")
