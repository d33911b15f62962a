"""The frozen backbone, and the adapters on it: the only module that builds or loads a model.

The adapters library does the layers; what it gets wrong at the edges is put right here: the masked-language-model head
that it adds and trains unasked, loss scaling under gradient accumulation, names matched by prefix, heads chosen by
name, fusion dropout that cannot be zero, weights missing without a word. ``tests/models/test_pitfalls.py`` names each.
"""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import AdapterStiltsError, BackboneError, ExpressionError
from adapterstilts.models.composition import BOTTOM, Composition
from adapterstilts.models.configs import adapter_config, check_fusible
from adapterstilts.models.effects import check_effect
from adapterstilts.models.expression import Fusion
from adapterstilts.models.fast_fusion import install
from adapterstilts.models.full import WHOLE, backbone_keys
from adapterstilts.models.heads import add_head
from adapterstilts.models.identity import BackboneIdentity, config_hash, revision_of
from adapterstilts.models.layers import check_layers, delete_fusion, keys_outside, left_out
from adapterstilts.models.locations import (
    DEFAULT_BACKBONE,
    cannot_load,
    check_tokenizer,
    locate,
    reading_options,
    safetensors_file,
    safetensors_there,
)
from adapterstilts.models.vocabulary import trim_vocabulary, whole_vocabulary
from adapterstilts.store.weights import check_weights

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from adapterstilts.models.masked_lm import MaskedLMHead

logger = logging.getLogger(__name__)


@dataclass
class Backbone:
    """A loaded backbone: frozen, in single precision, without heads."""

    identity: BackboneIdentity
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    masked_lm: Callable[[], MaskedLMHead | None] = field(default=lambda: None, repr=False)
    """Reads the checkpoint's own head, where it has one for masked tokens; tasks of plain text alone want it."""

    @property
    def max_length(self) -> int:
        """Longest input in tokens."""
        return _max_length(self.model.config, self.tokenizer)

    def to_device(self) -> None:
        """Move the model to the accelerator, if there is one."""
        import torch

        if torch.cuda.is_available():
            model: Any = self.model
            model.to("cuda")


def load_backbone(name: str = DEFAULT_BACKBONE, revision: str | None = None) -> Backbone:
    """Load an encoder for adapters: XLM-R, RoBERTa, BERT, DistilBERT, DeBERTa-v2 and others.

    Args:
        name: Hub id, folder, or the name of a packaged encoder.
        revision: commit, branch or tag on the Hub.

    Raises:
        BackboneError: it does not exist, cannot be read, or the adapters library does not know its kind.
        DataUnavailableError: it is not in the cache, and the Hub cannot be reached.
    """
    location = locate(name)
    check_tokenizer(name, location)
    try:
        from adapters import AutoAdapterModel
        from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

        from adapterstilts.models.masked_lm import stored_head

        options = reading_options(name, location, revision)
        config = AutoConfig.from_pretrained(str(location), **options)
        tokenizer = AutoTokenizer.from_pretrained(str(location), use_fast=True, **options)
        config.architectures = None  # the library would make the head of the class that is named there
        options |= {"use_safetensors": safetensors_there(location)}
        model, info = AutoAdapterModel.from_pretrained(
            str(location), config=config, output_loading_info=True, **options
        )
    except AdapterStiltsError:
        raise
    except (
        Exception
    ) as error:  # transformers raises OSError, ValueError, KeyError and others for one and the same thing
        raise cannot_load(name, location, error) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise BackboneError(f"'{name}' has no fast tokenizer; offsets and word numbers need one.")
    if absent := [key for key in info["missing_keys"] if not key.startswith("heads.") and "pooler" not in key]:
        raise BackboneError(f"The weights of '{name}' lack {len(absent)} keys, such as '{absent[0]}'.")
    _prepare(model)
    trim_vocabulary(model, safetensors_file(location, getattr(config, "_commit_hash", None)))
    identity = BackboneIdentity(name, revision_of(location, config), config_hash(config), str(config.model_type))
    return Backbone(identity, model, tokenizer, functools.partial(stored_head, str(location), options))


def identify(name: str = DEFAULT_BACKBONE, revision: str | None = None) -> BackboneIdentity:
    """Return a backbone's identity without loading its weights.

    Raises:
        BackboneError, DataUnavailableError: as for ``load_backbone``.
    """
    location = locate(name)
    config = _read_config(name, location, revision)
    return BackboneIdentity(name, revision_of(location, config), config_hash(config), str(config.model_type))


def layer_count(name: str = DEFAULT_BACKBONE, revision: str | None = None) -> int:
    """Return how many layers a backbone has, without loading its weights.

    Raises:
        BackboneError, DataUnavailableError: as for ``load_backbone``.
    """
    return int(_read_config(name, locate(name), revision).num_hidden_layers)


def _read_config(name: str, location: Path, revision: str | None) -> Any:
    try:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(str(location), **reading_options(name, location, revision))
    except Exception as error:
        raise cannot_load(name, location, error) from error


def input_limit(name: str = DEFAULT_BACKBONE, revision: str | None = None) -> int:
    """Return the longest input in tokens that a backbone takes, without loading its weights.

    Raises:
        BackboneError, DataUnavailableError: as for ``load_backbone``.
    """
    location = locate(name)
    check_tokenizer(name, location)
    try:
        from transformers import AutoConfig, AutoTokenizer

        options = reading_options(name, location, revision)
        config = AutoConfig.from_pretrained(str(location), **options)
        return _max_length(config, AutoTokenizer.from_pretrained(str(location), use_fast=True, **options))
    except Exception as error:
        raise cannot_load(name, location, error) from error


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


@dataclass
class ComposedModel:
    """A backbone with a composition on it, ready to train or to predict."""

    backbone: Backbone
    composition: Composition
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """State-dict keys of each part: what the library added when the part was added, no more and no less."""
    head: str = ""
    """Name of the head, where it is not that of the composition."""

    def activate(self) -> None:
        """Make the composition's head the one that the model uses, where it has several."""
        model: Any = self.model
        model.active_head = self.head or self.composition.head_name

    @property
    def model(self) -> PreTrainedModel:
        return self.backbone.model

    def state(self, part: str) -> dict[str, Tensor]:
        """Return the tensors of a part, by their exact names."""
        state = self.model.state_dict()
        return {key: state[key] for key in self.keys[part]}

    def load_state(self, part: str, tensors: Mapping[str, Tensor], *, where: str, beyond: Collection[int] = ()) -> None:
        """Put tensors into a part, after comparing all names and shapes.

        Args:
            part: such as ``adapters/squad``.
            tensors: by their exact names.
            where: they come from, for messages.
            beyond: layers that the tensors may belong to and the part has not; those are passed over.

        Raises:
            ArtifactError: a key is missing, unknown or misfit; names it.
        """
        own = self.state(part)
        kept = keys_outside(self.model, tensors, beyond) if beyond else tensors
        check_weights({key: tensors[key] for key in kept}, own, where=where)
        import torch

        with torch.no_grad():
            for key, tensor in own.items():
                tensor.copy_(tensors[key])

    def use_language(self, tensors: Mapping[str, Tensor] | None, *, where: str = "") -> None:
        """Put another language's adapter at the bottom of the stack.

        Args:
            tensors: its weights, under the keys of ``BOTTOM``; None takes the language adapter out of the stack. What
                they have in layers that the composition leaves out is not taken.
            where: where they are from, for the message.

        Raises:
            ArtifactError: a key is missing, unknown or misfit; names it.
        """
        if tensors is not None:
            part = f"adapters/{BOTTOM}"
            self.load_state(part, tensors, where=where, beyond=self.composition.left_out_of(part))
        _set_active(self.model, self.composition, language=tensors is not None)

    def to_device(self) -> None:
        """Move the model to the accelerator, if there is one."""
        self.backbone.to_device()

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

    Only the composition's trained parts require gradients: the adapter on top (or the backbone itself, with ``full``),
    the fusion unless it is frozen, the head. New weights are drawn from ``seed``.

    Args:
        backbone: freshly loaded.
        composition: what to add.
        seed: of the new weights.
        fusion_dropout: dropout on the fusion's attention scores; None is the backbone's attention dropout.

    Raises:
        ExpressionError: the adapters cannot be fused or stacked; names the rule.
        BackboneError: the backbone has no head of this kind, or already carries adapters.
        SettingsError: the backbone does not have a layer that is left out, or an adapter is left out of all.
    """
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

    check_names(model, composition.stacked)
    if composition.full or composition.head.kind == "masked_lm":
        whole_vocabulary(model)
    if composition.full:
        keys[WHOLE] = backbone_keys(model)

    def add_adapter(name: str) -> None:
        config = adapter_config(dict(composition.adapters[name]))
        factor = composition.adapters[name].get("reduction_factor")
        if isinstance(factor, (int, float)) and factor > model.config.hidden_size:
            raise ExpressionError(
                f"The reduction factor of '{name}', {factor:g}, is above the hidden size of '{backbone.identity.id}', "
                f"{model.config.hidden_size}: nothing would be left of the bottleneck."
            )
        count = sum(1 for _ in model.iter_layers())
        check_layers(left_out(composition.adapters[name]), count, what=backbone.identity.id)
        try:
            added(f"adapters/{name}", lambda: model.add_adapter(name, config=config))
        except (AssertionError, ValueError, TypeError, RuntimeError) as error:  # NotImplementedError is a RuntimeError
            raise ExpressionError(f"The adapter '{name}' does not fit '{backbone.identity.id}': {error}.") from error

    for name in () if composition.full else composition.stacked[composition.on_language :]:
        add_adapter(name)
    if isinstance(expression, Fusion):
        fused = {name: composition.adapters[name] for name in expression.names}
        check_fusible(fused, None if composition.top is None else composition.adapters[composition.top])
        config = dict(composition.fusion or {})

        def add_fusion() -> None:
            model.add_adapter_fusion(list(expression.names), config=copy.deepcopy(config))
            delete_fusion(model, ",".join(expression.names), composition.left_out)

        added("fusion", add_fusion)
        if fusion_dropout is not None:
            for module in model.modules():
                if type(module).__name__ == "BertFusion":
                    module.dropout.p = fusion_dropout
        install(model)
    added("head", lambda: add_head(backbone, composition.head_name, composition.head))
    if composition.on_language:
        add_adapter(BOTTOM)  # last, so that all else begins with the weights that it has without a language adapter

    _set_active(model, composition)
    head = composition.head_name
    if model.active_head != head or set(model.heads) != {head}:
        raise BackboneError(f"The head '{head}' could not be made the active one.")  # pragma: no cover

    inputs = composition.head.outputs if composition.head.kind == "multiple_choice" else 1
    own = {part: names for part, names in keys.items() if part in composition.parts and part != WHOLE}
    if own:
        check_effect(model, own, inputs=inputs, what=composition.drawing())
    trained = {key for part in composition.trained_parts for key in keys[part]}
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(key in trained)
    return ComposedModel(backbone, composition, keys)


def _set_active(model: Any, composition: Composition, *, language: bool = True) -> None:
    """Activate the stack and the head of a composition, without its language adapter if so wished."""
    from adapters.composition import Fuse, Stack

    expression = composition.expression
    below: tuple[Any, ...] = expression.names
    if isinstance(expression, Fusion):
        below = (Fuse(*expression.names),)
    if composition.on_language and language:
        below = (BOTTOM, *below)
    if not composition.full:
        model.set_active_adapters(below[0] if composition.top is None else Stack(*below, composition.top))
    model.active_head = composition.head_name  # on a bare fusion the library finds none


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
    quiet_adapters()
    for head in list(model.heads):
        model.delete_head(head)
    model.accepts_loss_kwargs = False
    model.float()
    model.freeze_model(True)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.eval()


def check_names(model: Any, names: tuple[str, ...]) -> None:
    """Refuse names that the model has for modules of its own.

    Raises:
        ExpressionError: names the first of them.
    """
    import torch

    taken = {component for key in model.state_dict() for component in key.split(".")}
    for name in names:
        if name in taken or hasattr(torch.nn.ModuleDict, name) or hasattr(torch.nn.ModuleDict(), name):
            raise ExpressionError(f"An adapter cannot be called '{name}': the backbone has a module of that name.")


def _max_length(config: Any, tokenizer: Any) -> int:
    positions = int(getattr(config, "max_position_embeddings", 512))
    if config.model_type in ("xlm-roberta", "roberta", "camembert", "xmod", "xlm-roberta-xl"):
        positions -= int(config.pad_token_id) + 1  # positions start after the padding index
    return min(positions, int(tokenizer.model_max_length))
