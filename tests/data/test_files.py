"""Rows in plain files: CosmosQA's tables, and CCGbank's sentences, which every user has to buy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from adapterstilts.data import files, network
from adapterstilts.data.files import with_labels
from adapterstilts.data.rows import load_rows
from adapterstilts.data.sources import check_access
from adapterstilts.errors import DataFormatError, DataUnavailableError
from adapterstilts.tasks.catalogue import get_task

CCG = get_task("ccg")


@pytest.fixture
def ccg_root(toy_mirror: Path, tmp_path: Path) -> Path:
    """A data root with CCG files that may be spoilt."""
    shutil.copytree(toy_mirror / "ccg", tmp_path / "ccg")
    return tmp_path


def test_ccgbank_is_sold_and_the_user_is_told_where_to_put_it(tmp_path: Path) -> None:
    for root, place in (
        (None, "as 'DIR/ccg/ccg.train', and give --data-root DIR"),
        (tmp_path, f"'{tmp_path}/ccg/ccg."),
    ):
        with pytest.raises(DataUnavailableError, match="sold by the Linguistic Data Consortium") as caught:
            check_access(CCG.sources["train"], root)
        assert place in str(caught.value)
        assert "a tab and supertags" in str(caught.value)
    with pytest.raises(DataUnavailableError, match="sold by the Linguistic Data Consortium"):
        with_labels(CCG, None)


def test_labels_come_from_the_users_file_in_the_order_of_their_numbers(ccg_root: Path) -> None:
    (ccg_root / "ccg/tags_to_id.json").write_text(json.dumps({"N": "2", "S": 0, "NP": 1}), encoding="utf-8")
    assert with_labels(CCG, ccg_root).labels == ("S", "NP", "N")
    assert with_labels(get_task("panx"), None) is get_task("panx")


def test_tags_get_the_numbers_of_the_file(ccg_root: Path) -> None:
    (ccg_root / "ccg/tags_to_id.json").write_text(json.dumps({"N": 1, "N/N": 0}), encoding="utf-8")
    (ccg_root / "ccg/ccg.dev").write_text("the cat\tN/N N\n\ncats\tN\n", encoding="utf-8")
    rows = load_rows(with_labels(CCG, ccg_root), "validation", root=ccg_root)
    assert rows.table["tokens"][:] == [["the", "cat"], ["cats"]]
    assert rows.table["tags"][:] == [[0, 1], [1]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1]", "is no JSON object of labels"),
        ("{", "is no JSON object of labels"),
        ('{"N": "x"}', "is no JSON object of labels"),
        ('{"N": 0}', "does not number its 1 labels from 0 on without gaps"),
        ('{"N": 0, "S": 2}', "does not number its 2 labels from 0 on without gaps"),
        ('{"N": 1, "S": 1}', "does not number its 2 labels from 0 on without gaps"),
    ],
)
def test_a_wrong_file_of_labels(text: str, says: str, ccg_root: Path) -> None:
    (ccg_root / "ccg/tags_to_id.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataFormatError, match=says):
        with_labels(CCG, ccg_root)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"the cat N N\n", "Line 2 of .*ccg.dev' has 0 tabs"),
        (b"the\tcat\tN\n", "Line 2 of .*ccg.dev' has 2 tabs"),
        (b"cat\tZ\n", "has the label 'Z'; known: "),
        (b"\xff\tN\n", "cannot be read as UTF-8"),
    ],
)
def test_a_wrong_line_of_words_and_tags(line: bytes, says: str, ccg_root: Path) -> None:
    (ccg_root / "ccg/ccg.dev").write_bytes(b"cat\tN\n" + line)
    with pytest.raises(DataFormatError, match=says):
        load_rows(with_labels(CCG, ccg_root), "validation", root=ccg_root)


def test_a_sentence_with_too_few_tags_is_left_out(ccg_root: Path) -> None:
    (ccg_root / "ccg/ccg.dev").write_text("the cat\tN\ncat\tN\n", encoding="utf-8")
    rows = load_rows(with_labels(CCG, ccg_root), "validation", root=ccg_root)
    assert (len(rows), rows.skipped) == (1, {"as many tags as tokens are needed": 1})


def test_a_table_is_fetched_from_its_address(monkeypatch: pytest.MonkeyPatch, toy_mirror: Path) -> None:
    import datasets

    asked = []
    plain = datasets.load_dataset

    def load_dataset(kind: str, *, data_files: dict[str, str], **options: object) -> object:
        asked.append(data_files["train"])
        local = toy_mirror / "wilburOne/cosmosqa" / data_files["train"].rpartition("/")[2]
        return plain(kind, data_files={"train": str(local)}, **options)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(files, "hub_reachable", lambda: True)
    rows = load_rows(get_task("cosmosqa"), "validation")
    assert rows.fingerprint == load_rows(get_task("cosmosqa"), "validation", root=toy_mirror).fingerprint
    assert asked[0] == "https://raw.githubusercontent.com/wilburOne/cosmosqa/master/data/valid.csv"


def test_a_table_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = get_task("cosmosqa").sources["train"]
    with pytest.raises(
        DataUnavailableError, match=r"cannot be fetched without a network.*DIR/wilburOne/cosmosqa/train"
    ):
        check_access(source, None)
    with pytest.raises(DataUnavailableError, match=r"has no file 'wilburOne/cosmosqa/train.csv'. Fetch https://raw"):
        check_access(source, tmp_path)
    (tmp_path / "wilburOne/cosmosqa").mkdir(parents=True)
    (tmp_path / "wilburOne/cosmosqa/train.csv").write_text("", encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"train.csv' cannot be read"):
        load_rows(get_task("cosmosqa"), "train", root=tmp_path)
    assert not network.hub_reachable()
