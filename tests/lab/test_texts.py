"""Plain text of the lab's languages: the same each time, no line twice, no document of the encoder's pretraining."""

from __future__ import annotations

from itertools import islice

import pytest

from adapterstilts.errors import DataUnavailableError, UnknownNameError
from adapterstilts.lab.corpus import documents, text
from adapterstilts.lab.languages import LANGUAGES, get_language
from adapterstilts.lab.rows import load
from adapterstilts.lab.texts import SIZES, _lines, language_text


def test_held_out_lines_are_no_lines_of_training() -> None:
    train, held_out = language_text("qod", "train"), language_text("qod", "validation")
    assert (len(train), len(held_out)) == (SIZES["train"], SIZES["validation"])
    assert len({*train, *held_out}) == len(train) + len(held_out)


def test_the_text_is_the_same_each_time_and_another_in_each_language() -> None:
    first = language_text("qab", "train")
    _lines.cache_clear()
    assert language_text("qab", "train") == first
    assert not set(first) & set(language_text("qaa", "train"))
    source = get_language("qaa")
    pretraining = {text(document, source) for document in islice(documents("corpus 0"), 500)}
    assert len(pretraining & set(language_text("qaa", "train"))) < 5, "short ones may be said twice"


def test_rows_of_the_text() -> None:
    rows = load("language", "qod", "validation")
    assert rows.column_names == ["id", "text"]
    assert rows[3] == {"id": "validation-3", "text": language_text("qod", "validation")[3]}


def test_what_there_is_not_is_said() -> None:
    with pytest.raises(DataUnavailableError, match="no split 'test'; it has train, validation"):
        language_text("qaa", "test")
    with pytest.raises(UnknownNameError, match="language of the lab"):
        language_text("qzz", "train")
    assert "qzz" not in LANGUAGES
