"""The same commands in another suite: ``--suite lab``, or ``ADAPTERSTILTS_SUITE``, without network and data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from calling import TINY, call, document

pytestmark = pytest.mark.usefixtures("toy_lab", "no_network")


def test_the_whole_way_in_the_lab(tmp_path: Path) -> None:
    store = ("--store", tmp_path / "store")
    trained = document("train_intermediate", "train-intermediate", "squad", "--suite", "lab", *store, *TINY)
    assert (trained["suite"], trained["backbone"]) == ("lab", "pico")

    composing = ("compose", "mnli+squad", "--target", "tydiqa", "--suite", "lab", *store, *TINY)
    made = document("compose", *composing, "--csv", tmp_path / "table.csv")
    assert (made["suite"], made["backbone"], list(made["languages"])) == ("lab", "pico", ["qaa", "qac", "qab"])
    with (tmp_path / "table.csv").open(encoding="utf-8") as stream:
        told = {row["language"]: row["distance"] for row in csv.DictReader(stream)}
    names = ("mean", "mean_without_source", "transfer_gap")
    assert told == {"qaa": "0.0", "qac": "0.25", "qab": "0.5", **dict.fromkeys(names, "")}

    shown = call(*composing).stdout
    assert "mnli+squad → tydiqa in the lab on pico, test split, zero-shot" in shown
    lines = [line.split("│")[1:3] for line in shown.splitlines() if "│" in line]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["Source (qaa), source", "0.00"],
        ["Near (qac)", "0.25"],
        ["Far (qab)", "0.50"],
        ["mean, all languages", ""],
        ["mean without Source", ""],
        ["transfer gap", ""],
    ]

    again = document("evaluate", "evaluate", made["artifact"], *store)
    assert (again["suite"], again["languages"]) == ("lab", made["languages"])
    refused = call("evaluate", made["artifact"], "--suite", "xtreme", *store, code=2).stderr
    assert "is of the suite 'lab', not of 'xtreme'" in refused
    row = json.dumps({"question": "Which name stands here ?", "context": "the big house Alpha near water"})
    assert json.loads(call("predict", made["artifact"], *store, given=row).stdout)["answer"]
    assert "not of 'xtreme'" in call("predict", made["artifact"], "--suite", "xtreme", *store, given=row, code=2).stderr

    runs = document("runs", "runs", *store)
    assert {item["suite"] for item in runs} == {"lab"}
    assert document("runs", "runs", "--suite", "lab", *store) == runs
    assert document("runs", "runs", "--suite", "xtreme", *store) == []
    assert "has no finished artifact of the suite 'xtreme'" in call("runs", "--suite", "xtreme", *store).stderr


def test_the_suite_as_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERSTILTS_SUITE", "lab")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert [task["name"] for task in document("tasks", "tasks")] == ["mnli", "squad", "mlm", "panx", "tydiqa"]
    assert [task["name"] for task in document("tasks", "tasks", "--suite", "xtreme")] != ["mnli", "squad"]
    assert (
        len(document("languages", "languages", "--suite", "xtreme")) == 45
    )  # XTREME's 40, XCOPA's two and Mewsli-X's three more
    assert len(document("languages", "languages", "--suite", "xtreme-r")) == 50
    assert len(document("languages", "languages")) == 3


def test_the_users_backbone_wins_over_the_suites(
    monkeypatch: pytest.MonkeyPatch, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    call_options = ("train-intermediate", "squad", "--suite", "lab", "--store", tmp_path, *TINY)
    monkeypatch.setenv("ADAPTERSTILTS_BACKBONE", str(toy_backbone_folder))
    assert document("train_intermediate", *call_options)["backbone"] == str(toy_backbone_folder)


def test_the_tasks_of_the_lab() -> None:
    by_name = {task["name"]: task for task in document("tasks", "tasks", "--suite", "lab")}
    tydiqa = by_name["tydiqa"]
    assert (tydiqa["dataset"], tydiqa["config"], tydiqa["revision"]) == ("lab", "tydiqa.{language}", None)
    assert tydiqa["languages"] == ["qaa", "qab", "qac"]
    assert by_name["squad"]["languages"] == ["qaa"]
    assert "lab tydiqa.{language}" in call("tasks", "--suite", "lab").stdout


def test_the_languages_of_the_lab_by_distance() -> None:
    rows = document("languages", "languages", "--suite", "lab")
    assert [(row["code"], row["distance"], row["differences"], row["seen"]) for row in rows] == [
        ("qaa", 0.0, [], True),
        ("qac", 0.25, ["cases"], True),
        ("qab", 0.5, ["order", "cases"], False),
    ]
    assert rows[2]["tasks"] == ["panx", "tydiqa"]
    shown = [line.split("│")[1:-1] for line in call("languages", "--suite", "lab").stdout.splitlines() if "│" in line]
    assert [[cell.strip() for cell in line] for line in shown] == [
        ["qaa", "Source", "Latin", "0.00", "", "seen"],
        ["qac", "Near", "Latin", "0.25", "cases", "seen"],
        ["qab", "Far", "Latin", "0.50", "order cases", "unseen"],
    ]
    of_task = document("languages", "languages", "--suite", "lab", "--task", "squad")
    assert [row["code"] for row in of_task] == ["qaa"]


def test_languages_of_xtreme_have_no_distance() -> None:
    first = document("languages", "languages")[0]
    assert (first["code"], first["distance"], first["differences"], first["seen"]) == ("af", None, None, None)


def test_composing_in_xtreme_r(toy_backbone_folder: Path, toy_mirror: Path, tmp_path: Path) -> None:
    options = ("--backbone", toy_backbone_folder, "--data-root", toy_mirror, "--store", tmp_path, "--suite", "xtreme-r")
    composing = ("compose", "none", "--target", "xquad", *options, *TINY, "--max-eval-examples", "4")
    made = document("compose", *composing)
    assert (made["suite"], list(made["languages"])) == ("xtreme-r", ["en", "de", "ro", "zh"])
    shown = call(*composing).stdout
    assert "none → xquad in xtreme-r on " in shown
    assert "Romanian (ro)" in shown
    assert "ro" in document("evaluate", "evaluate", made["artifact"], *options[2:6])["languages"]
    fewer = document("evaluate", "evaluate", made["artifact"], *options[2:6], "--suite", "xtreme")
    assert "ro" not in fewer["languages"]
    assert {item["suite"] for item in document("runs", "runs", "--store", tmp_path)} == {"xtreme-r", "xtreme"}


def test_fetching_the_lab() -> None:
    shown = call("fetch", "squad", "--suite", "lab").stdout
    assert "nothing need be fetched" in shown
    assert document("fetch", "fetch", "squad", "--suite", "lab")[0]["kind"] == "embedded"


@pytest.mark.parametrize(
    "command",
    [
        ("train-intermediate", "squad"),
        ("compose", "none", "--target", "tydiqa"),
        ("tasks",),
        ("languages",),
        ("fetch", "squad"),
        ("runs",),
    ],
    ids=lambda command: command[0],
)
def test_a_wrong_suite_gets_the_nearest_right_one(command: tuple[str, ...]) -> None:
    told = call(*command, "--suite", "xtrem", code=2).stderr
    assert "There is no suite 'xtrem'. Did you mean 'xtreme'?" in told.replace("\n", " ")
