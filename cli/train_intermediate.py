"""``train-intermediate TASK``: an adapter for one task in the source language on a frozen encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterstilts.models.vocabulary import vocabulary
from adapterstilts.studies.own_tasks import own_tasks
from adapterstilts.tasks.spec import DEFAULT_SUITE

from .console import print_json, result_console, session
from .options import (
    Backbone,
    DataRoot,
    Json,
    ReportTo,
    Revision,
    StoreFolder,
    Suite,
    TaskFiles,
    TrimVocabulary,
    split_list,
    with_training_settings,
)

if TYPE_CHECKING:
    from adapterstilts.training.stages import StageResult


@with_training_settings(also={"max_validation_examples": "--max-eval-examples"})
def command(
    task: Annotated[str, typer.Argument(help="An intermediate task, such as squad; see `adapterstilts tasks`.")],
    text: Annotated[
        list[Path] | None,
        typer.Option("--text", help="For mlm: plain text, a document or sentence a line; may be given several times."),
    ] = None,
    suite: Suite = DEFAULT_SUITE,
    task_file: TaskFiles = None,
    backbone: Backbone = None,
    revision: Revision = None,
    data_root: DataRoot = None,
    store: StoreFolder = None,
    trim_vocabulary: TrimVocabulary = True,
    report_to: ReportTo = "",
    json: Json = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Train an intermediate-task adapter; the same adapter is never trained twice.

    Example: adapterstilts train-intermediate squad --max-train-examples 10000
    """
    with session() as reporter, own_tasks(task_file, suite), vocabulary(trimmed=trim_vocabulary):
        from adapterstilts.studies.transfer import train_intermediate

        result = train_intermediate(
            task,
            texts=text or (),
            suite=suite,
            backbone=backbone,
            revision=revision,
            data_root=data_root,
            store=store,
            settings=settings,
            reporter=reporter,
            report_to=split_list(report_to),
        )
        if json:
            print_json(trained_document(result, "task"))
            return
        show_trained(result)


def trained_document(result: StageResult, about: str) -> dict[str, Any]:
    """Return the document of a training.

    Args:
        result: of the stage.
        about: what the adapter is for: the ``task`` or the ``language``, as its manifest tells it.
    """
    manifest = result.artifact.manifest
    return {
        "artifact": result.artifact.id,
        "path": str(result.artifact.path),
        "suite": result.artifact.suite,
        about: manifest[about],
        "backbone": manifest["backbone"]["id"],
        "reused": result.reused,
        "metrics": manifest["metrics"],
        "settings": manifest["settings"],
        "resources": manifest["resources"],
        "stages": [result.to_json()],
    }


def show_trained(result: StageResult) -> None:
    """Show scores and cost of a training."""
    manifest = result.artifact.manifest
    scores = ", ".join(f"{name} {value:.2f}" for name, value in manifest["metrics"]["validation"].items())
    cost = manifest["resources"]
    console = result_console()
    console.print(f"[bold]{result.artifact.id}[/] {'was trained before' if result.reused else 'is trained'}.")
    console.print(
        f"  validation   {scores} (step {manifest['metrics']['best_step']} of {manifest['metrics']['steps']})"
    )
    console.print(
        f"  cost         {cost['wall_seconds']:.0f} s, {cost['examples_per_second']:.1f} examples/s, "
        f"{cost['trained_parameters']:,} trained parameters"
    )
    console.print(f"  stored in    {result.artifact.path}", soft_wrap=True)
