"""Single rows of a matrix in a safetensors file, without the rest of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapterstilts.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

HEADER_LENGTH = 8
TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class StoredMatrix:
    """A matrix in a safetensors file (https://huggingface.co/docs/safetensors, "Format").

    Rows are read with plain system calls. A memory map would bring in the pages around each of them, too, which is
    most of a matrix when rows are scattered over it.
    """

    path: Path
    start: int
    """Offset of the first row in the file, in bytes."""
    rows: int
    columns: int
    type: str
    """Name of the type in torch, such as ``float32``."""
    state: tuple[int, int]
    """Size of the file and when it was last changed."""

    def read(self, wanted: Sequence[int]) -> Tensor:
        """Return rows, (number of wanted rows, columns), in the type that they are stored in.

        Args:
            wanted: numbers of rows, ascending.

        Raises:
            ArtifactError: the file is gone, cut or another one than it was.
        """
        import torch

        found = torch.empty(len(wanted), self.columns, dtype=getattr(torch, self.type))
        width = self.columns * found.element_size()
        room: memoryview = found.view(torch.uint8).reshape(-1).numpy().data
        try:
            with self.path.open("rb", buffering=0) as file:
                if _state(self.path) != self.state:
                    raise ArtifactError(f"'{self.path}' was changed while it was in use. Start again.")
                done = 0
                for first, count in _runs(wanted):
                    file.seek(self.start + first * width)
                    if file.readinto(room[done * width : (done + count) * width]) != count * width:
                        raise ArtifactError(f"The weights file '{self.path}' is cut.")
                    done += count
        except OSError as error:
            raise ArtifactError(f"The weights file '{self.path}' cannot be read: {error}.") from error
        return found


def stored_matrix(path: Path, names: Collection[str]) -> StoredMatrix | None:
    """Find a matrix in a safetensors file, by the one of its possible names that the file has.

    Returns:
        None where there is no such file, or it has none of the names or several, or another type than TYPES has.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        length = int.from_bytes(file.read(HEADER_LENGTH), "little")
        header = json.loads(file.read(length))
    told = [header[name] for name in names if name in header]
    if len(told) != 1 or len(told[0]["shape"]) != 2 or told[0]["dtype"] not in TYPES:
        return None
    rows, columns = told[0]["shape"]
    start = HEADER_LENGTH + length + told[0]["data_offsets"][0]
    return StoredMatrix(path, start, rows, columns, TYPES[told[0]["dtype"]], _state(path))


def _state(path: Path) -> tuple[int, int]:
    told = path.stat()
    return told.st_size, told.st_mtime_ns


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Cut ascending numbers into runs without gaps: the first of each, and how many there are."""
    groups = itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in group] for _, group in groups]
    return [(run[0], len(run)) for run in runs]
