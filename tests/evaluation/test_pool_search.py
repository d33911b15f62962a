"""Search among candidates: rankings and mined pairs are those of all vectors held at once, however few are held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from adapterstilts.data.rows import Rows, load_rows
from adapterstilts.evaluation import pool_search
from adapterstilts.evaluation.pool_search import Hit, Reader, mined, pool_threshold, pool_values, ranked, reads
from adapterstilts.evaluation.retrieval import mined_pairs, unit
from adapterstilts.evaluation.sentence_vectors import sentence_vectors
from adapterstilts.models.backbone import Backbone
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, EncodingSettings

SETTINGS = EncodingSettings(max_length=64)


@pytest.fixture
def told() -> list[int]:
    return []


@pytest.fixture
def reader(toy_backbone: Backbone, told: list[int]) -> Reader:
    return Reader(toy_backbone, SETTINGS, 16, "fp32", "mean", "torch", None, told.append)


def vectors_of(texts: list[str], backbone: Backbone, layer: int) -> torch.Tensor:
    """Return the vectors of all texts, read at once."""
    from datasets import Dataset

    task = get_task("lareqa")
    encoded = FORMATS["search"].encode(
        task, Dataset.from_dict({"text": texts}), backbone.tokenizer, SETTINGS, training=False
    )
    return unit(sentence_vectors(backbone, encoded.features, [layer])[0])


@pytest.mark.parametrize("part", [2**30, 1])
def test_rankings_whatever_is_held_at_once(
    part: int, reader: Reader, told: list[int], toy_mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = load_rows(get_task("lareqa"), "test", ["de", "ru"], root=toy_mirror)
    assert rows.candidates is not None
    monkeypatch.setattr(pool_search, "VECTOR_BYTES", part)
    monkeypatch.setattr(pool_search, "LEAST_PART", 7)
    hits, report = ranked(rows, [0, 2], reader)
    assert report == {}
    assert sum(told) == reads([rows], [0, 2], reader) == len(rows) + 72
    texts, ids = rows.candidates.table["text"][:], rows.candidates.table["id"][:]
    for layer in (0, 2):
        products = (
            vectors_of(rows.table["text"][:], reader.backbone, layer) @ vectors_of(texts, reader.backbone, layer).T
        )
        for code in ("de", "ru"):
            assert [hit.row for hit in hits[layer][code]] == rows.of_language(code)
            for score, row, found in hits[layer][code]:
                values = dict(zip(ids, products[row].tolist(), strict=True))
                assert len(set(found)) == 20
                assert score == pytest.approx(max(values.values()), abs=1e-5)
                expected = sorted(values.values(), reverse=True)[:20]
                assert [values[key] for key in found] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("held", [2**30, 1])
def test_pairs_are_mined_among_all_sentences_of_both_parts(
    held: int, reader: Reader, told: list[int], toy_mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_search, "VECTOR_BYTES", held)
    test = load_rows(get_task("bucc_pools"), "test", ["de", "ru"], root=toy_mirror)
    fitting = load_rows(get_task("bucc_pools"), "validation", ["de", "ru"], root=toy_mirror)
    found, report = mined([fitting, test], [1, 2], reader)
    assert report == {}
    assert test.candidates is not None
    layers_at_once = 2 if held > 1 else 1
    if len(set(test.candidates.table["text"])) == 160:
        assert sum(told) == reads([fitting, test], [1, 2], reader) == 320 * 2 / layers_at_once
    for code in ("de", "ru"):
        own = [(rows, row) for rows in (fitting, test) for row in rows.of_language(code)]
        texts = list(dict.fromkeys(rows.table["text"][row] for rows, row in own))
        pool = test.candidates.table.select(test.candidates.pool(code))
        targets = list(dict.fromkeys(pool["text"]))
        by_text = dict(zip(pool["text"], pool["id"], strict=True))
        expected = mined_pairs(vectors_of(texts, reader.backbone, 2), vectors_of(targets, reader.backbone, 2))
        pairs = {
            (rows.table["text"][hit.row], hit.ids[0]): hit.score
            for rows, hits in zip((fitting, test), found, strict=True)
            for hit in hits[2][code]
        }
        assert pairs == pytest.approx(
            {(texts[pair.source], by_text[targets[pair.target]]): pair.score for pair in expected}, abs=1e-4
        )


def toy_rows(texts: list[str], relevant: list[list[str]], candidates: list[str]) -> Rows:
    from datasets import Dataset

    from adapterstilts.data.candidates import Candidates
    from adapterstilts.data.rows import to_table

    task = get_task("bucc_pools")
    table: list[dict[str, Any]] = [
        {"id": f"de-{number}", "language": "de", "text": text, "relevant": ids}
        for number, (text, ids) in enumerate(zip(texts, relevant, strict=True))
    ]
    pool = Dataset.from_dict({"id": [f"en-{number}" for number in range(len(candidates))], "text": candidates})
    return Rows(
        task, "test", to_table(task, table), ("de",), (), {}, Candidates(pool, {"de": range(len(pool))}, False, None)
    )


def test_of_equal_sentences_the_right_pair_is_taken(reader: Reader) -> None:
    rows = toy_rows(["the cat", "Anna", "the cat"], [[], ["en-3"], ["en-2"]], ["the cat", "water", "the cat", "Anna"])
    (found,), _ = mined([rows], [0], reader)
    pairs = {hit.row: hit.ids for hit in found[0]["de"]}
    assert pairs == {1: ("en-3",), 2: ("en-2",)}


def test_thresholds_and_values() -> None:
    rows = toy_rows(["a", "b", "c"], [["en-0"], [], ["en-1", "en-2"]], ["A", "B", "C"])
    hits = [Hit(1.5, 0, ("en-0",)), Hit(1.3, 2, ("en-2",)), Hit(1.1, 1, ("en-1",))]
    assert pool_threshold(hits, rows, "de") == pytest.approx(1.2)
    assert pool_values(rows, {"de": hits}, {"de": 1.2}) == [("en-0", 1.5), ("", None), ("en-2", 1.3)]
    ranking = [Hit(0.5, 1, ("en-2", "en-0"))]
    assert pool_values(rows, {"de": ranking}, {"de": None}) == [([], None), (["en-2", "en-0"], 0.5), ([], None)]
