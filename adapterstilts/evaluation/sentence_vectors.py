"""Sentence vectors of a frozen encoder: a layer's token vectors made one, with whatever adapters are active."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from adapterstilts.errors import ExpressionError, SettingsError
from adapterstilts.evaluation.inference import run_in_batches

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from adapterstilts.models.backbone import Backbone

Pooling = Literal["mean", "cls"]
POOLINGS: Mapping[Pooling, str] = {"mean": "the mean over the tokens", "cls": "the first token"}
DEFAULT_POOLING: Pooling = "mean"


def check_pooling(name: str) -> Pooling:
    """Return the pooling of this name.

    Raises:
        SettingsError: there is none.
    """
    for known in POOLINGS:
        if name == known:
            return known
    raise SettingsError(f"--pooling '{name}' is none of {', '.join(POOLINGS)}.")


def layer_count(backbone: Backbone) -> int:
    """Return the number of an encoder's layers; layer 0 stands for its embeddings, below the first."""
    return int(backbone.model.config.num_hidden_layers)


def check_layer(backbone: Backbone, layer: int) -> None:
    """Refuse a layer that an encoder does not have.

    Raises:
        SettingsError: names those it has.
    """
    if not 0 <= layer <= layer_count(backbone):
        raise SettingsError(
            f"--layer {layer} is none of '{backbone.identity.id}': give 0 (its embeddings) to {layer_count(backbone)}, "
            "or auto."
        )


def sentence_vectors(
    backbone: Backbone,
    features: Dataset,
    layers: Sequence[int],
    *,
    batch_size: int = 32,
    precision: str = "fp32",
    pooling: Pooling = DEFAULT_POOLING,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Return a vector of each sentence from the output of some layers.

    Args:
        backbone: the encoder; adapters that are active on its model are used, heads are not.
        features: one row a sentence, with ``input_ids``.
        layers: which; 0 is the embeddings.
        batch_size: sentences a forward pass.
        precision: ``fp32`` or ``bf16`` (autocast).
        pooling: ``mean`` over the tokens, special tokens included, as jiant takes it; ``cls``, the first token, as
            XTREME-R takes it for LAReQA and Mewsli-X.
        progress: told the number of sentences done after each batch.

    Returns:
        float32 on the model's device, shape (layers, sentences, hidden).

    Raises:
        ExpressionError: an adapter lengthens the input, so that the mask no longer fits.
    """
    import torch

    model: Any = backbone.model
    encoder = model.base_model
    device = next(model.parameters()).device
    vectors = torch.empty((len(layers), len(features), int(model.config.hidden_size)), device=device)

    def take(chosen: list[int], batch: dict[str, Tensor], output: Any) -> None:
        states = output.hidden_states
        mask = batch["attention_mask"].unsqueeze(-1).float()
        if states[-1].shape[1] != mask.shape[1]:
            raise ExpressionError(
                "An adapter of this composition lengthens the input (prompt tuning); sentence vectors need one "
                "that does not, such as seq_bn."
            )
        # Some tokenizers pad on the left.
        first, every = batch["attention_mask"].argmax(dim=1), torch.arange(len(mask), device=device)
        for number, layer in enumerate(layers):
            if pooling == "cls":
                vectors[number, chosen] = states[layer][every, first].float()
            else:
                vectors[number, chosen] = (states[layer].float() * mask).sum(dim=1) / mask.sum(dim=1)

    run_in_batches(
        lambda batch: encoder(**batch, output_hidden_states=True, return_dict=True),
        take,
        backbone,
        features,
        batch_size=batch_size,
        precision=precision,
        progress=progress,
    )
    return vectors
