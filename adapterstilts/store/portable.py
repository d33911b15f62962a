"""What of an artifact leaves this machine, and what of a foreign one comes in: names, sizes, the manifest's fields.

Nothing here trusts what it reads. Names are compared with a list of patterns, not searched for bad parts; JSON has a
size limit; fields that this version does not know are dropped.
"""

from __future__ import annotations

import getpass
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from adapterstilts.errors import ArtifactError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.store.artifacts import ID_DIGITS, MANIFEST, artifact_id

#: Kinds of artifacts that are shared: those that hold adapters.
KINDS = ("intermediate", "target", "merged", "mixed", "fusion", "language")
RESULTS = "results.json"
"""The evaluations of a shared artifact."""
CARD = "README.md"

MAX_JSON_BYTES = 1 << 23
"""Of a manifest, a composition, results, or a learning curve."""
MAX_WEIGHTS_BYTES = 1 << 33
MAX_FILES = 256

_NAME = r"[a-z][a-z0-9_]*"
_FILES = re.compile(
    r"(?:composition|adapter|fusion|results)\.json|curve\.jsonl"
    rf"|(?:head|fusion|backbone|(?:adapters|heads)/{_NAME})\.safetensors"
)
_ID = re.compile(r"[A-Za-z0-9_.+-]{1,200}-[0-9a-f]{12}")
_HASH = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"sha256:[0-9a-f]{64}|[0-9a-f]{40}|unknown")
_BACKBONE = re.compile(r"(?:\./)?[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\[\]\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]{1,400}")
_BRACKETS = str.maketrans("[]", "()")
#: At the beginning of a word; inside of one a stroke is something else, such as a category of CCG.
_PATH = re.compile(r"(?:^|(?<=[\s'\"=]))(?:(?:~|file:/*)?/[^\s'\",;]+|[A-Za-z]:\\[^\s'\",;]+|\\\\[^\s'\",;]+)")
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")

#: Fields of a manifest that are kept of a foreign one, and what kind of value each has.
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "format_version": int,
    "kind": str,
    "id": str,
    "name": str,
    "fingerprint": str,
    "created": str,
    "suite": str,
    "task": str,
    "tasks": list,
    "expression": str,
    "fused_on": str,
    "labels": list,
    "language": str,
    "language_adapter": dict,
    "backbone": dict,
    "tokenizer": dict,
    "settings": dict,
    "inputs": list,
    "identity": dict,
    "data": dict,
    "mixture": dict,
    "metrics": dict,
    "search": dict,
    "stopped_early": bool,
    "resources": dict,
    "versions": dict,
    "imported": dict,
    "not_known": list,
    "files": dict,
}
_NEEDED = ("format_version", "kind", "id", "name", "fingerprint", "created", "expression", "backbone", "settings")
_NEEDED_BY_KIND = {
    "intermediate": ("task", "labels", "metrics", "data", "resources"),
    "target": ("task", "labels", "metrics", "data", "resources"),
    "merged": ("suite", "tasks"),
    "mixed": ("suite", "tasks", "metrics", "mixture"),
    "fusion": ("suite", "tasks", "metrics", "mixture"),
    "language": ("suite", "language", "resources"),
}


def portable(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest as it can be shown to everybody: of paths on this machine only the last part is left.

    A backbone in a folder becomes ``./NAME``, which whoever takes the artifact replaces with ``--backbone``.

    Raises:
        ArtifactError: something of this machine is left, or a token; names the field.
    """
    told = {key: value for key, value in manifest.items() if key != "origin"}
    backbone = dict(told["backbone"])
    if is_local(backbone["id"]):
        last = PureWindowsPath(backbone["id"]).name if "\\" in backbone["id"] else PurePosixPath(backbone["id"]).name
        name = re.sub(r"[^A-Za-z0-9._-]+|^[^A-Za-z0-9]+", "-", last).lstrip("-.")
        backbone["id"] = f"./{name if name and name != _user() else 'backbone'}"
    shown = {key: value if key in ("identity", "files") else _without_paths(value) for key, value in told.items()}
    shown |= {"backbone": backbone, "tokenizer": {"id": backbone["id"], "revision": backbone["revision"]}}
    check_portable(shown, f"The manifest of '{manifest['id']}'")
    return shown


def is_local(backbone: str) -> bool:
    """Tell whether a backbone's id is a folder rather than a name on the Hub or of a package."""
    return backbone.startswith((".", "/", "~", "\\")) or ":" in backbone or backbone.count("/") > 1 or "\\" in backbone


def check_portable(value: Any, what: str) -> None:
    """Refuse texts that tell of this machine or open an account.

    Args:
        value: a JSON value.
        what: for messages.

    Raises:
        ArtifactError: a path of this machine, or a token, is in it; names the field, not the token.
    """
    home = str(Path.home())
    for place, text in _texts(value):
        if _TOKEN.search(text):
            raise ArtifactError(f"{what} has an access token in '{place}'. Nothing is published; change the token.")
        if _PATH.search(text) or (len(home) > 1 and home in text):
            raise ArtifactError(
                f"{what} has a path of this machine in '{place}': {text[:120]!r}. Nothing is published; train it again "
                "with names that everybody may see."
            )


def check_name(name: str, where: str) -> None:
    """Compare the name of a file with those that an artifact can have.

    Raises:
        ArtifactError: it has another one: one that leaves the folder, say.
    """
    if not _FILES.fullmatch(name):
        raise ArtifactError(f"{where} names the file {name[:120]!r}, which no artifact has. It is not taken in.")


def check_size(name: str, size: int | None, where: str) -> None:
    """Compare the size of a file in bytes with what such a file can have.

    Raises:
        ArtifactError: it is larger, or its size is not told.
    """
    limit = MAX_WEIGHTS_BYTES if name.endswith((".safetensors", ".bin")) else MAX_JSON_BYTES
    if size is None or not 0 <= size <= limit:
        raise ArtifactError(f"{where}: the file '{name}' has {size} bytes; at most {limit} are taken in.")


def read_json(path: Path) -> Any:
    """Read a JSON file that somebody else wrote.

    Raises:
        ArtifactError: it is missing, a link, too large, not UTF-8, not JSON, or has a key twice; names the file.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            raise ValueError("a key stands twice")
        return found

    def constant(text: str) -> Any:
        raise ValueError(f"{text} is no number")

    if path.is_symlink() or not path.is_file():
        raise ArtifactError(f"The file '{path}' is missing, or is a link.")
    check_size(path.name, path.stat().st_size, str(path.parent))
    try:
        return json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"The file '{path}' cannot be read: {error}.") from error


def foreign_manifest(folder: Path) -> dict[str, Any]:
    """Return what this version knows of the manifest that somebody else wrote, after checking all of it.

    Raises:
        ArtifactError: a field is missing, unknown in kind, or contradicts another; names file and field.
    """
    path = folder / MANIFEST
    given = read_json(path)

    def refused(fault: str) -> ArtifactError:
        return ArtifactError(f"The manifest '{path}' is refused: {fault}.")

    if not isinstance(given, dict):
        raise refused("it is no JSON object")
    if given.get("format_version") != FORMAT_VERSION:
        raise refused(f"it is of format {_short(given.get('format_version'))}, and this version reads {FORMAT_VERSION}")
    if given.get("kind") not in KINDS:
        raise refused(f"its kind is {_short(given.get('kind'))}, none of {', '.join(KINDS)}")
    kind = str(given["kind"])
    if absent := [key for key in (*_NEEDED, *_NEEDED_BY_KIND[kind], "identity", "files") if key not in given]:
        raise refused(f"it lacks {', '.join(absent)}")
    manifest = {key: value for key, value in given.items() if key in _FIELDS}
    for key, value in manifest.items():
        if not isinstance(value, _FIELDS[key]) or (isinstance(value, bool) and _FIELDS[key] is not bool):
            raise refused(f"'{key}' is {_short(value)}")
    for place, text in _texts({key: value for key, value in manifest.items() if key != "identity"}):
        seen = text.translate(_BRACKETS) if place.startswith("labels[") else text
        if text and not _LINE.fullmatch(seen):
            raise refused(f"'{place}' holds signs that no name has, or too many: {_short(text)}")
    for key in ("labels", "inputs", "tasks", "not_known"):
        if not all(isinstance(item, str) for item in manifest.get(key, [])):
            raise refused(f"'{key}' holds something that is no text")
    _check_backbone(manifest["backbone"], refused)
    _check_numbers(manifest.get("metrics", {}), "metrics", "validation", refused)
    _check_numbers(manifest.get("search", {}), "search", "weights", refused)
    if not _HASH.fullmatch(manifest["fingerprint"]) or fingerprint(manifest["identity"]) != manifest["fingerprint"]:
        raise refused("'fingerprint' is not the hash of 'identity'")
    if manifest["id"] != artifact_id(manifest["name"], manifest["fingerprint"]) or len(manifest["id"]) <= ID_DIGITS + 1:
        raise refused("'id' is not made of 'name' and 'fingerprint'")
    if manifest["identity"].get("kind") != kind:
        raise refused("'identity' is of another kind")
    _check_told(manifest, refused)
    _check_files(manifest["files"], refused, path)
    return manifest


def _check_backbone(told: Mapping[str, Any], refused: Any) -> None:
    names = {"id", "revision", "config_hash", "model_type"}
    if set(told) != names or not all(isinstance(value, str) for value in told.values()):
        raise refused(f"'backbone' needs {', '.join(sorted(names))}")
    if not _BACKBONE.fullmatch(told["id"]) or not _REVISION.fullmatch(told["revision"]):
        raise refused(f"'backbone' is no name and commit: {_short(told['id'])}, {_short(told['revision'])}")


def _check_numbers(told: Mapping[str, Any], field: str, key: str, refused: Any) -> None:
    """Check the numbers that a field holds under a key, where it has that."""
    given = told.get(key, {})
    numbers: list[Any] = list(given.values()) if isinstance(given, dict) else [None]
    if not all(type(value) in (int, float) and math.isfinite(value) for value in numbers):
        raise refused(f"'{field}.{key}' holds something that is no number")


def _check_told(manifest: Mapping[str, Any], refused: Any) -> None:
    """Check what other commands take for granted in a manifest of their own store."""
    backbone, identity = manifest["backbone"], manifest["identity"]
    if manifest.get("tokenizer") != {"id": backbone["id"], "revision": backbone["revision"]}:
        raise refused("'tokenizer' is not that of 'backbone'")
    for field, key in (("resources", "wall_seconds"), ("resources", "trained_parameters"), ("search", "budget")):
        if type(manifest.get(field, {}).get(key, 0)) not in (int, float):
            raise refused(f"'{field}.{key}' is no number")
    if "imported" in manifest and (
        set(manifest["imported"]) != {"repo", "commit", "head"}
        or not all(isinstance(value, str) for value in manifest["imported"].values())
    ):
        raise refused("'imported' does not tell repo, commit and head")
    if manifest.get("fused_on", "intermediate") != "intermediate":
        raise refused(f"'fused_on' is {_short(manifest['fused_on'])}")
    if "language_adapter" in manifest:
        below = manifest["language_adapter"]
        if set(below) != {"language", "artifact", "fingerprint"} or below["fingerprint"] != identity.get("language"):
            raise refused("'language_adapter' is not the one in 'identity'")
        if not isinstance(below["language"], str) or not _ID.fullmatch(str(below["artifact"])):
            raise refused("'language_adapter' names no language and artifact")
    if "task" in manifest:
        wanted = (("task", dict), ("settings", dict), ("expression", str))
        if odd := [key for key, kind in wanted if not isinstance(identity.get(key), kind)]:
            raise refused(f"'identity.{odd[0]}' is missing or of another kind")
        if not isinstance(identity["task"].get("definition", ""), str):
            raise refused("'identity.task.definition' is no text")
        if identity["task"].get("name") != manifest["task"] or identity["expression"] != manifest["expression"]:
            raise refused("'identity' is about something else than 'task' and 'expression'")
    parts = [part.get("data") if isinstance(part, dict) else None for part in manifest.get("mixture", {}).values()]
    for data in [manifest["data"]] if "data" in manifest else parts:
        if not isinstance(data, dict) or not all(map(_tells_rows, data.values())):
            raise refused("'data' does not tell what rows there were")


def _tells_rows(source: Any) -> bool:
    texts = ("dataset", "config", "split")
    return (
        isinstance(source, dict)
        and all(isinstance(source.get(key), str) for key in texts)
        and isinstance(source.get("revision"), (str, type(None)))
        and type(source.get("rows")) is int
        and all(isinstance(source.get(key, []), list) for key in ("more", "texts"))
        and all(isinstance(item, str) for key in ("more", "texts") for item in source.get(key, []))
    )


def _check_files(files: Mapping[str, Any], refused: Any, path: Path) -> None:
    if not 1 < len(files) <= MAX_FILES:
        raise refused(f"it names {len(files)} files")
    for name, digest in files.items():
        check_name(name, f"The manifest '{path}'")
        if not isinstance(digest, str) or not _HASH.fullmatch(digest):
            raise refused(f"the hash of '{name}' is {_short(digest)}")


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield all texts in a JSON value, keys too, with the place of each."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield place or "the keys", str(key)
            yield from _texts(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _texts(item, f"{place}[{number}]")


def _without_paths(value: Any) -> Any:
    if isinstance(value, str):
        return _PATH.sub(lambda found: re.split(r"[/\\]", found.group().rstrip("/\\"))[-1], value)
    if isinstance(value, Mapping):
        return {key: _without_paths(item) for key, item in value.items()}
    return [_without_paths(item) for item in value] if isinstance(value, (list, tuple)) else value


def _short(value: Any) -> str:
    return ascii(value)[:80]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a machine may have no name for whoever runs this
        return ""
