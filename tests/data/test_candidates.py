"""Candidates: which are loaded, what is relevant to a row, and that they are part of what rows are."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from adapterstilts.data import rows as rows_module
from adapterstilts.data.rows import load_rows
from adapterstilts.data.sources import check_access
from adapterstilts.errors import DataFormatError, DataUnavailableError
from adapterstilts.tasks.catalogue import get_task

POOLS, LAREQA, MEWSLIX = (get_task(name) for name in ("bucc_pools", "lareqa", "mewslix"))


def test_a_pool_of_all_languages_whichever_are_asked_for(toy_mirror: Path) -> None:
    rows = load_rows(LAREQA, "test", ["de"], root=toy_mirror)
    assert rows.languages == ("de",)
    assert rows.candidates is not None
    assert {code: len(own) for code, own in rows.candidates.ranges.items()} == {"de": 24, "en": 24, "ru": 24}
    assert rows.candidates.pool("de") == range(72)
    assert rows.table["relevant"][0] == ["de-1-0", "en-1-0", "ru-1-0"]
    every = load_rows(LAREQA, "test", root=toy_mirror)
    assert (every.languages, "th" in every.missing) == (("de", "en", "ru"), True)
    assert every.candidates is not None
    assert every.candidates.fingerprint == rows.candidates.fingerprint
    assert len({row for row in every.table["id"]}) == 16, "the same question has the same id in each language"


def test_each_language_has_its_own_pool(toy_mirror: Path) -> None:
    rows = load_rows(POOLS, "test", root=toy_mirror)
    assert rows.candidates is not None
    assert (rows.candidates.pool("de"), rows.candidates.pool("ru")) == (range(80), range(80, 160))
    other = load_rows(POOLS, "validation", root=toy_mirror, candidates=rows.candidates)
    assert other.candidates is rows.candidates
    for code in ("de", "ru"):
        halves = [{part.table["id"][row] for row in part.of_language(code)} for part in (rows, other)]
        assert not halves[0] & halves[1]
        assert halves[0] | halves[1] == {f"{code}-{number}" for number in range(1, 81)}
        assert min(map(len, halves)) > 20, "about a half each"
    gold = [ids for part in (rows, other) for ids in part.table["relevant"]]
    assert (len(gold), sum(map(len, gold))) == (160, 80)


def test_entities_are_relevant_by_their_ids(toy_mirror: Path) -> None:
    """The candidates lie in a gzipped archive of JSON lines, as on the Hub."""
    rows = load_rows(MEWSLIX, "test", ["en", "ja"], root=toy_mirror)
    assert rows.candidates is not None
    assert rows.candidates.table.column_names == ["id", "text"]
    assert rows.table[0]["text"].startswith("Berta: ")
    assert rows.table[0]["relevant"] == ["Q1"]
    by_id = dict(zip(rows.candidates.table["id"], rows.candidates.table["text"], strict=True))
    assert by_id["Q1"].startswith("Berta ")


def test_rows_without_a_relevant_candidate_are_counted(toy_mirror: Path) -> None:
    rows = load_rows(MEWSLIX, "test", ["de"], root=toy_mirror)
    assert rows.candidates is not None
    few = replace(rows.candidates, table=rows.candidates.table.select(range(2)))
    left = load_rows(MEWSLIX, "test", ["de"], root=toy_mirror, candidates=few)
    assert (left.table["relevant"][:], left.skipped) == ([["Q1"]], {"no relevant candidate": 6})
    assert left.fingerprint != load_rows(MEWSLIX, "test", ["de"], root=toy_mirror, max_examples=1).fingerprint


def test_other_candidates_are_other_rows(toy_mirror: Path) -> None:
    rows = load_rows(POOLS, "test", ["de"], root=toy_mirror)
    assert rows.candidates is not None
    fewer = replace(rows.candidates, table=rows.candidates.table.select(range(79)))
    assert replace(rows, candidates=fewer).fingerprint != rows.fingerprint


def test_a_sample_of_rows_keeps_all_candidates(toy_mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    load = rows_module.load_candidates
    monkeypatch.setattr(rows_module, "load_candidates", lambda *given: calls.append(given) or load(*given))
    rows = load_rows(LAREQA, "test", root=toy_mirror, max_examples=2)
    assert rows.candidates is not None
    assert (len(rows), len(rows.candidates), len(calls)) == (6, 72, 1)


def test_what_is_not_there_or_not_right(toy_mirror: Path, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match=r"no file 'xquad-r/th\.json'"):
        load_rows(LAREQA, "test", ["th"], root=toy_mirror)
    assert LAREQA.candidates is not None
    with pytest.raises(DataUnavailableError, match=r"Fetch https://raw\.githubusercontent\.com/google-research-data"):
        check_access(LAREQA.candidates, tmp_path)
    shutil.copytree(toy_mirror / "google-research-datasets/lareqa", tmp_path / "google-research-datasets/lareqa")
    check_access(LAREQA.candidates, tmp_path)
    broken = tmp_path / "google-research-datasets/lareqa/xquad-r/de.json"
    broken.write_text('{"data": [{"title": "without paragraphs"}]}', encoding="utf-8")
    with pytest.raises(DataFormatError, match="not of the layout 'squad_"):
        load_rows(LAREQA, "test", ["de"], root=tmp_path)
    broken.write_text('{"data": [', encoding="utf-8")
    with pytest.raises(DataFormatError, match="cannot be read"):
        load_rows(LAREQA, "test", ["de"], root=tmp_path)
    assert MEWSLIX.candidates is not None
    other = replace(MEWSLIX.candidates, columns={"id": "qid", "text": "description"})
    with pytest.raises(DataFormatError, match=r"candidates of 'mewslix' \(izhx/mewsli-x\) have no column 'qid'"):
        load_rows(replace(MEWSLIX, candidates=other), "test", ["de"], root=toy_mirror)
