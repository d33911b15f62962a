"""F1 over chunks of tags (named entities in BIO, parts of speech in the way XTREME scores them), and token accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import eq

import datasets
import numpy as np

from adapterstilts.errors import DataFormatError
from adapterstilts.evaluation.metrics.base import ExampleMetric, Examples, percent

Chunk = tuple[str, int, int]
"""Type, first and last position; positions count through the corpus, with one free place after each sentence."""


def chunks_by_sentence(sentences: Iterable[Sequence[str]]) -> list[set[Chunk]]:
    """Return the chunks that end in each sentence: the rules of ``seqeval`` 1.2.2 in its default mode.

    The rules are those of conlleval: the first character of a tag says where in a chunk the token stands, the rest
    (without its first hyphen, if it begins with one) is the type; chunks begin and end at a B or S, after an E or S,
    at an O and where the type changes. As in ``seqeval.metrics.sequence_labeling.get_entities``, the sentences are
    one long sequence with an O after each.

    Raises:
        DataFormatError: if a tag is empty or no string.
    """
    found = []
    before, before_kind, begin, offset = "O", "", 0, 0
    for sentence in sentences:
        ended: set[Chunk] = set()
        for position, tag in enumerate([*sentence, "O"], start=offset):
            place, kind = _split(tag)
            changed = before_kind != kind
            if before in "ES" or (before in "BI" and place in "BSO") or (changed and before not in "O."):
                ended.add((before_kind, begin, position - 1))
            if place in "BS" or (before in "ESO" and place in "EI") or (changed and place not in "O."):
                begin = position
            before, before_kind = place, kind
        offset = position + 1
        found.append(ended)
    return found


@lru_cache(maxsize=4096)
def _split(tag: str) -> tuple[str, str]:
    if not isinstance(tag, str) or not tag:
        raise DataFormatError(f"A tag is a string of at least one character, not {tag!r}.")
    return tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"


class _ChunkMetric(ExampleMetric):
    statistic_names: tuple[str, ...] = ("examples", "matched", "predicted", "gold", "correct_tokens", "tokens")
    main = "f1"

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return (1, matched, predicted and gold chunks, correct tokens, tokens) of each sentence, shape (examples, 6).

        Raises:
            DataFormatError: if a sentence has not as many predicted as gold tags, or a tag is empty.
        """
        self.check_pairs(predictions, references)
        rows = [
            (1, len(found & wanted), len(found), len(wanted), sum(map(eq, tags, gold_tags)), len(gold_tags))
            for tags, gold_tags, found, wanted in zip(
                predictions, references, chunks_by_sentence(predictions), chunks_by_sentence(references), strict=True
            )
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, len(self.statistic_names))

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return ``score_names`` in percent, from sums of shape (..., 6)."""
        _, matched, predicted, gold, correct_tokens, tokens = np.moveaxis(np.asarray(totals), -1, 0)
        every_score = {
            "f1": percent(2 * matched, predicted + gold),
            "precision": percent(matched, predicted),
            "recall": percent(matched, gold),
            "token_accuracy": percent(correct_tokens, tokens),
        }
        return {name: every_score[name] for name in self.score_names}

    def features_of_inputs(self) -> datasets.Features:
        """Return a list of tags on both sides."""
        tags = datasets.Sequence(datasets.Value("string"))
        return datasets.Features({"predictions": tags, "references": tags})

    def check_pairs(self, predictions: Examples, references: Examples) -> None:
        """Raise DataFormatError if a sentence is missing, is no list of tags, or has not one predicted tag a token."""
        super().check_pairs(predictions, references)
        for number, (tags, gold_tags) in enumerate(zip(predictions, references, strict=True), start=1):
            if isinstance(tags, str) or isinstance(gold_tags, str):
                raise DataFormatError(f"Sentence {number} is a string; a list of tags is needed.")
            if len(tags) != len(gold_tags):
                raise DataFormatError(
                    f"Sentence {number} (counted from 1) has {len(tags)} predicted tags for {len(gold_tags)} tokens."
                )


class TokenAccuracy(_ChunkMetric):
    """Percentage of the words whose tag is right, as jiant scores CCG supertagging.

    A prediction and a reference are each the list of the tags of one sentence.
    """

    statistic_names = ("examples", "correct_tokens", "tokens")
    main = "token_accuracy"
    score_names = ("token_accuracy",)

    def statistics(self, predictions: Examples, references: Examples) -> np.ndarray:
        """Return (1, correct tokens, tokens) of each sentence, shape (examples, 3).

        Raises:
            DataFormatError: if a sentence has not as many predicted as gold tags.
        """
        self.check_pairs(predictions, references)
        rows = [(1, sum(map(eq, tags, gold)), len(gold)) for tags, gold in zip(predictions, references, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, len(self.statistic_names))

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return the accuracy in percent from sums of shape (..., 3)."""
        _, correct_tokens, tokens = np.moveaxis(np.asarray(totals), -1, 0)
        return {"token_accuracy": percent(correct_tokens, tokens)}


class EntityF1(_ChunkMetric):
    """F1, precision and recall of named entities in BIO tags, with token accuracy, in percent.

    Equal to ``f1_score``, ``precision_score``, ``recall_score`` and ``accuracy_score`` of ``seqeval.metrics`` 1.2.2
    with their default arguments (micro average, the lenient mode that agrees with conlleval), times 100, as in
    XTREME's ``evaluate.py`` for PAN-X. An I- that continues nothing begins an entity. Where ``seqeval`` warns and
    gives 0 for 0/0, 0 is given; where it raises (no sentences, no tokens), 0 is given too.

    A prediction and a reference are each the list of the tags of one sentence.
    """

    score_names = ("f1", "precision", "recall", "token_accuracy")
    citation = "Tjong Kim Sang & De Meulder 2003; Nakayama 2018 (seqeval)"


class PosF1(_ChunkMetric):
    """F1 of bare Universal Dependencies tags as XTREME's ``evaluate.py`` computes it for UDPOS, and token accuracy.

    XTREME gives bare tags ("NOUN") to ``seqeval.metrics.f1_score``, so the F1 is over chunks and is not the token
    accuracy. This equals version 1.2.2 with default arguments, times 100, including what follows from reading bare
    tags as chunk tags:

    - the first character is taken off: SCONJ and CCONJ are both of type "CONJ", DET is "ET", X is "_";
    - neighbouring equal tags are one chunk, right only as a whole; but SCONJ and SYM, which begin with S (single),
      are chunks of one token;
    - CCONJ before SCONJ is lost, since the type does not change;
    - X is of the type that O has ("_"). So an X (or a run of them) at the end of a sentence is no chunk; and at the
      beginning of any sentence but the first it opens none, so that its chunk is reported to have begun where the
      last opened chunk did, which may be in an earlier sentence.

    Because of the last point the row of a sentence that begins with X depends on the sentences before it. The rows
    sum up exactly to the corpus score of the given order; any other sentence has the same row in every order. Give
    the sentences of a language in one call.

    A prediction and a reference are each the list of the tags of one sentence.
    """

    score_names = ("f1", "token_accuracy")
    citation = "Hu et al. 2020, arXiv 2003.11080 (XTREME); Nakayama 2018 (seqeval)"
