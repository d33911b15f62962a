"""Hashes of content: the names under which stages, rows and encodings are found again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

#: Raised when the meaning of stored things changes, so that old ones are not taken for new ones.
FORMAT_VERSION = 1


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON that is the same for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return the SHA-256 (64 hex digits) of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()


def fingerprint_lines(values: Iterable[Any]) -> str:
    """Return the SHA-256 of a sequence of JSON values, without holding them all as text."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(canonical_json(value).encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()


def fingerprint_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
