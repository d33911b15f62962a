"""Frozen matrices in half precision: the same numbers under autocast, and nothing cast that is trained or stored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy_compositions import HEAD, MakeComposition, batch_of, randomised

from adapterstilts.models.backbone import ComposedModel, build, load_backbone
from adapterstilts.models.half_weights import halve_frozen
from adapterstilts.models.lower_layers import lower_layers


def step(composed: ComposedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return logits and gradients under autocast."""
    composed.model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        output = composed.model(**batch)
    output["loss"].backward()
    found = {"logits": output["logits"].detach()}
    return found | {key: item.grad.clone() for key, item in composed.model.named_parameters() if item.grad is not None}


@pytest.mark.parametrize("expression", ["none", "mnli+squad"])
def test_logits_and_gradients_are_the_same_to_the_bit(
    expression: str, toy_backbone_folder: Path, toy_mirror: Path, toy_composition: MakeComposition
) -> None:
    backbone = load_backbone(str(toy_backbone_folder))
    composed = build(backbone, toy_composition(expression, "xnli", HEAD), seed=0)
    randomised(composed)
    batch = batch_of("mnli", backbone, toy_mirror)
    before = step(composed, batch)
    stored = {part: composed.state(part) for part in composed.composition.parts}
    assert halve_frozen(composed) > 1000
    after = step(composed, batch)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert len(before) > 3
    for part, tensors in stored.items():
        assert all(tensor.dtype is torch.float32 for tensor in composed.state(part).values()), part
        assert all(torch.equal(tensor, composed.state(part)[key]) for key, tensor in tensors.items())
    base = dict(composed.model.base_model.named_parameters())
    assert base["encoder.layer.0.attention.self.query.weight"].dtype is torch.bfloat16
    assert base["embeddings.word_embeddings.weight"].dtype is torch.float32
    assert base["embeddings.LayerNorm.weight"].dtype is torch.float32


def test_a_part_that_works_without_autocast_stays_whole(
    toy_backbone_folder: Path, toy_composition: MakeComposition
) -> None:
    backbone = load_backbone(str(toy_backbone_folder))
    composed = build(backbone, toy_composition("none", "xnli", HEAD).without([0]), seed=0)
    lower = lower_layers(composed, further=False)
    assert lower is not None
    sequence = [{"input_ids": [0, 9, 8, 7, 2]}]
    before = lower.run(sequence)[0].clone()
    halve_frozen(composed, whole=lower.modules)
    base = dict(composed.model.base_model.named_parameters())
    kinds = {name: base[f"encoder.layer.{name}.weight"].dtype for name in ("0.output.dense", "1.attention.self.query")}
    assert kinds == {"0.output.dense": torch.float32, "1.attention.self.query": torch.bfloat16}
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(lower.run(sequence)[0], before)
