"""Hidden states of tokens on disk, under the fingerprint of what they were made from: whole, or not at all.

A folder a fingerprint, in it one file of half-precision numbers, (tokens, width), which is mapped into memory, and a
document with its size and hash. All that is kept together stays below a limit; what was used longest ago goes first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from adapterstilts.errors import SettingsError
from adapterstilts.fingerprints import fingerprint_file
from adapterstilts.store.home import new_folder

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger(__name__)

LIMIT_VARIABLE = "ADAPTERSTILTS_STATES_GB"
LIMIT = 20.0
"""GB that all kept hidden states may take, unless the variable says otherwise."""
FREE_SHARE = 0.5
"""Share of the free disk that new ones may take."""
STATES, DOCUMENT = "states.bin", "states.json"
ITEM = 2
"""Bytes of a number."""


def states_folder(home: Path) -> Path:
    """Return the folder that has one for each fingerprint."""
    return home / "cache" / "hidden_states"


def limit() -> int:
    """Return how many bytes all kept hidden states may take; 0 keeps none.

    Raises:
        SettingsError: the variable is no number, or below 0.
    """
    given = os.environ.get(LIMIT_VARIABLE) or str(LIMIT)
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise SettingsError(f"{LIMIT_VARIABLE} must be a number of GB, such as 20 or 0 (keep none), not '{given}'.")
    return int(value * 1e9)


def find_states(home: Path, key: str, tokens: int, width: int) -> np.ndarray | None:
    """Return the states kept under a fingerprint, (tokens, width), float16; None where there are none.

    Damaged ones are removed: they can be made again.
    """
    import numpy as np

    folder = states_folder(home) / key
    if not folder.is_dir():
        return None
    path = folder / STATES
    try:
        told = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
        kept: np.ndarray = np.memmap(path, dtype=np.float16, mode="r", shape=(tokens, width))
        size = path.stat().st_size
        there = {"tokens": tokens, "width": width, "size": size, "sha256": fingerprint_file(path)}
        fault = "" if told == there and size == kept.nbytes else "its size or content is not what it was"
    except (OSError, ValueError) as error:
        fault = str(error)
    if fault:
        logger.warning("The hidden states in %s cannot be used (%s); they are made again.", folder, fault)
        shutil.rmtree(folder, ignore_errors=True)
        return None
    _touch(folder / DOCUMENT)
    return kept


def write_states(home: Path, key: str, parts: Iterable[np.ndarray]) -> None:
    """Keep states under a fingerprint.

    Args:
        home: the store's folder.
        key: the fingerprint.
        parts: one after the other, each (tokens, width), float16.

    Raises:
        ArtifactError: the store cannot be written (read-only, full); names the path.
    """
    folder = states_folder(home) / key
    with new_folder(folder, home) as temporary:
        digest, tokens, width = hashlib.sha256(), 0, 0
        with (temporary / STATES).open("wb") as stream:
            for part in parts:
                data = part.tobytes()
                digest.update(data)
                stream.write(data)
                tokens, width = tokens + part.shape[0], part.shape[1]
        told = {"tokens": tokens, "width": width, "size": tokens * width * ITEM, "sha256": digest.hexdigest()}
        (temporary / DOCUMENT).write_text(json.dumps(told), encoding="utf-8")


def make_room(home: Path, size: int) -> str:
    """Remove what was used longest ago, where new states would take all of them above the limit.

    Args:
        home: the store's folder.
        size: of the new ones, bytes.

    Returns:
        why there is no room for them, or nothing.
    """
    most = limit()
    if size > most:
        return f"{gigabytes(size)} are more than {LIMIT_VARIABLE} allows, {gigabytes(most)}"
    there = next(folder for folder in (home, *home.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if size > free * FREE_SHARE:
        return f"{gigabytes(size)} are more than half of what is free on the disk, {gigabytes(free)}"
    for folder, kept in sorted(_kept(home).items(), key=lambda item: -item[1][0]):
        size += kept[1]
        if size > most:  # who reads them still has them: a mapped file goes when nobody maps it
            logger.info("The hidden states in %s make room for others.", folder)
            shutil.rmtree(folder, ignore_errors=True)
    return ""


def gigabytes(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _kept(home: Path) -> dict[Path, tuple[float, int]]:
    """Return when each folder of states was used last, and its bytes."""
    found = {}
    for document in states_folder(home).glob(f"*/{DOCUMENT}"):
        try:
            size = (document.parent / STATES).stat().st_size
            found[document.parent] = document.stat().st_mtime, size
        except FileNotFoundError:
            continue  # somebody removed it meanwhile
    return found


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:  # a store that can be read only
        logger.debug("%s cannot be touched.", path)
