"""A task whose languages lie in several data sets: each is read where it is, and what a mirror lacks is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from toy_mirror import write_data_set

from adapterstilts.data import sources
from adapterstilts.data.rows import load_rows
from adapterstilts.data.sources import MissingConfigError, MissingDataSetError, check_access
from adapterstilts.errors import DataFormatError, DataUnavailableError
from adapterstilts.studies.checking import check_tasks
from adapterstilts.tasks.catalogue import TASKS, XTREME_R_TASKS
from adapterstilts.tasks.suites import get_suite

PANX = XTREME_R_TASKS["panx"]
LABELS = PANX.labels


@pytest.fixture
def mirror(toy_mirror: Path, tmp_path: Path) -> Path:
    """A copy of the toy mirror's named entities, from which data sets can be taken away."""
    for name in ("google/xtreme", "unimelb-nlp/wikiann"):
        shutil.copytree(toy_mirror / name, tmp_path / "hub" / name)
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("name", "split", "languages"),
    [
        ("panx", "test", ("de", "en", "ro", "sw")),
        ("panx", "validation", ("de", "en", "ro", "sw")),
        ("panx", "train", ("en",)),
        ("xquad", "test", ("de", "en", "ro", "zh")),
        ("tatoeba", "test", ("az", "de", "ru", "sw")),
        ("udpos", "test", ("de", "en", "lt")),
        ("udpos", "train", ("en",)),
        ("xnli", "test", ("de", "en", "sw", "zh")),
        ("xcopa", "test", ("sw", "th", "zh")),
    ],
)
def test_each_language_is_read_where_it_is(name: str, split: str, languages: tuple[str, ...], toy_mirror: Path) -> None:
    task = XTREME_R_TASKS[name]
    rows = load_rows(task, split, root=toy_mirror)
    assert rows.languages == languages
    assert set(rows.missing) == set(task.languages_of(split)) - set(languages)
    for language in languages:
        positions = rows.of_language(language)
        assert len({rows.table[position]["id"] for position in positions}) == len(positions) > 0


@pytest.mark.parametrize("name", ["panx", "xquad", "tatoeba"])
def test_the_languages_of_xtreme_have_the_rows_of_xtreme(name: str, toy_mirror: Path) -> None:
    """Tatoeba's German is in both data sets, and read from one."""
    one, other = (load_rows(tasks[name], "test", ["de"], root=toy_mirror) for tasks in (TASKS, XTREME_R_TASKS))
    assert one.fingerprint == other.fingerprint


def test_questions_of_two_data_sets_are_the_same_ones(toy_mirror: Path) -> None:
    """XQuAD's ids are those of one set of questions, by which languages are paired."""
    table = load_rows(XTREME_R_TASKS["xquad"], "test", ["de", "ro"], root=toy_mirror)
    ids = table.table["id"][:]
    assert [ids[at] for at in table.of_language("de")] == [ids[at] for at in table.of_language("ro")]


def test_pairs_of_one_language_not_those_of_all(toy_mirror: Path) -> None:
    """mteb has a configuration with all languages in one, and the foreign sentence first."""
    rows = load_rows(XTREME_R_TASKS["tatoeba"], "test", ["az"], root=toy_mirror)
    assert len(rows) == 20
    raw = Dataset.from_parquet(str(toy_mirror / "mteb/tatoeba-bitext-mining/aze-eng/test-00000-of-00001.parquet"))
    assert (rows.table["text"][:], rows.table["text_pair"][:]) == (raw["sentence1"][:], raw["sentence2"][:])


def test_tags_are_taken_by_name(tmp_path: Path) -> None:
    """And the further columns of unimelb-nlp/wikiann do not matter."""
    names = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-ORG", "I-ORG"]
    text = Value("string")
    features = Features(
        {"tokens": List(text), "ner_tags": List(ClassLabel(names=names)), "langs": List(text), "spans": List(text)}
    )
    row = {"tokens": ["Ana", "Oslo"], "ner_tags": [3, 1], "langs": ["ro", "ro"], "spans": ["PER: Ana", "LOC: Oslo"]}
    write_data_set(tmp_path, "unimelb-nlp/wikiann", {"ro": {"test": Dataset.from_list([row], features=features)}})
    (tags,) = load_rows(PANX, "test", ["ro"], root=tmp_path).table["tags"]
    assert [LABELS[tag] for tag in tags] == ["B-PER", "B-LOC"]


# What a mirror lacks


def test_without_a_data_set_the_languages_of_the_others_are_there(mirror: Path) -> None:
    shutil.rmtree(mirror / "unimelb-nlp")
    rows = load_rows(PANX, "test", root=mirror)
    assert rows.languages == ("de", "en", "sw")
    assert {"ro", "az", "gu", "uk"} < set(rows.missing)
    with pytest.raises(MissingDataSetError, match=r"no folder 'unimelb-nlp/wikiann'. Mirror it with `hf download"):
        load_rows(PANX, "test", ["de", "ro"], root=mirror)
    assert load_rows(PANX, "test", ["de"], root=mirror).languages == ("de",)
    (test,) = (one for one in check_tasks(["panx"], suite="xtreme-r", data_root=mirror) if one.split == "test")
    assert (test.error, test.languages, "ro" in test.missing) == ("", ("de", "en", "sw"), True)


def test_without_the_first_data_set_too(mirror: Path) -> None:
    shutil.rmtree(mirror / "google")
    assert load_rows(PANX, "test", root=mirror).languages == ("ro",)
    with pytest.raises(MissingDataSetError, match="no folder 'google/xtreme'"):
        load_rows(PANX, "test", ["de"], root=mirror)
    with pytest.raises(DataUnavailableError, match="no folder 'google/xtreme'"):
        load_rows(PANX, "train", root=mirror)


def test_without_any_the_first_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match="no folder 'google/xtreme'"):
        load_rows(PANX, "test", root=tmp_path)
    with pytest.raises(DataUnavailableError, match="no folder 'izhx/xtreme-r-udpos'"):
        load_rows(XTREME_R_TASKS["udpos"], "test", root=tmp_path)


def test_a_configuration_that_a_further_data_set_lacks(mirror: Path) -> None:
    assert "az" in load_rows(PANX, "test", root=mirror).missing
    with pytest.raises(MissingConfigError, match="'unimelb-nlp/wikiann' has no configuration 'az'"):
        load_rows(PANX, "test", ["az"], root=mirror)


def test_access_to_one_data_set_of_several_is_enough(mirror: Path) -> None:
    """But where rows of several are joined, as for ANLI, each is needed."""
    source = PANX.source("test")
    check_access(source, mirror)
    shutil.rmtree(mirror / "unimelb-nlp")
    check_access(source, mirror)
    shutil.rmtree(mirror / "google")
    with pytest.raises(DataUnavailableError, match="no folder 'google/xtreme'"):
        check_access(source, mirror)
    (mirror / "stanfordnlp/snli").mkdir(parents=True)
    with pytest.raises(DataUnavailableError, match="no folder 'nyu-mll/glue'"):
        check_access(TASKS["anli"].source("train"), mirror)


def test_without_the_hub_one_data_set_in_the_cache_is_enough(toy_mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = sources._load
    monkeypatch.setattr(sources, "hub_reachable", lambda: False)
    monkeypatch.setattr(sources, "dataset_cached", lambda name: name == "google/xtreme")
    monkeypatch.setattr(
        sources, "_load", lambda path, *rest, **options: plain(str(toy_mirror / path), *rest, **options)
    )
    check_access(PANX.source("test"), None)
    assert load_rows(PANX, "test", ["de"]).languages == ("de",)
    with pytest.raises(MissingDataSetError, match="'unimelb-nlp/wikiann' is not in the local cache"):
        load_rows(PANX, "test", ["ro"])


def test_columns_that_are_not_as_thought_are_named(tmp_path: Path) -> None:
    """Those of izhx/xtreme-r-udpos were never seen."""
    row = {"tokens": ["vilkas"], "upos": ["NOUN"]}
    write_data_set(tmp_path, "izhx/xtreme-r-udpos", {"lt": {"test": Dataset.from_list([row])}})
    with pytest.raises(DataFormatError, match=r"\(lt, test\) has no column 'pos_tags'; it has tokens, upos"):
        load_rows(get_suite("xtreme-r").task("udpos"), "test", ["lt"], root=tmp_path)
