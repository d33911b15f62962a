"""Toy tokenizers in the manner of XLM-R and of BERT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toy_texts import FILLERS, PATTERN_WORDS, UNSPACED

if TYPE_CHECKING:
    from transformers import BertTokenizerFast, PreTrainedTokenizerFast


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


def make_wordpiece() -> BertTokenizerFast:
    """Make a tokenizer in the manner of BERT, with token types."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertTokenizerFast

    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat ##s sees a b c ##b ##c house Alpha never".split()
    backend = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return BertTokenizerFast(tokenizer_object=backend, do_lower_case=False, model_max_length=128)
