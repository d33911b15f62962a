"""Search among candidates that are no rows: rankings of a pool, pairs mined between a pool and sentences.

Sizes stay bounded: candidates to be ranked are encoded a part at a time, and forgotten once they are weighed; where
both sides have to be held, to mine pairs, as many layers are held at once as memory allows, and the sentences are read
again for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import Rows
from adapterstilts.evaluation.retrieval import Engine, Nearest, mined_pairs, pair_threshold, unit
from adapterstilts.evaluation.sentence_vectors import Pooling, sentence_vectors
from adapterstilts.tasks.formats import FORMATS, EncodingSettings

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset
    from torch import Tensor

    from adapterstilts.models.backbone import Backbone

VECTOR_BYTES = 2**30
"""Bytes of vectors, of all layers, that are held at once, besides those of the questions."""
LEAST_PART, MOST_PART = 2**8, 2**15
"""Candidates that are made token ids at once, at least and at most."""


class Hit(NamedTuple):
    """What was found for a row."""

    score: float
    row: int
    ids: tuple[str, ...]
    """Of candidates, best first; one where pairs are mined."""


Hits = Mapping[int, Mapping[str, list[Hit]]]
"""By layer and language."""


@dataclass(frozen=True)
class Reader:
    """An encoder, and how it reads sentences."""

    backbone: Backbone
    settings: EncodingSettings
    batch_size: int
    precision: str
    pooling: Pooling
    engine: Engine
    home: Path | None
    """Where encodings of rows are kept; None keeps none. Those of candidates never are."""
    progress: Callable[[int], None]
    """Told how many more sentences were read."""

    def vectors(self, features: Dataset, layers: Sequence[int]) -> Tensor:
        """Return vectors of encoded sentences, shape (layers, sentences, hidden)."""
        before = 0

        def told(count: int) -> None:
            nonlocal before
            self.progress(count - before)
            before = count

        return sentence_vectors(
            self.backbone,
            features,
            layers,
            batch_size=self.batch_size,
            precision=self.precision,
            pooling=self.pooling,
            progress=told,
        )

    def of_candidates(self, rows: Rows, part: Sequence[int], layers: Sequence[int]) -> Tensor:
        """Return vectors of some candidates, shape (layers, candidates, hidden)."""
        import torch

        assert rows.candidates is not None
        found = []
        for start in range(0, len(part), MOST_PART):
            texts = rows.candidates.table.select(part[start : start + MOST_PART])
            encoded = FORMATS[rows.task.format].encode(
                rows.task, texts, self.backbone.tokenizer, self.settings, training=False
            )
            found.append(self.vectors(encoded.features, layers))
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)

    def held(self, layers: int) -> int:
        """Return how many sentences' vectors may be held at once."""
        return VECTOR_BYTES // (4 * layers * int(self.backbone.model.config.hidden_size))


def reads(rows: Sequence[Rows], layers: Sequence[int], reader: Reader) -> int:
    """Return how many sentences a search reads, for its progress."""
    candidates = rows[0].candidates
    assert candidates is not None
    if candidates.one_pool:
        return len(candidates) + sum(map(len, rows))
    total = 0
    for code in rows[0].languages:
        sentences = sum(len(part.of_language(code)) for part in rows) + len(candidates.pool(code))
        total += sentences * len(_groups(layers, sentences, reader))
    return total


def ranked(rows: Rows, layers: Sequence[int], reader: Reader) -> tuple[Hits, Mapping[str, int]]:
    """Rank the candidates of one pool for each row by the cosine of their vectors.

    Args:
        rows: with candidates of one pool.
        layers: whose vectors are compared, each by itself.
        reader: the encoder.

    Returns:
        the best candidates of each row; and what was counted in encoding the rows.
    """
    from adapterstilts.evaluation.metrics.retrieval import CUTOFF

    candidates = rows.candidates
    assert candidates is not None
    encoded = encode_rows(rows, reader.backbone.tokenizer, reader.settings, training=False, home=reader.home)
    questions = reader.vectors(encoded.features, layers)
    found = [Nearest(unit(vectors), CUTOFF, engine=reader.engine) for vectors in questions]
    size = max(LEAST_PART, min(MOST_PART, reader.held(len(layers))))
    for start in range(0, len(candidates), size):
        part = range(start, min(start + size, len(candidates)))
        for nearest, vectors in zip(found, reader.of_candidates(rows, part, layers), strict=True):
            nearest.add(unit(vectors))
    ids = candidates.table["id"][:]
    languages = {code: rows.of_language(code) for code in rows.languages}
    hits: dict[int, dict[str, list[Hit]]] = {}
    for layer, nearest in zip(layers, found, strict=True):
        scores, positions = nearest.values[:, 0].tolist(), nearest.positions.tolist()
        hits[layer] = {
            code: [Hit(scores[row], row, tuple(ids[at] for at in positions[row])) for row in own]
            for code, own in languages.items()
        }
    return hits, encoded.report


def mined(
    parts: Sequence[Rows], layers: Sequence[int], reader: Reader
) -> tuple[list[dict[int, dict[str, list[Hit]]]], Mapping[str, int]]:
    """Mine pairs between the sentences of all parts together and the candidates of their language.

    Equal sentences are one, as in XTREME's ``mine_bitext``; a pair counts for those among them that are right.

    Args:
        parts: rows with the same candidates and languages, such as those on which a threshold is fitted, and those
            that are scored.
        layers: whose vectors are compared, each by itself.
        reader: the encoder.

    Returns:
        the pairs of each part; and what was counted in encoding the last part.
    """
    candidates = parts[-1].candidates
    assert candidates is not None
    encoded = [
        encode_rows(rows, reader.backbone.tokenizer, reader.settings, training=False, home=reader.home)
        for rows in parts
    ]
    relevant = [rows.table["relevant"][:] for rows in parts]
    hits: list[dict[int, dict[str, list[Hit]]]] = [{layer: {} for layer in layers} for _ in parts]
    for code in parts[-1].languages:
        said: dict[str, list[tuple[int, int]]] = {}
        """By text, the part and the row of each that says it."""
        for number, rows in enumerate(parts):
            texts = rows.table["text"][:]
            for row in rows.of_language(code):
                said.setdefault(texts[row], []).append((number, row))
        pool = candidates.pool(code)
        own = candidates.table.select(pool)
        same: dict[str, list[int]] = {}
        for position, text in enumerate(own["text"]):
            same.setdefault(text, []).append(position)
        ids, sources, targets = own["id"][:], list(said.values()), list(same.values())
        for group in _groups(layers, len(sources) + len(targets), reader):
            left = _of_sources(encoded, sources, group, reader)
            right = reader.of_candidates(parts[-1], [pool[positions[0]] for positions in targets], group)
            for layer, one, other in zip(group, left, right, strict=True):
                for part in hits:
                    part[layer][code] = []
                for score, source, target in mined_pairs(one, other, engine=reader.engine):
                    pairs = [(place, ids[position]) for place in sources[source] for position in targets[target]]
                    right_ones = (pair for pair in pairs if pair[1] in relevant[pair[0][0]][pair[0][1]])
                    (number, row), candidate = next(right_ones, pairs[0])
                    hits[number][layer][code].append(Hit(score, row, (candidate,)))
    return hits, encoded[-1].report


def _groups(layers: Sequence[int], sentences: int, reader: Reader) -> list[Sequence[int]]:
    """Cut layers into runs whose vectors of all sentences can be held at once; one layer in any case."""
    size = max(1, reader.held(1) // max(1, sentences))
    return [layers[start : start + size] for start in range(0, len(layers), size)]


def _of_sources(
    encoded: Sequence[Any], places: Sequence[Sequence[tuple[int, int]]], layers: Sequence[int], reader: Reader
) -> Tensor:
    """Return vectors of the first row of each sentence, shape (layers, sentences, hidden)."""
    import torch

    vectors = []
    order: list[int] = []
    for number, one in enumerate(encoded):
        own = [position for position, rows in enumerate(places) if rows[0][0] == number]
        order += own
        if own:
            vectors.append(reader.vectors(one.features.select([places[position][0][1] for position in own]), layers))
    joined = torch.cat(vectors, dim=1)
    return joined[:, torch.tensor(order, device=joined.device).argsort()]


def pool_threshold(hits: Sequence[Hit], rows: Rows, language: str) -> float:
    """Return the margin from which on pairs count, the best for rows whose translations are known."""
    relevant = rows.table["relevant"][:]
    gold = sum(len(relevant[row]) for row in rows.of_language(language))
    return pair_threshold([hit.score for hit in hits], [hit.ids[0] in relevant[hit.row] for hit in hits], gold)


def pool_values(
    rows: Rows, hits: Mapping[str, Sequence[Hit]], limits: Mapping[str, float | None]
) -> list[tuple[Any, float | None]]:
    """Return for each row what was found, with its score: a ranking of ids, or one id, empty below the threshold."""
    ranking = all(limit is None for limit in limits.values())
    values: list[tuple[Any, float | None]] = [([] if ranking else "", None)] * len(rows)
    for code, found in hits.items():
        limit = limits[code]
        for score, row, ids in found:
            if limit is None:
                values[row] = (list(ids), score)
            elif score >= limit:
                values[row] = (ids[0], score)
    return values
