"""Classification of texts or pairs, and multiple choice: one score a label or choice, the best one wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adapterstilts.tasks.formats.base import (
    Answer,
    Encoded,
    EncodingSettings,
    Format,
    HeadSpec,
    batches,
    input_columns,
    shortened,
)

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from adapterstilts.tasks.spec import TaskSpec


def _cut(encoding: Any, position: int) -> bool:
    return bool(encoding.encodings[position].overflowing)


def _softmax(logits: np.ndarray) -> np.ndarray:
    import numpy as np

    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


class Classification(Format):
    """A text, or a pair of texts, and one label of several. Logits: (labels,)."""

    name = "classification"

    def head(self, task: TaskSpec) -> HeadSpec:
        return HeadSpec("classification", len(task.labels), task.labels)

    def encode(
        self,
        task: TaskSpec,
        rows: Dataset,
        tokenizer: PreTrainedTokenizerFast,
        settings: EncodingSettings,
        *,
        training: bool,
    ) -> Encoded:
        from datasets import Dataset

        columns: dict[str, list[Any]] = {"example": [], "labels": []}
        cut = 0
        for run in batches(len(rows)):
            batch = rows[run.start : run.stop]
            pair = (shortened(batch[name], tokenizer, settings.max_length) for name in ("text", "text_pair"))
            encoding = tokenizer(*pair, truncation=True, max_length=settings.max_length)
            for name in input_columns(encoding):
                columns.setdefault(name, []).extend(encoding[name])
            columns["labels"].extend(batch["label"])
            columns["example"].extend(run)
            cut += sum(_cut(encoding, position) for position in range(len(run)))
        return Encoded(Dataset.from_dict(columns), {"texts cut": cut} if cut else {})

    def decode(
        self,
        task: TaskSpec,
        rows: Dataset,
        encoded: Encoded,
        logits: Sequence[np.ndarray],
        settings: EncodingSettings,
    ) -> list[Answer]:
        return [Answer(task.labels[int(values.argmax())], float(_softmax(values).max())) for values in logits]

    def metric_inputs(self, task: TaskSpec, rows: Dataset, answers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        numbers = {name: number for number, name in enumerate(task.labels)}
        return [numbers[answer] for answer in answers], rows["label"][:]


class MultipleChoice(Format):
    """A text and several continuations, one of them right. Logits: (choices,).

    The continuation is the second text of a pair, as in Zellers et al. 2019 and jiant.
    """

    name = "multiple_choice"

    def head(self, task: TaskSpec) -> HeadSpec:
        return HeadSpec("multiple_choice", task.choices)

    def encode(
        self,
        task: TaskSpec,
        rows: Dataset,
        tokenizer: PreTrainedTokenizerFast,
        settings: EncodingSettings,
        *,
        training: bool,
    ) -> Encoded:
        from datasets import Dataset

        columns: dict[str, list[Any]] = {"example": [], "labels": []}
        cut = 0
        for run in batches(len(rows)):
            batch = rows[run.start : run.stop]
            texts = [text for text, choices in zip(batch["text"], batch["choices"], strict=True) for _ in choices]
            choices = [choice for choices in batch["choices"] for choice in choices]
            pair = (shortened(part, tokenizer, settings.max_length) for part in (texts, choices))
            encoding = tokenizer(*pair, truncation=True, max_length=settings.max_length)
            for name in input_columns(encoding):
                values = encoding[name]
                grouped = [values[start : start + task.choices] for start in range(0, len(values), task.choices)]
                columns.setdefault(name, []).extend(grouped)
            columns["labels"].extend(batch["label"])
            columns["example"].extend(run)
            cut += sum(_cut(encoding, position) for position in range(len(texts)))
        return Encoded(Dataset.from_dict(columns), {"texts cut": cut} if cut else {})

    def decode(
        self,
        task: TaskSpec,
        rows: Dataset,
        encoded: Encoded,
        logits: Sequence[np.ndarray],
        settings: EncodingSettings,
    ) -> list[Answer]:
        return [Answer(int(values.argmax()), float(_softmax(values).max())) for values in logits]

    def metric_inputs(self, task: TaskSpec, rows: Dataset, answers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return list(answers), rows["label"][:]
