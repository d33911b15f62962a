"""A language adapter at the bottom of a composition: it works there, stays as it is, and can be swapped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from toy_compositions import HEAD, MakeComposition, batch_of, copies, logits_of, randomised, same

from adapterstilts.errors import ArtifactError, ExpressionError
from adapterstilts.models.backbone import ComposedModel, build, load_backbone
from adapterstilts.models.composition import BOTTOM, Composition
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.vocabulary import whole_vocabulary

PART = f"adapters/{BOTTOM}"
Make = Callable[..., ComposedModel]


def on_language(composition: Composition, adapter: str = "seq_bn_inv") -> Composition:
    config = adapter_config_json(adapter, reduction_factor=2)
    return dataclasses.replace(composition, on_language=True, adapters={**composition.adapters, BOTTOM: config})


@pytest.fixture
def make(toy_backbone_folder: Path, toy_composition: MakeComposition) -> Make:
    """A function that builds a composition, on a language adapter or not, with random weights."""

    def made(expression: str, adapter: str | None = "seq_bn_inv") -> ComposedModel:
        composition = toy_composition(expression, "xnli", HEAD)
        composition = composition if adapter is None else on_language(composition, adapter)
        composed = build(load_backbone(str(toy_backbone_folder)), composition, seed=0)
        own = {part: copies(composed.state(part)) for part in composition.parts if part != PART}
        generator = torch.Generator().manual_seed(5)
        for part, tensors in own.items():
            shaken = {
                key: value + torch.randn(value.shape, generator=generator) * 0.3 for key, value in tensors.items()
            }
            composed.load_state(part, shaken, where="noise")
        return composed

    return made


def noise(composed: ComposedModel, seed: int) -> dict[str, torch.Tensor]:
    """Return weights of a language adapter."""
    generator = torch.Generator().manual_seed(seed)
    return {key: torch.randn(value.shape, generator=generator) * 0.3 for key, value in composed.state(PART).items()}


def idle(composed: ComposedModel) -> dict[str, torch.Tensor]:
    """Return weights with which a language adapter adds nothing: what it projects up is zero."""
    last = (".adapter_up.", ".F.2.", ".G.2.")
    return {
        key: torch.zeros_like(value) if any(name in key for name in last) else value
        for key, value in noise(composed, 3).items()
    }


@pytest.mark.parametrize("adapter", ["seq_bn", "seq_bn_inv"])
@pytest.mark.parametrize("expression", ["none", "squad", "mnli+squad"])
def test_one_that_adds_nothing_changes_nothing(expression: str, adapter: str, make: Make, toy_mirror: Path) -> None:
    plain, composed = make(expression, None), make(expression, adapter)
    batch = batch_of("mnli", plain.backbone, toy_mirror)
    for part in plain.composition.parts:
        assert same(plain.state(part), composed.state(part)), "all else begins with the weights it has without one"
    composed.use_language(idle(composed))
    torch.testing.assert_close(logits_of(composed, batch), logits_of(plain, batch))
    composed.use_language(noise(composed, 1))
    assert not torch.allclose(logits_of(composed, batch), logits_of(plain, batch), atol=1e-3)
    composed.use_language(None)
    assert torch.equal(logits_of(composed, batch), logits_of(plain, batch))


@pytest.mark.parametrize("expression", ["none", "mnli+squad"])
def test_a_swapped_one_is_as_if_the_model_were_built_with_it(expression: str, make: Make, toy_mirror: Path) -> None:
    """Against the adapters library's own names and stack."""
    from adapters.composition import Fuse, Stack

    composed = make(expression)
    batch = batch_of("mnli", composed.backbone, toy_mirror)
    composed.use_language(noise(composed, 1))
    composed.use_language(None)
    composed.use_language(noise(composed, 2))
    found = logits_of(composed, batch)

    other = make(expression, None)
    model = other.model
    model.add_adapter("sw", config=adapter_config_json("seq_bn_inv", reduction_factor=2))
    state = model.state_dict()
    with torch.no_grad():
        for key, value in noise(composed, 2).items():
            state[key.replace(f".{BOTTOM}.", ".sw.")].copy_(value)
    names = other.composition.expression.names
    model.set_active_adapters(Stack("sw", *((Fuse(*names),) if names else ()), "xnli"))
    model.active_head = "xnli"
    torch.testing.assert_close(found, logits_of(other, batch), rtol=0, atol=0)


@pytest.mark.parametrize("expression", ["none", "squad", "mnli+squad"])
def test_a_step_leaves_it_as_it_is(expression: str, make: Make, toy_mirror: Path) -> None:
    composed = make(expression)
    whole_vocabulary(composed.model)
    composed.use_language(noise(composed, 1))
    before = copies(composed.model.state_dict())
    optimizer = torch.optim.AdamW((item for item in composed.model.parameters() if item.requires_grad), lr=0.1)
    composed.model.train()
    composed.model(**batch_of("mnli", composed.backbone, toy_mirror)).loss.backward()
    optimizer.step()
    changed = {key for key, value in composed.model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {key for part in composed.composition.trained_parts for key in composed.keys[part]}
    assert PART in composed.composition.parts
    assert PART not in composed.composition.trained_parts


def test_weights_of_another_shape_are_refused(make: Make) -> None:
    composed, other = make("none"), make("none", "seq_bn")
    with pytest.raises(ArtifactError, match="That of sw lacks 8 keys"):
        composed.use_language(noise(other, 1), where="That of sw")


def test_two_invertible_adapters_are_refused(toy_backbone_folder: Path, toy_composition: MakeComposition) -> None:
    """The adapters library would use the one at the bottom alone."""
    composition = on_language(toy_composition("none", "xnli", HEAD, "seq_bn_inv"))
    with pytest.raises(ExpressionError, match=r"8 of the 16 tensors of 'adapters/xnli' are never used"):
        build(load_backbone(str(toy_backbone_folder)), composition, seed=0)


@pytest.mark.parametrize("adapter", ["double_seq_bn", "lora"])
def test_other_adapters_lie_on_one(adapter: str, toy_backbone_folder: Path, toy_composition: MakeComposition) -> None:
    factor = None if adapter == "lora" else 4
    composition = on_language(toy_composition("none", "xnli", HEAD, adapter, factor))
    composed = build(load_backbone(str(toy_backbone_folder)), composition, seed=0)
    randomised(composed)
    assert composed.composition.drawing().startswith("Stack(language, xnli)")


def test_its_name_is_taken(toy_composition: MakeComposition) -> None:
    with pytest.raises(ExpressionError, match="'language' is the name of the language adapter"):
        on_language(toy_composition("none", BOTTOM, HEAD))


def test_a_composition_is_read_back_with_it(toy_composition: MakeComposition) -> None:
    plain = toy_composition("mnli+squad", "xnli", HEAD)
    assert "on_language" not in plain.to_json(), "as it was written before there were language adapters"
    assert Composition.from_json(plain.to_json()) == plain
    composition = on_language(plain)
    assert Composition.from_json(composition.to_json()) == composition
    with pytest.raises(ArtifactError, match="on_language is not of the right kind"):
        Composition.from_json(composition.to_json() | {"on_language": "yes"})
