"""The main job: train intermediate adapters, compose them under a target adapter, evaluate zero-shot.

Each function is what a command of the same name calls; scripts may call them as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapterstilts.data.rows import rows_kept
from adapterstilts.data.sources import check_rows_access, root_of_suite
from adapterstilts.data.texts import with_texts
from adapterstilts.errors import ArtifactError, SettingsError
from adapterstilts.evaluation.answering import more_dropped
from adapterstilts.evaluation.fusion_attention import Weight, check_fused, run_attention
from adapterstilts.evaluation.zero_shot import run_evaluations, task_of
from adapterstilts.models.backbone import identify
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.languages import LanguageAdapter, own_language
from adapterstilts.models.layers import read_layers
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.studies.comparison import compare
from adapterstilts.studies.composing import evaluate_all, train_targets
from adapterstilts.studies.language_adapters import LanguageAdapters, LanguageChoice
from adapterstilts.studies.outcome import Transfer, evaluation_json
from adapterstilts.studies.requests import Folder, evaluation_request, same_task, stored_baseline
from adapterstilts.tasks.spec import DEFAULT_SUITE
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.recipes import recipe_settings
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import StageResult, TrainingStage, run_stage


def train_intermediate(
    task: str,
    *,
    texts: Sequence[Folder] = (),
    suite: str = DEFAULT_SUITE,
    backbone: str | None = None,
    revision: str | None = None,
    data_root: Folder | None = None,
    store: Folder | None = None,
    settings: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
    report_to: tuple[str, ...] = (),
) -> StageResult:
    """Train an intermediate adapter on a frozen backbone, unless the same was trained before.

    Args:
        task: name of an intermediate task.
        texts: for ``mlm``, the files of plain text that it learns from, a document or sentence a line.
        suite: ``xtreme``, ``xtreme-r`` or ``lab``: which tasks and languages there are.
        backbone: Hub id, folder, or the name of a packaged encoder; None is the suite's.
        revision: commit, branch or tag of the backbone on the Hub.
        data_root: local mirror of the Hub; None asks ``ADAPTERSTILTS_DATA_ROOT``, then the Hub.
        store: folder of artifacts; None asks ``ADAPTERSTILTS_HOME``.
        settings: fields of ``TrainingSettings`` that differ from the task's recipe.
        reporter: told of the progress.
        report_to: trackers of the transformers Trainer, such as ``tensorboard``.

    Raises:
        AdapterStiltsError: says what is wrong and what to do; nothing is stored then.
    """
    world = get_suite(suite)
    spec = with_texts(world.task(task, "intermediate"), texts)
    root = root_of_suite(spec.suite, data_root)
    check_rows_access(spec, root)
    identity = identify(backbone or world.backbone, revision)
    stage = TrainingStage(spec, recipe_settings(spec, settings), identity, root=root)
    return run_stage(stage, Store(store), reporter=reporter, report_to=report_to)


@rows_kept()
def compose(
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
) -> Transfer:
    """Train a target adapter on a composition of intermediate ones, and compare it with one trained without them.

    The target adapter, its head and the fusion are trained on the target's rows in the source language; the
    intermediate adapters and the backbone stay frozen. The baseline has the same settings and seeds.

    Args:
        expression: ``mnli+squad`` (fusion), ``squad`` (stack), ``avg(mnli, squad)`` (merge), ``mix(mnli, squad)``
            (trained on both), ``chain(squad)``, ``none``, ``ensemble(mnli, squad)`` (averaged answers) or
            ``search(mnli, squad)`` (a merge whose weights suit the target); all there is stands in
            ``adapterstilts.models.grammar``.
        target: name of a target task.
        suite, backbone, revision, data_root, store, settings, reporter, report_to: as for ``train_intermediate``;
            the settings are those of the target stage.
        seeds: one target stage, and one baseline, is trained for each.
        use: ids of the intermediate adapters to take, where the store has several of a task.
        train_missing: train intermediate adapters that the store does not have, by their recipes.
        fuse_on: what a fusion is trained on: the rows of the ``target`` (None), with its adapter; or those of the
            ``intermediate`` tasks, before it and without it. Such a fusion serves every target, and stays frozen there.
        languages: ``all``, or codes joined by commas.
        split: ``validation`` or ``test``; None is the split that the target is scored on.
        max_eval_examples: evaluate on a seeded sample of at most so many rows a language.
        layer: for retrieval targets, which train nothing: the layer whose vectors are compared, or ``auto`` (None).
        pooling: for these, what makes one vector of a sentence's tokens: ``mean`` (None) or ``cls``.
        search: for these, what compares the vectors, exactly in either case: ``torch`` (None) or ``faiss``.
        language_adapters: ``madx`` trains target and baseline on top of the source language's adapter, in whose place
            each evaluated language's is put (Pfeiffer et al. 2020, https://arxiv.org/abs/2005.00052); None is without.
        language_adapter: which adapter is taken for a language, ``LANG=ARTIFACT``; the newest of the store else.
        language_fallback: for evaluated languages without one: ``none`` (nothing), ``english`` (the source's) or
            ``nearest``. None trains them in the lab, and is an error elsewhere.

    Raises:
        AdapterStiltsError: says what is wrong and what to do. What was finished before is kept.
    """
    made = train_targets(
        expression,
        target=target,
        suite=suite,
        backbone=backbone,
        revision=revision,
        data_root=data_root,
        store=store,
        settings=settings,
        seeds=seeds,
        use=use,
        train_missing=train_missing,
        fuse_on=fuse_on,
        languages=languages,
        split=split,
        max_eval_examples=max_eval_examples,
        layer=layer,
        pooling=pooling,
        search=search,
        language_adapters=language_adapters,
        language_adapter=language_adapter,
        language_fallback=language_fallback,
        reporter=reporter,
        report_to=report_to,
    )
    return made if isinstance(made, Transfer) else made.transfer(evaluate_all([made], reporter=reporter))


def evaluate(
    artifact: str,
    *,
    suite: str | None = None,
    languages: str = "all",
    split: str | None = None,
    baseline: str | None = None,
    backbone: str | None = None,
    data_root: Folder | None = None,
    store: Folder | None = None,
    max_eval_examples: int | None = None,
    batch_size: int | None = None,
    attention: bool = False,
    drop_layers: str | None = None,
    language_adapter: Sequence[str] = (),
    language_fallback: str | None = None,
    reporter: Reporter | None = None,
) -> Transfer:
    """Evaluate a stored adapter or composition in all languages of its task, in one pass.

    Args:
        artifact: id in the store (or its beginning), or a folder.
        suite: the suite whose languages it is evaluated in, which has to be one that shares adapters with the
            artifact's; None is the artifact's.
        languages: ``all``, or codes joined by commas.
        split: ``validation`` or ``test``; None is the split that the task is scored on.
        baseline: id of an artifact of the same task to compare with; None takes the one that was trained with the
            same settings and no intermediate task, if the store has it.
        backbone: id or folder, where the backbone is no longer where the artifact says.
        data_root, store, max_eval_examples, reporter: as for ``compose``.
        batch_size: rows a forward pass; None is that of training.
        attention: also tell how much the artifact's fusion takes of each adapter, in a pass of its own.
        drop_layers: layers such as ``0-4`` in which no adapter and no fusion works now, whatever was trained there
            (AdapterDrop, https://arxiv.org/abs/2010.11918); the baseline leaves them out, too.
        language_adapter, language_fallback: as for ``compose``, for what was trained on a language adapter; adapters
            that are missing are not trained.

    Raises:
        AdapterStiltsError: says what is wrong and what to do.
    """
    kept = Store(store)
    found = kept.get(artifact)
    spec = task_of(found, suite)
    if attention:
        check_fused(found)
        if drop_layers is not None:
            raise SettingsError("--attention tells of a fusion in all its layers; leave --drop-layers out.")
    trained = TrainingSettings(**found.manifest["settings"])
    if batch_size is not None:
        trained = trained.replaced({"batch_size": batch_size})
    request = evaluation_request(spec, languages, split, data_root, max_eval_examples, trained)
    if drop_layers is not None:
        request = replace(request, drop_layers=read_layers(drop_layers))
        if not more_dropped(found, request.drop_layers):
            raise SettingsError(f"--drop-layers {drop_layers}: '{found.id}' has no adapters in these layers anyway.")
    other = kept.get(baseline) if baseline else stored_baseline(found, kept)
    if other is not None and not same_task(task_of(other), spec):
        raise ArtifactError(f"The baseline '{other.id}' is for '{task_of(other).name}', not for '{spec.name}'.")
    if own_language(found) is None and (language_adapter or language_fallback):
        raise SettingsError(
            f"Artifact '{found.id}' was trained on no language adapter, so that --language-adapter and "
            "--language-fallback would have no effect; leave them out."
        )
    choice = LanguageChoice.read(language_adapter, language_fallback, get_suite(spec.suite))
    rows = request.rows(spec)
    reporter = reporter or Reporter()

    def adapters_of(item: Artifact) -> Mapping[str, LanguageAdapter | None] | None:
        own, identity = own_language(item), BackboneIdentity(**item.manifest["backbone"])
        chosen = LanguageAdapters(choice, get_suite(spec.suite), identity, kept, False, reporter)
        return None if own is None else chosen.of(rows.languages, own, item)

    adapters = {item.id: adapters_of(item) for item in (found, other) if item is not None}
    evaluations = run_evaluations(
        [item for item in (found, other) if item is not None],
        request,
        kept,
        rows=rows,
        backbone=backbone,
        adapters=adapters,
        reporter=reporter,
    )
    compared = (evaluations[:1], evaluations[1:])
    weights: tuple[Weight, ...] = ()
    if attention:
        bottom = adapters[found.id]
        weights = run_attention(found, rows, request, kept, adapters=bottom, backbone=backbone, reporter=reporter)
    order = compare(*compared).languages if weights else ()
    in_order = tuple(weight for code in order for weight in weights if weight.language == code)
    return Transfer(
        target=spec,
        composition=str(found.manifest["expression"]),
        backbone=str(found.manifest["backbone"]["id"]),
        split=rows.split,
        seeds=(int(seed),) if (seed := found.manifest["settings"].get("seed")) is not None else (),
        compared=compared,
        artifacts=(found,),
        baselines=(other,) if other is not None else (),
        evaluations=(evaluations[0].artifact,),
        stages=tuple(evaluation_json(evaluation) for evaluation in evaluations),
        skipped=rows.skipped,
        language_adapters=adapters[found.id],
        fused_on=found.manifest.get("fused_on"),
        attention=in_order or None,
        drop_layers=request.drop_layers,
    )
