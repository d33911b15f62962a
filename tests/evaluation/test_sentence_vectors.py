"""Sentence vectors by hand: the mean over tokens of a layer, whatever the batch, with the adapters that are active."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from datasets import Dataset

from adapterstilts.errors import ExpressionError, SettingsError
from adapterstilts.evaluation.sentence_vectors import check_layer, check_pooling, layer_count, sentence_vectors
from adapterstilts.models.backbone import Backbone, build
from adapterstilts.models.composition import Composition
from adapterstilts.tasks.formats import HeadSpec

SENTENCES = ["the cat", "a big house and small tree near water", "Anna", "die Katze sieht ein Haus"]


@pytest.fixture
def features(toy_backbone: Backbone) -> Dataset:
    return Dataset.from_dict({"input_ids": toy_backbone.tokenizer(SENTENCES)["input_ids"], "example": [0, 1, 2, 3]})


def by_hand(backbone: Backbone, layer: int) -> torch.Tensor:
    model: Any = backbone.model
    with torch.no_grad():
        states = [
            model.base_model(**backbone.tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
            for text in SENTENCES
        ]
    return torch.stack([one[layer][0].mean(dim=0) for one in states])


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_the_mean_of_the_tokens_without_padding(batch_size: int, toy_backbone: Backbone, features: Dataset) -> None:
    told: list[int] = []
    found = sentence_vectors(toy_backbone, features, [2, 0], batch_size=batch_size, progress=told.append)
    assert found.shape == (2, 4, 32)
    assert told[-1] == 4
    for number, layer in enumerate([2, 0]):
        torch.testing.assert_close(found[number], by_hand(toy_backbone, layer), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_first_token_wherever_the_padding_is(side: str, toy_backbone: Backbone, features: Dataset) -> None:
    toy_backbone.tokenizer.padding_side = side
    try:
        found = sentence_vectors(toy_backbone, features, [0], batch_size=4, pooling="cls")[0]
    finally:
        toy_backbone.tokenizer.padding_side = "right"
    if side == "right":
        model: Any = toy_backbone.model
        first = [toy_backbone.tokenizer(text, return_tensors="pt") for text in SENTENCES]
        with torch.no_grad():
            states = [model.base_model(**one, output_hidden_states=True).hidden_states[0][0, 0] for one in first]
        torch.testing.assert_close(found, torch.stack(states), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found, by_hand(toy_backbone, 0), atol=1e-3)
    assert found.isfinite().all()


def test_pooling_that_there_is() -> None:
    assert [check_pooling(name) for name in ("mean", "cls")] == ["mean", "cls"]
    with pytest.raises(SettingsError, match="--pooling 'max' is none of mean, cls"):
        check_pooling("max")


@pytest.mark.parametrize("kind", ["classification", "multiple_choice", "question_answering"])
def test_adapters_change_the_vectors_and_heads_do_not(
    kind: Any, toy_backbone: Backbone, features: Dataset, toy_composition: Callable[..., Composition]
) -> None:
    plain = sentence_vectors(toy_backbone, features, [0, 1, 2])
    head = HeadSpec(kind, 3 if kind == "multiple_choice" else 2, ("no", "yes") if kind == "classification" else ())
    composed = build(toy_backbone, toy_composition("none", "task", head), seed=0)
    with torch.no_grad():
        for name, parameter in composed.model.named_parameters():
            if ".adapters.task." in name:
                parameter.add_(0.3)
    changed = sentence_vectors(toy_backbone, features, [0, 1, 2])
    torch.testing.assert_close(changed[0], plain[0])
    assert not torch.allclose(changed[1], plain[1], atol=1e-3)
    torch.testing.assert_close(changed[2], by_hand(toy_backbone, 2), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        for key in composed.keys["head"]:
            composed.model.state_dict()[key].add_(1.0)
    torch.testing.assert_close(sentence_vectors(toy_backbone, features, [2])[0], changed[2])


def test_the_mode_of_the_model_is_put_back(toy_backbone: Backbone, features: Dataset) -> None:
    toy_backbone.model.train()
    first = sentence_vectors(toy_backbone, features, [2])
    assert toy_backbone.model.training
    torch.testing.assert_close(sentence_vectors(toy_backbone, features, [2]), first, msg="no dropout")


def test_prompts_are_refused(
    toy_backbone: Backbone, features: Dataset, toy_composition: Callable[..., Composition]
) -> None:
    head = HeadSpec("classification", 2, ("no", "yes"))
    build(toy_backbone, toy_composition("none", "task", head, adapter="prompt_tuning", reduction_factor=None), seed=0)
    with pytest.raises(ExpressionError, match="lengthens the input"):
        sentence_vectors(toy_backbone, features, [1])


def test_layers_that_there_are(toy_backbone: Backbone) -> None:
    assert layer_count(toy_backbone) == 2
    for layer in (0, 2):
        check_layer(toy_backbone, layer)
    with pytest.raises(SettingsError, match=r"give 0 \(its embeddings\) to 2, or auto"):
        check_layer(toy_backbone, 3)
