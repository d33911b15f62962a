"""Rows: columns and labels of the Hub's data sets, parallel over languages, apart over splits, the same every time."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Hashable, Iterator

import pytest

from adapterstilts.errors import DataUnavailableError, UnknownNameError
from adapterstilts.lab import rows as lab_rows
from adapterstilts.lab.languages import LANGUAGES, SOURCE
from adapterstilts.lab.rows import ENTITIES, NLI, SIZES, TASKS, UPOS, Row, load, problems, rows, source_of
from adapterstilts.lab.supertags import CATEGORIES
from adapterstilts.lab.tasks.problems import Bitext, Choice, Pair, Problem, Reading, Tagged
from adapterstilts.tasks.catalogue import TASKS as CATALOGUE
from adapterstilts.tasks.columns import field_value, needed_columns

SPLITS = [(task, split) for task in TASKS for split in TASKS[task].sizes]
SPOKEN = (SOURCE, "qob", "qoc")
#: SHA-256 of the first 200 rows of each split, in three languages.
HASHES = {
    "anli": "eb6276c7c8d3092e",
    "mnli": "489a02f250b62c2b",
    "qqp": "36faa4916b3fc101",
    "squad": "5aead7b53be9c52e",
    "squad2": "af568f2514dbfa7d",
    "hellaswag": "f3734fe4ae1a4a3d",
    "ccg": "ca8eec6ffdaef1ac",
    "cosmosqa": "545b5d01848749c1",
    "csqa": "ca02725eb11b2c74",
    "siqa": "8098ba9e574a89c6",
    "xnli": "fb66c2a7e1421b33",
    "pawsx": "f491bbf702de1c42",
    "udpos": "035e2a56b97556e6",
    "panx": "928459ed47965341",
    "xquad": "f15f71e9e0083274",
    "mlqa": "5a415fc457b108db",
    "tydiqa": "4a6b86f9340cfb5b",
    "xcopa": "a62604b1bb422877",
    "bucc": "048ec44680e41e33",
    "tatoeba": "602a4d9122b823cf",
}


def first(task: str, split: str, language: str = SOURCE, count: int = 200) -> list[Row]:
    return rows(task, language, split, count)


def spoken(task: str) -> tuple[str, ...]:
    return (SOURCE,) if task == "ccg" else SPOKEN


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_gives_the_same_rows(task: str) -> None:
    digest = hashlib.sha256()
    for split in TASKS[task].sizes:
        for language in spoken(task):
            digest.update(json.dumps(first(task, split, language), ensure_ascii=False, sort_keys=True).encode())
    assert digest.hexdigest()[:16] == HASHES[task]


@pytest.mark.parametrize("task", TASKS)
def test_the_catalogue_s_columns_are_there(task: str) -> None:
    spec = CATALOGUE[task]
    assert set(spec.sources) <= set(SIZES[task])
    for split, source in spec.sources.items():
        row = first(task, split, count=1)[0]
        for field in spec.fields:
            column = source.columns[field]
            assert set(needed_columns(column)) <= set(row)
            value = field_value(column, row, {})
            assert value is not None
            if field == "choices":
                assert len(value) == spec.choices


def test_every_task_of_the_catalogue_is_in_the_lab() -> None:
    elsewhere = {"mlm"}  # its text is the user's
    elsewhere |= {"copa", "mlqa_pairs", "bucc_pools", "lareqa", "mewslix"}  # other rows of tasks that the lab has
    assert set(TASKS) == set(CATALOGUE) - elsewhere


def test_columns_of_rows() -> None:
    columns = {task: set(first(task, next(iter(TASKS[task].sizes)), count=1)[0]) for task in TASKS}
    assert columns["mnli"] == columns["anli"] == {"premise", "hypothesis", "label"}
    assert columns["xnli"] == {"sentence1", "sentence2", "gold_label"}
    assert columns["qqp"] == {"question1", "question2", "label"}
    assert columns["squad"] == columns["tydiqa"] == {"id", "title", "context", "question", "answers"}
    assert columns["hellaswag"] == {"ind", "ctx", "endings", "label"}
    assert columns["cosmosqa"] == {"id", "context", "question", "answer0", "answer1", "answer2", "answer3", "label"}
    assert columns["csqa"] == {"id", "question", "choices", "answerKey"}
    assert columns["siqa"] == {"context", "question", "answerA", "answerB", "answerC", "label"}
    assert columns["xcopa"] == {"premise", "choice1", "choice2", "question", "idx", "label"}
    assert columns["panx"] == {"tokens", "ner_tags", "langs"}
    assert columns["bucc"] == {"source_sentence", "target_sentence", "source_lang", "target_lang"}


LABELS: dict[str, tuple[str, set]] = {
    "mnli": ("label", {0, 1, 2}), "anli": ("label", {0, 1, 2}), "xnli": ("gold_label", set(NLI)),
    "qqp": ("label", {0, 1}), "pawsx": ("label", {"0", "1"}), "hellaswag": ("label", set("0123")),
    "cosmosqa": ("label", {0, 1, 2, 3}), "csqa": ("answerKey", set("ABCDE")), "siqa": ("label", set("123")),
    "xcopa": ("label", {0, 1}),
}  # fmt: skip


@pytest.mark.parametrize("task", LABELS)
def test_labels_and_places_of_right_choices_are_even(task: str) -> None:
    column, labels = LABELS[task]
    split = next(iter(TASKS[task].sizes))
    found = rows(task, SOURCE, split, 1500)
    counts = Counter(row[column] for row in found)
    assert set(counts) == labels
    for count in counts.values():
        assert abs(count / len(found) - 1 / len(labels)) < 0.03


@pytest.mark.parametrize(("task", "split"), SPLITS)
def test_rows_of_languages_are_translations(task: str, split: str) -> None:
    tables = [first(task, split, language)[:40] for language in spoken(task)]
    untranslated = {"label", "gold_label", "answerKey", "idx", "ind"}
    for said in zip(*tables, strict=True):
        assert len({json.dumps({key: row[key] for key in row if key in untranslated}) for row in said}) == 1
        assert len({tuple(row) for row in said}) == 1
    if len(tables) > 1 and task not in ("bucc", "tatoeba"):
        texts = [{value for row in table for value in row.values() if isinstance(value, str)} for table in tables]
        known = texts[0] & texts[1]
        assert all(len(value) <= 13 or value in {"entailment", "contradiction"} for value in known), known


@pytest.mark.parametrize("task", ["squad", "squad2", "mlqa", "tydiqa", "xquad"])
@pytest.mark.parametrize("language", ["qaa", "qba", "qob", "qoc", "qod"])
def test_answers_stand_where_they_are_said_to(task: str, language: str) -> None:
    without = 0
    split = "test" if "test" in TASKS[task].sizes else "validation"
    for row in first(task, split, language):
        texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
        assert len(texts) == len(starts) <= 1
        without += not texts
        for text, start in zip(texts, starts, strict=True):
            assert text
            assert text == text.strip()
            assert row["context"][start : start + len(text)] == text
            assert "." not in text
    assert (without > 30) == (task == "squad2")


def test_tags_stand_beside_tokens() -> None:
    for task, column, labels in (
        ("ccg", "tags", CATEGORIES), ("udpos", "pos_tags", UPOS), ("panx", "ner_tags", ENTITIES),
    ):  # fmt: skip
        used = Counter()
        for row in first(task, "train", count=1000):
            assert len(row["tokens"]) == len(row[column])
            assert all(0 <= tag < len(labels) for tag in row[column])
            used.update(row[column])
        names = {labels[tag] for tag in used}
        if task == "panx":
            assert names == set(ENTITIES) - {"I-LOC"}  # the names of towns are one word
        if task == "udpos":
            assert names == {
                "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT",
                "SCONJ", "VERB",
            }  # fmt: skip


def test_names_tell_nothing_about_their_kind() -> None:
    """Any name may be a person's, a town's or an organisation's."""
    kinds: dict[str, set[str]] = {}
    for row in first("panx", "train", count=2000):
        for token, tag in zip(row["tokens"], row["ner_tags"], strict=True):
            if ENTITIES[tag].startswith("B-"):
                kinds.setdefault(token, set()).add(ENTITIES[tag])
    towns = [found for found in kinds.values() if "B-LOC" in found]
    assert len(towns) >= 28
    assert all("B-PER" in found for found in towns)


def meanings(problem: Problem) -> Iterator[Hashable]:
    """Yield what may be in one part of the data only."""
    if isinstance(problem, Pair):
        yield frozenset((problem.first, problem.second))
    elif isinstance(problem, Choice):
        yield problem.context, problem.question, frozenset(problem.choices)
        if not problem.context:  # a fact
            yield problem.question, problem.choices[problem.right]
    elif isinstance(problem, Reading):
        yield problem.context, problem.question
    else:
        assert isinstance(problem, (Tagged, Bitext))
        yield problem.meaning


FAMILIES = [
    ("mnli", "xnli", "anli"), ("qqp",), ("pawsx",), ("squad", "squad2", "xquad", "mlqa", "tydiqa"), ("hellaswag",),
    ("cosmosqa",), ("csqa",), ("siqa", "xcopa"), ("udpos", "ccg", "panx"), ("bucc",), ("tatoeba",),
]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family[0])
def test_parts_have_no_meaning_in_common(family: tuple[str, ...]) -> None:
    """Also where one task is trained on and another is evaluated."""
    assert {task for tasks in FAMILIES for task in tasks} == set(TASKS)
    count = 200 if family[0] in ("squad", "udpos", "hellaswag", "cosmosqa") else 1000
    parts: dict[str, set[Hashable]] = {}
    for task in family:
        for split in TASKS[task].sizes:
            for problem in problems(task, split, count):
                parts.setdefault(split, set()).update(meanings(problem))
    for split, found in parts.items():
        for other in parts:
            assert split == other or not found & parts[other], (split, other)


def test_hypotheses_are_in_one_part() -> None:
    parts = [{row["hypothesis"] for row in first("mnli", split, count=600)} for split in ("train", "validation")]
    parts.append({row["sentence2"] for row in first("xnli", "test")})
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]


def test_problems_are_not_repeated() -> None:
    for task in ("mnli", "squad", "hellaswag", "cosmosqa", "pawsx", "udpos"):
        found = problems(task, "train", 200)
        assert len(set(found)) == len(found)


def test_sizes_have_xtreme_s_proportions() -> None:
    assert SIZES["tydiqa"]["train"] == min(sizes["train"] for sizes in SIZES.values() if "train" in sizes)
    for task, split in (("tydiqa", "train"), ("xnli", "test"), ("csqa", "validation")):
        assert len(rows(task, SOURCE, split)) == SIZES[task][split]


def test_rows_come_one_by_one() -> None:
    assert rows("xcopa", SOURCE, "test", 5) == rows("xcopa", SOURCE, "test")[:5]


def test_bitext_points_to_the_source_language() -> None:
    said = first("tatoeba", "test", "qob", 60)
    here = first("tatoeba", "test", SOURCE, 60)
    assert [row["target_sentence"] for row in said] == [row["source_sentence"] for row in here]
    assert len({row["target_sentence"] for row in said}) == len(said)
    assert said[3]["source_lang"] == "qob-tatoeba-test-3"
    assert said[3]["target_lang"] == "qaa-tatoeba-test-3"


def test_targets_train_on_the_rows_of_others() -> None:
    assert source_of("xnli", "train") == ("mnli", "train")
    assert source_of("xquad", "validation") == ("squad", "validation")
    assert rows("mlqa", SOURCE, "train", 3) == rows("squad", SOURCE, "train", 3)


def test_a_first_question_without_an_answer_leaves_answers_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    said = rows("squad2", SOURCE, "validation", 12)
    said.sort(key=lambda row: len(row["answers"]["text"]))
    assert not said[0]["answers"]["text"]
    assert said[-1]["answers"]["text"]
    monkeypatch.setattr(lab_rows, "rows", lambda *_: said)
    made = lab_rows._made("squad2", LANGUAGES[SOURCE], "validation")
    assert made["answers"] == [row["answers"] for row in said]


def test_loaded_rows_have_the_hub_s_labels() -> None:
    assert load("mnli", SOURCE, "validation").features["label"].names == list(NLI)
    assert load("udpos", "qob", "test").features["pos_tags"].feature.names == list(UPOS)
    assert load("xcopa", SOURCE, "test").features["label"].names == ["choice1", "choice2"]
    assert load("xnli", SOURCE, "test").features["gold_label"].dtype == "string"


def test_what_the_lab_does_not_have() -> None:
    with pytest.raises(UnknownNameError, match="task of the lab"):
        rows("squat", SOURCE, "train")
    with pytest.raises(UnknownNameError, match="language of the lab"):
        rows("mnli", "qqq", "train", 1)
    with pytest.raises(DataUnavailableError, match="'mnli' has no split 'test'"):
        rows("mnli", SOURCE, "test")
    with pytest.raises(DataUnavailableError, match="'ccg' has rows in the source language only"):
        rows("ccg", "qab", "train", 1)
    assert set(LANGUAGES) >= set(SPOKEN)
