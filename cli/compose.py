"""``compose EXPR --target TASK``: a target adapter on composed intermediate adapters, beside its baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adapterstilts.data.rows import rows_kept
from adapterstilts.models.vocabulary import vocabulary
from adapterstilts.studies.own_tasks import own_tasks, own_text
from adapterstilts.tasks.spec import DEFAULT_SUITE

from .console import session
from .grid_tables import show_grid, show_plan
from .options import (
    Backbone,
    Csv,
    DataRoot,
    Json,
    LanguageAdapter,
    LanguageFallback,
    Languages,
    MaxEvalExamples,
    Reference,
    ReportTo,
    Revision,
    SplitName,
    StoreFolder,
    Suite,
    TaskFiles,
    TrimVocabulary,
    read_seeds,
    split_list,
    with_training_settings,
)
from .transfer_table import check_csv, show_transfer


@with_training_settings(leave_out=("seed",))
def command(
    expression: Annotated[
        list[str],
        typer.Argument(
            metavar="EXPR...",
            help="mnli+squad (fusion), squad (stack on one), 'avg(mnli, squad)', arithmetic, ties, dare or svd (merged "
            "weights), 'mix(mnli, squad)' (one adapter trained on both), 'chain(squad)' (the target starts from it), "
            "'ensemble(mnli, squad)' (averaged answers of a target adapter each), 'search(mnli, squad)' (merge weights "
            "that suit the target), all (the nine) or none (baseline alone). Several are compared.",
        ),
    ],
    target: Annotated[
        str, typer.Option("--target", help="A target task, such as tydiqa, or several; see `adapterstilts tasks`.")
    ],
    text: Annotated[
        list[Path] | None,
        typer.Option(
            "--text", help="For mlm in a mix, such as 'mix(4*squad, mlm)': plain text; may be given several times."
        ),
    ] = None,
    suite: Suite = DEFAULT_SUITE,
    task_file: TaskFiles = None,
    backbone: Backbone = None,
    revision: Revision = None,
    data_root: DataRoot = None,
    store: StoreFolder = None,
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds of the target stage, such as 0,1,2.")] = "0",
    use: Annotated[
        list[str] | None,
        typer.Option("--use", help="Id of an intermediate adapter to take; may be given several times."),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train/--no-train", help="Train intermediate adapters that the store does not have.")
    ] = True,
    fuse_on: Annotated[
        str | None,
        typer.Option(
            "--fuse-on",
            help="What a fusion is trained on: target (if left out), or intermediate: the tasks of its adapters, once "
            "for all targets.",
        ),
    ] = None,
    languages: Languages = "all",
    split: SplitName = None,
    max_eval_examples: MaxEvalExamples = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", help="For sentence retrieval: the layer whose vectors are compared, or auto."),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option("--pooling", help="For sentence retrieval: mean over the tokens, or cls, the first one."),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", help="For sentence retrieval: torch, or faiss, on the CPU; both exact.")
    ] = None,
    language_adapters: Annotated[
        str | None,
        typer.Option(
            "--language-adapters",
            help="madx: train on the source language's adapter, and put each evaluated language's in its place.",
        ),
    ] = None,
    language_adapter: LanguageAdapter = None,
    language_fallback: LanguageFallback = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what is there, what would be made and about how long it takes; no more."),
    ] = False,
    trim_vocabulary: TrimVocabulary = True,
    report_to: ReportTo = "",
    reference: Reference = False,
    json: Json = False,
    csv: Csv = None,
    settings: dict[str, Any] | None = None,
) -> None:
    """Compose intermediate adapters under a target adapter, and compare it zero-shot with one trained without them.

    Example: adapterstilts compose mnli+squad --target tydiqa --seeds 0,1,2

    Several expressions and targets are planned, then run, each with each; --dry-run shows the plan alone:
    adapterstilts compose mnli+squad "avg(mnli, squad)" --target tydiqa,xquad --dry-run
    """
    with (
        session() as reporter,
        own_tasks(task_file, suite),
        own_text(text, expression, suite),
        rows_kept(),
        vocabulary(trimmed=trim_vocabulary),
    ):
        check_csv(csv)
        options: dict[str, Any] = dict(
            suite=suite,
            backbone=backbone,
            revision=revision,
            data_root=data_root,
            store=store,
            settings=settings,
            seeds=read_seeds(seeds),
            use=tuple(use or ()),
            train_missing=train,
            fuse_on=fuse_on,
            languages=languages,
            split=split,
            max_eval_examples=max_eval_examples,
            layer=layer,
            pooling=pooling,
            search=search,
            language_adapters=language_adapters,
            language_adapter=tuple(language_adapter or ()),
            language_fallback=language_fallback,
            reporter=reporter,
            report_to=split_list(report_to),
        )
        targets = split_list(target)
        if len(expression) == 1 and len(targets) < 2 and not dry_run:
            from adapterstilts.studies.transfer import compose

            transfer = compose(expression[0], target=target, **options)
            show_transfer(transfer, json=json, csv_file=csv, reference=reference)
            return
        from adapterstilts.studies.grids import run_plan
        from adapterstilts.studies.plans import plan_grid

        plan = plan_grid(expression, targets, **options)
        show_plan(plan, json=json and dry_run, stderr=not dry_run)
        if not dry_run:
            show_grid(run_plan(plan, reporter=reporter), json=json, csv_file=csv, reference=reference)
