"""What trained artifacts answer to rows: one by one, or in one pass where they share the part below their adapters."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import Rows
from adapterstilts.evaluation.inference import mean_logits, predict_by_language, predict_logits, predict_together
from adapterstilts.evaluation.scoring import decoded
from adapterstilts.evaluation.unanswerable import NO_ANSWER_THRESHOLD
from adapterstilts.models.expression import ENSEMBLE
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.languages import LanguageAdapter, own_language
from adapterstilts.models.lower_layers import layers_below, one_backbone
from adapterstilts.models.saved import load_backbone_of, load_composed, members_of, read_composition
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact
from adapterstilts.tasks.formats import Answer, Encoded, EncodingSettings

if TYPE_CHECKING:
    import numpy as np

    from adapterstilts.models.backbone import ComposedModel

MOST_TOGETHER = 8
"""Compositions of one pass, at most: all their logits are in memory at its end."""


@dataclass(frozen=True)
class Answered:
    """What an artifact answers to rows."""

    answers: list[Answer]
    """One a row."""
    report: Mapping[str, int]
    """What was counted when the rows were encoded."""
    seconds: float
    """That it took; of a pass that several took part in, this one's share."""
    together: int
    """Compositions that took part in its pass."""


def threshold_of(artifact: Artifact) -> float | None:
    """Return the threshold for no answer that an artifact's validation rows gave, None where it needs none."""
    threshold = artifact.manifest.get("metrics", {}).get("validation", {}).get(NO_ANSWER_THRESHOLD)
    return None if threshold is None else float(threshold)


def more_dropped(artifact: Artifact, layers: Sequence[int]) -> tuple[int, ...]:
    """Return those layers of the given ones in which an artifact has adapters."""
    members = members_of(artifact) if layers else ()
    own = frozenset.intersection(*(read_composition(member).left_out for member in members)) if members else ()
    return tuple(layer for layer in layers if layer not in own)


def encoding_settings(artifact: Artifact) -> EncodingSettings:
    """Return the lengths that an artifact was trained with."""
    settings = artifact.manifest["settings"]
    return EncodingSettings(max_length=settings["max_length"], doc_stride=settings["doc_stride"])


def passes(artifacts: Sequence[Artifact], drop_layers: Sequence[int] = ()) -> list[list[Artifact]]:
    """Cut artifacts into those that are answered in one pass, in their order.

    In one pass go neighbours whose lowest layers are the same function of the same tokens, since no adapter works
    there: those layers are run once for all of them. An ensemble is by itself, and so is what reads each language on an
    adapter of its own.

    Args:
        artifacts: of one task, of kind ``intermediate``, ``target`` or ``ensemble``.
        drop_layers: in which no adapter works now, beside those that the artifacts leave out.
    """
    found: list[list[Artifact]] = []
    for key, group in itertools.groupby(artifacts, lambda artifact: _lower_part(artifact, drop_layers)):
        members = list(group)
        size = 1 if key is None else MOST_TOGETHER
        found += [members[start : start + size] for start in range(0, len(members), size)]
    return found


def _lower_part(artifact: Artifact, drop_layers: Sequence[int]) -> tuple[Any, ...] | None:
    """Return what tells the layers below an artifact's first adapter from others, None where there are none."""
    if artifact.kind == ENSEMBLE or own_language(artifact) is not None:
        return None
    composition = read_composition(artifact)
    if composition.head.kind == "masked_lm":
        return None  # its logits are those of the hidden tokens alone
    dropped = more_dropped(artifact, drop_layers)
    count = layers_below(composition.without(dropped) if dropped else composition)
    backbone = BackboneIdentity(**artifact.manifest["backbone"])
    return (count, tuple(backbone.key.items()), encoding_settings(artifact)) if count else None


def answers_of(
    artifacts: Sequence[Artifact],
    rows: Rows,
    *,
    title: str,
    batch_size: int,
    precision: str,
    drop_layers: Sequence[int] = (),
    adapters: Mapping[str, LanguageAdapter | None] | None = None,
    backbone: str | None = None,
    home: Path | None = None,
    reporter: Reporter,
) -> Iterator[Answered]:
    """Yield what artifacts answer to rows, in their order.

    The members of an ensemble answer the same features; their logits are averaged before they are decoded. Models are
    loaded as they come to be run, one at a time where ``passes`` does not put them together.

    Args:
        artifacts: one pass of ``passes``.
        rows: of their task.
        title: what the reporter is told that this is.
        batch_size, precision: as for ``predict_logits``.
        drop_layers: in which no adapter and no fusion works now.
        adapters: for a composition on a language adapter, or an ensemble of such, what takes its place, by code of the
            language of the rows; None leaves the one that it was trained on there for all.
        backbone: id or folder of the backbone, where it is no longer where the artifacts say.
        home: folder of the store that keeps encoded rows; None keeps none.
        reporter: told of the progress.

    Raises:
        ArtifactError: one is not whole, or of another backbone.
    """
    members = [members_of(artifact) for artifact in artifacts]
    settings = encoding_settings(artifacts[0])
    every = list(itertools.chain.from_iterable(members))
    encoded: Encoded | None = None
    done = 0

    def loaded(member: Artifact) -> ComposedModel:
        dropped = more_dropped(member, drop_layers)
        return load_composed(member, load_backbone_of(member, backbone), rows.task, drop_layers=dropped)

    def logits_of(group: Sequence[Artifact]) -> list[list[np.ndarray]]:
        nonlocal encoded, done
        models = one_backbone(loaded(member) for member in group)
        if encoded is None:
            encoded = encode_rows(rows, models[0].backbone.tokenizer, settings, training=False, home=home)
            reporter.begin(title, len(encoded) * len(every))
        before, weight = done, len(group)
        done += len(encoded) * weight
        how: dict[str, Any] = {
            "batch_size": batch_size,
            "precision": precision,
            "progress": lambda count: reporter.advance(before + count * weight),
        }
        if adapters is not None:
            return [predict_by_language(models[0], rows.table["language"][:], encoded, adapters, **how)]
        if len(models) == 1:
            return [predict_logits(models[0], encoded, **how)]
        return predict_together(models, encoded, **how)

    def each() -> Iterator[tuple[list[np.ndarray], float, int]]:
        """Yield the logits of each member, with its seconds and the size of its pass."""
        for group in passes(every, drop_layers) if adapters is None else [[member] for member in every]:
            started = time.perf_counter()
            found = logits_of(group)
            seconds = (time.perf_counter() - started) / len(group)
            while found:
                yield found.pop(0), seconds, len(group)
            gc.collect()  # a model that is done with holds itself in circles, and would stay beside the next one

    parts = each()
    try:
        for artifact, own in zip(artifacts, members, strict=True):
            taken: list[tuple[float, int]] = []

            def logits(count: int = len(own), taken: list[tuple[float, int]] = taken) -> Iterator[list[np.ndarray]]:
                for values, seconds, together in itertools.islice(parts, count):
                    taken.append((seconds, together))
                    yield values

            mean = mean_logits(logits())
            assert encoded is not None
            started = time.perf_counter()
            answers = decoded(rows, encoded, mean, settings, threshold_of(artifact))
            seconds = time.perf_counter() - started + sum(seconds for seconds, _ in taken)
            yield Answered(answers, encoded.report, seconds, max(together for _, together in taken))
    finally:
        if encoded is not None:
            reporter.end()
