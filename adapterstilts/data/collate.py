"""Features to padded batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapterstilts.tasks.formats.base import IGNORED_LABEL
from adapterstilts.tasks.formats.language_modelling import Masking

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

    from adapterstilts.tasks.spec import TaskSpec

ROW = "row"
"""Column with the positions of features, where what else is known of them is looked up by it."""
SCALARS = ("start_positions", "end_positions", ROW)


@dataclass(frozen=True)
class Collator:
    """Pads a list of features to the longest of them.

    Args:
        pad_token_id: fills ``input_ids``.
        pad_token_type_id: fills ``token_type_ids``.
        multiple: lengths are padded to multiples of it.
    """

    pad_token_id: int
    pad_token_type_id: int = 0
    multiple: int = 1

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, multiple: int = 1) -> Collator:
        """Return the collator for a tokenizer."""
        return cls(int(tokenizer.pad_token_id), int(tokenizer.pad_token_type_id), multiple)

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Return ``input_ids``, ``attention_mask``, labels, and the features' numbers where they have some.

        Shapes: (batch, length); (batch × choices, length) where a feature holds one list of ids a choice. Heads of
        multiple choice fold the logits themselves, and several adapter types go wrong on inputs of three dimensions.
        """
        import torch

        flat = _flat(features, "input_ids")
        length = -(-max(map(len, flat)) // self.multiple) * self.multiple

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


@dataclass
class MaskingCollator:
    """Hides tokens of features, other ones each time a feature comes, and pads them.

    Args:
        padding: pads what is left.
        masking: what is hidden, and how.
        generator: draws it; it goes on from batch to batch, so that a run with the same seed hides the same.
    """

    padding: Collator
    masking: Masking
    generator: np.random.Generator
    before: Mapping[str, Any] = field(default_factory=dict)
    """State of the generator before the last batch."""

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Return what ``Collator`` does, with the hidden tokens as labels, shape (batch, length)."""
        self.before = self.generator.bit_generator.state
        hidden = [self.masking.hide(feature["input_ids"], self.generator) for feature in features]
        seen = [
            feature | {"input_ids": ids, "labels": labels}
            for feature, (ids, labels) in zip(features, hidden, strict=True)
        ]
        return self.padding(seen)


def training_collator(
    task: TaskSpec, tokenizer: PreTrainedTokenizerFast, seed: int, *, multiple: int = 1
) -> Collator | MaskingCollator:
    """Return what makes the training batches of a task; ``seed`` is that of what is drawn for them."""
    padding = Collator.of(tokenizer, multiple)
    if task.format != "language_modelling":
        return padding
    import numpy as np

    return MaskingCollator(padding, Masking.of(tokenizer), np.random.default_rng(seed))


def _flat(features: Sequence[dict[str, Any]], name: str) -> list[list[int]]:
    """Return the sequences of a column, those of the choices of one feature after each other."""
    columns = [feature[name] for feature in features]
    return [ids for choices in columns for ids in choices] if isinstance(columns[0][0], list) else columns


def feature_length(feature: dict[str, Any]) -> int:
    """Return the number of tokens of a feature: of its longest choice, where it has several."""
    ids = feature["input_ids"]
    return max(map(len, ids)) if ids and isinstance(ids[0], list) else len(ids)
