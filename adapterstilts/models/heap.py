"""What glibc does with memory that tensors leave free: too little in a training, too much in a pass without gradients.

In a training, what a layer needs for a moment is freed between tensors that are kept for the backward pass; the holes
fit the next layer's tensors badly, and the heap of an encoder of twelve layers grows by half of what is in use.
``malloc_trim`` gives the pages of such holes back, once in a forward pass (``small_heap``). A page that is needed again
costs time: a fiftieth of the step of an encoder of XLM-R's size, and a fifth of the step of one half as wide, which is
left alone.

Without gradients, all tensors of a layer are freed before those of the next are asked for, and glibc gives the
end of the heap back to the kernel each time, which then hands it out anew, page by page and filled with zeros.
``warm_heap`` keeps it until the end of the pass: a first pass over short sentences takes a tenth less time.

Numbers are not touched by either.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WORTH_IT = 2**27
"""Bytes that are free on the heap before any are given back: 128 MiB."""
WIDE = 768
"""Hidden size of the narrowest encoder for which it is done: what is computed for each byte grows with it."""
PLACE = 2 / 3
"""After what share of the layers it is looked at: what is kept has grown by then, and the greatest need is to come."""


TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of ``mallopt``, as ``malloc.h`` numbers them."""
LARGEST_BLOCK = 2**25
"""Bytes of the largest block that glibc takes from the heap, on 64 bits, where it has seen such blocks freed."""


class _Told(ctypes.Structure):
    """``struct mallinfo2``, whose ninth field, ``fordblks``, is the number of free bytes."""

    _fields_ = [(f"field{number}", ctypes.c_size_t) for number in range(10)]


def _glibc(*functions: str) -> Any:
    """Return the C library, or None where it does not have all of these functions: it is musl, say."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if all(hasattr(library, name) for name in functions) else None


def heap_trimmer() -> Callable[[], bool] | None:
    """Return what gives free memory back where there is much, and tells whether it did; None without glibc."""
    library = _glibc("malloc_trim", "mallinfo2")  # glibc before 2.33 does not have the second
    if library is None:
        return None
    library.mallinfo2.restype = _Told

    def trim() -> bool:
        return library.mallinfo2().field8 >= WORTH_IT and bool(library.malloc_trim(0))

    return trim


@contextmanager
def small_heap(model: PreTrainedModel) -> Iterator[None]:
    """Give free memory back once in each forward pass of a training, within a ``with`` block.

    Args:
        model: of the adapters library, on the CPU.
    """
    source: Any = model
    trim = heap_trimmer() if source.config.hidden_size >= WIDE else None
    layers = [layer for _, layer in source.iter_layers()]

    def look(layer: Any, *_: Any) -> None:
        if trim is not None and layer.training:
            trim()

    hook = layers[int(PLACE * len(layers))].register_forward_hook(look)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def warm_heap() -> Iterator[None]:
    """Let freed memory stay with the process, within a ``with`` block; all that is free then goes back.

    Afterwards glibc's thresholds are those that it comes to by itself where large tensors have been freed. Without
    glibc nothing is done.
    """
    library = _glibc("mallopt", "malloc_trim")
    if library is None:
        yield
        return
    library.mallopt(MMAP_THRESHOLD, LARGEST_BLOCK)
    library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        library.mallopt(TRIM_THRESHOLD, 2 * LARGEST_BLOCK)
        library.malloc_trim(0)
