"""Settings that the command line makes options of."""

from __future__ import annotations

import dataclasses
from typing import Any


def setting(default: Any, help: str) -> Any:
    """Return a dataclass field with its line of help."""
    return dataclasses.field(default=default, metadata={"help": help})
