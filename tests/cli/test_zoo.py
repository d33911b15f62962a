"""``zoo``: what there is, and whether it is whole; what strangers wrote only shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from calling import call, refused
from cli_world import World
from loopback_hub import USER, LoopbackHub

from adapterstilts.fingerprints import fingerprint_file
from adapterstilts.store import index
from adapterstilts.store.artifacts import Store

REPO = f"{USER}/squad-toy"


def shown(*arguments: Any) -> Any:
    """Run a command with --json and return its document."""
    return json.loads(call(*arguments, "--json").stdout)


def test_the_list_is_that_of_the_store_by_task_and_backbone(world: World) -> None:
    ids = {offer["name"] for offer in shown("zoo", "list", "--store", world.store)}
    assert {world.artifact(name) for name in ("mnli", "squad", "hellaswag", "fusion", "tags")} <= ids
    some = shown("zoo", "list", "--task", "squad", "--store", world.store)
    assert {offer["name"] for offer in some} == {world.artifact("squad"), world.artifact("fusion")}
    assert shown("zoo", "list", "--backbone", "xlm-roberta-base", "--store", world.store) == []
    assert world.artifact("squad") in call("zoo", "list", "--store", world.store).stdout


def test_one_of_the_store_with_its_scores(world: World) -> None:
    told = shown("zoo", "show", world.artifact("fusion"), "--store", world.store)
    assert told["drawing"] == "Stack(Fuse(mnli, squad), xnli) → classification head 'xnli'"
    text = call("zoo", "show", world.artifact("fusion"), "--store", world.store).stdout
    for code, cell in world.made["fusion"]["languages"].items():
        assert code in text
        assert f"{cell['score']:.1f}" in text


def test_what_is_published_is_found_shown_and_added(world: World, loopback: LoopbackHub, tmp_path: Path) -> None:
    call("push", world.artifact("squad"), REPO, "--license", "apache-2.0", "--store", world.store)
    loopback.publish("bob/other", {"README.md": b"---\ntags: [adapters]\n---\n"})
    (offer,) = shown("zoo", "search", "--task", "squad")
    assert (offer["name"], offer["kind"], offer["where"]) == (REPO, "intermediate", "hub")
    assert shown("zoo", "search", "--task", "mnli") == []
    card = call("zoo", "show", REPO).stdout
    assert "license: apache-2.0" in card
    assert "train-intermediate squad" in card
    options = ("--backbone", world.backbone, "--store", tmp_path / "store")
    assert shown("zoo", "add", REPO, *options)["artifact"] == world.artifact("squad")
    (mine,) = shown("zoo", "list", "--store", tmp_path / "store")
    assert mine["note"] == f"from {REPO}"


def test_an_entry_of_the_index_is_pinned(
    world: World, loopback: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("push", world.artifact("squad"), REPO, "--dry-run", tmp_path / "out", "--store", world.store)
    files = {
        p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()
    }
    commit = loopback.publish(REPO, files)
    loopback.publish(REPO, {**files, "manifest.json": b"{}"})
    entry = {
        **{"name": "squad-toy", "repo": REPO, "revision": commit, "kind": "intermediate", "suite": "xtreme"},
        **{"manifest": fingerprint_file(tmp_path / "out" / "manifest.json"), "task": "squad", "backbone": "toy"},
    }
    monkeypatch.setattr(index, "read_zoo", lambda name: {"version": 1, "adapters": [entry]})
    options = ("--backbone", world.backbone, "--store", tmp_path / "store")
    assert shown("zoo", "list", *options[2:]) == [
        {
            "name": "squad-toy",
            "where": "index",
            "kind": "intermediate",
            "task": "squad",
            "backbone": "toy",
            "note": REPO,
        }
    ]
    assert shown("zoo", "add", "squad-toy", *options)["commit"] == commit
    assert "Did you mean 'squad-toy'?" in refused("zoo", "add", "squad-toi", *options)
    entry["manifest"] = "0" * 64
    assert "not the one that the index names" in refused("zoo", "add", "squad-toy", *options)


def test_a_card_of_a_stranger_only_shows(loopback: LoopbackHub) -> None:
    loopback.publish(
        "bob/evil", {"README.md": b"# [bold red]x[/] [link=http://evil]y[/link] \x1b[2J\x1b]0;t\x07 \xe2\x80\xae\xff"}
    )
    text = call("zoo", "show", "bob/evil").stdout
    assert "[bold red]x[/] [link=http://evil]y[/link]" in text
    assert not set("\x1b\x07\u202e") & set(text)
    loopback.publish("bob/none", {"x": b""})
    assert "no card" in refused("zoo", "show", "bob/none")


def test_check_finds_what_is_whole_and_what_is_damaged(own_world: World) -> None:
    whole = shown("zoo", "check", "--store", own_world.store)
    assert len(whole) == len(Store(own_world.store).all())
    assert {condition["fault"] for condition in whole} == {""}

    kept = Store(own_world.store)
    head = kept.get(own_world.artifact("tags")).path / "head.safetensors"
    head.write_bytes(head.read_bytes()[:-8])
    (kept.get(own_world.artifact("mnli")).path / "adapters" / "mnli.safetensors").unlink()
    (kept.get(own_world.artifact("squad")).path / "manifest.json").write_text("{")
    evaluation = kept.get(own_world.made["fusion"]["evaluations"][0])
    (evaluation.path / "predictions" / "en.jsonl").write_text("{}\n")
    result = call("zoo", "check", "--store", own_world.store, "--json", code=2)
    faults = {item["artifact"]: item["fault"] for item in json.loads(result.stdout) if item["fault"]}
    assert set(faults) == {
        own_world.artifact("tags"),
        own_world.artifact("mnli"),
        own_world.artifact("squad"),
        evaluation.id,
    }
    assert str(head) in faults[own_world.artifact("tags")]
    assert "mnli.safetensors" in faults[own_world.artifact("mnli")]
    assert "manifest.json" in faults[own_world.artifact("squad")]
    assert "en.jsonl" in faults[evaluation.id]
    assert "4 of" in result.stderr
    assert "whole" in call("zoo", "check", own_world.artifact("fusion"), "--store", own_world.store).stdout
