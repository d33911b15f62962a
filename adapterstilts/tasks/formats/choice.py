"""Classification of texts or pairs, and multiple choice: one score a label or choice, the best one wins."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
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


class _OneOfSeveral(Format):
    """A number of text pairs a row, and a ``label`` that is a position among several."""

    @abstractmethod
    def _pairs(self, batch: Mapping[str, list[Any]]) -> tuple[list[str], ...]:
        """Return first and second texts, those of a row after each other; first ones alone without pairs."""

    @abstractmethod
    def _value(self, task: TaskSpec, position: int) -> Any:
        """Return the answer that a position stands for."""

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

        columns: dict[str, list[Any]] = {"example": list(range(len(rows))), "labels": rows["label"][:]}
        cut = 0
        for run in batches(len(rows)):
            pairs = self._pairs(rows[run.start : run.stop])
            texts = (shortened(part, tokenizer, settings.max_length) for part in pairs)
            encoding = tokenizer(*texts, truncation=True, max_length=settings.max_length)
            for name in input_columns(encoding):
                values = encoding[name]
                if task.choices:
                    values = [values[at : at + task.choices] for at in range(0, len(values), task.choices)]
                columns.setdefault(name, []).extend(values)
            cut += sum(bool(one.overflowing) for one in encoding.encodings)
        return Encoded(Dataset.from_dict(columns), {"texts cut": cut} if cut else {})

    def decode(
        self,
        task: TaskSpec,
        rows: Dataset,
        encoded: Encoded,
        logits: Sequence[np.ndarray],
        settings: EncodingSettings,
    ) -> list[Answer]:
        import numpy as np

        answers = []
        for values in logits:
            powers = np.exp(values - values.max())
            answers.append(Answer(self._value(task, int(values.argmax())), float(powers.max() / powers.sum())))
        return answers


class Classification(_OneOfSeveral):
    """A text, or a pair of texts, and one label of several. Logits: (labels,)."""

    name = "classification"

    def head(self, task: TaskSpec) -> HeadSpec:
        return HeadSpec("classification", len(task.labels), task.labels)

    def _pairs(self, batch: Mapping[str, list[Any]]) -> tuple[list[str], ...]:
        return (batch["text"], batch["text_pair"]) if "text_pair" in batch else (batch["text"],)

    def _value(self, task: TaskSpec, position: int) -> str:
        return task.labels[position]

    def metric_inputs(self, task: TaskSpec, rows: Dataset, answers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        numbers = {name: number for number, name in enumerate(task.labels)}
        return [numbers[answer] for answer in answers], rows["label"][:]


class MultipleChoice(_OneOfSeveral):
    """A text and several continuations, one of them right. Logits: (choices,).

    The continuation is the second text of a pair, as in Zellers et al. 2019 and jiant.
    """

    name = "multiple_choice"

    def head(self, task: TaskSpec) -> HeadSpec:
        return HeadSpec("multiple_choice", task.choices)

    def _pairs(self, batch: Mapping[str, list[Any]]) -> tuple[list[str], ...]:
        texts = [text for text, choices in zip(batch["text"], batch["choices"], strict=True) for _ in choices]
        return texts, [choice for choices in batch["choices"] for choice in choices]

    def _value(self, task: TaskSpec, position: int) -> int:
        return position

    def metric_inputs(self, task: TaskSpec, rows: Dataset, answers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return list(answers), rows["label"][:]
