"""Masked-language modelling: how much is hidden and how, what is never hidden, and masks that stay the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from transformers import BertTokenizerFast
from transformers import PreTrainedTokenizerFast as Tokenizer

from adapterstilts.data.rows import to_table
from adapterstilts.errors import BackboneError, DataFormatError
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded, EncodingSettings
from adapterstilts.tasks.formats.base import IGNORED_LABEL
from adapterstilts.tasks.formats.language_modelling import Masking

MLM = get_task("mlm")


def encoded(texts: list[str], tokenizer: Tokenizer, *, training: bool, max_length: int = 16) -> Encoded:
    table = to_table(MLM, [{"id": str(place), "language": "en", "text": text} for place, text in enumerate(texts)])
    settings = EncodingSettings(max_length=max_length)
    return FORMATS["language_modelling"].encode(MLM, table, tokenizer, settings, training=training)


def test_shares_are_those_of_bert(toy_tokenizer: Tokenizer) -> None:
    masking, generator = Masking.of(toy_tokenizer), np.random.default_rng(0)
    ids = [0, *(masking.ordinary[place % len(masking.ordinary)] for place in range(40)), 2]
    kinds: Counter[str] = Counter()
    for _ in range(2000):
        seen, labels = masking.hide(ids, generator)
        hidden = [place for place, label in enumerate(labels) if label != IGNORED_LABEL]
        assert len(hidden) == 6, "15 % of 40"
        assert [labels[place] for place in hidden] == [ids[place] for place in hidden]
        assert all(seen[place] == ids[place] for place in range(len(ids)) if place not in hidden)
        for place in hidden:
            same, mask = seen[place] == ids[place], seen[place] == toy_tokenizer.mask_token_id
            kinds["masked" if mask else "kept" if same else "replaced"] += 1
            assert mask or seen[place] not in toy_tokenizer.all_special_ids
    shares = {kind: count / kinds.total() for kind, count in kinds.items()}
    assert shares == pytest.approx({"masked": 0.8, "replaced": 0.1, "kept": 0.1}, abs=0.012)


def test_every_place_is_hidden_at_times_and_special_tokens_never(toy_tokenizer: Tokenizer) -> None:
    masking, generator = Masking.of(toy_tokenizer), np.random.default_rng(1)
    ids = [0, 3, *masking.ordinary[:5].tolist(), 1, 2]
    hidden: set[int] = set()
    for _ in range(200):
        _, labels = masking.hide(ids, generator)
        places = [place for place, label in enumerate(labels) if label != IGNORED_LABEL]
        assert len(places) == 1, "at least one, also of few tokens"
        hidden |= set(places)
    assert hidden == {2, 3, 4, 5, 6}


def test_training_features_are_whole_and_held_out_ones_have_fixed_masks(toy_tokenizer: Tokenizer) -> None:
    texts = ["the cat sees a tree", "the house"]
    whole = encoded(texts, toy_tokenizer, training=True)
    assert whole.features["input_ids"][:] == toy_tokenizer(texts)["input_ids"]
    assert "labels" not in whole.features.column_names
    first, again = (encoded(texts, toy_tokenizer, training=False).features[:] for _ in range(2))
    assert first == again
    for plain, seen, labels in zip(whole.features["input_ids"], first["input_ids"], first["labels"], strict=True):
        assert [token if label == IGNORED_LABEL else label for token, label in zip(seen, labels, strict=True)] == plain
        assert len(set(labels)) > 1


def test_long_lines_lie_in_windows_beside_each_other(toy_tokenizer: Tokenizer) -> None:
    text = " ".join(["the cat sees a tree"] * 9)
    made = encoded([text, "the house"], toy_tokenizer, training=True)
    whole = toy_tokenizer(text)["input_ids"][1:-1]
    windows = [
        ids[1:-1] for ids, row in zip(made.features["input_ids"], made.features["example"], strict=True) if not row
    ]
    assert [token for window in windows for token in window] == whole
    assert {len(window) for window in windows[:-1]} == {14}
    assert made.report == {"windows beyond the first": len(windows) - 1}


def test_types_of_tokens_are_kept_where_the_model_reads_them(wordpiece: BertTokenizerFast) -> None:
    made = encoded(["the cats", "zzz"], wordpiece, training=False)
    assert made.features["token_type_ids"][:] == [[0] * 5]
    assert made.report == {"windows without a known token": 1}


def test_answers_are_the_log_probabilities_of_a_row(toy_tokenizer: Tokenizer) -> None:
    form = FORMATS["language_modelling"]
    rows = to_table(MLM, [{"id": "0", "language": "en", "text": "the cat sees a tree " * 9}])
    made = form.encode(MLM, rows, toy_tokenizer, EncodingSettings(max_length=32), training=False)
    logits = [np.array([-1.0 * number], dtype=np.float32) for number in range(len(made))]
    (answer,) = form.decode(MLM, rows, made, logits, EncodingSettings())
    assert answer.value == [-1.0 * number for number in range(len(made))]
    assert form.metric_inputs(MLM, rows, [answer.value]) == ([answer.value], rows["text"][:])


def test_a_tokenizer_without_a_mask_or_without_the_script(wordpiece: BertTokenizerFast) -> None:
    with pytest.raises(DataFormatError, match="knows no token of the text"):
        encoded(["猫", "zzz"], wordpiece, training=True)
    wordpiece = BertTokenizerFast(tokenizer_object=wordpiece.backend_tokenizer)
    wordpiece.mask_token = None
    with pytest.raises(BackboneError, match="no mask token"):
        encoded(["the cat"], wordpiece, training=True)
