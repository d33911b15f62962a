"""Holes of the heap are given back, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy_compositions import HEAD, MakeComposition, batch_of

from adapterstilts.models.backbone import Backbone, build
from adapterstilts.training import heap

BLOCK = 65_536


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    told = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = [line for line in told.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(heap.heap_trimmer() is None, reason="needs glibc 2.33")
def test_pages_of_holes_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "WORTH_IT", 2**26)
    trim = heap.heap_trimmer()
    assert trim is not None
    blocks = [bytearray(b"x") * BLOCK for _ in range(4000)]
    kept = blocks[::8]  # the heap cannot shrink below the last of them
    del blocks
    before = resident()
    assert trim()
    assert before - resident() > 2000 * BLOCK
    assert all(block[-1:] == b"x" for block in kept)


@pytest.mark.skipif(heap.heap_trimmer() is None, reason="needs glibc 2.33")
def test_little_is_left_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "WORTH_IT", 2**60)
    trim = heap.heap_trimmer()
    assert trim is not None
    assert not trim()


def test_it_is_looked_at_in_training_alone(
    toy_backbone: Backbone, toy_composition: MakeComposition, toy_mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []
    monkeypatch.setattr(heap, "heap_trimmer", lambda: lambda: looked.append(True) is None)
    monkeypatch.setattr(heap, "WIDE", toy_backbone.model.config.hidden_size)
    model = build(toy_backbone, toy_composition("mnli", "xnli", HEAD), seed=0).model
    batch = batch_of("mnli", toy_backbone, toy_mirror)
    with torch.no_grad():
        model.eval()
        plain = model(**batch)["logits"]
        with heap.small_heap(model):
            assert torch.equal(model(**batch)["logits"], plain)
            assert looked == []
            model.train()
            model(**batch)
            assert looked == [True], "after one of the two layers"
        model(**batch)
        assert looked == [True]
        monkeypatch.setattr(heap, "WIDE", heap.WIDE + 1)
        with heap.small_heap(model):
            model(**batch)
        assert looked == [True], "not in a narrow encoder"
