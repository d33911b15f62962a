"""A tag for each word. The first sub-token of a word carries its tag; long sentences are cut into windows."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import SettingsError
from adapterstilts.tasks.formats.base import (
    IGNORED_LABEL,
    Answer,
    Encoded,
    EncodingSettings,
    Format,
    HeadSpec,
    batches,
    input_columns,
)

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from adapterstilts.tasks.spec import TaskSpec

NO_WORD = -1


class Tagging(Format):
    """Words and their tags. Logits: (length, tags).

    Each word is tagged once, whatever the length of its sentence: in the window where it has most context on its
    poorer side. No word is lost to truncation.
    """

    name = "tagging"

    def head(self, task: TaskSpec) -> HeadSpec:
        return HeadSpec("tagging", len(task.labels), task.labels)

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

        columns: dict[str, list[Any]] = {"example": [], "labels": [], "words": []}
        report: Counter[str] = Counter()
        tokenizer = _for_words(tokenizer)
        special = tokenizer.num_special_tokens_to_add()
        if special >= settings.max_length:
            raise SettingsError(f"--max-length {settings.max_length} leaves no room for words.")
        for run in batches(len(rows)):
            batch = rows[run.start : run.stop]
            sentences = self._without_silent_words(batch["tokens"], tokenizer, report)
            encoding = tokenizer(
                sentences,
                is_split_into_words=True,
                truncation=True,
                max_length=settings.max_length,
                stride=settings.stride(special),
                return_overflowing_tokens=True,
            )
            for name in input_columns(encoding):
                columns.setdefault(name, []).extend(encoding[name])
            step = settings.max_length - special - settings.stride(special)
            windows: dict[int, list[int]] = {}
            for window, sample in enumerate(encoding["overflow_to_sample_mapping"]):
                windows.setdefault(sample, []).append(window)
            for sample, numbers in windows.items():
                words = place_words([encoding.word_ids(window) for window in numbers], step)
                tags = batch["tags"][sample]
                for positions in words:
                    columns["example"].append(run[sample])
                    columns["words"].append(positions)
                    columns["labels"].append([tags[word] if word != NO_WORD else IGNORED_LABEL for word in positions])
                report["sentences in windows"] += len(numbers) > 1
        return Encoded(Dataset.from_dict(columns), {name: count for name, count in report.items() if count})

    @staticmethod
    def _without_silent_words(
        sentences: list[list[str]], tokenizer: PreTrainedTokenizerFast, report: Counter[str]
    ) -> list[list[str]]:
        """Put the unknown token in the place of words that give no token at all, such as a zero-width space."""
        encoding = tokenizer(sentences, is_split_into_words=True, add_special_tokens=False)
        spoken = []
        for sample, words in enumerate(sentences):
            heard = set(encoding.word_ids(sample))
            silent = [number for number in range(len(words)) if number not in heard]
            report["words without tokens"] += len(silent)
            spoken.append([tokenizer.unk_token if number in silent else word for number, word in enumerate(words)])
        return spoken

    def decode(
        self,
        task: TaskSpec,
        rows: Dataset,
        encoded: Encoded,
        logits: Sequence[np.ndarray],
        settings: EncodingSettings,
    ) -> list[Answer]:
        answers: list[list[str]] = [[""] * len(tokens) for tokens in rows["tokens"][:]]
        features = encoded.features.select_columns(["example", "words"])[:]
        for example, words, values in zip(features["example"], features["words"], logits, strict=True):
            best = values.argmax(-1)
            for token, word in enumerate(words):
                if word != NO_WORD:
                    answers[example][word] = task.labels[int(best[token])]
        return [Answer(tags) for tags in answers]

    def metric_inputs(self, task: TaskSpec, rows: Dataset, answers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return list(answers), [[task.labels[tag] for tag in tags] for tags in rows["tags"][:]]


def _for_words(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Return the tokenizer as it must be for words given one by one: RoBERTa's then puts a space before each."""
    from tokenizers.pre_tokenizers import ByteLevel

    current = tokenizer.backend_tokenizer.pre_tokenizer
    if not isinstance(current, ByteLevel) or current.add_prefix_space:
        return tokenizer
    spaced = copy.deepcopy(tokenizer)
    state = json.loads(current.__getstate__())
    state.pop("type")
    spaced.backend_tokenizer.pre_tokenizer = ByteLevel(**{**state, "add_prefix_space": True})
    spaced.add_prefix_space = True
    return spaced


def place_words(windows: Sequence[Sequence[int | None]], step: int) -> list[list[int]]:
    """Decide for each word in which window its tag is read.

    Args:
        windows: for each window of a sentence, the word number of each token, None for special tokens.
        step: how many tokens a window starts after the one before it.

    Returns:
        for each window, a list as long as its tokens: the number of the word whose first sub-token this is and which
        is read here, else ``NO_WORD``. Each word occurs exactly once over all windows.
    """
    first: dict[int, int] = {}
    seen: dict[int, tuple[int, int, int]] = {}
    for number, words in enumerate(windows):
        tokens = [position for position, word in enumerate(words) if word is not None]
        if not tokens:
            continue
        for position in tokens:
            word = words[position]
            assert word is not None
            place = number * step + position - tokens[0]
            if first.setdefault(word, place) != place:
                continue
            room = min(position - tokens[0], tokens[-1] - position)
            if word not in seen or room > seen[word][0]:
                seen[word] = (room, number, position)
    placed = [[NO_WORD] * len(words) for words in windows]
    for word, (_, number, position) in seen.items():
        placed[number][position] = word
    return placed
