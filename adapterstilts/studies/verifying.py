"""Is an artifact what it says? Its hashes, its keys and shapes on its backbone, and one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from adapterstilts.errors import AdapterStiltsError, ArtifactError, SettingsError
from adapterstilts.models.backbone import ComposedModel
from adapterstilts.models.saved import (
    ADAPTER,
    COMPOSITION,
    FUSED,
    FUSION,
    HEADLESS,
    SHARED,
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
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.portable import KINDS, RESULTS
from adapterstilts.store.weights import load_weights
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import CURVE

LARGEST = 1 << 16
"""Of any number in the configuration of an adapter or head: widths, ranks, lengths, labels."""
SMALLEST_FACTOR = 0.1
"""Of reduction factors: below, a bottleneck is more than ten times as wide as the model."""


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
    loaded = load_backbone_of(artifact, backbone)
    try:
        if artifact.kind in SHARED:
            found = Verified(*load_shared(artifact, loaded))
        else:
            found = Verified((load_headless if artifact.kind in HEADLESS else load_trained)(artifact, loaded))
        _check_finite(artifact)
        for composed in found.heads.values() or (found.composed,):
            _check_answer(composed, artifact)
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
    if artifact.kind in HEADLESS:
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
    where = f"'{artifact.path / description}'"
    _check_numbers(fusion or {}, f"{where}: the configuration of the fusion")
    for name, config in configs.items():
        if not config:
            raise ArtifactError(f"{where}: the configuration of '{name}' is empty.")
        _check_numbers(config, f"{where}: the configuration of '{name}'")
    if any(number > LARGEST for number in outputs):
        raise ArtifactError(f"{where}: a head has {outputs} outputs, and at most {LARGEST} are read.")
    needed = (description, *map(weights_file, parts))
    given = set(artifact.manifest["files"]) - {CURVE, RESULTS}
    if odd := sorted(given ^ set(needed)):
        raise ArtifactError(
            f"The manifest '{artifact.path / 'manifest.json'}' and {where} are not about the same files: {odd[0]}."
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
        raise ArtifactError(f"The settings in '{artifact.path / 'manifest.json'}' cannot be read: {error}") from error


def _check_numbers(config: Any, where: str, depth: int = 0) -> None:
    """Refuse a configuration that would make a huge model, or that names another one somewhere else."""
    if depth > 4:
        raise ArtifactError(f"{where} is nested too deeply.")
    for key, value in config.items():
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,):
            if isinstance(item, dict):
                _check_numbers(item, where, depth + 1)
            elif isinstance(item, (int, float)) and not -1 <= item <= LARGEST:
                raise ArtifactError(f"{where} has {key} {item!r}, out of what is read.")
            elif "reduction_factor" in key and isinstance(item, (int, float)) and item < SMALLEST_FACTOR:
                raise ArtifactError(f"{where} has {key} {item!r}; at least {SMALLEST_FACTOR} is read.")
            elif key == "configs" or isinstance(item, list):
                raise ArtifactError(f"{where} has something in {key} that is no configuration.")


def _check_finite(artifact: Artifact) -> None:
    """Refuse weights that are no numbers, though they need not show in an answer."""
    for name in artifact.manifest["files"]:
        if name.endswith(".safetensors"):
            for key, tensor in load_weights(artifact.path / name).items():
                if not bool(tensor.isfinite().all()):
                    raise ArtifactError(f"The weights file '{artifact.path / name}' has no finite numbers in '{key}'.")


def _check_answer(composed: ComposedModel, artifact: Artifact) -> None:
    """Let a model answer to a line of text; what comes out must be numbers."""
    import torch

    composed.activate()
    inputs = composed.backbone.tokenizer("1 2 3", return_tensors="pt")
    choices = composed.composition.head.outputs if composed.composition.head.kind == "multiple_choice" else 0
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    if choices:
        given = {name: tensor.unsqueeze(0).repeat(1, choices, 1) for name, tensor in given.items()}
    model: Callable[..., Any] = composed.model
    composed.model.eval()
    with torch.no_grad():
        output = model(**given)
    tensors = [value for value in output.values() if isinstance(value, torch.Tensor)]
    if not tensors or not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise ArtifactError(f"The weights in '{artifact.path}' give answers that are not finite numbers.")
