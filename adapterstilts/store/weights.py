"""Weights in safetensors files, read back with exactly the keys and shapes that are expected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adapterstilts.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor


def save_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a safetensors file, in the order of their names."""
    from safetensors.torch import save

    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    # Not save_file, which makes files that their owner alone can read, whatever the umask.
    path.write_bytes(save(ordered, metadata={"format": "pt"}))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ArtifactError: the file is missing or damaged; names it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except FileNotFoundError as error:
        raise ArtifactError(f"The weights file '{path}' is missing.") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError(f"The weights file '{path}' cannot be read: {error}. It may be cut or damaged.") from error


def check_weights(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, where: str) -> None:
    """Compare names, shapes and types of loaded tensors with those of the model they are for.

    Raises:
        ArtifactError: names the first missing, unknown or misfit key.
    """
    if missing := sorted(set(expected) - set(tensors)):
        raise ArtifactError(f"{where} lacks {_some(missing)}. It was cut, or made for a model of another shape.")
    if extra := sorted(set(tensors) - set(expected)):
        raise ArtifactError(f"{where} has {_some(extra)}, which the model does not know.")
    for name, tensor in expected.items():
        if tensors[name].shape != tensor.shape:
            raise ArtifactError(
                f"{where}: '{name}' has shape {tuple(tensors[name].shape)}, the model needs {tuple(tensor.shape)}."
            )
        if tensors[name].dtype != tensor.dtype:
            raise ArtifactError(f"{where}: '{name}' is {tensors[name].dtype}, the model needs {tensor.dtype}.")


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return f"the key {shown}" if len(names) == 1 else f"{len(names)} keys: {shown}{', …' if len(names) > 3 else ''}"
