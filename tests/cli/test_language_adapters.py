"""``compose`` and ``evaluate`` with language adapters: documents, the column of the table, and mistakes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from calling import TINY, call, document, refused

pytestmark = pytest.mark.usefixtures("toy_lab", "no_network")


def test_a_composition_on_language_adapters(tmp_path: Path) -> None:
    store = ("--store", tmp_path / "store")
    document("train_language", "train-language", "qaa", "--suite", "lab", *store, *TINY)
    document("train_language", "train-language", "qac", "--suite", "lab", *store, *TINY)
    composing = ("compose", "none", "--target", "panx", "--suite", "lab", *store, *TINY, "--language-adapters", "madx")
    table = tmp_path / "table.csv"
    made = document("compose", *composing, "--language-fallback", "nearest", "--csv", table)
    assert {code: one["language"] for code, one in made["language_adapters"].items()} == {
        "qaa": "qaa",
        "qac": "qac",
        "qab": "qac",
    }
    with table.open(encoding="utf-8") as stream:
        rows = {row["language"]: row["language_adapter"] for row in csv.DictReader(stream)}
    assert (rows["qab"], rows["mean"]) == ("qac", "")
    shown = call("evaluate", made["artifact"], *store, "--language-fallback", "none").stdout
    lines = [[cell.strip() for cell in line.split("│")[1:4]] for line in shown.splitlines() if "│" in line]
    assert lines[:4] == [
        ["Source (qaa), source", "0.00", "qaa"],
        ["Near (qac)", "0.25", "qac"],
        ["Far (qab)", "0.50", "none"],
        ["mean, all languages", "", ""],
    ]
    again = document("evaluate", "evaluate", made["artifact"], *store, "--language-adapter", "qab=language.qaa")
    assert again["language_adapters"]["qab"]["language"] == "qaa"
    runs = document("runs", "runs", *store)
    (target,) = [item for item in runs if item["kind"] == "target"]
    assert target["language_adapter"]["language"] == "qaa"
    assert {item["kind"] for item in runs} == {"language", "target", "evaluation"}


def test_mistakes(tmp_path: Path) -> None:
    store = tmp_path / "store"

    def says(*options: object) -> str:
        command = ("compose", "none", "--target", "panx", "--suite", "lab", "--store", store, *TINY)
        return " ".join(refused(*command, *options, store=store).split())

    madx = ("--language-adapters", "madx")
    assert "Did you mean 'madx'?" in says("--language-adapters", "madx2")
    assert "would have no effect without --language-adapters madx" in says("--language-fallback", "none")
    assert "Did you mean 'nearest'?" in says(*madx, "--language-fallback", "neares")
    assert "is not of the form LANG=ARTIFACT" in says(*madx, "--language-adapter", "qab")
    assert "There is no artifact 'none-there'" in says(*madx, "--language-adapter", "qaa=none-there")
    told = says(*madx, "--no-train")
    assert "has no language adapter for qaa, qab, qac on 'pico'" in told
    assert "adapterstilts train-language qab --suite lab --backbone pico" in told
