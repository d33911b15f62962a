"""Composed models to artifact folders and back, each part in a file of its own, strictly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ArtifactError
from adapterstilts.models.backbone import Backbone, ComposedModel, build, build_shared, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.expression import NAME, Nothing
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.store.artifacts import Artifact, write_json
from adapterstilts.store.weights import load_weights, save_weights
from adapterstilts.tasks.formats.base import HeadSpec
from adapterstilts.tasks.spec import TaskSpec
from adapterstilts.tasks.suites import get_suite

if TYPE_CHECKING:
    from torch import Tensor

COMPOSITION = "composition.json"
ADAPTER = "adapter.json"
"""Name and configuration of an adapter without a head, such as a merged one."""
MERGED = "merged"
"""Kind of an artifact that holds an adapter made of others, without a head."""
MIXED = "mixed"
"""Kind of an artifact that holds an adapter trained on several tasks at once, and a head of each task."""
HEADLESS = (MERGED, MIXED)
"""Kinds of artifacts that give others an adapter and are no composition with a head on top."""


def weights_file(part: str) -> str:
    """Return the name of the file that holds a part's tensors."""
    return f"{part}.safetensors"


def save_composed(composed: ComposedModel, folder: Path) -> None:
    """Write ``composition.json`` and a safetensors file for each adapter, the fusion and the head."""
    write_json(folder / COMPOSITION, composed.composition.to_json())
    for part in composed.composition.parts:
        save_weights(folder / weights_file(part), composed.state(part))


def read_composition(artifact: Artifact) -> Composition:
    """Return the composition of an artifact.

    Raises:
        ArtifactError: the artifact holds no adapters, or its description is damaged.
    """
    if COMPOSITION not in artifact.manifest["files"]:
        raise ArtifactError(f"Artifact '{artifact.id}' is of kind '{artifact.kind}' and holds no adapters.")
    return Composition.from_json(artifact.read_json(COMPOSITION))


def read_adapter(artifact: Artifact) -> tuple[str, dict[str, Any]]:
    """Return name and configuration of the adapter that an artifact gives to others: trained last, merged or mixed.

    Raises:
        ArtifactError: the artifact holds no adapters, or its description is damaged.
    """
    if ADAPTER in artifact.manifest["files"]:
        told = artifact.read_json(ADAPTER)
        if (
            not isinstance(told, dict)
            or not NAME.fullmatch(str(told.get("name")))
            or not isinstance(told.get("config"), dict)
        ):
            raise ArtifactError(f"'{artifact.path / ADAPTER}' cannot be read: it needs a name and a config.")
        return str(told["name"]), dict(told["config"])
    composition = read_composition(artifact)
    return composition.top, dict(composition.adapters[composition.top])


def load_backbone_of(artifact: Artifact, name: str | None = None) -> Backbone:
    """Load the backbone that an artifact was trained on.

    Args:
        artifact: of kind ``intermediate`` or ``target``.
        name: id or folder, where it is no longer where the manifest says.
    """
    told = BackboneIdentity(**artifact.manifest["backbone"])
    return load_backbone(name or told.id, told.hub_revision)


def load_composed(artifact: Artifact, backbone: Backbone, task: TaskSpec) -> ComposedModel:
    """Build the model an artifact describes and fill it with the artifact's weights.

    Args:
        artifact: of kind ``intermediate`` or ``target``.
        backbone: freshly loaded.
        task: the task of the artifact's head.

    Raises:
        ArtifactError: another backbone, another label map, a missing, unknown or misfit key, or other bytes than
            were written; names what it is.
    """
    check_labels(artifact, task)
    return load_trained(artifact, backbone)


def load_trained(artifact: Artifact, backbone: Backbone) -> ComposedModel:
    """Build the model an artifact describes, as ``load_composed``, without asking what its task is.

    Raises:
        ArtifactError: as for ``load_composed``.
    """
    backbone.identity.require_same(artifact.manifest["backbone"], what=f"Artifact '{artifact.id}'")
    composition = read_composition(artifact)
    if composition.head.labels != tuple(artifact.manifest["labels"]):
        raise ArtifactError(f"The labels of '{artifact.path / COMPOSITION}' are not those of the manifest.")
    composed = build(backbone, composition, seed=0)
    for part in composition.parts:
        load_part(composed, part, artifact)
    composed.model.eval()
    return composed


def load_headless(artifact: Artifact, backbone: Backbone) -> ComposedModel:
    """Put a merged or mixed adapter on a backbone, with a head on top that nobody has trained.

    Args:
        artifact: of kind ``merged`` or ``mixed``.
        backbone: freshly loaded.

    Raises:
        ArtifactError: another backbone, a missing, unknown or misfit key, or other bytes than were written.
    """
    backbone.identity.require_same(artifact.manifest["backbone"], what=f"Artifact '{artifact.id}'")
    name, config = read_adapter(artifact)
    composition = Composition(Nothing(), name, HeadSpec("classification", 2, ()), {name: config})
    composed = build(backbone, composition, seed=0)
    load_part(composed, f"adapters/{name}", artifact)
    composed.model.eval()
    return composed


def load_mixed(artifact: Artifact, backbone: Backbone) -> tuple[ComposedModel, dict[str, ComposedModel]]:
    """Put a mixed adapter with all its heads on a backbone.

    Args:
        artifact: of kind ``mixed``.
        backbone: freshly loaded.

    Returns:
        as ``build_shared``.

    Raises:
        ArtifactError: as for ``load_headless``, or the heads are described wrongly.
    """
    backbone.identity.require_same(artifact.manifest["backbone"], what=f"Artifact '{artifact.id}'")
    name, config = read_adapter(artifact)
    compositions = {}
    for task, head in read_heads(artifact).items():
        given = {"expression": "none", "top": name, "head": head, "adapters": {name: config}, "fusion": None}
        compositions[task] = Composition.from_json(given)
    whole, parts = build_shared(backbone, compositions, seed=0)
    load_part(whole, f"adapters/{name}", artifact)
    for task, part in parts.items():
        load_part(part, "head", artifact, f"heads/{task}")
    whole.model.eval()
    return whole, parts


def read_heads(artifact: Artifact) -> dict[str, Any]:
    """Return the descriptions of the heads of a mixed adapter, by task.

    Raises:
        ArtifactError: there are none, or they are no mapping.
    """
    heads = artifact.read_json(ADAPTER).get("heads")
    if not isinstance(heads, dict) or not heads:
        raise ArtifactError(f"'{artifact.path / ADAPTER}' describes no heads.")
    return heads


def load_part(composed: ComposedModel, part: str, artifact: Artifact, stored: str | None = None) -> None:
    """Fill one part, such as ``adapters/squad``, from an artifact, where it may be ``stored`` under another name.

    The keys are compared before the file's hash, since a wrong key says more than a wrong hash.
    """
    name = weights_file(stored or part)
    path = artifact.path / name
    composed.load_state(part, load_weights(path), where=f"The weights file '{path}'")
    artifact.file(name)


def read_weights(artifact: Artifact, name: str) -> dict[str, Tensor]:
    """Return the weights of the adapter that an artifact gives to others, as those of an adapter called ``name``.

    Raises:
        ArtifactError: as for ``read_adapter``, or other bytes than were written.
    """
    own, _ = read_adapter(artifact)
    tensors = load_weights(artifact.file(weights_file(f"adapters/{own}")))
    return {".".join(name if part == own else part for part in key.split(".")): tensors[key] for key in tensors}


def load_start(composed: ComposedModel, artifact: Artifact) -> None:
    """Fill the adapter on top with the weights of another one, which it is trained on from.

    Raises:
        ArtifactError: as for ``read_weights``, or a key is missing, unknown or misfit.
    """
    top = composed.composition.top
    composed.load_state(f"adapters/{top}", read_weights(artifact, top), where=f"The adapter of '{artifact.id}'")


def trained_task(artifact: Artifact, suite: str | None = None) -> TaskSpec:
    """Return the task that an artifact was trained for, as its suite or the user's task file has it.

    Args:
        artifact: of kind ``intermediate`` or ``target``.
        suite: whose languages the task has, where it is not the artifact's; one that shares adapters with it.

    Raises:
        ArtifactError: it was made with a task file that is not given, or that says something else now.
        UnknownNameError: the suite has no such task.
    """
    name, world = str(artifact.manifest["task"]), get_suite(suite or artifact.suite)
    made_with = artifact.manifest.get("identity", {}).get("task", {}).get("definition", "")
    known = world.tasks[name].definition if name in world.tasks else ""
    if made_with and not known:
        raise ArtifactError(
            f"Artifact '{artifact.id}' was made with a task file, which says what '{name}' is: give it with "
            "--task-file FILE."
        )
    if made_with != known:
        raise ArtifactError(
            f"Artifact '{artifact.id}' was made with another task '{name}' than that of the task file: "
            f"{made_with[:12] or 'one of the catalogue'}, not {known[:12]}. Give the file as it was, or train again."
        )
    return world.task(name)


def check_labels(artifact: Artifact, task: TaskSpec) -> None:
    """Compare an artifact's label map with the task's.

    Raises:
        ArtifactError: names the first label that differs.
    """
    saved, known = tuple(artifact.manifest.get("labels", ())), task.labels if task.format != "multiple_choice" else ()
    if task.labels_file and not known:
        return  # the labels of the user's own files are known once these are read
    for number in range(max(len(saved), len(known))):
        theirs, ours = _at(saved, number), _at(known, number)
        if theirs != ours:
            raise ArtifactError(
                f"Label {number} of artifact '{artifact.id}' is {theirs}; the task '{task.name}' has {ours}. "
                "Its head cannot be used for this task."
            )


def _at(labels: tuple[Any, ...], number: int) -> str:
    return f"'{labels[number]}'" if number < len(labels) else "missing"
