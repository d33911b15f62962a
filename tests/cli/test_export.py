"""``export``: folders that ``score`` reads, a table and a document; what cannot be exported is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from calling import call, document, refused
from cli_world import World


def test_what_was_exported_scores_as_it_was_evaluated(world: World, tmp_path: Path) -> None:
    said, right = tmp_path / "said", tmp_path / "right"
    made = document(
        *("export", "export", world.artifact("fusion"), world.artifact("tags"), "--partial"),
        *("--to", said, "--labels", right, "--data-root", world.mirror, "--store", world.store),
    )
    assert (made["predictions"], made["labels"], made["complete"]) == (str(said), str(right), False)
    scored = document("score", "score", said, right)
    assert not scored["warnings"]
    for name, folder, metric in (("fusion", "xnli", "accuracy"), ("tags", "panx", "f1")):
        cells = world.made[name]["languages"]
        task = made["tasks"][folder]
        assert task["evaluation"] in world.made[name]["evaluations"]
        assert task["of"] == world.artifact(name)
        assert task["rows"] == {code: cells[code]["examples"] for code in task["rows"]}
        assert set(task["files"]) == {path.relative_to(said).as_posix() for path in (said / folder).iterdir()}
        assert set(scored["scores"][folder]) == set(cells) == set(task["scores"])
        for code, cell in cells.items():
            assert scored["scores"][folder][code][metric] == pytest.approx(cell["score"], abs=0.006)
            assert task["scores"][code] == pytest.approx(cell["score"], abs=0.006)


def test_the_table(world: World, tmp_path: Path) -> None:
    (evaluation,) = world.made["tags"]["evaluations"]
    shown = call(
        *("export", evaluation, "--to", tmp_path / "said", "--partial"),
        *("--data-root", world.mirror, "--store", world.store),
    )
    told = " ".join(shown.stdout.replace("│", " ").split())
    mean = world.made["tags"]["mean"]
    assert f"panx {evaluation} 3 63 {mean:.1f} no rows in af, ar," in told
    assert str(tmp_path / "said") in shown.stdout.replace("\n", "")


def test_what_cannot_be_exported(world: World, tmp_path: Path) -> None:
    where = ("--data-root", world.mirror, "--store", world.store)
    to = ("--to", tmp_path / "said")
    told = refused("export", world.artifact("fusion"), *to, *where, store=world.store)
    assert "xnli (xnli.mnli+squad.test-" in told
    assert "no rows in ar, bg" in told
    assert "--partial" in told
    told = refused("export", world.artifact("mnli"), *to, *where, store=world.store)
    assert f"'{world.artifact('mnli')}' has no evaluation of test rows" in told
    assert "There is no artifact 'nothing'" in refused("export", "nothing", *to, *where, store=world.store)
    assert "--to" in refused("export", world.artifact("fusion"), *where, store=world.store)
    assert not (tmp_path / "said").exists()


def test_of_several_evaluations_the_largest_is_taken(own_world: World, tmp_path: Path) -> None:
    where = ("--data-root", own_world.mirror, "--store", own_world.store)
    tags = own_world.artifact("tags")
    for more in (("--max-eval-examples", "3"), ("--languages", "de"), ("--languages", "sw")):
        call("evaluate", tags, *where, *more)
    made = document("export", "export", tags, "--partial", "--to", tmp_path / "one", *where)
    assert made["tasks"]["panx"]["evaluation"] in own_world.made["tags"]["evaluations"]
    (baseline,) = own_world.made["fusion"]["baseline_artifacts"]
    for whole in (own_world.store / "artifacts" / "evaluation").glob("xnli.none.*"):
        shutil.rmtree(whole)
    for language in ("de", "sw"):
        call("evaluate", baseline, *where, "--languages", language)
    assert "has several evaluations of 'xnli'" in refused(
        "export", baseline, "--partial", "--to", tmp_path / "two", *where, store=own_world.store
    )
