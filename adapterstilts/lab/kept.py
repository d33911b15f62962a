"""Rows of the lab on disk, in the cache of ``datasets`` as those of the Hub are: saying them takes longer than reading.

A file for each task, language and split, under a hash of what it was made from and of all that makes it, the code of
the lab: with another version of it, or another definition of a language of the user's, rows are made anew.
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

from adapterstilts.fingerprints import fingerprint

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
        return datasets.Dataset.from_file(str(path))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception as error:  # whatever is wrong with it, it can be made again
        logger.warning("The rows of the lab in %s cannot be read (%s); they are made again.", path, error)
    made = make()
    try:
        _write(made, path)
    except OSError as error:
        logger.info("The rows of the lab cannot be kept in %s (%s).", folder, error)
    return made


def _write(rows: Dataset, path: Path) -> None:
    """Write rows whole, or not at all."""
    import pyarrow

    path.parent.mkdir(parents=True, exist_ok=True)
    table, temporary = rows.data.table, path.parent / f".{uuid.uuid4().hex}"
    try:
        with temporary.open("wb") as stream, pyarrow.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        os.replace(temporary, path)
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
