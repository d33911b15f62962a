"""The weights of a composition, part by part: taken out, put back, and told where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy_compositions import HEAD, MakeComposition, batch_of, logits_of, randomised

from adapterstilts.errors import (
    ArtifactError,
)
from adapterstilts.models.backbone import Backbone, ComposedModel, build, load_backbone


@pytest.fixture
def composed(toy_backbone: Backbone, toy_composition: MakeComposition) -> ComposedModel:
    """A fusion of two, whose names and that of the target begin alike."""
    return build(toy_backbone, toy_composition("squad+squad2", "squad2_de", HEAD), seed=0)


def test_states_make_up_the_model(
    composed: ComposedModel, toy_backbone_folder: Path, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    """What the parts hold is all there is: put into another model, they give the same logits."""
    randomised(composed)
    batch = batch_of("mnli", composed.backbone, toy_mirror)
    other = build(load_backbone(str(toy_backbone_folder)), composed.composition, seed=99)
    assert not torch.allclose(logits_of(other, batch), logits_of(composed, batch), atol=1e-3)
    for part in composed.composition.parts:
        other.load_state(part, {key: tensor.clone() for key, tensor in composed.state(part).items()}, where="The test")
    assert torch.equal(logits_of(other, batch), logits_of(composed, batch))


def test_parts_whose_names_begin_alike_do_not_touch(composed: ComposedModel) -> None:
    keys = [set(composed.keys[part]) for part in composed.composition.parts]
    assert sum(map(len, keys)) == len(set().union(*keys))
    before = {part: {key: item.clone() for key, item in composed.state(part).items()} for part in composed.keys}
    ones = {key: torch.ones_like(tensor) for key, tensor in composed.state("adapters/squad").items()}
    composed.load_state("adapters/squad", ones, where="The test")
    for part, tensors in before.items():
        same = [torch.equal(tensor, composed.state(part)[key]) for key, tensor in tensors.items()]
        assert not any(same) if part == "adapters/squad" else all(same)


def test_a_missing_key_is_named_and_nothing_is_loaded(composed: ComposedModel) -> None:
    before = {key: tensor.clone() for key, tensor in composed.state("head").items()}
    tensors = {key: torch.ones_like(tensor) for key, tensor in before.items()}
    gone = sorted(tensors)[1]
    del tensors[gone]
    with pytest.raises(ArtifactError, match=f"The file lacks the key '{gone}'"):
        composed.load_state("head", tensors, where="The file")
    assert all(torch.equal(tensor, composed.state("head")[key]) for key, tensor in before.items())


def test_an_unknown_key_is_named(composed: ComposedModel) -> None:
    tensors = {**composed.state("head"), "heads.squad.1.weight": torch.ones(2)}
    with pytest.raises(
        ArtifactError, match=r"The file has the key 'heads\.squad\.1\.weight', which the model does not"
    ):
        composed.load_state("head", tensors, where="The file")


def test_a_wrong_shape_is_named(composed: ComposedModel) -> None:
    key = "heads.squad2_de.4.weight"
    tensors = {**composed.state("head"), key: torch.ones(5, 32)}
    with pytest.raises(ArtifactError, match=rf"'{key}' has shape \(5, 32\), the model needs \(3, 32\)"):
        composed.load_state("head", tensors, where="The file")


def test_a_wrong_type_is_named(composed: ComposedModel) -> None:
    key = "heads.squad2_de.4.weight"
    tensors = {**composed.state("head"), key: torch.ones(3, 32, dtype=torch.float16)}
    with pytest.raises(ArtifactError, match=rf"'{key}' is torch\.float16, the model needs torch\.float32"):
        composed.load_state("head", tensors, where="The file")


def test_a_kept_state_comes_back(composed: ComposedModel, toy_mirror: Path) -> None:
    batch = batch_of("mnli", composed.backbone, toy_mirror)
    kept, reference = composed.trained_state(), logits_of(composed, batch)
    assert set(kept) == {key for part in ("adapters/squad2_de", "fusion", "head") for key in composed.keys[part]}
    randomised(composed)
    below = {key: tensor.clone() for key, tensor in composed.state("adapters/squad").items()}
    assert not torch.allclose(logits_of(composed, batch), reference, atol=1e-3)
    composed.restore(kept)
    state = composed.model.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in kept.items())
    assert all(torch.equal(state[key], tensor) for key, tensor in below.items())  # not trained, hence not restored
