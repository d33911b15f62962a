"""Dropout on a CPU with a sixth of the random numbers, and attention that does not write its scores four times.

On a CPU, dropout costs a third of a training step: the library draws each value's fate from a floating-point number of
its own, one after the other, and attention with dropout takes a path that checks, masks, normalises and drops its
scores in turn. The model is the same here:

- Each value is kept with probability 1 - t / 65536, where t is the nearest whole number to 65536 p, and then divided by
  that very probability, so that the expectation is exact. (For p = 0.1: 0.1000061.) Sixteen bits a value come from
  SFC64 (Doty-Humphrey 2013, in PractRand), numpy's fastest generator, a third of the time of torch's. Each call begins
  one anew from a number that torch draws, whose state is what a checkpoint keeps.
- Attention, softmax(Q K^T s + M) V with dropout on the weights (Vaswani et al. 2017, section 3.2.1), is worked out one
  sequence at a time, while its scores are in the cache, with the derivative written out.
- Query, key and value are not copied. The adapters library repeats them once, in case that blocks run in parallel.

``FastDropout`` is a context: what runs in it calls ``torch.nn.functional`` as always. What it does not cover (other
devices and precisions, causal or boolean masks, work in place) goes to torch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

LEVELS = 2**16
PER_DRAW = 4
"""Values whose fate one number of 64 bits decides."""
KEPT_WEIGHTS = 2**23
"""Weights of one call of attention that are kept for the backward pass, at most: 32 MiB in single precision."""
DTYPES = (torch.float32, torch.float64)


class FastDropout(TorchFunctionMode):
    """In this context, dropout and attention with dropout are worked out as the module's text says."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Take the calls that are covered; pass on all others."""
        options = kwargs or {}
        if func is functional.dropout:
            return dropout(*args, **options)
        if func is functional.scaled_dot_product_attention:
            return attention(*args, **options)
        if func is Tensor.repeat and not options and set(args[1:]) == {1} and len(args) == 1 + args[0].ndim:
            return args[0]
        return func(*args, **options)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Do what ``torch.nn.functional.dropout`` does."""
    if not training or inplace or not _covered(p, input):
        return functional.dropout(input, p, training, inplace)
    return _Dropout.apply(input, p)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **options: Any,
) -> Any:
    """Do what ``torch.nn.functional.scaled_dot_product_attention`` does.

    Shapes: query (batch, heads, length, size); key and value (batch, heads, keys, size); a mask that is added to the
    scores, and may be broadcast to (batch, heads, length, keys).
    """
    plain = query.ndim == 4 and query.shape[:2] == key.shape[:2] and not is_causal and not any(options.values())
    if not plain or not _covered(dropout_p, query, key, value, *(() if attn_mask is None else (attn_mask,))):
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, **options
        )
    mask = None if attn_mask is None else attn_mask.expand(*query.shape[:3], key.shape[2])
    return _Attention.apply(query, key, value, mask, dropout_p, query.shape[-1] ** -0.5 if scale is None else scale)


def _covered(p: float, *tensors: Tensor) -> bool:
    same = all(
        tensor.device.type == "cpu" and tensor.dtype in DTYPES and tensor.dtype is tensors[0].dtype
        for tensor in tensors
    )
    return same and 0 < round(p * LEVELS) < LEVELS and not torch.is_autocast_enabled("cpu")


def _drawn(shape: tuple[int, ...], p: float) -> tuple[Tensor, float]:
    """Draw the fate of values.

    Returns:
        1 for each value that is kept and 0 for the others, a byte each: truths take several times as long to write, and
        to make factors of; and what a value that is kept is multiplied by.
    """
    count = math.prod(shape)
    dropped = round(p * LEVELS)
    begin = int(torch.empty((), dtype=torch.int64).random_())
    draws = np.random.SFC64(begin).random_raw(-(-count // PER_DRAW))
    kept = draws.view(np.int16)[:count] >= np.int16(dropped - LEVELS // 2)
    return torch.from_numpy(kept.view(np.uint8)).view(shape), LEVELS / (LEVELS - dropped)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, p: float) -> Tensor:
        kept, ctx.factor = _drawn(tuple(values.shape), p)
        ctx.save_for_backward(kept)
        return torch.empty_like(values).copy_(kept).mul_(ctx.factor).mul_(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (kept,) = ctx.saved_tensors
        return torch.empty_like(gradient).copy_(kept).mul_(ctx.factor).mul_(gradient), None


class _Attention(torch.autograd.Function):
    """With P = softmax(s Q K^T + M), D the weights that are kept and c their factor: the output is c (P * D) V.

    For a gradient G of the output, with * value by value:

        dV = c (P * D)^T G        dP = c (G V^T) * D        dS = P * (dP - rowsum(dP * P))
        dQ = s dS K               dK = s dS^T Q

    P is kept for it where it is small, and else worked out again, as in gradient checkpointing (Chen et al. 2016,
    https://arxiv.org/abs/1604.06174); of all that is as large as P, a byte each is kept then.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float, scale: float
    ) -> Tensor:
        shape = (*query.shape[:3], key.shape[2])
        kept, ctx.factor = _drawn(shape, p)
        scaled = query * scale
        result = torch.empty_like(query)
        small = kept.numel() <= KEPT_WEIGHTS
        every = query.new_empty(shape if small else (0,))
        for place in range(len(query)):
            scores = _scores(scaled, key, mask, place)
            weights = torch.softmax(scores, -1, out=every[place] if small else torch.empty_like(scores))
            result[place] = scores.copy_(kept[place]).mul_(weights) @ value[place]
        ctx.save_for_backward(scaled, key, value, every, kept, *(() if mask is None else (mask,)))
        ctx.scale = scale
        return result.mul_(ctx.factor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        scaled, key, value, every, fates, *masks = ctx.saved_tensors
        gradient = gradient * ctx.factor
        of_query, of_key, of_value = torch.empty_like(scaled), torch.empty_like(key), torch.empty_like(value)
        for place in range(len(scaled)):
            if len(every):
                weights = every[place]
            else:
                weights = _scores(scaled, key, masks[0] if masks else None, place).softmax(-1)
            kept = torch.empty_like(weights).copy_(fates[place])
            of_weights = (gradient[place] @ value[place].transpose(-1, -2)).mul_(kept)
            of_value[place] = kept.mul_(weights).transpose(-1, -2) @ gradient[place]
            of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
            of_query[place] = of_scores @ key[place]
            of_key[place] = of_scores.transpose(-1, -2) @ scaled[place]
        return of_query.mul_(ctx.scale), of_key, of_value, None, None, None


def _scores(scaled: Tensor, key: Tensor, mask: Tensor | None, place: int) -> Tensor:
    """Return what softmax takes of one sequence, (heads, length, keys)."""
    scores = scaled[place] @ key[place].transpose(-1, -2)
    if mask is None:
        return scores
    own = mask[place]
    own = own[:1] if own.stride(0) == 0 else own  # the same for all heads
    return scores.add_(own) if own.any() else scores  # nothing of the longest sequences is padding
