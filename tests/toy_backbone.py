"""The tiny XLM-R: a folder with random weights, and copies of it with changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def write_backbone(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """Write a tiny XLM-R, saved with its masked-language-model head as the published one is."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        initializer_range=0.2,  # 0.02 is for hidden sizes of 768; with 32 all inputs would look alike
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        XLMRobertaForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def copied(folder: Path, target: Path, **changes: Any) -> Path:
    """Copy a backbone's folder, with changes in its configuration."""
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | changes))
    return target
