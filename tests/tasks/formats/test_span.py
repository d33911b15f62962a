"""Spans: the answer at every place of a context is found again, whatever the lengths of question and context."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from toy_encoding import SHORT, ids_of
from transformers import PreTrainedTokenizerFast as Tokenizer

from adapterstilts.data.rows import to_table
from adapterstilts.errors import SettingsError
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded, EncodingSettings

SQUAD = get_task("squad")
MAYBE_SQUAD = dataclasses.replace(SQUAD, unanswerable=True)
OUTSIDE = -1
FILLER = "the cat sees a big house and small tree near water today "


# Rows


def span(
    context: str, answer: str | None, *, question: str = "Which name stands here ?", start: int | None = None
) -> Any:
    """A row of a span task; ``answer`` None for a question without one, ``start`` where it is not the first place."""
    answers: dict[str, list[Any]] = {"text": [], "answer_start": []}
    if answer is not None:
        answers = {"text": [answer], "answer_start": [context.index(answer) if start is None else start]}
    return {"id": "q", "language": "en", "question": question, "context": context, "answers": answers}


# Logits that say what the labels say


def sure_spans(encoded: Encoded) -> list[np.ndarray]:
    logits = []
    for feature in encoded.features:
        values = np.zeros((2, len(feature["input_ids"])), dtype=np.float32)
        values[0, feature["start_positions"]] = values[1, feature["end_positions"]] = 10
        logits.append(values)
    return logits


# Metrics


def test_the_rules_of_mlqa_are_those_of_the_context() -> None:
    """A Chinese answer is counted by signs, whatever the question was asked in."""
    task = get_task("mlqa_pairs")
    table = to_table(task, [{**span("猫病毒包", "病毒"), "language": code} for code in ("zh", "zh-en")])
    predictions, references = FORMATS["span"].metric_inputs(task, table, ["毒", "毒"])
    assert [one["language"] for one in references] == ["zh", "zh"]
    assert [one["prediction_text"] for one in predictions] == ["毒", "毒"]


# Windows and answers


def context_tokens(encoded: Encoded, example: int) -> list[list[tuple[int, int]]]:
    """Offsets of the context's tokens, by window of a row."""
    return [
        [pair for pair in zip(feature["offset_starts"], feature["offset_ends"], strict=True) if pair[1] != OUTSIDE]
        for feature in encoded.features
        if feature["example"] == example
    ]


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


# The search for the best span


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


def test_marks_that_the_tokenizer_strips_stay_with_their_word() -> None:
    """BERT's uncased tokenizers take combining marks out: a Hindi answer must not lose its last vowel."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertTokenizerFast

    words = "[PAD] [UNK] [CLS] [SEP] [MASK] जन एलव न which ?".split()
    backend = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = BertTokenizerFast(tokenizer_object=backend, model_max_length=128)
    rows = [span("जन एलवे ने", "जन एलवे"), span("ने एलवे", "एलवे"), span("जन एलवे", "जन")]
    table = to_table(SQUAD, rows)
    encoded = FORMATS["span"].encode(SQUAD, table, tokenizer, EncodingSettings(), training=True)
    answers = FORMATS["span"].decode(SQUAD, table, encoded, sure_spans(encoded), EncodingSettings())
    assert [answer.value for answer in answers] == ["जन एलवे", "एलवे", "जन"]


def test_invisible_signs_around_an_answer_do_not_hide_it(toy_tokenizer: Tokenizer) -> None:
    """Wikipedia's U+200B stands at the end of some of MLQA's answers, and no token holds it."""
    table = to_table(SQUAD, [span("the Alpha\u200b", "Alpha\u200b"), span("the \u200eAlpha tree", "\u200eAlpha")])
    encoded = FORMATS["span"].encode(SQUAD, table, toy_tokenizer, EncodingSettings(), training=True)
    assert all(start > 0 for start in encoded.features["start_positions"])
    answers = FORMATS["span"].decode(SQUAD, table, encoded, sure_spans(encoded), EncodingSettings())
    assert [answer.value for answer in answers] == ["Alpha", "Alpha"]
