"""Layers without adapters: what is left, what is loaded, and what the model computes then (AdapterDrop)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_compositions import HEAD, MakeComposition, batch_of, copies, logits_of, randomised, same
from toy_encoders import ENCODERS, in_memory
from transformers import PreTrainedTokenizerFast

from adapterstilts.errors import ArtifactError, ExpressionError, SettingsError
from adapterstilts.models.backbone import Backbone, ComposedModel, build, layer_count, load_backbone
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.layers import check_layers, layer_prefixes, layers_text, leaving_out, left_out, read_layers

LAYER = "roberta.encoder.layer.{}."


def cut(whole: ComposedModel, folder: Path, *layers: int) -> ComposedModel:
    """Return the same model without adapters in some layers, built anew and filled with what is left."""
    composed = build(load_backbone(str(folder)), whole.composition.without(layers), seed=5)
    for part in whole.composition.parts:
        composed.load_state(part, whole.state(part), where="The whole", beyond=() if part == "head" else layers)
    return composed


@pytest.mark.parametrize(
    ("text", "layers", "written"),
    [
        ("0-4", (0, 1, 2, 3, 4), "0-4"),
        ("0,2", (0, 2), "0,2"),
        (" 5, 0-2 ", (0, 1, 2, 5), "0-2,5"),
        ("0,1", (0, 1), "0-1"),
        ("3-3,3", (3,), "3"),
    ],
)
def test_layers_are_read_and_written_in_one_way(text: str, layers: tuple[int, ...], written: str) -> None:
    assert read_layers(text) == layers
    assert layers_text(layers) == written


@given(st.sets(st.integers(0, 30), min_size=1))
def test_what_is_written_is_read_again(layers: set[int]) -> None:
    assert read_layers(layers_text(layers)) == tuple(sorted(layers))


@pytest.mark.parametrize("text", ["", "4-0", "-1", "0-", "a", "0;1", "0-1-2", "1.5", "0,,1", "99999"])
def test_what_is_no_list_of_layers_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=f"--drop-layers must be a list of layers such as 0-4 .*, not '{text}'"):
        read_layers(text)


def test_a_backbone_must_have_the_layers_and_keep_one() -> None:
    check_layers((0, 2), 3, what="toy")
    with pytest.raises(SettingsError, match="'toy' has 3 layers, 0 to 2, and no layer 3-4"):
        check_layers((0, 3, 4), 3, what="toy")
    with pytest.raises(SettingsError, match="0-2 are all the layers of 'toy'; at least one has to keep"):
        check_layers((0, 1, 2), 3, what="toy")


def test_the_layers_of_a_backbone_are_counted_from_its_configuration(toy_backbone_folder: Path) -> None:
    assert layer_count(str(toy_backbone_folder)) == 2


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder_has_its_layers_by_name(kind: str, toy_tokenizer: PreTrainedTokenizerFast) -> None:
    backbone = in_memory(kind, toy_tokenizer)
    prefixes = layer_prefixes(backbone.model)
    assert len(prefixes) == backbone.model.config.num_hidden_layers == 2
    names = list(backbone.model.state_dict())
    first, second = ({name[len(prefix) :] for name in names if name.startswith(prefix)} for prefix in prefixes)
    assert first == second != set()


def test_nothing_is_added_to_a_configuration_without_dropped_layers() -> None:
    for adapter in ("seq_bn", "prefix_tuning", "loreft"):
        config = adapter_config_json(adapter)
        assert leaving_out("mnli", config, ()) == config


@pytest.mark.parametrize(
    ("adapter", "why"),
    [
        ("prefix_tuning", "keeps the prefixes of all layers in one tensor"),
        ("seq_bn_inv", "has an invertible part below all layers"),
        ("prompt_tuning", "cannot be left out of single layers"),
        ("loreft", "cannot be left out of single layers"),
        ("mam", "cannot be left out of single layers"),
    ],
)
def test_kinds_that_work_in_all_layers_are_refused(adapter: str, why: str) -> None:
    with pytest.raises(ExpressionError, match=why):
        leaving_out("mnli", adapter_config_json(adapter), [0])


def test_an_adapter_without_a_layer_cannot_work_there() -> None:
    config = leaving_out("mnli", adapter_config_json("seq_bn"), [1, 0])
    assert config["leave_out"] == [0, 1]
    assert left_out(config) == {0, 1}
    assert leaving_out("mnli", config, [0, 1, 2])["leave_out"] == [0, 1, 2]
    with pytest.raises(ExpressionError, match=r"without the layers 0-1, and 1 shall not be dropped.*--drop-layers 0-2"):
        leaving_out("mnli", config, [0, 2])


def test_dropped_layers_have_no_adapter_and_no_fusion(toy_backbone: Backbone, toy_composition: MakeComposition) -> None:
    """The adapters library makes fusion layers there that are never used, and trains them (pitfall 19)."""
    composed = build(toy_backbone, toy_composition("mnli+squad", "xnli", HEAD).without([0]), seed=0)
    names = [key for part in composed.composition.parts if part != "head" for key in composed.keys[part]]
    assert all(key.startswith(LAYER.format(1)) for key in names)
    assert {part for part, keys in composed.keys.items() if not keys} == set()
    assert not [key for key in composed.model.state_dict() if key.startswith(LAYER.format(0)) and "adapter" in key]
    # hidden 32, bottleneck 8, one layer; query, key and value of a fusion; 32 to 32 to 3 in the head
    adapter, fusion, head = 32 * 8 + 8 + 8 * 32 + 32, 2 * (32 * 32 + 32) + 32 * 32, 32 * 32 + 32 + 32 * 3 + 3
    assert composed.trained_parameters == adapter + fusion + head


#: What takes the part of an adapter's tensor out of the sum, or out of the product.
NEUTRAL = {
    "seq_bn": {"adapter_up.weight": 0.0, "adapter_up.bias": 0.0},
    "double_seq_bn": {"adapter_up.weight": 0.0, "adapter_up.bias": 0.0},
    "compacter": {"adapter_up.W_left": 0.0, "adapter_up.b": 0.0},
    "lora": {"lora_B": 0.0},
    "ia3": {"lora_B": 1.0},
}


@pytest.mark.parametrize("expression", ["none", "mnli"])
@pytest.mark.parametrize("adapter", NEUTRAL)
def test_a_dropped_layer_computes_what_it_does_when_its_adapters_add_nothing(
    adapter: str, expression: str, toy_backbone_folder: Path, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    factor = 4 if "lora" not in adapter and adapter != "ia3" else None
    composition = toy_composition(expression, "xnli", HEAD, adapter=adapter, reduction_factor=factor)
    whole = build(load_backbone(str(toy_backbone_folder)), composition, seed=0)
    randomised(whole)
    batch = batch_of("mnli", whole.backbone, toy_mirror)
    unchanged = logits_of(whole, batch)
    dropped = logits_of(cut(whole, toy_backbone_folder, 0), batch)
    state = whole.model.state_dict()
    with torch.no_grad():
        for part in composition.parts[:-1]:
            found = [
                state[key].fill_(value)
                for key in whole.keys[part]
                for name, value in NEUTRAL[adapter].items()
                if key.startswith(LAYER.format(0)) and key.endswith(name)
            ]
            assert found
    torch.testing.assert_close(dropped, logits_of(whole, batch), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(dropped, unchanged, atol=1e-3)


@pytest.mark.parametrize("adapter", ["seq_bn", "double_seq_bn"])
def test_a_dropped_fusion_computes_what_it_does_when_the_layer_is_skipped(
    adapter: str, toy_backbone_folder: Path, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    """The library can skip layers by itself, though it keeps their weights."""
    composition = toy_composition("mnli+squad", "xnli", HEAD, adapter=adapter)
    whole = build(load_backbone(str(toy_backbone_folder)), composition, seed=0)
    randomised(whole)
    batch = batch_of("mnli", whole.backbone, toy_mirror)
    unchanged = logits_of(whole, batch)
    for layer in (0, 1):
        dropped = logits_of(cut(whole, toy_backbone_folder, layer), batch)
        whole.model.set_active_adapters(whole.model.active_adapters, skip_layers=[layer])
        torch.testing.assert_close(dropped, logits_of(whole, batch), rtol=1e-5, atol=1e-5)
        assert not torch.allclose(dropped, unchanged, atol=1e-3)


def test_below_the_first_adapter_no_gradient_is_worked_out(
    toy_backbone: Backbone, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    composed = build(toy_backbone, toy_composition("mnli+squad", "xnli", HEAD).without([0]), seed=0)
    composed.model.train()
    output = composed.model(**batch_of("mnli", toy_backbone, toy_mirror), output_hidden_states=True)
    assert [hidden.requires_grad for hidden in output.hidden_states] == [False, False, True]
    assert output.loss.requires_grad


def test_only_what_lies_in_dropped_layers_is_passed_over(
    toy_backbone_folder: Path, toy_composition: MakeComposition
) -> None:
    whole = build(load_backbone(str(toy_backbone_folder)), toy_composition("none", "xnli", HEAD), seed=0)
    randomised(whole)
    part, given = "adapters/xnli", copies(whole.state("adapters/xnli"))
    composed = cut(whole, toy_backbone_folder, 0)
    left = {key: tensor for key, tensor in given.items() if key.startswith(LAYER.format(1))}
    assert same(composed.state(part), left)
    with pytest.raises(ArtifactError, match=r"layer\.0\."):
        composed.load_state(part, given, where="It")
    with pytest.raises(ArtifactError, match=r"layer\.1\."):
        composed.load_state(part, given, where="It", beyond=(1,))
    with pytest.raises(ArtifactError, match="odd"):
        composed.load_state(part, given | {"odd": torch.zeros(1)}, where="It", beyond=(0,))


def test_layers_that_a_backbone_does_not_have_are_refused(
    toy_backbone: Backbone, toy_composition: MakeComposition
) -> None:
    for layers, says in (([2], "no layer 2"), ([0, 1], "all the layers")):
        with pytest.raises(SettingsError, match=says):
            build(toy_backbone, toy_composition("none", "xnli", HEAD).without(layers), seed=0)


@pytest.mark.parametrize("odd", ["squad", "xnli"])
def test_adapters_that_are_left_out_of_different_layers_are_not_fused(
    odd: str, toy_backbone: Backbone, toy_composition: MakeComposition
) -> None:
    """The library fails with a KeyError where the last one leaves out a layer (pitfall 19)."""
    composition = toy_composition("mnli+squad", "xnli", HEAD)
    adapters = {**composition.adapters, odd: leaving_out(odd, composition.adapters[odd], [0])}
    with pytest.raises(ExpressionError, match=r"left out of different layers \(none and 0\)"):
        build(toy_backbone, dataclasses.replace(composition, adapters=adapters), seed=0)
