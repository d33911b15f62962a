"""What killed processes left: found, told apart, and removed without anything that is needed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from calling import call

from adapterstilts.store.artifacts import Store
from adapterstilts.store.cleaning import UNTOUCHED_SECONDS, leftovers
from adapterstilts.store.hidden_states import find_states, states_folder, write_states

FINISHED, UNFINISHED = "a" * 64, "b" * 64


def written(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"0" * size)
    return path


def aged(folder: Path, seconds: float) -> None:
    moment = time.time() - seconds
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (moment, moment))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A store with an artifact, its checkpoint, that of another training, and a half-written artifact; all old."""
    store = Store(tmp_path / "store")
    with store.create("intermediate", "squad", FINISHED, {}) as folder:
        written(folder / "adapter.json", 2)
    written(store.home / "checkpoints" / FINISHED[:12] / "step-00000003" / "state.safetensors", 30)
    written(store.home / "checkpoints" / UNFINISHED[:12] / "step-00000005" / "state.safetensors", 500)
    written(store.home / "tmp" / "mnli-0123456789ab.77.cafe" / "adapters" / "mnli.safetensors", 7000)
    aged(store.home / "checkpoints", UNTOUCHED_SECONDS + 60)
    aged(store.home / "tmp", UNTOUCHED_SECONDS + 60)
    return store.home


def test_leftovers_are_told_apart(home: Path) -> None:
    found = {(item.kind, item.path.relative_to(home).as_posix(), item.size) for item in leftovers(home)}
    assert found == {
        ("half-written", "tmp/mnli-0123456789ab.77.cafe", 7000),
        ("finished", f"checkpoints/{FINISHED[:12]}", 30),
        ("unfinished", f"checkpoints/{UNFINISHED[:12]}", 500),
    }


def test_what_is_being_written_stays(home: Path) -> None:
    written(home / "tmp" / "mnli-0123456789ab.77.cafe" / "adapters" / "head.safetensors", 1)
    written(home / "checkpoints" / FINISHED[:12] / "step-00000004" / "state.safetensors", 1)
    assert [item.kind for item in leftovers(home)] == ["unfinished"]


def test_clean_leaves_what_is_finished_and_what_can_go_on(home: Path) -> None:
    shown = call("runs", "clean", "--store", home, "--dry-run").stderr
    assert "2 of" in shown
    assert "would be removed" in shown
    assert len(leftovers(home)) == 3
    shown = call("runs", "clean", "--store", home).stderr
    assert "removed, 0.0 MB" in shown
    assert "Checkpoints of 1 unfinished training stay (0.0 MB)" in " ".join(shown.split())
    assert [item.kind for item in leftovers(home)] == ["unfinished"]
    call("runs", "clean", "--store", home, "--checkpoints")
    assert leftovers(home) == []
    assert [item.fingerprint for item in Store(home).all()] == [FINISHED]
    assert "Nothing is left over" in call("runs", "clean", "--store", home).stderr


def test_kept_hidden_states_go_when_it_is_said(home: Path) -> None:
    key, in_use = "c" * 64, "d" * 64
    for name in (key, in_use):
        write_states(home, name, [np.zeros((3, 2), dtype=np.float16)])
    aged(states_folder(home) / key, UNTOUCHED_SECONDS + 60)
    aged(states_folder(home) / in_use, UNTOUCHED_SECONDS + 60)
    assert find_states(home, in_use, 3, 2) is not None
    assert [item.path.name for item in leftovers(home) if item.kind == "hidden states"] == [key]
    shown = " ".join(call("runs", "clean", "--store", home).stderr.split())
    assert "Hidden states of 1 sets of rows stay (0.0 MB)" in shown
    assert "Checkpoints of 1 unfinished training stay" in shown
    assert find_states(home, key, 3, 2) is not None
    aged(states_folder(home) / key, UNTOUCHED_SECONDS + 60)
    assert "hidden states: " in call("runs", "clean", "--store", home, "--hidden-states").stderr
    assert [path.name for path in states_folder(home).iterdir()] == [in_use]
    assert [item.kind for item in leftovers(home)] == ["unfinished"]


def test_a_link_is_removed_and_not_followed(home: Path, tmp_path: Path) -> None:
    kept = written(tmp_path / "elsewhere" / "precious.txt", 3)
    link = home / "tmp" / "link.1.cafe"
    link.symlink_to(kept.parent)
    moment = time.time() - 2 * UNTOUCHED_SECONDS
    os.utime(link, (moment, moment), follow_symlinks=False)
    call("runs", "clean", "--store", home)
    assert not link.is_symlink()
    assert kept.is_file()


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    assert leftovers(tmp_path / "nowhere") == []
    assert "Nothing is left over" in call("runs", "clean", "--store", tmp_path / "nowhere").stderr
    assert not (tmp_path / "nowhere").exists()
