"""Merging: each method against a result worked out on paper, or an obvious loop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.errors import ExpressionError
from adapterstilts.models.merging import arithmetic, average, combination, dare, svd, ties

BASE = {"a": torch.tensor([1.0, 1.0]), "b": torch.tensor([[1.0, 1.0, 1.0]])}
#: Task vectors (4, -1, 0.5, 2, -3) and (-2, -1, 1, 2, 5).
FIRST = {"a": torch.tensor([5.0, 0.0]), "b": torch.tensor([[1.5, 3.0, -2.0]])}
SECOND = {"a": torch.tensor([-1.0, 0.0]), "b": torch.tensor([[2.0, 3.0, 6.0]])}


def flat(state: dict[str, torch.Tensor]) -> list[float]:
    return [round(value, 5) for tensor in state.values() for value in tensor.flatten().tolist()]


def test_average_is_the_weighted_mean() -> None:
    assert flat(average([FIRST, SECOND], [1, 1])) == [2.0, 0.0, 1.75, 3.0, 2.0]
    assert flat(average([FIRST, SECOND], [3, 1])) == [3.5, 0.0, 1.625, 3.0, 0.0]
    assert average([FIRST, SECOND], [1, 1])["b"].shape == (1, 3)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=5))
def test_the_average_of_an_adapter_with_itself_is_that_adapter(weights: list[float]) -> None:
    merged = average([FIRST] * len(weights), weights)
    for key, tensor in FIRST.items():
        torch.testing.assert_close(merged[key], tensor)


def test_a_combination_is_the_weighted_sum() -> None:
    assert flat(combination([FIRST, SECOND], [1.5, -0.5])) == [8.0, 0.0, 1.25, 3.0, -6.0]
    assert flat(combination([FIRST, SECOND], [0.0, 0.0])) == [0.0] * 5


@pytest.mark.parametrize("count", [2, 3, 7, 9, 49])
def test_the_combination_of_equal_shares_is_the_average_to_the_bit(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    states = [{"a": torch.randn(50, generator=generator)} for _ in range(count)]
    average_of_all = average(states, [1.0] * count)["a"]
    assert torch.equal(combination(states, [1 / count] * count)["a"], average_of_all)


def test_arithmetic_adds_scaled_task_vectors() -> None:
    # the sum of the vectors is (2, -2, 1.5, 4, 2); half of it on a base of ones
    assert flat(arithmetic([FIRST, SECOND], [1, 1], BASE, scale=0.5)) == [2.0, 0.0, 1.75, 3.0, 2.0]
    # the first without the second: (6, 0, -0.5, 0, -8)
    assert flat(arithmetic([FIRST, SECOND], [1, -1], BASE, scale=1.0)) == [7.0, 1.0, 0.5, 1.0, -7.0]


def test_ties_as_on_paper() -> None:
    # density 0.6 keeps three of five: (4, 0, 0, 2, -3) and (-2, 0, 0, 2, 5);
    # signs by the sums (2, 0, 0, 4, 2): all plus; means of what agrees: (4, 0, 0, 2, 5)
    assert flat(ties([FIRST, SECOND], [1, 1], BASE, density=0.6, scale=1.0)) == [5.0, 1.0, 1.0, 3.0, 6.0]
    assert flat(ties([FIRST, SECOND], [1, 1], BASE, density=0.6, scale=0.5)) == [3.0, 1.0, 1.0, 2.0, 3.5]
    # with all kept, -1 and -1 agree on minus, 0.5 and 1 on plus
    assert flat(ties([FIRST, SECOND], [1, 1], BASE, density=1.0, scale=1.0)) == [5.0, 0.0, 1.75, 3.0, 6.0]
    # weights 3 to 1: the sums are (10, …, -4): the last one's sign is minus now
    assert flat(ties([FIRST, SECOND], [3, 1], BASE, density=0.6, scale=1.0)) == [5.0, 1.0, 1.0, 3.0, -2.0]


def test_ties_trims_over_all_tensors_of_an_adapter() -> None:
    # one of five: 4 stands in "a"; the other adapter's 5 in "b"
    assert flat(ties([FIRST, SECOND], [1, 1], BASE, density=0.2, scale=1.0)) == [5.0, 1.0, 1.0, 1.0, 6.0]


def test_dare_that_drops_nothing_is_the_mean() -> None:
    merged = dare([FIRST, SECOND], [1, 1], BASE, drop=0.0, seed=0, scale=1.0)
    assert flat(merged) == flat(average([FIRST, SECOND], [1, 1]))


def test_dare_keeps_the_mean_of_what_it_drops_from() -> None:
    base = {"a": torch.zeros(40_000)}
    state = {"a": torch.full((40_000,), 3.0)}
    merged = dare([state, state], [1, 1], base, drop=0.9, seed=0, scale=1.0)["a"]
    # each of the two gives 15 with probability 0.1
    assert sorted(set(merged.tolist())) == pytest.approx([0.0, 15.0, 30.0], rel=1e-4)
    assert merged.mean().item() == pytest.approx(3.0, abs=0.15)
    assert (merged == 0).float().mean().item() == pytest.approx(0.81, abs=0.01)
    again, other = (dare([state, state], [1, 1], base, drop=0.9, seed=seed, scale=1.0)["a"] for seed in (0, 1))
    assert torch.equal(merged, again)
    assert not torch.equal(merged, other)


def lora(rank: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "q.lora_A": torch.randn(rank, 7, generator=generator),
        "q.lora_B": torch.randn(5, rank, generator=generator),
    }


def update(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return state["q.lora_B"] @ state["q.lora_A"]


def test_svd_of_full_rank_is_the_mean_of_the_updates() -> None:
    states = [lora(2, 0), lora(3, 1)]
    mean = 0.75 * 2.0 * update(states[0]) + 0.25 * 0.5 * update(states[1])
    merged = svd(states, [3, 1], [2.0, 0.5], rank=5)
    torch.testing.assert_close(update(merged), mean)
    assert merged["q.lora_A"].shape == (5, 7)
    larger = svd(states, [3, 1], [2.0, 0.5], rank=8)
    assert larger["q.lora_B"].shape == (5, 8)
    torch.testing.assert_close(update(larger), mean)


def test_svd_cuts_to_the_nearest_matrix_of_the_rank() -> None:
    states = [lora(3, 0), lora(3, 1)]
    mean = (update(states[0]) + update(states[1])) / 2
    merged = update(svd(states, [1, 1], [1.0, 1.0], rank=2))
    assert torch.linalg.matrix_rank(merged) == 2
    # Eckart and Young: what is left is as large as the singular values that were cut
    left = torch.linalg.svdvals(mean)[2:].square().sum().sqrt()
    torch.testing.assert_close(torch.linalg.norm(mean - merged), left)


def test_svd_of_one_adapter_with_itself_is_its_update() -> None:
    state = lora(2, 0)
    torch.testing.assert_close(update(svd([state, state], [1, 1], [1.0, 1.0], rank=2)), update(state))


def test_precision_is_that_of_the_adapters() -> None:
    half = [{key: tensor.half() for key, tensor in state.items()} for state in (FIRST, SECOND)]
    assert {tensor.dtype for tensor in average(half, [1, 1]).values()} == {torch.float16}


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"a": FIRST["a"]}, "'b' is not in all of the adapters"),
        ({**FIRST, "c": FIRST["a"]}, "'c' is not in all"),
        ({**FIRST, "b": FIRST["b"].T}, r"'b' has the shapes \(1, 3\) and \(3, 1\)"),
    ],
)
def test_what_is_not_alike_is_refused(other: dict[str, torch.Tensor], says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        average([FIRST, other], [1, 1])
    with pytest.raises(ExpressionError, match=says):
        ties([FIRST, other], [1, 1], FIRST, density=0.5, scale=1.0)


def test_svd_refuses_what_is_not_lora() -> None:
    with pytest.raises(ExpressionError, match="svd is for LoRA"):
        svd([FIRST, SECOND], [1, 1], [1.0, 1.0], rank=2)
    with pytest.raises(ExpressionError, match=r"'q.lora_B' is not in all"):
        svd([lora(2, 0), {"q.lora_A": torch.ones(2, 7)}], [1, 1], [1.0, 1.0], rank=2)
