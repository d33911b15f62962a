"""The intermediate adapters of an expression: from the store where it has them, else newly trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapterstilts.data.sources import check_rows_access
from adapterstilts.errors import ArtifactError
from adapterstilts.models.configs import check_fusible, merged_config
from adapterstilts.models.expression import Adapter, Chain, Expression, Fusion, Mix, Single, trained_parts
from adapterstilts.models.full import FULL, check_alike, check_full
from adapterstilts.models.layers import leaving_out, read_layers
from adapterstilts.models.saved import HEADLESS, read_adapter, trained_task
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.spec import base_suite
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.merges import MergeStage, run_merge
from adapterstilts.training.mixes import MixStage, run_mix
from adapterstilts.training.recipes import recipe_settings
from adapterstilts.training.stages import StageResult, TrainingStage, run_stage


def intermediate_adapters(
    expression: Expression,
    plain: TrainingStage,
    store: Store,
    limit: int,
    settings: Mapping[str, Any],
    use: Sequence[str],
    train_missing: bool,
    reporter: Reporter,
) -> tuple[tuple[Artifact, ...], list[dict[str, Any]]]:
    """Return the adapters that an expression joins, from the store where it has them, else newly made.

    An adapter of a task, or of a mix of tasks, is trained where the store has none; a merge is made of those.

    Args:
        expression: names them.
        plain: the target's stage without them; they are trained on the same backbone.
        store: where they are looked for.
        limit: longest input that the backbone takes.
        settings: what the user gave; ``use`` and ``train_missing`` as for ``compose``.
    """
    full = plain.settings.adapter == FULL
    if full and plain.task.trained:
        check_full(expression)
    backbone, suite = plain.backbone, plain.task.suite
    leaves = trained_parts(expression)
    singles = [part.name for part in leaves if isinstance(part, Single)]
    given: dict[str, Artifact] = {}
    for artifact in map(store.get, use):
        if artifact.kind in HEADLESS:
            raise ArtifactError(
                f"--use '{artifact.id}' is of kind '{artifact.kind}'; --use takes adapters of one task. A mix or a "
                "merge is found by its expression."
            )
        name = str(artifact.manifest.get("task"))
        if name in given:
            raise ArtifactError(f"--use names two adapters for '{name}': '{given[name].id}' and '{artifact.id}'.")
        given[name] = artifact
        if name not in singles:
            raise ArtifactError(
                f"--use '{artifact.id}' is an adapter for '{name}', which '{expression}' does not name"
                f"{' but in a mix, where it is trained anew' if name in expression.names else ''}."
            )
        if base_suite(artifact.suite) != base_suite(suite):
            raise ArtifactError(f"--use '{artifact.id}' is of the suite '{artifact.suite}', not of '{suite}'.")
        trained_task(artifact)
    # The way an adapter is built concerns both stages; all else in the settings is about the target stage. Its dropped
    # layers, too: new adapters work in all layers, so that other targets can use them, and lose those here.
    shape = {name: settings.get(name) for name in ("adapter", "reduction_factor")} | ({"adapter": FULL} if full else {})
    dropped = plain.settings.dropped
    found = {name: given.get(name) or _newest(name, plain, store, shape, reporter) for name in singles}

    def stage_of(name: str) -> TrainingStage:
        spec = get_suite(suite).task(name, "intermediate")
        return TrainingStage(spec, recipe_settings(spec, shape), backbone, root=plain.root)

    mixes = {part: MixStage(part, tuple(map(stage_of, part.names))) for part in leaves if isinstance(part, Mix)}
    lacking = [name for name, artifact in found.items() if artifact is None]
    untrained = [mix for mix, stage in mixes.items() if store.find(stage.fingerprint) is None]
    if missing := [*lacking, *map(str, untrained)]:
        if not train_missing:
            options = f"{plain.task.suite_option} --backbone {backbone.id}{f' --adapter {FULL}' if full else ''}"
            commands = [f"Train with `adapterstilts train-intermediate {name}{options}`." for name in lacking]
            commands += [f"'{mix}' is trained without --no-train." for mix in untrained]
            raise ArtifactError(
                f"The store {store.home} has no adapter for {', '.join(missing)} on '{backbone.id}', and --no-train "
                f"was given. {' '.join(commands)}"
            )
        store.check_writable()
        reporter.message(f"Not in the store, will be trained first: {', '.join(missing)}")
    new = {name: stage_of(name) for name in lacking}
    configs = {
        name: read_adapter(artifact)[1] if artifact else dict(new[name].composition.adapters[name])
        for name, artifact in found.items()
    } | {str(mix): stage.config for mix, stage in mixes.items()}
    for name in singles:
        check_alike(name, configs[name], full=full)
    operands = (expression.start,) if isinstance(expression, Chain) else expression.operands
    joined = {part.adapter: _config(part, configs) for part in operands}
    if plain.task.trained:
        joined = {name: leaving_out(name, config, dropped) for name, config in joined.items()}
    if isinstance(expression, Fusion):
        check_fusible(joined, plain.composition.adapters[plain.task.name])
    for stage in new.values():
        check_rows_access(stage.task, stage.root)
        stage.check_length(limit)
        _ = stage.train_rows, stage.validation_rows
    for mix in untrained:
        mixes[mix].check_length(limit)
    results = {
        name: StageResult(artifact, True, 0.0) if artifact else run_stage(new[name], store, reporter=reporter)
        for name, artifact in found.items()
    } | {str(mix): run_mix(stage, store, reporter=reporter) for mix, stage in mixes.items()}
    made: dict[Adapter, StageResult] = {}

    def artifact_of(part: Adapter) -> Artifact:
        if isinstance(part, (Single, Mix)):
            return results[str(part)].artifact
        if part not in made:
            merge = MergeStage(part, backbone, tuple(map(artifact_of, part.parts)))
            made[part] = run_merge(merge, store, reporter=reporter)
        return made[part].artifact

    artifacts = tuple(map(artifact_of, operands))
    return artifacts, [result.to_json() for result in (*results.values(), *made.values())]


def _config(part: Adapter, configs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the configuration of a part, and refuse a merge that is not possible, before anything is trained."""
    if isinstance(part, (Single, Mix)):
        return configs[str(part)]
    return merged_config(part, [_config(one, configs) for one in part.parts])


def _newest(
    name: str, plain: TrainingStage, store: Store, shape: Mapping[str, Any], reporter: Reporter
) -> Artifact | None:
    """Return the newest adapter of a task of the target's suite and backbone, and say so where there are several.

    An adapter of XTREME is one of XTREME-R, too, and the other way round. One that leaves out other layers than the
    dropped ones is passed over, and so is a whole backbone where the target is no such one.
    """
    backbone, suite, dropped = plain.backbone, plain.task.suite, set(plain.settings.dropped)
    full = plain.settings.adapter == FULL

    def fits(artifact: Artifact) -> bool:
        told, settings = artifact.manifest.get("backbone", {}), artifact.manifest.get("settings", {})
        same_backbone = all(told.get(key) == value for key, value in backbone.key.items())
        same_shape = all(value in (None, settings.get(key)) for key, value in shape.items())
        absent = read_layers(settings["drop_layers"]) if settings.get("drop_layers") else ()
        same_shape = same_shape and set(absent) <= dropped and (settings.get("adapter") == FULL) is full
        identity = artifact.manifest.get("identity", {}).get("task", {})
        same_task = (base_suite(artifact.suite), artifact.manifest.get("task")) == (base_suite(suite), name)
        same_task = same_task and identity.get("definition", "") == get_suite(suite).task(name).definition
        return same_task and same_backbone and same_shape

    candidates = store.all("intermediate", fits)
    if not candidates:
        return None
    chosen = candidates[-1]
    several = f", the newest of {len(candidates)}; choose another with --use ID" if len(candidates) > 1 else ""
    reporter.message(f"{name}: taken from the store, {chosen.id}{several}")
    return chosen
