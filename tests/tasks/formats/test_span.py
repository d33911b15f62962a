"""Spans: the answer at every place of a context is found again, whatever the lengths of question and context."""

from __future__ import annotations

import math

import pytest
from toy_encoding import SHORT, ids_of
from toy_spans import span, sure_spans
from transformers import PreTrainedTokenizerFast as Tokenizer

from adapterstilts.data.rows import to_table
from adapterstilts.errors import SettingsError
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded, EncodingSettings

SQUAD = get_task("squad")
OUTSIDE = -1
FILLER = "the cat sees a big house and small tree near water today "


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
