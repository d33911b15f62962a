"""``predict ARTIFACT``: JSON lines in, answers out."""

from __future__ import annotations

import json as json_library
import sys
from pathlib import Path
from typing import Annotated

import typer

from adapterstilts.errors import DataFormatError, SettingsError
from adapterstilts.models.vocabulary import vocabulary
from adapterstilts.studies.own_tasks import own_tasks

from .console import notes, session, write_text
from .options import StoreFolder, SuiteOfArtifact, TaskFiles, TrimVocabulary


def command(
    artifact: Annotated[str, typer.Argument(help="Id of an artifact, or its beginning; see `adapterstilts runs`.")],
    source: Annotated[str, typer.Argument(metavar="[FILE]", help="JSON lines to answer; '-' is stdin.")] = "-",
    output: Annotated[Path | None, typer.Option("--output", help="Write here, not to stdout.")] = None,
    suite: SuiteOfArtifact = None,
    task_file: TaskFiles = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Where the backbone is, if no longer where it was.")
    ] = None,
    store: StoreFolder = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Rows a forward pass, of the longest; more of shorter ones.")
    ] = 32,
    trim_vocabulary: TrimVocabulary = True,
) -> None:
    """Answer rows of your own: one JSON object a line in, one a line out, in the same order.

    Fields by format: text, text_pair (classification); text, choices (multiple choice); question, context (span);
    tokens (tagging). The names of the task's data set, such as premise and hypothesis, work as well.
    """
    with session() as reporter, own_tasks(task_file, suite), vocabulary(trimmed=trim_vocabulary):
        from adapterstilts.studies.prediction import predict

        if output is not None and (output.is_dir() or not output.absolute().parent.is_dir()):
            raise SettingsError(f"--output '{output}' cannot be written: it is a folder, or its folder does not exist.")
        answers = predict(
            artifact,
            _lines(source),
            suite=suite,
            backbone=backbone,
            store=store,
            batch_size=batch_size,
            reporter=reporter,
        )
        text = "".join(json_library.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
        if output is None:
            write_text(text)
        else:
            output.write_text(text, encoding="utf-8")
            notes.print(f"{len(answers)} answers written to {output}")


def _lines(source: str) -> list[str]:
    name = "stdin" if source == "-" else f"'{source}'"
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        # Not splitlines: it also cuts at separators that may stand within a text.
        return content.decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataFormatError(f"{name} cannot be read as UTF-8: {error}.") from error
