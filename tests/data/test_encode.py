"""Encodings are kept under what they were made of, and made again where they cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_tokenizers import make_tokenizer
from transformers import AutoTokenizer
from transformers import PreTrainedTokenizerFast as Tokenizer

from adapterstilts.data.encode import encode_rows, tokenizer_fingerprint
from adapterstilts.data.rows import Rows, load_rows
from adapterstilts.store.artifacts import Store
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded, EncodingSettings


@pytest.fixture
def count_encodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The formats that were asked to encode, one entry a time."""
    asked: list[str] = []
    for name, form in FORMATS.items():

        def encode(
            *arguments: Any, _name: str = name, _encode: Callable[..., Encoded] = form.encode, **options: Any
        ) -> Encoded:
            asked.append(_name)
            return _encode(*arguments, **options)

        monkeypatch.setattr(form, "encode", encode)
    return asked


def rows_of(name: str, mirror: Path, count: int = 6) -> Rows:
    return load_rows(get_task(name), "train", root=mirror, max_examples=count)


def folders(store: Store) -> list[Path]:
    return sorted((store.cache / "encodings").glob("*"))


@pytest.mark.parametrize("name", ["mnli", "hellaswag", "squad", "panx"])
def test_rows_are_encoded_once(
    name: str, toy_mirror: Path, toy_tokenizer: Tokenizer, store: Store, count_encodings: list[str]
) -> None:
    settings = EncodingSettings(max_length=24, doc_stride=6)
    first, again = (
        encode_rows(rows_of(name, toy_mirror), toy_tokenizer, settings, training=True, home=store.home)
        for _ in range(2)
    )
    assert count_encodings == [get_task(name).format]
    assert len(folders(store)) == 1
    assert again.features[:] == first.features[:]
    assert again.features.column_names == first.features.column_names
    assert again.report == first.report


def test_without_a_home_nothing_is_kept(
    toy_mirror: Path, toy_tokenizer: Tokenizer, store: Store, count_encodings: list[str]
) -> None:
    for _ in range(2):
        encode_rows(rows_of("mnli", toy_mirror), toy_tokenizer, EncodingSettings(), training=True)
    assert count_encodings == ["classification", "classification"]
    assert folders(store) == []


def test_what_was_counted_is_kept(toy_mirror: Path, toy_tokenizer: Tokenizer, store: Store) -> None:
    settings = EncodingSettings(max_length=8)
    for _ in range(2):
        encoded = encode_rows(rows_of("mnli", toy_mirror), toy_tokenizer, settings, training=True, home=store.home)
        assert encoded.report == {"texts cut": 6}


def test_whatever_changes_the_encoding_changes_its_key(
    toy_mirror: Path,
    toy_tokenizer: Tokenizer,
    store: Store,
    count_encodings: list[str],
) -> None:
    rows, settings = rows_of("squad", toy_mirror), EncodingSettings()
    variants: list[tuple[Rows, Tokenizer, EncodingSettings, bool]] = [
        (rows, toy_tokenizer, settings, True),
        (rows, toy_tokenizer, settings, False),
        (rows, toy_tokenizer, EncodingSettings(max_length=64), True),
        (rows, toy_tokenizer, EncodingSettings(doc_stride=8), True),
        (rows, make_tokenizer(("▁see",)), settings, True),
        (rows_of("squad", toy_mirror, 5), toy_tokenizer, settings, True),
        (rows_of("xquad", toy_mirror, 6), toy_tokenizer, settings, True),  # the same rows: the same encoding
    ]
    for loaded, tokenizer, chosen, training in variants:
        encode_rows(loaded, tokenizer, chosen, training=training, home=store.home)
    assert len(count_encodings) == len(folders(store)) == 6


@pytest.mark.parametrize("damage", ["features", "report", "data", "state"])
def test_a_damaged_encoding_is_made_again(
    damage: str,
    toy_mirror: Path,
    toy_tokenizer: Tokenizer,
    store: Store,
    count_encodings: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def encode() -> Encoded:
        return encode_rows(
            rows_of("mnli", toy_mirror), toy_tokenizer, EncodingSettings(), training=True, home=store.home
        )

    whole = encode().features[:]
    (folder,) = folders(store)
    if damage == "features":
        (folder / "features").rename(folder / "elsewhere")
    elif damage == "report":
        (folder / "report.json").write_text("{")
    elif damage == "state":
        (folder / "features" / "state.json").unlink()
    else:
        (data,) = (folder / "features").glob("*.arrow")
        data.write_bytes(data.read_bytes()[:200])
    with caplog.at_level(logging.WARNING):
        assert encode().features[:] == whole
    assert len(count_encodings) == 2
    assert any(
        "is made again" in record.getMessage() and str(folder) in record.getMessage() for record in caplog.records
    )
    caplog.clear()
    assert encode().features[:] == whole
    assert len(count_encodings) == 2
    assert caplog.records == []


def test_an_encoding_that_fails_leaves_nothing(
    toy_mirror: Path, toy_tokenizer: Tokenizer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Encoded:
        raise RuntimeError("no")

    monkeypatch.setattr(FORMATS["classification"], "encode", fail)
    with pytest.raises(RuntimeError, match="no"):
        encode_rows(rows_of("mnli", toy_mirror), toy_tokenizer, EncodingSettings(), training=True, home=store.home)
    assert not any(path.is_file() for path in store.home.rglob("*"))


def test_an_encoding_without_rows_is_not_kept(toy_tokenizer: Tokenizer, toy_mirror: Path, store: Store) -> None:
    rows = rows_of("squad", toy_mirror)
    answers = {"text": ["Omega"], "answer_start": [0]}
    wrong = rows.table.map(lambda row: {**row, "answers": answers}, features=rows.table.features)
    unanswered = Rows(rows.task, rows.split, wrong, rows.languages)
    encoded = encode_rows(unanswered, toy_tokenizer, EncodingSettings(), training=True, home=store.home)
    assert (len(encoded), encoded.report) == (0, {"answer not in context": 6})
    assert folders(store) == []


def test_the_fingerprint_of_a_tokenizer(toy_tokenizer: Tokenizer, toy_backbone_folder: Path) -> None:
    """It tells what the tokenizer does; where it was loaded from and what it did last have no part in it."""
    told = tokenizer_fingerprint(toy_tokenizer)
    assert tokenizer_fingerprint(make_tokenizer()) == told
    assert tokenizer_fingerprint(AutoTokenizer.from_pretrained(toy_backbone_folder)) == told
    assert tokenizer_fingerprint(make_tokenizer(("▁see",))) != told
    used = make_tokenizer()
    used(["the", "the cat"], truncation=True, max_length=4, padding=True)
    truncation, padding = used.backend_tokenizer.truncation, used.backend_tokenizer.padding
    assert truncation is not None
    assert padding is not None
    assert tokenizer_fingerprint(used) == told
    assert used.backend_tokenizer.truncation == truncation
    assert used.backend_tokenizer.padding == padding


def test_the_fingerprint_of_a_tokenizer_tells_its_normaliser() -> None:
    from tokenizers import normalizers

    other = make_tokenizer()
    other.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert tokenizer_fingerprint(other) != tokenizer_fingerprint(make_tokenizer())
