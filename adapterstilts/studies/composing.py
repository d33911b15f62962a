"""The stages of ``compose``: intermediate adapters and targets are trained, then all that they answer is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapterstilts.data.rows import Rows
from adapterstilts.data.sources import check_rows_access
from adapterstilts.errors import SettingsError
from adapterstilts.evaluation.kept import Evaluation
from adapterstilts.evaluation.zero_shot import EvaluationRequest, run_evaluations
from adapterstilts.models.backbone import identify, input_limit, layer_count
from adapterstilts.models.expression import Ensemble, Expression, Fusion, Nothing, Search, members, needed
from adapterstilts.models.grammar import parse
from adapterstilts.models.languages import LanguageAdapter
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.studies.intermediates import fused_intermediates, intermediate_adapters, read_fuse_on
from adapterstilts.studies.language_adapters import LanguageAdapters, checked_choice
from adapterstilts.studies.outcome import Transfer, evaluation_json
from adapterstilts.studies.requests import Folder, checked_seeds, evaluation_request
from adapterstilts.tasks.spec import DEFAULT_SUITE, TaskSpec
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.ensembles import EnsembleStage, check_ensemble, run_ensemble
from adapterstilts.training.recipes import recipe_settings
from adapterstilts.training.searches import SearchStage, run_weight_search
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import StageResult, TrainingStage, run_stage


@dataclass(frozen=True)
class Composed:
    """An expression under a target, and its baseline: trained on each seed, and not evaluated yet."""

    expression: Expression
    target: TaskSpec
    backbone_id: str
    settings: TrainingSettings
    seeds: tuple[int, ...]
    artifacts: tuple[Artifact, ...]
    """The compositions, one a seed."""
    baselines: tuple[Artifact, ...]
    """One a seed; none where the expression is the baseline."""
    stages: tuple[dict[str, Any], ...]
    """What was trained or reused, with the seconds each took."""
    request: EvaluationRequest
    rows: Rows
    """That are to be answered."""
    store: Store
    backbone: str
    """What the user named."""
    adapters: Mapping[str, LanguageAdapter | None] | None
    """The adapter of each evaluated language; None where they are on no language adapter."""
    fused_on: str | None

    @property
    def cut(self) -> bool:
        """Whether no adapter works in the lowest layer, so that an evaluation can share layers with others."""
        return 0 in self.settings.dropped and self.adapters is None

    def transfer(self, evaluations: Mapping[str, Evaluation]) -> Transfer:
        """Return what comes of it.

        Args:
            evaluations: of its compositions and baselines, by the artifact's id.
        """
        compared = tuple([evaluations[each.id] for each in part] for part in (self.artifacts, self.baselines))
        told = (evaluation_json(evaluation) for part in compared for evaluation in part)
        return Transfer(
            target=self.target,
            composition=str(self.expression),
            backbone=self.backbone_id,
            split=self.rows.split,
            seeds=self.seeds,
            compared=(compared[0], compared[1]),
            artifacts=self.artifacts,
            baselines=self.baselines,
            evaluations=tuple(evaluation.artifact for evaluation in compared[0]),
            stages=(*self.stages, *told),
            skipped=self.rows.skipped,
            fused_on=self.fused_on,
            language_adapters=self.adapters,
        )


def evaluate_all(made: Sequence[Composed], *, reporter: Reporter | None = None) -> dict[str, Evaluation]:
    """Evaluate what was composed for one target, on the same rows.

    Args:
        made: with the same request, store and backbone.
        reporter: told of the progress.

    Returns:
        the evaluations by the artifact's id.

    Raises:
        AdapterStiltsError: an artifact cannot be read. What was finished is kept.
    """
    first = made[0]
    own: dict[str, tuple[Artifact, Mapping[str, LanguageAdapter | None] | None]] = {
        artifact.id: (artifact, one.adapters) for one in made for artifact in (*one.artifacts, *one.baselines)
    }
    evaluations = run_evaluations(
        [artifact for artifact, _ in own.values()],
        first.request,
        first.store,
        rows=first.rows,
        backbone=first.backbone,
        adapters={own_id: adapters for own_id, (_, adapters) in own.items()},
        reporter=reporter,
    )
    return dict(zip(own, evaluations, strict=True))


def train_targets(
    expression: str,
    *,
    target: str,
    suite: str = DEFAULT_SUITE,
    backbone: str | None = None,
    revision: str | None = None,
    data_root: Folder | None = None,
    store: Folder | Store | None = None,
    settings: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (0,),
    use: Sequence[str] = (),
    train_missing: bool = True,
    fuse_on: str | None = None,
    languages: str = "all",
    split: str | None = None,
    max_eval_examples: int | None = None,
    layer: str | None = None,
    pooling: str | None = None,
    search: str | None = None,
    language_adapters: str | None = None,
    language_adapter: Sequence[str] = (),
    language_fallback: str | None = None,
    reporter: Reporter | None = None,
    report_to: tuple[str, ...] = (),
) -> Composed | Transfer:
    """Do what ``compose`` does before it evaluates; the arguments are those of ``compose``.

    Returns:
        what was trained; or, for targets of sentence retrieval, which train nothing, the whole outcome.

    Raises:
        AdapterStiltsError: as for ``compose``.
    """
    reporter = reporter or Reporter()
    parsed = parse(expression)
    fused_on = read_fuse_on(parsed, fuse_on)
    world = get_suite(suite)
    backbone = backbone or world.backbone
    spec = world.task(target, "target")
    for name in parsed.names:
        world.task(name, "intermediate")
    chosen_seeds = checked_seeds(seeds)
    target_settings = recipe_settings(spec, settings)
    request = evaluation_request(spec, languages, split, data_root, max_eval_examples, target_settings)
    kept = store if isinstance(store, Store) else Store(store)
    check_rows_access(spec, request.root)
    identity = identify(backbone, revision)
    wanted = checked_choice(language_adapters, language_adapter, language_fallback, spec, target_settings, world)
    found = None if wanted is None else LanguageAdapters(wanted, world, identity, kept, train_missing, reporter)
    language: Artifact | None = None

    def stage_for(seed: int, part: Expression, inputs: tuple[Artifact, ...] = ()) -> TrainingStage:
        return TrainingStage(spec, replace(target_settings, seed=seed), identity, part, inputs, request.root, language)

    # All that can be wrong with the call shows here, before hours of training.
    plain = stage_for(chosen_seeds[0], Nothing())
    options = {"layer": layer, "pooling": pooling, "search": search}

    def intermediates(limit: int) -> tuple[tuple[Artifact, ...], list[dict[str, Any]]]:
        given = settings or {}
        if fused_on and isinstance(parsed, Fusion):
            return fused_intermediates(parsed, plain, kept, limit, given, use, train_missing, reporter)
        return intermediate_adapters(parsed, plain, kept, limit, given, use, train_missing, reporter)

    if not spec.trained:
        from adapterstilts.studies.retrieval import compose_retrieval

        return compose_retrieval(
            parsed,
            plain,
            request,
            options,
            settings or {},
            chosen_seeds,
            kept,
            intermediates,
            backbone,
            reporter,
            fused_on=fused_on,
        )
    if idle := ", ".join(f"--{name}" for name, value in options.items() if value is not None):
        raise SettingsError(f"{idle} is for targets of sentence retrieval, which '{spec.name}' is not; leave it out.")
    check_ensemble(parsed, spec)
    _ = plain.composition, plain.train_rows, plain.validation_rows
    rows = request.rows(spec)
    if found is not None:
        found.check(rows.languages, plain)

    limit = input_limit(backbone, revision)
    plain.check_length(limit)
    plain.check_layers(layer_count(backbone, revision))
    inputs, stages = intermediates(limit)
    below = {} if fused_on else dict(zip(needed(parsed), inputs, strict=True))
    adapters: Mapping[str, LanguageAdapter | None] | None = None
    if found is not None:
        language = found.source()
        adapters = found.of(rows.languages, LanguageAdapter.own(language), language, target_settings.dropped)
        stages += found.stages(language, adapters)

    def trained(seed: int, part: Expression) -> StageResult:
        given = inputs if fused_on and part == parsed else tuple(below[adapter] for adapter in needed(part))
        return run_stage(stage_for(seed, part, given), kept, reporter=reporter, report_to=report_to)

    systems: list[StageResult] = []
    baselines: list[StageResult] = []
    for seed in chosen_seeds:
        if not isinstance(parsed, Nothing):
            targets = [trained(seed, part) for part in members(parsed)]
            if isinstance(parsed, Ensemble):
                stages += [result.to_json() for result in targets]
                ensemble = EnsembleStage(parsed, tuple(result.artifact for result in targets))
                targets = [run_ensemble(ensemble, kept, reporter=reporter)]
            elif isinstance(parsed, Search):
                stages += [result.to_json() for result in targets]
                average, *parts = inputs
                start = stage_for(seed, parsed.average, (average,))
                search_stage = SearchStage(parsed, start, targets[0].artifact, tuple(parts))
                targets = [run_weight_search(search_stage, kept, reporter=reporter)]
            systems += targets
        baselines.append(trained(seed, Nothing()))
    stages += [result.to_json() for result in (*systems, *baselines)]
    return Composed(
        parsed,
        spec,
        identity.id,
        target_settings,
        chosen_seeds,
        tuple(result.artifact for result in systems or baselines),
        tuple(result.artifact for result in baselines) if systems else (),
        tuple(stages),
        request,
        rows,
        kept,
        backbone,
        adapters,
        fused_on,
    )
