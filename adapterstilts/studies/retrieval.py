"""``compose EXPR --target tatoeba``: nothing is trained for the target, an encoder's sentence vectors are compared.

The composition's intermediate adapter, or a fusion that was trained on the intermediate tasks, is active in the frozen
backbone; the baseline is the bare backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapterstilts.errors import ExpressionError, SettingsError
from adapterstilts.evaluation.kept import Evaluation
from adapterstilts.evaluation.retrieval import DEFAULT_ENGINE, check_engine
from adapterstilts.evaluation.sentence_search import run_search, search_for
from adapterstilts.evaluation.sentence_vectors import DEFAULT_POOLING, check_pooling
from adapterstilts.evaluation.zero_shot import EvaluationRequest
from adapterstilts.models.backbone import input_limit
from adapterstilts.models.expression import Chain, Ensemble, Expression, Fusion, Nothing, Search
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.studies.outcome import Transfer, evaluation_json
from adapterstilts.tasks.spec import TaskSpec
from adapterstilts.training.stages import TrainingStage

#: Settings that matter where nothing is trained for the target: the adapter's shape, and how sentences are read.
USED = ("adapter", "reduction_factor", "batch_size", "max_length", "precision", "sample_seed")

Intermediates = Callable[[int], tuple[tuple[Artifact, ...], list[dict[str, Any]]]]


def check_retrieval(
    expression: Expression,
    task: TaskSpec,
    layer: str | None,
    given: Mapping[str, Any],
    seeds: Sequence[int],
    fused_on: str | None = None,
) -> int | None:
    """Refuse what has no meaning without a target stage; return the layer, None for ``auto``.

    Raises:
        ExpressionError: a fusion that would have to be trained with a target, an ensemble or a search was asked for.
        SettingsError: settings of a training, several seeds, or no layer were given.
    """
    if isinstance(expression, Fusion) and not fused_on:
        raise ExpressionError(
            f"'{expression}' is a fusion, which is trained with the target adapter; '{task.name}' trains nothing. Name "
            f"one adapter: {' or '.join(repr(str(part)) for part in expression.parts)}; or train the fusion on the "
            "intermediate tasks: --fuse-on intermediate."
        )
    if isinstance(expression, Chain):
        raise ExpressionError(
            f"'{expression}' tells where the target adapter starts, and '{task.name}' trains none. Say "
            f"'{expression.start}'."
        )
    if isinstance(expression, Ensemble):
        raise ExpressionError(
            f"'{expression}' averages the answers of trained adapters, and '{task.name}' trains none: it compares the "
            f"vectors of one encoder. Name one part: {' or '.join(repr(str(part)) for part in expression.parts)}."
        )
    if isinstance(expression, Search):
        raise ExpressionError(
            f"'{expression}' finds weights on the rows that a target is trained and validated on, and '{task.name}' "
            f"trains nothing. Say '{expression.average}'."
        )
    used = (*USED, "fusion_dropout") if fused_on else USED
    if idle := [name for name, value in given.items() if value is not None and name not in used]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
        raise SettingsError(f"'{task.name}' trains nothing, so that {flags} would have no effect; leave it out.")
    if len(seeds) > 1:
        raise SettingsError(
            f"'{task.name}' trains nothing, so that --seeds would have no effect. Train intermediate adapters with "
            "several seeds and name each with --use ID."
        )
    if layer in (None, "auto"):
        return None
    if layer is None or not layer.isdecimal():
        raise SettingsError(f"--layer '{layer}' is neither auto nor the number of a layer, 0 for the embeddings.")
    return int(layer)


def compose_retrieval(
    expression: Expression,
    plain: TrainingStage,
    request: EvaluationRequest,
    options: Mapping[str, str | None],
    given: Mapping[str, Any],
    seeds: tuple[int, ...],
    store: Store,
    intermediates: Intermediates,
    backbone: str,
    reporter: Reporter,
    *,
    fused_on: str | None = None,
) -> Transfer:
    """Compare the sentence vectors of a backbone with an intermediate adapter with those of the bare backbone.

    Args:
        expression: ``squad`` or ``none``; with ``fused_on`` also a fusion.
        plain: the target's stage, which is never run: it tells task, settings and backbone.
        request: rows.
        options: what the user gave, else None: ``layer``, the number of the layer whose vectors are compared, or
            ``auto``; ``pooling`` (mean); ``search`` (torch).
        given: the settings that the user gave.
        seeds: as the user gave them.
        store: where answers are kept.
        intermediates: given the longest input of the backbone, returns the adapters of the expression, trained where
            the store has none, and their stages.
        backbone: what the user named.
        reporter: told of the progress.
        fused_on: ``intermediate`` where the expression is a fusion that is trained on the intermediate tasks.

    Raises:
        AdapterStiltsError: says what is wrong and what to do.
    """
    task, identity = plain.task, plain.backbone
    number = check_retrieval(expression, task, options.get("layer"), given, seeds, fused_on)
    pooling = check_pooling(options.get("pooling") or DEFAULT_POOLING)
    engine = check_engine(options.get("search") or DEFAULT_ENGINE)
    limit = input_limit(backbone, identity.hub_revision)
    plain.check_length(limit)
    rows = request.rows(task)
    search = search_for(request, rows, plain.settings.encoding, number, pooling=pooling, engine=engine)

    def searched(artifact: Artifact | None) -> Evaluation:
        return run_search(artifact, search, store, identity=identity, backbone=backbone, reporter=reporter)

    # The baseline comes first: what is wrong with the layer shows before an adapter is trained.
    bare = searched(None)
    stages: list[dict[str, Any]] = []
    artifacts: tuple[Artifact, ...] = (bare.artifact,)
    evaluations, baselines = [bare], []
    if not isinstance(expression, Nothing):
        artifacts, stages = intermediates(limit)
        evaluations, baselines = [searched(artifacts[0])], [bare]
    return Transfer(
        target=task,
        composition=str(expression),
        backbone=identity.id,
        split=rows.split,
        seeds=seeds,
        compared=(evaluations, baselines),
        artifacts=artifacts,
        baselines=(),
        evaluations=tuple(evaluation.artifact for evaluation in evaluations),
        stages=(*stages, *(evaluation_json(evaluation) for evaluation in (*evaluations, *baselines))),
        skipped=rows.skipped,
        fused_on=fused_on,
        layers={
            "composition": evaluations[0].artifact.manifest.get("layers"),
            "baseline": baselines[0].artifact.manifest.get("layers") if baselines else None,
        },
    )
