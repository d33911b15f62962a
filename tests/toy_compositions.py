"""Compositions on the toy backbone, batches for them, and their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from adapterstilts.data.collate import Collator
from adapterstilts.data.rows import load_rows
from adapterstilts.models.backbone import Backbone, ComposedModel
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config_json, fusion_config_json
from adapterstilts.models.expression import Fusion, reduced
from adapterstilts.models.grammar import parse
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded, EncodingSettings, HeadSpec

HEAD = HeadSpec("classification", 3, ("entailment", "neutral", "contradiction"))
MakeComposition = Callable[..., Composition]


def make_composition(
    expression: str, top: str, head: HeadSpec, adapter: str = "seq_bn", reduction_factor: float | None = 4
) -> Composition:
    """Make a composition of toy adapters, all of one configuration."""
    parsed = reduced(parse(expression))
    config = adapter_config_json(adapter, reduction_factor=reduction_factor)
    fusion = fusion_config_json() if isinstance(parsed, Fusion) else None
    return Composition(parsed, top, head, {name: dict(config) for name in (*parsed.names, top)}, fusion)


def encoded(task_name: str, backbone: Backbone, mirror: Path, count: int) -> Encoded:
    """Return the first training rows of a task as features."""
    task = get_task(task_name)
    rows = load_rows(task, "train", root=mirror, max_examples=count)
    return FORMATS[task.format].encode(task, rows.table, backbone.tokenizer, EncodingSettings(), training=True)


def batch_of(task_name: str, backbone: Backbone, mirror: Path, count: int = 4) -> dict[str, torch.Tensor]:
    """Return a batch of training rows of a task."""
    features = encoded(task_name, backbone, mirror, count).features
    return Collator.of(backbone.tokenizer)([features[index] for index in range(count)])


def logits_of(composed: ComposedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return all logits of a batch in one tensor, without dropout."""
    composed.model.eval()
    with torch.no_grad():
        output = composed.model(**{name: batch[name] for name in ("input_ids", "attention_mask")})
    tensors = [output[name] for name in ("logits", "start_logits", "end_logits") if name in output]
    return torch.stack(tensors)


def randomised(composed: ComposedModel) -> None:
    """Move all added weights away from the zeros and identities that some kinds of adapters start with."""
    generator = torch.Generator().manual_seed(0)
    state = composed.model.state_dict()
    with torch.no_grad():
        for keys in composed.keys.values():
            for key in keys:
                if state[key].is_floating_point() and ".parametrizations." not in key:
                    state[key].add_(torch.randn(state[key].shape, generator=generator) * 0.3)


def copies(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a copy of each tensor, which later training does not change."""
    return {key: tensor.detach().clone() for key, tensor in tensors.items()}


def same(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    """Tell whether two states are equal to the bit."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
