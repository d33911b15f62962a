"""Rows: those of every task from a mirror, the traps of the data sets, and files that are not as they should be."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.data.files import with_labels
from adapterstilts.data.rows import Rows, load_rows, to_table
from adapterstilts.data.sampling import sample_indices
from adapterstilts.data.sources import MissingConfigError, data_root
from adapterstilts.errors import DataFormatError, DataUnavailableError, SettingsError
from adapterstilts.tasks.catalogue import TASKS, get_task
from adapterstilts.tasks.spec import FORMAT_FIELDS

Writer = Callable[[Path, str, Mapping[str, Mapping[str, Dataset]]], Path]

#: What the toy mirror holds, by task and split: languages, rows a language.
EXPECTED: dict[tuple[str, str], tuple[tuple[str, ...], int | None]] = {
    **{(name, "train"): (("en",), 60) for name in ("mnli", "squad", "hellaswag", "xnli", "panx", "udpos", "xquad")},
    **{(name, "train"): (("en",), 60) for name in ("qqp", "ccg", "cosmosqa", "csqa", "siqa", "pawsx", "mlqa", "xcopa")},
    **{(name, "validation"): (("en",), 20) for name in ("mnli", "squad", "hellaswag", "xquad")},
    **{(name, "validation"): (("en",), 20) for name in ("qqp", "ccg", "cosmosqa", "csqa", "siqa", "xcopa")},
    ("anli", "train"): (("en",), 84),
    ("anli", "validation"): (("en",), 38),
    ("squad2", "train"): (("en",), 90),
    ("squad2", "validation"): (("en",), 30),
    ("pawsx", "validation"): (("de", "en", "zh"), 20),
    ("pawsx", "test"): (("de", "en", "zh"), 21),
    ("mlqa", "validation"): (("de", "en", "zh"), 20),
    ("mlqa", "test"): (("de", "en", "zh"), 20),
    ("xcopa", "test"): (("sw", "th", "zh"), 20),
    ("bucc", "validation"): (("de", "ru"), 20),
    ("bucc", "test"): (("de", "ru"), 21),
    ("tatoeba", "test"): (("de", "ru", "sw"), 20),
    ("xnli", "validation"): (("de", "en", "sw", "zh"), 20),
    ("xnli", "test"): (("de", "en", "sw", "zh"), 21),
    ("panx", "validation"): (("de", "en", "sw"), 20),
    ("panx", "test"): (("de", "en", "sw"), 21),
    ("udpos", "validation"): (("de", "en"), 20),
    ("udpos", "test"): (("de", "en"), 21),
    ("xquad", "test"): (("de", "en", "zh"), 20),
    ("tydiqa", "train"): (("en",), None),
    ("tydiqa", "validation"): (("en", "ru", "sw"), None),
    ("tydiqa", "test"): (("en", "ru", "sw"), 20),
}


def nli(*labels: str, language: str = "en") -> list[dict[str, str]]:
    return [
        {"language": language, "sentence1": f"the {number}", "sentence2": "cat", "gold_label": label}
        for number, label in enumerate(labels)
    ]


def xnli_mirror(write: Writer, root: Path, rows: list[dict[str, str]]) -> Path:
    write(root, "google/xtreme", {"XNLI": {"test": Dataset.from_list(rows)}})
    return root


def mnli_mirror(write: Writer, root: Path, table: Dataset) -> Path:
    write(root, "nyu-mll/glue", {"mnli": {"train": table}})
    return root


def mnli_table(labels: list[Any], feature: Any) -> Dataset:
    text = Value("string")
    columns = {
        "premise": [f"the {number}" for number in range(len(labels))],
        "hypothesis": ["cat"] * len(labels),
        "label": labels,
    }
    return Dataset.from_dict(columns, Features({"premise": text, "hypothesis": text, "label": feature}))


def spans(ids: list[str], **changes: Any) -> Dataset:
    text = Value("string")
    answers = {"text": List(text), "answer_start": List(Value("int32"))}
    row = {"context": "the Alpha", "question": "Which?", "answers": {"text": ["Alpha"], "answer_start": [4]}}
    features = Features({"id": text, "context": text, "question": text, "answers": answers})
    return Dataset.from_list([{"id": row_id, **row, **changes} for row_id in ids], features=features)


# Every task


def test_every_split_of_every_task_is_in_the_toy_mirror() -> None:
    assert set(EXPECTED) == {(task.name, split) for task in TASKS.values() for split in task.sources}


@pytest.mark.parametrize(("name", "split"), EXPECTED)
def test_rows_of_every_task(name: str, split: str, toy_mirror: Path) -> None:
    task = with_labels(get_task(name), toy_mirror)
    languages, count = EXPECTED[name, split]
    rows = load_rows(task, split, root=toy_mirror)
    assert rows.languages == languages
    assert set(rows.missing) == set(task.languages_of(split)) - set(languages)
    assert rows.skipped == ({"no gold label": 2} if name == "anli" else {})
    assert rows.table.column_names == ["id", "language", *FORMAT_FIELDS[task.format]]
    by_language = Counter(rows.table["language"])
    assert tuple(by_language) == languages
    if count is not None:
        assert set(by_language.values()) == {count}
    for language in languages:
        positions = rows.of_language(language)
        assert len(positions) == by_language[language]
        ids = [rows.table[position]["id"] for position in positions]
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", ["mnli", "xnli", "anli"])
def test_labels_of_inference_follow_their_words(name: str, toy_mirror: Path) -> None:
    """MNLI stores numbers, XNLI names; the toy rows say in a word what the label must be."""
    task = get_task(name)
    for row in load_rows(task, task.evaluation_split, root=toy_mirror).table:
        (cue,) = {"indeed", "perhaps", "never"} & set(row["text_pair"].split())
        assert (
            task.labels[row["label"]] == {"indeed": "entailment", "perhaps": "neutral", "never": "contradiction"}[cue]
        )


@pytest.mark.parametrize("name", ["hellaswag", "cosmosqa", "csqa", "siqa", "xcopa"])
def test_choices_follow_their_words(name: str, toy_mirror: Path) -> None:
    """Labels are numbers, letters, strings from "0" or from "1", by data set."""
    task = get_task(name)
    for row in load_rows(task, "train", root=toy_mirror).table:
        assert [choice.split().count("finally") for choice in row["choices"]] == [
            int(number == row["label"]) for number in range(task.choices)
        ]


@pytest.mark.parametrize("name", ["qqp", "pawsx"])
def test_labels_of_paraphrases_follow_their_words(name: str, toy_mirror: Path) -> None:
    """QQP stores numbers, PAWS-X strings."""
    task = get_task(name)
    for row in load_rows(task, task.evaluation_split, root=toy_mirror).table:
        assert row["label"] == int("indeed" in row["text_pair"].split())


def test_the_question_stands_before_each_answer_of_cosmosqa(toy_mirror: Path) -> None:
    """And pandas does not read the answer "None" as missing."""
    row = load_rows(get_task("cosmosqa"), "validation", root=toy_mirror).table[0]
    assert all(choice.startswith("Which name stands here ? ") for choice in row["choices"])
    assert sum(choice == "Which name stands here ? None" for choice in row["choices"]) == 3
    assert "\n" in row["text"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_relations_of_copa_become_questions(split: str, toy_mirror: Path) -> None:
    texts = load_rows(get_task("xcopa"), split, root=toy_mirror).table["text"][:]
    asked = Counter(text.rpartition("W")[2] for text in texts)
    assert set(asked) == {"hat was the cause of this?", "hat happened as a result?"}


def test_rows_of_several_data_sets_follow_each_other(toy_mirror: Path) -> None:
    """SNLI's rows without a gold label are left out; the ids are those of one list."""
    rows = load_rows(get_task("anli"), "train", root=toy_mirror)
    assert rows.table["id"][:3] == ["en-train-2", "en-train-3", "en-train-4"]
    assert rows.table["id"][-5:] == ["en-train_r2-81", *(f"en-train_r3-{number}" for number in (82, 83, 84, 85))]
    mnli = load_rows(get_task("mnli"), "train", root=toy_mirror).table["text"][:]
    assert rows.table["text"][12:72] == mnli


def test_translations_lose_their_line_ends_and_have_the_languages_of_their_files(toy_mirror: Path) -> None:
    """Tatoeba's ``source_lang`` is garbage; BUCC's holds ids."""
    tatoeba = load_rows(get_task("tatoeba"), "test", root=toy_mirror).table
    assert not any(text.endswith("\n") for side in ("text", "text_pair") for text in tatoeba[side])
    assert set(tatoeba["language"]) == {"de", "ru", "sw"}
    bucc = load_rows(get_task("bucc"), "test", ["ru"], root=toy_mirror).table
    assert bucc["id"][:2] == ["ru-000000000", "ru-000000001"]


def test_an_empty_sentence_is_left_out(data_set_writer: Writer, tmp_path: Path) -> None:
    rows = [{"source_sentence": text, "target_sentence": "cat"} for text in ("Katze", " \n", None)]
    data_set_writer(tmp_path, "google/xtreme", {"tatoeba.deu": {"validation": Dataset.from_list(rows)}})
    found = load_rows(get_task("tatoeba"), "test", ["de"], root=tmp_path)
    assert (found.table["text"][:], found.skipped) == (["Katze"], {"empty sentence": 2})


@pytest.mark.parametrize("name", ["squad", "xquad", "tydiqa"])
def test_answers_stand_in_their_contexts(name: str, toy_mirror: Path) -> None:
    task = get_task(name)
    for row in load_rows(task, task.evaluation_split, root=toy_mirror).table:
        (text,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(text)] == text


@pytest.mark.parametrize(("name", "word", "tag"), [("panx", "Miller", "I-PER"), ("udpos", "river", "NOUN")])
def test_tags_follow_their_words(name: str, word: str, tag: str, toy_mirror: Path) -> None:
    task = get_task(name)
    tags = {
        task.labels[number]
        for row in load_rows(task, "test", root=toy_mirror).table
        for token, number in zip(row["tokens"], row["tags"], strict=True)
        if token == word
    }
    assert tags == {tag}


# Languages


def test_languages_that_are_named_come_in_their_order(toy_mirror: Path) -> None:
    for name in ("xnli", "panx", "tydiqa"):
        language = "ru" if name == "tydiqa" else "de"
        rows = load_rows(get_task(name), "test", ["sw", language], root=toy_mirror)
        assert rows.languages == ("sw", language)
        assert rows.missing == ()
        assert list(dict.fromkeys(rows.table["language"])) == ["sw", language]


@pytest.mark.parametrize(("name", "language"), [("panx", "fi"), ("udpos", "fi"), ("xquad", "ar")])
def test_a_missing_configuration(name: str, language: str, toy_mirror: Path) -> None:
    """Skipped and reported where all languages were asked for; an error where it was named."""
    task = get_task(name)
    assert language in load_rows(task, "test", root=toy_mirror).missing
    config = task.source("test").config_for(language)
    with pytest.raises(MissingConfigError, match=re.escape(f"has no configuration '{config}'")):
        load_rows(task, "test", ["en", language], root=toy_mirror)


@pytest.mark.parametrize(
    ("name", "language", "there"), [("xnli", "fr", "de, en, sw, zh"), ("tydiqa", "fi", "en, ru, sw")]
)
def test_a_language_without_rows(name: str, language: str, there: str, toy_mirror: Path) -> None:
    task = get_task(name)
    assert language in load_rows(task, "test", root=toy_mirror).missing
    with pytest.raises(DataUnavailableError, match=rf"no row in .* \({language}\) for the test split.*it has {there}"):
        load_rows(task, "test", ["en", language], root=toy_mirror)


def test_the_language_of_tydiqa_stands_in_the_id(toy_mirror: Path) -> None:
    names = {"en": "english", "ru": "russian", "sw": "swahili"}
    rows = load_rows(get_task("tydiqa"), "test", root=toy_mirror)
    assert all(row["id"].startswith(f"{names[row['language']]}-") for row in rows.table)


def test_ids_tell_the_rows_language(toy_mirror: Path) -> None:
    """Where the data set has no ids, they are made of language, split and number."""
    for name in ("xnli", "panx"):
        for row in load_rows(get_task(name), "test", root=toy_mirror).table:
            assert row["id"].startswith(f"{row['language']}-test-")


def test_a_split_that_some_configurations_lack(tmp_path: Path, data_set_writer: Writer) -> None:
    """On the Hub, udpos.Thai and others have a test split alone: all languages of another split leave them out."""
    tags = Features(
        {"tokens": List(Value("string")), "pos_tags": List(ClassLabel(names=list(get_task("udpos").labels)))}
    )
    table = Dataset.from_list([{"tokens": ["a"], "pos_tags": [0]}], features=tags)
    data_set_writer(
        tmp_path,
        "google/xtreme",
        {"udpos.English": {"validation": table, "test": table}, "udpos.Thai": {"test": table}},
    )
    task = get_task("udpos")
    assert load_rows(task, "test", root=tmp_path).languages == ("en", "th")
    rows = load_rows(task, "validation", root=tmp_path)
    assert rows.languages == ("en",)
    assert "th" in rows.missing


# Labels


def test_other_spellings_of_labels(tmp_path: Path, data_set_writer: Writer) -> None:
    root = xnli_mirror(data_set_writer, tmp_path, nli("contradictory", "neutral", "contradiction", "entailment"))
    rows = load_rows(get_task("xnli"), "test", ["en"], root=root)
    assert rows.table["label"][:] == [2, 1, 2, 0]
    assert rows.skipped == {}


def test_rows_without_a_gold_label_are_left_out_and_counted(tmp_path: Path, data_set_writer: Writer) -> None:
    root = xnli_mirror(data_set_writer, tmp_path, nli("-", "neutral", "", "entailment"))
    rows = load_rows(get_task("xnli"), "test", ["en"], root=root)
    assert (rows.table["text"][:], rows.table["label"][:]) == (["the 1", "the 3"], [1, 0])
    assert rows.skipped == {"no gold label": 2}

    labels = ClassLabel(names=["entailment", "neutral", "contradiction"])
    table = mnli_table([-1, 2, None, 0, -1], labels)
    rows = load_rows(get_task("mnli"), "train", root=mnli_mirror(data_set_writer, tmp_path, table))
    assert (rows.table["text"][:], rows.table["label"][:]) == (["the 1", "the 3"], [2, 0])
    assert rows.skipped == {"no gold label": 3}


def test_no_row_with_a_gold_label(tmp_path: Path, data_set_writer: Writer) -> None:
    root = mnli_mirror(data_set_writer, tmp_path, mnli_table([-1, -1], Value("int64")))
    with pytest.raises(
        DataUnavailableError,
        match=r"The train split of 'mnli' has no usable row in English \(en\) \(no gold label: 2\)",
    ):
        load_rows(get_task("mnli"), "train", root=root)


def test_an_unknown_label(tmp_path: Path, data_set_writer: Writer) -> None:
    root = xnli_mirror(data_set_writer, tmp_path, nli("neutral", "maybe"))
    says = r"'google/xtreme' \(XNLI, test\) has the label 'maybe'; known: entailment, neutral, contradiction"
    with pytest.raises(DataFormatError, match=says):
        load_rows(get_task("xnli"), "test", ["en"], root=root)
    for number in (3, -2):
        root = mnli_mirror(data_set_writer, tmp_path / f"{number}", mnli_table([0, number], Value("int64")))
        with pytest.raises(DataFormatError, match=f"has the label {number}"):
            load_rows(get_task("mnli"), "train", root=root)


def test_labels_are_taken_by_name_where_the_data_set_names_them(tmp_path: Path, data_set_writer: Writer) -> None:
    """A data set that numbers its labels in another order must not be read with ours."""
    labels = ClassLabel(names=["contradiction", "neutral", "entailment"])
    root = mnli_mirror(data_set_writer, tmp_path, mnli_table([0, 1, 2], labels))
    try:
        rows = load_rows(get_task("mnli"), "train", root=root)
    except DataFormatError:
        return
    assert rows.table["label"][:] == [2, 1, 0]


# Rows that cannot be used


def test_faulty_spans_are_left_out_and_counted(tmp_path: Path, data_set_writer: Writer) -> None:
    from datasets import concatenate_datasets

    none: dict[str, list[Any]] = {"text": [], "answer_start": []}
    table = concatenate_datasets(
        [spans(["a"]), spans(["b", "c"], answers=none), spans(["d"], context="  "), spans(["e"], context=None)]
    )
    data_set_writer(tmp_path, "rajpurkar/squad", {"plain_text": {"train": table}})
    rows = load_rows(get_task("squad"), "train", root=tmp_path)
    assert rows.table["id"][:] == ["a"]
    assert rows.skipped == {"no gold answer": 2, "empty context": 2}
    rows = load_rows(dataclasses.replace(get_task("squad"), unanswerable=True), "train", root=tmp_path)
    assert rows.table["id"][:] == ["a", "b", "c"]


def test_faulty_choices_are_left_out_and_counted(tmp_path: Path, data_set_writer: Writer) -> None:
    rows = [
        {"ctx": f"the {number}", "endings": endings, "label": label}
        for number, (endings, label) in enumerate([("abcd", "3"), ("abc", "1"), ("abcd", ""), ("abcde", "0")])
    ]
    table = Dataset.from_list([{**row, "endings": list(row["endings"])} for row in rows])
    data_set_writer(tmp_path, "Rowan/hellaswag", {"default": {"train": table}})
    loaded = load_rows(get_task("hellaswag"), "train", root=tmp_path)
    assert loaded.table[:] == {
        "id": ["en-train-0"],
        "language": ["en"],
        "text": ["the 0"],
        "choices": [["a", "b", "c", "d"]],
        "label": [3],
    }
    assert loaded.skipped == {"not 4 choices": 2, "no gold label": 1}


def test_faulty_tags_are_left_out_and_counted(tmp_path: Path, data_set_writer: Writer) -> None:
    features = Features({"tokens": List(Value("string")), "ner_tags": List(Value("int64"))})
    sentences = [(["a", "b"], [0, 6]), ([], []), (["a"], [7]), (["a"], [-1]), (["a", "b"], [0])]
    table = Dataset.from_list([{"tokens": words, "ner_tags": tags} for words, tags in sentences], features=features)
    data_set_writer(tmp_path, "google/xtreme", {"PAN-X.en": {"train": table}})
    rows = load_rows(get_task("panx"), "train", root=tmp_path)
    assert rows.table["tags"][:] == [[0, 6]]
    assert rows.skipped == {"empty sentence": 1, "unknown tag": 2, "as many tags as tokens are needed": 1}


# Files that are not as they should be


@pytest.fixture
def mirror(toy_mirror: Path, tmp_path: Path) -> Path:
    """A copy of a part of the toy mirror, to be damaged."""
    shutil.copytree(toy_mirror / "nyu-mll", tmp_path / "hub" / "nyu-mll")
    return tmp_path / "hub"


TRAIN_FILE = "nyu-mll/glue/mnli/train-00000-of-00001.parquet"


def test_wrong_columns(tmp_path: Path, data_set_writer: Writer) -> None:
    table = mnli_table([0], Value("int64")).rename_columns({"premise": "sentence1", "hypothesis": "sentence2"})
    root = mnli_mirror(data_set_writer, tmp_path, table)
    says = r"\(mnli, train\) has no column 'premise', 'hypothesis'; it has sentence1, sentence2, label"
    with pytest.raises(DataFormatError, match=says):
        load_rows(get_task("mnli"), "train", root=root)


def test_no_column_for_the_language(tmp_path: Path, data_set_writer: Writer) -> None:
    table = Dataset.from_list(nli("neutral")).remove_columns("language")
    data_set_writer(tmp_path, "google/xtreme", {"XNLI": {"test": table}})
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


def test_a_split_that_is_not_there(mirror: Path, tmp_path: Path, data_set_writer: Writer) -> None:
    root = mnli_mirror(data_set_writer, tmp_path / "other", mnli_table([0], Value("int64")))
    with pytest.raises(DataUnavailableError, match=r"\(mnli\) has no split 'validation_matched'"):
        load_rows(get_task("mnli"), "validation", root=root)
    with pytest.raises(SettingsError, match="Task 'mnli' has no split 'test'; it has train, validation"):
        load_rows(get_task("mnli"), "test", root=mirror)


def test_an_empty_table(tmp_path: Path, data_set_writer: Writer) -> None:
    root = mnli_mirror(data_set_writer, tmp_path, mnli_table([], Value("int64")))
    with pytest.raises((DataUnavailableError, DataFormatError), match="mnli"):
        load_rows(get_task("mnli"), "train", root=root)


def test_a_data_set_that_the_mirror_lacks(mirror: Path) -> None:
    with pytest.raises(DataUnavailableError, match=r"has no folder 'rajpurkar/squad'.*hf download --repo-type dataset"):
        load_rows(get_task("squad"), "train", root=mirror)


def test_a_damaged_readme(mirror: Path) -> None:
    (mirror / "nyu-mll/glue/README.md").write_text("---\nconfigs: [\n---\n")
    with pytest.raises(DataFormatError, match=r"The mirror folder .*glue' cannot be read"):
        load_rows(get_task("mnli"), "train", root=mirror)


def test_mirrors_are_told_apart(tmp_path: Path, data_set_writer: Writer) -> None:
    """Also where their READMEs are equal, which is all that the cache of the datasets library looks at."""
    for number in (0, 2, 1):
        root = mnli_mirror(data_set_writer, tmp_path / str(number), mnli_table([number], Value("int64")))
        assert load_rows(get_task("mnli"), "train", root=root).table["label"][:] == [number]


def test_a_file_that_is_replaced_is_read_again(tmp_path: Path, data_set_writer: Writer) -> None:
    for labels in ([0, 1], [1, 0], [2]):
        root = mnli_mirror(data_set_writer, tmp_path, mnli_table(labels, Value("int64")))
        assert load_rows(get_task("mnli"), "train", root=root).table["label"][:] == labels


def test_a_mirror_that_grows_is_read_again(tmp_path: Path, data_set_writer: Writer) -> None:
    table = mnli_table([0], Value("int64"))
    data_set_writer(tmp_path, "nyu-mll/glue", {"qqp": {"train": table}})
    with pytest.raises(MissingConfigError):
        load_rows(get_task("mnli"), "train", root=tmp_path)
    data_set_writer(tmp_path, "nyu-mll/glue", {"qqp": {"train": table}, "mnli": {"train": table}})
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


# Samples, parts, fingerprints


@given(total=st.integers(0, 200), first=st.integers(0, 250), second=st.integers(0, 250), seed=st.integers(0, 99))
def test_smaller_samples_are_part_of_larger_ones(total: int, first: int, second: int, seed: int) -> None:
    small, large = sorted((first, second))
    chosen = sample_indices(total, small, seed)
    assert len(chosen) == min(total, small)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(sample_indices(total, large, seed)) <= set(range(total))


def test_samples_follow_their_seed() -> None:
    assert sample_indices(1000, 5, 0) == sample_indices(1000, 5, 0)
    assert sample_indices(1000, 5, 0) != sample_indices(1000, 5, 1)
    assert Counter(index for seed in range(300) for index in sample_indices(10, 3, seed)).most_common()[-1][1] > 50


def test_rows_are_sampled_by_language(toy_mirror: Path) -> None:
    task = get_task("xnli")
    everything = load_rows(task, "test", root=toy_mirror)
    small, large = (load_rows(task, "test", root=toy_mirror, max_examples=count, sample_seed=3) for count in (5, 9))
    assert Counter(small.table["language"]) == dict.fromkeys(("de", "en", "sw", "zh"), 5)
    kept, more, all_of = ([tuple(sorted(row.items())) for row in rows.table] for rows in (small, large, everything))
    assert set(kept) < set(more) < set(all_of)
    assert kept == [row for row in all_of if row in kept]  # in their order
    other = load_rows(task, "test", root=toy_mirror, max_examples=5, sample_seed=4)
    assert other.fingerprint != small.fingerprint
    alone = load_rows(task, "test", ["sw"], root=toy_mirror, max_examples=5, sample_seed=3)
    assert alone.table[:] == small.table.select(small.of_language("sw"))[:]


def test_only_usable_rows_are_sampled(tmp_path: Path, data_set_writer: Writer) -> None:
    root = mnli_mirror(data_set_writer, tmp_path, mnli_table([-1] * 50 + [0] * 5, Value("int64")))
    assert len(load_rows(get_task("mnli"), "train", root=root, max_examples=5)) == 5


def test_the_validation_part_of_tydiqa(toy_mirror: Path) -> None:
    """A fixed tenth of the training rows, chosen by a hash of the id: no row is in both, none is in neither."""
    task = get_task("tydiqa")
    train, validation = (load_rows(task, split, ["en"], root=toy_mirror) for split in ("train", "validation"))
    ids = [set(rows.table["id"]) for rows in (train, validation)]
    assert len(ids[0]) + len(ids[1]) == 60
    assert ids[0].isdisjoint(ids[1])
    assert 2 <= len(ids[1]) <= 12
    for row_id in ids[0] | ids[1]:
        share = int(hashlib.sha256(row_id.encode()).hexdigest(), 16) / 2**256
        assert (share < 0.1) == (row_id in ids[1])
    assert not (ids[0] | ids[1]) & set(load_rows(task, "test", ["en"], root=toy_mirror).table["id"])


def test_the_validation_part_stays_when_rows_are_added(tmp_path: Path, data_set_writer: Writer) -> None:
    seen = []
    for count in (200, 400):
        ids = [f"english-{number}-0" for number in range(count)]
        root = tmp_path / str(count)
        data_set_writer(root, "google/xtreme", {"tydiqa": {"train": spans(ids)}})
        seen.append(set(load_rows(get_task("tydiqa"), "validation", ["en"], root=root).table["id"]))
    assert seen[0] < seen[1]
    assert 20 < len(seen[1]) < 60


def test_equal_rows_have_equal_fingerprints(toy_mirror: Path, tmp_path: Path, data_set_writer: Writer) -> None:
    """Wherever they come from, however the file is written; and any difference tells."""
    labels = ClassLabel(names=["entailment", "neutral", "contradiction"])
    tables = [mnli_table([0, 1, 2], labels), mnli_table([0, 1, 2], Value("int64")), mnli_table([0, 1, 1], labels)]
    rows = [
        load_rows(get_task("mnli"), "train", root=mnli_mirror(data_set_writer, tmp_path / str(number), table))
        for number, table in enumerate(tables)
    ]
    assert rows[0].fingerprint == rows[1].fingerprint
    assert rows[0].fingerprint != rows[2].fingerprint
    task = get_task("xnli")
    first, again = (load_rows(task, "test", ["de", "en"], root=toy_mirror).fingerprint for _ in range(2))
    assert first == again
    assert first != load_rows(task, "test", ["en", "de"], root=toy_mirror).fingerprint
    assert first != load_rows(task, "validation", ["de", "en"], root=toy_mirror).fingerprint


def test_a_fingerprint_reads_values_not_their_arrow_types() -> None:
    task = get_task("mnli")
    made = [{"id": "a", "language": "en", "text": "é \u200b 𝄞", "text_pair": "", "label": 1}]
    table = to_table(task, made)
    wider = table.cast(Features({**table.features, "label": Value("int64"), "text": Value("large_string")}))
    assert Rows(task, "train", wider, ("en",)).fingerprint == Rows(task, "train", table, ("en",)).fingerprint
