"""All that the pico XLM-R depends on."""

from __future__ import annotations

from dataclasses import dataclass

from adapterstilts.errors import SettingsError
from adapterstilts.settings import setting


@dataclass(frozen=True)
class PretrainingSettings:
    """All that the pico XLM-R depends on."""

    seed: int = setting(0, "Seed of text, weights and order.")
    layers: int = setting(4, "Number of layers.")
    width: int = setting(192, "Hidden size.")
    heads: int = setting(6, "Attention heads.")
    vocabulary: int = setting(8000, "Pieces of the tokenizer.")
    documents: int = setting(12_000, "Documents of a language.")
    pairs: int = setting(16_000, "Texts that are there in all languages.")
    steps: int = setting(8_000, "Optimiser steps.")
    tokens: int = setting(4096, "Tokens of a batch of running text.")
    pair_batch: int = setting(64, "Pairs of a batch of parallel text.")
    switched: float = setting(0.0, "Share of the documents with words of another language.")
    switched_words: float = setting(0.4, "Share of the content words there that are.")
    mask_rate: float = setting(0.2, "Share of the tokens that is masked.")
    parallel_share: float = setting(0.4, "Share of the batches that are parallel text.")
    contrastive: float = setting(0.5, "Weight of the contrastive term on parallel texts.")
    words: float = setting(1.0, "Weight of the contrastive term on translated words.")
    contrastive_from: float = setting(0.1, "Share of the steps before the contrastive terms.")
    contrastive_layer: int = setting(3, "Layer whose mean the contrastive term on texts takes.")
    temperature: float = setting(0.05, "Temperature of the contrastive terms.")
    learning_rate: float = setting(1e-3, "Highest learning rate.")
    warmup: float = setting(0.05, "Share of the steps in which the learning rate rises.")
    weight_decay: float = setting(0.01, "Decoupled weight decay of matrices.")
    checkpoint_every: int = setting(250, "Steps between checkpoints.")

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
