"""Sentence vectors of a frozen encoder: the mean of a layer's token vectors, with whatever adapters are active."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from adapterstilts.data.collate import Collator
from adapterstilts.errors import ExpressionError, SettingsError

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from adapterstilts.models.backbone import Backbone


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
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Return the mean over the tokens, special tokens included, of the output of some layers, as jiant takes it.

    Args:
        backbone: the encoder; adapters that are active on its model are used, heads are not.
        features: one row a sentence, with ``input_ids``.
        layers: which; 0 is the embeddings.
        batch_size: sentences a forward pass.
        precision: ``fp32`` or ``bf16`` (autocast).
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
    collate = Collator.of(backbone.tokenizer)
    features = features.select_columns(
        [name for name in features.column_names if name in ("input_ids", "token_type_ids")]
    )
    lengths = [len(ids) for ids in features["input_ids"]]
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    vectors = torch.empty((len(layers), len(order), int(model.config.hidden_size)), device=device)
    mode = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                columns = features[chosen]
                rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
                batch = {name: tensor.to(device) for name, tensor in collate(rows).items()}
                with torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext():
                    states = encoder(**batch, output_hidden_states=True, return_dict=True).hidden_states
                mask = batch["attention_mask"].unsqueeze(-1).float()
                if states[-1].shape[1] != mask.shape[1]:
                    raise ExpressionError(
                        "An adapter of this composition lengthens the input (prompt tuning); sentence vectors need one "
                        "that does not, such as seq_bn."
                    )
                for number, layer in enumerate(layers):
                    vectors[number, chosen] = (states[layer].float() * mask).sum(dim=1) / mask.sum(dim=1)
                if progress is not None:
                    progress(start + len(chosen))
    finally:
        model.train(mode)
    return vectors
