"""The tiny XLM-R: its tokenizer, a folder with random weights, and copies of the folder with changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toy_texts import FILLERS, PATTERN_WORDS, UNSPACED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def make_tokenizer(extra_pieces: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """Make a Unigram tokenizer for the toy languages: the same one each time, which the library's trainer would not.

    The words of the patterns are pieces; of the filler words each second one is cut in two; all else goes by letters.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import XLMRobertaTokenizerFast

    pieces = dict.fromkeys(("<s>", "<pad>", "</s>", "<unk>"), 0.0) | {"▁": -9.0}
    pieces |= {f"▁{word}": -6.0 for word in PATTERN_WORDS}
    for code, text in FILLERS.items():
        start = "" if code in UNSPACED else "▁"
        for number, word in enumerate(text.split()):
            halves = [word[: len(word) // 2], word[len(word) // 2 :]] if number % 2 else [word]
            pieces |= {half if position else start + half: -7.0 for position, half in enumerate(halves) if half}
    letters = "".join(
        [*FILLERS.values(), *PATTERN_WORDS, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789?,.'-"]
    )
    pieces |= {letter: -12.0 for letter in dict.fromkeys(letters) if not letter.isspace() and letter not in pieces}
    pieces |= {piece: -6.0 for piece in extra_pieces}

    tokenizer = Tokenizer(models.Unigram(list(pieces.items()), unk_id=3))
    # XLM-R's normaliser is a compiled table; of its effects the tests need these: NFKC, and silent characters vanish.
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex("[\u200b-\u200f\ufeff]"), " "),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return XLMRobertaTokenizerFast(tokenizer_object=tokenizer, model_max_length=128)


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
