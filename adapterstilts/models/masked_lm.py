"""The backbone's own masked-language-model head, frozen, on top of an adapter that learns from plain text.

The adapters library turns the head of a checkpoint into one of its own, but leaves out the bias of the output layer
without a word: every logit is then off by a constant of its token. The bias is read again where the head is used.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from adapters.heads import BertStyleMaskedLMHead
from transformers.modeling_outputs import BaseModelOutput

from adapterstilts.tasks.formats.base import IGNORED_LABEL

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class MaskedLMHead:
    """The masked-language-model head of a checkpoint."""

    config: Mapping[str, Any]
    """As the adapters library builds it."""
    tensors: Mapping[str, Tensor]
    """All but the output layer's weights, where these are the word embeddings."""
    bias: Callable[[], Tensor] | None
    """Reads the bias of the output layer, (vocabulary,), where ``tensors`` has it not."""


def stored_head(location: str, options: Mapping[str, Any]) -> MaskedLMHead | None:
    """Read the masked-language-model head of a checkpoint, None where it has none.

    Args:
        location: folder or Hub id.
        options: for ``from_pretrained``.
    """
    from adapters import AutoAdapterModel

    model, info = AutoAdapterModel.from_pretrained(location, output_loading_info=True, **options)
    return taken_head(model, info["missing_keys"], functools.partial(output_bias, location, options))


def taken_head(model: PreTrainedModel, missing: Collection[str], bias: Callable[[], Tensor]) -> MaskedLMHead | None:
    """Return the head that the adapters library made of a checkpoint's, or None where the checkpoint has none.

    Args:
        model: as the library loads it, with a head ``default``.
        missing: keys of the model that the checkpoint does not have.
        bias: reads the bias of the output layer from the checkpoint.
    """
    source: Any = model
    head = dict(source.heads).get("default")
    if not isinstance(head, BertStyleMaskedLMHead):
        return None
    output = next(reversed(head._modules))
    state = {key: tensor.detach() for key, tensor in head.state_dict().items()}
    if source.config.tie_word_embeddings:
        del state[f"{output}.weight"]
    absent = {key for key in state if f"heads.default.{key}" in missing}
    if absent - {f"{output}.bias"}:
        return None
    kept = {key: tensor for key, tensor in state.items() if key not in absent}
    return MaskedLMHead(dict(head.config), kept, bias if absent else None)


def output_bias(location: str, options: Mapping[str, Any]) -> Tensor:
    """Return the bias of a checkpoint's output layer, (vocabulary,).

    Args:
        location: folder or Hub id.
        options: for ``from_pretrained``.
    """
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_pretrained(location, **options)
    bias: Tensor = model.get_output_embeddings().bias.detach().float().clone()
    return bias


def add_masked_lm_head(model: PreTrainedModel, name: str, head: MaskedLMHead) -> None:
    """Put the backbone's head on a model, under the name of the adapter that is trained below it."""
    target: Any = model
    config = {key: value for key, value in head.config.items() if key not in ("head_type", "label2id")}
    made = _LabelledPlaces(model, name, **config)
    target.add_prediction_head(made)  # ties the output layer to the embeddings
    output = made.get_output_embeddings()
    state = made.state_dict()
    with torch.no_grad():
        for key, tensor in head.tensors.items():
            state[key].copy_(tensor)
        if head.bias is not None:
            output.bias.copy_(head.bias())


class _LabelledPlaces(BertStyleMaskedLMHead):
    """Computes logits where there is a label alone: over a vocabulary of 250,000, six sevenths of them are waste.

    With labels, the logits are (1, labels, vocabulary), those of the first sequence first; else (batch, length,
    vocabulary).
    """

    def forward(
        self,
        outputs: Any,
        cls_output: Any = None,
        attention_mask: Any = None,
        return_dict: bool = False,
        **options: Any,
    ) -> Any:
        labels = options.get("labels")
        if labels is not None:
            places = labels != IGNORED_LABEL
            outputs = BaseModelOutput(last_hidden_state=outputs[0][places].unsqueeze(0))
            options["labels"] = labels[places].unsqueeze(0)
        return super().forward(outputs, cls_output, attention_mask, return_dict, **options)
