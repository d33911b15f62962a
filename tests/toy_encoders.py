"""Tiny encoders of every kind, with random weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import (
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from adapterstilts.models.backbone import Backbone, backbone_from

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "initializer_range": 0.2,
}
ENCODERS: dict[str, Callable[[int], PretrainedConfig]] = {
    "xlm-roberta": lambda words: XLMRobertaConfig(vocab_size=words, type_vocab_size=1, pad_token_id=1, **SMALL),
    "roberta": lambda words: RobertaConfig(vocab_size=words, type_vocab_size=1, pad_token_id=1, **SMALL),
    "bert": lambda words: BertConfig(vocab_size=words, type_vocab_size=2, pad_token_id=1, **SMALL),
    "distilbert": lambda words: DistilBertConfig(
        vocab_size=words, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=130, pad_token_id=1
    ),
    "deberta-v2": lambda words: DebertaV2Config(
        vocab_size=words,
        type_vocab_size=0,
        pad_token_id=1,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        **SMALL,
    ),
}


def in_memory(kind: str, tokenizer: PreTrainedTokenizerFast, seed: int = 0, layers: int = 2) -> Backbone:
    """Return a tiny encoder of a kind, a key of ``ENCODERS``."""
    from adapters import AutoAdapterModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = ENCODERS[kind](len(tokenizer))
        config.num_hidden_layers = layers
        model = AutoAdapterModel.from_config(config)
    return backbone_from(model, tokenizer, f"toy-{kind}")
