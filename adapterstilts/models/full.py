"""Full fine-tuning: the backbone itself is trained, embeddings included, and there is no adapter.

It is what STILTs does (Phang et al. 2018, https://arxiv.org/abs/1811.01088; for XLM-R Phang et al. 2020,
https://arxiv.org/abs/2005.13013), and what adapters are compared with. All weights of the backbone are one part of the
artifact then; the pooler is none of them, since no head uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ExpressionError
from adapterstilts.models.expression import Chain, Expression, Nothing, Single

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FULL = "full"
"""What stands in the place of an adapter's name."""
WHOLE = "backbone"
"""Name of the part."""


def full_config() -> dict[str, Any]:
    """Return what stands in the place of an adapter's configuration."""
    return {"architecture": FULL}


def is_full(config: Mapping[str, Any]) -> bool:
    """Tell whether a configuration stands for the backbone itself."""
    return config.get("architecture") == FULL


def check_full(expression: Expression) -> None:
    """Refuse what cannot be made of whole backbones.

    Raises:
        ExpressionError: says what to type instead.
    """
    if isinstance(expression, Nothing) or (isinstance(expression, Chain) and isinstance(expression.start, Single)):
        return
    chains = " or ".join(f"'chain({name})'" for name in expression.names)
    raise ExpressionError(
        f"'{expression}' joins adapters, and with --adapter full there is none: the backbone itself is trained, one "
        f"task after the other. Type {chains}, or choose another --adapter."
    )


def check_alike(name: str, config: Mapping[str, Any], *, full: bool) -> None:
    """Refuse a whole backbone where an adapter is wanted, and the other way round.

    Args:
        name: of the intermediate task.
        config: of its adapter.
        full: whether the target is trained with ``--adapter full``.

    Raises:
        ExpressionError: says which of the two it is.
    """
    if is_full(config) and not full:
        raise ExpressionError(
            f"'{name}' was trained with --adapter full: it is a whole backbone and no adapter. Give --adapter full and "
            f"'chain({name})', or choose an adapter with --use ID."
        )
    if full and not is_full(config):
        raise ExpressionError(
            f"'{name}' is an adapter, and --adapter full starts from a whole backbone. Choose one that was trained "
            "with --adapter full, or leave --use out."
        )


def backbone_keys(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the names of all weights of a backbone that a training changes; it has no adapters and heads yet."""
    return tuple(sorted(key for key, _ in model.named_parameters() if "pooler" not in key.split(".")))
