"""Exact match and F1 of MLQA, whose script knows articles, punctuation and words of seven languages."""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import datasets

from adapterstilts.errors import DataFormatError
from adapterstilts.evaluation.metrics.squad import KEPT_TEXTS, SquadMetric, word_f1

#: What the script takes out after punctuation; Hindi and Chinese have no articles. Its Arabic pattern takes out every
#: "al", also within words, and is followed in that.
_ARTICLES = {
    "ar": r"ال",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "hi": "",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "zh": "",
}
#: Codes for private use, which the lab's languages have; the pattern of English articles would be no rule of theirs.
_PRIVATE = re.compile("q[a-t][a-z]")
_HAN = re.compile("([\u4e00-\u9fa5])")


@lru_cache(maxsize=KEPT_TEXTS)
def normalize_mlqa(text: str, language: str) -> str:
    """Return ``text`` in lower case, without punctuation of any script and articles, with single spaces.

    In Chinese each character between U+4E00 and U+9FA5 becomes a word of its own. Nothing is an article in languages
    with a code for private use, such as the lab's.

    Raises:
        DataFormatError: MLQA has no such language.
    """
    articles = "" if _PRIVATE.fullmatch(language) else _ARTICLES.get(language)
    if articles is None:
        raise DataFormatError(f"MLQA has no rules for the language '{language}'; it has {', '.join(_ARTICLES)}.")
    text = text.lower().translate(_punctuation())
    if articles:
        text = re.sub(articles, " ", text)
    if language == "zh":
        text = _HAN.sub(r" \1 ", text)
    return " ".join(text.split())


@lru_cache(maxsize=1)
def _punctuation() -> dict[int, None]:
    """Return a table that takes out Unicode punctuation, and ASCII's symbols with it."""
    marks = (code for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("P"))
    return dict.fromkeys([*marks, *map(ord, string.punctuation)])


class MlqaMetric(SquadMetric):
    """Mean F1 and exact match over questions, in percent, as MLQA's own ``mlqa_evaluation_v1.py`` computes them.

    The script is told one language, that of the answers; here each reference has its own:
    ``{"id": str, "language": str, "answers": {"text": [str], "answer_start": [int]}}``. A prediction is as for
    ``SquadMetric``. Missing predictions, which the script scores as 0, are an error.

    Lewis et al. 2020, arXiv 1910.07475.
    """

    citation = "Lewis et al. 2020, arXiv 1910.07475"

    def statistics_of(self, prediction: str, reference: Any) -> tuple[float, ...]:
        """Return (1, F1, exact match) of one question."""
        golds: Sequence[str] = reference["answers"]["text"]
        if not golds:
            raise DataFormatError(f"The question {reference['id']!r} has no gold answer; MLQA has no such questions.")
        language = reference["language"]
        said = normalize_mlqa(prediction, language)
        wanted = [normalize_mlqa(gold, language) for gold in golds]
        return (1.0, max(word_f1(said.split(), gold.split()) for gold in wanted), float(said in wanted))

    def features_of_inputs(self) -> datasets.Features:
        """Return the columns of SQuAD's metric, and the language beside each reference."""
        features = super().features_of_inputs()
        features["references"]["language"] = datasets.Value("string")
        return features
