"""``runs``: the artifacts of a store, by kind, by the end of an id, and where some are damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from calling import TINY, call, document, refused
from cli_world import World


def test_artifacts_of_each_kind_fit_the_schema(world: World) -> None:
    listed = document("runs", "runs", "--store", world.store)
    assert {item["kind"] for item in listed} == {"intermediate", "target", "evaluation"}
    assert [item["created"] for item in listed] == sorted(item["created"] for item in listed)
    for kind in ("intermediate", "target", "evaluation"):
        some = document("runs", "runs", "--store", world.store, "--kind", kind)
        assert some == [item for item in listed if item["kind"] == kind]
        assert document("runs", "runs", some[0]["id"], "--store", world.store) == some[0]


def test_the_list_names_each_artifact(world: World) -> None:
    shown = call("runs", "--store", world.store).stdout
    for name in ("mnli", "squad", "hellaswag", "fusion", "tags"):
        assert world.artifact(name) in shown


def test_one_artifact_by_the_end_of_its_id(world: World) -> None:
    artifact = world.artifact("fusion")
    assert json.loads(call("runs", artifact.rsplit("-", 1)[1], "--store", world.store).stdout)["id"] == artifact


def test_an_ensemble_is_listed_exported_and_scored(own_world: World, tmp_path: Path) -> None:
    command = ("compose", "ensemble(mnli+squad, none)", "--target", "xnli", *own_world.options, *TINY)
    made = document("compose", *command)
    (listed,) = document("runs", "runs", "--store", own_world.store, "--kind", "ensemble")
    assert (listed["id"], listed["inputs"][0]) == (made["artifact"], own_world.artifact("fusion"))
    assert call("runs", "--store", own_world.store).stdout.count("│ ensemble ") == 1
    assert f"Artifact: {made['artifact']}" in call(*command).stdout
    folders = ("--to", tmp_path / "answers", "--labels", tmp_path / "labels", "--partial", *own_world.options[2:])
    document("export", "export", made["artifact"], *folders)
    scored = document("score", "score", tmp_path / "answers", tmp_path / "labels")["scores"]["xnli"]
    assert {code: scores["accuracy"] for code, scores in scored.items()} == pytest.approx(
        {code: cell["score"] for code, cell in made["languages"].items()}, abs=0.01
    )


def test_an_empty_store_is_no_mistake(tmp_path: Path) -> None:
    assert document("runs", "runs", "--store", tmp_path / "nowhere") == []
    result = call("runs", "--store", tmp_path / "nowhere")
    assert result.stdout == ""
    assert "is empty" in result.stderr
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "manifest",
    ["", "{", "[]", '{"format_version": 1}', "\x00", json.dumps({"format_version": 99, "kind": "target", "id": "x"})],
)
def test_damage_in_the_store_is_no_mistake(manifest: str, world: World, tmp_path: Path) -> None:
    home = tmp_path / "store"
    shutil.copytree(world.store / "artifacts" / "intermediate", home / "artifacts" / "intermediate")
    before = document("runs", "runs", "--store", home)
    damaged = home / "artifacts" / "intermediate" / world.artifact("mnli")
    (damaged / "manifest.json").write_text(manifest, encoding="utf-8")
    half = home / "tmp" / "squad-0123456789ab.77.cafe"
    (half / "adapters").mkdir(parents=True)
    (half / "adapters" / "squad.safetensors").write_bytes(b"half")
    (home / "artifacts" / "target" / "without-0123456789ab").mkdir(parents=True)
    (home / "artifacts" / "stray.txt").write_text("")
    after = document("runs", "runs", "--store", home)
    assert after == [item for item in before if item["id"] != world.artifact("mnli")]
    assert world.artifact("squad") in call("runs", "--store", home).stdout


@pytest.mark.parametrize("kind", ["mixed", "merged"])
def test_a_kind_of_which_there_is_none_is_no_mistake(kind: str, world: World) -> None:
    assert document("runs", "runs", "--store", world.store, "--kind", kind) == []
    assert f"has no {kind} artifact" in call("runs", "--store", world.store, "--kind", kind).stderr


def test_an_unknown_kind_is_a_mistake(world: World) -> None:
    assert "kind" in refused("runs", "--kind", "targets", "--store", world.store)


def test_an_unknown_artifact_gets_the_nearest_id_back(world: World) -> None:
    artifact = world.artifact("fusion")
    told = refused("runs", artifact[:-1] + ("0" if artifact[-1] != "0" else "1"), "--store", world.store)
    assert f"Did you mean '{artifact}'?" in told
