"""Do gold answers come back from token ids? XQuAD, MLQA, TyDiQA and SQuAD in a mirror, in every language.

    python benchmarks/answer_offsets.py --list 20

``make real`` runs it with the rest. Each answer is encoded and decoded with logits that are sure of it, with the
tokenizer of a backbone, and with one in the manner of XLM-R: SentencePiece (Unigram), trained on the mirror's contexts.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterstilts.data.rows import Rows, load_rows
from adapterstilts.errors import AdapterStiltsError
from adapterstilts.studies.answer_offsets import AnswersBack, answers_back
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.training.recipes import recipe_settings

SPLITS = (
    ("xquad", "test"),
    ("mlqa", "validation"),
    ("mlqa", "test"),
    ("tydiqa", "test"),
    ("squad", "validation"),
    ("squad2", "validation"),
)
SENTENCEPIECE = "SentencePiece"
VOCABULARY, CONTEXTS = 8000, 100
BAR = 99.5


@dataclass(frozen=True)
class Told:
    """What a language of a task gave, with one tokenizer."""

    tokenizer: str
    task: str
    split: str
    language: str
    back: AnswersBack

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and by its id each question whose answer does not come back letter by letter."""
        lost = [{"id": one.id, "reason": one.reason, "scored_right": one.scored_right} for one in self.back.lost]
        return {
            **{name: getattr(self, name) for name in ("tokenizer", "task", "split", "language")},
            "questions": self.back.questions,
            "exact": round(self.back.exact, 2),
            "scored": round(self.back.scored, 2),
            "whole_words": round(self.back.whole_words, 2),
            "too_long": self.back.too_long,
            "reasons": dict(self.back.reasons),
            "lost": lost,
        }


def questions(root: str) -> list[Rows]:
    """Load the questions that the mirror has."""
    found = []
    for name, split in SPLITS:
        try:
            found.append(load_rows(get_task(name), split, root=Path(root)))
        except AdapterStiltsError as error:
            print(f"{name}, {split}: {error}")
    return found


def sentencepiece_tokenizer(found: Sequence[Rows]) -> Any:
    """Train a tokenizer as XLM-R's on some contexts of each language; punctuation may stand in one piece with words."""
    from tokenizers.pre_tokenizers import Metaspace

    from adapterstilts.lab.tokenizer import train_tokenizer

    texts: list[str] = []
    for rows in found:
        for language in rows.languages:
            contexts = dict.fromkeys(rows.table.select(rows.of_language(language))["context"])
            texts += list(contexts)[:CONTEXTS]
    tokenizer = train_tokenizer((line for text in texts for line in text.splitlines()), VOCABULARY)
    tokenizer.backend_tokenizer.pre_tokenizer = Metaspace()
    return tokenizer


def back(root: str, backbone: str) -> list[Told]:
    """Encode and decode every question of the mirror with both tokenizers."""
    from adapterstilts.models.backbone import load_backbone

    found = questions(root)
    if not found:
        return []
    told = []
    for name, tokenizer in (
        (backbone, load_backbone(backbone).tokenizer),
        (SENTENCEPIECE, sentencepiece_tokenizer(found)),
    ):
        for rows in found:
            for code, one in answers_back(rows, tokenizer, recipe_settings(rows.task).encoding).items():
                told.append(Told(name, rows.task.name, rows.split, code, one))
    return told


def report_lines(told: Sequence[Told]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "## Gold answers, to token ids and back"
    yield ""
    yield (
        "Share of the questions whose answer comes back letter by letter (exact); as the task's metric reads it, "
        "without punctuation, say (scored); and the latter where the data do not cut a word, since a part of a token "
        "is no answer that a model could give (whole words). Then, how many answers have more than the 30 tokens that "
        "an answer may have, here as in XTREME's scripts. `real.json` names each question that is not exact, with the "
        "reason; `python benchmarks/answer_offsets.py --list 1000` shows what was asked for and what came back."
    )
    yield ""
    yield (
        "| tokenizer | task | split | language | questions | exact | scored | whole words | longer than 30 "
        "| not exact, by reason |"
    )
    yield "|---|---|---|---|---:|---:|---:|---:|---:|---|"
    for one in told:
        reasons = ", ".join(f"{count} {reason}" for reason, count in one.back.reasons.items())
        whole = f"{one.back.whole_words:.2f}"
        whole = whole if one.back.whole_words >= BAR else f"**{whole}**"
        yield (
            f"| {one.tokenizer} | {one.task} | {one.split} | {one.language} | {one.back.questions} "
            f"| {one.back.exact:.2f} | {one.back.scored:.2f} | {whole} "
            f"| {100 * one.back.too_long / one.back.questions:.1f} % | {reasons} |"
        )


def main() -> None:
    """Print the table, and the questions that are lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default=os.environ.get("ADAPTERSTILTS_DATA_ROOT"))
    parser.add_argument("--backbone", default="minilm-l6")
    parser.add_argument("--list", type=int, default=5, help="lost questions shown of each language")
    given = parser.parse_args()
    if not given.data_root:
        parser.error("give --data-root, or set ADAPTERSTILTS_DATA_ROOT, to a mirror of the Hub (README.md)")
    told = back(given.data_root, given.backbone)
    print("\n".join(report_lines(told)))
    for one in told:
        for lost in [lost for lost in one.back.lost if not lost.scored_right][: given.list]:
            print(f"{one.tokenizer}, {one.task} {one.language}, {lost.id}: {lost.reason}")
            print(f"  gold    {lost.gold!r}\n  decoded {lost.decoded!r}")


if __name__ == "__main__":
    main()
