"""AdapterFusion (Pfeiffer et al. 2021) in the space of the bottlenecks: the library's function, nearly free.

The adapters library lets every fused adapter k write its full output and multiplies all of them by the key and by the
value matrix: two products of d x d for each adapter and token. With d the hidden size and r the width of a bottleneck,
the output of an adapter is ``u_k = c_k * (U_k z_k + b_k)``, where ``z_k = f(D_k x + e_k)`` and c is its scaling. The
layer norm, gate, dropout and residual that the library puts after it take no part in a fusion. Scores and sum are
linear in z. With ``U'_k = c_k * U_k``, ``b'_k = c_k * b_k`` and x' the input of the query:

    s_k = (Q x' + q)^T (K u_k + h)
        = z_k . (P_k x' + p_k) + (g_k . x' + l_k)       P_k = (K U'_k)^T Q       p_k = (K U'_k)^T q
                                                        g_k = Q^T (K b'_k + h)   l_k = q . (K b'_k + h)
    a   = softmax(dropout(s) / T)
    y   = sum_k a_k V u_k + residual
        = sum_k (V U'_k) (a_k z_k) + (V b'_k) a_k + residual

where Q with bias q, K with bias h and V are the query, key and value of the fusion, and the identity where its
configuration leaves one out. As V has no bias, it does not matter whether it is applied before or after the softmax.
The scores, on which the dropout is drawn, have the library's shape and values, so it draws the same. The terms that all
scores share (those of h) stay: behind dropout they are no longer shared.

The products of weights are made anew where gradients are wanted, in single precision also under autocast, and autograd
takes them back to the parameters, which stay where the library has them. In inference on a CPU they are kept until a
weight changes. What this does not cover is left to the library, layer by layer: ``fusion_paths`` tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PROBES = 16
"""How many values of each weight are compared with what they were when the kept products were made."""


def install(model: Any) -> None:
    """Let every layer of a model fuse adapters in the space of their bottlenecks."""
    from adapters.methods.bottleneck import BottleneckLayer

    for layer in model.modules():
        if isinstance(layer, BottleneckLayer) and not isinstance(vars(layer).get("compose_fuse"), FastFusion):
            layer.compose_fuse = FastFusion(layer)


def uninstall(model: Any) -> None:
    """Give all layers of a model the library's own fusion back."""
    for layer in model.modules():
        if isinstance(vars(layer).get("compose_fuse"), FastFusion):
            del layer.compose_fuse


def fusion_paths(model: Any) -> dict[str, str]:
    """Tell how the active fusion is worked out, by the name of the layer.

    Returns:
        ``""`` for a layer where it is fast now, in the mode of training or inference that the model is in; otherwise
        why it is left to the library. Layers without a fusion, or without its adapters, are not named.
    """
    from adapters.methods.bottleneck import BottleneckLayer

    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, BottleneckLayer):
            for setup in _fusions(layer.get_active_setup()):
                fast = vars(layer).get("compose_fuse")
                found[name] = fast.obstacle(setup) if isinstance(fast, FastFusion) else "it is not installed"
    return found


def _fusions(setup: Any) -> Iterator[Any]:
    from adapters.composition import Fuse

    if isinstance(setup, Fuse):
        yield setup
    for child in getattr(setup, "children", ()):
        yield from _fusions(child)


@dataclass(frozen=True)
class Products:
    """What the weights of a layer's fusion come to; R is the sum of the widths of its K adapters."""

    down: Tensor
    """All down-projections, one below the other, (R, d)."""
    down_bias: Tensor
    """(R,)"""
    score: Tensor
    """All P, then all g, (R + K, d)."""
    score_bias: Tensor
    """All p, then all l, (R + K,)."""
    output: Tensor
    """All V U' side by side, then all V b', (d, R + K)."""
    first: tuple[Tensor, Tensor] | None
    """Down-projections and scores in one, (2R + K, d) and (2R + K,), where no gradients are wanted."""


@dataclass(frozen=True)
class Parts:
    """The library's modules of a layer's fusion."""

    adapters: Sequence[Any]
    """``Adapter`` or ``ParallelAdapter``."""
    fusion: Any
    """``BertFusion``."""
    weights: Sequence[Tensor]
    """Of both, all that ``Products`` are made of but for scalings that are plain numbers."""


class FastFusion:
    """Stands in for the method ``compose_fuse`` of one layer."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.library = layer.compose_fuse
        self._kept: _Kept | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kept": None}

    def __call__(self, adapter_setup: Any, state: Any, lvl: int = 0) -> Any:
        """Fuse adapters; arguments and result are those of ``BottleneckLayer.compose_fuse``."""
        parts = self._parts(adapter_setup)
        if isinstance(parts, str):
            return self.library(adapter_setup, state, lvl=lvl)
        config, _ = self.layer.adapters_config.get_fusion(adapter_setup.name)
        last = adapter_setup.last()
        hidden, query, residual = self.layer.adapters[last].pre_forward(
            state.hidden_states, state.input_tensor, state.layer_norm, fusion_config=config
        )
        output = fused(hidden, query, residual, parts, self.products(parts))
        return state._replace(hidden_states=output, adapter_residual=residual, last=last)

    def obstacle(self, adapter_setup: Any) -> str:
        """Return why the library has to work this fusion out, or nothing."""
        parts = self._parts(adapter_setup)
        return parts if isinstance(parts, str) else ""

    def products(self, parts: Parts) -> Products:
        """Return the products of the weights as they are now."""
        import torch

        weights = parts.weights
        keeps = weights[0].device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if not keeps or any(weight.is_inference() or not weight.is_contiguous() for weight in weights):
            return make_products(parts)
        if self._kept is None or not self._kept.holds(parts):
            self._kept = _Kept(make_products(parts), parts)
        return self._kept.products

    def _parts(self, adapter_setup: Any) -> Parts | str:
        """Return the parts of a fusion, or why the library has to work it out."""
        from adapters.context import ForwardContext

        context, layer = ForwardContext.get_context(), self.layer
        if getattr(context, "output_adapter_gating_scores", False):
            return "gating scores are asked for"
        if getattr(context, "output_adapter_fusion_attentions", False):
            return "the weights of the fusion are asked for"
        if any(not isinstance(child, str) for child in adapter_setup):
            return "it fuses compositions"
        if adapter_setup.last() not in layer.adapters or adapter_setup.name not in layer.adapter_fusion_layer:
            return "this layer lacks the fusion or its last adapter"
        adapters = [layer.adapters[name] for name in adapter_setup if name in layer.adapters]
        fusion = layer.adapter_fusion_layer[adapter_setup.name]
        if odd := _odd_fusion(fusion) or next(filter(None, map(_odd_adapter, adapters)), ""):
            return odd
        parts = Parts(adapters, fusion, _weights(adapters, fusion))
        if len({(weight.device, weight.dtype) for weight in parts.weights}) > 1:
            return "its weights are of several devices or precisions"
        return parts


class _Kept:
    """Products, and what tells that the weights are still those they were made of.

    A tensor's count of changes is not enough: fused optimisers, which the Trainer uses, do not count theirs, nor does
    what goes through ``tensor.data``. So some values of each weight are compared, too. The views of them also keep the
    memory of the weights from being given to others.
    """

    def __init__(self, products: Products, parts: Parts) -> None:
        import torch

        self.products = products
        self.stamp = _stamp(parts)
        flat = [weight.detach().view(-1) for weight in parts.weights]
        self.views = [values[:: max(1, len(values) // PROBES)] for values in flat]
        self.values = torch.cat(self.views)

    def holds(self, parts: Parts) -> bool:
        """Tell whether the weights are the same, and unchanged."""
        import torch

        return self.stamp == _stamp(parts) and torch.equal(self.values, torch.cat(self.views))


def _stamp(parts: Parts) -> tuple[Any, ...]:
    scalings = [adapter.scaling for adapter in parts.adapters if isinstance(adapter.scaling, float)]
    return (*scalings, *((id(weight), weight.data_ptr(), weight._version) for weight in parts.weights))


def _weights(adapters: Sequence[Any], fusion: Any) -> list[Tensor]:
    found = []
    for adapter in adapters:
        down, up = adapter.adapter_down[0], adapter.adapter_up
        found += [down.weight, down.bias, up.weight, up.bias]
        if not isinstance(adapter.scaling, float):
            found.append(adapter.scaling)
    for part in ("query", "key"):
        if fusion.config[part]:
            found += [getattr(fusion, part).weight, getattr(fusion, part).bias]
    return [*found, fusion.value.weight] if fusion.config["value"] else found


def make_products(parts: Parts) -> Products:
    """Multiply the weights of a fusion with those of its adapters, for as many tokens as come."""
    import torch

    adapters, fusion = parts.adapters, parts.fusion
    downs = [adapter.adapter_down[0] for adapter in adapters]
    with torch.autocast(downs[0].weight.device.type, enabled=False):
        ups = torch.cat([_scaled(adapter.adapter_up.weight, adapter.scaling) for adapter in adapters], dim=1)
        biases = torch.cat([_scaled(adapter.adapter_up.bias.unsqueeze(1), adapter.scaling) for adapter in adapters], 1)
        written = torch.cat([ups, biases], dim=1)  # (d, R + K), as are the keys
        keys = output = written
        if fusion.config["key"]:
            shared = fusion.key.bias.unsqueeze(1).expand_as(biases)
            keys = fusion.key.weight @ written + torch.cat([torch.zeros_like(ups), shared], dim=1)
        if fusion.config["query"]:
            score, score_bias = keys.T @ fusion.query.weight, keys.T @ fusion.query.bias
        else:
            score, score_bias = keys.T, keys.new_zeros(keys.shape[1])
        if fusion.config["value"]:
            output = fusion.value.weight @ written
        down, down_bias = torch.cat([layer.weight for layer in downs]), torch.cat([layer.bias for layer in downs])
        frozen = not torch.is_grad_enabled()
        first = (torch.cat([down, score]), torch.cat([down_bias, score_bias])) if frozen else None
    return Products(down, down_bias, score, score_bias, output, first)


def _scaled(weight: Tensor, scaling: Any) -> Tensor:
    """Return a weight whose rows are hidden dimensions, times a number, one learned number or one a dimension."""
    if isinstance(scaling, float):
        return weight if scaling == 1.0 else weight * scaling
    return weight * scaling.unsqueeze(1)


def fused(hidden: Tensor, query: Tensor, residual: Tensor, parts: Parts, products: Products) -> Tensor:
    """Return the output of a fusion, and lower its temperature by a step as the library does.

    Args:
        hidden: input of the adapters, (batch, length, d).
        query: input of the query, (batch, length, d).
        residual: added to the output, (batch, length, d).
        parts: the modules.
        products: of their weights.
    """
    import torch
    from torch.nn.functional import linear

    fusion, widths = parts.fusion, [adapter.adapter_up.in_features for adapter in parts.adapters]
    sizes = [sum(widths), len(widths)]
    if query is hidden and products.first is not None:
        units, asked, level = linear(hidden, *products.first).split([sizes[0], *sizes], dim=-1)
    else:
        units = linear(hidden, products.down, products.down_bias)
        asked, level = linear(query, products.score, products.score_bias).split(sizes, dim=-1)
    units = _activated(units, parts.adapters, widths)
    scores = fusion.dropout(_summed(asked * units, widths) + level)
    shares = torch.softmax(scores / fusion.T, dim=-1)
    fusion.T = max(fusion.T - fusion.reduction, 1.0)
    taken = torch.cat([_shared(units, shares, widths), shares], dim=-1)
    output = torch.addmm(residual.flatten(0, 1), taken.flatten(0, 1), products.output.T)
    return output.view(residual.shape)


def _activated(values: Tensor, adapters: Sequence[Any], widths: list[int]) -> Tensor:
    """Apply the non-linearity of each adapter to its units."""
    import torch

    functions = [adapter.non_linearity.f for adapter in adapters]
    if len({type(function) if isinstance(function, torch.nn.Module) else function for function in functions}) == 1:
        result: Tensor = functions[0](values)
        return result
    parts = values.split(widths, dim=-1)
    return torch.cat([function(part) for function, part in zip(functions, parts, strict=True)], dim=-1)


def _summed(values: Tensor, widths: list[int]) -> Tensor:
    """Return the sum over the units of each adapter, (batch, length, K)."""
    import torch

    if len(set(widths)) == 1:
        return values.unflatten(-1, (len(widths), -1)).sum(dim=-1)
    return torch.stack([part.sum(dim=-1) for part in values.split(widths, dim=-1)], dim=-1)


def _shared(units: Tensor, shares: Tensor, widths: list[int]) -> Tensor:
    """Return the units of each adapter times its share, (batch, length, R)."""
    import torch

    if len(set(widths)) == 1:
        return (units.unflatten(-1, (len(widths), -1)) * shares.unsqueeze(-1)).flatten(-2)
    pairs = zip(units.split(widths, dim=-1), shares.split(1, dim=-1), strict=True)
    return torch.cat([part * share for part, share in pairs], dim=-1)


def _odd_fusion(fusion: Any) -> str:
    from adapters.methods.modeling import BertFusion

    parts = [getattr(fusion, name) for name in ("query", "key", "value") if fusion.config[name]]
    if type(fusion) is not BertFusion or _hooked(fusion) or not all(map(_plain_linear, parts)):
        return "its layers are changed or watched by hooks"
    return "it adds the residual to the adapters (residual_before)" if fusion.config["residual_before"] else ""


def _odd_adapter(adapter: Any) -> str:
    from adapters.methods.modeling import Adapter, ParallelAdapter

    name = f"adapter '{adapter.name}'"
    if adapter.add_layer_norm_before:
        return f"{name} has a layer norm before its bottleneck"
    parts = list(adapter.adapter_down)
    if type(adapter) not in (Adapter, ParallelAdapter) or len(parts) != 2 or _hooked(adapter) or _hooked(parts[1]):
        return f"{name} is changed or watched by hooks"
    if not _plain_linear(parts[0]) or not _plain_linear(adapter.adapter_up):
        return f"the projections of {name} are no plain matrices, or are watched by hooks"
    if getattr(adapter.non_linearity.f, "_parameters", None):
        return f"the non-linearity of {name} has weights"
    if adapter.training and (adapter.dropout.p > 0 or hasattr(adapter, "DropPath")):
        return f"{name} draws dropout of its own in training"
    return ""


def _plain_linear(module: Any) -> bool:
    from torch.nn import Linear

    return type(module) is Linear and not _hooked(module)


def _hooked(module: Any) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or "forward" in vars(module)
