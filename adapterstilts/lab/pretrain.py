"""How the pico XLM-R is made: masked words, parallel pairs, and a contrastive term on the pairs.

The objectives are those of XLM (Conneau and Lample 2019, https://arxiv.org/abs/1901.07291: MLM, and TLM on pairs) and
of InfoXLM (Chi et al. 2021, https://arxiv.org/abs/2007.07834: InfoNCE between the two sentences of a pair).
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import SettingsError
from adapterstilts.fingerprints import fingerprint
from adapterstilts.lab.corpus import Document, documents, switched_text, text
from adapterstilts.lab.languages import LANGUAGES, Language
from adapterstilts.lab.tokenizer import MAX_LENGTH, train_tokenizer
from adapterstilts.progress import Reporter

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from transformers import XLMRobertaForMaskedLM, XLMRobertaTokenizerFast

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainingSettings:
    """All that the pico XLM-R depends on."""

    seed: int = field(default=0, metadata={"help": "Seed of text, weights and order."})
    layers: int = field(default=4, metadata={"help": "Number of layers."})
    width: int = field(default=192, metadata={"help": "Hidden size."})
    heads: int = field(default=6, metadata={"help": "Attention heads."})
    vocabulary: int = field(default=6000, metadata={"help": "Pieces of the tokenizer."})
    documents: int = field(default=12_000, metadata={"help": "Documents of a language."})
    pairs: int = field(default=16_000, metadata={"help": "Texts that are there in all languages."})
    steps: int = field(default=6_000, metadata={"help": "Optimiser steps."})
    tokens: int = field(default=8192, metadata={"help": "Tokens of a batch of running text."})
    pair_batch: int = field(default=96, metadata={"help": "Pairs of a batch of parallel text."})
    switched: float = field(default=0.4, metadata={"help": "Share of the documents with words of another language."})
    switched_words: float = field(default=0.4, metadata={"help": "Share of the content words there that are."})
    mask_rate: float = field(default=0.2, metadata={"help": "Share of the tokens that is masked."})
    parallel_share: float = field(default=0.4, metadata={"help": "Share of the batches that are parallel text."})
    contrastive: float = field(default=0.5, metadata={"help": "Weight of the contrastive term on parallel text."})
    contrastive_from: float = field(default=0.0, metadata={"help": "Share of the steps before the contrastive term."})
    contrastive_layer: int = field(default=3, metadata={"help": "Layer whose mean the contrastive term takes."})
    temperature: float = field(default=0.05, metadata={"help": "Temperature of the contrastive term."})
    learning_rate: float = field(default=1e-3, metadata={"help": "Highest learning rate."})
    warmup: float = field(default=0.05, metadata={"help": "Share of the steps in which the learning rate rises."})
    weight_decay: float = field(default=0.01, metadata={"help": "Decoupled weight decay of matrices."})
    checkpoint_every: int = field(default=500, metadata={"help": "Steps between checkpoints."})

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "documents", "pairs", "steps", "tokens", "pair_batch"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("mask_rate", "switched", "switched_words", "parallel_share", "contrastive_from", "warmup"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise SettingsError(f"{name} is a share from 0 to 1, not {getattr(self, name)}.")
        if self.width % self.heads:
            raise SettingsError(f"The width ({self.width}) must be a multiple of the heads ({self.heads}).")
        if not 1 <= self.contrastive_layer <= self.layers:
            raise SettingsError(f"contrastive_layer must be from 1 to {self.layers}, not {self.contrastive_layer}.")


@dataclass
class Corpus:
    """Pretraining text as token ids."""

    running: np.ndarray
    """Documents of all languages, in random order, cut into rows of ``ROW`` tokens. Shape (rows, ROW)."""
    parallel: np.ndarray
    """Ids of all parallel texts without special tokens, one after the other: the first text in all languages, the
    second in all languages, and so on."""
    ends: np.ndarray
    """Where each of these ends."""
    languages: int
    """Number of languages."""

    @property
    def texts(self) -> int:
        """Number of parallel texts."""
        return len(self.ends) // self.languages

    def version(self, number: int, language: int) -> list[int]:
        """Return the ids of a parallel text in a language."""
        at = number * self.languages + language
        return self.parallel[(self.ends[at - 1] if at else 0) : self.ends[at]].tolist()


ROW = 128


def seen_languages() -> list[Language]:
    """Return the languages that the pico XLM-R reads."""
    return [language for language in LANGUAGES.values() if language.seen]


def make_corpus(settings: PretrainingSettings, reporter: Reporter) -> tuple[XLMRobertaTokenizerFast, Corpus]:
    """Write the text, train the tokenizer on a part of it, and turn all of it into ids."""
    import numpy as np

    languages = seen_languages()
    pool = list(itertools.islice(documents(f"corpus {settings.seed}"), settings.documents * 3))
    shared = [_short(document) for document in pool[: settings.pairs]]
    reporter.begin("Writing the text", len(languages))
    texts: dict[str, list[str]] = {}
    parallel: dict[str, list[str]] = {}
    for done, language in enumerate(languages, start=1):
        rng = random.Random(f"share {settings.seed} {language.code}")
        mine = rng.sample(pool[settings.pairs :], min(settings.documents, len(pool) - settings.pairs))
        texts[language.code] = [_written(document, language, languages, settings, rng) for document in mine]
        parallel[language.code] = [text(document, language) for document in shared]
        reporter.advance(done)
    reporter.end()
    part = [line for lines in texts.values() for line in lines[:1500]]
    tokenizer = train_tokenizer(part, settings.vocabulary)
    lines = [line for lines in texts.values() for line in lines]
    random.Random(f"order {settings.seed}").shuffle(lines)
    stream: list[int] = []
    rows: list[list[int]] = []
    for ids in tokenizer(lines, add_special_tokens=False)["input_ids"]:
        stream += [*ids, tokenizer.eos_token_id]
        while len(stream) >= ROW - 1:
            rows.append([tokenizer.bos_token_id, *stream[: ROW - 1]])
            stream = stream[ROW - 1 :]
    encoded = [tokenizer(parallel[language.code], add_special_tokens=False)["input_ids"] for language in languages]
    flat = [ids for versions in zip(*encoded, strict=True) for ids in versions]
    ends = np.cumsum([len(ids) for ids in flat])
    ids = np.fromiter(itertools.chain.from_iterable(flat), dtype=np.int32, count=int(ends[-1]))
    return tokenizer, Corpus(np.asarray(rows, dtype=np.int32), ids, ends, len(languages))


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
            corpus = Corpus(kept["running"], kept["parallel"], kept["ends"], int(kept["languages"]))
        return XLMRobertaTokenizerFast.from_pretrained(folder / "tokenizer"), corpus
    tokenizer, corpus = make_corpus(settings, reporter)
    tokenizer.save_pretrained(folder / "tokenizer")
    new = folder / "corpus.new.npz"
    np.savez(
        new, running=corpus.running, parallel=corpus.parallel, ends=corpus.ends, languages=np.int64(corpus.languages)
    )
    new.replace(file)
    return tokenizer, corpus


def _short(document: Document) -> Document:
    return document[:2]


def new_model(settings: PretrainingSettings, vocabulary: int) -> XLMRobertaForMaskedLM:
    """Make an XLM-R of the given size with random weights."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    torch.manual_seed(settings.seed)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.width,
        max_position_embeddings=MAX_LENGTH + 2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    return XLMRobertaForMaskedLM(config)


class Batches:
    """Batches of running and of parallel text; the same for the same seed and step, wherever a run begins."""

    def __init__(self, corpus: Corpus, settings: PretrainingSettings, tokenizer: Any) -> None:
        self.corpus = corpus
        self.settings = settings
        self.vocabulary = len(tokenizer)
        self.mask = tokenizer.mask_token_id

    def at(self, step: int) -> dict[str, Tensor]:
        """Return the batch of a step: ``ids``, ``attention``, ``labels`` (-100 where not masked); pairs also have
        the two sentences alone: ``first``, ``first_attention``, ``second``, ``second_attention``.
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
        import torch

        texts = rng.integers(self.corpus.texts, size=self.settings.pair_batch)
        firsts, seconds, joined = [], [], []
        for index in texts:
            a, b = rng.choice(self.corpus.languages, size=2, replace=False)
            if rng.random() < 0.5 and b != 0:  # half of the pairs are with the source, as parallel text is found
                a = 0
            first, second = self.corpus.version(index, a)[:60], self.corpus.version(index, b)[:60]
            firsts.append([0, *first, 2])
            seconds.append([0, *second, 2])
            joined.append([0, *first, 2, 2, *second, 2])
        ids, attention = _pad(joined)
        batch = self._masked(ids, attention, rng)
        batch["first"], batch["first_attention"] = _pad(firsts)
        batch["second"], batch["second_attention"] = _pad(seconds)
        batch["texts"] = torch.from_numpy(texts)
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


def _pad(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[1] * (longest - len(row))] for row in rows])
    return ids, (ids != 1).long()


def loss_of(
    model: XLMRobertaForMaskedLM, batch: dict[str, Tensor], settings: PretrainingSettings, weight: float
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of a batch and its parts.

    Logits are worked out at masked positions alone. ``weight`` is that of the contrastive term.
    """
    import torch
    from torch.nn import functional

    padded = batch["attention"] if not bool(batch["attention"].all()) else None
    hidden = model.roberta(batch["ids"], attention_mask=padded).last_hidden_state
    at = batch["labels"] != -100
    masked = functional.cross_entropy(model.lm_head(hidden[at]).float(), batch["labels"][at])
    parts = {"mlm" if "first" not in batch else "tlm": float(masked.detach())}
    if "first" not in batch or not weight:
        return masked, parts
    vectors = []
    for side in ("first", "second"):
        states = model.roberta(
            batch[side], attention_mask=batch[f"{side}_attention"], output_hidden_states=True
        ).hidden_states[settings.contrastive_layer]
        vectors.append(functional.normalize(mean_of(states, batch[f"{side}_attention"]).float(), dim=-1))
    scores = vectors[0] @ vectors[1].T / settings.temperature
    right = torch.arange(len(scores))
    contrast = (functional.cross_entropy(scores, right) + functional.cross_entropy(scores.T, right)) / 2
    parts["contrast"] = float(contrast.detach())
    return masked + weight * contrast, parts


def mean_of(states: Tensor, attention: Tensor) -> Tensor:
    """Return the mean state over the tokens that are there. Shapes (batch, length, width), (batch, length)."""
    mask = attention.unsqueeze(-1).to(states.dtype)
    return (states * mask).sum(1) / mask.sum(1)


def pretrain(settings: PretrainingSettings, folder: Path, reporter: Reporter | None = None) -> Path:
    """Make the pico XLM-R, or go on where an interrupted run left off.

    Args:
        settings: all it depends on.
        folder: gets ``model`` when all is done, and ``checkpoint.pt`` and ``log.jsonl`` on the way.
        reporter: told of the progress.

    Returns:
        The folder of the model, in the layout that transformers reads; weights in half precision.

    Raises:
        SettingsError: the folder holds a run with other settings.
    """
    import torch

    reporter = reporter or Reporter()
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "settings.json"
    if mark.exists() and json.loads(mark.read_text()) != dataclasses.asdict(settings):
        raise SettingsError(f"'{folder}' holds a run with other settings. Give another folder, or remove it.")
    mark.write_text(json.dumps(dataclasses.asdict(settings), indent=2) + "\n")
    tokenizer, corpus = kept_corpus(settings, folder, reporter)
    logger.info("%d rows of running text, %d parallel texts", len(corpus.running), corpus.texts)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = new_model(settings, len(tokenizer))
    model.to(device)
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    rest = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=settings.learning_rate, betas=(0.9, 0.98), fused=True,
    )  # fmt: skip
    first = 0
    if (folder / "checkpoint.pt").exists():
        kept = torch.load(folder / "checkpoint.pt", map_location=device, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        first = int(kept["step"])
    batches = Batches(corpus, settings, tokenizer)
    reporter.begin("Pretraining", settings.steps)
    reporter.advance(first)
    started = time.monotonic()
    with (folder / "log.jsonl").open("a") as log:
        for step in range(first, settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _rate(step, settings)
            batch = {key: value.to(device) for key, value in batches.at(step).items()}
            weight = settings.contrastive if step >= settings.contrastive_from * settings.steps else 0.0
            with torch.autocast(device, dtype=torch.bfloat16):
                loss, parts = loss_of(model, batch, settings, weight)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            reporter.advance(step + 1, **parts)
            if step % 20 == 0:
                log.write(json.dumps({"step": step, "seconds": round(time.monotonic() - started, 1), **parts}) + "\n")
                log.flush()
            if (step + 1) % settings.checkpoint_every == 0:
                _keep(folder, model, optimizer, step + 1)
    reporter.end()
    return save_model(model, tokenizer, folder / "model", settings)


def _rate(step: int, settings: PretrainingSettings) -> float:
    warmup = max(1, round(settings.warmup * settings.steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def _keep(folder: Path, model: Any, optimizer: Any, step: int) -> None:
    import torch

    new = folder / "checkpoint.new"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, new)
    new.replace(folder / "checkpoint.pt")


def save_model(model: Any, tokenizer: Any, folder: Path, settings: PretrainingSettings) -> Path:
    """Write the model in half precision, and its tokenizer, as transformers reads them."""
    import torch

    model.to("cpu", torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings_of_model = dataclasses.asdict(settings)
    (folder / "pretraining.json").write_text(
        json.dumps({"settings": settings_of_model, "fingerprint": fingerprint(settings_of_model)}, indent=2) + "\n"
    )
    return folder


def batches_of(texts: list[list[int]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield padded batches of texts without special tokens."""
    for start in range(0, len(texts), size):
        yield _pad([[0, *ids[: MAX_LENGTH - 2], 2] for ids in texts[start : start + size]])
