"""Hidden states of encoded rows: of these rows, kept or not the same, under a name of all that they depend on."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from toy_compositions import encoded
from toy_layers import cut_model, lower_of

from adapterstilts.data.collate import ROW, Collator
from adapterstilts.models import row_states as module
from adapterstilts.models.backbone import Backbone
from adapterstilts.models.lower_layers import LowerLayers
from adapterstilts.models.row_states import (
    Cost,
    RowStates,
    given_to,
    numbered,
    rounded,
    row_states,
    states_key,
)
from adapterstilts.progress import Reporter
from adapterstilts.store.hidden_states import LIMIT_VARIABLE, states_folder
from adapterstilts.tasks.formats import HeadSpec
from adapterstilts.tasks.formats.base import input_columns
from adapterstilts.tasks.formats.sequences import Sequences


class Told(Reporter):
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.begun: list[tuple[str, int]] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def begin(self, title: str, total: int) -> None:
        self.begun.append((title, total))


@pytest.fixture(autouse=True)
def _keeping_pays(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "time_decides" not in request.node.name:
        monkeypatch.setattr(Cost, "keeping_pays", lambda *_: True)


def make(
    backbone: Backbone, features: Dataset, home: Path | None, lower: LowerLayers | None = None, told: Told | None = None
) -> RowStates:
    lower = lower or lower_of(cut_model(backbone))
    return row_states(lower, features, backbone, what="rows", passes=3, home=home, reporter=told)


def sequences_of(features: Dataset) -> Sequences:
    return Sequences.of(features, input_columns(features.features))


def test_the_fingerprint_is_of_all_that_counts(toy_backbone: Backbone, toy_mirror: Path, tmp_path: Path) -> None:
    features = encoded("mnli", toy_backbone, toy_mirror, 6).features
    lower = lower_of(cut_model(toy_backbone))

    def key(rows: Dataset = features, **changes: Any) -> str:
        states = RowStates(lower, sequences_of(rows), 1)
        backbone = replace(toy_backbone, identity=replace(toy_backbone.identity, **changes))
        return states_key(states, backbone)

    flipped = features.map(lambda row: {"input_ids": row["input_ids"][::-1]})
    split = Dataset.from_dict({"input_ids": [ids for row in features["input_ids"] for ids in (row[:1], row[1:])]})
    keys = [key(), key(features.select([0, 1])), key(flipped), key(split), key(revision="x"), key(config_hash="x")]
    assert len(set(keys)) == len(keys)
    assert key(features.remove_columns("labels"), id="another name") == key()
    lower.count = 2
    assert key() != keys[0]


def test_kept_states_are_those_worked_out(toy_backbone: Backbone, toy_mirror: Path, tmp_path: Path) -> None:
    features, told = encoded("hellaswag", toy_backbone, toy_mirror, 5).features, Told()
    lower = lower_of(cut_model(toy_backbone))
    new, kept = (make(toy_backbone, features, home, lower, told) for home in (None, tmp_path))
    again = make(toy_backbone, features, tmp_path, lower, told)
    assert new.kept is None
    assert isinstance(kept.kept, np.memmap)
    (folder,) = states_folder(tmp_path).iterdir()
    size = f"{kept.sequences.offsets[-1] * lower.width * 2 / 1e6:.1f} MB"
    assert told.messages == [
        f"rows: hidden states up to the first adapter: kept in {folder} ({size})",
        f"rows: hidden states up to the first adapter: taken from {folder} ({size})",
    ]
    assert told.begun == [("rows: hidden states up to the first adapter", 20)]
    exact = lower.run([new.sequences.one(number) for number in range(20)])
    for numbers in ([3], [7, 0, 19]):
        for states in (new, kept, again):
            for found, number in zip(states.states(numbers), numbers, strict=True):
                assert found.dtype == torch.float16
                assert torch.equal(found, exact[number].half())


def test_a_batch_takes_the_states_of_its_rows(toy_backbone: Backbone, toy_mirror: Path, tmp_path: Path) -> None:
    features = encoded("hellaswag", toy_backbone, toy_mirror, 5).features
    composed = cut_model(toy_backbone, head=HeadSpec("multiple_choice", 4))
    states = make(toy_backbone, features, tmp_path, lower_of(composed))
    rows = numbered(features)
    batch: Any = Collator.of(toy_backbone.tokenizer)([rows[3], rows[1]])
    assert batch[ROW].tolist() == [3, 1]
    model: Any = composed.model
    model.eval()
    with torch.no_grad():
        whole = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        with given_to(batch, states):
            assert ROW not in batch
            cut = model(**batch).logits
        torch.testing.assert_close(cut, whole, atol=0.02, rtol=0.02)
        assert (whole[0] - whole[1]).abs().max() > 0.1
        with given_to(batch, None):
            assert torch.equal(model(**batch).logits, whole)


def test_numbers_beyond_half_precision_end_at_its_end() -> None:
    assert rounded(torch.tensor([1e6, -1e6, 1 / 3])).tolist() == [65504.0, -65504.0, 0.333251953125]


def test_too_little_room_is_told(
    toy_backbone: Backbone, toy_mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, told = encoded("mnli", toy_backbone, toy_mirror, 5).features, Told()
    monkeypatch.setenv(LIMIT_VARIABLE, "1e-6")
    states = make(toy_backbone, features, tmp_path, None, told)
    assert states.kept is None
    assert len(states.states([0, 4])) == 2
    (message,) = told.messages
    assert "first adapter: not kept, 0.0 MB are more than ADAPTERSTILTS_STATES_GB allows" in message
    assert not states_folder(tmp_path).exists()


def test_a_store_that_cannot_be_written_does_not_matter(
    toy_backbone: Backbone, toy_mirror: Path, tmp_path: Path
) -> None:
    features, told = encoded("mnli", toy_backbone, toy_mirror, 5).features, Told()
    (tmp_path / "file").touch()
    assert make(toy_backbone, features, tmp_path / "file", None, told).kept is None
    assert "not kept. The store" in told.messages[0]


def test_who_comes_second_takes_what_the_first_made(
    toy_backbone: Backbone, toy_mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, told = encoded("mnli", toy_backbone, toy_mirror, 5).features, Told()
    lower = lower_of(cut_model(toy_backbone))
    writes, plain, entered = [], module.write_states, threading.Event()

    def slow(home: Path, key: str, parts: Any) -> None:
        if not key.startswith("sample"):  # that whose time is taken
            writes.append(key)
            entered.set()
            time.sleep(0.5)
        plain(home, key, parts)

    monkeypatch.setattr(module, "write_states", slow)
    first = threading.Thread(target=make, args=(toy_backbone, features, tmp_path, lower))
    first.start()
    assert entered.wait(60)
    second = make(toy_backbone, features, tmp_path, lower, told)
    first.join()
    assert len(writes) == 1
    assert second.kept is not None
    assert "makes it already; waiting" in told.messages[0]


@pytest.mark.parametrize(
    ("passes", "cost", "expected"),
    [
        (3, Cost(1.0, 0.5, 0.1), True),
        (1, Cost(1.0, 0.5, 0.1), True),  # one pass, and that of another run
        (0, Cost(1.0, 0.5, 0.1), False),
        (3, Cost(1.0, 2.5, 0.2), False),
        (3, Cost(0.1, 0.0, 0.1), False),
    ],
)
def test_time_decides(passes: float, cost: Cost, expected: bool) -> None:
    assert cost.keeping_pays(passes) is expected


def test_the_cost_is_measured(
    toy_backbone: Backbone, toy_mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(plain: Any, seconds: float) -> Any:
        return lambda *arguments: (time.sleep(seconds), plain(*arguments))[1]

    sequences = sequences_of(encoded("mnli", toy_backbone, toy_mirror, 9).features)
    states = RowStates(lower_of(cut_model(toy_backbone)), sequences, 1)
    monkeypatch.setattr(LowerLayers, "run", late(LowerLayers.run, 3.0))
    monkeypatch.setattr(module, "write_states", late(module.write_states, 2.0))
    monkeypatch.setattr(module, "find_states", late(module.find_states, 1.0))
    found = Cost.of(states, tmp_path)
    assert found.run > 3 > found.write > 2 > found.read > 1
    assert list(states_folder(tmp_path).iterdir()) == []


def test_what_does_not_pay_is_not_kept(
    toy_backbone: Backbone, toy_mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cost, "keeping_pays", lambda *_: False)
    features = encoded("mnli", toy_backbone, toy_mirror, 5).features
    assert make(toy_backbone, features, tmp_path).kept is None
    assert list(states_folder(tmp_path).iterdir()) == []
