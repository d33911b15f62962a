"""What all formats share: heads, settings, windows, batches."""

from __future__ import annotations

import pytest

from adapterstilts.errors import SettingsError
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, EncodingSettings, HeadSpec
from adapterstilts.tasks.formats.base import batches

MNLI, HELLASWAG, SQUAD, PANX = (get_task(name) for name in ("mnli", "hellaswag", "squad", "panx"))


def test_heads() -> None:
    names = ("entailment", "neutral", "contradiction")
    assert FORMATS["classification"].head(MNLI) == HeadSpec("classification", 3, names)
    assert FORMATS["multiple_choice"].head(HELLASWAG) == HeadSpec("multiple_choice", 4)
    assert FORMATS["span"].head(SQUAD) == HeadSpec("question_answering", 2)
    assert FORMATS["tagging"].head(PANX) == HeadSpec("tagging", 7, PANX.labels)
    assert {name: item.name for name, item in FORMATS.items()} == {name: name for name in FORMATS}


@pytest.mark.parametrize(("changes", "says"), [({"max_length": 7}, "leaves no room"), ({"doc_stride": -1}, "negative")])
def test_settings_out_of_range(changes: dict[str, int], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        EncodingSettings(**changes)


def test_windows_always_move_on() -> None:
    settings = EncodingSettings(max_length=100, doc_stride=30)
    assert [settings.stride(fixed) for fixed in (0, 40, 41, 90, 99, 100, 200)] == [30, 30, 29, 5, 0, 0, 0]


def test_batches_cover_all_positions() -> None:
    assert [list(run) for run in batches(5, 2)] == [[0, 1], [2, 3], [4]]
    assert batches(0) == []
