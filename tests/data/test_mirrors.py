"""Mirrors that are not as they should be are told by name, and those that changed are read again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from datasets import Dataset, Value
from small_mirrors import mnli_mirror, mnli_table, xnli_rows
from toy_mirror import write_data_set

from adapterstilts.data.rows import load_rows
from adapterstilts.data.sources import MissingConfigError, data_root
from adapterstilts.errors import DataFormatError, DataUnavailableError, SettingsError
from adapterstilts.tasks.catalogue import get_task


@pytest.fixture
def mirror(toy_mirror: Path, tmp_path: Path) -> Path:
    """A copy of a part of the toy mirror, to be damaged."""
    shutil.copytree(toy_mirror / "nyu-mll", tmp_path / "hub" / "nyu-mll")
    return tmp_path / "hub"


TRAIN_FILE = "nyu-mll/glue/mnli/train-00000-of-00001.parquet"


def test_wrong_columns(tmp_path: Path) -> None:
    table = mnli_table([0], Value("int64")).rename_columns({"premise": "sentence1", "hypothesis": "sentence2"})
    root = mnli_mirror(tmp_path, table)
    says = r"\(mnli, train\) has no column 'premise', 'hypothesis'; it has sentence1, sentence2, label"
    with pytest.raises(DataFormatError, match=says):
        load_rows(get_task("mnli"), "train", root=root)


def test_no_column_for_the_language(tmp_path: Path) -> None:
    table = Dataset.from_list(xnli_rows("neutral")).remove_columns("language")
    write_data_set(tmp_path, "google/xtreme", {"XNLI": {"test": table}})
    with pytest.raises(DataFormatError, match="has no column 'language' for the language"):
        load_rows(get_task("xnli"), "test", ["en"], root=tmp_path)


def test_a_cut_file(mirror: Path) -> None:
    whole = (mirror / TRAIN_FILE).read_bytes()
    (mirror / TRAIN_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataFormatError, match=r"glue.*mnli.*cannot be read"):
        load_rows(get_task("mnli"), "train", root=mirror)


def test_an_empty_file(mirror: Path) -> None:
    (mirror / TRAIN_FILE).write_bytes(b"")
    with pytest.raises(DataFormatError, match=r"glue.*mnli.*cannot be read"):
        load_rows(get_task("mnli"), "train", root=mirror)


def test_a_damaged_file_of_one_language_is_not_taken_for_a_missing_language(toy_mirror: Path, tmp_path: Path) -> None:
    root = tmp_path / "configs and splits"  # words that errors about configurations and splits hold, too
    shutil.copytree(toy_mirror / "google", root / "google")
    (root / "google/xtreme/PAN-X.de/test-00000-of-00001.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataFormatError, match="cannot be read"):
        load_rows(get_task("panx"), "test", root=root)


def test_a_file_that_is_not_there(mirror: Path) -> None:
    (mirror / TRAIN_FILE).unlink()
    with pytest.raises((DataUnavailableError, DataFormatError), match="glue"):
        load_rows(get_task("mnli"), "train", root=mirror)


def test_a_split_that_is_not_there(mirror: Path, tmp_path: Path) -> None:
    root = mnli_mirror(tmp_path / "other", mnli_table([0], Value("int64")))
    with pytest.raises(DataUnavailableError, match=r"\(mnli\) has no split 'validation_matched'"):
        load_rows(get_task("mnli"), "validation", root=root)
    with pytest.raises(SettingsError, match="Task 'mnli' has no split 'test'; it has train, validation"):
        load_rows(get_task("mnli"), "test", root=mirror)


def test_an_empty_table(tmp_path: Path) -> None:
    root = mnli_mirror(tmp_path, mnli_table([], Value("int64")))
    with pytest.raises((DataUnavailableError, DataFormatError), match="mnli"):
        load_rows(get_task("mnli"), "train", root=root)


def test_a_data_set_that_the_mirror_lacks(mirror: Path) -> None:
    with pytest.raises(DataUnavailableError, match=r"has no folder 'rajpurkar/squad'.*hf download --repo-type dataset"):
        load_rows(get_task("squad"), "train", root=mirror)


def test_a_damaged_readme(mirror: Path) -> None:
    (mirror / "nyu-mll/glue/README.md").write_text("---\nconfigs: [\n---\n")
    with pytest.raises(DataFormatError, match=r"The mirror folder .*glue' cannot be read"):
        load_rows(get_task("mnli"), "train", root=mirror)


def test_mirrors_are_told_apart(tmp_path: Path) -> None:
    """Also where their READMEs are equal, which is all that the cache of the datasets library looks at."""
    for number in (0, 2, 1):
        root = mnli_mirror(tmp_path / str(number), mnli_table([number], Value("int64")))
        assert load_rows(get_task("mnli"), "train", root=root).table["label"][:] == [number]


def test_a_file_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    for labels in ([0, 1], [1, 0], [2]):
        root = mnli_mirror(tmp_path, mnli_table(labels, Value("int64")))
        assert load_rows(get_task("mnli"), "train", root=root).table["label"][:] == labels


def test_a_mirror_that_grows_is_read_again(tmp_path: Path) -> None:
    table = mnli_table([0], Value("int64"))
    write_data_set(tmp_path, "nyu-mll/glue", {"qqp": {"train": table}})
    with pytest.raises(MissingConfigError):
        load_rows(get_task("mnli"), "train", root=tmp_path)
    write_data_set(tmp_path, "nyu-mll/glue", {"qqp": {"train": table}, "mnli": {"train": table}})
    assert len(load_rows(get_task("mnli"), "train", root=tmp_path)) == 1


def test_the_hub_offline() -> None:
    says = "'nyu-mll/glue' .*is not in the local cache, and the Hub cannot be reached.*--data-root DIR"
    with pytest.raises(DataUnavailableError, match=says):
        load_rows(get_task("mnli"), "train")


def test_the_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_root() is None
    assert data_root(tmp_path) == tmp_path
    with pytest.raises(DataUnavailableError, match=r"nowhere' \(--data-root\) is not a folder"):
        data_root(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataUnavailableError, match="is not a folder"):
        data_root(tmp_path / "file")
    monkeypatch.setenv("ADAPTERSTILTS_DATA_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(DataUnavailableError, match=r"nowhere' \(ADAPTERSTILTS_DATA_ROOT\) is not a folder"):
        data_root()
    assert data_root(tmp_path) == tmp_path
    monkeypatch.setenv("ADAPTERSTILTS_DATA_ROOT", str(tmp_path))
    assert data_root() == tmp_path
