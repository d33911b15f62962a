"""Rows of every task and language, from a mirror: what the data sets have in columns is what the formats want."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from toy_mirror import write_data_set

from adapterstilts.data import rows as rows_module
from adapterstilts.data.files import with_labels
from adapterstilts.data.rows import MOST_KEPT, Rows, load_rows, rows_kept
from adapterstilts.data.sources import MissingConfigError
from adapterstilts.errors import DataUnavailableError
from adapterstilts.tasks.catalogue import TASKS, get_task
from adapterstilts.tasks.spec import FORMAT_FIELDS, Source, TaskSpec

#: What the toy mirror holds, by task and split: languages, rows a language.
EXPECTED: dict[tuple[str, str], tuple[tuple[str, ...], int | None]] = {
    **{(name, "train"): (("en",), 60) for name in ("mnli", "squad", "hellaswag", "xnli", "panx", "udpos", "xquad")},
    **{(name, "train"): (("en",), 60) for name in ("qqp", "ccg", "cosmosqa", "csqa", "siqa", "copa", "pawsx", "mlqa")},
    ("xcopa", "train"): (("en",), 60),
    **{(name, "validation"): (("en",), 20) for name in ("mnli", "squad", "hellaswag", "xquad")},
    **{(name, "validation"): (("en",), 20) for name in ("qqp", "ccg", "cosmosqa", "csqa", "siqa", "copa", "xcopa")},
    ("anli", "train"): (("en",), 84),
    ("anli", "validation"): (("en",), 38),
    ("squad2", "train"): (("en",), 90),
    ("squad2", "validation"): (("en",), 30),
    ("pawsx", "validation"): (("de", "en", "zh"), 20),
    ("pawsx", "test"): (("de", "en", "zh"), 21),
    ("mlqa", "validation"): (("de", "en", "zh"), 20),
    ("mlqa", "test"): (("de", "en", "zh"), 20),
    ("mlqa_pairs", "train"): (("en",), 60),
    ("mlqa_pairs", "validation"): (("de", "en-de", "en", "zh-en", "zh"), 20),
    ("mlqa_pairs", "test"): (("de", "en-de", "en", "zh-en", "zh"), 20),
    ("xcopa", "test"): (("sw", "th", "zh"), 20),
    ("bucc", "validation"): (("de", "ru"), 20),
    ("bucc", "test"): (("de", "ru"), 21),
    ("tatoeba", "test"): (("de", "ru", "sw"), 20),
    ("bucc_pools", "validation"): (("de", "ru"), None),
    ("bucc_pools", "test"): (("de", "ru"), None),
    ("lareqa", "test"): (("de", "en", "ru"), 16),
    ("mewslix", "validation"): (("de", "en", "ja"), 7),
    ("mewslix", "test"): (("de", "en", "ja"), 7),
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


# Every task


def test_every_split_of_every_task_is_in_the_toy_mirror() -> None:
    assert set(EXPECTED) == {
        (task.name, split) for task in TASKS.values() if task.name != "mlm" for split in task.sources
    }


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


def test_an_empty_sentence_is_left_out(tmp_path: Path) -> None:
    rows = [{"source_sentence": text, "target_sentence": "cat"} for text in ("Katze", " \n", None)]
    write_data_set(tmp_path, "google/xtreme", {"tatoeba.deu": {"validation": Dataset.from_list(rows)}})
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


def test_a_split_that_some_configurations_lack(tmp_path: Path) -> None:
    """On the Hub, udpos.Thai and others have a test split alone: all languages of another split leave them out."""
    tags = Features(
        {"tokens": List(Value("string")), "pos_tags": List(ClassLabel(names=list(get_task("udpos").labels)))}
    )
    table = Dataset.from_list([{"tokens": ["a"], "pos_tags": [0]}], features=tags)
    write_data_set(
        tmp_path,
        "google/xtreme",
        {"udpos.English": {"validation": table, "test": table}, "udpos.Thai": {"test": table}},
    )
    task = get_task("udpos")
    assert load_rows(task, "test", root=tmp_path).languages == ("en", "th")
    rows = load_rows(task, "validation", root=tmp_path)
    assert rows.languages == ("en",)
    assert "th" in rows.missing


def test_rows_are_loaded_once_inside_the_block_that_keeps_them(
    toy_mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load_split = rows_module.load_split

    def counted(source: Source, language: str, root: Path | None) -> Any:
        read.append(f"{source.dataset} {source.split}")
        return load_split(source, language, root)

    monkeypatch.setattr(rows_module, "load_split", counted)
    mnli, squad = get_task("mnli"), get_task("squad")

    def load(task: TaskSpec, **options: Any) -> Rows:
        return load_rows(task, "train", ["en"], root=toy_mirror, **options)

    assert load(mnli) is not load(mnli)
    assert len(read) == 2
    with rows_kept():
        first = load(mnli)
        assert load(mnli) is first
        few = load(mnli, max_examples=3)
        assert (len(few), len(first)) == (3, len(load(mnli)))
        assert load(mnli, max_examples=3) is few
        assert load(mnli, max_examples=3, sample_seed=1) is not few
        assert load(squad).task.name == "squad"
        with rows_kept():
            assert load(mnli) is first
        with pytest.raises(DataUnavailableError):
            load_rows(mnli, "train", ["en"], root=tmp_path)
        assert len(read) == 2 + 4 + 1
    assert load(mnli) is not first


def test_no_more_than_a_few_tables_are_kept(toy_mirror: Path) -> None:
    with rows_kept():
        first = load_rows(get_task("mnli"), "train", ["en"], root=toy_mirror)
        for seed in range(MOST_KEPT):
            load_rows(get_task("mnli"), "train", ["en"], root=toy_mirror, max_examples=2, sample_seed=seed)
        assert load_rows(get_task("mnli"), "train", ["en"], root=toy_mirror) is not first
