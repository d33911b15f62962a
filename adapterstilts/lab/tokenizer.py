"""The tokenizer of the pico XLM-R: SentencePiece Unigram over all languages, in the form that XLM-R's has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import XLMRobertaTokenizerFast

MAX_LENGTH = 256


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> XLMRobertaTokenizerFast:
    """Train a Unigram tokenizer (Kudo 2018, https://aclanthology.org/P18-1007) with XLM-R's special tokens.

    Args:
        texts: lines of text in all languages.
        vocabulary: number of pieces, special tokens included.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import XLMRobertaTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        texts,
        trainers.UnigramTrainer(
            vocab_size=vocabulary - 1, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    tokenizer.add_special_tokens(["<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return XLMRobertaTokenizerFast(tokenizer_object=tokenizer, model_max_length=MAX_LENGTH)
