"""The backbone's frozen matrices in half precision, where training casts them to it anyway."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn import Module

    from adapterstilts.models.backbone import ComposedModel


def halve_frozen(composed: ComposedModel, *, whole: Collection[Module] = ()) -> int:
    """Cast the linear layers of the backbone that stay as they are to bfloat16, for work under autocast.

    Autocast casts the weights of a linear layer at each use, and keeps what it cast only where a gradient is wanted; so
    frozen weights are cast in each forward and read in single precision. Cast once, they take half of the memory, and
    give the very same numbers under autocast. What belongs to the composition is left alone: it is stored.

    Args:
        composed: a model whose forward passes will all be under autocast to bfloat16.
        whole: parts that also work without autocast, and stay in single precision.

    Returns:
        the number of values that were cast.
    """
    import torch

    kept = {key for keys in composed.keys.values() for key in keys}
    spared = {id(module) for part in whole for module in part.modules()}
    cast = 0
    for name, module in composed.model.named_modules():
        if not isinstance(module, torch.nn.Linear) or id(module) in spared:
            continue
        for key, parameter in module.named_parameters(recurse=False):
            if f"{name}.{key}" not in kept and not parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)
                cast += parameter.numel()
    return cast
