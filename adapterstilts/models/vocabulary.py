"""A backbone without the word embeddings of tokens that do not occur.

Of the 1.1 GB of XLM-R base 0.77 GB are the embeddings of 250,000 tokens, of which a run sees some thousands. Their rows
are read from the checkpoint's file; outputs are the same to the last bit, and token ids, kept encodings and
fingerprints know nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.store.weight_rows import stored_matrix

if TYPE_CHECKING:
    from datasets import Dataset
    from torch.nn import Module
    from transformers import PreTrainedModel

_trimming: ContextVar[bool] = ContextVar("trimming", default=True)


@contextmanager
def vocabulary(*, trimmed: bool) -> Iterator[None]:
    """Decide whether backbones that are loaded inside a ``with`` block leave embeddings out; by itself they do."""
    before = _trimming.set(trimmed)
    try:
        yield
    finally:
        _trimming.reset(before)


def trim_vocabulary(model: PreTrainedModel, weights: Path | None) -> None:
    """Let a model read the rows of its word embeddings when they are needed, unless this is switched off.

    Nothing happens where the embeddings are of a kind of their own or do not lie in a file of safetensors.

    Args:
        model: freshly loaded and frozen.
        weights: file with its weights.
    """
    from torch.nn import Embedding

    from adapterstilts.models.needed_rows import NeededRows

    target: Any = model
    whole = target.get_input_embeddings()
    if not _trimming.get() or weights is None or type(whole) is not Embedding or whole.max_norm is not None:
        return
    names = {name for name, weight in target.named_parameters(remove_duplicate=False) if weight is whole.weight}
    names |= {name.partition(".")[2] for name in names}  # a checkpoint of the bare encoder has no prefix
    matrix = stored_matrix(weights, names)
    if matrix is not None and (matrix.rows, matrix.columns) == whole.weight.shape:
        _replace(target, whole, NeededRows(matrix, whole))


def whole_vocabulary(model: PreTrainedModel) -> None:
    """Give a model the embeddings of all tokens, as what trains them or makes logits of them needs."""
    from adapterstilts.models.needed_rows import NeededRows

    target: Any = model
    needed = target.get_input_embeddings()
    if isinstance(needed, NeededRows):
        _replace(target, needed, needed.whole())


def read_ahead(model: PreTrainedModel, *features: Dataset) -> None:
    """Read the embeddings of all tokens of encoded rows at once, where a model reads them when they are needed.

    Args:
        model: whose embeddings they are.
        features: with ``input_ids``, lists of tokens or of one such list a choice.

    Raises:
        ArtifactError: the checkpoint is gone or changed.
    """
    import numpy as np
    import torch

    from adapterstilts.models.needed_rows import NeededRows

    target: Any = model
    needed = target.get_input_embeddings()
    if not isinstance(needed, NeededRows):
        return
    occurs = np.zeros(needed.num_embeddings, dtype=bool)
    for table in features:
        for chunk in table.data.column("input_ids").chunks:
            while hasattr(chunk, "flatten") and hasattr(chunk.type, "value_type"):
                chunk = chunk.flatten()
            occurs[chunk.to_numpy(zero_copy_only=False)] = True
    needed.read(torch.from_numpy(np.flatnonzero(occurs)))


def _replace(model: Any, old: Module, new: Module) -> None:
    """Put a module in the place of another, wherever the model and the adapters library hold it."""
    for module in list(model.modules()):
        for name, child in list(module._modules.items()):
            if child is old:
                module._modules[name] = new
    for name, embeddings in model.loaded_embeddings.items():
        if embeddings is old:
            model.loaded_embeddings[name] = new
