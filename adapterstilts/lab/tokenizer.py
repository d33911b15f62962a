"""The tokenizer of the pico XLM-R: SentencePiece Unigram over all languages, in the form that XLM-R's has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from adapterstilts.errors import MissingPackageError

if TYPE_CHECKING:
    from transformers import XLMRobertaTokenizerFast

MAX_LENGTH = 256
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def train_tokenizer(texts: Iterable[str], vocabulary: int, letters: str = "") -> XLMRobertaTokenizerFast:
    """Train a Unigram tokenizer (Kudo 2018, https://aclanthology.org/P18-1007) with XLM-R's special tokens.

    The same texts give the same tokenizer.

    Args:
        texts: lines of text in all languages.
        vocabulary: number of pieces, special tokens included.
        letters: signs that become pieces also where no text has them.

    Raises:
        MissingPackageError: sentencepiece is not installed.
    """
    import io

    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import XLMRobertaTokenizerFast

    try:
        import sentencepiece
    except ImportError as error:
        raise MissingPackageError("Training a tokenizer needs one more package: pip install sentencepiece") from error

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="unigram", vocab_size=vocabulary - 1,
        character_coverage=1.0, required_chars=letters, num_threads=1, minloglevel=2,
        bos_id=0, pad_id=1, eos_id=2, unk_id=3, hard_vocab_limit=False, shuffle_input_sentence=False,
    )  # fmt: skip
    trained = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [(trained.id_to_piece(index), trained.get_score(index)) for index in range(trained.vocab_size())]
    pieces[: len(SPECIAL)] = [(name, 0.0) for name in SPECIAL]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=SPECIAL.index("<unk>")))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([*SPECIAL, "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return XLMRobertaTokenizerFast(tokenizer_object=tokenizer, model_max_length=MAX_LENGTH)
