"""The intermediate adapters of an expression: from the store where it has them, else newly trained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from adapterstilts.data.sources import check_rows_access
from adapterstilts.errors import ArtifactError, ExpressionError, unknown
from adapterstilts.models.configs import check_fusible, merged_config
from adapterstilts.models.expression import Adapter, Expression, Fusion, Mix, Single, members, needed, trained_parts
from adapterstilts.models.full import FULL, check_alike, check_full
from adapterstilts.models.layers import leaving_out, read_layers
from adapterstilts.models.saved import HEADLESS, read_adapter, trained_task
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.studies.zoo import of_the_index
from adapterstilts.tasks.spec import base_suite
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.fusions import FusionStage, check_lengths, check_tasks, run_fusion
from adapterstilts.training.merges import MergeStage, run_merge
from adapterstilts.training.mixes import MixStage, run_mix
from adapterstilts.training.recipes import recipe_settings
from adapterstilts.training.stages import StageResult, TrainingStage, run_stage

FUSE_ON = ("target", "intermediate")
"""What a fusion can be trained on."""


def read_fuse_on(expression: Expression, fuse_on: str | None) -> str | None:
    """Return ``intermediate`` where a fusion is to be trained on the intermediate tasks, else None.

    Raises:
        UnknownNameError: there is no such place to train a fusion.
        ExpressionError: something was asked for an expression that is no fusion.
    """
    if fuse_on is None:
        return None
    if fuse_on not in FUSE_ON:
        raise unknown("place to train a fusion", fuse_on, FUSE_ON)
    if not isinstance(expression, Fusion):
        raise ExpressionError(
            f"--fuse-on {fuse_on} tells what a fusion is trained on, and '{expression}' is none, such as mnli+squad; "
            "leave it out."
        )
    return fuse_on if fuse_on == "intermediate" else None


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
    """Return the adapters that an expression needs: of the store, else of the bundled index, else newly made.

    An adapter of a task, or of a mix of tasks, is trained where none is to be had; a merge is made of those. The index
    is asked where the user wants no particular kind of adapter, since it does not say of which kind they are.

    Args:
        expression: names them, in the order of ``needed``.
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
                f"--use '{artifact.id}' is of kind '{artifact.kind}'; --use takes adapters of one task. A mix, a merge "
                "or a fusion is found by its expression."
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

    pulled: dict[str, StageResult] = {}
    for name in singles:
        if found[name] is None and not any(shape.values()):
            started = time.perf_counter()
            found[name] = of_the_index(get_suite(suite).task(name, "intermediate"), backbone, store, reporter)
            if (taken := found[name]) is not None:
                pulled[name] = StageResult(taken, False, time.perf_counter() - started)

    def stage_of(name: str) -> TrainingStage:
        return _stage_of(name, plain, shape)

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
    operands = needed(expression)
    joined = {part.adapter: _config(part, configs) for part in operands}
    if plain.task.trained:
        joined = {name: leaving_out(name, config, dropped) for name, config in joined.items()}
    for alone in members(expression):
        if isinstance(alone, Fusion):
            fused = {part.adapter: joined[part.adapter] for part in alone.parts}
            check_fusible(fused, plain.composition.adapters[plain.task.name] if plain.task.trained else None)
    for stage in new.values():
        check_rows_access(stage.task, stage.root)
        stage.check_length(limit)
        _ = stage.train_rows, stage.validation_rows
    for mix in untrained:
        mixes[mix].check_length(limit)
    results = {
        name: pulled.get(name) or StageResult(artifact, True, 0.0)
        if artifact
        else run_stage(new[name], store, reporter=reporter)
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


def fused_intermediates(
    expression: Fusion,
    plain: TrainingStage,
    store: Store,
    limit: int,
    settings: Mapping[str, Any],
    use: Sequence[str],
    train_missing: bool,
    reporter: Reporter,
) -> tuple[tuple[Artifact, ...], list[dict[str, Any]]]:
    """Return the fusion of an expression's adapters that is trained on their tasks, newly made where it has to be.

    The rows, lengths and steps are those of the tasks' recipes; the target's settings concern the dropout of the
    fusion's scores alone.

    Args:
        expression: the fusion.
        plain, store, limit, settings, use, train_missing, reporter: as for ``intermediate_adapters``.

    Returns:
        one artifact, of kind ``fusion``, and all stages.
    """
    dropout = {"fusion_dropout": settings.get("fusion_dropout")}
    tasks = tuple(_stage_of(name, plain, dropout) for name in expression.names)
    # What is wrong with the tasks shows before an adapter is trained.
    check_tasks(expression, tasks)
    check_lengths(expression, tasks, limit)
    for part in tasks:
        check_rows_access(part.task, part.root)
        _ = part.train_rows, part.validation_rows
    inputs, stages = intermediate_adapters(expression, plain, store, limit, settings, use, train_missing, reporter)
    stage = FusionStage(expression, tasks, inputs)
    if not train_missing and store.find(stage.fingerprint) is None:
        raise ArtifactError(
            f"The store {store.home} has no fusion of {', '.join(item.id for item in inputs)} that was trained on "
            "their tasks, and --no-train was given; it is trained without --no-train."
        )
    made = run_fusion(stage, store, reporter=reporter)
    return (made.artifact,), [*stages, made.to_json()]


def _stage_of(name: str, plain: TrainingStage, changes: Mapping[str, Any]) -> TrainingStage:
    """Return the stage of an intermediate task by its recipe, on the backbone of the target's stage."""
    spec = get_suite(plain.task.suite).task(name, "intermediate")
    return TrainingStage(spec, recipe_settings(spec, changes), plain.backbone, root=plain.root)


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
