"""Plain text of a language of the lab, as much as a language adapter learns from."""

from __future__ import annotations

import functools
from itertools import islice

from adapterstilts.errors import DataUnavailableError
from adapterstilts.lab.corpus import documents, text
from adapterstilts.lab.languages import get_language

#: Name of the rows among those of the lab's tasks.
TEXT_TASK = "language"
#: Documents of each split.
SIZES = {"train": 1_000, "validation": 100}


def language_text(code: str, split: str) -> tuple[str, ...]:
    """Return documents in a language, a line each, no two alike; those of validation are none of training.

    Args:
        code: of the language, shipped or declared by the user.
        split: ``train`` or ``validation``.

    Raises:
        UnknownNameError: there is no such language.
        DataUnavailableError: there is no such split.
    """
    if split not in SIZES:
        raise DataUnavailableError(f"The lab's text has no split '{split}'; it has {', '.join(SIZES)}.")
    lines = _lines(code)
    held_out = SIZES["validation"]
    return lines[:held_out] if split == "validation" else lines[held_out:]


@functools.lru_cache(maxsize=4)
def _lines(code: str) -> tuple[str, ...]:
    # Each language tells documents of its own, none of them a document of the encoder's pretraining.
    language = get_language(code)
    said = (text(document, language) for document in documents(f"{TEXT_TASK} {code}"))
    seen: set[str] = set()
    new = (line for line in said if not (line in seen or seen.add(line)))  # type: ignore[func-returns-value]
    return tuple(islice(new, sum(SIZES.values())))
