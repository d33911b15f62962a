"""Compositions on toy encoders whose lowest layers are left as they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from toy_compositions import HEAD, make_composition, randomised

from adapterstilts.models.backbone import Backbone, ComposedModel, build
from adapterstilts.models.lower_layers import LowerLayers, lower_layers
from adapterstilts.tasks.formats import HeadSpec


def cut_model(
    backbone: Backbone,
    expression: str = "none",
    head: HeadSpec = HEAD,
    *,
    dropped: Collection[int] = (0,),
    **options: Any,
) -> ComposedModel:
    """Return a composition without adapters in some layers, all that is new of its weights drawn at random."""
    composed = build(backbone, make_composition(expression, "top", head, **options).without(dropped), seed=0)
    randomised(composed)
    return composed


def lower_of(composed: ComposedModel) -> LowerLayers:
    """Return its lower part, which has to be there."""
    lower = lower_layers(composed)
    assert lower is not None
    return lower
