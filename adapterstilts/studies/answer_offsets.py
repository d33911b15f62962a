"""Whether gold answers come back: encoded with a backbone's tokenizer, then decoded from logits that are sure."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adapterstilts.evaluation.metrics import get_metric
from adapterstilts.tasks.formats.span import OUTSIDE, Span, visible

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from adapterstilts.data.rows import Rows
    from adapterstilts.tasks.formats import EncodingSettings

WRONG_PLACE = "not in the context where the data say"
NO_WINDOW = "no window holds it"
IN_A_WORD = "starts or ends inside a word"
IN_A_TOKEN = "starts or ends inside a token"
#: Written without spaces between words, so that no edge of a word can be seen.
_UNSPACED = frozenset({"zh", "ja", "th", "my"})


@dataclass(frozen=True)
class LostAnswer:
    """A question whose first gold answer does not come back letter by letter."""

    id: str
    gold: str
    decoded: str
    reason: str
    scored_right: bool
    """Whether the metric finds no difference between the two, as where a token ends in a full stop."""


@dataclass(frozen=True)
class AnswersBack:
    """How many gold answers of a language come back."""

    questions: int
    lost: tuple[LostAnswer, ...]
    too_long: int
    """Answers of more tokens than ``EncodingSettings.max_answer_length``, which no model's answer can have."""

    @property
    def exact(self) -> float:
        """Share of the questions whose answer comes back letter by letter, in percent."""
        return 100.0 * (1 - len(self.lost) / self.questions)

    @property
    def scored(self) -> float:
        """Share that comes back as the metric reads it, in percent."""
        return 100.0 * (1 - sum(not one.scored_right for one in self.lost) / self.questions)

    @property
    def whole_words(self) -> float:
        """Share that comes back as the metric reads it, of those whose answer the data put at the edges of words."""
        whole = self.questions - sum(one.reason in (IN_A_WORD, WRONG_PLACE) for one in self.lost)
        lost = sum(not one.scored_right and one.reason not in (IN_A_WORD, WRONG_PLACE) for one in self.lost)
        return 100.0 * (1 - lost / whole) if whole else 100.0

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many are lost, by reason, the most frequent first."""
        return dict(Counter(one.reason for one in self.lost).most_common())


def answers_back(rows: Rows, tokenizer: PreTrainedTokenizerFast, settings: EncodingSettings) -> dict[str, AnswersBack]:
    """Encode questions, and decode them with logits that are sure of the labels.

    The limit on an answer's length is lifted for this, and what it would take away is counted apart.

    Args:
        rows: of a span task; a question without an answer comes back where nothing is answered.
        tokenizer: a fast one.
        settings: lengths of windows and of answers, as in evaluation.

    Returns:
        What came back, by language. Spaces and invisible signs around answers do not count.
    """
    import numpy as np

    span = Span()
    encoded = span.encode(rows.task, rows.table, tokenizer, settings, training=False)
    columns = ["example", "start_positions", "end_positions", "offset_starts", "offset_ends"]
    holding: dict[int, int] = {}
    logits = []
    for window in encoded.features.select_columns(columns):
        first, last = window["start_positions"], window["end_positions"]
        values = np.zeros((2, len(window["offset_starts"])), dtype=np.float32)
        values[0, first] = values[1, last] = 10.0
        logits.append(values)
        if window["offset_ends"][first] != OUTSIDE:
            holding[window["example"]] = last - first + 1
    unlimited = replace(settings, max_answer_length=settings.max_length)
    decoded = [answer.value for answer in span.decode(rows.task, rows.table, encoded, logits, unlimited)]
    found = {}
    for language in rows.languages:
        positions = rows.of_language(language)
        right = _scored_right(rows, positions, [decoded[position] for position in positions])
        lost = []
        for position, scored_right in zip(positions, right, strict=True):
            row, text = rows.table[position], decoded[position]
            gold = visible(row["answers"]["text"][0]) if row["answers"]["text"] else ""
            if visible(text) != gold:
                lost.append(LostAnswer(row["id"], gold, text, _reason(row, position in holding), scored_right))
        too_long = sum(holding.get(position, 0) > settings.max_answer_length for position in positions)
        found[language] = AnswersBack(len(positions), tuple(lost), too_long)
    return found


def _scored_right(rows: Rows, positions: list[int], answers: list[str]) -> list[bool]:
    """Tell of each answer whether the metric finds no difference to the first gold one, which is what was encoded."""
    metric = get_metric(rows.task.metric)
    predictions, references = Span().metric_inputs(rows.task, rows.table.select(positions), answers)
    first = [one | {"answers": {key: value[:1] for key, value in one["answers"].items()}} for one in references]
    statistics = metric.statistics(predictions, first)
    return [bool(one) for one in statistics[:, metric.statistic_names.index("exact_match")]]


def _reason(row: Mapping[str, Any], held: bool) -> str:
    """Return why an answer did not come back.

    Args:
        row: the question.
        held: whether a window holds all of the answer.
    """
    text, start, context = row["answers"]["text"][0], row["answers"]["answer_start"][0], row["context"]
    end = start + len(text)
    if context[start:end] != text:
        return WRONG_PLACE
    edges = ((context[edge - 1 : edge], context[edge : edge + 1]) for edge in (start, end))
    if any(_in_a_word(before, after, spaced=row["language"] not in _UNSPACED) for before, after in edges):
        return IN_A_WORD
    return IN_A_TOKEN if held else NO_WINDOW


def _in_a_word(before: str, after: str, *, spaced: bool) -> bool:
    """Tell whether two signs stand in one word, as far as can be seen where no spaces are written."""
    if not (spaced or (before.isascii() and after.isascii())):
        return False
    return all(sign.isalnum() or unicodedata.category(sign or " ").startswith("M") for sign in (before, after))
