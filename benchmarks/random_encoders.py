"""Encoders of XLM-R's sizes with random weights: what a step costs does not depend on what the weights are.

The tokenizer is that of MiniLM-L6, so that real text has real lengths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIZES: dict[str, dict[str, int]] = {
    "base": {},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}
VOCABULARY = 250_002
"""Tokens of XLM-R."""


def make_encoder(folder: Path, size: str, *, vocabulary: int = VOCABULARY) -> None:
    """Save an encoder of XLM-R's size with random weights.

    Args:
        folder: where it is saved.
        size: one of ``SIZES``.
        vocabulary: number of tokens.
    """
    import torch
    from transformers import AutoTokenizer, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForMaskedLM

    from adapterstilts.models.locations import locate

    given: Any = AutoTokenizer.from_pretrained(locate("minilm-l6"))
    names = ("pad_token", "cls_token", "sep_token", "mask_token", "unk_token")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=given.backend_tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=512,
        **{name: getattr(given, name) for name in names},
    )
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        **SIZES[size],
    )
    XLMRobertaForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
