"""Is an artifact what it says? Its hashes, its keys and shapes on its backbone, and one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from adapterstilts.errors import AdapterStiltsError, ArtifactError, SettingsError
from adapterstilts.models.backbone import ComposedModel
from adapterstilts.models.composition import Composition
from adapterstilts.models.languages import KIND as LANGUAGE
from adapterstilts.models.languages import own_language
from adapterstilts.models.saved import (
    ADAPTER,
    COMPOSITION,
    FUSED,
    FUSION,
    HEADLESS,
    SHARED,
    is_headless,
    load_backbone_of,
    load_headless,
    load_shared,
    load_trained,
    members_of,
    read_adapter,
    read_composition,
    read_fusion,
    read_heads,
    weights_file,
)
from adapterstilts.models.soundness import LARGEST, check_answer, check_finite, check_numbers
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import MANIFEST, Artifact, Store
from adapterstilts.store.portable import KINDS, RESULTS
from adapterstilts.store.weights import load_weights
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import CURVE


@dataclass(frozen=True)
class Verified:
    """An artifact that was loaded as a whole."""

    composed: ComposedModel
    heads: Mapping[str, ComposedModel] = field(default_factory=dict)
    """Of a mixed adapter or a fusion, by task."""


@dataclass(frozen=True)
class Condition:
    """What ``zoo check`` found of an artifact."""

    artifact: str
    kind: str
    fault: str
    """What is damaged; empty where nothing is."""

    def to_json(self) -> dict[str, Any]:
        """Return it as documents tell it."""
        return asdict(self)


def verified(artifact: Artifact, backbone: str | None = None) -> Verified:
    """Load an artifact as strictly as evaluation does, and let it answer once.

    Args:
        artifact: one that holds adapters.
        backbone: id or folder, where it is no longer where the manifest says.

    Raises:
        ArtifactError: a file is missing, unknown or has other bytes, a key or shape is wrong, a number is out of
            range, or what comes out is not finite; names it.
        BackboneError: its backbone cannot be loaded.
    """
    files = needed_files(artifact)
    for name in files:
        artifact.file(name)
    needed = [name for name in files if name.endswith(".safetensors")]
    loaded = load_backbone_of(artifact, backbone)
    try:
        if artifact.kind in SHARED:
            found = Verified(*load_shared(artifact, loaded))
        else:
            found = Verified((load_headless if is_headless(artifact) else load_trained)(artifact, loaded))
        for name in needed:
            check_finite(load_weights(artifact.path / name), f"The weights file '{artifact.path / name}'")
        for composed in found.heads.values() or (found.composed,):
            check_answer(composed, str(artifact.path))
    except ArtifactError as error:
        if str(artifact.path) in str(error):
            raise
        raise ArtifactError(f"{error} ({artifact.path / files[0]})") from error
    except AdapterStiltsError as error:
        raise ArtifactError(f"'{artifact.path / files[0]}' describes what cannot be built: {error}") from error
    except Exception as error:  # whatever a foreign configuration makes the library raise
        raise ArtifactError(
            f"Artifact '{artifact.id}' ({artifact.path}) cannot be put on its backbone: {type(error).__name__}."
        ) from error
    return found


def needed_files(artifact: Artifact) -> tuple[str, ...]:
    """Return the files that an artifact is made of, after reading what describes it.

    Raises:
        ArtifactError: the manifest has others than these, or the description cannot be read or is out of range.
    """
    if artifact.kind not in KINDS:
        raise ArtifactError(f"Artifact '{artifact.id}' is of kind '{artifact.kind}' and holds no adapters.")
    fusion: Mapping[str, Any] | None = None
    if is_headless(artifact) != (artifact.kind in HEADLESS) and artifact.kind not in ("intermediate", LANGUAGE):
        told = "an adapter without a head" if is_headless(artifact) else "a head on top"
        raise ArtifactError(f"The manifest '{artifact.path / MANIFEST}': {told} is nothing of kind '{artifact.kind}'.")
    if is_headless(artifact):
        description = FUSION if artifact.kind == FUSED else ADAPTER
        if artifact.kind == FUSED:
            _, configs, fusion = read_fusion(artifact)
        else:
            configs = dict([read_adapter(artifact)])
        heads = read_heads(artifact) if artifact.kind in SHARED else {}
        parts = [f"adapters/{name}" for name in configs]
        parts += [*(["fusion"] if artifact.kind == FUSED else []), *(f"heads/{task}" for task in heads)]
        outputs = [head.outputs for head in heads.values()]
    else:
        composition = read_composition(artifact)
        configs = {name: dict(config) for name, config in composition.adapters.items()}
        fusion, description = composition.fusion, COMPOSITION
        parts, outputs = list(composition.parts), [composition.head.outputs]
        _check_settings(artifact)
        _check_language(artifact, composition)
    where = f"'{artifact.path / description}'"
    check_numbers(fusion or {}, f"{where}: the configuration of the fusion")
    for name, config in configs.items():
        if not config:
            raise ArtifactError(f"{where}: the configuration of '{name}' is empty.")
        check_numbers(config, f"{where}: the configuration of '{name}'")
    if any(number > LARGEST for number in outputs):
        raise ArtifactError(f"{where}: a head has {outputs} outputs, and at most {LARGEST} are read.")
    needed = (description, *map(weights_file, parts))
    given = set(artifact.manifest["files"]) - {CURVE, RESULTS}
    if odd := sorted(given ^ set(needed)):
        raise ArtifactError(
            f"The manifest '{artifact.path / MANIFEST}' and {where} are not about the same files: {odd[0]}."
        )
    return (*needed, *sorted(set(artifact.manifest["files"]) - set(needed)))


def conditions(
    store: Store, *, backbone: str | None = None, names: tuple[str, ...] = (), reporter: Reporter | None = None
) -> Iterator[Condition]:
    """Verify what a store holds, one after the other.

    Args:
        store: whose artifacts.
        backbone: as for ``verified``.
        names: ids of some of them; empty is all.
        reporter: told of the progress.
    """
    reporter = reporter or Reporter()
    found = [store.get(name) for name in names] if names else store.all()
    damaged = [] if names else store.unreadable()
    reporter.begin("Checking", len(found))
    try:
        for done, artifact in enumerate(found, start=1):
            yield Condition(artifact.id, artifact.kind, _fault(artifact, backbone))
            reporter.advance(done)
        for folder, error in damaged:
            yield Condition(folder.name, folder.parent.name, str(error))
    finally:
        reporter.end()


def _fault(artifact: Artifact, backbone: str | None) -> str:
    try:
        if artifact.kind in KINDS:
            verified(artifact, backbone)
        else:
            for name in artifact.manifest["files"]:
                artifact.file(name)
            members_of(artifact)
    except AdapterStiltsError as error:
        return str(error)
    return ""


def _check_settings(artifact: Artifact) -> None:
    try:
        settings = artifact.manifest["settings"]
        TrainingSettings(**settings)
    except (TypeError, SettingsError) as error:
        raise ArtifactError(f"The settings in '{artifact.path / MANIFEST}' cannot be read: {error}") from error


def _check_language(artifact: Artifact, composition: Composition) -> None:
    """Compare what is built with what the manifest says of a language adapter at the bottom."""
    if composition.on_language != (own_language(artifact) is not None):
        raise ArtifactError(
            f"'{artifact.path / COMPOSITION}' and the manifest do not agree on whether there is a language adapter at "
            "the bottom."
        )
