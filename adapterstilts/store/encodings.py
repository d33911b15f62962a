"""Tokenised rows on disk, under the fingerprint of what they were made from."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from adapterstilts.store.home import new_folder

if TYPE_CHECKING:
    from adapterstilts.tasks.formats.base import Encoded

logger = logging.getLogger(__name__)


def cached_encoding(home: Path, key: str, make: Callable[[], Encoded]) -> Encoded:
    """Return the encoding stored under ``key``; make and store it where there is none.

    Args:
        home: the store's folder.
        key: fingerprint of rows, tokenizer and settings.
        make: does the work.
    """
    folder = home / "cache" / "encodings" / key
    if (found := _read(folder)) is not None:
        return found
    made = make()
    if len(made.features):
        shutil.rmtree(folder, ignore_errors=True)
        with new_folder(folder, home) as temporary:
            made.features.save_to_disk(str(temporary / "features"))
            (temporary / "report.json").write_text(json.dumps(dict(made.report)), encoding="utf-8")
    return made


def _read(folder: Path) -> Encoded | None:
    from datasets import Dataset

    from adapterstilts.tasks.formats.base import Encoded

    if not folder.is_dir():
        return None
    try:
        features = Dataset.load_from_disk(str(folder / "features"))
        return Encoded(features, json.loads((folder / "report.json").read_text(encoding="utf-8")))
    except Exception as error:  # whatever is wrong with it, it can be made again
        logger.warning("The cached encoding %s cannot be read (%s); it is made again.", folder, error)
        return None
