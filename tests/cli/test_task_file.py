"""``--task-file``: the example of tasks of one's own from end to end, and artifacts that need their file."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from calling import TINY, call, document, refused, surroundings_kept

from adapterstilts.store.artifacts import Store

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task"
SENTIMENT, QUESTIONS = ("--task-file", EXAMPLE / "sentiment.yaml"), ("--task-file", EXAMPLE / "questions.yaml")


@dataclass(frozen=True)
class Made:
    """What the example's commands made, with few steps, on the toy backbone."""

    store: Path
    options: tuple[Any, ...]
    trained: dict[str, Any]
    composed: dict[str, Any]


@pytest.fixture(scope="module")
def made(toy_backbone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    store = tmp_path_factory.mktemp("own")
    options = ("--backbone", toy_backbone_folder, "--store", store, *TINY)
    with surroundings_kept():
        trained = document("train_intermediate", "train-intermediate", "sentiment", *SENTIMENT, *options)
        composed = document(
            "compose", "compose", "sentiment", "--target", "questions", *SENTIMENT, *QUESTIONS, *options
        )
    return Made(store, options, trained, composed)


def test_the_example_is_trained_composed_and_evaluated(made: Made) -> None:
    assert (made.trained["task"], made.trained["reused"]) == ("sentiment", False)
    assert made.composed["stages"][0]["state"] == "reused"
    assert made.composed["composition"] == "sentiment"
    assert {code: cell["examples"] for code, cell in made.composed["languages"].items()} == {"en": 4, "de": 4, "sw": 4}
    assert made.composed["missing_languages"] == []
    manifest = Store(made.store).get(made.trained["artifact"]).manifest
    assert manifest["labels"] == ["negative", "positive"]
    assert manifest["data"]["train"]["rows"] == 24
    assert manifest["settings"]["learning_rate"] == 1e-3, "the file's own"
    assert manifest["settings"]["steps"] == 3, "the command's"
    kept = document("runs", "runs", "--store", made.store)
    assert {"sentiment", "questions"} <= {run["task"] for run in kept}


def test_the_example_under_a_task_of_the_catalogue(made: Made, toy_mirror: Path) -> None:
    mine = document(
        *("compose", "compose", "sentiment", "--target", "xnli", *SENTIMENT, *made.options),
        *("--data-root", toy_mirror, "--languages", "de", "--max-eval-examples", "4"),
    )
    assert (mine["stages"][0]["state"], list(mine["languages"])) == ("reused", ["de"])


def test_what_was_made_with_a_file_needs_it(made: Made) -> None:
    where = ("--store", made.store)
    own, composed = made.trained["artifact"], made.composed["artifact"]
    assert document("evaluate", "evaluate", own, *SENTIMENT, *where)["target"] == "sentiment"
    again = document("evaluate", "evaluate", composed, *QUESTIONS, *where)
    assert again["mean"] == made.composed["mean"]
    told = refused("evaluate", own, *where, store=made.store)
    assert f"'{own}' was made with a task file, which says what 'sentiment' is: give it with --task-file FILE" in told
    assert "--task-file" in refused("evaluate", composed, *SENTIMENT, *where, store=made.store)
    row = json.dumps({"text": "A lovely view of the lake."})
    answer = json.loads(call("predict", own, *SENTIMENT, *where, given=row).stdout)
    assert answer["answer"] in ("negative", "positive")
    by_column = json.dumps({"review": "A lovely view of the lake."})
    assert json.loads(call("predict", own, *SENTIMENT, *where, given=by_column).stdout) == answer
    assert "--task-file FILE" in refused("predict", own, *where, given=row, store=made.store)


def test_a_changed_file_is_another_task(made: Made, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "own"))
    file = folder / "sentiment.yaml"
    own = ("--task-file", file)
    same = document("train_intermediate", "train-intermediate", "sentiment", *own, *made.options)
    assert (same["artifact"], same["reused"]) == (made.trained["artifact"], True), "wherever the files lie"
    file.write_text(file.read_text().replace("[negative, positive]", "[positive, negative]"))
    told = refused("evaluate", made.trained["artifact"], *own, "--store", made.store, store=made.store)
    assert "was made with another task 'sentiment' than that of the task file" in told
    told = refused(
        *("compose", "sentiment", "--target", "questions", "--no-train", *own, *QUESTIONS, *made.options),
        store=made.store,
    )
    assert "has no adapter for sentiment" in told
    assert "`adapterstilts train-intermediate sentiment --task-file FILE" in told
    use = ("--use", made.trained["artifact"])
    told = refused("compose", "sentiment", "--target", "questions", *use, *own, *QUESTIONS, *made.options)
    assert "was made with another task 'sentiment'" in told
    other = document(
        "train_intermediate",
        "train-intermediate",
        "sentiment",
        *own,
        *made.options[:2],
        "--store",
        tmp_path / "s",
        *TINY,
    )
    assert other["artifact"] != made.trained["artifact"]


def test_tasks_of_ones_own_are_listed_shown_and_checked() -> None:
    listed = document("tasks", "tasks", *SENTIMENT, *QUESTIONS)
    assert [task["name"] for task in listed][-2:] == ["sentiment", "questions"]
    shown = json.loads(call("tasks", "show", "questions", *QUESTIONS, "--json").stdout)
    assert (shown["languages"], shown["recipe"]["batch_size"]) == (["en", "de", "sw"], 8)
    found = json.loads(call("tasks", "check", "sentiment", "questions", *SENTIMENT, *QUESTIONS, "--json").stdout)
    assert [(one["task"], one["split"], one["error"]) for one in found] == [
        ("sentiment", "train", ""), ("sentiment", "validation", ""),
        ("questions", "train", ""), ("questions", "validation", ""), ("questions", "test", ""),
    ]  # fmt: skip
    assert "sentiment" not in call("tasks").stdout


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    assert "There is no task file" in refused("tasks", "--task-file", tmp_path / "none.yaml")
    assert "there is a task 'sentiment' already" in refused("tasks", *SENTIMENT, *SENTIMENT)
    assert "leave one out" in refused("tasks", *SENTIMENT, "--suite", "lab")
    text = (EXAMPLE / "sentiment.yaml").read_text()
    for settings, told in (
        ("epoch: 2", "settings.epoch: there is no such training setting; did you mean 'epochs'?"),
        ("epochs: many", "settings.epochs: must be a number, not 'many'"),
        ("steps: 1.5", "settings.steps: must be a whole number, not 1.5"),
        ("adapter: true", "settings.adapter: must be a text, not True"),
        ("epochs: 0", "settings: --epochs must be above 0, not 0"),
    ):
        file = tmp_path / "own.yaml"
        file.write_text(text.replace("epochs: 20", settings))
        assert told in refused("tasks", "--task-file", file)
    file.write_text(text.replace("mood}", "moods}"))
    said = json.loads(call("tasks", "check", "sentiment", "--task-file", file, "--json", code=2).stdout)
    assert "There is no file" in said[0]["error"]
    for name in ("train", "validation"):
        shutil.copy(EXAMPLE / f"sentiment.{name}.csv", tmp_path)
    said = json.loads(call("tasks", "check", "sentiment", "--task-file", file, "--json", code=2).stdout)
    assert "has no column 'moods'; it has review, mood" in said[0]["error"]
