"""What the pico XLM-R can do before any adapter, and the card that says so."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.lab.batches import batches_of
from adapterstilts.lab.corpus import documents, text
from adapterstilts.lab.languages import LANGUAGES, SOURCE, Language, distance
from adapterstilts.lab.pretrain import mean_of
from adapterstilts.lab.rows import rows

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Measured:
    """What was measured of a language."""

    perplexity: float
    """exp of the mean negative log-likelihood of masked pieces, 15 % masked."""
    pieces: float
    """Pieces a word."""
    retrieval: tuple[float, ...]
    """Share of the validation sentences of ``tatoeba`` whose nearest source sentence, by the cosine of mean states,
    is the right one; one number a layer, that of the embeddings first. Empty for the source."""


def measure(model: Any, tokenizer: Any, texts: int = 200) -> dict[str, Measured]:
    """Measure a pretrained model in every language, on text that it did not read.

    Args:
        model: a masked language model of transformers.
        tokenizer: its tokenizer.
        texts: number of documents and of sentences a language.
    """
    held_out = list(itertools.islice(documents("card"), texts))
    target = [row["target_sentence"] for row in rows("tatoeba", SOURCE, "validation", texts)]
    english = _states(model, tokenizer, target)
    found = {}
    for code, language in LANGUAGES.items():
        said = [text(document, language) for document in held_out]
        retrieval: tuple[float, ...] = ()
        if code != SOURCE:
            sentences = [row["source_sentence"] for row in rows("tatoeba", code, "validation", texts)]
            retrieval = tuple(
                float((vectors @ others.T).argmax(1).eq(_arange(len(sentences))).float().mean())
                for vectors, others in zip(_states(model, tokenizer, sentences), english, strict=True)
            )
        found[code] = Measured(_perplexity(model, tokenizer, said), _pieces(tokenizer, said, language), retrieval)
    return found


def measure_folder(folder: Path) -> str:
    """Measure the model in a folder, write its card there, and return the card's text."""
    from transformers import XLMRobertaForMaskedLM, XLMRobertaTokenizerFast

    model = XLMRobertaForMaskedLM.from_pretrained(folder).float().eval()
    return write_card(folder, measure(model, XLMRobertaTokenizerFast.from_pretrained(folder)))


def _arange(count: int) -> Tensor:
    import torch

    return torch.arange(count)


def _states(model: Any, tokenizer: Any, sentences: list[str]) -> list[Tensor]:
    """Return the mean states of each layer, of unit length. Shape of each (sentences, width)."""
    import torch

    encoded = tokenizer(sentences, add_special_tokens=False)["input_ids"]
    layers: list[list[Tensor]] = []
    with torch.inference_mode():
        for ids, attention in batches_of(encoded, 64):
            states = model(ids, attention_mask=attention, output_hidden_states=True).hidden_states
            layers.append([torch.nn.functional.normalize(mean_of(state, attention), dim=-1) for state in states])
    return [torch.cat(parts) for parts in zip(*layers, strict=True)]


def _perplexity(model: Any, tokenizer: Any, texts: list[str]) -> float:
    import torch

    generator = torch.Generator().manual_seed(0)
    total, count = 0.0, 0
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        for ids, attention in batches_of(encoded, 32):
            chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & (ids > 3)
            masked = torch.where(chosen, torch.full_like(ids, tokenizer.mask_token_id), ids)
            logits = model(masked, attention_mask=attention).logits[chosen]
            total += float(torch.nn.functional.cross_entropy(logits, ids[chosen], reduction="sum"))
            count += int(chosen.sum())
    return math.exp(total / count)


def _pieces(tokenizer: Any, texts: list[str], language: Language) -> float:
    if not language.spaced:
        return math.nan
    pieces = sum(len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])
    return pieces / sum(len(said.split()) for said in texts)


def write_card(folder: Path, measured: dict[str, Measured]) -> str:
    """Write the model card (README.md) of a pretrained model beside its weights, and return its text.

    Args:
        folder: that of the model, with ``pretraining.json``.
        measured: what ``measure`` returned.
    """
    made = json.loads((folder / "pretraining.json").read_text(encoding="utf-8"))
    settings = "\n".join(f"- {name}: {value}" for name, value in made["settings"].items())
    layers = max(len(values.retrieval) for values in measured.values())
    source = LANGUAGES[SOURCE]
    table = [
        "| code | name | distance | read | perplexity | pieces a word | "
        + " | ".join(f"layer {layer}" for layer in range(layers))
        + " |",
        "|---" * (6 + layers) + "|",
    ]
    for code in sorted(measured, key=lambda code: (distance(source, LANGUAGES[code]), code)):
        language, values = LANGUAGES[code], measured[code]
        pieces = "" if math.isnan(values.pieces) else f"{values.pieces:.2f}"
        cells = [code, language.name, f"{distance(source, language):.2f}", "yes" if language.seen else "no"]
        cells += [f"{values.perplexity:.1f}", pieces]
        cells += [f"{100 * share:.0f}" for share in values.retrieval] or [""] * layers
        table.append("| " + " | ".join(cells) + " |")
    card = _CARD.format(settings=settings, table="\n".join(table), fingerprint=made["fingerprint"])
    (folder / "README.md").write_text(card, encoding="utf-8")
    return card


_CARD = """---
library_name: transformers
pipeline_tag: fill-mask
license: apache-2.0
tags: [xlm-roberta, adapterstilts]
---

# pico

An XLM-R of pico size for the lab of AdapterSTILTs: small generated languages of controlled typology. It knows no
natural language.

It was made by `adapterstilts lab pretrain` from generated text in the languages marked "read" below, by masked-language
modelling, translation-language modelling on parallel texts, and contrastive terms on the texts and the words of their
two sides. The weights are kept in half precision.

## Settings

{settings}

Fingerprint of the settings: {fingerprint}

## What it can do without adapters

Perplexity of masked pieces (15 % masked) on held-out text; share (%) of 200 sentences whose translation in the source
language is the nearest, by the cosine of mean states, for each layer (0: embeddings). Groups of three sentences
differ in one phrase.

{table}
"""
