"""The lab's rows on disk: the same as those just made, made again when they must be, and never a reason to fail."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import datasets
import pytest

from adapterstilts.lab import kept as kept_rows
from adapterstilts.lab import rows as lab_rows
from adapterstilts.lab.languages import LANGUAGES, Language


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; returns where the lab's rows go."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "adapterstilts-lab"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Language]:
    """The languages that rows were made in, one after the other."""
    found: list[Language] = []
    plain = lab_rows._made

    def make(task: str, language: Language, split: str) -> datasets.Dataset:
        found.append(language)
        return plain(task, language, split)

    monkeypatch.setattr(lab_rows, "_made", make)
    return found


def load(task: str, split: str, language: Language = LANGUAGES["qob"]) -> datasets.Dataset:
    """Load as a new process does."""
    lab_rows._loaded.cache_clear()
    return lab_rows._loaded(task, language, split)


@pytest.mark.parametrize(("task", "split"), [("xcopa", "test"), ("udpos", "validation"), ("tydiqa", "validation")])
def test_kept_rows_are_the_rows(task: str, split: str, folder: Path, made: list[Language]) -> None:
    first, again = load(task, split), load(task, split)
    assert len(made) == 1
    assert sorted(path.suffix for path in folder.iterdir()) == [".arrow", ".sha256"]
    assert again.features == first.features
    assert again.to_list() == first.to_list() == lab_rows._made(task, made[0], split).to_list()


def test_what_rows_are_made_of_decides_whether_they_are_those(
    folder: Path, made: list[Language], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load("xcopa", "validation")
    turned = replace(LANGUAGES["qob"], word_order="VOS" if LANGUAGES["qob"].word_order != "VOS" else "SVO")
    with monkeypatch.context() as patch:
        patch.setattr(lab_rows, "get_language", lambda _: turned)
        assert load("xcopa", "validation", turned)["premise"] != plain["premise"]
    monkeypatch.setattr(kept_rows, "_code", lambda: "of another version")
    load("xcopa", "validation")
    assert made == [LANGUAGES["qob"], turned, LANGUAGES["qob"]]
    assert len(list(folder.glob("*.arrow"))) == 3


def changed(data: bytes, damage: str) -> bytes:
    if damage == "flipped":
        return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    return {"cut": data[: len(data) // 2], "empty": b"", "begun": data[:760]}[damage]


@pytest.mark.parametrize("damage", ["cut", "empty", "begun", "flipped", "no hash"])
def test_damaged_rows_are_made_again(
    damage: str, folder: Path, made: list[Language], caplog: pytest.LogCaptureFixture
) -> None:
    first = load("xcopa", "validation").to_list()
    (path,) = folder.glob("*.arrow")
    whole = path.read_bytes()
    if damage == "no hash":  # as where a process ended between the two files
        path.with_suffix(".sha256").unlink()
    else:
        path.unlink()  # the rows of before are mapped from it
        path.write_bytes(changed(whole, damage))
    with caplog.at_level(logging.WARNING):
        assert load("xcopa", "validation").to_list() == first
    assert ("made again" in caplog.text) == (damage != "no hash")
    assert len(made) == 2
    assert path.read_bytes() == whole
    load("xcopa", "validation")
    assert len(made) == 2


def test_rows_that_cannot_be_kept_are_rows(folder: Path, made: list[Language]) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder shall be")
    assert load("xcopa", "validation").to_list() == load("xcopa", "validation").to_list()
    assert len(made) == 2


def test_nothing_is_left_of_a_write_that_fails(
    folder: Path, made: list[Language], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert len(load("xcopa", "validation"))
    assert not list(folder.iterdir())
