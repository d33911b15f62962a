"""``pull`` and artifacts damaged in hundreds of ways: each is refused by its file, and nothing is written anywhere.

A hundred here; `make soak` tries five hundred (ADAPTERSTILTS_DAMAGES).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from cli_world import World, repository_of
from damages import WAYS, Files, damaged
from loopback_hub import USER, LoopbackHub

from adapterstilts.errors import ArtifactError
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.sharing import pull

DAMAGES = int(os.environ.get("ADAPTERSTILTS_DAMAGES", "100"))
REPO = f"{USER}/damaged"


@pytest.fixture(scope="module")
def repositories(
    published: dict[str, Files], kinds: World, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Files, ...]:
    """What ``push`` makes of an artifact of each kind."""
    (fusion,) = Store(kinds.store).all("fusion")
    more = {"fused": fusion.id, "whole": kinds.artifact("whole")}
    folder = tmp_path_factory.mktemp("more")
    return (*published.values(), *(repository_of(kinds, artifact, folder / name) for name, artifact in more.items()))


@pytest.mark.slow
def test_damaged_artifacts_are_refused_by_their_file(
    repositories: tuple[Files, ...],
    loopback: LoopbackHub,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for folder in ("scratch", "outside"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    kept = Store(tmp_path / "store")
    kept.check_writable()
    before = sorted(tmp_path.rglob("*"))
    for number in range(DAMAGES):
        files = repositories[number // len(WAYS) % len(repositories)]
        name, files = damaged(files, number, tmp_path / "outside")
        loopback.publish(REPO, files)
        with pytest.raises(ArtifactError) as refusal:
            pull(REPO, backbone=str(world.backbone), store=kept.home)
        assert name in str(refusal.value), (number, str(refusal.value))
        assert sorted(tmp_path.rglob("*")) == before, number
