"""Rows to token ids, once: the result is kept under a fingerprint of rows, tokenizer and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adapterstilts.fingerprints import fingerprint
from adapterstilts.store.encodings import cached_encoding
from adapterstilts.tasks.formats import FORMATS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from adapterstilts.data.rows import Rows
    from adapterstilts.tasks.formats import Encoded, EncodingSettings

#: By format, raised when its ``encode`` makes other features of the same rows, so that none made by older code are
#: taken from the cache. Artifacts do not depend on it: what was trained stays what it is.
ENCODING_VERSIONS: Mapping[str, int] = {**dict.fromkeys(FORMATS, 1), "span": 2}


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return the SHA-256 of what the tokenizer does: its whole pipeline and vocabulary, not its name."""
    return fingerprint(
        {
            "class": type(tokenizer).__name__,
            "pipeline": _without_truncation(tokenizer),
            "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
            "inputs": list(tokenizer.model_input_names),
        }
    )


def _without_truncation(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return the pipeline as text; truncation and padding are set anew by each call and say nothing."""
    backend = tokenizer.backend_tokenizer
    truncation, padding = backend.truncation, backend.padding
    backend.no_truncation()
    backend.no_padding()
    try:
        return str(backend.to_str())
    finally:
        if truncation is not None:
            backend.enable_truncation(**truncation)
        if padding is not None:
            backend.enable_padding(**padding)


def encode_rows(
    rows: Rows,
    tokenizer: PreTrainedTokenizerFast,
    settings: EncodingSettings,
    *,
    training: bool,
    home: Path | None = None,
) -> Encoded:
    """Encode rows in their task's format, or take the encoding made of the same before.

    Args:
        rows: rows of one split.
        tokenizer: the backbone's.
        settings: lengths.
        training: leave out rows that cannot be learnt from.
        home: the store's folder; None keeps nothing.
    """

    def make() -> Encoded:
        return FORMATS[rows.task.format].encode(rows.task, rows.table, tokenizer, settings, training=training)

    if home is None:
        return make()
    key = fingerprint(
        {
            "version": ENCODING_VERSIONS[rows.task.format],
            "format": rows.task.format,
            "rows": rows.fingerprint,
            "tokenizer": tokenizer_fingerprint(tokenizer),
            "settings": dataclasses.asdict(settings),
            "training": training,
        }
    )
    return cached_encoding(home, key, make)
