"""Inputs of a given length for a model, drawn at random: what they say has no influence on the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

    from adapterstilts.models.backbone import ComposedModel

SEED = 0


class RandomInputs:
    """Draws batches for a model, always the same for a length and a batch size."""

    def __init__(self, composed: ComposedModel) -> None:
        import torch

        self.tokenizer: PreTrainedTokenizerFast = composed.backbone.tokenizer
        model: Any = composed.model
        self.device = next(model.parameters()).device
        head = composed.composition.head
        self.choices = head.outputs if head.kind == "multiple_choice" else 0
        special = set(self.tokenizer.all_special_ids)
        size = min(len(self.tokenizer), int(model.config.vocab_size))
        self.vocabulary = torch.tensor([token for token in range(size) if token not in special])

    def tokens(self, *shape: int) -> Tensor:
        """Return random token ids of a shape, none of them special."""
        import torch

        generator = torch.Generator().manual_seed(SEED)
        return self.vocabulary[torch.randint(len(self.vocabulary), shape, generator=generator)]

    def batch(self, length: int, size: int) -> dict[str, Tensor]:
        """Return what the model takes: (size, length), or (size, choices, length) for multiple choice; no padding."""
        shape = (size, self.choices, length) if self.choices else (size, length)
        ids = self.tokens(*shape).to(self.device)
        return {"input_ids": ids, "attention_mask": ids.new_ones(shape)}

    def texts(self, length: int, size: int) -> list[str]:
        """Return the texts of a batch, each of so many tokens with the special ones."""
        kept = length - self.tokenizer.num_special_tokens_to_add()
        found = []
        for ids in self.tokens(size * max(1, self.choices), 2 * length).tolist():
            text = self.tokenizer.decode(ids)
            encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            ends = [end for _, end in encoded["offset_mapping"]]
            found.append(text[: ends[min(kept, len(ends)) - 1]] if kept > 0 and ends else "")
        return found

    def tokenising(self, length: int, size: int) -> Callable[[], object]:
        """Return a function that turns the texts of a batch into tensors of token ids."""
        texts, tokenizer = self.texts(length, size), self.tokenizer
        return lambda: tokenizer(texts, truncation=True, max_length=length, padding=True, return_tensors="pt")
