"""In a training holes of the heap are given back, in a pass what is free is kept, and nothing else changes."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_compositions import HEAD, MakeComposition, batch_of

from adapterstilts.models import heap
from adapterstilts.models.backbone import Backbone, build

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


GLIBC = platform.libc_ver()[0] == "glibc"
MISSES = """
import resource
import torch
from adapterstilts.models.heap import warm_heap

torch.set_num_threads(1)


def missed() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [torch.zeros(3_000_000).add_(1) for _ in range(3)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


missed()
cold = missed()
with warm_heap():
    missed()
    print(cold, missed())
"""


@pytest.mark.skipif(not GLIBC, reason="needs glibc")
def test_freed_memory_stays_during_a_pass() -> None:
    """In a process of its own: what others left on the heap would count."""
    done = subprocess.run([sys.executable, "-c", MISSES], capture_output=True, text=True, check=True)
    cold, warm = map(int, done.stdout.split())
    assert warm < 100 < 1000 < cold


@pytest.mark.skipif(not GLIBC, reason="needs glibc")
def test_it_goes_back_after_the_pass() -> None:
    with heap.warm_heap():
        blocks = [bytearray(b"x") * BLOCK for _ in range(2000)]
        del blocks
        during = resident()
    assert during - resident() > 1500 * BLOCK


@pytest.mark.parametrize("missing", ["linux", "mallopt"])
def test_a_pass_without_glibc(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "linux":
        monkeypatch.setattr("sys.platform", "darwin")
    else:
        monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    with heap.warm_heap():
        pass
    with pytest.raises(ZeroDivisionError), heap.warm_heap():
        _ = 1 / 0
