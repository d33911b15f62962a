"""AdapterFusion of ``seq_bn`` adapters on an XLM-R, written out (Pfeiffer et al. 2021, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, relu

from adapterstilts.models.backbone import ComposedModel


def by_hand(composed: ComposedModel, batch: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return the last hidden states of a fusion, with or without an adapter on top, and its attention in each layer.

    Returns:
        shapes (batch, length, hidden) and, a layer, (batch, length, adapters).
    """
    model: Any = composed.model
    model.eval()
    encoder, state = model.base_model, dict(model.state_dict())
    composition = composed.composition
    attention = []
    with torch.no_grad():
        hidden = encoder.embeddings(input_ids=batch["input_ids"])
        mask = torch.where(batch["attention_mask"].bool(), 0.0, torch.finfo(hidden.dtype).min)[:, None, None, :]
        for number, layer in enumerate(encoder.encoder.layer):
            prefix = f"{model.base_model_prefix}.encoder.layer.{number}.output"

            def weights(module: str, name: str, prefix: str = prefix) -> tuple[Tensor, Tensor | None]:
                path = f"{prefix}.{module}.{name}"
                return state[f"{path}.weight"], state.get(f"{path}.bias")

            def bottleneck(name: str, values: Tensor, weights: Any = weights) -> Tensor:
                down = relu(linear(values, *weights(f"adapters.{name}", "adapter_down.0")))
                return linear(down, *weights(f"adapters.{name}", "adapter_up"))

            attended = layer.attention(hidden, attention_mask=mask)[0]
            dense = layer.output.dense(layer.intermediate(attended))
            query = layer.output.LayerNorm(dense + attended)
            ups = torch.stack([bottleneck(name, query) for name in composition.expression.names], dim=2)
            fusion = f"adapter_fusion_layer.{composition.fusion_name}"
            queries = linear(query, *weights(fusion, "query"))
            keys, values = (linear(ups, *weights(fusion, name)) for name in ("key", "value"))
            attention.append(torch.einsum("blh,blnh->bln", queries, keys).softmax(dim=-1))
            out = torch.einsum("bln,blnh->blh", attention[-1], values) + dense
            if composition.top is not None:
                out = out + bottleneck(composition.top, layer.output.LayerNorm(out + attended))
            hidden = layer.output.LayerNorm(out + attended)
    return hidden, attention


def head_by_hand(composed: ComposedModel, hidden: Tensor) -> Tensor:
    """Return what the composition's head makes of hidden states, as ``toy_compositions.logits_of`` does."""
    model: Any = composed.model
    values = hidden[:, 0] if composed.composition.head.kind == "classification" else hidden
    with torch.no_grad():
        for module in model.heads[composed.head or composed.composition.head_name]:
            values = module(values)
    return torch.stack(values.unbind(dim=-1)) if hidden.ndim == values.ndim else values[None]
