"""Pretraining text as token ids, and the batches that are drawn from it."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.lab.corpus import Document, documents, switched_text, text, text_with_meanings
from adapterstilts.lab.languages import LANGUAGES, Language
from adapterstilts.lab.settings import PretrainingSettings
from adapterstilts.lab.tokenizer import MAX_LENGTH, train_tokenizer
from adapterstilts.lab.words import letters
from adapterstilts.progress import Reporter

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from transformers import XLMRobertaTokenizerFast

#: Tokens of a row of running text, and most pieces of a parallel text.
ROW, PIECES = 160, 60


@dataclass
class Corpus:
    """Pretraining text as token ids."""

    running: np.ndarray
    """Documents of all languages in random order, shape (rows, ROW). A row begins with the beginning of a document; one
    that is cut off by the end of a row stands whole in the next, unless it is longer than a row."""
    parallel: np.ndarray
    """Ids of all parallel texts without special tokens, one after the other: the first text in all languages, the
    second in all languages, and so on."""
    meanings: np.ndarray
    """For each of these ids the number of the concept of its word; 0 where the text has the concept more than once, and
    for punctuation. Words of two languages with the same number in the same text are translations."""
    ends: np.ndarray
    """Where each text ends."""
    languages: int
    """Number of languages."""

    @property
    def texts(self) -> int:
        """Number of parallel texts."""
        return len(self.ends) // self.languages

    def version(self, number: int, language: int) -> tuple[list[int], list[int]]:
        """Return the ids of a parallel text in a language, and the numbers of their concepts."""
        at = number * self.languages + language
        here = slice(self.ends[at - 1] if at else 0, self.ends[at])
        return self.parallel[here].tolist(), self.meanings[here].tolist()


def seen_languages() -> list[Language]:
    """Return the languages that the pico XLM-R reads."""
    return [language for language in LANGUAGES.values() if language.seen]


def make_corpus(settings: PretrainingSettings, reporter: Reporter) -> tuple[XLMRobertaTokenizerFast, Corpus]:
    """Write the text, train the tokenizer on a part of it, and turn all of it into ids."""
    import numpy as np

    languages = seen_languages()
    pool = list(itertools.islice(documents(f"corpus {settings.seed}"), settings.documents * 3))
    shared = [document[:2] for document in pool[: settings.pairs]]
    reporter.begin("Writing the text", len(languages))
    texts: dict[str, list[str]] = {}
    parallel: dict[str, list[tuple[str, list[tuple[int, int, str]]]]] = {}
    for done, language in enumerate(languages, start=1):
        rng = random.Random(f"share {settings.seed} {language.code}")
        mine = rng.sample(pool[settings.pairs :], min(settings.documents, len(pool) - settings.pairs))
        texts[language.code] = [_written(document, language, languages, settings, rng) for document in mine]
        parallel[language.code] = [text_with_meanings(document, language) for document in shared]
        reporter.advance(done)
    reporter.end()
    part = [line for lines in texts.values() for line in lines[:1500]]
    tokenizer = train_tokenizer(part, settings.vocabulary, letters())
    lines = [line for lines in texts.values() for line in lines]
    random.Random(f"order {settings.seed}").shuffle(lines)
    ids_of_lines = tokenizer(lines, add_special_tokens=False)["input_ids"]
    rows = list(_rows(ids_of_lines, tokenizer.bos_token_id, tokenizer.eos_token_id))
    numbers: dict[str, int] = {}
    encoded = [_with_meanings(parallel.pop(language.code), tokenizer, numbers) for language in languages]
    versions = list(itertools.chain.from_iterable(zip(*encoded, strict=True)))
    ends = np.cumsum([len(ids) for ids, _ in versions])
    ids, meanings = (
        np.fromiter(itertools.chain.from_iterable(version[part] for version in versions), np.int32, count=int(ends[-1]))
        for part in (0, 1)
    )
    return tokenizer, Corpus(np.asarray(rows, dtype=np.int32), ids, meanings, ends, len(languages))


def _rows(texts: Iterable[list[int]], begin: int, end: int) -> Iterator[list[int]]:
    """Yield rows of ``ROW`` tokens of texts, each text closed by ``end``."""
    row = [begin]
    for ids in texts:
        row += [*ids, end]
        if len(row) >= ROW:
            yield row[:ROW]
            row = [begin] if len(row) == ROW or len(ids) > ROW - 2 else [begin, *ids, end]


def _with_meanings(
    texts: list[tuple[str, list[tuple[int, int, str]]]], tokenizer: Any, numbers: dict[str, int]
) -> list[tuple[list[int], list[int]]]:
    """Return the ids of texts, and for each the number of its word's concept, which ``numbers`` gives and learns."""
    encoded = tokenizer([said for said, _ in texts], add_special_tokens=False, return_offsets_mapping=True)
    found = []
    for (said, words), ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        times = Counter(concept for _, _, concept in words)
        at = [0] * (len(said) + 1)
        for start, end, concept in words:
            if times[concept] == 1:
                at[start:end] = [numbers.setdefault(concept, len(numbers) + 1)] * (end - start)
        found.append((ids, [at[end - 1] for _, end in offsets]))
    return found


def _written(
    document: Document, language: Language, languages: list[Language], settings: PretrainingSettings, rng: random.Random
) -> str:
    if rng.random() < settings.switched:
        return switched_text(document, language, rng.choice(languages), settings.switched_words, rng)
    return text(document, language)


def kept_corpus(
    settings: PretrainingSettings, folder: Path, reporter: Reporter
) -> tuple[XLMRobertaTokenizerFast, Corpus]:
    """Return the text of a run, made at its beginning and kept in its folder."""
    import numpy as np
    from transformers import XLMRobertaTokenizerFast

    file = folder / "corpus.npz"
    if file.exists():
        with np.load(file) as kept:
            corpus = Corpus(kept["running"], kept["parallel"], kept["meanings"], kept["ends"], int(kept["languages"]))
        return XLMRobertaTokenizerFast.from_pretrained(folder / "tokenizer"), corpus
    tokenizer, corpus = make_corpus(settings, reporter)
    tokenizer.save_pretrained(folder / "tokenizer")
    new = folder / "corpus.new.npz"
    np.savez(new, **vars(corpus))
    new.replace(file)
    return tokenizer, corpus


class Batches:
    """Batches of running and of parallel text; the same for the same seed and step, wherever a run begins."""

    def __init__(self, corpus: Corpus, settings: PretrainingSettings, tokenizer: Any) -> None:
        self.corpus = corpus
        self.settings = settings
        self.vocabulary = len(tokenizer)
        self.mask = tokenizer.mask_token_id

    def at(self, step: int) -> dict[str, Tensor]:
        """Return the batch of a step: ``ids``, ``attention``, ``labels`` (-100 where not masked); pairs also have
        the two texts alone, ``first``, ``first_attention``, ``second``, ``second_attention``, and what ``translations``
        returns: ``first_words``, ``second_words``, ``concepts``.
        """
        import numpy as np
        import torch

        rng = np.random.default_rng((self.settings.seed, step))
        if rng.random() < self.settings.parallel_share:
            return self._pairs(rng)
        rows = self.corpus.running[rng.integers(len(self.corpus.running), size=max(1, self.settings.tokens // ROW))]
        ids = torch.from_numpy(rows.astype(np.int64))
        return self._masked(ids, torch.ones_like(ids), rng)

    def _pairs(self, rng: np.random.Generator) -> dict[str, Tensor]:
        texts = rng.integers(self.corpus.texts, size=self.settings.pair_batch)
        sides: tuple[list[list[int]], list[list[int]]] = ([], [])
        meant: tuple[list[list[int]], list[list[int]]] = ([], [])
        for index in texts:
            a, b = rng.choice(self.corpus.languages, size=2, replace=False)
            if rng.random() < 0.5 and b != 0:  # half of the pairs are with the source, as parallel text is found
                a = 0
            for side, language in enumerate((a, b)):
                pieces, meanings = self.corpus.version(index, language)
                sides[side].append([0, *pieces[:PIECES], 2])
                meant[side].append([0, *meanings[:PIECES], 0])
        ids, attention = _pad([[*first, 2, *second[1:]] for first, second in zip(*sides, strict=True)])
        batch = self._masked(ids, attention, rng)
        batch["first"], batch["first_attention"] = _pad(sides[0])
        batch["second"], batch["second_attention"] = _pad(sides[1])
        batch["first_words"], batch["second_words"], batch["concepts"] = translations(*meant)
        return batch

    def _masked(self, ids: Tensor, attention: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        """Mask as BERT does (Devlin et al. 2019): 80 % become the mask, 10 % any piece, 10 % stay."""
        import torch

        chosen = torch.from_numpy(rng.random(ids.shape) < self.settings.mask_rate) & (ids > 3)
        what = torch.from_numpy(rng.random(ids.shape))
        other = torch.from_numpy(rng.integers(4, self.vocabulary - 1, size=ids.shape))
        masked = torch.where(chosen & (what < 0.8), torch.full_like(ids, self.mask), ids)
        masked = torch.where(chosen & (what >= 0.9), other, masked)
        labels = torch.where(chosen, ids, torch.full_like(ids, -100))
        return {"ids": masked, "attention": attention, "labels": labels}


def translations(first: list[list[int]], second: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Number the words that stand on both sides of a pair.

    Args:
        first: for each pair the concepts of the pieces of its one side, 0 for none.
        second: those of its other side.

    Returns:
        the number of each piece's word on the two sides, -1 where the word has no translation on the other side or
        where nothing stands, shapes (pairs, length); and the concept of each number.
    """
    import torch

    numbers = {
        (pair, concept): None
        for pair, (one, other) in enumerate(zip(first, second, strict=True))
        for concept in sorted(set(one) & set(other) - {0})
    }
    at = {key: number for number, key in enumerate(numbers)}
    sides = []
    for rows in (first, second):
        longest = max(map(len, rows))
        sides.append(
            torch.tensor(
                [
                    [at.get((pair, concept), -1) for concept in (*row, *[0] * (longest - len(row)))]
                    for pair, row in enumerate(rows)
                ]
            )
        )
    return sides[0], sides[1], torch.tensor([concept for _, concept in numbers])


def _pad(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[1] * (longest - len(row))] for row in rows])
    return ids, (ids != 1).long()


def batches_of(texts: list[list[int]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield padded batches of texts without special tokens."""
    for start in range(0, len(texts), size):
        yield _pad([[0, *ids[: MAX_LENGTH - 2], 2] for ids in texts[start : start + size]])
