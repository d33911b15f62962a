"""The folder that everything is kept in between runs."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "ADAPTERSTILTS_HOME"


def store_home(given: str | os.PathLike[str] | None = None) -> Path:
    """Return the store's folder: ``given``, else ``ADAPTERSTILTS_HOME``, else ``~/.cache/adapterstilts``."""
    chosen = given or os.environ.get(HOME_VARIABLE) or Path("~/.cache/adapterstilts")
    return Path(chosen).expanduser().resolve()
