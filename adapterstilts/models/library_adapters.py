"""Adapters that the adapters library saved, read and put under our names.

Nothing is run to read them: configurations in JSON, and tensors (safetensors, or a pickle that torch reads with
``weights_only``), whose names have to be those of an adapter of that configuration, no more and no less.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ArtifactError
from adapterstilts.models.backbone import ComposedModel
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.library_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, HEAD_CONFIG, HEAD_WEIGHTS
from adapterstilts.models.soundness import check_finite, check_numbers
from adapterstilts.store.portable import check_size
from adapterstilts.store.weights import load_weights
from adapterstilts.tasks.formats.base import HeadSpec

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = (ADAPTER_WEIGHTS, "pytorch_adapter.bin")
OF_HEAD = (HEAD_WEIGHTS, "pytorch_model_head.bin")
#: Names that older versions of the library gave to parts of an adapter.
_OLDER = (
    ("invertible_lang_adapters", "invertible_adapters"),
    ("attention_text_lang_adapters", "adapters"),
    ("layer_text_lang_adapters", "adapters"),
    ("attention_text_task_adapters", "adapters"),
    ("layer_text_task_adapters", "adapters"),
)
#: What the configuration of a head says about its layers, with what is meant where an older version says nothing.
_BUILT = {"layers": None, "activation_function": None, "use_pooler": False, "bias": True}


@dataclass(frozen=True)
class LibraryAdapter:
    """An adapter in a folder, of which the configuration is read and nothing else."""

    folder: Path
    name: str
    """That its tensors have it under."""
    model_name: str
    """The backbone it was made for, as whoever saved it called that."""
    config: Mapping[str, Any]
    """Complete, as the library writes it now."""
    weights: Path

    @classmethod
    def read(cls, folder: Path, backbone: BackboneIdentity) -> LibraryAdapter:
        """Read the configuration of an adapter.

        Args:
            folder: with ``adapter_config.json`` and the weights.
            backbone: that it has to be for.

        Raises:
            ArtifactError: a file is missing or damaged, it is for another backbone, or a number in its configuration
                is out of range; names the file.
        """
        told = _read_config(folder / ADAPTER_CONFIG, "an adapter")
        name, model_name = str(told.get("name")), str(told.get("model_name"))
        kinds = (backbone.model_type, None)
        if Path(model_name).name != Path(backbone.id).name or told.get("model_type") not in kinds:
            raise ArtifactError(
                f"The adapter in '{folder}' was made for {model_name[:100]!r} "
                f"({str(told.get('model_type'))[:40]}), not for '{backbone.id}' ({backbone.model_type})."
            )
        path = next((folder / file for file in WEIGHTS if (folder / file).is_file()), None)
        if path is None:
            raise ArtifactError(f"The folder '{folder}' has no weights of an adapter ({' or '.join(WEIGHTS)}).")
        where = f"'{folder / ADAPTER_CONFIG}'"
        check_numbers(told["config"], where)
        return cls(folder, name, model_name, adapter_config_json(told["config"]), path)

    def put_on(self, composed: ComposedModel, name: str) -> None:
        """Fill the adapter called ``name`` of a model of this configuration.

        Raises:
            ArtifactError: a tensor is missing, unknown, misfit or no finite number; names it.
        """
        prefix = f"{composed.model.base_model_prefix}."
        found: dict[str, Tensor] = {}
        for key, tensor in _read_tensors(self.weights).items():
            for old, new in _OLDER:
                key = key.replace(old, new)
            key = _renamed(key, self.name, name)
            found[key if key.startswith(prefix) else prefix + key] = tensor
        _put(composed, f"adapters/{name}", found, self.weights)


@dataclass(frozen=True)
class LibraryHead:
    """A head in the same folder, of which the configuration is read and nothing else."""

    name: str
    config: Mapping[str, Any]
    weights: Path

    @classmethod
    def read(cls, folder: Path) -> LibraryHead | None:
        """Return the head that was saved with an adapter, None where there is none.

        Raises:
            ArtifactError: its configuration cannot be read, or its weights are missing.
        """
        if not (folder / HEAD_CONFIG).is_file():
            return None
        told = _read_config(folder / HEAD_CONFIG, "a head")
        path = next((folder / file for file in OF_HEAD if (folder / file).is_file()), None)
        if path is None:
            raise ArtifactError(f"The folder '{folder}' has '{HEAD_CONFIG}' and no weights ({' or '.join(OF_HEAD)}).")
        return cls(str(told.get("name")), told["config"], path)

    @property
    def kind(self) -> str:
        return str(self.config.get("head_type"))

    @property
    def labels(self) -> tuple[str, ...]:
        """Its labels in the order of its outputs; empty where it names none."""
        given = self.config.get("label2id")
        if not isinstance(given, dict) or sorted(given.values(), key=str) != sorted(range(len(given)), key=str):
            return ()
        return tuple(str(label) for label in sorted(given, key=lambda label: int(given[label])))

    def difference(self, wanted: HeadSpec, built: Mapping[str, Any]) -> str:
        """Return what keeps it from being a head of ours, empty where nothing does.

        Args:
            wanted: the head of the task, of the same kind.
            built: configuration of such a head, as the library has it.
        """
        outputs = self.config.get("num_choices" if wanted.kind == "multiple_choice" else "num_labels")
        if outputs != wanted.outputs:
            return f"it has {str(outputs)[:20]} outputs, and the task {wanted.outputs}"
        if wanted.labels and self.labels != wanted.labels:
            return f"its labels are {ascii(self.labels)[:200]}, and the task's {', '.join(wanted.labels)[:200]}"
        for key, default in _BUILT.items():
            if key in built and self.config.get(key, default) != built[key]:
                return f"its {key} is {str(self.config.get(key, default))[:20]}, and that of heads here {built[key]}"
        return ""

    def put_on(self, composed: ComposedModel) -> None:
        """Fill the head of a model.

        Raises:
            ArtifactError: as for ``LibraryAdapter.put_on``.
        """
        name = composed.composition.head_name
        found = {_renamed(key, self.name, name): tensor for key, tensor in _read_tensors(self.weights).items()}
        _put(composed, "head", found, self.weights)


def _put(composed: ComposedModel, part: str, tensors: Mapping[str, Tensor], path: Path) -> None:
    where = f"The weights file '{path}'"
    composed.load_state(part, tensors, where=where)
    check_finite(composed.state(part), where)


def _renamed(key: str, name: str, new: str) -> str:
    return ".".join(new if part == name else part for part in key.split("."))


def _read_config(path: Path, what: str) -> Mapping[str, Any]:
    try:
        check_size(path.name, path.stat().st_size, f"'{path.parent}'")
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"'{path}' cannot be read: {error}.") from error
    if not isinstance(told, dict) or not isinstance(told.get("config"), dict):
        raise ArtifactError(f"'{path}' does not tell the configuration of {what}.")
    return told


def _read_tensors(path: Path) -> Mapping[str, Tensor]:
    check_size(path.name, path.stat().st_size, f"'{path.parent}'")
    if path.suffix == ".safetensors":
        return load_weights(path)
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise whatever the reader stumbles on
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ArtifactError(f"The weights file '{path}' cannot be read: {first}") from error
    if not isinstance(loaded, dict) or not all(isinstance(key, str) and _plain(item) for key, item in loaded.items()):
        raise ArtifactError(f"The weights file '{path}' holds something else than tensors by name.")
    return loaded


def _plain(value: Any) -> bool:
    """Tell whether it is a tensor of numbers in memory, and not one that only says what it would be."""
    import torch

    return isinstance(value, torch.Tensor) and value.layout == torch.strided and value.device.type == "cpu"
