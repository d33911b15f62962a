"""Dropout by fewer random numbers is dropout: its rate, its expectation, its gradients; and attention under it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from adapterstilts.models import fast_dropout
from adapterstilts.models.fast_dropout import FastDropout, attention, dropout

MASKED = -1e9


@pytest.mark.parametrize("p", [0.1, 0.5, 0.013])
def test_values_are_dropped_at_the_rate_and_the_others_scaled(p: float) -> None:
    torch.manual_seed(0)
    values = torch.full((1000, 1001), 3.0)
    result = dropout(values, p)
    dropped = float((result == 0).double().mean())
    assert dropped == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / values.numel()))
    (kept,) = set(result[result != 0].tolist())
    assert kept == pytest.approx(3 / (1 - p), rel=1e-4)
    assert float(result.double().mean()) == pytest.approx(3, rel=5e-3)


def test_neighbours_are_dropped_each_by_itself() -> None:
    """Four values share one number of 64 bits; a bit that does not vary would tie or bias them."""
    torch.manual_seed(1)
    dropped = (dropout(torch.ones(400_000), 0.5) == 0).view(-1, 4).double()
    assert dropped.mean(0).tolist() == pytest.approx([0.5] * 4, abs=0.01)
    together = torch.cov(dropped.T)
    torch.testing.assert_close(together, torch.eye(4, dtype=torch.float64) / 4, atol=0.005, rtol=0)


def test_the_gradient_is_dropped_with_the_value() -> None:
    torch.manual_seed(2)
    values = torch.randn(40, 7, requires_grad=True)
    result = dropout(values, 0.3)
    (gradient,) = torch.autograd.grad(result.sum(), values)
    torch.testing.assert_close(gradient, torch.where(result == 0, 0.0, 1 / (1 - 0.3)), rtol=1e-4, atol=0)


def test_the_state_of_torch_decides() -> None:
    values = torch.ones(5, 9)
    torch.manual_seed(3)
    first, second = dropout(values, 0.5), dropout(values, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout(values, 0.5), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("kept", [0, 2**20])
def test_attention_is_its_definition(
    masked: bool, scale: float | None, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output and gradients against the definition, with the very weights dropped that were drawn."""
    monkeypatch.setattr(fast_dropout, "KEPT_WEIGHTS", kept)
    generator = torch.Generator().manual_seed(4)
    query, key, value = (torch.randn(3, 2, length, 4, generator=generator).double() for length in (5, 7, 7))
    inputs = [tensor.requires_grad_() for tensor in (query, key, value)]
    mask = torch.zeros(3, 1, 1, 7, dtype=torch.float64)
    mask[1, ..., 4:] = MASKED
    torch.manual_seed(5)
    result = attention(query, key, value, mask if masked else None, 0.25, scale=scale)
    torch.manual_seed(5)
    drawn = functional_dropout(torch.ones(3, 2, 5, 7).double(), 0.25)
    scores = query @ key.transpose(-1, -2) * (0.5 if scale is None else scale) + (mask if masked else 0)
    expected = (scores.softmax(-1) * drawn) @ value
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-12)
    wanted = torch.randn(result.shape, generator=generator).double()
    found = torch.autograd.grad((result * wanted).sum(), inputs)
    torch.testing.assert_close(found, torch.autograd.grad((expected * wanted).sum(), inputs), rtol=1e-9, atol=1e-12)


def functional_dropout(values: torch.Tensor, p: float) -> torch.Tensor:
    """Return what is drawn for values: 0, or 1 over the probability of being kept."""
    result: torch.Tensor = dropout(values, p)
    return result


def test_of_large_attention_a_byte_a_weight_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    query = torch.randn(2, 3, 64, 8, requires_grad=True)

    def bytes_kept() -> int:
        sizes: list[int] = []

        def noted(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel() * tensor.element_size())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(noted, lambda tensor: tensor):
            attention(query, query, query, None, 0.1)
        return sum(sizes)

    weights, inputs = 2 * 3 * 64 * 64, 3 * query.numel() * 4
    assert bytes_kept() == weights * 5 + inputs
    monkeypatch.setattr(fast_dropout, "KEPT_WEIGHTS", 100)
    assert bytes_kept() == weights + inputs


def test_attention_takes_what_a_model_gives_it() -> None:
    """Heads are views of one tensor, a mask is broadcast: the same numbers as from tensors of their own."""
    generator = torch.Generator().manual_seed(6)
    query, key, value = (torch.randn(2, 5, 12, generator=generator).view(2, 5, 3, 4).transpose(1, 2) for _ in range(3))
    mask = torch.zeros(2, 1, 1, 5).masked_fill(torch.arange(5) > 3, MASKED)
    torch.manual_seed(7)
    result = attention(query, key, value, mask, 0.4)
    torch.manual_seed(7)
    own = [tensor.contiguous() for tensor in (query, key, value)]
    assert torch.equal(result, attention(*own, mask.expand(2, 3, 5, 5).contiguous(), 0.4))


@pytest.mark.parametrize(
    ("call", "fast"),
    [
        (lambda: functional.dropout(torch.ones(2), 0.5), True),
        (lambda: torch.nn.Dropout(0.5)(torch.ones(2)), True),
        (lambda: functional.dropout(torch.ones(2), 0.0), False),
        (lambda: functional.dropout(torch.ones(2), 1.0), False),
        (lambda: functional.dropout(torch.ones(2), 0.5, training=False), False),
        (lambda: functional.dropout(torch.ones(2), 0.5, inplace=True), False),
        (lambda: functional.dropout(torch.ones(2, dtype=torch.bfloat16), 0.5), False),
        (lambda: _attend(dropout_p=0.5), True),
        (lambda: _attend(dropout_p=0.0), False),
        (lambda: _attend(dropout_p=0.5, is_causal=True), False),
        (lambda: _attend(dropout_p=0.5, attn_mask=torch.ones(3, 3, dtype=torch.bool)), False),
        (lambda: _attend(dropout_p=0.5, attn_mask=torch.zeros(3, 3)), True),
    ],
)
def test_what_is_covered_is_fast_and_the_rest_is_left_to_torch(
    call: Any, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    drawing = fast_dropout._drawn

    def noted(shape: tuple[int, ...], p: float) -> Any:
        drawn.append(shape)
        return drawing(shape, p)

    monkeypatch.setattr(fast_dropout, "_drawn", noted)
    with FastDropout():
        inside = call()
    assert bool(drawn) is fast
    assert call().shape == inside.shape
    assert len(drawn) == int(fast), "outside of the context torch does it"


def _attend(**options: Any) -> torch.Tensor:
    ones = torch.ones(1, 1, 3, 2)
    return functional.scaled_dot_product_attention(ones, ones, ones, **options)


def test_under_autocast_torch_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_dropout, "_drawn", lambda *_: pytest.fail("not covered"))
    with FastDropout(), torch.autocast("cpu", torch.bfloat16):
        assert _attend(dropout_p=0.5).dtype is torch.bfloat16
