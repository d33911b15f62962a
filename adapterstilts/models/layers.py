"""Layers in which no adapter works (Rücklé et al. 2021, AdapterDrop, https://arxiv.org/abs/2010.11918).

They are counted from 0, the lowest. A configuration of an adapter names them as ``leave_out``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ExpressionError, SettingsError
from adapterstilts.models.full import is_full

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedModel

_PART = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


def read_layers(text: str) -> tuple[int, ...]:
    """Return the layers that a text such as ``0-2,5`` names, each once, in order.

    Raises:
        SettingsError: it names none, or is no such list.
    """
    layers: set[int] = set()
    for part in text.split(","):
        found = _PART.fullmatch(part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise SettingsError(
                f"--drop-layers must be a list of layers such as 0-4 or 0-2,5, counted from 0 (the lowest), not "
                f"'{text}'."
            )
        layers.update(range(first, last + 1))
    return tuple(sorted(layers))


def layers_text(layers: Collection[int]) -> str:
    """Return layers as ``read_layers`` reads them, in the one way in which they are written: ``0-2,5``."""
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and runs[-1][1] == layer - 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)


def check_layers(layers: Collection[int], count: int, *, what: str) -> None:
    """Compare dropped layers with those of a backbone.

    Args:
        layers: without adapters.
        count: of the backbone's layers.
        what: the backbone, for the message.

    Raises:
        SettingsError: it does not have one of them, or no layer would keep its adapter.
    """
    if beyond := [layer for layer in layers if layer >= count]:
        raise SettingsError(
            f"--drop-layers: '{what}' has {count} layers, 0 to {count - 1}, and no layer {layers_text(beyond)}."
        )
    if len(set(layers)) == count:
        raise SettingsError(
            f"--drop-layers {layers_text(layers)} are all the layers of '{what}'; at least one has to keep its adapter."
        )


def left_out(config: Mapping[str, Any]) -> frozenset[int]:
    """Return the layers in which an adapter of this configuration does not work."""
    return frozenset(config.get("leave_out") or ())


def leaving_out(name: str, config: Mapping[str, Any], layers: Collection[int]) -> dict[str, Any]:
    """Return a configuration of an adapter that works in all layers but these.

    Args:
        name: of the adapter, for messages.
        config: as the adapters library writes it.
        layers: to be left out.

    Raises:
        ExpressionError: the adapter has no weights for other layers, or adapters of this kind work in all of them.
    """
    if absent := left_out(config) - set(layers):
        told = layers_text(left_out(config))
        raise ExpressionError(
            f"The adapter '{name}' was trained without the layers {told}, and {layers_text(absent)} shall not be "
            f"dropped here, where it has nothing. Give --drop-layers {layers_text({*left_out(config), *layers})}, or "
            "choose another adapter with --use ID."
        )
    if not layers:
        return dict(config)
    if is_full(config):
        raise ExpressionError("--adapter full has no adapters that --drop-layers could drop; leave one of them out.")
    why = None
    if "prefix_length" in config:
        why = "keeps the prefixes of all layers in one tensor"
    elif config.get("inv_adapter"):
        why = "has an invertible part below all layers"
    elif "leave_out" not in config:
        why = "cannot be left out of single layers"
    if why:
        kind = config.get("architecture") or config.get("inv_adapter")
        raise ExpressionError(
            f"'{name}' is a {kind} adapter, which {why}; --drop-layers is for bottleneck adapters, lora and ia3 "
            "(--adapter seq_bn, say)."
        )
    return {**config, "leave_out": sorted(layers)}


def layer_prefixes(model: PreTrainedModel) -> tuple[str, ...]:
    """Return what the names of all tensors of a layer begin with, for each layer of a model, from the lowest."""
    return tuple(f"{name}." for name, _ in _layers(model))


def keys_outside(model: PreTrainedModel, keys: Iterable[str], layers: Collection[int]) -> list[str]:
    """Return the names of tensors that belong to none of these layers."""
    prefixes = tuple(prefix for layer, prefix in enumerate(layer_prefixes(model)) if layer in layers)
    return [key for key in keys if not key.startswith(prefixes)]


def delete_fusion(model: PreTrainedModel, fusion: str, layers: Collection[int]) -> None:
    """Take the fusion out of layers without adapters, where the adapters library makes one that is never used."""
    for layer, (_, module) in enumerate(_layers(model)):
        parts: list[Any] = list(module.modules()) if layer in layers else []
        for part in parts:
            if hasattr(part, "adapter_fusion_layer"):
                part.delete_fusion_layer(fusion)


def _layers(model: Any) -> list[tuple[str, Module]]:
    names = {id(module): name for name, module in model.named_modules()}
    return [(names[id(layer)], layer) for _, layer in model.iter_layers()]
