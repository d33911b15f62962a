"""Plain text of the user's: what is held out, what the content decides, and files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapterstilts.data.rows import Rows, load_rows
from adapterstilts.data.texts import with_texts
from adapterstilts.errors import DataFormatError, DataUnavailableError, SettingsError
from adapterstilts.tasks.catalogue import get_task

LINES = [f"line number {number}" for number in range(400)]


def written(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def split_of(split: str, *texts: Path) -> Rows:
    return load_rows(with_texts(get_task("mlm"), texts), split)


def lines_of(split: str, *texts: Path) -> list[str]:
    return list(split_of(split, *texts).table["text"])


def test_a_fixed_share_of_the_lines_is_held_out(tmp_path: Path) -> None:
    text = written(tmp_path / "text.txt", LINES)
    held_out, train = lines_of("validation", text), lines_of("train", text)
    assert 8 <= len(held_out) <= 32, "about 5 % of 400"
    assert sorted(held_out + train) == sorted(LINES)
    assert train == [line for line in LINES if line not in held_out]
    shorter = written(tmp_path / "shorter.txt", LINES[200:])
    assert set(lines_of("validation", shorter)) == set(held_out) & set(LINES[200:]), "whatever else is there"


@pytest.mark.parametrize("count", range(2, 8))
def test_one_line_at_least_is_on_either_side(count: int, tmp_path: Path) -> None:
    for start in range(0, 60, 10):
        text = written(tmp_path / f"{start}.txt", LINES[start : start + count] * 2)
        held_out, train = lines_of("validation", text), lines_of("train", text)
        assert held_out
        assert train
        assert not set(held_out) & set(train), "equal lines are on one side"
        assert len(held_out) + len(train) == 2 * count


def test_the_content_counts_and_not_the_path(tmp_path: Path) -> None:
    one = written(tmp_path / "one.txt", LINES)
    other = written(tmp_path / "other.csv", ["", *LINES, "  "], "utf-8-sig")
    windows = tmp_path / "windows.txt"
    windows.write_bytes("\r\n".join(LINES).encode())
    halves = written(tmp_path / "a.txt", LINES[:150]), written(tmp_path / "b.txt", LINES[150:])
    for split in ("train", "validation"):
        prints = [split_of(split, *texts).fingerprint for texts in ((one,), (other,), (windows,), halves)]
        assert len(set(prints)) == 1
    changed = written(tmp_path / "changed.txt", [*LINES[:-1], "another"])
    assert any(
        split_of(split, one).fingerprint != split_of(split, changed).fingerprint for split in ("train", "validation")
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"one\none \n", "has 1 different line"),
        (b"one\ntwo\n\xff\xfe\n", "Line 3 of '.*' is no UTF-8"),
        ("one\ntwo".encode("utf-16"), "Line 1 of '.*' is no UTF-8"),
    ],
)
def test_text_that_cannot_be_used(content: bytes, says: str, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes(content)
    with pytest.raises(DataFormatError, match=says):
        split_of("train", text)


def test_text_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match=r"nowhere.txt' is not there. Give --text"):
        split_of("train", tmp_path / "nowhere.txt")
    with pytest.raises(DataUnavailableError, match="is a folder"):
        split_of("train", tmp_path)
    with pytest.raises(DataUnavailableError, match="train-intermediate mlm --text FILE"):
        split_of("train")
    text = written(tmp_path / "text.txt", LINES)
    with pytest.raises(SettingsError, match="twice"):
        split_of("train", text, text)
    with pytest.raises(SettingsError, match="'squad' has rows of its own"):
        with_texts(get_task("squad"), [text])
    assert with_texts(get_task("squad"), []) is get_task("squad")
