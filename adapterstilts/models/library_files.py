"""The files by which the adapters library itself knows an adapter, so that a shared one can be used without us.

One adapter lies at the root, with its head: ``load_adapter`` takes the folder. A composition or a fusion lies below
``library/``, which ``load_adapter_setup`` takes. The weights are copies of ours, which have the library's names for
tensors. Of a trained backbone there is nothing: the library knows adapters.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapterstilts.models.backbone import ComposedModel
from adapterstilts.models.expression import Fusion
from adapterstilts.models.saved import weights_file
from adapterstilts.store.artifacts import Artifact, write_json

FOLDER = "library"
ADAPTER_CONFIG, HEAD_CONFIG = "adapter_config.json", "head_config.json"
ADAPTER_WEIGHTS, HEAD_WEIGHTS, FUSION_WEIGHTS = (
    "adapter.safetensors",
    "model_head.safetensors",
    "model_adapter_fusion.safetensors",
)


def write_library_files(
    folder: Path, artifact: Artifact, composed: ComposedModel, heads: Mapping[str, ComposedModel], *, model_name: str
) -> None:
    """Write the library's files beside ours.

    Args:
        folder: that of the repository.
        artifact: whose weights are copied.
        composed: it, loaded.
        heads: of a mixed adapter or a fusion, with that below each, by task; else empty.
        model_name: the backbone's id as everybody may see it.
    """
    composition = composed.composition
    if composition.full:
        return
    top, names, several = composition.top, composition.expression.names, len(composition.stacked) > 1
    root = folder / FOLDER if several else folder
    for name in composition.stacked:
        place = root / name if several else root
        _write_adapter(composed, name, place, model_name)
        shutil.copyfile(artifact.file(weights_file(f"adapters/{name}")), place / ADAPTER_WEIGHTS)
    if isinstance(composition.expression, Fusion):
        place = root / ",".join(names)
        _write_fusion(composed, names, place, model_name)
        shutil.copyfile(artifact.file(weights_file("fusion")), place / FUSION_WEIGHTS)
    if several:
        write_json(root / "adapter_setup.json", _setup(composed))
    if top is not None and weights_file("head") in artifact.manifest["files"]:
        place = root / top if several else root
        _write_head(composed, top, place, model_name)
        shutil.copyfile(artifact.file(weights_file("head")), place / HEAD_WEIGHTS)
    for task, model in heads.items():
        place = folder / FOLDER / task
        _write_head(model, task, place, model_name)
        shutil.copyfile(artifact.file(weights_file(f"heads/{task}")), place / HEAD_WEIGHTS)


def _write_adapter(composed: ComposedModel, name: str, place: Path, model_name: str) -> None:
    from adapters.loading import AdapterLoader

    _write_config(place / ADAPTER_CONFIG, AdapterLoader(composed.model).save_to_state_dict(name)[1], model_name)


def _write_fusion(composed: ComposedModel, names: tuple[str, ...], place: Path, model_name: str) -> None:
    from adapters.loading import AdapterFusionLoader

    _, config = AdapterFusionLoader(composed.model).save_to_state_dict(",".join(names))
    _write_config(place / "adapter_fusion_config.json", {**config, "adapter_names": list(names)}, model_name)


def _write_head(composed: ComposedModel, name: str, place: Path, model_name: str) -> None:
    from adapters.configuration.model_adapters_config import build_full_config

    model: Any = composed.model
    config = build_full_config(
        model.heads[name].config,
        model.config,
        save_id2label=True,
        name=name,
        model_name=model_name,
        model_class=type(model).__name__,
    )
    _write_config(place / HEAD_CONFIG, config, model_name)


def _write_config(path: Path, config: Mapping[str, Any], model_name: str) -> None:
    from adapterstilts.models.configs import plain_json

    path.parent.mkdir(parents=True, exist_ok=True)
    told = plain_json(dict(config)) | {"model_name": model_name}
    path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _setup(composed: ComposedModel) -> dict[str, Any]:
    from adapters import __version__

    model: Any = composed.model
    return {"adapter_setup": model.active_adapters.to_dict(), "head_setup": None, "version": f"adapters.{__version__}"}
