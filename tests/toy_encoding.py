"""What the tests of formats encode with."""

from __future__ import annotations

from transformers import PreTrainedTokenizerFast

from adapterstilts.tasks.formats import EncodingSettings

SHORT = EncodingSettings(max_length=24, doc_stride=6)


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str, other: str) -> list[int]:
    """Return a pair's ids; in lists, since the tokenizer takes an empty second text for none when it comes alone."""
    ids: list[list[int]] = tokenizer([text], [other])["input_ids"]
    return ids[0]
