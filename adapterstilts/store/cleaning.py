"""What killed processes left in a store, what is kept to save time alone, and what may go of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from adapterstilts.store.artifacts import MANIFEST
from adapterstilts.store.hidden_states import states_folder
from adapterstilts.store.home import written_in

UNTOUCHED_SECONDS = 600.0
"""A folder that is being written is touched more often; processes on other hosts may share the store."""


@dataclass(frozen=True)
class Leftover:
    """A folder that nothing in the store needs."""

    path: Path
    kind: Literal["half-written", "finished", "unfinished", "hidden states"]
    """``half-written``: a folder that never became an artifact. ``finished`` and ``unfinished``: checkpoints of a
    training whose artifact is there, or not; from the latter the same command would go on. ``hidden states``: of rows,
    kept for trainings that leave the lowest layers as they are, and worked out again where they are gone."""
    size: int
    """Bytes."""


def leftovers(home: Path) -> list[Leftover]:
    """Return what a store can be without, but for what has changed or was looked up in the last ten minutes."""
    found = [Leftover(path, "half-written", _size(path)) for path in _untouched(home / "tmp")]
    for path in _untouched(home / "checkpoints"):
        there = any((home / "artifacts").glob(f"*/*-{path.name}/{MANIFEST}"))
        found.append(Leftover(path, "finished" if there else "unfinished", _size(path)))
    return found + [Leftover(path, "hidden states", _size(path)) for path in _untouched(states_folder(home))]


def remove(home: Path, found: list[Leftover]) -> None:
    """Remove leftovers.

    Raises:
        ArtifactError: the store cannot be written; names the path.
    """
    for item in found:
        with written_in(home, item.path):
            if item.path.is_dir() and not item.path.is_symlink():
                shutil.rmtree(item.path)
            else:
                item.path.unlink()


def _untouched(folder: Path) -> Iterator[Path]:
    now = time.time()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            last = max(each.lstat().st_mtime for each in _all(path))
        except FileNotFoundError:
            continue  # somebody is at work there
        if now - last >= UNTOUCHED_SECONDS:
            yield path


def _size(path: Path) -> int:
    return sum(each.lstat().st_size for each in _all(path) if not each.is_dir())


def _all(path: Path) -> list[Path]:
    return [path] if path.is_symlink() else [path, *path.rglob("*")]
