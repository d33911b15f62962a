"""A single bottleneck layer of the adapters library with a fusion, without the encoder around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from adapters import AdapterConfig, AdapterFusionConfig
from adapters.composition import Fuse, Stack
from adapters.configuration.model_adapters_config import ModelAdaptersConfig
from adapters.methods.bottleneck import BottleneckLayer
from transformers import BertConfig

from adapterstilts.models.fast_fusion import install, uninstall

TOP = "top"


def make_layer(
    adapters: Sequence[Mapping[str, Any]],
    *,
    config: str = "seq_bn",
    hidden: int = 16,
    place: str = "output_adapter",
    setup: Callable[[list[str]], Any] | None = None,
    fusion: Mapping[str, Any] | None = None,
    dropout: float = 0.0,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> BottleneckLayer:
    """Make a layer with adapters ``a0``, ``a1`` and so on, their fusion, and ``top``, all weights drawn from the seed.

    Args:
        adapters: what each differs in from ``config``.
        config: name of a configuration of the adapters library.
        hidden: size of the hidden states.
        place: where in a transformer's layer it sits.
        setup: makes the active composition of the adapters' names; by default their fusion with ``top`` on it.
        fusion: what the fusion differs in from the library's ``dynamic``.
        dropout: of the fusion.
        dtype: of the weights.
        seed: of the weights.
    """
    names = [f"a{number}" for number in range(len(adapters))]
    configs = ModelAdaptersConfig()
    layer: Any = BottleneckLayer(place)
    layer.init_adapters(BertConfig(hidden_size=hidden, attention_probs_dropout_prob=dropout), configs)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, changes in (*zip(names, adapters, strict=True), (TOP, {})):
            configs.add(name, AdapterConfig.load(config, **({"reduction_factor": 4} | dict(changes))))
            layer.add_adapter(name, 0)
        configs.add_fusion(names, AdapterFusionConfig.load("dynamic", **dict(fusion or {})))
        layer.add_fusion_layer(names)
        layer.layer_norm = torch.nn.LayerNorm(hidden)
        layer.to(dtype)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(torch.randn(parameter.shape, dtype=dtype) * 0.5)
    configs.active_setup = setup(names) if setup else Stack(Fuse(*names), TOP)
    install(layer)
    layer.eval()
    return layer  # type: ignore[no-any-return]


def inputs_of(layer: Any, batch: int = 3, length: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Return hidden states and the input of the residual connection."""
    weight = layer.layer_norm.weight
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(2, batch, length, len(weight), generator=generator, dtype=torch.float64)
    return drawn[0].to(weight.dtype), drawn[1].to(weight.dtype)


def run(layer: Any, *, seed: int = 0, **sizes: int) -> torch.Tensor:
    """Return the layer's output for ``inputs_of``, with dropout drawn from the seed."""
    hidden, residual = inputs_of(layer, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        output: torch.Tensor = layer(hidden, residual, layer.layer_norm)
    return output


def run_library(layer: Any, *, seed: int = 0, **sizes: int) -> torch.Tensor:
    """Return what the library makes of the same."""
    uninstall(layer)
    try:
        return run(layer, seed=seed, **sizes)
    finally:
        install(layer)


def gradients(layer: Any, runs: Callable[[Any], torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the gradients of all weights for a random weighing of the output."""
    tensors = dict(layer.named_parameters())
    output = runs(layer)
    weighing = torch.randn(output.shape, generator=torch.Generator().manual_seed(2), dtype=output.dtype)
    found = torch.autograd.grad((output * weighing).sum(), list(tensors.values()), allow_unused=True)
    return {name: gradient for name, gradient in zip(tensors, found, strict=True) if gradient is not None}
