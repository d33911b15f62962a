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

from adapterstilts.data import encode as encode_module
from adapterstilts.data.encode import ENCODING_VERSIONS, encode_rows, tokenizer_fingerprint
from adapterstilts.data.rows import Rows, load_rows
from adapterstilts.data.texts import with_texts
from adapterstilts.fingerprints import fingerprint
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


def test_what_older_code_made_is_not_taken(
    toy_mirror: Path,
    toy_tokenizer: Tokenizer,
    store: Store,
    count_encodings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def encode(name: str) -> Encoded:
        rows = rows_of(name, toy_mirror)
        return encode_rows(rows, toy_tokenizer, EncodingSettings(), training=True, home=store.home)

    for name in ("squad", "mnli"):
        encode(name)
    raised = {**ENCODING_VERSIONS, "span": ENCODING_VERSIONS["span"] + 1}
    monkeypatch.setattr(encode_module, "ENCODING_VERSIONS", raised)
    for name in ("squad", "mnli"):
        encode(name)
    assert count_encodings == ["span", "classification", "span"]


#: Version of a format's encoding, and the start of the hash of what it makes of toy rows, for both kinds of tokenizer.
#: Where a hash changes, raise the version in ``ENCODING_VERSIONS``: else stores keep what the older code made.
ENCODINGS = {
    "classification": (1, "4aa7cc3f", "90f01612"),
    "multiple_choice": (1, "4935c723", "c4dc65ee"),
    "span": (2, "07bc0375", "fc16231d"),
    "tagging": (1, "a9745f57", "58b30ce0"),
    "retrieval": (1, "421d1ecf", "9425c9b1"),
    "search": (1, "15820e35", "f75800d6"),
    "language_modelling": (1, "4684403d", "e3ac0c68"),
}


@pytest.mark.parametrize("name", ["mnli", "hellaswag", "squad", "panx", "tatoeba", "lareqa", "mlm"])
def test_another_encoding_needs_another_version(
    name: str, toy_mirror: Path, toy_tokenizer: Tokenizer, wordpiece: Tokenizer, tmp_path: Path
) -> None:
    task = get_task(name)
    if name == "mlm":
        (tmp_path / "text").write_text("".join(f"the cat sees house {number}\n" for number in range(9)))
        task = with_texts(task, [tmp_path / "text"])
    rows = load_rows(task, next(iter(task.sources)), root=toy_mirror, max_examples=6)
    settings = EncodingSettings(max_length=24, doc_stride=6)
    made = [
        fingerprint(list(encode_rows(rows, tokenizer, settings, training=name == "mlm").features))[:8]
        for tokenizer in (toy_tokenizer, wordpiece)
    ]
    assert (ENCODING_VERSIONS[task.format], *made) == ENCODINGS[task.format]


def test_every_format_has_a_version() -> None:
    assert set(ENCODING_VERSIONS) == set(FORMATS) == set(ENCODINGS)


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
