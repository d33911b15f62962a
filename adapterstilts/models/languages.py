"""Language adapters of a composition: the one that it was trained on, and those that take its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ExpressionError
from adapterstilts.models.composition import BOTTOM, Composition
from adapterstilts.models.layers import leaving_out, left_out
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


def language_config(config: Mapping[str, Any], dropped: Collection[int]) -> dict[str, Any]:
    """Return the configuration that a language adapter has in a composition.

    Args:
        config: of the adapter.
        dropped: layers in which no adapter of the composition works.

    Raises:
        ExpressionError: it cannot be left out of single layers; says which can.
    """
    if not dropped:
        return dict(config)
    if config.get("inv_adapter"):
        raise ExpressionError(
            "The language adapter has an invertible part below all layers, which --drop-layers cannot leave out. Train "
            "language adapters without it (`adapterstilts train-language ... --adapter seq_bn`) and name that of the "
            "source language with --language-adapter LANG=ID, or leave --drop-layers out."
        )
    return leaving_out(BOTTOM, config, left_out(config).union(dropped))


def put_on_language(composition: Composition, config: Mapping[str, Any], dropped: Collection[int]) -> Composition:
    """Return a composition stacked on a language adapter.

    Args:
        composition: without one.
        config, dropped: as for ``language_config``.

    Raises:
        ExpressionError: as for ``language_config``, or two adapters of the stack would be invertible.
    """
    below = language_config(config, dropped)
    twice = [name for name, own in composition.adapters.items() if own.get("inv_adapter")]
    if below.get("inv_adapter") and twice:
        raise ExpressionError(
            f"'{twice[0]}' has an invertible part at the embeddings, as the language adapter has, and only the lowest "
            "would be used. Choose another --adapter, such as seq_bn."
        )
    return replace(composition, adapters={**composition.adapters, BOTTOM: below}, on_language=True)


def own_language(artifact: Artifact) -> LanguageAdapter | None:
    """Return the language adapter that is a part of a composition or of an ensemble's members, None without one."""
    told = artifact.manifest.get(IN_MANIFEST)
    return LanguageAdapter(told["language"], told["artifact"], told["fingerprint"]) if told else None
