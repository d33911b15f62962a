"""Composed models to artifact folders and back, each part in a file of its own, strictly."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ArtifactError, ExpressionError
from adapterstilts.models.backbone import Backbone, ComposedModel, build, load_backbone
from adapterstilts.models.composition import Composition, read_head
from adapterstilts.models.expression import ENSEMBLE, NAME, Fusion, Nothing, reduced
from adapterstilts.models.full import WHOLE, is_full
from adapterstilts.models.grammar import parse
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.layers import left_out
from adapterstilts.models.shared import build_shared
from adapterstilts.store.artifacts import ID_DIGITS, Artifact, Store, write_json
from adapterstilts.store.weights import load_weights, save_weights
from adapterstilts.tasks.formats.base import HeadSpec
from adapterstilts.tasks.spec import TaskSpec
from adapterstilts.tasks.suites import get_suite

if TYPE_CHECKING:
    from torch import Tensor

COMPOSITION = "composition.json"
ADAPTER = "adapter.json"
"""Name and configuration of an adapter without a head, such as a merged one."""
FUSION = "fusion.json"
"""Adapters, fusion and heads of an artifact without an adapter on top."""
MERGED = "merged"
"""Kind of an artifact that holds an adapter made of others, without a head."""
MIXED = "mixed"
"""Kind of an artifact that holds an adapter trained on several tasks at once, and a head of each task."""
FUSED = "fusion"
"""Kind of an artifact that holds adapters, their fusion, trained on their tasks at once, and a head of each task."""
HEADLESS = (MERGED, MIXED, FUSED)
"""Kinds of artifacts that give others an adapter or a fusion and are no composition with a head on top."""
SHARED = (MIXED, FUSED)
"""Those of them that have a head of each of their tasks."""


def is_headless(artifact: Artifact) -> bool:
    """Tell whether an artifact gives an adapter or a fusion to others, and is no composition with a head on top.

    Beside the kinds in ``HEADLESS`` that is an adapter that came without a head.
    """
    return not {ADAPTER, FUSION}.isdisjoint(artifact.manifest["files"])


def weights_file(part: str) -> str:
    """Return the name of the file that holds a part's tensors."""
    return f"{part}.safetensors"


def save_composed(composed: ComposedModel, folder: Path) -> None:
    """Write ``composition.json`` and a safetensors file for each adapter (or the backbone), the fusion and the head."""
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
        ArtifactError: the artifact holds no adapters or several, or its description is damaged.
    """
    if artifact.kind == FUSED:
        raise ArtifactError(f"Artifact '{artifact.id}' is a fusion of several adapters, not one adapter.")
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
    if composition.top is None:
        raise ArtifactError(f"Artifact '{artifact.id}' has no adapter on top that could be given to others.")
    return composition.top, dict(composition.adapters[composition.top])


def read_fusion(artifact: Artifact) -> tuple[Fusion, dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the fusion that an artifact gives to others, over the names of its adapters.

    Returns:
        the expression, the adapters' configurations by name in the order of the expression, and that of the fusion.

    Raises:
        ArtifactError: the artifact holds no fusion without an adapter on top, or its description is damaged.
    """
    if artifact.kind != FUSED:
        raise ArtifactError(f"Artifact '{artifact.id}' is of kind '{artifact.kind}', not a fusion.")
    told = artifact.read_json(FUSION)
    try:
        expression = reduced(parse(told["expression"]))
        adapters = {name: dict(told["adapters"][name]) for name in expression.names}
        fusion = dict(told["fusion"])
    except (KeyError, TypeError, AttributeError, ValueError, ExpressionError) as error:
        raise ArtifactError(f"'{artifact.path / FUSION}' cannot be read: {error!r}.") from error
    if not isinstance(expression, Fusion):
        raise ArtifactError(f"'{artifact.path / FUSION}' cannot be read: '{expression}' is no fusion.")
    return expression, adapters, fusion


def load_backbone_of(artifact: Artifact, name: str | None = None) -> Backbone:
    """Load the backbone that an artifact was trained on.

    Args:
        artifact: of kind ``intermediate`` or ``target``.
        name: id or folder, where it is no longer where the manifest says.
    """
    told = BackboneIdentity(**artifact.manifest["backbone"])
    return load_backbone(name or told.id, told.hub_revision)


def load_composed(
    artifact: Artifact, backbone: Backbone, task: TaskSpec, *, drop_layers: Collection[int] = ()
) -> ComposedModel:
    """Build the model an artifact describes and fill it with the artifact's weights.

    Args:
        artifact: of kind ``intermediate`` or ``target``.
        backbone: freshly loaded.
        task: the task of the artifact's head.
        drop_layers: layers in which no adapter shall work, beside those that the artifact leaves out.

    Raises:
        ExpressionError, SettingsError: layers that cannot be dropped.
        ArtifactError: another backbone, another label map, a missing, unknown or misfit key, or other bytes than
            were written; names what it is.
    """
    check_labels(artifact, task)
    return load_trained(artifact, backbone, drop_layers=drop_layers)


def load_trained(artifact: Artifact, backbone: Backbone, *, drop_layers: Collection[int] = ()) -> ComposedModel:
    """Build the model an artifact describes, as ``load_composed``, without asking what its task is.

    Raises:
        ExpressionError, SettingsError, ArtifactError: as for ``load_composed``.
    """
    backbone.identity.require_same(artifact.manifest["backbone"], what=f"Artifact '{artifact.id}'")
    composition = read_composition(artifact)
    if composition.head.labels != tuple(artifact.manifest["labels"]):
        raise ArtifactError(f"The labels of '{artifact.path / COMPOSITION}' are not those of the manifest.")
    if drop_layers:
        composition = composition.without(drop_layers)
    composed = build(backbone, composition, seed=0)
    for part in composition.parts:
        load_part(composed, part, artifact)
    composed.model.eval()
    return composed


def load_headless(artifact: Artifact, backbone: Backbone) -> ComposedModel:
    """Put a merged or mixed adapter, or a fusion, on a backbone, with a head on top that nobody has trained.

    Args:
        artifact: one that is headless.
        backbone: freshly loaded.

    Raises:
        ArtifactError: another backbone, a missing, unknown or misfit key, or other bytes than were written.
    """
    backbone.identity.require_same(artifact.manifest["backbone"], what=f"Artifact '{artifact.id}'")
    composed = build(backbone, _below(artifact, HeadSpec("classification", 2, ())), seed=0)
    composition = composed.composition
    for part in composition.parts:
        if part != "head":
            load_part(composed, part, artifact)
    composed.model.eval()
    return composed


def _below(artifact: Artifact, head: HeadSpec) -> Composition:
    """Return what a headless artifact gives to others, under a head."""
    if artifact.kind == FUSED:
        expression, adapters, fusion = read_fusion(artifact)
        return Composition(expression, None, head, adapters, fusion)
    name, config = read_adapter(artifact)
    return Composition(Nothing(), name, head, {name: config})


def load_shared(artifact: Artifact, backbone: Backbone) -> tuple[ComposedModel, dict[str, ComposedModel]]:
    """Put a mixed adapter, or a fusion, with all its heads on a backbone.

    Args:
        artifact: of kind ``mixed`` or ``fusion``.
        backbone: freshly loaded.

    Returns:
        as ``build_shared``.

    Raises:
        ArtifactError: as for ``load_headless``, or the heads are described wrongly.
    """
    backbone.identity.require_same(artifact.manifest["backbone"], what=f"Artifact '{artifact.id}'")
    compositions = {task: _below(artifact, head) for task, head in read_heads(artifact).items()}
    whole, parts = build_shared(backbone, compositions, seed=0)
    for name in whole.composition.parts:
        if name != "head":
            load_part(whole, name, artifact)
    for task, part in parts.items():
        load_part(part, "head", artifact, f"heads/{task}")
    whole.model.eval()
    return whole, parts


def read_heads(artifact: Artifact) -> dict[str, HeadSpec]:
    """Return the heads of a mixed adapter or a fusion, by task; one that is the backbone's own is not among them.

    Raises:
        ArtifactError: they are not those of its tasks, or are described wrongly.
    """
    description = FUSION if artifact.kind == FUSED else ADAPTER
    told = artifact.read_json(description)
    heads, where = told.get("heads") if isinstance(told, dict) else None, f"'{artifact.path / description}'"
    if not isinstance(heads, dict) or sorted(heads) != sorted(artifact.manifest["tasks"]) or not heads:
        raise ArtifactError(f"{where} does not describe a head of each of its tasks.")
    read = {task: read_head(head, where=where) for task, head in heads.items()}
    return {task: head for task, head in read.items() if head.kind != "masked_lm"}


def load_part(composed: ComposedModel, part: str, artifact: Artifact, stored: str | None = None) -> None:
    """Fill one part, such as ``adapters/squad``, from an artifact, where it may be ``stored`` under another name.

    What the artifact has in layers that the part leaves out is not taken.
    The keys are compared before the file's hash, since a wrong key says more than a wrong hash.
    """
    name = weights_file(stored or part)
    path = artifact.path / name
    beyond = composed.composition.left_out_of(part) - _left_out_of(artifact)
    composed.load_state(part, load_weights(path), where=f"The weights file '{path}'", beyond=beyond)
    artifact.file(name)


def _left_out_of(artifact: Artifact) -> frozenset[int]:
    """Return the layers in which what an artifact holds has nothing."""
    if artifact.kind == FUSED:
        return frozenset.intersection(*map(left_out, read_fusion(artifact)[1].values()))
    return left_out(read_adapter(artifact)[1])


def read_weights(artifact: Artifact, name: str) -> dict[str, Tensor]:
    """Return the weights of the adapter that an artifact gives to others, as those of an adapter called ``name``.

    Where there is no adapter, since the backbone itself was trained, they are the backbone's.

    Raises:
        ArtifactError: as for ``read_adapter``, or other bytes than were written.
    """
    own, config = read_adapter(artifact)
    if is_full(config):
        return load_weights(artifact.file(weights_file(WHOLE)))
    tensors = load_weights(artifact.file(weights_file(f"adapters/{own}")))
    return {".".join(name if part == own else part for part in key.split(".")): tensors[key] for key in tensors}


def load_start(composed: ComposedModel, artifact: Artifact) -> None:
    """Fill the adapter on top, or the backbone itself, with the weights that it is trained on from.

    Raises:
        ArtifactError: as for ``read_weights``, or a key is missing, unknown or misfit.
    """
    top = composed.composition.top
    assert top is not None
    beyond = composed.composition.left_out - left_out(read_adapter(artifact)[1])
    where = f"The adapter of '{artifact.id}'"
    composed.load_state(composed.composition.top_part, read_weights(artifact, top), where=where, beyond=beyond)


def members_of(artifact: Artifact) -> tuple[Artifact, ...]:
    """Return the artifacts whose logits are averaged: an ensemble's, which lie in the same store; else the one itself.

    They come in the order of their fingerprints, so that the sum is the same in whichever order they were named.

    Raises:
        ArtifactError: one of them is no longer in the store.
    """
    if artifact.kind != ENSEMBLE:
        return (artifact,)
    store = Store(artifact.path.resolve().parent.parent.parent)
    found = {key: store.find(key) for key in sorted(artifact.manifest["identity"]["members"])}
    if gone := [key for key, member in found.items() if member is None]:
        names = {item.rsplit("-", 1)[-1]: item for item in artifact.manifest["inputs"]}
        told = ", ".join(f"'{names.get(key[:ID_DIGITS], key)}'" for key in gone)
        raise ArtifactError(
            f"Ensemble '{artifact.id}' lacks {told}, which is not in {store.home}. Compose "
            f"'{artifact.manifest['expression']}' again."
        )
    return tuple(member for member in found.values() if member is not None)


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
    if is_headless(artifact):
        return  # what has no head has no labels
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
