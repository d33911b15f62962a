"""One adapter, or one fusion of adapters, under the heads of several tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapterstilts.models.backbone import Backbone, ComposedModel, build, check_names
from adapterstilts.models.composition import Composition
from adapterstilts.models.heads import add_head
from adapterstilts.models.vocabulary import whole_vocabulary


def build_shared(
    backbone: Backbone, compositions: Mapping[str, Composition], *, seed: int, fusion_dropout: float | None = None
) -> tuple[ComposedModel, dict[str, ComposedModel]]:
    """Add one adapter, or one fusion of adapters, with several heads to a backbone that has none yet.

    The weights below the heads are those that ``build`` draws from the seed. A head that is the backbone's own, that
    for masked tokens, stays as it is, and is no part of what is trained and stored.

    Args:
        backbone: freshly loaded.
        compositions: by the name of the head; they differ in the head and in nothing else. One has a head that is new.
        seed, fusion_dropout: as for ``build``.

    Returns:
        the model with all heads as one part, for training; and by name the model with each of the heads, of which one
        at a time is active.

    Raises:
        ExpressionError, BackboneError: as for ``build``.
    """
    model: Any = backbone.model
    check_names(model, tuple(compositions))
    if any(composition.head.kind == "masked_lm" for composition in compositions.values()):
        whole_vocabulary(model)
    first = next(composition for composition in compositions.values() if "head" in composition.parts)
    whole = build(backbone, first, seed=seed, fusion_dropout=fusion_dropout)
    model.delete_head(whole.composition.head_name)
    parts: dict[str, ComposedModel] = {}
    for name, composition in compositions.items():
        before = set(model.state_dict())
        add_head(backbone, name, composition.head)
        added = tuple(sorted(set(model.state_dict()) - before))
        if "head" not in composition.parts:
            for parameter in model.heads[name].parameters():
                parameter.requires_grad_(False)
            added = ()
        parts[name] = ComposedModel(backbone, composition, {**whole.keys, "head": added}, name)
    heads = tuple(key for part in parts.values() for key in part.keys["head"])
    return ComposedModel(backbone, whole.composition, {**whole.keys, "head": heads}, next(iter(parts))), parts
