"""The fusion in bottleneck space is the library's function, of the same weights, as they are now."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adapters import AdapterConfig, AutoAdapterModel
from adapters.composition import Fuse, Stack
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_compositions import HEAD, MakeComposition, batch_of, logits_of, randomised
from toy_encoders import ENCODERS, in_memory
from toy_fusion import gradients, inputs_of, make_layer, run, run_library
from transformers import PreTrainedTokenizerFast

from adapterstilts.models.backbone import Backbone, build
from adapterstilts.models.fast_fusion import FastFusion, fusion_paths, install, uninstall

WIDTHS = [{"reduction_factor": factor} for factor in (2, 16, 4)]


def assert_fast(layer: Any) -> None:
    assert set(fusion_paths(layer).values()) == {""}


def assert_same(layer: Any, tolerance: float = 1e-10) -> None:
    """Assert equal output with and without gradients, twice, since the second time products are kept."""
    assert_fast(layer)
    expected = run_library(layer)
    for _ in range(2):
        torch.testing.assert_close(run(layer), expected, atol=tolerance, rtol=tolerance)
        with torch.no_grad():
            torch.testing.assert_close(run(layer), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("config", ["seq_bn", "double_seq_bn", "par_bn"])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_outputs_are_those_of_the_library(count: int, config: str, dtype: torch.dtype, tolerance: float) -> None:
    for place in ("output_adapter", *(("mh_adapter",) if config == "double_seq_bn" else ())):
        assert_same(make_layer([{}] * count, config=config, dtype=dtype, place=place), tolerance)


@pytest.mark.parametrize(
    "changes",
    [
        WIDTHS,
        [{"non_linearity": name} for name in ("relu", "swish", "leakyrelu")],
        [{"scaling": value} for value in (1.0, 2.5, "learned", "channel")],
        [{"ln_after": True}, {}],
        [{"use_gating": True}, {}],
        [{"original_ln_before": False}] * 2,
        [{"original_ln_after": False}] * 2,
        [{"residual_before_ln": "post_add"}] * 2,
        [{"residual_before_ln": False}] * 2,
        [{"adapter_residual_before_ln": True}] * 2,
        [{"is_parallel": True}, {}],
        [{"dropout": 0.5}, {}],
    ],
    ids=lambda changes: ",".join(sorted({key for change in changes for key in change})),
)
def test_adapters_may_differ_in_what_keeps_the_function(changes: list[dict[str, Any]]) -> None:
    assert_same(make_layer(changes))


@pytest.mark.parametrize(
    "fusion",
    [
        {"value": False},
        {"query": False},
        {"key": False},
        {"query": False, "key": False, "value": False},
        {"query_before_ln": True},
        {"value_before_softmax": False},
        {"value_initialized": False},
    ],
    ids=str,
)
def test_every_form_of_the_fusion_is_the_same(fusion: dict[str, Any]) -> None:
    layer = make_layer(WIDTHS, fusion=fusion)
    assert_same(layer)
    assert_same_gradients(layer)


def test_the_temperature_falls_as_in_the_library() -> None:
    """Each pass, also in inference, lowers it by a thousandth of 50."""
    layer: Any = make_layer([{}] * 2, fusion={"temperature": True})
    other = copy.deepcopy(layer)
    for _ in range(3):
        torch.testing.assert_close(run(layer), run_library(other), atol=1e-10, rtol=1e-10)
        assert layer.adapter_fusion_layer["a0,a1"].T == other.adapter_fusion_layer["a0,a1"].T
    assert round(layer.adapter_fusion_layer["a0,a1"].T, 6) == 49.85


def assert_same_gradients(layer: Any) -> None:
    assert_fast(layer)
    ours, theirs = gradients(layer, run), gradients(layer, run_library)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-9, rtol=1e-9, msg=lambda text, name=name: name + text)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("changes", [[{}], [{}] * 3, WIDTHS, [{"scaling": "channel"}, {"scaling": "learned"}]])
def test_gradients_are_those_of_the_library(changes: list[dict[str, Any]], dropout: float) -> None:
    """Of all weights: query, key and value, and the adapters', where these are trained, too."""
    layer: Any = make_layer(changes, dropout=dropout)
    layer.train()
    found = gradients(layer, run)
    assert {name.split(".")[-2] for name in found if "fusion" in name} == {"query", "key", "value"}
    assert {"a0", "top"} <= {name.split(".")[1] for name in found}
    assert_same_gradients(layer)


def test_gradients_of_the_input_are_those_of_the_library() -> None:
    layer: Any = make_layer(WIDTHS)
    seen = []
    for switch in (install, uninstall):
        switch(layer)
        tensors = [tensor.requires_grad_() for tensor in inputs_of(layer)]
        seen.append(torch.autograd.grad(layer(*tensors, layer.layer_norm).pow(2).sum(), tensors))
    for ours, theirs in zip(*seen, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("changes", [[{}] * 3, WIDTHS])
def test_dropout_draws_what_the_library_draws(changes: list[dict[str, Any]]) -> None:
    layer = make_layer(changes, dropout=0.5)
    layer.train()
    outputs = [run(layer, seed=seed) for seed in (0, 1)]
    for seed, output in enumerate(outputs):
        torch.testing.assert_close(output, run_library(layer, seed=seed), atol=1e-10, rtol=1e-10)
    assert not torch.allclose(*outputs)


@given(
    st.integers(1, 5),
    st.integers(1, 24),
    st.integers(1, 4),
    st.integers(1, 7),
    st.lists(st.sampled_from([1, 2, 4.5, 16]), min_size=5, max_size=5),
    st.sampled_from(["seq_bn", "par_bn"]),
    st.integers(0, 100),
)
@settings(max_examples=30, deadline=None)
def test_any_shape(
    count: int, hidden: int, batch: int, length: int, factors: list[float], config: str, seed: int
) -> None:
    changes = [{"reduction_factor": min(factor, hidden)} for factor in factors[:count]]
    layer = make_layer(changes, config=config, hidden=hidden, seed=seed, dropout=0.2)
    layer.train()
    assert_fast(layer)
    sizes = {"batch": batch, "length": length}
    torch.testing.assert_close(run(layer, **sizes), run_library(layer, **sizes), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    "setup",
    [
        lambda names: Fuse(*names),
        lambda names: Stack(names[0], Fuse(*names), "top"),
        lambda names: Stack("top", Fuse(*names)),
        lambda names: Stack(Fuse(*names), names[1]),
    ],
    ids=["nothing on top", "one below", "the last", "one of its own on top"],
)
def test_the_fusion_may_stand_anywhere(setup: Callable[[list[str]], Any]) -> None:
    layer = make_layer([{}] * 2, setup=setup)
    assert_same(layer)
    assert_same_gradients(layer)


def test_an_adapter_that_leaves_the_layer_out_has_no_part() -> None:
    layer: Any = make_layer([{}] * 3)
    del layer.adapters["a1"]
    assert_same(layer)
    kept = run(layer)
    del layer.adapters["a2"]
    assert fusion_paths(layer) == {"": "this layer lacks the fusion or its last adapter"}
    with pytest.raises(KeyError):  # the library's own
        run(layer)
    assert kept.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "fusion", "reason"),
    [
        ([{}, {}], {"residual_before": True}, "residual_before"),
        ([{}, {"ln_before": True}], {}, "'a1' has a layer norm before"),
        (
            [{"phm_layer": True, "phm_dim": 2, "shared_phm_rule": False}, {}],
            {},
            "'a0' are no plain matrices",
        ),
    ],
    ids=["residual_before", "ln_before", "phm_layer"],
)
def test_what_is_another_function_is_left_to_the_library(
    changes: list[dict[str, Any]], fusion: dict[str, Any], reason: str
) -> None:
    layer = make_layer(changes, fusion=fusion)
    assert reason in fusion_paths(layer)[""]
    assert torch.equal(run(layer), run_library(layer))


def test_dropout_of_an_adapter_is_the_librarys_in_training_only() -> None:
    layer = make_layer([{"dropout": 0.5}, {}])
    assert_fast(layer)
    layer.train()
    assert fusion_paths(layer) == {"": "adapter 'a0' draws dropout of its own in training"}
    assert torch.equal(run(layer), run_library(layer))


def test_fused_compositions_are_left_to_the_library() -> None:
    layer = make_layer([{}] * 2, setup=lambda names: Stack(Fuse(*(Stack("top", name) for name in names)), "top"))
    assert fusion_paths(layer) == {"": "it fuses compositions"}
    assert torch.equal(run(layer), run_library(layer))


@pytest.mark.parametrize("module", ["adapters.a0", "adapters.a0.adapter_up", "adapter_fusion_layer.a0,a1.key"])
def test_hooks_see_what_they_see_in_the_library(module: str) -> None:
    layer: Any = make_layer([{}] * 2)
    parent, name = module.rsplit(".", 1) if "," not in module else ("adapter_fusion_layer", "a0,a1")
    watched = layer.get_submodule(parent)._modules[name]
    watched = watched.key if module.endswith("key") else watched
    calls: list[Any] = []
    handle = watched.register_forward_hook(lambda *values: calls.append(values))
    run(layer)
    assert calls
    assert "watched by hooks" in fusion_paths(layer)[""]
    handle.remove()
    assert_same(layer)


def test_weights_of_two_precisions_are_left_to_the_library() -> None:
    layer: Any = make_layer([{}] * 2)
    layer.adapters["a0"].float()
    assert fusion_paths(layer) == {"": "its weights are of several devices or precisions"}
    assert FastFusion(layer).obstacle(layer.adapters_config.active_setup.children[0])


def added(layer: Any) -> None:
    """In place, as ``copy_`` and plain optimisers do."""
    with torch.no_grad():
        layer.adapters["a1"].adapter_up.weight.add_(1.0)


def added_in_inference_mode(layer: Any) -> None:
    with torch.inference_mode():
        layer.adapter_fusion_layer["a0,a1"].query.bias.add_(1.0)


def added_unseen(layer: Any) -> None:
    """``data`` shares the memory and not the count of changes."""
    layer.adapters["a0"].adapter_down[0].weight.data.add_(1.0)


def replaced(layer: Any) -> None:
    weight = layer.adapter_fusion_layer["a0,a1"].value.weight
    weight.data = weight.data * 2
    weight.data = weight.data * 2


def replaced_parameter(layer: Any) -> None:
    query = layer.adapter_fusion_layer["a0,a1"].query
    query.bias = torch.nn.Parameter(query.bias.detach() + 1)


def loaded(layer: Any) -> None:
    layer.load_state_dict({key: tensor * 1.5 for key, tensor in layer.state_dict().items()})


def assigned(layer: Any) -> None:
    layer.load_state_dict({key: tensor * 1.5 for key, tensor in layer.state_dict().items()}, assign=True)


def stepped(layer: Any, **options: Any) -> None:
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.AdamW(layer.parameters(), lr=0.1, **options).step()


def stepped_fused(layer: Any) -> None:
    """The Trainer's default; it changes tensors without counting."""
    stepped(layer, fused=True)


def rescaled(layer: Any) -> None:
    layer.adapters["a0"].scaling = 3.0


def added_anew(layer: Any) -> None:
    del layer.adapters["a0"]
    layer.adapters_config.adapters.pop("a0")
    layer.adapters_config.add("a0", AdapterConfig.load("seq_bn", reduction_factor=2))
    layer.add_adapter("a0", 0)
    layer.to(torch.float64)
    layer.eval()


CHANGES = [
    added,
    added_in_inference_mode,
    added_unseen,
    replaced,
    replaced_parameter,
    loaded,
    assigned,
    stepped,
    stepped_fused,
    rescaled,
    added_anew,
]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_kept_products_are_never_stale(change: Callable[[Any], None], mode: Any) -> None:
    layer: Any = make_layer([{}] * 2)
    with mode():
        before = run(layer)
        products = layer.compose_fuse._kept.products
        assert torch.equal(run(layer), before)
        assert layer.compose_fuse._kept.products is products
    change(layer)
    assert_fast(layer)
    with mode():
        after = run(layer)
        torch.testing.assert_close(after, run_library(layer), atol=1e-10, rtol=1e-10)
    assert not torch.allclose(after, before)
    torch.testing.assert_close(run(layer), after.clone(), atol=1e-10, rtol=1e-10)


def test_kept_products_follow_the_precision() -> None:
    layer = make_layer([{}] * 2)
    with torch.no_grad():
        run(layer)
        layer.float()
        assert run(layer).dtype == torch.float32
        torch.testing.assert_close(run(layer), run_library(layer), atol=1e-5, rtol=1e-5)
        layer.double()
        torch.testing.assert_close(run(layer), run_library(layer), atol=1e-10, rtol=1e-10)


def test_copies_have_weights_of_their_own() -> None:
    layer: Any = make_layer([{}] * 2)
    with torch.inference_mode():
        before = run(layer)
    other = copy.deepcopy(layer)
    added(other)
    with torch.inference_mode():
        assert torch.equal(run(layer), before)
        torch.testing.assert_close(run(other), run_library(other), atol=1e-10, rtol=1e-10)
        assert not torch.allclose(run(other), before)


def test_switching_twice_is_switching_once() -> None:
    layer: Any = make_layer([{}] * 2)
    fast = layer.compose_fuse
    install(layer)
    assert layer.compose_fuse is fast
    uninstall(layer)
    uninstall(layer)
    assert not isinstance(layer.compose_fuse, FastFusion)
    assert fusion_paths(layer) == {"": "it is not installed"}


@pytest.mark.parametrize("kind", ENCODERS)
def test_built_models_are_fast_and_say_the_same(
    kind: str, toy_tokenizer: PreTrainedTokenizerFast, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    backbone = in_memory(kind, toy_tokenizer)
    composed = build(backbone, toy_composition("mnli+squad+siqa", "xnli", HEAD), seed=0)
    randomised(composed)
    paths = fusion_paths(composed.model)
    assert len(paths) == 2
    assert_fast(composed.model)
    batch = batch_of("mnli", backbone, toy_mirror)
    ours, keys = logits_of(composed, batch), composed.model.state_dict().keys()
    uninstall(composed.model)
    torch.testing.assert_close(logits_of(composed, batch), ours, atol=1e-5, rtol=1e-5)
    assert composed.model.state_dict().keys() == keys


def test_load_state_is_seen(toy_backbone: Backbone, toy_composition: MakeComposition, toy_mirror: Path) -> None:
    composed = build(toy_backbone, toy_composition("mnli+squad", "xnli", HEAD), seed=0)
    batch = batch_of("mnli", toy_backbone, toy_mirror)
    kept = composed.trained_state()
    before = logits_of(composed, batch)
    for part in ("adapters/mnli", "fusion"):
        tensors = {key: tensor + 0.1 for key, tensor in composed.state(part).items()}
        composed.load_state(part, tensors, where="The test")
    changed = logits_of(composed, batch)
    assert not torch.allclose(changed, before, atol=1e-3)
    uninstall(composed.model)
    torch.testing.assert_close(logits_of(composed, batch), changed, atol=1e-5, rtol=1e-5)
    install(composed.model)
    composed.restore(kept)
    restored = logits_of(composed, batch)
    assert not torch.allclose(restored, changed, atol=1e-3)


def test_the_regulariser_reaches_the_value_matrix(toy_backbone: Backbone, toy_composition: MakeComposition) -> None:
    composed = build(toy_backbone, toy_composition("mnli+squad", "xnli", HEAD), seed=0)
    randomised(composed)
    base: Any = composed.model.base_model
    penalty = base.get_fusion_regularization_loss()
    values = {key: value for key, value in composed.model.named_parameters() if key.endswith("value.weight")}
    fused = {key: value for key, value in values.items() if "fusion" in key}
    assert len(fused) == 2
    assert penalty.item() == pytest.approx(
        sum(0.01 * (torch.eye(32) - value).pow(2).sum().item() for value in fused.values()), rel=1e-5
    )
    penalty.backward()
    for value in fused.values():
        torch.testing.assert_close(value.grad, 0.02 * (value.detach() - torch.eye(32)))


def test_bfloat16_is_as_near_as_the_librarys(
    toy_backbone: Backbone, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    composed = build(toy_backbone, toy_composition("mnli+squad+siqa", "xnli", HEAD), seed=0)
    randomised(composed)
    batch = batch_of("mnli", toy_backbone, toy_mirror, 8)
    exact = logits_of(composed, batch)
    seen = []
    for switch in (install, uninstall):
        switch(composed.model)
        with torch.autocast("cpu", torch.bfloat16):
            seen.append(logits_of(composed, batch))
            composed.model(**batch).loss.backward()
    ours, theirs = (((logits - exact).abs().mean() / exact.abs().mean()).item() for logits in seen)
    assert ours < max(1.5 * theirs, 0.05)
    assert seen[0].dtype == seen[1].dtype


def test_the_library_gives_its_weights_of_the_fusion_when_asked(
    toy_backbone: Backbone, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    composed = build(toy_backbone, toy_composition("mnli+squad", "xnli", HEAD), seed=0)
    batch = batch_of("mnli", toy_backbone, toy_mirror)
    output = composed.model(**batch, output_adapter_fusion_attentions=True)
    shares = output.adapter_fusion_attentions["mnli,squad"][0]["output_adapter"]
    assert shares.shape == (*batch["input_ids"].shape, 2)
    assert shares.sum(-1) == pytest.approx(1, abs=1e-5)


def test_models_without_a_fusion_are_left_alone(toy_backbone: Backbone, toy_composition: MakeComposition) -> None:
    composed = build(toy_backbone, toy_composition("mnli", "xnli", HEAD), seed=0)
    assert fusion_paths(composed.model) == {}
    assert not any(isinstance(vars(module).get("compose_fuse"), FastFusion) for module in composed.model.modules())
    assert isinstance(composed.model, type(AutoAdapterModel.from_config(composed.model.config)))
