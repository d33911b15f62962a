"""Rows of the lab on disk, in the cache of ``datasets`` as those of the Hub are: saying them takes longer than reading.

A file for each task, language and split, under a hash of what it was made from and of all that makes it, the code of
the lab: with another version of it, or another definition of a language of the user's, rows are made anew. A second
file has the hash of its bytes, since a table of Arrow does not show by itself that a part of it is gone or changed.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import uuid
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from adapterstilts.fingerprints import fingerprint, fingerprint_file

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


def kept(what: str, make: Callable[[], Dataset]) -> Dataset:
    """Return the rows that are kept under a name, made and kept where there are none.

    Where they cannot be read, or nothing can be written (no space, no permission), they are made, and that is all.

    Args:
        what: all that the rows depend on, beside the code.
        make: makes them.
    """
    import datasets

    folder = Path(datasets.config.HF_DATASETS_CACHE) / "adapterstilts-lab"
    path = folder / f"{fingerprint([what, _code()])[:32]}.arrow"
    try:
        if fingerprint_file(path) == _hash_of(path).read_text(encoding="ascii"):
            return datasets.Dataset.from_file(str(path))
        fault = "it is not what was written"
    except (FileNotFoundError, NotADirectoryError):
        fault = ""
    except Exception as error:  # whatever is wrong with it, it can be made again
        fault = str(error)
    if fault:
        logger.warning("The rows of the lab in %s cannot be used (%s); they are made again.", path, fault)
    made = make()
    try:
        _write(made, path)
    except OSError as error:
        logger.info("The rows of the lab cannot be kept in %s (%s).", folder, error)
    return made


def _hash_of(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _write(rows: Dataset, path: Path) -> None:
    """Write rows, and then their hash: without it there are none."""
    import pyarrow

    path.parent.mkdir(parents=True, exist_ok=True)
    table, sink = rows.data.table, pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue().to_pybytes()
    for file, content in ((path, data), (_hash_of(path), hashlib.sha256(data).hexdigest().encode("ascii"))):
        temporary = path.parent / f".{uuid.uuid4().hex}"
        try:
            temporary.write_bytes(content)
            os.replace(temporary, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@functools.cache
def _code() -> str:
    """Return a hash of the modules that rows are made by."""
    digest = hashlib.sha256()
    room = files("adapterstilts.lab")
    for folder in (room, room / "tasks"):
        for module in sorted(folder.iterdir(), key=lambda item: item.name):
            if module.name.endswith(".py"):
                digest.update(f"{module.name} ".encode() + module.read_bytes())
    return digest.hexdigest()
