"""Extractive question answering in the manner of SQuAD: long contexts in windows, answers found by offsets.

Follows the official BERT baseline for SQuAD (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) in its windows,
its n-best search and its rule for questions without an answer.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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
from adapterstilts.tasks.languages import pair_of

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from adapterstilts.tasks.spec import TaskSpec

OUTSIDE = -1
"""Offset of tokens that are not of the context."""
_UNSEEN = ("Cf", "Cc")


@dataclass(frozen=True)
class _Candidate:
    score: float
    start: int
    end: int


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
        features = encoded.features.select_columns(["example", "offset_starts", "offset_ends"])[:]
        best: list[list[_Candidate]] = [[] for _ in range(len(rows))]
        null = [float("inf")] * len(rows)
        for example, starts, ends, values in zip(
            features["example"], features["offset_starts"], features["offset_ends"], logits, strict=True
        ):
            best[example].extend(_candidates(values, starts, ends, settings))
            null[example] = min(null[example], float(values[0, 0] + values[1, 0]))
        contexts = rows["context"][:]
        return [
            self._answer(candidates, nothing, context, settings.n_best, task.unanswerable)
            for candidates, nothing, context in zip(best, null, contexts, strict=True)
        ]

    @staticmethod
    def _answer(candidates: list[_Candidate], null: float, context: str, n_best: int, unanswerable: bool) -> Answer:
        """Pick the best span over all windows of a context; nothing, where the task allows it and it scores higher."""
        import numpy as np

        ranked = sorted(candidates, key=lambda candidate: (-candidate.score, candidate.start, candidate.end))[:n_best]
        texts = [context[candidate.start : candidate.end].strip() for candidate in ranked]
        scores = [candidate.score for candidate in ranked]
        if unanswerable or not ranked:
            texts.append("")
            scores.append(null if np.isfinite(null) else 0.0)
        order = int(np.argmax(scores))
        weights = np.exp(np.asarray(scores) - scores[order])
        probability = float(weights[order] / weights.sum())
        if not unanswerable or not ranked:
            return Answer(texts[order], probability)
        return Answer(texts[order], probability, texts[0], scores[-1] - scores[0])

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


def _candidates(logits: np.ndarray, starts: list[int], ends: list[int], settings: EncodingSettings) -> list[_Candidate]:
    """Return spans from the ``n_best`` start and end tokens of a window that are in order and not too long."""
    import numpy as np

    length = len(starts)
    context = np.flatnonzero(np.asarray(ends) != OUTSIDE)
    if not len(context):
        return []
    begin, finish = logits[0, :length][context], logits[1, :length][context]
    top = min(settings.n_best, len(context))
    first = np.argsort(-begin, kind="stable")[:top]
    last = np.argsort(-finish, kind="stable")[:top]
    span = last[None, :] - first[:, None]
    rows, columns = np.nonzero((span >= 0) & (span < settings.max_answer_length))
    scores = begin[first[rows]] + finish[last[columns]]
    keep = np.argsort(-scores, kind="stable")[: settings.n_best]
    return [
        _Candidate(
            float(scores[index]),
            starts[int(context[first[rows[index]]])],
            ends[int(context[last[columns[index]]])],
        )
        for index in keep
    ]
