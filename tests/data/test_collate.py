"""Batches: what is padded, with what, and what is not."""

from __future__ import annotations

import torch
from transformers import BertTokenizerFast
from transformers import PreTrainedTokenizerFast as Tokenizer

from adapterstilts.data.collate import Collator, feature_length, training_collator
from adapterstilts.tasks.catalogue import get_task


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


def test_lengths_may_be_few_different_ones() -> None:
    collate = Collator(pad_token_id=1, multiple=4)
    for ids, padded in (([0, 5, 2], [0, 5, 2, 1]), ([0, 5, 6, 2], [0, 5, 6, 2]), ([0, 4, 5, 6, 2], None)):
        batch = collate([{"input_ids": ids, "labels": 0}])
        assert batch["input_ids"][0].tolist() == (padded or [0, 4, 5, 6, 2, 1, 1, 1])
        assert batch["attention_mask"][0].sum() == len(ids)


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


def test_other_tokens_are_hidden_each_time_and_the_same_ones_for_a_seed(toy_tokenizer: Tokenizer) -> None:
    mlm = get_task("mlm")
    features = [
        {"input_ids": ids, "example": 0} for ids in toy_tokenizer(["the cat sees a tree", "a house"])["input_ids"]
    ]
    first, again, other = (training_collator(mlm, toy_tokenizer, seed) for seed in (0, 0, 1))
    epochs = [first(features) for _ in range(4)]
    assert all(
        torch.equal(epoch[name], repeated[name]) for epoch in epochs for repeated in [again(features)] for name in epoch
    )
    assert len({str(epoch["labels"].tolist()) for epoch in epochs}) > 1
    assert any(not torch.equal(epoch["labels"], other(features)["labels"]) for epoch in epochs)
    plain = Collator.of(toy_tokenizer)(features)["input_ids"]
    for epoch in epochs:
        hidden = epoch["labels"] != -100
        assert hidden.any(dim=1).all()
        assert torch.equal(torch.where(hidden, epoch["labels"], epoch["input_ids"]), plain)
    assert training_collator(get_task("mnli"), toy_tokenizer, 0) == Collator.of(toy_tokenizer)
