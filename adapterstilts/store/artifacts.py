"""Finished artifacts: a folder each, with a manifest that says what it is and hashes that say it is whole."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from adapterstilts.errors import ArtifactError, nearest
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint_file
from adapterstilts.home import store_home
from adapterstilts.store.home import ID_DIGITS, check_writable, new_folder
from adapterstilts.store.locks import locked
from adapterstilts.tasks.spec import DEFAULT_SUITE

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
REQUIRED = ("format_version", "kind", "id", "name", "fingerprint", "created", "files")


@dataclass(frozen=True)
class Artifact:
    """A finished artifact on disk."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.manifest["id"])

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @property
    def suite(self) -> str:
        """Name of the suite of its task; manifests from before there were suites say none."""
        return str(self.manifest.get("suite", DEFAULT_SUITE))

    @property
    def fingerprint(self) -> str:
        return str(self.manifest["fingerprint"])

    def file(self, name: str) -> Path:
        """Return the path of a file of the artifact, after comparing its hash with the manifest's.

        Raises:
            ArtifactError: the file is not in the manifest, missing, or has other bytes.
        """
        if name not in self.manifest["files"]:
            raise ArtifactError(f"Artifact '{self.id}' has no file '{name}' in its manifest.")
        path = self.path / name
        if not path.is_file():
            raise ArtifactError(f"Artifact '{self.id}' lacks its file '{name}' ({path}). Delete it and train again.")
        if name not in self._checked:
            if fingerprint_file(path) != self.manifest["files"][name]:
                raise ArtifactError(
                    f"The file '{path}' of artifact '{self.id}' is not the one that was written: its hash differs "
                    "from the manifest's. Delete the artifact and train again."
                )
            self._checked.add(name)
        return path

    @cached_property
    def _checked(self) -> set[str]:
        return set()

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file of the artifact."""
        return json.loads(self.file(name).read_text(encoding="utf-8"))

    def read_lines(self, name: str) -> list[Any]:
        """Return the records of a JSON-lines file of the artifact."""
        with self.file(name).open(encoding="utf-8") as stream:
            return [json.loads(line) for line in stream]


class Store:
    """The artifacts below one folder, by kind and id.

    Args:
        home: the folder; None means ``ADAPTERSTILTS_HOME`` or ``~/.cache/adapterstilts``.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home = store_home(home)

    @property
    def cache(self) -> Path:
        """Folder of things that can be made again, such as tokenised rows."""
        return self.home / "cache"

    def check_writable(self) -> None:
        """Fail now rather than after training, if nothing can be written here."""
        check_writable(self.home)

    def find(self, fingerprint: str) -> Artifact | None:
        """Return the finished artifact of a stage, or None."""
        for folder in self._folders(f"*-{fingerprint[:ID_DIGITS]}"):
            artifact = self._read(folder)
            if artifact is not None and artifact.fingerprint == fingerprint:
                return artifact
        return None

    def get(self, name: str) -> Artifact:
        """Return an artifact by its id, its name (the id without the digits), a part of the id, or its path.

        A part is the beginning of the id, or its digits.

        Raises:
            ArtifactError: none or several fit, or its manifest cannot be read; names what is there.
        """
        folder = Path(name).expanduser()
        if (folder / MANIFEST).is_file():
            return read_artifact(folder)
        folders = {path.name: path for path in self._folders("*")}
        if name in folders:
            return read_artifact(folders[name])
        fits = [folder_id for folder_id in folders if folder_id[: -ID_DIGITS - 1] == name]
        fits = fits or [
            folder_id for folder_id in folders if folder_id.startswith(name) or folder_id.endswith(f"-{name}")
        ]
        if len(fits) == 1:
            return read_artifact(folders[fits[0]])
        if fits:
            raise ArtifactError(
                f"'{name}' fits {len(fits)} artifacts: {', '.join(sorted(fits)[:6])}. Give more of the id."
            )
        best = nearest(name, folders)
        hint = f"Did you mean '{best}'?" if best else "See `adapterstilts runs`."
        raise ArtifactError(f"There is no artifact '{name}' in {self.home}. {hint}")

    def all(self, kind: str | None = None, where: Callable[[Artifact], bool] | None = None) -> list[Artifact]:
        """Return the artifacts that can be read, oldest first; others are left out with a warning."""
        found = [artifact for folder in self._folders("*") if (artifact := self._read(folder)) is not None]
        fits = [item for item in found if kind in (None, item.kind) and (where is None or where(item))]
        return sorted(fits, key=lambda item: (str(item.manifest["created"]), item.id))

    def unreadable(self) -> list[tuple[Path, ArtifactError]]:
        """Return the folders of artifacts whose manifest cannot be read, with what is wrong."""
        return [(folder, error) for folder in self._folders("*") if (error := _fault(folder)) is not None]

    @contextmanager
    def create(self, kind: str, name: str, fingerprint: str, manifest: dict[str, Any]) -> Iterator[Path]:
        """Give a folder to write an artifact's files into; it enters the store, with its manifest, when the block ends.

        Args:
            kind: ``intermediate``, ``target``, ``evaluation`` …
            name: for people; becomes the first part of the id.
            fingerprint: of the stage that made it.
            manifest: everything else the manifest shall say; may be added to inside the block.
        """
        own_id = artifact_id(name, fingerprint)
        target = self.home / "artifacts" / kind / own_id
        with new_folder(target, self.home) as folder:
            yield folder
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            head = {
                "format_version": FORMAT_VERSION,
                "kind": kind,
                "id": own_id,
                "name": name,
                "fingerprint": fingerprint,
                "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            }
            hashes = {path.relative_to(folder).as_posix(): fingerprint_file(path) for path in files}
            write_json(folder / MANIFEST, head | manifest | {"files": hashes})
            if target.is_dir() and self._read(target) is None:
                shutil.rmtree(target)  # damaged: what is made now takes its place

    def lock(self, fingerprint: str, what: str, tell: Callable[[str], None]) -> AbstractContextManager[None]:
        """Return a context in which no other process makes the artifact; one waits for it where one does.

        Args:
            fingerprint: of the stage.
            what: its name, for people.
            tell: takes a message, where one has to wait.
        """
        return locked(self.home, fingerprint[:ID_DIGITS], what, tell)

    def _folders(self, pattern: str) -> list[Path]:
        return sorted(path.parent for path in (self.home / "artifacts").glob(f"*/{pattern}/{MANIFEST}"))

    def _read(self, folder: Path) -> Artifact | None:
        try:
            return read_artifact(folder)
        except ArtifactError as error:
            logger.warning("Left out: %s", error)
            return None


def read_artifact(folder: Path) -> Artifact:
    """Read the manifest in ``folder``.

    Raises:
        ArtifactError: it is missing, not JSON, of a later version, or lacks a field.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"The manifest '{path}' cannot be read: {error}.") from error
    if not isinstance(manifest, dict) or (absent := [name for name in REQUIRED if name not in manifest]):
        lacks = f"lacks {', '.join(absent)}" if isinstance(manifest, dict) else "is not a JSON object"
        raise ArtifactError(f"The manifest '{path}' {lacks}.")
    if manifest["format_version"] != FORMAT_VERSION:
        raise ArtifactError(
            f"The manifest '{path}' is of format {manifest['format_version']}; this version reads {FORMAT_VERSION}."
        )
    return Artifact(folder, manifest)


def _fault(folder: Path) -> ArtifactError | None:
    try:
        read_artifact(folder)
    except ArtifactError as error:
        return error
    return None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document for people to read, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_lines(path: Path, records: list[Any]) -> None:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)


def artifact_id(name: str, fingerprint: str) -> str:
    """Return the id of an artifact: its name as a file can be called, and the beginning of its fingerprint."""
    return f"{re.sub(r'[^A-Za-z0-9_.+]+', '-', name).strip('-.')}-{fingerprint[:ID_DIGITS]}"
