"""Sentence retrieval, zero-shot: which translation an encoder's vectors find, and which of its layers is asked.

The choice of the layer moves Tatoeba's accuracy by 26 points for one and the same frozen encoder, so ``auto`` chooses
it by a rule that the bare backbone and every composition follow alike, never on the rows that are scored: where a
threshold has to be fitted anyway, on the rows that it is fitted on (BUCC), else for each language on the mean of all
others (Tatoeba, LAReQA, Mewsli-X). Scores of all layers that were tried are kept with the evaluation. The candidates
are those of the task (``adapterstilts.evaluation.pool_search``) or, where it has none, the rows that are scored: a
sample of them (``max_examples``) has fewer then, and is easier.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import Rows
from adapterstilts.errors import SettingsError
from adapterstilts.evaluation.kept import Evaluation, keep_evaluation, kept_evaluation
from adapterstilts.evaluation.pool_search import Reader, mined, pool_threshold, pool_values, ranked, reads
from adapterstilts.evaluation.retrieval import (
    DEFAULT_ENGINE,
    Engine,
    Pair,
    mined_pairs,
    nearest_pairs,
    pair_threshold,
)
from adapterstilts.evaluation.scoring import scores_of, statistics_by_language
from adapterstilts.evaluation.sentence_vectors import (
    DEFAULT_POOLING,
    Pooling,
    check_layer,
    layer_count,
    sentence_vectors,
)
from adapterstilts.evaluation.zero_shot import EvaluationRequest, task_of
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.models.backbone import Backbone, load_backbone
from adapterstilts.models.saved import is_headless, load_backbone_of, load_composed, load_headless
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.formats import Answer, EncodingSettings

if TYPE_CHECKING:
    from adapterstilts.models.identity import BackboneIdentity

#: Metrics of pairs that are mined: a sentence may have no translation among the candidates, a threshold decides.
MINED = ("bucc_f1", "bucc_pool_f1")

Found = Mapping[int, Mapping[str, list[Any]]]
"""By layer and language, pairs whose positions are those of the rows, or hits among candidates."""


@dataclass(frozen=True)
class Search:
    """What is searched with what; the rows are the same for every encoder that is compared."""

    rows: Rows
    """Rows that are scored."""
    fitting: Rows | None
    """Other rows, on which layer and thresholds are chosen; None where the task has none."""
    layer: int | None
    """The layer to take; None chooses it."""
    settings: EncodingSettings
    request: EvaluationRequest
    pooling: Pooling = DEFAULT_POOLING
    engine: Engine = DEFAULT_ENGINE

    def __post_init__(self) -> None:
        if self.layer is None and self.fitting is None and len(self.rows.languages) < 2:
            raise SettingsError(
                f"--layer auto chooses the layer for a language of '{self.rows.task.name}' on the other languages, and "
                f"there is only {self.rows.languages[0]}. Name more --languages, or give --layer N."
            )

    @property
    def mined(self) -> bool:
        """Whether a threshold decides which pairs count."""
        return self.rows.task.metric in MINED

    def identity(self) -> dict[str, Any]:
        """Return what decides the outcome, besides the encoder."""
        return {
            "version": FORMAT_VERSION,
            "kind": "evaluation",
            "task": self.rows.task.name,
            "metric": self.rows.task.metric,
            "rows": self.rows.fingerprint,
            "fitting": self.fitting.fingerprint if self.fitting else None,
            "layer": "auto" if self.layer is None else self.layer,
            "encoding": dataclasses.asdict(self.settings),
            "precision": self.request.precision,
            "pooling": self.pooling,
            "search": self.engine,
        }


def search_for(
    request: EvaluationRequest,
    rows: Rows,
    settings: EncodingSettings,
    layer: int | None,
    *,
    pooling: Pooling = DEFAULT_POOLING,
    engine: Engine = DEFAULT_ENGINE,
) -> Search:
    """Return the search of rows, with the rows to fit it on, which have the same candidates.

    Raises:
        SettingsError: the layer cannot be chosen; says why.
        DataUnavailableError: there are no validation rows for a language.
    """
    task = rows.task
    fitting = None
    if "validation" in task.sources and rows.split != "validation" and task.metric in MINED:
        fitting = replace(request, split="validation", languages=rows.languages).rows(task, rows.candidates)
    return Search(rows, fitting, layer, settings, request, pooling, engine)


def run_search(
    artifact: Artifact | None,
    search: Search,
    store: Store,
    *,
    identity: BackboneIdentity,
    backbone: str | None = None,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Search with the adapter of an artifact, or with the bare backbone; or return what was found before.

    Args:
        artifact: of kind ``intermediate``, ``merged``, ``mixed`` or ``fusion``; None is the bare backbone.
        search: rows and layer.
        store: where answers are kept.
        identity: of the backbone.
        backbone: its id or folder, where it is no longer where the identity says.
        reporter: told of the progress.

    Raises:
        AdapterStiltsError: rows, artifact or layer do not fit; nothing is stored then.
    """
    reporter = reporter or Reporter()
    started = time.perf_counter()
    encoder = {"artifact": artifact.fingerprint} if artifact is not None else {"backbone": identity.key}
    told = {**search.identity(), **encoder}
    key = fingerprint(told)
    name = str(artifact.manifest["name"]) if artifact is not None else "none"
    of = artifact.id if artifact is not None else identity.id
    title = f"{name}.{search.rows.task.name}"
    found = kept_evaluation(store, key, search.rows, started, name=title, of=of)
    if found is not None:
        return found
    store.check_writable()
    if artifact is not None and is_headless(artifact):
        loaded = load_headless(artifact, load_backbone_of(artifact, backbone)).backbone
    elif artifact is not None:
        loaded = load_composed(artifact, load_backbone_of(artifact, backbone), task_of(artifact)).backbone
    else:
        loaded = load_backbone(backbone or identity.id, identity.hub_revision)
    loaded.to_device()
    answers, more = _answers(loaded, search, store, name, reporter)
    more |= {"of": of, "identity": told}
    return keep_evaluation(store, title, key, search.rows, answers, time.perf_counter() - started, more)


def _answers(
    backbone: Backbone, search: Search, store: Store, name: str, reporter: Reporter
) -> tuple[list[Answer], dict[str, Any]]:
    """Return an answer a row, and what the manifest says of layers and thresholds."""
    if search.layer is not None:
        check_layer(backbone, search.layer)
    layers = range(layer_count(backbone) + 1) if search.layer is None else [search.layer]

    def found_in(rows: Rows, layers: Sequence[int]) -> tuple[Found, Mapping[str, int]]:
        return _found(backbone, search, rows, layers, store, f"Searching with {name}", reporter)

    fitting = search.fitting
    fitted_rows = fitting or search.rows
    scored: Found
    if search.rows.candidates is not None:
        fitted, scored, report = _found_in_pool(backbone, search, layers, store, f"Searching with {name}", reporter)
    else:
        fitted, report = found_in(fitted_rows, layers)
        scored = fitted
    threshold = _threshold if search.rows.candidates is None else pool_threshold
    thresholds = {
        layer: {code: threshold(pairs, fitted_rows, code) if search.mined else None for code, pairs in found.items()}
        for layer, found in fitted.items()
    }
    sweep = {layer: _scores(fitted_rows, fitted[layer], thresholds[layer]) for layer in layers}
    if search.layer is not None:
        chosen, chosen_on = dict.fromkeys(search.rows.languages, search.layer), "asked for"
    elif fitting is not None:
        best = _best(sweep, fitting.languages)
        chosen, chosen_on = dict.fromkeys(search.rows.languages, best), "validation rows"
    else:
        codes = search.rows.languages
        chosen = {code: _best(sweep, [other for other in codes if other != code]) for code in codes}
        chosen_on = "the other languages"
    if fitting is not None and search.rows.candidates is None:
        scored, report = found_in(search.rows, sorted(set(chosen.values())))
    pairs = {code: scored[chosen[code]][code] for code in search.rows.languages}
    limits = {code: thresholds[chosen[code]][code] for code in search.rows.languages}
    more: dict[str, Any] = {
        "encoding": dict(report),
        "layers": {
            "chosen": chosen,
            "chosen_on": chosen_on,
            "pooling": search.pooling,
            "sweep": {str(layer): {code: round(score, 2) for code, score in by.items()} for layer, by in sweep.items()},
        },
    }
    if search.mined:
        more["thresholds"] = limits
    values = _values if search.rows.candidates is None else pool_values
    return [Answer(value, score) for value, score in values(search.rows, pairs, limits)], more


def _found_in_pool(
    backbone: Backbone, search: Search, layers: Sequence[int], store: Store, title: str, reporter: Reporter
) -> tuple[Found, Found, Mapping[str, int]]:
    """Return what each layer finds among the candidates for the rows to fit on, and for those that are scored."""
    done = 0

    def read(count: int) -> None:
        nonlocal done
        done += count
        reporter.advance(done)

    reader = Reader(
        backbone,
        search.settings,
        search.request.batch_size,
        search.request.precision,
        search.pooling,
        search.engine,
        store.home,
        read,
    )
    parts = [search.rows] if search.fitting is None else [search.fitting, search.rows]
    reporter.begin(f"{title} in {len(search.rows.languages)} languages", reads(parts, layers, reader))
    try:
        if not search.mined:
            hits, report = ranked(search.rows, layers, reader)
            return hits, hits, report
        found, report = mined(parts, layers, reader)
    finally:
        reporter.end()
    return found[0], found[-1], report


def _found(
    backbone: Backbone,
    search: Search,
    rows: Rows,
    layers: Sequence[int],
    store: Store,
    title: str,
    reporter: Reporter,
) -> tuple[Found, Mapping[str, int]]:
    """Return the pairs that each layer finds in each language, one language in memory at a time."""
    encoded = encode_rows(rows, backbone.tokenizer, search.settings, training=False, home=store.home)
    found: dict[int, dict[str, list[Pair]]] = {layer: {} for layer in layers}
    texts, translations = rows.table["text"][:], rows.table["text_pair"][:]
    reporter.begin(f"{title} in {len(rows.languages)} languages", len(encoded))
    done = 0
    try:
        for code in rows.languages:
            own = rows.of_language(code)
            # Tatoeba is scored by rows; of sentences that are mined, equal ones are one.
            sides = [own, own]
            if search.mined:
                sides = [_first_of_each(own, texts), _first_of_each(own, translations)]
            features = encoded.features.select([*sides[0], *(len(rows) + position for position in sides[1])])
            vectors = sentence_vectors(
                backbone,
                features,
                layers,
                batch_size=search.request.batch_size,
                precision=search.request.precision,
                pooling=search.pooling,
                progress=lambda count, before=done: reporter.advance(before + count),  # type: ignore[misc]
            )
            done += len(features)
            for layer, values in zip(layers, vectors, strict=True):
                left, right = values[: len(sides[0])], values[len(sides[0]) :]
                if search.mined:
                    pairs = mined_pairs(left, right, engine=search.engine)
                else:  # as XTREME does: the English sentences are looked for among those of the language
                    pairs = nearest_pairs(right, left, engine=search.engine)
                found[layer][code] = [Pair(score, sides[0][one], sides[1][other]) for score, one, other in pairs]
    finally:
        reporter.end()
    return found, encoded.report


def _first_of_each(positions: Sequence[int], texts: Sequence[str]) -> list[int]:
    return list({texts[position]: position for position in reversed(positions)}.values())[::-1]


def _threshold(pairs: Sequence[Pair], rows: Rows, language: str) -> float:
    """Return the margin from which on pairs count, the best for rows whose translations are known."""
    texts, translations = rows.table["text"][:], rows.table["text_pair"][:]
    gold = {(texts[position], translations[position]) for position in rows.of_language(language)}
    right = [(texts[pair.source], translations[pair.target]) in gold for pair in pairs]
    return pair_threshold([pair.score for pair in pairs], right, len(gold))


def _scores(rows: Rows, pairs: Mapping[str, list[Any]], limits: Mapping[str, float | None]) -> dict[str, float]:
    """Return the main score in each language."""
    values = _values if rows.candidates is None else pool_values
    statistics = statistics_by_language(rows, [value for value, _ in values(rows, pairs, limits)])
    return {code: next(iter(scores_of(rows.task.metric, table).values())) for code, table in statistics.items()}


def _best(sweep: Mapping[int, Mapping[str, float]], codes: Sequence[str]) -> int:
    """Return the layer with the best mean over languages; the lowest of several."""
    means = {layer: sum(scores[code] for code in codes) / len(codes) for layer, scores in sweep.items()}
    return max(means, key=lambda layer: (means[layer], -layer))


def _values(
    rows: Rows, pairs: Mapping[str, list[Pair]], limits: Mapping[str, float | None]
) -> list[tuple[str, float | None]]:
    """Return for each row the id of the row whose translation was found, with its score; empty where none was."""
    ids, texts, translations = (rows.table[name][:] for name in ("id", "text", "text_pair"))
    values: list[tuple[str, float | None]] = [("", None)] * len(rows)
    for code, found in pairs.items():
        limit = limits[code]
        rows_with: dict[str, list[int]] = {}
        for position in rows.of_language(code) if limit is not None else ():
            rows_with.setdefault(texts[position], []).append(position)
        for score, source, target in found:
            if limit is None:
                values[source] = (ids[target], score)
            elif score >= limit:
                # A sentence that stands in several rows is mined once: for the row of the translation that was found.
                own = [row for row in rows_with[texts[source]] if translations[row] == translations[target]]
                values[own[0] if own else source] = (ids[own[0] if own else target], score)
    return values
