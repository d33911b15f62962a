"""The bare backbone inside a composed model: adapters switched off, LoRA in the weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_compositions import HEAD, MakeComposition, batch_of, logits_of, randomised

from adapterstilts.errors import ExpressionError
from adapterstilts.models.backbone import Backbone, ComposedModel, build, load_backbone
from adapterstilts.models.bare import TOLERANCE, adapters_off, check_mergeable, merge_lora
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.expression import Nothing
from adapterstilts.models.full import full_config


def with_adapter(backbone: Backbone, adapter: str, **changes: Any) -> ComposedModel:
    """Return one adapter with a head, all added weights random."""
    config = adapter_config_json(adapter) | changes
    composed = build(backbone, Composition(Nothing(), "xnli", HEAD, {"xnli": config}), seed=0)
    randomised(composed)
    composed.model.eval()
    return composed


def inputs(composed: ComposedModel, mirror: Path) -> dict[str, torch.Tensor]:
    batch = batch_of("mnli", composed.backbone, mirror)
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


def test_without_its_adapters_a_model_is_the_backbone_with_the_head(
    toy_backbone: Backbone, toy_backbone_folder: Path, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    composed = build(toy_backbone, toy_composition("mnli+squad", "xnli", HEAD), seed=0)
    randomised(composed)
    batch = batch_of("mnli", composed.backbone, toy_mirror)
    plain = build(
        load_backbone(str(toy_backbone_folder)), Composition(Nothing(), "xnli", HEAD, {"xnli": full_config()}), seed=0
    )
    plain.load_state("head", composed.state("head"), where="The test")
    before = logits_of(composed, batch)
    with adapters_off(composed):
        assert torch.equal(logits_of(composed, batch), logits_of(plain, batch))
    assert torch.equal(logits_of(composed, batch), before)
    assert not torch.allclose(before, logits_of(plain, batch), atol=1e-3)
    with pytest.raises(ZeroDivisionError), adapters_off(composed):
        _ = 1 / 0
    assert torch.equal(logits_of(composed, batch), before)


def test_the_library_s_warning_at_each_pass_is_not_even_made(
    toy_backbone: Backbone, toy_mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed = with_adapter(toy_backbone, "seq_bn")
    batch = inputs(composed, toy_mirror)
    told = logging.getLogger("adapters.model_mixin")
    monkeypatch.setattr(told, "makeRecord", lambda *_, **__: pytest.fail("a warning was made, which takes time"))
    with adapters_off(composed):
        logits_of(composed, batch)
    assert not told.disabled


def test_lora_becomes_part_of_the_weights(toy_backbone: Backbone, toy_mirror: Path) -> None:
    composed = with_adapter(toy_backbone, "lora")
    batch = inputs(composed, toy_mirror)
    before = logits_of(composed, batch)
    with adapters_off(composed):
        bare = logits_of(composed, batch)
    query = composed.model.get_submodule("roberta.encoder.layer.0.attention.self.query")
    lora: Any = query.get_submodule("loras.xnli")
    expected = query.weight + lora.scaling * lora.lora_B @ lora.lora_A
    difference = merge_lora(composed, batch)
    assert 0 <= difference <= TOLERANCE
    assert torch.allclose(query.weight, expected, atol=1e-6)
    with adapters_off(composed):  # what the adapter did, the weights do now
        merged = logits_of(composed, batch)
    assert (before - merged).abs().max() <= TOLERANCE * max(1.0, before.abs().max().item())
    assert (before - bare).abs().max() > 100 * TOLERANCE


def test_a_merge_that_changes_the_outputs_is_refused(toy_backbone: Backbone, toy_mirror: Path) -> None:
    """The adapters library takes the bias into DoRA's norm in a pass, and leaves it out in the weights."""
    composed = with_adapter(toy_backbone, "lora", use_dora=True)
    with torch.no_grad():
        for name, parameter in composed.model.named_parameters():
            if name.endswith(".bias"):
                parameter.add_(1.0)
    with pytest.raises(ExpressionError, match="--merge-lora: with 'xnli' in the weights the outputs differ by"):
        merge_lora(composed, inputs(composed, toy_mirror))


def test_outputs_that_are_no_numbers_are_not_equal(toy_backbone: Backbone, toy_mirror: Path) -> None:
    composed = with_adapter(toy_backbone, "lora")
    with torch.no_grad():
        next(iter(composed.state("head").values())).fill_(float("nan"))
    with pytest.raises(ExpressionError, match="the outputs differ by nan"):
        merge_lora(composed, inputs(composed, toy_mirror))


def test_ia3_in_the_weights_would_leave_the_biases_unscaled(toy_backbone: Backbone, toy_mirror: Path) -> None:
    """Why it is refused: once the library does it rightly, this fails."""
    composed = with_adapter(toy_backbone, "ia3")
    batch = inputs(composed, toy_mirror)
    with torch.no_grad():
        for name, parameter in composed.model.named_parameters():
            if name.endswith(".bias"):
                parameter.add_(1.0)
    before = logits_of(composed, batch)
    with torch.no_grad():
        composed.model.merge_adapter("xnli")
    assert (logits_of(composed, batch) - before).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize(
    ("adapters", "says"),
    [
        ({"xnli": "seq_bn"}, "'xnli' is a"),
        ({"xnli": "prefix_tuning"}, "is a prefix_tuning adapter"),
        ({"xnli": "ia3"}, "scales outputs"),
        ({"xnli": {"use_gating": True}}, "gates that depend on the input"),
        ({"xnli": "full"}, "there is no adapter"),
        ({"mnli": "lora", "xnli": "lora"}, "'mnli, xnli' are several adapters"),
    ],
)
def test_what_cannot_be_merged_is_refused(adapters: dict[str, Any], says: str) -> None:
    from adapterstilts.models.expression import Single

    configs = {
        name: adapter_config_json("lora") | config if isinstance(config, dict) else adapter_config_json(config)
        for name, config in adapters.items()
    }
    expression = Single("mnli") if "mnli" in adapters else Nothing()
    with pytest.raises(ExpressionError, match=f"--merge-lora: .*{says}.*eave the option out"):
        check_mergeable(Composition(expression, "xnli", HEAD, configs))
