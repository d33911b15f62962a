"""Language adapters that others trained: a folder as the adapters library saves it, or AdapterHub's on the Hub.

Nothing is run to read them: a configuration in JSON, and tensors (safetensors, or a pickle that torch reads with
``weights_only``), whose names have to be those of an adapter of that configuration, no more and no less.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.network import hub_reachable
from adapterstilts.errors import ArtifactError, DataUnavailableError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint, fingerprint_file
from adapterstilts.models.backbone import ComposedModel, build, load_backbone
from adapterstilts.models.composition import BOTTOM, Composition
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.expression import Nothing
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.languages import KIND
from adapterstilts.models.saved import ADAPTER, weights_file
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store, artifact_id, write_json
from adapterstilts.store.promises import PlanningStore, Promise
from adapterstilts.store.weights import load_weights, save_weights
from adapterstilts.tasks.formats.base import HeadSpec
from adapterstilts.training.resources import versions
from adapterstilts.training.stages import made_once

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter.safetensors", "pytorch_adapter.bin")
#: Languages of which AdapterHub has an adapter for XLM-R base (``adapter-hub/Hub``, 2024-05).
HUB_LANGUAGES = frozenset(
    "ar cdo de el en es et gn hi ht id ilo is it ja jv mhr mi my qu ru sw ta th tk tr vi xmf zh".split()
)
HUB_BACKBONES = ("xlm-roberta-base", "FacebookAI/xlm-roberta-base")
#: Names that older versions of the library gave to parts of an adapter.
_OLDER = (
    ("invertible_lang_adapters", "invertible_adapters"),
    ("attention_text_lang_adapters", "adapters"),
    ("layer_text_lang_adapters", "adapters"),
)


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
    """Put an adapter that the adapters library saved into the store, unless it is there.

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
    told = _read_config(folder)
    name, model_name = str(told.get("name")), str(told.get("model_name"))
    if Path(model_name).name != Path(backbone.id).name:
        raise ArtifactError(f"The adapter in '{folder}' was made for '{model_name}', not for '{backbone.id}'.")
    path = next((folder / file for file in WEIGHTS if (folder / file).is_file()), None)
    if path is None:
        raise ArtifactError(f"The folder '{folder}' has no weights of an adapter ({' or '.join(WEIGHTS)}).")
    config = adapter_config_json(told["config"])
    if "mh_adapter" not in config:
        raise ArtifactError(f"The adapter in '{folder}' is no bottleneck, so that it cannot lie under others.")
    identity = {
        "version": FORMAT_VERSION,
        "kind": KIND,
        "language": code,
        "suite": suite,
        "backbone": backbone.key,
        "config": config,
        "weights": fingerprint_file(path),
    }
    key, called = fingerprint(identity), f"{BOTTOM}.{code}"
    known = {
        "suite": suite,
        "language": code,
        "expression": f"{name} ({model_name})",
        "tasks": [BOTTOM],
        "backbone": dataclasses.asdict(backbone),
        "settings": {"adapter": None, "reduction_factor": config.get("reduction_factor"), "seed": None},
        "inputs": [],
        "identity": identity,
    }
    adapter = {"name": BOTTOM, "config": config}
    part = f"adapters/{BOTTOM}"

    def read() -> ComposedModel:
        composition = Composition(Nothing(), BOTTOM, HeadSpec("classification", 2, ()), {BOTTOM: config})
        composed = build(load_backbone(backbone.id, backbone.hub_revision), composition, seed=0)
        composed.load_state(part, _renamed(_read_tensors(path), name, composed), where=f"The weights file '{path}'")
        return composed

    def promise() -> Promise:
        assert isinstance(store, PlanningStore)
        if (given := store.promises.get(artifact_id(called, key))) is not None:
            return given
        read()  # what is wrong with the tensors shows in a plan, too
        return Promise.of(KIND, called, key, known, {ADAPTER: adapter})

    def make() -> None:
        composed = read()
        cost = {"wall_seconds": round(time.perf_counter() - started, 2), "trained_parameters": 0}
        manifest = {**known, "resources": cost, "versions": versions()}
        with store.create(KIND, called, key, manifest) as target:
            write_json(target / ADAPTER, adapter)
            save_weights(target / weights_file(part), composed.state(part))

    return made_once(store, key, called, make, Reporter(), promise=promise).artifact


def _read_config(folder: Path) -> Mapping[str, Any]:
    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"'{folder / CONFIG}' cannot be read: {error}.") from error
    if not isinstance(told, dict) or not isinstance(told.get("config"), dict):
        raise ArtifactError(f"'{folder / CONFIG}' does not tell the configuration of an adapter.")
    return told


def _read_tensors(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_weights(path)
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise whatever the reader stumbles on
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ArtifactError(f"The weights file '{path}' cannot be read: {first}") from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise ArtifactError(f"The weights file '{path}' holds something else than tensors by name.")
    return loaded


def _renamed(tensors: Mapping[str, Tensor], name: str, composed: ComposedModel) -> dict[str, Tensor]:
    """Return tensors of an adapter called ``name`` under the names that they have in the model."""
    prefix = f"{composed.model.base_model_prefix}."
    found = {}
    for key, tensor in tensors.items():
        for old, new in _OLDER:
            key = key.replace(old, new)
        key = key.replace(f"adapters.{name}.", f"adapters.{BOTTOM}.")
        found[key if key.startswith(prefix) else prefix + key] = tensor
    return found
