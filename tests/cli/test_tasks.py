"""``tasks show`` and ``tasks check``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from calling import call, document

from adapterstilts.studies.checking import check_tasks
from adapterstilts.tasks.suites import get_suite


def told(*arguments: str) -> str:
    """Return what a table says, in one line."""
    return " ".join(call(*arguments).stdout.replace("│", " ").split())


def test_a_task_in_full() -> None:
    shown = told("tasks", "show", "xquad")
    for said in (
        "xquad: Cross-lingual Question Answering Dataset",
        "test google/xtreme XQuAD.{language} validation at ec5f1f46e9",
        "trains on the rows of squad",
        "11: ar Arabic, de German",
        "metric squad",
        "max-length 384",
        "CC BY-SA 4.0",
        "Artetxe, Ruder, Yogatama 2020",
    ):
        assert said in shown, said
    assert "size train 87,599, validation 10,570, test 13,090 rows, in all languages" in shown
    assert "includes the training rows of mnli" in told("tasks", "show", "anli")
    assert "O, B-PER, I-PER" in told("tasks", "show", "panx", "--suite", "lab")
    assert "note google/xtreme takes in treebanks of related languages" in told("tasks", "show", "udpos")


def test_what_is_searched_and_what_has_to_be_known_of_it() -> None:
    shown = told("tasks", "show", "mewslix")
    assert "candidates izhx/mewsli-x candidate_entities test at 7e3723faa1, one pool" in shown
    assert "note Never run on the data themselves" in shown
    shown = told("tasks", "show", "bucc_pools")
    assert "test mteb/BUCC {language}-en test at 4145722474, 50% to 100% of the rows" in shown
    assert "candidates mteb/BUCC {language}-en test at 4145722474, by language" in shown


def test_a_task_as_a_document() -> None:
    (listed,) = (task for task in json.loads(call("tasks", "--json").stdout) if task["name"] == "tydiqa")
    shown = json.loads(call("tasks", "show", "tydiqa", "--json").stdout)
    recipe = shown.pop("recipe")
    assert shown == listed
    assert recipe["adapter"] == "seq_bn"


def test_a_task_of_xtreme_r_in_full() -> None:
    shown = told("tasks", "show", "xquad", "--suite", "xtreme-r")
    assert (
        "test google/xtreme XQuAD.{language} validation at ec5f1f46e9; google/xquad xquad.{language} validation"
        in shown
    )
    assert "at 51adfef1c1 for ro" in shown
    assert "12: ar Arabic" in shown
    assert "were not verified" in told("tasks", "show", "udpos", "--suite", "xtreme-r")
    assert "note" not in told("tasks", "show", "xquad")
    by_name = {task["name"]: task for task in document("tasks", "tasks", "--suite", "xtreme-r")}
    (more,) = by_name["tatoeba"]["more"]
    assert (more["dataset"], more["languages"]) == ("mteb/tatoeba-bitext-mining", ["az", "lt", "pl", "ro", "uk"])
    assert by_name["udpos"]["more"] == []
    assert "unimelb-nlp/wikiann {language}" in told("tasks", "--suite", "xtreme-r")


@pytest.mark.parametrize("variable", ["", "xtreme"])
def test_options_before_the_subcommand_count(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They were silently ignored once. What is typed wins over the environment, the last over the first."""
    if variable:
        monkeypatch.setenv("ADAPTERSTILTS_SUITE", variable)
    after = call("tasks", "show", "squad", "--suite", "lab", "--json").stdout
    assert json.loads(after)["dataset"] == "lab"
    assert call("tasks", "--suite", "lab", "--json", "show", "squad").stdout == after
    assert call("tasks", "--suite", "lab", "show", "squad", "--json").stdout == after
    shown = call("tasks", "--suite", "lab", "--json", "show", "squad", "--suite", "xtreme").stdout
    assert json.loads(shown)["dataset"] == "rajpurkar/squad"
    (checked,) = json.loads(call("tasks", "--suite", "lab", "--json", "check", "tatoeba").stdout)
    assert checked["error"] == ""
    assert "no suite 'lba'" in call("tasks", "--suite", "lba", "show", "squad", code=2).stderr


def test_an_option_that_means_nothing_to_the_subcommand_is_refused() -> None:
    for command in (("show", "squad"), ("check", "squad")):
        told = call("tasks", "--kind", "target", *command, code=2).stderr
        assert f"--kind is for the list; leave it out of `tasks {command[0]}`" in told


def test_a_wrong_name() -> None:
    assert "Did you mean 'tydiqa'?" in call("tasks", "show", "tidyqa", code=2).stderr
    assert "Did you mean 'tydiqa'?" in call("tasks", "check", "tidyqa", code=2).stderr


@pytest.mark.usefixtures("no_network")
def test_checking_tells_what_is_there_and_what_is_not(toy_mirror: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    shutil.copytree(toy_mirror, mirror)
    found = {(one.task, one.split): one for one in check_tasks(["panx", "squad"], data_root=mirror)}
    assert set(found) == {("panx", "train"), ("panx", "validation"), ("panx", "test")} | {
        ("squad", "train"), ("squad", "validation"),
    }  # fmt: skip
    assert not any(one.error for one in found.values())
    assert found["squad", "train"].languages == ("en",)
    test = found["panx", "test"]
    assert "en" in test.languages
    assert set(test.languages) | set(test.missing) == set(get_suite().task("panx").languages)
    shown = call("tasks", "check", "squad", "--data-root", mirror).stdout
    assert [cell.strip() for cell in shown.splitlines()[3].split("│")[1:-1]] == ["squad", "train", "en", "", ""]

    shutil.rmtree(mirror / "rajpurkar" / "squad")
    faults = json.loads(call("tasks", "check", "squad", "panx", "--data-root", mirror, "--json", code=2).stdout)
    assert "has no folder 'rajpurkar/squad'" in faults[0]["error"]
    assert faults[0]["languages"] == []
    assert [one["error"] for one in faults if one["task"] == "panx"] == ["", "", ""]


def test_the_lab_has_every_row() -> None:
    found = check_tasks(["csqa", "tatoeba", "ccg"], suite="lab")
    assert not any(one.error or one.missing or one.skipped for one in found)
    assert {one.split: len(one.languages) for one in found if one.task == "tatoeba"} == {"test": 27}


def rows_from(*options: object) -> dict[str, list[str]]:
    return {task["name"]: task["rows_from"] for task in document("tasks", "tasks", *options)}


def test_where_rows_would_come_from_now(toy_mirror: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nothing = rows_from()
    assert (nothing["mnli"], nothing["cosmosqa"], nothing["ccg"], nothing["mlm"]) == ([], [], [], ["text"])
    cache = tmp_path / "cache"
    (cache / "nyu-mll___glue").mkdir(parents=True)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(cache))
    assert [rows_from()[name] for name in ("mnli", "qqp", "anli", "squad")] == [["cache"], ["cache"], [], []]
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # the Hub is there, says the user
    online = rows_from()
    assert [online[name] for name in ("mnli", "anli", "squad", "cosmosqa", "ccg")] == [
        ["cache"], ["hub", "cache"], ["hub"], ["web"], [],
    ]  # fmt: skip
    assert set(rows_from("--data-root", toy_mirror)["panx"]) == {"mirror"}
    assert rows_from("--data-root", tmp_path)["panx"] == []
    monkeypatch.setenv("ADAPTERSTILTS_DATA_ROOT", str(toy_mirror))
    assert rows_from()["squad"] == rows_from()["ccg"] == ["mirror"]
    shown = json.loads(call("tasks", "show", "squad", "--json").stdout)
    assert shown["rows_from"] == ["mirror"]


@pytest.mark.usefixtures("no_network")
def test_the_lab_asks_nobody_where_its_rows_are() -> None:
    lab = rows_from("--suite", "lab")
    assert lab.pop("mlm") == ["text"]
    assert {tuple(places) for places in lab.values()} == {("generated",)}
    assert "rows now --text FILE" in told("tasks", "show", "mlm", "--suite", "lab")


def test_a_data_root_before_the_subcommand_counts(toy_mirror: Path, tmp_path: Path) -> None:
    assert "rows now mirror" in told("tasks", "--data-root", str(toy_mirror), "show", "squad")
    assert "rows now no" in told("tasks", "--data-root", str(tmp_path), "show", "squad")
    assert call("tasks", "--data-root", toy_mirror, "check", "squad").exit_code == 0
    assert "is not a folder" in call("tasks", "--data-root", tmp_path / "none", code=2).stderr
