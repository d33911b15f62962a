"""Frozen matrices in half precision: the same numbers under autocast, and nothing cast that is trained or stored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy_compositions import HEAD, MakeComposition, batch_of, randomised

from adapterstilts.models.backbone import ComposedModel, build, load_backbone
from adapterstilts.models.half_weights import halve_frozen


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
