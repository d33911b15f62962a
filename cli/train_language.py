"""``train-language LANG``: an adapter for one language, from plain text, on a frozen encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adapterstilts.tasks.spec import DEFAULT_SUITE

from .console import print_json, session
from .options import Backbone, Json, ReportTo, Revision, StoreFolder, Suite, split_list, with_training_settings
from .train_intermediate import show_trained, trained_document


@with_training_settings(
    leave_out=("fusion_dropout", "doc_stride", "drop_layers"), also={"max_validation_examples": "--max-eval-examples"}
)
def command(
    language: Annotated[
        str, typer.Argument(metavar="LANG", help="Code of a language, such as sw; see `adapterstilts languages`.")
    ],
    text: Annotated[
        list[Path] | None,
        typer.Option(
            "--text",
            help="Plain text in the language, a document or sentence a line; may be given several times. The lab has "
            "text of its own.",
        ),
    ] = None,
    suite: Suite = DEFAULT_SUITE,
    backbone: Backbone = None,
    revision: Revision = None,
    store: StoreFolder = None,
    report_to: ReportTo = "",
    json: Json = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Train a language adapter by masked-language modelling; the same adapter is never trained twice.

    Example: adapterstilts train-language sw --text swahili.txt
    """
    with session() as reporter:
        from adapterstilts.studies.language_adapters import train_language

        result = train_language(
            language,
            texts=text or (),
            suite=suite,
            backbone=backbone,
            revision=revision,
            store=store,
            settings=settings,
            reporter=reporter,
            report_to=split_list(report_to),
        )
        if json:
            print_json(trained_document(result, "language"))
            return
        show_trained(result)
