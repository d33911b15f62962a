"""Artifacts that are not made yet, so that a run can be walked through before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapterstilts.errors import ArtifactError
from adapterstilts.store.artifacts import Artifact, Store, artifact_id


@dataclass(frozen=True)
class Promise(Artifact):
    """An artifact that is not made yet: what it will be called, what makes it and of which shape it is are known."""

    contents: Mapping[str, Any] = field(default_factory=dict)
    """The JSON files that are known before, by name."""

    @classmethod
    def of(
        cls,
        kind: str,
        name: str,
        fingerprint: str,
        manifest: Mapping[str, Any],
        contents: Mapping[str, Any] | None = None,
    ) -> Promise:
        """Promise what ``Store.create`` would be given.

        Args:
            kind, name, fingerprint: as there.
            manifest: what its manifest will say, as far as it is known.
            contents: its JSON files that others read before they need its weights.
        """
        own_id = artifact_id(name, fingerprint)
        files = dict(contents or {})
        head = {"kind": kind, "id": own_id, "name": name, "fingerprint": fingerprint}
        return cls(Path(own_id), {**head, **manifest, "files": dict.fromkeys(files, "")}, files)

    def file(self, name: str) -> Path:
        """Refuse: there is no file yet.

        Raises:
            ArtifactError: always.
        """
        raise ArtifactError(f"Artifact '{self.id}' is planned and not made yet, so that it has no file '{name}'.")

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file that is known before the artifact is made."""
        return self.contents[name]


class PlanningStore(Store):
    """A store into which nothing is written: what it does not have is promised instead of made."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.home)
        self.promises: dict[str, Promise] = {}
        """What was promised, by id."""

    def check_writable(self) -> None:
        """Do nothing: a plan writes nothing."""

    def promise(self, promised: Promise) -> Promise:
        """Keep a promise, and return the one that was given first for the same artifact."""
        return self.promises.setdefault(promised.id, promised)
