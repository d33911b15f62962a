"""Who holds a lock is told; who waits goes on when the holder is done, or dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from adapterstilts.errors import ArtifactError
from adapterstilts.store.artifacts import Store

HOLDER = """
import sys
from adapterstilts.store.artifacts import Store
with Store(sys.argv[1]).lock("a" * 64, "squad", print):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(home: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("end", ["done", "killed"])
def test_a_lock_is_waited_for_until_its_holder_is_done_or_dead(end: str, store: Store) -> None:
    process = holder(store.home)
    told: list[str] = []
    waits = threading.Event()
    entered = threading.Event()

    def tell(text: str) -> None:
        told.append(text)
        waits.set()

    def enter() -> None:
        with store.lock("a" * 64, "squad", tell):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    try:
        assert waits.wait(60)
        assert not entered.wait(1), "the other process still holds it"
    finally:
        process.kill() if end == "killed" else process.communicate("")
        process.wait()
        thread.join(60)
        process.communicate() if end == "killed" else None
    assert entered.is_set()
    assert len(told) == 1
    assert told[0].startswith(f"squad: process {process.pid} on ")
    assert told[0].endswith(" makes it already; waiting")


def test_locks_of_other_artifacts_are_free(store: Store) -> None:
    def never(text: str) -> None:
        raise AssertionError(text)

    with store.lock("a" * 64, "squad", never), store.lock("b" * 64, "mnli", never):
        told = json.loads((store.home / "locks" / ("a" * 12)).read_text(encoding="utf-8"))
        assert told["pid"] == os.getpid()
    assert sorted(path.name for path in (store.home / "locks").iterdir()) == ["aaaaaaaaaaaa.lock", "bbbbbbbbbbbb.lock"]


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file", encoding="utf-8")
    with (
        pytest.raises(ArtifactError, match=r"The store '.*' cannot be written"),
        Store(tmp_path / "store").lock("a" * 64, "squad", print),
    ):
        raise AssertionError("nothing may be made here")
