"""CCGbank's own files, with derivations of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapterstilts.data.ccgbank import auto_files, read_auto
from adapterstilts.data.files import with_labels
from adapterstilts.data.rows import load_rows
from adapterstilts.data.sources import check_access
from adapterstilts.errors import DataFormatError, DataUnavailableError
from adapterstilts.tasks.catalogue import get_task

CCG = get_task("ccg")
CATS = (
    "ID=wsj_0201.1 PARSER=GOLD NUMPARSE=1\n"
    "(<T S[dcl] 0 2> (<T NP 0 1> (<L N NNS NNS Cats N>) ) "
    "(<T S[dcl]\\NP 0 1> (<L S[dcl]\\NP VBP VBP sleep S[dcl]\\NP_1>) ) )\n"
)
DOGS = (
    "ID=wsj_0001.1 PARSER=GOLD NUMPARSE=1\n"
    "(<T NP 1 2> (<L NP[nb]/N DT DT The NP[nb]_1/N_1>) (<T N 1 2> (<L N NNS NNS dogs N>) (<L . . . . .>) ) )\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a file of section 02, one of 00, and some of sections that are not used."""
    files = {"02/wsj_0201": CATS, "00/wsj_0001": DOGS, "01/wsj_0101": DOGS, "22/wsj_2201": DOGS, "21/wsj_2101": CATS}
    for name, text in files.items():
        path = tmp_path / "ccg/AUTO" / f"{name}.auto"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "ccg/AUTO/02/wsj_0202.parg").write_text("", encoding="utf-8")
    return tmp_path


def test_sections_are_told_by_the_names_of_the_files(root: Path) -> None:
    assert [path.name for path in auto_files(root / "ccg", (2, 21))] == ["wsj_0201.auto", "wsj_2101.auto"]
    assert [path.name for path in auto_files(root / "ccg", (0, 0))] == ["wsj_0001.auto"]
    assert auto_files(root / "nowhere", (0, 24)) == []


def test_the_leaves_of_a_derivation_are_its_words(root: Path) -> None:
    check_access(CCG.sources["train"], root)
    task = with_labels(CCG, root)
    assert task.labels == (".", "N", "NP[nb]/N", "S[dcl]\\NP")
    train = load_rows(task, "train", root=root)
    assert train.table["tokens"][:] == [["Cats", "sleep"]] * 2
    assert train.table["tags"][:] == [[1, 3]] * 2
    validation = load_rows(task, "validation", root=root)
    assert validation.table["tokens"][:] == [["The", "dogs", "."]]
    assert validation.table["tags"][:] == [[2, 1, 0]]


def test_jiants_files_come_first(root: Path) -> None:
    (root / "ccg/tags_to_id.json").write_text(json.dumps({"X": 0, "N": 1}), encoding="utf-8")
    (root / "ccg/ccg.train").write_text("a cat\tX N\n", encoding="utf-8")
    task = with_labels(CCG, root)
    assert task.labels == ("X", "N")
    assert load_rows(task, "train", root=root).table["tokens"][:] == [["a", "cat"]]


@pytest.mark.parametrize("line", ["nothing", "(<T NP 0 1> )", CATS.split("\n")[1].replace("Cats N>", "Cats>")])
def test_a_line_that_is_no_derivation(line: str, root: Path) -> None:
    path = root / "ccg/AUTO/00/wsj_0001.auto"
    path.write_text(f"{DOGS}ID=wsj_0001.2\n{line}\n", encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"Line 4 of '.*wsj_0001.auto' is no derivation"):
        list(read_auto([path]))


def test_a_file_that_is_no_text(root: Path) -> None:
    path = root / "ccg/AUTO/00/wsj_0001.auto"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataFormatError, match=r"wsj_0001.auto' cannot be read as UTF-8"):
        list(read_auto([path]))


def test_sections_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "ccg").mkdir()
    (tmp_path / "ccg/wsj_2301.auto").write_text(DOGS, encoding="utf-8")
    with pytest.raises(DataUnavailableError, match="bring its AUTO folder"):
        check_access(CCG.sources["train"], tmp_path)
    with pytest.raises(DataUnavailableError, match="bring its AUTO folder"):
        with_labels(CCG, tmp_path)
