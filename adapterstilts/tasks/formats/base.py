"""What every format of a task does: rows to token ids, logits to answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from adapterstilts.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from adapterstilts.tasks.spec import TaskSpec

HeadKind = Literal["classification", "multiple_choice", "tagging", "question_answering", "masked_lm"]

IGNORED_LABEL = -100
BATCH_ROWS = 1000


@dataclass(frozen=True)
class EncodingSettings:
    """How text becomes token ids. Lengths are counted in tokens, special tokens included."""

    max_length: int = 128
    doc_stride: int = 128
    """How many tokens two neighbouring windows of a long text share."""
    max_question_length: int = 64
    """Longer questions are cut, as in the official SQuAD baselines."""
    max_answer_length: int = 30
    n_best: int = 20

    def __post_init__(self) -> None:
        faults = []
        if self.max_length < 8:
            faults.append(f"--max-length {self.max_length} leaves no room for text; give at least 8")
        if self.doc_stride < 0:
            faults.append(f"--doc-stride {self.doc_stride} is negative")
        if faults:
            raise SettingsError("; ".join(faults) + ".")

    @property
    def question_room(self) -> int:
        """Tokens that a question may have: at least half of the input is left to the context."""
        return min(self.max_question_length, self.max_length // 2 - 2)

    def stride(self, fixed_tokens: int) -> int:
        """Return the overlap of windows, made smaller where windows would not move on otherwise.

        Args:
            fixed_tokens: tokens in each window that are not of the long text (question, special tokens).
        """
        return min(self.doc_stride, max((self.max_length - fixed_tokens) // 2, 0))


@dataclass(frozen=True)
class HeadSpec:
    """The prediction head that a format needs."""

    kind: HeadKind
    outputs: int
    """Number of labels, or of choices; 2 for the start and end of a span; 1 for the backbone's own head."""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """Token ids of rows, with what is needed to turn logits back into answers."""

    features: Dataset
    """One row a window: ``input_ids``, the labels of the format, and ``example``, the position of its row."""
    report: Mapping[str, int] = field(default_factory=dict)
    """What was counted on the way: rows cut, windows added, rows left out of training."""

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Answer:
    """What is answered for one row."""

    value: Any
    """A label name, the number of a choice, a text, a list of tags, or log-probabilities of hidden tokens."""
    score: float | None = None
    """Probability the model gives it, among the alternatives it weighed."""
    alternative: str | None = None
    """The best answer with a text, for a question that may have none; then also ``no_answer``."""
    no_answer: float | None = None
    """Score of no answer minus that of the alternative: where it is above a threshold, the answer is empty."""


class Format(ABC):
    """Encode, head, decode and metric inputs of one kind of task."""

    name: str
    #: Names of the label columns of encoded features, as the head's ``forward`` takes them.
    label_names: tuple[str, ...] = ("labels",)

    @abstractmethod
    def head(self, task: TaskSpec) -> HeadSpec:
        """Return the head that ``task`` needs."""

    @abstractmethod
    def encode(
        self,
        task: TaskSpec,
        rows: Dataset,
        tokenizer: PreTrainedTokenizerFast,
        settings: EncodingSettings,
        *,
        training: bool,
    ) -> Encoded:
        """Turn rows into token ids.

        Args:
            task: the task whose rows they are.
            rows: a table with ``id``, ``language`` and the format's fields.
            tokenizer: a fast tokenizer (offsets and word numbers are needed).
            settings: lengths.
            training: leave out, and count, rows that cannot be learnt from.
        """

    @abstractmethod
    def decode(
        self,
        task: TaskSpec,
        rows: Dataset,
        encoded: Encoded,
        logits: Sequence[np.ndarray],
        settings: EncodingSettings,
    ) -> list[Answer]:
        """Turn logits, one array a feature, into one answer a row, in the order of the rows."""

    @abstractmethod
    def metric_inputs(self, task: TaskSpec, rows: Dataset, answers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return predictions and references as the task's metric takes them.

        Args:
            task: the task.
            rows: the rows that were answered.
            answers: the ``value`` of each row's answer.
        """


def input_columns(encoding: Mapping[str, Any]) -> list[str]:
    """Return the columns of a tokenizer's output that the model reads, but for the mask, which padding makes."""
    return [name for name in ("input_ids", "token_type_ids") if name in encoding]


def shortened(texts: list[str], tokenizer: PreTrainedTokenizerFast, limit: int) -> list[str]:
    """Cut texts after their first ``limit`` tokens, at a token's end; shorter ones are left as they are.

    A text has at most as many tokens as bytes, so that most texts need not be tokenised for it.

    A tokenizer that truncates a pair keeps what it cuts off, in every combination of the two texts: with two long
    texts that is quadratic in memory.
    """
    long = [position for position, text in enumerate(texts) if len(text.encode("utf-8", "replace")) > limit]
    if not long:
        return texts
    cut = list(texts)
    encoding = tokenizer([texts[position] for position in long], add_special_tokens=False, return_offsets_mapping=True)
    for position, offsets in zip(long, encoding["offset_mapping"], strict=True):
        if len(offsets) > limit:
            cut[position] = texts[position][: offsets[limit - 1][1]]
    return cut


def batches(total: int, size: int = BATCH_ROWS) -> list[range]:
    """Cut ``total`` positions into runs of at most ``size``."""
    return [range(start, min(start + size, total)) for start in range(0, total, size)]
