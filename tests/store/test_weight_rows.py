"""Single rows of a matrix in a safetensors file: those that are asked for, and none of another file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from adapterstilts.errors import ArtifactError
from adapterstilts.store.weight_rows import StoredMatrix, stored_matrix


def kept(folder: Path, **tensors: torch.Tensor) -> Path:
    save_file(tensors, folder / "weights.safetensors", metadata={"format": "pt"})
    return folder / "weights.safetensors"


def matrix(path: Path) -> StoredMatrix:
    found = stored_matrix(path, {"words", "model.words"})
    assert found is not None
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("wanted", [[], [0], [30], [0, 1, 2, 7, 9, 10, 30], list(range(31))])
def test_rows_are_those_of_the_file(dtype: torch.dtype, wanted: list[int], tmp_path: Path) -> None:
    words = torch.randn(31, 5).to(dtype)
    path = kept(tmp_path, words=words, after=torch.randn(3), before=torch.randn(2, 2))
    found = matrix(path).read(wanted)
    assert found.dtype == dtype
    assert torch.equal(found, words[wanted])


def test_what_is_no_such_matrix_is_not_found(tmp_path: Path) -> None:
    path = kept(tmp_path, line=torch.randn(4), words=torch.randn(4, 2), numbers=torch.ones(4, 2, dtype=torch.int64))
    assert stored_matrix(path, {"line"}) is None
    assert stored_matrix(path, {"numbers"}) is None
    assert stored_matrix(path, {"other"}) is None
    assert stored_matrix(path, {"words", "line"}) is None, "which of the two it is cannot be known"
    assert stored_matrix(tmp_path / "nothing.safetensors", {"words"}) is None


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = kept(tmp_path, words=torch.randn(4, 2))
    found = matrix(path)
    kept(tmp_path, words=torch.randn(4, 2))
    os.utime(path, ns=(0, 0))
    with pytest.raises(ArtifactError, match=r"weights\.safetensors' was changed while it was in use"):
        found.read([1])
    path.unlink()
    with pytest.raises(ArtifactError, match=r"weights\.safetensors' cannot be read"):
        found.read([1])


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = kept(tmp_path, words=torch.randn(4, 2))
    path.write_bytes(path.read_bytes()[:-1])
    found = matrix(path)
    assert len(found.read([2])) == 1
    with pytest.raises(ArtifactError, match="is cut"):
        found.read([2, 3])
