"""``compose`` of several expressions and targets: the plan, the tables with the documents' numbers, the CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from calling import TINY, call, document, refused, validate
from cli_world import World
from stores import kept_in

SEVERAL = ("none", "mnli", "--target", "xnli,panx")


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of the lines of tables."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.count("│") > 3]


def near(text: str) -> Any:
    """Return a number of a table, equal to that of a document, which was rounded before."""
    return pytest.approx(float(text), abs=0.0551)


@pytest.fixture
def command(own_world: World) -> tuple[Any, ...]:
    """Two expressions under two targets, of which the store has the baselines."""
    return ("compose", *SEVERAL, *own_world.options, *TINY)


def test_a_dry_run_shows_the_plan_and_writes_nothing(world: World) -> None:
    before = sorted(world.store.rglob("*"))
    shown = call("compose", *SEVERAL, *world.options, *TINY, "--dry-run").stdout
    rows = {row[1]: row for row in rows_of(shown)}
    assert list(rows) == [
        *("mnli", "xnli.none", "xnli.mnli", "panx.none", "panx.mnli"),
        *("xnli.none.test", "xnli.mnli.test", "panx.none.test", "panx.mnli.test"),
    ]
    assert rows["mnli"][:4] == ["intermediate", "mnli", "0", "in store"]
    assert rows["mnli"][4].startswith("took ")
    assert rows["panx.mnli"][3] == "to train"
    assert rows["panx.mnli"][4].startswith("about ")
    assert rows["panx.mnli.test"][2:4] == ["", "to evaluate"]
    assert "4 compositions: 5 stages in the store, 4 to make, about " in shown
    made = document("compose_plan", "compose", *SEVERAL, *world.options, *TINY, "--dry-run")
    assert [stage["name"] for stage in made["stages"] if stage["state"] == "in store"] == [
        *("xnli.none", "xnli.none.test", "mnli", "panx.none", "panx.none.test")
    ]
    assert (made["to_do"], made["unknown"]) == (4, 0)
    assert sorted(world.store.rglob("*")) == before


def test_a_dry_run_of_one_of_which_nothing_is_known(options: tuple[str, ...], tmp_path: Path) -> None:
    shown = call("compose", "none", "--target", "xnli", *options, *TINY, "--seeds", "0,1", "--dry-run").stdout
    assert rows_of(shown) == [
        ["target", "xnli.none", "0, 1", "to train", "?"],
        ["evaluation", "xnli.none.test", "", "to evaluate", "?"],
    ]
    assert "1 composition: 0 stages in the store, 4 to make, 4 of unknown time." in shown
    assert not (tmp_path / "store").exists()


def test_several_are_planned_run_and_shown(command: tuple[Any, ...], own_world: World, tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    first = call(*command, "--json", "--csv", target)
    made = json.loads(first.stdout)
    validate(made, "compose_grid")
    assert first.stderr.index("stages in the store, 4 to make") < first.stderr.index("1 of 4: none → xnli")
    cells = {(cell["target"], cell["composition"]): cell for cell in made["cells"]}
    assert list(cells) == [(task, name) for task in ("xnli", "panx") for name in ("none", "mnli")]

    listed = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    assert list(listed[0]) == [
        *("composition", "target", "seeds", "metric", "language", "rows", "score"),
        *("deviation", "baseline", "delta", "low", "high", "distance"),
    ]
    expected = [
        (task, name, code, str(cell["score"]))
        for (task, name), made_cell in cells.items()
        for code, cell in {**made_cell["languages"], **made_cell["summary"]}.items()
    ]
    assert [(row["target"], row["composition"], row["language"], row["score"]) for row in listed] == expected

    before = kept_in(own_world.store)
    again = call(*command)
    assert kept_in(own_world.store) == before
    assert "4 compositions: 9 stages in the store, 0 to make." in again.stderr
    assert "Trained or evaluated now: nothing, all was in the store." in again.stderr
    rows = {row[0]: row for row in rows_of(again.stdout.split("by language")[0])}
    bare, method = rows["none (baseline)"], rows["mnli"]
    for place, task in ((1, "xnli"), (3, "panx")):
        assert (near(bare[place]), bare[place + 1]) == (cells[task, "none"]["mean"], "")
        mean = cells[task, "mnli"]["summary"]["mean"]
        assert method[place + 1].endswith(" †") is (task == "xnli"), "mnli and xnli train on the same rows"
        assert [near(text.rstrip(" †")) for text in method[place : place + 2]] == [mean["score"], mean["delta"]]
        ends = rows[""][place + 1].split(" … ")  # the second line of the same row
        assert [near(end) for end in ends] == mean["interval"]
    for task in ("xnli", "panx"):
        heading = "accuracy" if task == "xnli" else "F1"
        _, own = again.stdout.split(f"\n{task}, {heading} by language\n")
        cell = cells[task, "mnli"]["languages"]["de"]
        sure = cell["interval"][0] > 0 or cell["interval"][1] < 0
        shown = next(row for row in rows_of(own) if row[0] == "German (de)")
        assert shown[1] == str(cell["examples"])
        score, delta = shown[3].split()
        assert [near(shown[2]), near(score), near(delta.rstrip("*"))] == [
            cell[name] for name in ("baseline", "score", "delta")
        ]
        assert delta.endswith("*") is sure
    assert f"mnli → panx: {cells['panx', 'mnli']['artifact']}" in again.stdout
    assert again.stdout.count("Note: mnli and xnli train on the same rows.") == 1


def test_all_mistakes_at_once(options: tuple[str, ...], tmp_path: Path) -> None:
    told = refused("compose", "mnly", "none", "--target", "xnli,xnly", *options, *TINY, store=tmp_path / "store")
    assert "3 of 4 compositions cannot be run, and nothing was trained." in told
    assert "- mnly → xnli: There is no" in told
    assert "- mnly → xnly, none → xnly: There is no" in told
    assert "named twice" in refused("compose", "none", "none", "--target", "xnli", *options, store=tmp_path / "store")
