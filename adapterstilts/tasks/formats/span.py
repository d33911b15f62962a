"""Extractive question answering in the manner of SQuAD: long contexts in windows, answers found by offsets.

Follows the official BERT baseline for SQuAD (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) in its windows,
its n-best search (``span_search``) and its rule for questions without an answer.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
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
from adapterstilts.tasks.formats.sequences import Sequences
from adapterstilts.tasks.formats.span_search import OUTSIDE, Best, search
from adapterstilts.tasks.languages import pair_of

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from adapterstilts.tasks.spec import TaskSpec

_UNSEEN = ("Cf", "Cc")


class Span(Format):
    """A question, a context, an answer that stands in it. Logits: (2, length), for start and end."""

    name = "span"
    label_names = ("start_positions", "end_positions")

    def head(self, task: TaskSpec) -> HeadSpec:
        return HeadSpec("question_answering", 2)

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

        columns: dict[str, list[Any]] = {
            name: [] for name in ("example", "start_positions", "end_positions", "offset_starts", "offset_ends")
        }
        report: Counter[str] = Counter()
        for run in batches(len(rows)):
            batch = rows[run.start : run.stop]
            questions = self._questions(batch["question"], tokenizer, settings, report)
            gold = [
                _gold(answers, context) for answers, context in zip(batch["answers"], batch["context"], strict=True)
            ]
            chosen = list(range(len(run)))
            if training:
                chosen = [position for position in chosen if gold[position] is not None]
                report["answer not in context"] += len(run) - len(chosen)
            if not chosen:
                continue
            encoding = self._windows(
                [questions[position] for position in chosen],
                [batch["context"][position] for position in chosen],
                tokenizer,
                settings,
            )
            for name in input_columns(encoding):
                columns.setdefault(name, []).extend(encoding[name])
            for window, sample in enumerate(encoding["overflow_to_sample_mapping"]):
                position = chosen[sample]
                starts, ends = _context_offsets(encoding, window, batch["context"][position])
                cls = encoding["input_ids"][window].index(tokenizer.cls_token_id)
                first, last = _token_span(gold[position], starts, ends, cls)
                columns["example"].append(run[position])
                columns["start_positions"].append(first)
                columns["end_positions"].append(last)
                columns["offset_starts"].append(starts)
                columns["offset_ends"].append(ends)
            report["windows beyond the first"] += len(encoding["input_ids"]) - len(chosen)
        return Encoded(Dataset.from_dict(columns), {name: count for name, count in report.items() if count})

    @staticmethod
    def _questions(
        questions: list[str], tokenizer: PreTrainedTokenizerFast, settings: EncodingSettings, report: Counter[str]
    ) -> list[str]:
        """Cut questions that are too long, at a token's end, and strip spaces before them."""
        questions = [question.lstrip() for question in questions]
        cut = shortened(questions, tokenizer, settings.question_room)
        report["questions cut"] += sum(len(now) < len(before) for now, before in zip(cut, questions, strict=True))
        return cut

    @staticmethod
    def _windows(
        questions: list[str], contexts: list[str], tokenizer: PreTrainedTokenizerFast, settings: EncodingSettings
    ) -> Any:
        # The room for the question is the same for all rows, so that no row's windows depend on another's question.
        fixed = settings.question_room + tokenizer.num_special_tokens_to_add(pair=True)
        return tokenizer(
            questions,
            contexts,
            truncation="only_second",
            max_length=settings.max_length,
            stride=settings.stride(fixed),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )

    def decode(
        self,
        task: TaskSpec,
        rows: Dataset,
        encoded: Encoded,
        logits: Sequence[np.ndarray],
        settings: EncodingSettings,
    ) -> list[Answer]:
        import numpy as np

        offsets = Sequences.of(encoded.features, ("offset_starts", "offset_ends"))
        example = np.asarray(encoded.features["example"][:], dtype=np.int64)
        null = np.full(len(rows), np.inf)
        np.minimum.at(null, example, [float(values[0, 0] + values[1, 0]) for values in logits])
        best = search(logits, offsets, example, settings)
        return [
            self._answer(best.get(row), float(null[row]), context, task.unanswerable)
            for row, context in enumerate(rows["context"][:])
        ]

    @staticmethod
    def _answer(best: Best | None, null: float, context: str, unanswerable: bool) -> Answer:
        """Give the best span over all windows of a context; nothing, where the task allows it and it scores higher."""
        if best is None:
            return Answer("", 1.0)
        text = context[best.start : best.end].strip()
        if not unanswerable:
            return Answer(text, 1 / best.weight)
        nothing = (null if math.isfinite(null) else 0.0) - best.score
        over = max(nothing, 0.0)
        weight = best.weight * math.exp(-over) + math.exp(nothing - over)
        return Answer("" if nothing > 0 else text, 1 / weight, text, nothing)

    def metric_inputs(self, task: TaskSpec, rows: Dataset, answers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        ids = rows["id"][:]
        predictions = [{"id": row_id, "prediction_text": text} for row_id, text in zip(ids, answers, strict=True)]
        references = [{"id": row_id, "answers": gold} for row_id, gold in zip(ids, rows["answers"][:], strict=True)]
        if task.metric == "mlqa":  # its rules differ by language, which is that of the context
            codes = [pair_of(code)[0] for code in rows["language"][:]]
            references = [one | {"language": code} for one, code in zip(references, codes, strict=True)]
        return predictions, references


def _gold(answers: dict[str, Any], context: str) -> tuple[int, int] | None:
    """Return the first gold answer's character span, (-1, -1) for no answer, None where the text is not there."""
    if not answers["text"]:
        return (OUTSIDE, OUTSIDE)
    text, start = answers["text"][0], answers["answer_start"][0]
    inner = visible(text)
    start += text.find(inner)
    if not inner or context[start : start + len(inner)] != inner:
        return None
    return (start, start + len(inner))


def visible(text: str) -> str:
    """Return ``text`` without the spaces and the invisible signs (U+200B and others) around it: no token holds them."""
    shown = [
        place for place, sign in enumerate(text) if not sign.isspace() and unicodedata.category(sign) not in _UNSEEN
    ]
    return text[shown[0] : shown[-1] + 1] if shown else ""


def _context_offsets(encoding: Any, window: int, context: str) -> tuple[list[int], list[int]]:
    """Return start and end offsets of the context's tokens, ``OUTSIDE`` for all others.

    Combining marks that no token covers belong to the token before them: BERT's uncased tokenizers strip them, and an
    answer in Hindi would lose its last vowel.
    """
    sequence = encoding.sequence_ids(window)
    offsets = encoding["offset_mapping"][window]
    starts = [offset[0] if part == 1 else OUTSIDE for offset, part in zip(offsets, sequence, strict=True)]
    ends = [offset[1] if part == 1 else OUTSIDE for offset, part in zip(offsets, sequence, strict=True)]
    following = [*starts[1:], OUTSIDE]
    for token, end in enumerate(ends):
        if end == OUTSIDE:
            continue
        limit = following[token] if following[token] != OUTSIDE else len(context)
        while end < limit and unicodedata.category(context[end]).startswith("M"):
            end += 1
        ends[token] = end
    return starts, ends


def _token_span(gold: tuple[int, int] | None, starts: list[int], ends: list[int], cls: int) -> tuple[int, int]:
    """Return the first and last token of the answer; the CLS token twice where the window does not hold all of it."""
    context = [token for token, end in enumerate(ends) if end != OUTSIDE]
    if gold is None or gold[0] == OUTSIDE or not context:
        return (cls, cls)
    start, end = gold
    if starts[context[0]] > start or ends[context[-1]] < end:
        return (cls, cls)
    first = next(token for token in context if ends[token] > start)
    last = next(token for token in reversed(context) if starts[token] < end)
    return (first, max(first, last))
