"""Sentences whose translation, or whatever is relevant to them, is found by sentence vectors; nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from adapterstilts.errors import SettingsError
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


class Retrieval(Format):
    """A sentence and its translation. Two features a row, one for each: first all sentences, then all translations."""

    name = "retrieval"
    label_names = ()
    sides: tuple[str, ...] = ("text", "text_pair")
    """The columns that are encoded, one after the other."""

    def head(self, task: TaskSpec) -> HeadSpec:
        """Refuse: there is nothing to train a head on.

        Raises:
            SettingsError: says what to do instead.
        """
        _refuse(task)

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

        columns: dict[str, list[Any]] = {"example": [], "side": []}
        cut = 0
        for side, name in enumerate(self.sides):
            for run in batches(len(rows)):
                texts = shortened(rows[run.start : run.stop][name], tokenizer, settings.max_length)
                encoding = tokenizer(texts, truncation=True, max_length=settings.max_length)
                for column in input_columns(encoding):
                    columns.setdefault(column, []).extend(encoding[column])
                columns["example"].extend(run)
                columns["side"].extend([side] * len(run))
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
        """Refuse: there is no head that could answer a row by itself.

        Raises:
            SettingsError: says what to do instead.
        """
        _refuse(task)

    def metric_inputs(self, task: TaskSpec, rows: Dataset, answers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return list(answers), rows["id"][:]


class Search(Retrieval):
    """A sentence and the ids of the candidates relevant to it. One feature a row; candidates are encoded alike."""

    name = "search"
    sides = ("text",)

    def metric_inputs(self, task: TaskSpec, rows: Dataset, answers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return list(answers), rows["relevant"][:]


def _refuse(task: TaskSpec) -> NoReturn:
    raise SettingsError(
        f"'{task.name}' trains nothing: its sentences are compared by the vectors of an encoder with an intermediate "
        f"adapter. Say `adapterstilts compose squad --target {task.name}`."
    )
