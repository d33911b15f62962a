"""Seeded samples of rows."""

from __future__ import annotations


def sample_indices(total: int, wanted: int, seed: int) -> list[int]:
    """Return ``wanted`` of ``total`` positions, sorted; all of them where there are not more.

    The sample of a smaller ``wanted`` is part of that of a larger one, so that curves over data size compare
    like with like.
    """
    import numpy as np

    if wanted >= total:
        return list(range(total))
    order = np.random.default_rng(seed).permutation(total)
    return sorted(int(index) for index in order[:wanted])
