"""One adapter from the weights of several: pure functions, state dicts in, state dict out.

All but ``svd`` need adapters of one shape. ``arithmetic``, ``ties`` and ``dare`` work on task vectors, what training
added to the weights that all the adapters started from: give those as ``base``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from adapterstilts.errors import ExpressionError

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, "Tensor"]

LORA_A, LORA_B = ".lora_A", ".lora_B"


def average(states: Sequence[State], weights: Sequence[float]) -> dict[str, Tensor]:
    """Return the weighted mean of the weights (Chronopoulou et al. 2023, AdapterSoup, https://arxiv.org/abs/2302.07027).

    Args:
        states: of the adapters, with equal names and shapes.
        weights: one an adapter, above 0; they need not add up to 1.

    Raises:
        ExpressionError: a name or a shape differs; names it.
    """
    return arithmetic(states, weights, _nought(states[0]), scale=1 / sum(weights))


def combination(states: Sequence[State], weights: Sequence[float]) -> dict[str, Tensor]:
    """Return the linear combination of the weights (Huang et al. 2023, LoraHub, https://arxiv.org/abs/2307.13269).

    Of LoRA adapters A and B are combined each by themselves, as the paper does. Where all weights are 1 / n, it is the
    ``average`` to the bit.

    Args:
        states: of the adapters, with equal names and shapes.
        weights: one an adapter, of any sign and sum.

    Raises:
        ExpressionError: a name or a shape differs; names it.
    """
    count = len(states)
    return arithmetic(states, [weight * count for weight in weights], _nought(states[0]), scale=1 / count)


def arithmetic(states: Sequence[State], weights: Sequence[float], base: State, *, scale: float) -> dict[str, Tensor]:
    """Return the base plus the scaled sum of the task vectors (Ilharco et al. 2023, https://arxiv.org/abs/2212.04089).

    Args:
        states: of the adapters, with equal names and shapes.
        weights: one an adapter; below 0 to take a task away.
        base: what all of them started from.
        scale: the paper's coefficient λ.

    Raises:
        ExpressionError: a name or a shape differs; names it.
    """
    import torch

    vectors = torch.stack(_vectors(states, base))
    return _moved(base, torch.tensor(weights, dtype=vectors.dtype) @ vectors * scale)


def ties(
    states: Sequence[State], weights: Sequence[float], base: State, *, density: float, scale: float
) -> dict[str, Tensor]:
    """Return the TIES merge: trim, elect a sign, mean of what agrees (Yadav et al. 2023, https://arxiv.org/abs/2306.01708).

    Of each task vector the share ``density`` with the largest magnitudes is kept, counted over all its tensors. For
    each parameter the sign with the larger weighted sum wins (a sum of 0 counts as above), and the weighted mean is
    taken over the adapters that have kept a value of that sign.

    Args:
        states: of the adapters, with equal names and shapes.
        weights: one an adapter, above 0.
        base: what all of them started from.
        density: above 0 and at most 1.
        scale: the paper's λ, on the merged task vector.

    Raises:
        ExpressionError: a name or a shape differs; names it.
    """
    import torch

    vectors = torch.stack([_trimmed(vector, density) for vector in _vectors(states, base)])
    weight = torch.tensor(weights, dtype=vectors.dtype).unsqueeze(1)
    elected = torch.where((vectors * weight).sum(dim=0) >= 0, 1.0, -1.0)
    agrees = (vectors * elected > 0) * weight
    merged = (vectors * agrees).sum(dim=0) / agrees.sum(dim=0).clamp(min=torch.finfo(vectors.dtype).tiny)
    return _moved(base, merged * scale)


def dare(
    states: Sequence[State], weights: Sequence[float], base: State, *, drop: float, seed: int, scale: float
) -> dict[str, Tensor]:
    """Return the mean of task vectors with entries dropped at random and the rest rescaled.

    Yu et al. 2024, Language Models are Super Mario, https://arxiv.org/abs/2311.03099: what is left of a task vector is
    divided by 1 - ``drop``, so that each entry keeps its expected value.

    Args:
        states: of the adapters, with equal names and shapes.
        weights: one an adapter, above 0.
        base: what all of them started from.
        drop: probability with which an entry becomes 0; below 1.
        seed: of the choice.
        scale: on the merged task vector.

    Raises:
        ExpressionError: a name or a shape differs; names it.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    vectors = torch.stack(_vectors(states, base))
    kept = torch.rand(vectors.shape, generator=generator) >= drop
    shares = torch.tensor(weights, dtype=vectors.dtype) / sum(weights)
    return _moved(base, shares @ (vectors * kept) * (scale / (1.0 - drop)))


def svd(
    states: Sequence[State], weights: Sequence[float], scalings: Sequence[float], *, rank: int
) -> dict[str, Tensor]:
    """Return the LoRA of a rank that is nearest to the weighted mean of the updates of several.

    The update of a matrix is ``scaling · B A``; averaging A and B apart would not average it. The mean is worked out
    and cut to ``rank`` by singular value decomposition, the nearest matrix of that rank (Eckart & Young 1936). It is
    shared evenly between the new factors, whose scaling is 1.

    Args:
        states: of the LoRA adapters, with ``….lora_A``, shape (r, in), and ``….lora_B``, shape (out, r); r may differ.
        weights: one an adapter, above 0.
        scalings: alpha / r of each adapter.
        rank: of the result; where a matrix has fewer singular values, rows and columns of zeros fill up.

    Raises:
        ExpressionError: a tensor is none of LoRA's, or is missing.
    """
    import torch

    names = [set(state) for state in states]
    if odd := sorted(key for key in set().union(*names) if not all(key in own for own in names)):
        raise ExpressionError(f"'{odd[0]}' is not in all of the adapters")
    merged: dict[str, Tensor] = {}
    total = sum(weights)
    for key in states[0]:
        if key.endswith(LORA_B) and key.removesuffix(LORA_B) + LORA_A in states[0]:
            continue
        if not key.endswith(LORA_A):
            raise ExpressionError(f"svd is for LoRA, which has no '{key}'")
        other = key.removesuffix(LORA_A) + LORA_B
        update: Tensor = sum(  # type: ignore[assignment]
            (state[other].float() @ state[key].float()) * (scaling * weight / total)
            for state, weight, scaling in zip(states, weights, scalings, strict=True)
        )
        left, values, right = torch.linalg.svd(update, full_matrices=False)
        kept = min(rank, len(values))
        root = values[:kept].sqrt()
        up, down = update.new_zeros(update.shape[0], rank), update.new_zeros(rank, update.shape[1])
        up[:, :kept], down[:kept] = left[:, :kept] * root, root.unsqueeze(1) * right[:kept]
        merged[key], merged[other] = down, up
    return merged


def _nought(state: State) -> dict[str, Tensor]:
    return {key: tensor * 0 for key, tensor in state.items()}


def _vectors(states: Sequence[State], base: State) -> list[Tensor]:
    """Return the task vectors, each all tensors after each other in the order of the base, float32."""
    import torch

    _check_alike([base, *states])
    return [
        torch.cat([(state[key].float() - tensor.float()).flatten() for key, tensor in base.items()]) for state in states
    ]


def _moved(base: State, vector: Tensor) -> dict[str, Tensor]:
    """Return the base with a task vector added."""
    parts = vector.split([tensor.numel() for tensor in base.values()])
    return {
        key: (tensor.float() + part.view(tensor.shape)).to(tensor.dtype)
        for (key, tensor), part in zip(base.items(), parts, strict=True)
    }


def _trimmed(vector: Tensor, density: float) -> Tensor:
    """Return a vector with all but its share of largest magnitudes at 0; at least one entry stays."""
    import torch

    kept = max(1, round(density * vector.numel()))
    at = vector.abs().topk(kept, sorted=False).indices
    return torch.zeros_like(vector).scatter(0, at, vector[at])


def _check_alike(states: Sequence[State]) -> None:
    first = states[0]
    for state in states[1:]:
        if odd := sorted(set(first) ^ set(state)):
            raise ExpressionError(f"'{odd[0]}' is not in all of the adapters")
        for key, tensor in first.items():
            if tensor.shape != state[key].shape:
                raise ExpressionError(f"'{key}' has the shapes {tuple(tensor.shape)} and {tuple(state[key].shape)}")
