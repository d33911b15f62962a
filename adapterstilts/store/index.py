"""The index of published adapters that comes with the package (``adapters_zoo/index.yaml``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from adapterstilts.bundled import read_zoo
from adapterstilts.errors import ArtifactError, SettingsError, unknown
from adapterstilts.store.hub import parse_repo
from adapterstilts.store.portable import KINDS

INDEX = "index.yaml"
VERSION = 1


@dataclass(frozen=True)
class Published:
    """An entry of the index."""

    name: str
    """What the user types."""
    repo: str
    """``USER/REPO``."""
    revision: str
    """Commit."""
    manifest: str
    """SHA-256 of ``manifest.json``."""
    kind: str
    suite: str
    task: str
    """Task, or expression of a merged or mixed adapter."""
    backbone: str
    note: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as documents tell it."""
        return asdict(self)


def published() -> tuple[Published, ...]:
    """Return the entries of the bundled index.

    Raises:
        ArtifactError: the index is damaged; all faults are told at once.
    """
    return read_index(read_zoo(INDEX))


def read_index(given: Any) -> tuple[Published, ...]:
    """Read the content of an index.

    Raises:
        ArtifactError: tells all faults at once.
    """
    if not isinstance(given, Mapping) or given.get("version") != VERSION or not isinstance(given.get("adapters"), list):
        raise ArtifactError(f"The index of adapters needs 'version: {VERSION}' and a list 'adapters'.")
    faults: list[str] = []
    entries = [_entry(item, number, faults) for number, item in enumerate(given["adapters"])]
    found = [entry for entry in entries if entry is not None]
    names = [entry.name for entry in found]
    faults += [f"'{name}' stands twice" for name in sorted({name for name in names if names.count(name) > 1})]
    if faults:
        raise ArtifactError("The index of adapters is damaged:\n" + "\n".join(f"- {fault}" for fault in faults))
    return tuple(found)


def entry_of(name: str) -> Published:
    """Return the entry called ``name``.

    Raises:
        UnknownNameError: there is none; the nearest one is given.
    """
    by_name = {entry.name: entry for entry in published()}
    if name not in by_name:
        raise unknown(
            "published adapter",
            name,
            by_name,
            hint="Give a repository on the Hub, USER/REPO, or look with `adapterstilts zoo search`.",
        )
    return by_name[name]


def _entry(item: Any, number: int, faults: list[str]) -> Published | None:
    known = {field.name for field in fields(Published)}
    if not isinstance(item, Mapping) or not all(isinstance(value, str) for value in item.values()):
        faults.append(f"adapters[{number}] is no mapping of texts")
        return None
    before = len(faults)
    where = f"adapters[{number}] ({item.get('name', 'no name')})"
    faults += [f"{where} lacks '{key}'" for key in sorted(known - {"note"} - set(item))]
    faults += [f"{where} has '{key}', which no entry has" for key in sorted(set(item) - known)]
    for key, pattern in (("name", "[a-z0-9][a-z0-9._+-]*"), ("revision", "[0-9a-f]{40}"), ("manifest", "[0-9a-f]{64}")):
        if key in item and not re.fullmatch(pattern, item[key]):
            faults.append(f"{where}: '{key}' is {item[key]!r}")
    if item.get("kind", KINDS[0]) not in KINDS:
        faults.append(f"{where}: 'kind' is none of {', '.join(KINDS)}")
    try:
        parse_repo(item.get("repo", "user/repo"))
    except SettingsError as error:
        faults.append(f"{where}: {error}")
    return Published(**item) if len(faults) == before else None
