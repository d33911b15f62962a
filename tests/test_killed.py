"""Processes killed at random moments: the store opens, nothing finished is lost, the same command ends the same.

Twenty kills here; `make soak` makes two hundred (ADAPTERSTILTS_KILLS).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from killing import compose, finish, results, server, survives, train
from toy_stages import TINY

KILLS = int(os.environ.get("ADAPTERSTILTS_KILLS", "20"))
A_ROUND = 2
"""Kills before a command may finish; what is done by then is not done again, and more would find nothing to kill."""


@pytest.mark.parametrize("job", [train, compose], ids=lambda job: job.__name__)
def test_a_killed_command_leaves_a_whole_store(
    job: Any, toy_backbone_folder: Path, toy_mirror: Path, tmp_path: Path
) -> None:
    settings = TINY | {"steps": 12, "evaluations": 3}
    common = {"backbone": str(toy_backbone_folder), "data_root": toy_mirror, "settings": settings}
    context = server()
    finish(context, job, str(tmp_path / "first"), common)  # the imports of the server
    took = finish(context, job, str(tmp_path / "calm"), common)
    expected = results(tmp_path / "calm")
    assert len(expected) == {"train": 1, "compose": 6}[job.__name__]
    rounds = max(1, KILLS // 2 // A_ROUND)
    hits = sum(
        survives(context, job, tmp_path / f"store-{seed}", expected, seed, A_ROUND, took, common)
        for seed in range(rounds)
    )
    assert hits >= rounds * A_ROUND // 3, "most came too late to say anything"
