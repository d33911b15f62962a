"""``zoo``: what there is, and whether it is whole; what strangers wrote only shows."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from calling import TINY, call, document, refused, validate
from cli_world import World, repository_of
from loopback_hub import USER, LoopbackHub
from stores import kept_in

from adapterstilts.fingerprints import fingerprint_file
from adapterstilts.store import index
from adapterstilts.store.artifacts import Store

REPO = f"{USER}/squad-toy"


def shown(*arguments: Any) -> Any:
    """Run a command of the zoo with --json and return its document, which has to be of its schema."""
    return document("_".join(arguments[:2]), *arguments)


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
    loopback.publish(
        "bob/large", {"README.md": b"---\ntags: [adapterstilts, squad]\nbase_model: xlm-roberta-large\n---\n"}
    )
    (other,) = shown("zoo", "search", "--backbone", "xlm-roberta-large")
    assert (other["name"], other["backbone"]) == ("bob/large", "xlm-roberta-large")
    card = call("zoo", "show", REPO).stdout
    assert shown("zoo", "show", REPO)["card"].startswith("---\n")
    assert "license: apache-2.0" in card
    assert "train-intermediate squad" in card
    options = ("--backbone", world.backbone, "--store", tmp_path / "store")
    assert shown("zoo", "add", REPO, *options)["artifact"] == world.artifact("squad")
    (mine,) = shown("zoo", "list", "--store", tmp_path / "store")
    assert mine["note"] == f"from {REPO}"


def test_an_entry_of_the_index_is_pinned(
    world: World, loopback: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = repository_of(world, world.artifact("squad"), tmp_path / "out")
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
    assert shown("zoo", "show", "squad-toy", *options[2:]) == {"where": "index", **entry, "note": ""}
    assert shown("zoo", "add", "squad-toy", *options)["commit"] == commit
    assert "Did you mean 'squad-toy'?" in refused("zoo", "add", "squad-toi", *options)
    entry["manifest"] = "0" * 64
    assert "not the one that the index names" in refused("zoo", "add", "squad-toy", *options)


@pytest.fixture
def indexed(world: World, loopback: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An index with one entry: the SQuAD adapter of the shared store, published."""
    files = repository_of(world, world.artifact("squad"), tmp_path / "out")
    entry = {
        **{"name": "squad-toy", "repo": REPO, "revision": loopback.publish(REPO, files), "kind": "intermediate"},
        **{"suite": "xtreme", "manifest": sha256(files["manifest.json"]).hexdigest(), "task": "squad"},
        "backbone": str(world.backbone),
    }
    monkeypatch.setattr(index, "read_zoo", lambda name: {"version": 1, "adapters": [entry]})
    return entry


def test_compose_looks_in_the_store_then_in_the_index_and_says_which(
    indexed: dict[str, str], world: World, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    options = ("--languages", "en", "--data-root", world.mirror, "--backbone", world.backbone, "--store", store, *TINY)
    composing = ("compose", "squad", "--target", "tydiqa", "--no-train", *options)
    plan = document("compose_plan", *composing, "--dry-run")
    first = plan["stages"][0]
    assert (first["artifact"], first["state"], first["seconds"]) == (world.artifact("squad"), "to pull", None)
    assert kept_in(store) == [], "a plan takes nothing in"

    result = call(*composing, "--json")
    told = json.loads(result.stdout)
    validate(told, "compose")
    first = told["stages"][0]
    assert (first["artifact"], first["state"]) == (world.artifact("squad"), "pulled")
    assert f"squad: 'squad-toy' of the index, {REPO} at {indexed['revision']}" in " ".join(result.stderr.split())
    assert Store(store).get(world.artifact("squad")).manifest["origin"]["commit"] == indexed["revision"]
    assert [stage["artifact"] for stage in plan["stages"]] == [stage["artifact"] for stage in told["stages"]]

    indexed["revision"] = "0" * 40  # the store is asked first
    again = call(*composing, "--json")
    assert json.loads(again.stdout)["stages"][0]["state"] == "reused"
    assert "squad: taken from the store" in again.stderr


@pytest.mark.usefixtures("short_recipes")
def test_compose_trains_what_the_index_cannot_give_and_says_so(
    indexed: dict[str, str], world: World, tmp_path: Path, loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--languages", "en", "--data-root", world.mirror, "--backbone", world.backbone, *TINY)
    composing = ("compose", "squad", "--target", "tydiqa", *options)

    def trained(name: str, says: str, *more: str) -> None:
        result = call(*composing, "--store", tmp_path / name, *more, "--json")
        assert json.loads(result.stdout)["stages"][0]["state"] == "trained"
        assert says in " ".join(result.stderr.split())
        assert "Not in the store, will be trained first: squad" in result.stderr

    loopback.asked.clear()
    trained("other", "", "--reduction-factor", "4")
    assert loopback.asked == [], "the index does not say of which kind its adapters are"
    indexed["manifest"] = "0" * 64
    trained("hash", "'squad-toy' of the index cannot be had. ")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    trained("offline", "'squad-toy' of the index cannot be had. The Hub cannot be reached: HF_HUB_OFFLINE is set")
    told = refused(*composing, "--store", tmp_path / "none", "--no-train")
    assert "The Hub cannot be reached" in " ".join(told.split())
    assert "has no adapter for squad" in " ".join(told.split())


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
    validate(json.loads(result.stdout), "zoo_check")
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
