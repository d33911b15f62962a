"""Files that come with the package: the zoo's YAML."""

from __future__ import annotations

import importlib.resources
from typing import Any


def read_zoo(name: str) -> Any:
    """Return what a YAML file of the zoo says.

    Args:
        name: path below ``adapters_zoo``, such as ``recipes/squad.yaml``.

    Raises:
        FileNotFoundError: the zoo has no such file.
    """
    import yaml

    path = importlib.resources.files("adapterstilts.zoo")
    for part in name.split("/"):
        path = path / part
    return yaml.safe_load(path.read_text(encoding="utf-8"))
