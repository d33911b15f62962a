"""``compose``: the document, the table with the same numbers, messages, and the table as a file."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from calling import TINY, call, document, refused, validate
from cli_world import World
from toy_stages import short_recipes

# Documents


def test_a_composition_beside_its_baseline(world: World) -> None:
    made = world.made["fusion"]
    assert (made["target"], made["composition"], made["split"], made["seeds"]) == ("xnli", "mnli+squad", "test", [0])
    assert list(made["languages"]) == ["en", "de", "sw", "zh"]
    scores = {code: cell["score"] for code, cell in made["languages"].items()}
    assert made["mean"] == pytest.approx(sum(scores.values()) / 4, abs=0.01)
    assert made["mean_without_source"] == pytest.approx((sum(scores.values()) - scores["en"]) / 3, abs=0.01)
    assert made["transfer_gap"] == pytest.approx(scores["en"] - made["mean_without_source"], abs=0.011)
    for cell in made["languages"].values():
        assert cell["delta"] == pytest.approx(cell["score"] - cell["baseline"], abs=0.011)
        assert cell["interval"][0] <= cell["delta"] <= cell["interval"][1]
        assert cell["deviation"] is None
    assert len(made["artifacts"]) == len(made["baseline_artifacts"]) == 1
    assert made["artifact"] == made["artifacts"][0]


def test_the_same_call_again_trains_and_evaluates_nothing(world: World) -> None:
    again = document("compose", *world.fusion)
    assert {stage["state"] for stage in again["stages"]} == {"reused"}
    assert len(again["stages"]) == 6
    before = world.made["fusion"]
    assert {key: value for key, value in again.items() if key != "stages"} == {
        key: value for key, value in before.items() if key != "stages"
    }


def test_no_intermediate_task_has_no_baseline(world: World) -> None:
    made = world.made["tags"]
    assert made["baseline_artifacts"] == []
    assert {cell["delta"] for cell in made["languages"].values()} == {None}
    assert "baseline_scores" not in made["languages"]["en"]
    assert list(made["languages"]["en"]["scores"]) == ["f1", "precision", "recall", "token_accuracy"]


def test_sentence_retrieval_trains_nothing_and_tells_its_layers(own_world: World) -> None:
    command = ("compose", "mnli", "--target", "tatoeba", *own_world.options, "--max-length", 64)
    made = document("compose", *command)
    assert (made["metric"], made["mean"] > 50) == ("accuracy", True)
    assert made["artifact"] == own_world.artifact("mnli")
    assert set(made["layers"]) == {"composition", "baseline"}
    shown = call(*command).stdout
    layer = made["layers"]["composition"]["chosen"]["de"]
    assert f"Layer of the composition: {layer} (chosen: the other languages)." in shown
    assert shown.count("mean by layer  0: ") == 2
    listed = document("runs", "runs", "--store", own_world.store, "--kind", "evaluation")
    assert {"mnli.tatoeba.test", "none.tatoeba.test"} <= {item["name"] for item in listed}
    fixed = document("compose", *command[:4], *own_world.options, "--max-length", 64, "--layer", 1, "--languages", "ru")
    assert fixed["layers"]["baseline"]["chosen"] == {"ru": 1}
    assert "Vector of a sentence: the mean over the tokens (--pooling)." in shown
    pools = ("compose", "none", "--target", "bucc_pools", *own_world.options, "--max-length", 64, "--layer", 1)
    shown = " ".join(call(*pools, "--pooling", "cls").stdout.split())
    assert "Vector of a sentence: the first token (--pooling)." in shown
    assert "Note: Not the published protocol: layer and threshold are fitted on a fixed half" in shown
    says = refused("compose", "mnli+squad", *command[2:])
    assert "Name one adapter: 'mnli' or 'squad'" in says


def test_a_fusion_of_the_intermediate_tasks_is_told_apart(own_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapterstilts.studies import intermediates
    from adapterstilts.training.recipes import recipe_settings

    tiny = {"steps": 3, "batch_size": 4, "max_length": 64, "evaluations": 1}
    monkeypatch.setattr(intermediates, "recipe_settings", lambda task, changes: recipe_settings(task, tiny))
    made = document("compose", *own_world.fusion, "--fuse-on", "intermediate")
    assert (made["composition"], made["fused_on"]) == ("mnli+squad", "intermediate")
    assert made["artifact"].startswith("xnli.mnli+squad.fused-")
    assert (
        "mnli+squad (fused on intermediate tasks) → xnli" in call(*own_world.fusion, "--fuse-on", "intermediate").stdout
    )
    assert "fused on" not in call(*own_world.fusion).stdout
    listed = document("runs", "runs", "--store", own_world.store, "--kind", "fusion")
    assert [item["name"] for item in listed] == ["mnli+squad"]
    assert {item["kind"] for item in document("runs", "runs", "--store", own_world.store)} >= {"fusion", "target"}
    told = refused("compose", "squad", *own_world.fusion[2:], "--fuse-on", "intermediate")
    assert "--fuse-on intermediate tells what a fusion is trained on, and 'squad' is none" in " ".join(told.split())


def test_several_seeds_have_a_deviation(own_world: World) -> None:
    made = document("compose", *own_world.fusion, "--seeds", "0,1", "--max-eval-examples", "15")
    assert made["seeds"] == [0, 1]
    assert len(made["artifacts"]) == len(made["baseline_artifacts"]) == len(made["evaluations"]) == 2
    cells = [*made["languages"].values(), *made["summary"].values()]
    assert all(isinstance(cell["deviation"], float) for cell in cells)
    assert any(cell["deviation"] > 0 for cell in cells)
    assert {cell["examples"] for cell in made["languages"].values()} == {15}


# Messages, tables, files


def test_text_is_for_mixtures_that_learn_from_it(world: World, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sees a tree\nthe dog\n", encoding="utf-8")
    told = refused("compose", "mlm+mnli", "--target", "xnli", "--text", text, *world.options, store=world.store)
    assert "--text is for mlm in a mixture, as in 'mix(4*squad, mlm)'" in told
    mixed = ("compose", "mix(4*mnli, mlm)", "--target", "xnli", *world.options, "--dry-run")
    with short_recipes():
        assert "give compose the --text" in refused(*mixed, store=world.store)
        assert "mix(4*mnli, mlm)" in call(*mixed, "--text", text).stdout


def test_messages_go_to_stderr(world: World, options: tuple[str, ...]) -> None:
    result = call("compose", "none", "--target", "xnli", *options, *TINY, "--json")
    validate(json.loads(result.stdout), "compose")
    assert "60 training rows, 20 validation rows" in result.stderr
    assert re.search(r"Training xnli\S*: 3/3", result.stderr)
    assert "Evaluating xnli.none in 4 languages: 84/84" in result.stderr
    assert "Warning" not in result.stderr


def test_the_table_has_the_documents_numbers(world: World) -> None:
    result = call(*world.fusion)
    made = world.made["fusion"]
    rows = {line.split("│")[1].strip(): line for line in result.stdout.splitlines() if line.count("│") > 3}
    assert set(rows) == {
        "English (en), source",
        "German (de)",
        "Swahili (sw)",
        "Chinese (zh)",
        "mean, all languages",
        "mean without English",
        "transfer gap",
    }
    for code, label in (("en", "English (en), source"), ("sw", "Swahili (sw)")):
        cell = made["languages"][code]
        for value in (f"{cell['score']:.1f}", f"{cell['baseline']:.1f}", f"{cell['delta']:+.1f}"):
            assert value in rows[label]
    assert f"{made['mean']:.1f}" in rows["mean, all languages"]
    assert f"Not in the data: {', '.join(made['missing_languages'])}." in result.stdout
    assert f"Artifact: {made['artifact']}" in result.stdout
    assert "nothing, all was in the store" in result.stderr


def test_the_table_as_csv(world: World, tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    made = document("compose", *world.fusion, "--csv", target)
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    numbers = ["rows", "accuracy", "deviation", "baseline", "delta", "low", "high", "distance"]
    assert list(rows[0]) == ["language", *numbers]
    by_name = {row["language"]: row for row in rows}
    assert list(by_name) == [*made["languages"], "mean", "mean_without_source", "transfer_gap"]
    for name, cell in {**made["languages"], **made["summary"]}.items():
        low, high = cell["interval"] or ("", "")
        expected = [cell.get("examples", ""), cell["score"], "", cell["baseline"], cell["delta"], low, high, ""]
        assert [by_name[name][column] for column in numbers] == [str(value) for value in expected]


@pytest.mark.parametrize("name", ["missing/table.csv", ".", "file/table.csv"])
def test_a_csv_that_cannot_be_written_is_told_before_training(
    name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    told = refused(
        *("compose", "none", "--target", "xnli", *options, *TINY, "--csv", tmp_path / name), store=tmp_path / "store"
    )
    assert "--csv" in told
    assert str(tmp_path) in told
