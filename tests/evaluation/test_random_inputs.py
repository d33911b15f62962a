"""Random inputs: token ids of the vocabulary alone, texts of as many tokens as were asked for."""

from __future__ import annotations

import pytest
import torch
from toy_compositions import MakeComposition

from adapterstilts.evaluation.random_inputs import RandomInputs
from adapterstilts.models.backbone import Backbone, build
from adapterstilts.tasks.formats import HeadSpec


@pytest.fixture
def draw(toy_backbone: Backbone, toy_composition: MakeComposition) -> RandomInputs:
    """Inputs for a classifier."""
    head = HeadSpec("classification", 3, ("a", "b", "c"))
    return RandomInputs(build(toy_backbone, toy_composition("none", "xnli", head), seed=0))


def test_a_batch_is_full_of_tokens_that_are_not_special(draw: RandomInputs) -> None:
    batch = draw.batch(100, 100)
    ids = batch["input_ids"]
    assert ids.shape == (100, 100)
    assert torch.equal(batch["attention_mask"], torch.ones(100, 100, dtype=torch.long))
    drawn, special = set(ids.flatten().tolist()), set(draw.tokenizer.all_special_ids)
    assert drawn == set(range(len(draw.tokenizer))) - special  # 10,000 draws are enough for so small a vocabulary
    assert torch.equal(draw.batch(100, 100)["input_ids"], ids)


def test_an_input_of_multiple_choice_is_as_many_as_the_choices(
    toy_backbone: Backbone, toy_composition: MakeComposition
) -> None:
    head = HeadSpec("multiple_choice", 4, ())
    draw = RandomInputs(build(toy_backbone, toy_composition("none", "hellaswag", head), seed=0))
    assert draw.batch(16, 3)["input_ids"].shape == draw.batch(16, 3)["attention_mask"].shape == (3, 4, 16)
    assert len(draw.texts(16, 3)) == 12


@pytest.mark.parametrize("length", [8, 32, 128])
def test_texts_have_the_length_in_tokens(draw: RandomInputs, length: int) -> None:
    lengths = [len(draw.tokenizer(text)["input_ids"]) for text in draw.texts(length, 10)]
    assert len(lengths) == 10
    assert all(length - 2 <= count <= length + 2 for count in lengths), lengths  # a cut word may be read otherwise
    assert sum(lengths) / 10 == pytest.approx(length, rel=0.05)
    tokens = draw.tokenising(length, 10)()
    assert tokens["input_ids"].shape[0] == 10
    assert tokens["input_ids"].shape[1] <= length


def test_a_text_with_room_for_special_tokens_alone_is_empty(draw: RandomInputs) -> None:
    assert draw.texts(2, 2) == ["", ""]
