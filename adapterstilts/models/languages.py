"""Language adapters of a composition: the one that it was trained on, and those that take its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adapterstilts.models.composition import BOTTOM
from adapterstilts.models.saved import read_weights
from adapterstilts.store.artifacts import Artifact

if TYPE_CHECKING:
    from torch import Tensor

KIND = "language"
"""Kind of an artifact that holds the adapter of a language."""
IN_MANIFEST = "language_adapter"
"""What a composition's manifest calls the adapter of the source language that lies at its bottom."""


@dataclass(frozen=True)
class LanguageAdapter:
    """An adapter that lies at the bottom of a composition."""

    language: str
    """Code of the language on whose text it was trained."""
    id: str
    """Of its artifact."""
    fingerprint: str
    """Of its artifact."""
    artifact: Artifact | None = None
    """Where its weights are; None for the composition's own, which is a part of it."""

    @classmethod
    def own(cls, artifact: Artifact) -> LanguageAdapter:
        """Return the adapter of an artifact of kind ``language`` as a part of the composition that is trained on it."""
        return replace(cls.of(artifact), artifact=None)

    @classmethod
    def of(cls, artifact: Artifact) -> LanguageAdapter:
        """Return the adapter that an artifact of kind ``language`` holds."""
        return cls(str(artifact.manifest["language"]), artifact.id, artifact.fingerprint, artifact)

    def to_json(self) -> dict[str, str]:
        """Return the adapter as documents tell it."""
        return {"language": self.language, "artifact": self.id}

    def weights(self) -> Mapping[str, Tensor]:
        """Return its tensors, under the keys of ``BOTTOM``.

        Raises:
            ArtifactError: they are not the ones that were written.
        """
        assert self.artifact is not None
        return read_weights(self.artifact, BOTTOM)


def language_json(artifact: Artifact | None) -> dict[str, Any]:
    """Return what the manifest of a composition says of the language adapter at its bottom, if it has one."""
    if artifact is None:
        return {}
    told = {"language": artifact.manifest["language"], "artifact": artifact.id, "fingerprint": artifact.fingerprint}
    return {IN_MANIFEST: told}


def own_language(artifact: Artifact) -> LanguageAdapter | None:
    """Return the language adapter that is a part of a composition, None where it has none."""
    told = artifact.manifest.get(IN_MANIFEST)
    return LanguageAdapter(told["language"], told["artifact"], told["fingerprint"]) if told else None
