"""Looking into a store, and changing what it says."""

from __future__ import annotations

import json
from pathlib import Path

from adapterstilts.store.artifacts import Artifact, Store


def kept_in(home: Path) -> list[str]:
    """Return the finished and half-finished things in a store; its cache can be made again, its locks hold nothing."""
    if not home.is_dir():
        return []
    return sorted(
        path.relative_to(home).as_posix()
        for path in home.rglob("*")
        if path.is_file() and path.relative_to(home).parts[0] not in ("cache", "locks")
    )


def found(store: Store, name: str, seed: int) -> Artifact:
    """Return the one trained artifact of a name and seed."""

    def fits(item: Artifact) -> bool:
        return (item.manifest["name"], item.manifest["settings"]["seed"]) == (name, seed)

    (artifact,) = [item for item in store.all() if item.kind != "evaluation" and fits(item)]
    return artifact


def dated(store: Store, name: str, seed: int, moment: str) -> None:
    """Change the moment at which an artifact was made."""
    path = found(store, name, seed).path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"created": moment}), encoding="utf-8")
