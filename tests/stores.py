"""Looking into a store."""

from __future__ import annotations

from pathlib import Path


def kept_in(home: Path) -> list[str]:
    """Return the finished and half-finished things in a store; what is in its cache can be made again."""
    if not home.is_dir():
        return []
    return sorted(
        path.relative_to(home).as_posix()
        for path in home.rglob("*")
        if path.is_file() and not path.is_relative_to(home / "cache")
    )
