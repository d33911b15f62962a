"""``evaluate ARTIFACT``: zero-shot scores of a stored adapter or composition."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapterstilts.models.vocabulary import vocabulary
from adapterstilts.studies.own_tasks import own_tasks

from .attention_table import show_attention
from .console import session
from .options import (
    Csv,
    DataRoot,
    Json,
    LanguageAdapter,
    LanguageFallback,
    Languages,
    MaxEvalExamples,
    Reference,
    SplitName,
    StoreFolder,
    SuiteOfArtifact,
    TaskFiles,
    TrimVocabulary,
)
from .transfer_table import check_csv, show_transfer


def command(
    artifact: Annotated[str, typer.Argument(help="Id of an artifact, or its beginning; see `adapterstilts runs`.")],
    suite: SuiteOfArtifact = None,
    task_file: TaskFiles = None,
    languages: Languages = "all",
    split: SplitName = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Id to compare with; the one without intermediate task if left out."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Where the backbone is, if no longer where it was.")
    ] = None,
    data_root: DataRoot = None,
    store: StoreFolder = None,
    max_eval_examples: MaxEvalExamples = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Rows a forward pass, of the longest; more of shorter ones.")
    ] = None,
    drop_layers: Annotated[
        str | None,
        typer.Option(
            "--drop-layers",
            help="Skip the adapters of layers such as 0-4 (0 is the lowest) in this evaluation, and in the baseline's.",
        ),
    ] = None,
    language_adapter: LanguageAdapter = None,
    language_fallback: LanguageFallback = None,
    trim_vocabulary: TrimVocabulary = True,
    reference: Reference = False,
    json: Json = False,
    csv: Csv = None,
    attention: Annotated[
        Path | None,
        typer.Option(
            "--attention",
            help="Write how much a fusion takes of each adapter, by language and layer, to this file as CSV.",
        ),
    ] = None,
) -> None:
    """Evaluate an artifact in all languages of its task, in one pass; predictions are kept as files."""
    with session() as reporter, own_tasks(task_file, suite), vocabulary(trimmed=trim_vocabulary):
        check_csv(csv)
        check_csv(attention, "--attention")
        from adapterstilts.studies.transfer import evaluate

        transfer = evaluate(
            artifact,
            suite=suite,
            languages=languages,
            split=split,
            baseline=baseline,
            backbone=backbone,
            data_root=data_root,
            store=store,
            max_eval_examples=max_eval_examples,
            batch_size=batch_size,
            attention=attention is not None,
            drop_layers=drop_layers,
            language_adapter=tuple(language_adapter or ()),
            language_fallback=language_fallback,
            reporter=reporter,
        )
        show_transfer(transfer, json=json, csv_file=csv, reference=reference)
        if attention is not None and transfer.attention is not None:
            show_attention(transfer.attention, transfer.target, attention, json=json)
