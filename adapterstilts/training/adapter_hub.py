"""Adapters that others trained, as the adapters library saves them, into the store: of languages and of tasks.

What is not known of them, their training, is said to be so in the manifest.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapterstilts.data.network import hub_reachable
from adapterstilts.errors import ArtifactError, DataUnavailableError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint, fingerprint_file
from adapterstilts.models.backbone import ComposedModel, build, load_backbone
from adapterstilts.models.composition import BOTTOM, Composition
from adapterstilts.models.configs import config_name
from adapterstilts.models.expression import Nothing
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.languages import KIND
from adapterstilts.models.layers import layers_text, left_out
from adapterstilts.models.library_adapters import OF_HEAD, WEIGHTS, LibraryAdapter, LibraryHead
from adapterstilts.models.library_files import ADAPTER_CONFIG, HEAD_CONFIG
from adapterstilts.models.saved import ADAPTER, save_composed, weights_file
from adapterstilts.models.soundness import check_answer
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store, artifact_id, write_json
from adapterstilts.store.promises import PlanningStore, Promise
from adapterstilts.store.weights import save_weights
from adapterstilts.tasks.formats import FORMATS
from adapterstilts.tasks.formats.base import HeadSpec
from adapterstilts.tasks.spec import DEFAULT_SUITE, TaskSpec, base_suite
from adapterstilts.training.recipes import recipe_settings
from adapterstilts.training.resources import versions
from adapterstilts.training.stages import StageResult, made_once

CONFIG = ADAPTER_CONFIG
FILES = (ADAPTER_CONFIG, *WEIGHTS, HEAD_CONFIG, *OF_HEAD)
"""Of an adapter as the library saves it."""
#: Languages of which AdapterHub has an adapter for XLM-R base (``adapter-hub/Hub``, 2024-05).
HUB_LANGUAGES = frozenset(
    "ar cdo de el en es et gn hi ht id ilo is it ja jv mhr mi my qu ru sw ta th tk tr vi xmf zh".split()
)
HUB_BACKBONES = ("xlm-roberta-base", "FacebookAI/xlm-roberta-base")
NOT_KNOWN = ("data", "settings", "seed", "resources")
"""What nobody tells of an adapter that the library saved."""
_ANY_HEAD = HeadSpec("classification", 2, ())
"""What stands on an adapter that comes without one; it is not kept."""


def hub_id(code: str, backbone: BackboneIdentity) -> str | None:
    """Return the Hub id of AdapterHub's adapter of a language for a backbone, None where it has none."""
    if backbone.id not in HUB_BACKBONES or code not in HUB_LANGUAGES:
        return None
    return f"AdapterHub/xlm-roberta-base-{code}-wiki_pfeiffer"


def download(name: str) -> Path:
    """Fetch an adapter's configuration and weights from the Hub, or take them from the cache.

    Args:
        name: Hub id.

    Raises:
        DataUnavailableError: it is not in the cache and cannot be fetched.
    """
    reachable = hub_reachable()
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[CONFIG, *WEIGHTS], local_files_only=not reachable))
    except Exception as error:  # the Hub's client raises many kinds, its own and those of requests
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataUnavailableError(
            f"The language adapter '{name}' cannot be fetched from the Hub: {first} Fetch it where there is a network "
            f"(`hf download {name}`) and name its folder with --language-adapter LANG=FOLDER."
        ) from error


def import_language(folder: Path, code: str, suite: str, backbone: BackboneIdentity, store: Store) -> Artifact:
    """Put a language adapter that the adapters library saved into the store, unless it is there.

    Args:
        folder: with ``adapter_config.json`` and the weights.
        code: of the language it is for.
        suite: name of the suite.
        backbone: that it was trained on.
        store: where it is kept.

    Raises:
        ArtifactError: a file is missing or damaged, it is for another backbone, or a tensor is missing, unknown or
            misfit; names it.
    """
    started = time.perf_counter()
    given = LibraryAdapter.read(folder, backbone)
    config = dict(given.config)
    if "mh_adapter" not in config:
        raise ArtifactError(f"The adapter in '{folder}' is no bottleneck, so that it cannot lie under others.")
    identity = {
        "version": FORMAT_VERSION,
        "kind": KIND,
        "language": code,
        "suite": suite,
        "backbone": backbone.key,
        "config": config,
        "weights": fingerprint_file(given.weights),
    }
    key, called = fingerprint(identity), f"{BOTTOM}.{code}"
    known = {
        "suite": suite,
        "language": code,
        "expression": f"{given.name} ({Path(given.model_name).name})",
        "tasks": [BOTTOM],
        "backbone": dataclasses.asdict(backbone),
        "settings": {"adapter": None, "reduction_factor": config.get("reduction_factor"), "seed": None},
        "inputs": [],
        "not_known": list(NOT_KNOWN),
        "identity": identity,
    }
    adapter = {"name": BOTTOM, "config": config}

    def read() -> ComposedModel:
        composed = _built(Composition(Nothing(), BOTTOM, _ANY_HEAD, {BOTTOM: config}), backbone)
        given.put_on(composed, BOTTOM)
        return composed

    def promise() -> Promise:
        assert isinstance(store, PlanningStore)
        if (promised := store.promises.get(artifact_id(called, key))) is not None:
            return promised
        read()  # what is wrong with the tensors shows in a plan, too
        return Promise.of(KIND, called, key, known, {ADAPTER: adapter})

    def make() -> None:
        composed = read()
        cost = {"wall_seconds": round(time.perf_counter() - started, 2), "trained_parameters": 0}
        manifest = {**known, "resources": cost, "versions": versions()}
        with store.create(KIND, called, key, manifest) as target:
            _write_alone(composed, target)

    return made_once(store, key, called, make, Reporter(), promise=promise).artifact


def import_task(
    folder: Path,
    task: TaskSpec,
    backbone: BackboneIdentity,
    store: Store,
    *,
    origin: Mapping[str, str],
    tell: Callable[[str], None],
) -> StageResult:
    """Put an adapter that the adapters library saved into the store as that of an intermediate task.

    Its head is kept where it has the task's labels, in their order, and is built as heads are here.

    Args:
        folder: with the library's files.
        task: the intermediate task whose adapter it shall be.
        backbone: that it was trained on.
        store: where it is kept.
        origin: repository and commit that it is from.
        tell: takes what was left out.

    Raises:
        ArtifactError: a file is missing or damaged; it is for another backbone, or its head for another kind of task;
            or a tensor is missing, unknown, misfit or no finite number. Names it.
    """
    given, head = LibraryAdapter.read(folder, backbone), LibraryHead.read(folder)
    config, wanted = dict(given.config), FORMATS[task.format].head(task)
    if head is not None and head.kind != wanted.kind:
        raise ArtifactError(
            f"The adapter in '{folder}' has a head for {ascii(head.kind)[:60]}, and '{task.name}' needs one for "
            f"'{wanted.kind}': it was trained on another kind of task. Name one of its kind with --as."
        )
    if wanted.kind == "masked_lm":
        head = None  # the backbone's own is taken
    spec = wanted if head is not None else _ANY_HEAD
    composed = _built(Composition(Nothing(), task.name, spec, {task.name: config}), backbone)
    given.put_on(composed, task.name)
    if head is not None:
        if odd := head.difference(wanted, _config_of_head(composed)):
            tell(f"The head of the adapter is left out: {odd}.")
            head = None
        else:
            head.put_on(composed)
    check_answer(composed, str(folder))
    suite = base_suite(task.suite)
    identity: dict[str, Any] = ({} if suite == DEFAULT_SUITE else {"suite": suite}) | {
        "version": FORMAT_VERSION,
        "kind": task.kind,
        "task": {
            **{"name": task.name, "format": task.format, "labels": list(task.labels)},
            **({"definition": task.definition} if task.definition else {}),
        },
        "settings": {},
        "backbone": backbone.key,
        "expression": str(Nothing()),
        "inputs": [],
        "config": config,
        "weights": fingerprint_file(given.weights),
        "head": None if head is None else fingerprint_file(head.weights),
    }
    key = fingerprint(identity)
    manifest = {
        "suite": task.suite,
        "task": task.name,
        "expression": str(Nothing()),
        "labels": [] if head is None else list(wanted.labels),
        "backbone": dataclasses.asdict(backbone),
        "settings": _settings(config, task, head),
        "inputs": [],
        "imported": {"repo": origin["repo"], "commit": origin["commit"], "head": "none" if head is None else "kept"},
        "not_known": list(NOT_KNOWN),
        "identity": identity,
        "data": {},
        "metrics": {},
        "resources": {},
        "versions": versions(),
        "origin": dict(origin),
    }

    def make() -> None:
        with store.create(task.kind, task.name, key, dict(manifest)) as target:
            if head is None:
                _write_alone(composed, target)
            else:
                save_composed(composed, target)

    def promise() -> Promise:
        raise AssertionError("nothing is pulled in a plan")  # pragma: no cover

    return made_once(store, key, task.name, make, Reporter(), promise=promise)


def _settings(config: Mapping[str, Any], task: TaskSpec, head: LibraryHead | None) -> dict[str, Any]:
    """Return the shape of an adapter, and with a head the recipe's settings by which rows are read for it."""
    name, factor = config_name(config), config.get("reduction_factor")
    absent = layers_text(left_out(config))
    shape: dict[str, Any] = {"reduction_factor": factor if isinstance(factor, (int, float)) else None}
    shape |= {"adapter": name} if name else {}
    shape |= {"drop_layers": absent} if absent else {}
    if head is None:
        return shape
    recipe = recipe_settings(task).to_json()
    return shape | {key: recipe[key] for key in ("max_length", "doc_stride", "batch_size", "precision", "sample_seed")}


def _built(composition: Composition, backbone: BackboneIdentity) -> ComposedModel:
    return build(load_backbone(backbone.id, backbone.hub_revision), composition, seed=0)


def _config_of_head(composed: ComposedModel) -> Mapping[str, Any]:
    model: Any = composed.model
    config: Mapping[str, Any] = model.heads[composed.composition.head_name].config
    return config


def _write_alone(composed: ComposedModel, folder: Path) -> None:
    """Write the adapter on top without the head."""
    name = composed.composition.top
    assert name is not None
    write_json(folder / ADAPTER, {"name": name, "config": dict(composed.composition.adapters[name])})
    save_weights(folder / weights_file(f"adapters/{name}"), composed.state(f"adapters/{name}"))
