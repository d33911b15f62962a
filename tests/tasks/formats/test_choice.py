"""Classification and multiple choice: what is encoded and answered as the labels say is decoded to what was there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from toy_encoding import SHORT, ids_of
from transformers import BertTokenizerFast
from transformers import PreTrainedTokenizerFast as Tokenizer

from adapterstilts.data.rows import to_table
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, EncodingSettings
from adapterstilts.tasks.spec import TaskSpec

MNLI, HELLASWAG = get_task("mnli"), get_task("hellaswag")

# Rows


def pair(text: str, other: str, label: int) -> dict[str, Any]:
    return {"id": f"p{text}{other}", "language": "en", "text": text, "text_pair": other, "label": label}


def choice(text: str, choices: Sequence[str], label: int) -> dict[str, Any]:
    return {"id": text, "language": "en", "text": text, "choices": list(choices), "label": label}


def single_texts() -> TaskSpec:
    """Return MNLI as a task of single texts."""
    sources = {
        split: dataclasses.replace(source, columns={"text": "premise", "label": "label"})
        for split, source in MNLI.sources.items()
    }
    return dataclasses.replace(MNLI, sources=sources)


# Logits that say what the labels say


def sure(labels: Sequence[int], size: int) -> list[np.ndarray]:
    return [np.eye(size, dtype=np.float32)[label] * 10 for label in labels]


# There and back


def test_classification_there_and_back(toy_tokenizer: Tokenizer) -> None:
    rows = to_table(MNLI, [pair("the cat", "never", 2), pair("猫看见", "", 0), pair("", "indeed", 1)])
    form = FORMATS["classification"]
    encoded = form.encode(MNLI, rows, toy_tokenizer, EncodingSettings(), training=True)
    assert encoded.report == {}
    for feature, row in zip(encoded.features, rows, strict=True):
        assert feature["input_ids"] == ids_of(toy_tokenizer, row["text"], row["text_pair"])
    assert encoded.features["example"][:] == [0, 1, 2]
    answers = form.decode(MNLI, rows, encoded, sure([2, 0, 1], 3), EncodingSettings())
    assert [answer.value for answer in answers] == ["contradiction", "entailment", "neutral"]
    assert [answer.score for answer in answers] == pytest.approx([1 / (1 + 2 * math.exp(-10))] * 3)
    assert form.metric_inputs(MNLI, rows, [answer.value for answer in answers]) == ([2, 0, 1], [2, 0, 1])


def test_long_pairs_are_cut_and_counted(toy_tokenizer: Tokenizer) -> None:
    rows = to_table(MNLI, [pair("the " * 200, "never", 0), pair("the", "never", 0), pair("the", "never " * 200, 0)])
    encoded = FORMATS["classification"].encode(MNLI, rows, toy_tokenizer, SHORT, training=False)
    assert [len(ids) for ids in encoded.features["input_ids"]] == [24, 6, 24]
    assert encoded.report == {"texts cut": 2}
    never = toy_tokenizer.convert_tokens_to_ids("▁never")
    assert encoded.features["input_ids"][0].count(never) == 1  # the longer text is cut, not the short one after it


def test_more_rows_than_a_batch_keep_their_numbers(toy_tokenizer: Tokenizer) -> None:
    rows = to_table(MNLI, [pair("the", f"{number}", number % 3) for number in range(1005)])
    encoded = FORMATS["classification"].encode(MNLI, rows, toy_tokenizer, EncodingSettings(), training=True)
    assert encoded.features["example"][:] == list(range(1005))
    assert encoded.features["labels"][:] == [number % 3 for number in range(1005)]
    assert encoded.features[1004]["input_ids"] == ids_of(toy_tokenizer, "the", "1004")


def test_multiple_choice_there_and_back(toy_tokenizer: Tokenizer) -> None:
    items = [("the cat", ("sees", "never sees", "", "house"), 2), ("猫", ("看见", "大", "小", "树"), 0)]
    rows = to_table(HELLASWAG, [choice(*item) for item in items])
    form = FORMATS["multiple_choice"]
    encoded = form.encode(HELLASWAG, rows, toy_tokenizer, EncodingSettings(), training=True)
    for feature, (text, choices, _) in zip(encoded.features, items, strict=True):
        assert feature["input_ids"] == [ids_of(toy_tokenizer, text, other) for other in choices]
    answers = form.decode(HELLASWAG, rows, encoded, sure([2, 0], 4), EncodingSettings())
    assert [answer.value for answer in answers] == [2, 0]
    assert form.metric_inputs(HELLASWAG, rows, [2, 1]) == ([2, 1], [2, 0])


def test_token_types_are_kept_where_the_model_reads_them(wordpiece: BertTokenizerFast) -> None:
    rows = to_table(MNLI, [pair("the cats", "never", 0)])
    encoded = FORMATS["classification"].encode(MNLI, rows, wordpiece, EncodingSettings(), training=True)
    assert encoded.features[0]["token_type_ids"] == [0, 0, 0, 0, 0, 1, 1]
    choices = to_table(HELLASWAG, [choice("the", ("a", "b", "c", "cat"), 0)])
    encoded = FORMATS["multiple_choice"].encode(HELLASWAG, choices, wordpiece, EncodingSettings(), training=True)
    assert encoded.features[0]["token_type_ids"] == [[0, 0, 0, 1, 1]] * 4


def test_a_single_text_is_no_pair(toy_tokenizer: Tokenizer) -> None:
    task = single_texts()
    assert task.fields == ("text", "label")
    table = to_table(task, [{"id": "a", "language": "en", "text": "the cat sees", "label": 1}])
    assert table.column_names == ["id", "language", "text", "label"]
    encoded = FORMATS["classification"].encode(task, table, toy_tokenizer, EncodingSettings(), training=True)
    assert encoded.features["input_ids"][0] == toy_tokenizer("the cat sees")["input_ids"]
    assert encoded.features["input_ids"][0].count(toy_tokenizer.sep_token_id) == 1
    assert FORMATS["classification"].metric_inputs(task, table, ["neutral"]) == ([1], [1])
