"""``compose EXPR --target TASK``: a target adapter on composed intermediate adapters, beside its baseline."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from adapterstilts.studies.own_tasks import own_tasks
from adapterstilts.tasks.spec import DEFAULT_SUITE

from .console import session
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
    read_seeds,
    split_list,
    with_training_settings,
)
from .transfer_table import check_csv, show_transfer


@with_training_settings(leave_out=("seed",))
def command(
    expression: Annotated[
        str,
        typer.Argument(
            metavar="EXPR",
            help="mnli+squad (fusion), squad (stack on one), 'avg(mnli, squad)', arithmetic, ties, dare or svd (merged "
            "weights), 'mix(mnli, squad)' (one adapter trained on both), 'chain(squad)' (the target starts from it), "
            "all (the nine) or none (baseline alone).",
        ),
    ],
    target: Annotated[str, typer.Option("--target", help="A target task, such as tydiqa; see `adapterstilts tasks`.")],
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
    report_to: ReportTo = "",
    reference: Reference = False,
    json: Json = False,
    csv: Csv = None,
    settings: dict[str, Any] | None = None,
) -> None:
    """Compose intermediate adapters under a target adapter, and compare it zero-shot with one trained without them.

    Example: adapterstilts compose mnli+squad --target tydiqa --seeds 0,1,2
    """
    with session() as reporter, own_tasks(task_file, suite):
        check_csv(csv)
        from adapterstilts.studies.transfer import compose

        transfer = compose(
            expression,
            target=target,
            suite=suite,
            backbone=backbone,
            revision=revision,
            data_root=data_root,
            store=store,
            settings=settings,
            seeds=read_seeds(seeds),
            use=tuple(use or ()),
            train_missing=train,
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
        show_transfer(transfer, json=json, csv_file=csv, reference=reference)
