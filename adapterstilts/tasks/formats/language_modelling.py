"""Masked-language modelling on plain text: some tokens of a text are hidden, and the model says what stood there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import BackboneError, DataFormatError
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

HIDDEN = 0.15
"""Share of the tokens that are to be found."""
MASKED, REPLACED = 0.8, 0.1
"""Shares of these that the mask, or a token drawn at random, takes the place of; the others stay as they are."""
HELD_OUT_SEED = 0
"""Seed of the masks of held-out lines, which are the same in every run."""


@dataclass(frozen=True, eq=False)
class Masking:
    """Hides tokens as BERT does (Devlin et al. 2019, https://aclanthology.org/N19-1423, section 3.1 and appendix A.1).

    Special tokens and unknown ones are not hidden, and none of them is put in a place at random.
    """

    mask: int
    """Id of the mask token."""
    special: frozenset[int]
    """Ids of special tokens."""
    ordinary: np.ndarray
    """All other ids, int64."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> Masking:
        """Return the masking for a tokenizer.

        Raises:
            BackboneError: it has no mask token.
        """
        import numpy as np

        if tokenizer.mask_token_id is None:
            raise BackboneError(
                "The backbone's tokenizer has no mask token, so it cannot learn from plain text; choose an encoder "
                "that was pretrained with masks, such as xlm-roberta-base."
            )
        special = frozenset(tokenizer.all_special_ids)
        ordinary = np.setdiff1d(np.arange(len(tokenizer)), np.array(sorted(special)))
        return cls(int(tokenizer.mask_token_id), special, ordinary)

    def places(self, ids: Sequence[int]) -> list[int]:
        """Return the positions that may be hidden."""
        return [place for place, token in enumerate(ids) if token not in self.special]

    def hide(self, ids: Sequence[int], generator: np.random.Generator) -> tuple[list[int], list[int]]:
        """Hide 15 % of the tokens of a sequence, rounded, at least one.

        Args:
            ids: token ids with at least one that may be hidden.
            generator: draws the places, and what is put there.

        Returns:
            the ids as the model sees them, and as labels those that were hidden, ``IGNORED_LABEL`` elsewhere.
        """
        places = self.places(ids)
        chosen = generator.permutation(places)[: max(1, round(HIDDEN * len(places)))]
        seen, labels = list(ids), [IGNORED_LABEL] * len(ids)
        for place, draw, other in zip(
            chosen.tolist(), generator.random(len(chosen)), generator.choice(self.ordinary, len(chosen)), strict=True
        ):
            labels[place] = seen[place]
            if draw < MASKED:
                seen[place] = self.mask
            elif draw < MASKED + REPLACED:
                seen[place] = int(other)
        return seen, labels


class LanguageModelling(Format):
    """Lines of text, long ones in windows beside each other. Logits: log-probabilities of the hidden tokens.

    Training features are whole, since the collator hides other tokens each time; those of held-out lines have fixed
    masks and ``labels``.
    """

    name = "language_modelling"

    def head(self, task: TaskSpec) -> HeadSpec:
        return HeadSpec("masked_lm", 1)

    def encode(
        self,
        task: TaskSpec,
        rows: Dataset,
        tokenizer: PreTrainedTokenizerFast,
        settings: EncodingSettings,
        *,
        training: bool,
    ) -> Encoded:
        import numpy as np
        from datasets import Dataset

        masking, generator = Masking.of(tokenizer), np.random.default_rng(HELD_OUT_SEED)
        names = [name for name in ("input_ids", "token_type_ids") if name in tokenizer.model_input_names]
        columns: dict[str, list[Any]] = {name: [] for name in ("example", *names)}
        if not training:
            columns["labels"] = []
        report: Counter[str] = Counter()
        for run in batches(len(rows)):
            texts = rows[run.start : run.stop]["text"]
            encoding = tokenizer(
                texts, truncation=True, max_length=settings.max_length, return_overflowing_tokens=True, stride=0
            )
            samples = encoding["overflow_to_sample_mapping"]
            report["windows beyond the first"] += len(samples) - len(texts)
            for window, sample in enumerate(samples):
                feature = {name: encoding[name][window] for name in input_columns(encoding)}
                if not masking.places(feature["input_ids"]):
                    report["windows without a known token"] += 1
                    continue
                if not training:
                    feature["input_ids"], feature["labels"] = masking.hide(feature["input_ids"], generator)
                for name, value in (feature | {"example": run[sample]}).items():
                    columns[name].append(value)
        if len(rows) and not columns["example"]:
            raise DataFormatError("The backbone's tokenizer knows no token of the text; give text in its scripts.")
        return Encoded(Dataset.from_dict(columns), {name: count for name, count in report.items() if count})

    def decode(
        self,
        task: TaskSpec,
        rows: Dataset,
        encoded: Encoded,
        logits: Sequence[np.ndarray],
        settings: EncodingSettings,
    ) -> list[Answer]:
        found: list[list[float]] = [[] for _ in range(len(rows))]
        for example, values in zip(encoded.features["example"], logits, strict=True):
            found[example].extend(values.tolist())
        return [Answer(values) for values in found]

    def metric_inputs(self, task: TaskSpec, rows: Dataset, answers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return list(answers), rows["text"][:]
