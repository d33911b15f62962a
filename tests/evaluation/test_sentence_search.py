"""Which row an answer names, and what is fitted on which rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from adapterstilts.data.rows import Rows, to_table
from adapterstilts.errors import DataUnavailableError, SettingsError
from adapterstilts.evaluation import sentence_search
from adapterstilts.evaluation.retrieval import Pair
from adapterstilts.evaluation.sentence_search import Search, _best, _first_of_each, _threshold, _values, search_for
from adapterstilts.evaluation.zero_shot import EvaluationRequest
from adapterstilts.models.backbone import Backbone
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import EncodingSettings


def pairs_of(task_name: str, *texts: tuple[str, str]) -> Rows:
    task = get_task(task_name)
    rows: list[dict[str, Any]] = [
        {"id": f"de-{number}", "language": "de", "text": one, "text_pair": other}
        for number, (one, other) in enumerate(texts)
    ]
    return Rows(task, "test", to_table(task, rows), ("de",))


def test_without_a_threshold_every_row_gets_the_row_that_was_found() -> None:
    rows = pairs_of("tatoeba", ("a", "A"), ("b", "B"))
    assert _values(rows, {"de": [Pair(0.9, 0, 1), Pair(0.8, 1, 1)]}, {"de": None}) == [("de-1", 0.9), ("de-1", 0.8)]


def test_english_sentences_are_looked_for_as_in_xtreme(
    toy_backbone: Backbone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The other way round, each sentence of these would find its translation."""
    vectors = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.8, 0.6]]])  # de-0, de-1 and their translations
    monkeypatch.setattr(sentence_search, "sentence_vectors", lambda *_, **__: vectors)
    search = Search(pairs_of("tatoeba", ("a", "A"), ("b", "B")), None, 1, EncodingSettings(), EvaluationRequest())
    found, _ = sentence_search._found(toy_backbone, search, search.rows, [1], Store(tmp_path), "Searching", Reporter())
    assert [value for value, _ in _values(search.rows, found[1], {"de": None})] == ["de-0", "de-0"]


def test_pairs_below_the_threshold_are_not_mined() -> None:
    rows = pairs_of("bucc", ("a", "A"), ("b", "B"), ("c", "C"))
    found = {"de": [Pair(1.5, 0, 0), Pair(1.2, 1, 2), Pair(1.1, 2, 1)]}
    assert _values(rows, found, {"de": 1.2}) == [("de-0", 1.5), ("de-2", 1.2), ("", None)]


def test_a_sentence_that_stands_in_two_rows_is_mined_for_the_right_one() -> None:
    rows = pairs_of("bucc", ("a", "A"), ("a", "B"), ("b", "B"))
    assert _first_of_each([0, 1, 2], ["a", "a", "b"]) == [0, 2]
    assert _first_of_each([0, 1, 2], ["A", "B", "B"]) == [0, 1]
    assert _values(rows, {"de": [Pair(1.5, 0, 1)]}, {"de": 1.0}) == [("", None), ("de-1", 1.5), ("", None)]
    assert _values(rows, {"de": [Pair(1.5, 2, 1)]}, {"de": 1.0}) == [("", None), ("", None), ("de-2", 1.5)]
    assert _threshold([Pair(1.5, 0, 1), Pair(1.0, 2, 0)], rows, "de") == 1.25


def test_the_best_layer_is_the_lowest_of_equals() -> None:
    sweep = {0: {"de": 10.0, "sw": 20.0}, 1: {"de": 25.0, "sw": 15.0}, 2: {"de": 15.0, "sw": 25.0}}
    assert _best(sweep, ["de", "sw"]) == 1
    assert _best(sweep, ["sw"]) == 2


@pytest.mark.parametrize(
    ("task", "split", "layer", "fitting"),
    [
        ("tatoeba", "test", None, None),
        ("tatoeba", "test", 1, None),
        ("bucc", "test", None, "validation"),
        ("bucc", "test", 1, "validation"),
        ("bucc", "validation", 1, None),
    ],
)
def test_what_is_fitted_on_other_rows(
    task: str, split: str, layer: int | None, fitting: str | None, toy_mirror: Path
) -> None:
    request = EvaluationRequest(split=split, root=toy_mirror)
    search = search_for(request, request.rows(get_task(task)), EncodingSettings(), layer)
    assert (search.fitting.split if search.fitting else None) == fitting
    assert search.mined is (task == "bucc")
    if search.fitting:
        assert search.fitting.languages == search.rows.languages
        assert not set(search.fitting.table["text"]) & set(search.rows.table["text"])


def test_a_layer_for_one_language_has_nothing_to_be_chosen_on(toy_mirror: Path, tmp_path: Path) -> None:
    request = EvaluationRequest(languages=("de",), root=toy_mirror)
    with pytest.raises(SettingsError, match="there is only de"):
        search_for(request, request.rows(get_task("tatoeba")), EncodingSettings(), None)
    request = EvaluationRequest(split="test", languages=("fr",), root=toy_mirror)
    with pytest.raises(DataUnavailableError, match=r"no configuration 'bucc18\.fr'"):
        request.rows(get_task("bucc"))
