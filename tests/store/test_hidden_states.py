"""Kept hidden states: read back to the bit, made again where they are damaged, below a limit all together."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from adapterstilts.errors import SettingsError
from adapterstilts.store.hidden_states import (
    DOCUMENT,
    LIMIT_VARIABLE,
    STATES,
    find_states,
    limit,
    make_room,
    states_folder,
    write_states,
)

KEY, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64


def drawn(tokens: int = 10, width: int = 4) -> np.ndarray:
    return np.random.default_rng(tokens).normal(size=(tokens, width)).astype(np.float16)


def test_states_are_read_back_to_the_bit(tmp_path: Path) -> None:
    states = drawn()
    write_states(tmp_path, KEY, (states[:3], states[3:3], states[3:]))
    found = find_states(tmp_path, KEY, 10, 4)
    assert isinstance(found, np.memmap)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, states)
    assert find_states(tmp_path, OTHER, 10, 4) is None
    assert (states_folder(tmp_path) / KEY / STATES).stat().st_size == 80


@pytest.mark.parametrize("damage", ["cut", "longer", "flipped", "no document", "odd document", "no states", "shape"])
def test_damaged_states_are_told_and_removed(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_states(tmp_path, KEY, [drawn()])
    folder = states_folder(tmp_path) / KEY
    data = (folder / STATES).read_bytes()
    if damage in ("cut", "longer", "flipped"):
        changed = {"cut": data[:-2], "longer": data + b"00", "flipped": data[:-1] + bytes([data[-1] ^ 1])}[damage]
        (folder / STATES).write_bytes(changed)
    elif damage == "no states":
        (folder / STATES).unlink()
    elif damage != "shape":
        (folder / DOCUMENT).write_text("{" if damage == "no document" else "[]")
    tokens, width = (8, 5) if damage == "shape" else (10, 4)
    with caplog.at_level(logging.WARNING):
        assert find_states(tmp_path, KEY, tokens, width) is None
    assert f"The hidden states in {folder} cannot be used" in caplog.text
    assert not folder.exists()


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield drawn()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_states(tmp_path, KEY, broken())
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(("given", "bytes_"), [(None, 20e9), ("", 20e9), ("0", 0), ("0.5", 5e8)])
def test_the_limit(given: str | None, bytes_: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(LIMIT_VARIABLE, given)
    assert limit() == bytes_


@pytest.mark.parametrize("given", ["-1", "much", "nan", "inf"])
def test_a_limit_that_is_none(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, given)
    with pytest.raises(SettingsError, match=f"{LIMIT_VARIABLE} must be a number of GB.*'{given}'"):
        limit()


def test_what_was_used_longest_ago_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "2.5e-7")  # 250 bytes: three of 80 each
    for age, key in enumerate((KEY, OTHER, THIRD)):
        assert make_room(tmp_path, 80) == ""
        write_states(tmp_path, key, [drawn()])
        moment = 1e9 + age
        os.utime(states_folder(tmp_path) / key / DOCUMENT, (moment, moment))
    mapped = find_states(tmp_path, KEY, 10, 4)  # now it was used last
    assert mapped is not None
    assert make_room(tmp_path, 80) == ""
    assert {path.name for path in states_folder(tmp_path).iterdir()} == {KEY, THIRD}
    assert make_room(tmp_path, 240) == ""
    assert list(states_folder(tmp_path).iterdir()) == []
    np.testing.assert_array_equal(mapped, drawn(), "who has it mapped still has it")


def test_there_may_be_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_states(tmp_path, KEY, [drawn()])
    monkeypatch.setenv(LIMIT_VARIABLE, "1e-7")
    assert make_room(tmp_path / "not" / "yet", 101) == ("0.0 MB are more than ADAPTERSTILTS_STATES_GB allows, 0.0 MB")
    monkeypatch.setenv(LIMIT_VARIABLE, "1")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1000))  # type: ignore[attr-defined]
    assert "are more than half of what is free on the disk" in make_room(tmp_path, 501)
    assert make_room(tmp_path, 499) == ""
    assert (states_folder(tmp_path) / KEY).is_dir(), "nothing else has to go"
