"""Tagging: every word gets its tag once, at its first sub-token, whatever the lengths of sentences and words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from toy_encoding import SHORT
from transformers import BertTokenizerFast
from transformers import PreTrainedTokenizerFast as Tokenizer

from adapterstilts.data.rows import to_table
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded, EncodingSettings
from adapterstilts.tasks.formats.base import IGNORED_LABEL
from adapterstilts.tasks.formats.tagging import NO_WORD, place_words

PANX = get_task("panx")
WORDS = [
    "the",
    "house",
    "猫看见",
    "Miller",
    "большой",
    "a",
    "unbelievable",
    "แมวเห็น",
    "x",
    "New York",
    "，",
    "\u200b",
    "",
    "中",
]

# Rows


def sentence(words: Sequence[str], tags: Sequence[int] | None = None) -> dict[str, Any]:
    """A row of a tagging task; without tags, they follow the word numbers so that neighbours differ."""
    numbers = [number % 7 for number in range(len(words))] if tags is None else list(tags)
    return {"id": "s", "language": "en", "tokens": list(words), "tags": numbers}


# Logits that say what the labels say


def sure_tags(encoded: Encoded, size: int) -> list[np.ndarray]:
    """Right where there is a label, misleading elsewhere."""
    generator = np.random.default_rng(0)
    logits = []
    for feature in encoded.features:
        values = generator.normal(size=(len(feature["labels"]), size)).astype(np.float32) * 20
        for position, label in enumerate(feature["labels"]):
            if label != IGNORED_LABEL:
                values[position] = np.eye(size)[label]
        logits.append(values)
    return logits


def tags_of(encoded: Encoded, rows: Dataset, settings: EncodingSettings) -> list[list[int]]:
    answers = FORMATS["tagging"].decode(PANX, rows, encoded, sure_tags(encoded, 7), settings)
    return [[PANX.labels.index(tag) for tag in answer.value] for answer in answers]


# Tags there and back


def first_tokens(tokenizer: Tokenizer, words: Sequence[str]) -> list[int]:
    """The id of each word's first sub-token when nothing is cut; words without tokens are unknown ones."""
    silent = {word for word in words if not tokenizer(word, add_special_tokens=False)["input_ids"]}
    encoding = tokenizer(
        [tokenizer.unk_token if word in silent else word for word in words],
        is_split_into_words=True,
        add_special_tokens=False,
    )
    numbers = encoding.word_ids()
    return [encoding["input_ids"][numbers.index(number)] for number in range(len(words))]


def check_tagging(tokenizer: Tokenizer, sentences: list[Sequence[str]], settings: EncodingSettings) -> Encoded:
    """Encode sentences, and compare with what an encoding without limits says."""
    rows = [sentence(words) for words in sentences]
    table = to_table(PANX, rows)
    encoded = FORMATS["tagging"].encode(PANX, table, tokenizer, settings, training=True)
    placed: list[dict[int, int]] = [{} for _ in rows]
    for feature in encoded.features:
        assert len(feature["input_ids"]) == len(feature["labels"]) == len(feature["words"]) <= settings.max_length
        for token, label, word in zip(feature["input_ids"], feature["labels"], feature["words"], strict=True):
            if word == NO_WORD:
                assert label == IGNORED_LABEL
                continue
            example = feature["example"]
            assert word not in placed[example]  # read once
            assert label == rows[example]["tags"][word]
            placed[example][word] = token
    for words, tokens in zip(sentences, placed, strict=True):
        assert [tokens[number] for number in range(len(words))] == first_tokens(tokenizer, words)
    assert tags_of(encoded, table, settings) == [row["tags"] for row in rows]
    return encoded


def test_tags_there_and_back(toy_tokenizer: Tokenizer) -> None:
    encoded = check_tagging(toy_tokenizer, [["the", "cat"], ["Miller"], WORDS], EncodingSettings())
    assert encoded.report == {"words without tokens": 2}


def test_the_first_sub_token_carries_the_tag_even_where_it_is_only_the_mark_of_a_word(toy_tokenizer: Tokenizer) -> None:
    encoded = check_tagging(toy_tokenizer, [["猫看见", "the"]], EncodingSettings())
    assert toy_tokenizer.convert_ids_to_tokens(encoded.features[0]["input_ids"]) == [
        *("<s>", "▁", "猫", "看", "见", "▁the", "</s>")
    ]
    assert encoded.features[0]["words"] == [NO_WORD, 0, NO_WORD, NO_WORD, NO_WORD, 1, NO_WORD]


@pytest.mark.parametrize("silent", ["\u200b", "\u200d\ufeff", "", " "])
def test_a_word_without_tokens_is_tagged(silent: str, toy_tokenizer: Tokenizer) -> None:
    encoded = check_tagging(toy_tokenizer, [["the", silent, "cat"], [silent], [silent, silent, "the"]], SHORT)
    assert encoded.report == {"words without tokens": 4}
    assert encoded.features[1]["input_ids"] == [0, toy_tokenizer.unk_token_id, 2]


def test_long_sentences_are_tagged_to_their_end(toy_tokenizer: Tokenizer) -> None:
    encoded = check_tagging(toy_tokenizer, [WORDS * 30, ["the"] * 500, ["a"]], SHORT)
    assert encoded.report == {"words without tokens": 60, "sentences in windows": 2}
    room, stride = 22, 6
    assert encoded.features["example"][:].count(1) == 1 + math.ceil((500 - room) / (room - stride))
    assert encoded.features["example"][:].count(2) == 1


def test_a_word_longer_than_a_window(toy_tokenizer: Tokenizer) -> None:
    encoded = check_tagging(toy_tokenizer, [["the", "q" * 100, "cat"]], SHORT)
    assert len(encoded) > 5


def test_more_sentences_than_a_batch_keep_their_numbers(toy_tokenizer: Tokenizer) -> None:
    encoded = check_tagging(toy_tokenizer, [["the"] * (1 + number % 40) for number in range(1005)], SHORT)
    assert sorted(set(encoded.features["example"])) == list(range(1005))


@given(
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=60),
    max_length=st.integers(8, 40),
    stride=st.integers(0, 40),
)
def test_every_word_is_tagged_once_at_any_length(
    toy_tokenizer: Tokenizer, words: list[str], max_length: int, stride: int
) -> None:
    check_tagging(toy_tokenizer, [words, words[::-1]], EncodingSettings(max_length=max_length, doc_stride=stride))


def test_tagging_with_wordpieces(wordpiece: BertTokenizerFast) -> None:
    words = ["the", "cats", "abc", "-", "un", "house"]
    encoded = check_tagging(wordpiece, [words, words * 20], SHORT)
    assert encoded.features[0]["token_type_ids"] == [0] * len(encoded.features[0]["input_ids"])


def test_metric_inputs_of_tagging() -> None:
    table = to_table(PANX, [sentence(["the", "cat"], [0, 1])])
    assert FORMATS["tagging"].metric_inputs(PANX, table, [["O", "I-LOC"]]) == ([["O", "I-LOC"]], [["O", "B-PER"]])


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    room=st.integers(1, 20),
    share=st.floats(0, 0.9),
    special=st.booleans(),
)
def test_each_word_is_placed_where_its_context_is_best(
    lengths: list[int], room: int, share: float, special: bool
) -> None:
    """Against trying all windows: once, at the first sub-token, where the nearer edge is farthest away."""
    tokens = [number for number, length in enumerate(lengths) for _ in range(length)]
    step = max(1, room - int(share * room))
    cuts = [0]
    while cuts[-1] + room < len(tokens):
        cuts.append(cuts[-1] + step)
    edge: list[int | None] = [None] if special else []
    windows = [[*edge, *tokens[cut : cut + room], *edge] for cut in cuts]
    placed = place_words(windows, step)
    assert [len(window) for window in placed] == [len(window) for window in windows]
    position = 0
    for word, length in enumerate(lengths):
        rooms = {}
        for number, cut in enumerate(cuts):
            last = min(cut + room, len(tokens)) - 1
            if cut <= position <= last:
                rooms[number] = min(position - cut, last - position)
        best = max(rooms, key=lambda number: (rooms[number], -number))
        expected = [(best, position - cuts[best] + len(edge))]
        assert [(n, p) for n, window in enumerate(placed) for p, item in enumerate(window) if item == word] == expected
        position += length
