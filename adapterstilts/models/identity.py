"""Which backbone it is: what tells two of them apart, and artifacts made for one from those made for the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterstilts.errors import ArtifactError, BackboneError
from adapterstilts.fingerprints import fingerprint, fingerprint_file
from adapterstilts.models.configs import plain_json

#: Parts of a configuration that do not change what the model computes.
_INCIDENTAL = {"_name_or_path", "transformers_version", "_commit_hash", "torch_dtype", "dtype", "architectures"}

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
SHARD_INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class BackboneIdentity:
    """Which backbone it is. Two with the same ``config_hash`` and ``revision`` are the same, whatever their id."""

    id: str
    """What the user named: a Hub id, a folder, or the name of a packaged encoder."""
    revision: str
    """Commit on the Hub, or ``sha256:…`` of the weights where they lie in a folder."""
    config_hash: str
    """SHA-256 of what the configuration says about the architecture."""
    model_type: str

    def require_same(self, other: Mapping[str, Any], *, what: str) -> None:
        """Compare with the identity that a manifest tells.

        Raises:
            ArtifactError: it is another backbone; names both.
        """
        if other.get("config_hash") != self.config_hash or other.get("revision") != self.revision:
            raise ArtifactError(
                f"{what} was made for the backbone '{other.get('id')}' ({_short(other.get('revision'))}), "
                f"not for '{self.id}' ({_short(self.revision)}). Give --backbone {other.get('id')}."
            )

    @property
    def hub_revision(self) -> str | None:
        """The commit to ask the Hub for; None where the backbone lies in a folder."""
        return None if self.revision.startswith("sha256:") or self.revision == "unknown" else self.revision

    @property
    def key(self) -> dict[str, str]:
        """What enters fingerprints."""
        return {"config_hash": self.config_hash, "revision": self.revision}


def config_hash(config: Any) -> str:
    """Return the SHA-256 of what a configuration says about the architecture."""
    told = {key: value for key, value in config.to_dict().items() if key not in _INCIDENTAL}
    for key in ("adapters", "prediction_heads", "custom_heads", "label2id", "id2label"):
        told.pop(key, None)
    return fingerprint(plain_json(told))


def revision_of(location: Path, config: Any) -> str:
    """Return the commit that a model was loaded from, or the hash of its weights where it lies in a folder."""
    if location.is_dir():
        for name in WEIGHT_FILES:
            if (location / name).is_file():
                return f"sha256:{fingerprint_file(location / name)}"
        for name in SHARD_INDICES:
            if (location / name).is_file():
                told = json.loads((location / name).read_text(encoding="utf-8"))
                shards = sorted(set(told["weight_map"].values()))
                return f"sha256:{fingerprint([fingerprint_file(location / shard) for shard in shards])}"
        raise BackboneError(f"The folder '{location}' has no weights ({', '.join(WEIGHT_FILES)}).")
    return str(getattr(config, "_commit_hash", None) or "unknown")


def _short(revision: Any) -> str:
    text = str(revision)
    return text[:14] if text.startswith("sha256:") else text[:10]
