"""Features to padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapterstilts.tasks.formats.base import IGNORED_LABEL

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

SCALARS = ("start_positions", "end_positions")


@dataclass(frozen=True)
class Collator:
    """Pads a list of features to the longest of them.

    Args:
        pad_token_id: fills ``input_ids``.
        pad_token_type_id: fills ``token_type_ids``.
    """

    pad_token_id: int
    pad_token_type_id: int = 0

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Collator:
        """Return the collator for a tokenizer."""
        return cls(int(tokenizer.pad_token_id), int(tokenizer.pad_token_type_id))

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Return ``input_ids``, ``attention_mask`` and labels.

        Shapes: (batch, length); (batch × choices, length) where a feature holds one list of ids a choice. Heads of
        multiple choice fold the logits themselves, and several adapter types go wrong on inputs of three dimensions.
        """
        import torch

        flat = _flat(features, "input_ids")
        length = max(map(len, flat))

        def padded(sequences: list[list[int]], fill: int) -> Tensor:
            return torch.tensor([[*row, *[fill] * (length - len(row))] for row in sequences], dtype=torch.long)

        batch = {
            "input_ids": padded(flat, self.pad_token_id),
            "attention_mask": padded([[1] * len(ids) for ids in flat], 0),
        }
        if "token_type_ids" in features[0]:
            batch["token_type_ids"] = padded(_flat(features, "token_type_ids"), self.pad_token_type_id)
        if "labels" in features[0]:
            labels = [feature["labels"] for feature in features]
            if isinstance(labels[0], list):
                batch["labels"] = padded(labels, IGNORED_LABEL)
            else:
                batch["labels"] = torch.tensor(labels, dtype=torch.long)
        for name in SCALARS:
            if name in features[0]:
                batch[name] = torch.tensor([feature[name] for feature in features], dtype=torch.long)
        return batch


def _flat(features: Sequence[dict[str, Any]], name: str) -> list[list[int]]:
    """Return the sequences of a column, those of the choices of one feature after each other."""
    columns = [feature[name] for feature in features]
    return [ids for choices in columns for ids in choices] if isinstance(columns[0][0], list) else columns


def feature_length(feature: dict[str, Any]) -> int:
    """Return the number of tokens of a feature: of its longest choice, where it has several."""
    ids = feature["input_ids"]
    return max(map(len, ids)) if ids and isinstance(ids[0], list) else len(ids)
