"""One process at a time makes an artifact; others wait for it, and take what it made."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from adapterstilts.store.home import written_in

POLL_SECONDS = 0.5


@contextmanager
def locked(home: Path, key: str, what: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of an artifact inside the block; wait for the process that holds it, and say which that is.

    It is the operating system that holds the lock, so that of a process that died is free at once, wherever it stood.

    Args:
        home: the store's folder.
        key: the fingerprint of what is made.
        what: its name, for people.
        tell: takes a message, where one has to wait.

    Raises:
        ArtifactError: the store cannot be written; names the path.
    """
    from filelock import FileLock, Timeout

    folder = home / "locks"
    with written_in(home, folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tell(f"{what}: {_holder(folder / key)} makes it already; waiting")
            lock.acquire(poll_interval=POLL_SECONDS)
    try:
        (folder / key).write_text(json.dumps(_oneself()), encoding="utf-8")
        yield
    finally:
        (folder / key).unlink(missing_ok=True)
        lock.release()


def _oneself() -> dict[str, str | int]:
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _holder(path: Path) -> str:
    """Return who wrote that he holds a lock; a moment ago nobody may have."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return f"process {told['pid']} on {told['host']} (since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
