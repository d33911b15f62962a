"""Formats: what is encoded, answered as the labels say and decoded, is what was there; whatever the lengths."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from adapterstilts.data.collate import Collator, feature_length
from adapterstilts.data.rows import to_table
from adapterstilts.errors import SettingsError
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded, EncodingSettings, HeadSpec
from adapterstilts.tasks.formats.base import IGNORED_LABEL, batches
from adapterstilts.tasks.formats.tagging import NO_WORD, place_words

MNLI, HELLASWAG, SQUAD, PANX = (get_task(name) for name in ("mnli", "hellaswag", "squad", "panx"))
MAYBE_SQUAD = dataclasses.replace(SQUAD, unanswerable=True)
SHORT = EncodingSettings(max_length=24, doc_stride=6)
OUTSIDE = -1

Tokenizer = PreTrainedTokenizerFast


@pytest.fixture(scope="module")
def wordpiece() -> BertTokenizerFast:
    """A tokenizer in the manner of BERT, with token types."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, normalizers, pre_tokenizers, processors

    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat ##s sees a b c ##b ##c house Alpha never".split()
    backend = Backend(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return BertTokenizerFast(tokenizer_object=backend, do_lower_case=False, model_max_length=128)


# Rows


def pair(text: str, other: str, label: int) -> dict[str, Any]:
    return {"id": f"p{text}{other}", "language": "en", "text": text, "text_pair": other, "label": label}


def choice(text: str, choices: Sequence[str], label: int) -> dict[str, Any]:
    return {"id": text, "language": "en", "text": text, "choices": list(choices), "label": label}


def span(
    context: str, answer: str | None, *, question: str = "Which name stands here ?", start: int | None = None
) -> Any:
    """A row of a span task; ``answer`` None for a question without one, ``start`` where it is not the first place."""
    answers: dict[str, list[Any]] = {"text": [], "answer_start": []}
    if answer is not None:
        answers = {"text": [answer], "answer_start": [context.index(answer) if start is None else start]}
    return {"id": "q", "language": "en", "question": question, "context": context, "answers": answers}


def sentence(words: Sequence[str], tags: Sequence[int] | None = None) -> dict[str, Any]:
    """A row of a tagging task; without tags, they follow the word numbers so that neighbours differ."""
    numbers = [number % 7 for number in range(len(words))] if tags is None else list(tags)
    return {"id": "s", "language": "en", "tokens": list(words), "tags": numbers}


# Logits that say what the labels say


def sure(labels: Sequence[int], size: int) -> list[np.ndarray]:
    return [np.eye(size, dtype=np.float32)[label] * 10 for label in labels]


def sure_spans(encoded: Encoded) -> list[np.ndarray]:
    logits = []
    for feature in encoded.features:
        values = np.zeros((2, len(feature["input_ids"])), dtype=np.float32)
        values[0, feature["start_positions"]] = values[1, feature["end_positions"]] = 10
        logits.append(values)
    return logits


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


# Settings and heads


def test_heads() -> None:
    names = ("entailment", "neutral", "contradiction")
    assert FORMATS["classification"].head(MNLI) == HeadSpec("classification", 3, names)
    assert FORMATS["multiple_choice"].head(HELLASWAG) == HeadSpec("multiple_choice", 4)
    assert FORMATS["span"].head(SQUAD) == HeadSpec("question_answering", 2)
    assert FORMATS["tagging"].head(PANX) == HeadSpec("tagging", 7, PANX.labels)
    assert {name: item.name for name, item in FORMATS.items()} == {name: name for name in FORMATS}


@pytest.mark.parametrize(("changes", "says"), [({"max_length": 7}, "leaves no room"), ({"doc_stride": -1}, "negative")])
def test_settings_out_of_range(changes: dict[str, int], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        EncodingSettings(**changes)


def test_windows_always_move_on() -> None:
    settings = EncodingSettings(max_length=100, doc_stride=30)
    assert [settings.stride(fixed) for fixed in (0, 40, 41, 90, 99, 100, 200)] == [30, 30, 29, 5, 0, 0, 0]


def test_batches_cover_all_positions() -> None:
    assert [list(run) for run in batches(5, 2)] == [[0, 1], [2, 3], [4]]
    assert batches(0) == []


# Classification and multiple choice


def ids_of(tokenizer: Tokenizer, text: str, other: str) -> list[int]:
    """A pair's ids; in lists, since the tokenizer takes an empty second text for none when it comes alone."""
    ids: list[list[int]] = tokenizer([text], [other])["input_ids"]
    return ids[0]


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


# Spans


def context_tokens(encoded: Encoded, example: int) -> list[list[tuple[int, int]]]:
    """Offsets of the context's tokens, by window of a row."""
    return [
        [pair for pair in zip(feature["offset_starts"], feature["offset_ends"], strict=True) if pair[1] != OUTSIDE]
        for feature in encoded.features
        if feature["example"] == example
    ]


FILLER = "the cat sees a big house and small tree near water today "


def test_spans_there_and_back(toy_tokenizer: Tokenizer) -> None:
    """The answer at every place of a long context, in texts with and without spaces."""
    words = (FILLER * 3).split()
    rows = [
        span(" ".join([*words[:place], "Alpha Berta", *words[place:]]), "Alpha Berta")
        for place in range(len(words) + 1)
    ]
    letters = "猫看见大房子和小树靠近水今天带着旧书在桌子上" * 3
    rows += [span(f"{letters[:place]}Gamma{letters[place:]}", "Gamma") for place in range(0, len(letters), 7)]
    rows += [span(letters, letters[place : place + 2], start=place) for place in range(0, len(letters) - 1, 5)]
    table = to_table(SQUAD, rows)
    form = FORMATS["span"]
    for settings in (SHORT, EncodingSettings(max_length=40, doc_stride=8), EncodingSettings()):
        encoded = form.encode(SQUAD, table, toy_tokenizer, settings, training=True)
        assert max(len(ids) for ids in encoded.features["input_ids"]) <= settings.max_length
        answers = form.decode(SQUAD, table, encoded, sure_spans(encoded), settings)
        assert [answer.value for answer in answers] == [row["answers"]["text"][0] for row in rows]
        predictions, references = form.metric_inputs(SQUAD, table, [answer.value for answer in answers])
        assert [item["prediction_text"] for item in predictions] == [item["answers"]["text"][0] for item in references]


@pytest.mark.parametrize("settings", [SHORT, EncodingSettings(max_length=24, doc_stride=0), EncodingSettings()])
def test_windows_hold_every_token_of_the_context(toy_tokenizer: Tokenizer, settings: EncodingSettings) -> None:
    contexts = [FILLER * 10, "猫看见大房子" * 20, "Alpha", FILLER + "\n\n  " + FILLER]
    table = to_table(SQUAD, [span(context, context.split()[0]) for context in contexts])
    encoded = FORMATS["span"].encode(SQUAD, table, toy_tokenizer, settings, training=False)
    for example, context in enumerate(contexts):
        full = toy_tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        windows = context_tokens(encoded, example)
        joined = list(windows[0])
        for window in windows[1:]:
            overlap = next(size for size in range(len(window), -1, -1) if joined[len(joined) - size :] == window[:size])
            assert overlap == (0 if settings.doc_stride == 0 else settings.stride(4 + settings.question_room))
            joined += window[overlap:]
        assert joined == full
    extra = sum(len(context_tokens(encoded, example)) - 1 for example in range(4))
    assert encoded.report.get("windows beyond the first", 0) == extra


def test_an_answer_that_no_window_holds_points_to_the_first_token(toy_tokenizer: Tokenizer) -> None:
    settings = EncodingSettings(max_length=24, doc_stride=0)
    context = FILLER * 5
    table = to_table(SQUAD, [span(context, context[:200])])
    encoded = FORMATS["span"].encode(SQUAD, table, toy_tokenizer, settings, training=True)
    assert len(encoded) > 3
    assert set(encoded.features["start_positions"]) == set(encoded.features["end_positions"]) == {0}


def test_an_answer_inside_a_token_takes_the_whole_token(toy_tokenizer: Tokenizer) -> None:
    table = to_table(SQUAD, [span("the Alpha tree", "lph"), span("the  Alpha tree", "  Alpha ", start=3)])
    encoded = FORMATS["span"].encode(SQUAD, table, toy_tokenizer, EncodingSettings(), training=True)
    answers = FORMATS["span"].decode(SQUAD, table, encoded, sure_spans(encoded), EncodingSettings())
    assert [answer.value for answer in answers] == ["Alpha", "Alpha"]


def test_a_question_of_500_words_is_cut(toy_tokenizer: Tokenizer) -> None:
    table = to_table(SQUAD, [span("the Alpha", "Alpha", question="  cat " * 500), span("the Berta", "Berta")])
    encoded = FORMATS["span"].encode(SQUAD, table, toy_tokenizer, EncodingSettings(), training=True)
    assert encoded.report == {"questions cut": 1}
    ids = encoded.features[0]["input_ids"]
    question = toy_tokenizer("cat " * 31, add_special_tokens=False)["input_ids"]
    assert len(question) == EncodingSettings().question_room == 62
    assert ids[1:63] == question
    assert toy_tokenizer.decode(ids[63:], skip_special_tokens=True) == "the Alpha"
    answers = FORMATS["span"].decode(SQUAD, table, encoded, sure_spans(encoded), EncodingSettings())
    assert [answer.value for answer in answers] == ["Alpha", "Berta"]


def test_a_context_of_20000_words_is_read_to_its_end(toy_tokenizer: Tokenizer) -> None:
    words = ["the"] * 20_000
    words[19_990] = "Alpha"
    table = to_table(SQUAD, [span(" ".join(words), "Alpha")])
    encoded = FORMATS["span"].encode(SQUAD, table, toy_tokenizer, EncodingSettings(), training=True)
    room = 128 - 4 - 5  # special tokens, question
    step = room - EncodingSettings().stride(4 + EncodingSettings().question_room)
    assert len(encoded) == 1 + math.ceil((20_000 - room) / step)
    answers = FORMATS["span"].decode(SQUAD, table, encoded, sure_spans(encoded), EncodingSettings())
    assert answers[0].value == "Alpha"


def test_an_empty_question(toy_tokenizer: Tokenizer) -> None:
    table = to_table(SQUAD, [span("the Alpha", "Alpha", question=""), span("the Berta", "Berta", question="   ")])
    encoded = FORMATS["span"].encode(SQUAD, table, toy_tokenizer, EncodingSettings(), training=True)
    assert encoded.features[0]["input_ids"] == ids_of(toy_tokenizer, "", "the Alpha")
    answers = FORMATS["span"].decode(SQUAD, table, encoded, sure_spans(encoded), EncodingSettings())
    assert [answer.value for answer in answers] == ["Alpha", "Berta"]


def test_an_answer_that_is_not_in_its_context(toy_tokenizer: Tokenizer) -> None:
    """Nothing can be learnt from it, but it is scored."""
    table = to_table(
        SQUAD,
        [
            span("the Alpha", "Berta", start=4),
            span("the Alpha", "Alpha", start=3),
            span("the Alpha", "Alpha"),
            span("the Alpha", " ", start=3),
            span("the Alpha", "Alpha", start=400),
        ],
    )
    form = FORMATS["span"]
    training = form.encode(SQUAD, table, toy_tokenizer, EncodingSettings(), training=True)
    assert training.features["example"][:] == [2]
    assert training.report == {"answer not in context": 4}
    evaluation = form.encode(SQUAD, table, toy_tokenizer, EncodingSettings(), training=False)
    assert evaluation.features["example"][:] == [0, 1, 2, 3, 4]
    assert evaluation.report == {}
    assert len(form.decode(SQUAD, table, evaluation, sure_spans(evaluation), EncodingSettings())) == 5


def test_no_row_that_can_be_learnt_from(toy_tokenizer: Tokenizer) -> None:
    table = to_table(SQUAD, [span("the Alpha", "Berta", start=4)])
    encoded = FORMATS["span"].encode(SQUAD, table, toy_tokenizer, EncodingSettings(), training=True)
    assert len(encoded) == 0
    assert encoded.report == {"answer not in context": 1}


def test_the_shortest_window_has_room_for_a_context(toy_tokenizer: Tokenizer) -> None:
    table = to_table(SQUAD, [span("the Alpha the Berta", "Berta", question="the cat the cat the cat")])
    settings = EncodingSettings(max_length=8)
    encoded = FORMATS["span"].encode(SQUAD, table, toy_tokenizer, settings, training=True)
    assert max(len(ids) for ids in encoded.features["input_ids"]) <= 8
    windows = context_tokens(encoded, 0)
    full = toy_tokenizer("the Alpha the Berta", add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    assert sorted({token for window in windows for token in window}) == sorted(full)
    with pytest.raises(SettingsError, match="--max-length 7 leaves no room for text; give at least 8"):
        EncodingSettings(max_length=7)


def one_window(context: str, tokens: int | None = None) -> Encoded:
    """A window with one token a letter of ``context`` after two that are not of it."""
    count = len(context) if tokens is None else tokens
    starts, ends = [OUTSIDE, OUTSIDE, *range(count)], [OUTSIDE, OUTSIDE, *range(1, count + 1)]
    return Encoded(Dataset.from_dict({"example": [0], "offset_starts": [starts], "offset_ends": [ends]}))


def decoded(
    context: str, encoded: Encoded, logits: list[np.ndarray], *, task: Any = SQUAD, **settings: int
) -> tuple[str, float]:
    rows = to_table(SQUAD, [span(context, None)])
    (answer,) = FORMATS["span"].decode(task, rows, encoded, logits, EncodingSettings(**settings))
    return answer.value, answer.score


def test_answers_are_not_too_long() -> None:
    context = "abcdefghijklmnopqrstuvwxyz"
    logits = np.zeros((2, 28), dtype=np.float32)
    logits[0, 2 + 3] = 9  # start at d
    logits[1, 2 + 9], logits[1, 2 + 8] = 9, 5  # end at j, or else at i
    for longest, expected in ((30, "defghij"), (7, "defghij"), (6, "defghi")):
        assert decoded(context, one_window(context), [logits], max_answer_length=longest)[0] == expected


def test_answers_run_forwards_and_lie_in_the_context() -> None:
    context = "abcdefgh"
    logits = np.zeros((2, 10), dtype=np.float32)
    logits[0, 0] = logits[1, 0] = logits[0, 1] = logits[1, 1] = 50  # outside
    logits[0, 2 + 5], logits[1, 2 + 2] = 9, 8  # the end before the start
    logits[1, 2 + 6] = 7
    assert decoded(context, one_window(context), [logits])[0] == "fg"


def test_padding_after_the_window_is_not_read() -> None:
    logits = np.zeros((2, 40), dtype=np.float32)
    logits[:, 20:] = 50
    logits[0, 2 + 1] = logits[1, 2 + 1] = 5
    assert decoded("abcdefgh", one_window("abcdefgh"), [logits])[0] == "b"


def test_no_answer_where_a_task_allows_it(toy_tokenizer: Tokenizer) -> None:
    rows = [span("the Alpha tree", None), span("the Alpha tree", "Alpha"), span(FILLER * 5 + "Alpha", "Alpha")]
    table = to_table(MAYBE_SQUAD, rows)
    form = FORMATS["span"]
    encoded = form.encode(MAYBE_SQUAD, table, toy_tokenizer, SHORT, training=True)
    assert encoded.features["example"][:2] == [0, 1]  # a question without an answer is learnt from
    assert (encoded.features[0]["start_positions"], encoded.features[0]["end_positions"]) == (0, 0)
    answers = form.decode(MAYBE_SQUAD, table, encoded, sure_spans(encoded), SHORT)
    assert [answer.value for answer in answers] == ["", "Alpha", "Alpha"]
    # The same logits for a task whose questions all have answers: some span must be given.
    assert form.decode(SQUAD, table, encoded, sure_spans(encoded), SHORT)[0].value != ""


def test_nothing_wins_only_with_a_higher_score() -> None:
    context = "abcd"
    logits = np.zeros((2, 6), dtype=np.float32)
    logits[0, 3] = logits[1, 3] = 2.0
    for null, expected in ((1.9, "b"), (2.1, "")):
        logits[0, 0] = logits[1, 0] = null
        assert decoded(context, one_window(context), [logits], task=MAYBE_SQUAD)[0] == expected


def test_nothing_is_scored_by_the_window_that_believes_in_it_least() -> None:
    """As in the official script: a window that holds the answer outweighs all those that do not."""
    window = one_window("abcd").features[0]
    two = Encoded(Dataset.from_list([window, window]))
    empty, full = np.zeros((2, 6), dtype=np.float32), np.zeros((2, 6), dtype=np.float32)
    empty[:, 0] = 9
    full[:, 3], full[:, 0] = 3, -5
    for order in ([empty, full], [full, empty]):
        assert decoded("abcd", two, order, task=MAYBE_SQUAD)[0] == "b"


def test_a_window_without_context_has_no_answer() -> None:
    encoded = Encoded(
        Dataset.from_dict({"example": [0], "offset_starts": [[OUTSIDE] * 3], "offset_ends": [[OUTSIDE] * 3]})
    )
    assert decoded("abc", encoded, [np.ones((2, 3), dtype=np.float32)]) == ("", 1.0)


def slow_search(
    windows: list[tuple[list[int], np.ndarray]], n_best: int, longest: int, null: bool
) -> tuple[tuple[int, int] | None, float]:
    """The best span over all windows by trying all, and its share among the ``n_best`` best.

    Args:
        windows: the first letter of each window's tokens, and its logits without those of outside tokens.
    """
    found = []
    for letters, logits in windows:
        starts = sorted(range(len(letters)), key=lambda index: -logits[0][index])[:n_best]
        ends = sorted(range(len(letters)), key=lambda index: -logits[1][index])[:n_best]
        for first in range(len(letters)):
            for last in range(first, len(letters)):
                if last - first < longest and first in starts and last in ends:
                    found.append((logits[0][first] + logits[1][last], letters[first], letters[last] + 1))
    found.sort(key=lambda item: (-item[0], item[1], item[2]))
    found = found[:n_best]
    scores = [item[0] for item in found]
    spans: list[tuple[int, int] | None] = [item[1:] for item in found]
    if null or not found:
        scores.append(0.0 if not null else min(float(logits[2][0]) for _, logits in windows))
        spans.append(None)
    best = max(range(len(scores)), key=lambda index: (scores[index], -index))
    return spans[best], float(np.exp(scores[best]) / np.exp(scores).sum())


@given(
    sizes=st.lists(st.integers(1, 14), min_size=1, max_size=3),
    n_best=st.integers(1, 30),
    longest=st.integers(1, 16),
    unanswerable=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_the_search_finds_what_trying_all_finds(
    sizes: list[int], n_best: int, longest: int, unanswerable: bool, seed: int
) -> None:
    context = "abcdefghijklmnopqrstuvwxyz"
    generator = np.random.default_rng(seed)
    features, logits, windows = [], [], []
    for size in sizes:
        offset = int(generator.integers(0, 10))
        letters = list(range(offset, offset + size))
        values = (generator.normal(size=(2, size + 2)) * 3).astype(np.float32)  # distinct, so there are no ties
        features.append(
            {
                "example": 0,
                "offset_starts": [OUTSIDE, *letters, OUTSIDE],
                "offset_ends": [OUTSIDE, *(letter + 1 for letter in letters), OUTSIDE],
            }
        )
        logits.append(values)
        inner = values[:, 1:-1].astype(np.float64)
        windows.append((letters, [inner[0], inner[1], [float(values[0, 0]) + float(values[1, 0])]]))
    expected, share = slow_search(windows, n_best, longest, unanswerable)  # type: ignore[arg-type]
    text, score = decoded(
        context,
        Encoded(Dataset.from_list(features)),
        logits,
        task=MAYBE_SQUAD if unanswerable else SQUAD,
        n_best=n_best,
        max_answer_length=longest,
    )
    assert text == ("" if expected is None else context[expected[0] : expected[1]])
    assert score == pytest.approx(share, rel=1e-4)


# Tagging

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


# Batches


def test_a_batch_is_padded_to_its_longest() -> None:
    collate = Collator(pad_token_id=1)
    batch = collate(
        [{"input_ids": [0, 5, 2], "labels": 2, "example": 0}, {"input_ids": [0, 2], "labels": 0, "example": 1}]
    )
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[0, 5, 2], [0, 2, 1]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
        "labels": [2, 0],
    }
    assert {tensor.dtype for tensor in batch.values()} == {torch.long}


def test_choices_are_padded_together_and_laid_one_after_the_other() -> None:
    collate = Collator(pad_token_id=1, pad_token_type_id=0)
    features = [
        {"input_ids": [[0, 5, 2], [0, 2]], "token_type_ids": [[0, 1, 1], [0, 1]], "labels": 1},
        {"input_ids": [[0, 2], [0, 6, 7, 2]], "token_type_ids": [[0, 0], [0, 0, 1, 1]], "labels": 0},
    ]
    batch = collate(features)
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[0, 5, 2, 1], [0, 2, 1, 1], [0, 2, 1, 1], [0, 6, 7, 2]],
        "attention_mask": [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]],
        "token_type_ids": [[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]],
        "labels": [1, 0],
    }
    assert [feature_length(feature) for feature in features] == [3, 4]


def test_tags_are_padded_with_what_the_loss_ignores() -> None:
    batch = Collator(pad_token_id=1)(
        [{"input_ids": [0, 2], "labels": [-100, 3]}, {"input_ids": [0, 5, 2], "labels": [4, 5, 6]}]
    )
    assert batch["labels"].tolist() == [[-100, 3, -100], [4, 5, 6]]


def test_places_of_answers_are_not_padded() -> None:
    features = [
        {"input_ids": [0, 2], "start_positions": 1, "end_positions": 1, "offset_starts": [-1, 0]},
        {"input_ids": [0, 5, 2], "start_positions": 0, "end_positions": 2, "offset_starts": [-1, 0, 3]},
    ]
    batch = Collator(pad_token_id=1)(features)
    assert sorted(batch) == ["attention_mask", "end_positions", "input_ids", "start_positions"]
    assert (batch["start_positions"].tolist(), batch["end_positions"].tolist()) == ([1, 0], [1, 2])


def test_the_collator_of_a_tokenizer(toy_tokenizer: Tokenizer, wordpiece: BertTokenizerFast) -> None:
    assert Collator.of(toy_tokenizer) == Collator(pad_token_id=1, pad_token_type_id=0)
    assert Collator.of(wordpiece).pad_token_id == wordpiece.pad_token_id == 0


def test_a_question_with_more_tokens_than_characters_is_cut() -> None:
    """Byte-level vocabularies make up to four tokens of a character."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, processors
    from transformers import RobertaTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {
        token: number for number, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])
    }
    backend = Backend(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer = RobertaTokenizerFast(tokenizer_object=backend)
    settings = EncodingSettings(max_length=64)
    question = "คำถามภาษาไทยที่ยาวพอ"
    assert len(question) < settings.question_room < len(question.encode())
    table = to_table(SQUAD, [span("the Alpha tree", "Alpha", question=question)])
    encoded = FORMATS["span"].encode(SQUAD, table, tokenizer, settings, training=True)
    assert encoded.report == {"questions cut": 1}
    answers = FORMATS["span"].decode(SQUAD, table, encoded, sure_spans(encoded), settings)
    assert answers[0].value == "Alpha"
