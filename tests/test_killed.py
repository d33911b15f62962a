"""Processes killed at random moments: the store opens, nothing finished is lost, the same command ends the same.

Twenty kills here; `make soak` makes two hundred (ADAPTERSTILTS_KILLS).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from killing import HubApart, compose, finish, hub_apart, pull, push, results, server, survives, train
from toy_stages import TINY

from adapterstilts.store.artifacts import Store

KILLS = int(os.environ.get("ADAPTERSTILTS_KILLS", "20"))
OF_EACH = KILLS // 4
A_ROUND = 2
"""Kills before a command may finish; what is done by then is not done again, and more would find nothing to kill."""
ROUNDS = tuple(min(A_ROUND, OF_EACH - done) for done in range(0, OF_EACH, A_ROUND))


@pytest.fixture
def common(toy_backbone_folder: Path, toy_mirror: Path) -> dict[str, Any]:
    """Toy backbone, toy mirror, settings with which a training takes a moment and has three points of the curve."""
    settings = TINY | {"steps": 12, "evaluations": 3}
    return {"backbone": str(toy_backbone_folder), "data_root": toy_mirror, "settings": settings}


@pytest.mark.parametrize("job", [train, compose], ids=lambda job: job.__name__)
def test_a_killed_command_leaves_a_whole_store(job: Any, common: dict[str, Any], tmp_path: Path) -> None:
    context = server()
    finish(context, job, str(tmp_path / "first"), common)  # the imports of the server
    took = finish(context, job, str(tmp_path / "calm"), common)
    expected = results(tmp_path / "calm")
    assert len(expected) == {"train": 1, "compose": 6}[job.__name__]
    hits = sum(
        survives(context, job, tmp_path / f"store-{seed}", expected, seed, kills, took, common)
        for seed, kills in enumerate(ROUNDS)
    )
    assert hits >= OF_EACH // 3, "most came too late to say anything"


def test_a_killed_push_leaves_nothing_or_all_and_so_does_a_killed_pull(common: dict[str, Any], tmp_path: Path) -> None:
    context = server()
    finish(context, train, str(tmp_path / "theirs"), common)
    theirs = results(tmp_path / "theirs")
    (artifact,) = Store(tmp_path / "theirs").all()
    (tmp_path / "scratch").mkdir()
    with hub_apart(context) as hub:
        given = {
            **{"backbone": common["backbone"], "endpoint": hub.endpoint, "scratch": str(tmp_path / "scratch")},
            **{"artifact": artifact.id, "store": str(tmp_path / "theirs")},
        }
        finish(context, push, "", given)
        expected = hub.files()
        assert {"README.md", "manifest.json", "adapters/mnli.safetensors", "head.safetensors"} <= set(expected)
        _killed_pushes(context, hub, expected, given, tmp_path)
        assert results(tmp_path / "theirs") == theirs

        took = finish(context, pull, str(tmp_path / "calm"), given)
        assert results(tmp_path / "calm") == theirs
        hits = sum(
            survives(context, pull, tmp_path / f"store-{seed}", theirs, seed, kills, took, given)
            for seed, kills in enumerate(ROUNDS)
        )
        assert hits >= OF_EACH // 3, "most came too late to say anything"
        assert hub.files() == expected


def _killed_pushes(
    context: Any, hub: HubApart, expected: dict[str, str], given: dict[str, Any], tmp_path: Path
) -> None:
    def sent(home: Path) -> dict[str, str]:
        found = hub.files()
        assert found in ({}, expected), "a part of the files"
        return found

    hub.forget()
    took = finish(context, push, "", given)
    assert hub.files() == expected
    hits = 0
    for seed, kills in enumerate(ROUNDS):
        hub.forget()
        hits += survives(context, push, tmp_path / "nothing", expected, seed, kills, took, given, sent)
    assert hits >= OF_EACH // 3, "most came too late to say anything"
    assert not (tmp_path / "nothing").exists()
