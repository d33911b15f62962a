"""Options that several commands share, and options made from a dataclass of settings."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from adapterstilts.errors import SettingsError
from adapterstilts.training.settings import TrainingSettings

TRAINING_PANEL = "Training (defaults: the task's recipe)"

Suite = Annotated[
    str,
    typer.Option(
        "--suite",
        help="xtreme, xtreme-r, or lab: small generated languages and a small encoder, which need no network and no "
        "data.",
        envvar="ADAPTERSTILTS_SUITE",
    ),
]
SuiteOfArtifact = Annotated[
    str | None,
    typer.Option(
        "--suite",
        help="Refuse an artifact of another suite (xtreme and xtreme-r share theirs); its own if left out.",
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="Hub id, folder, or a packaged encoder (minilm-l6); the suite's own if left out (xtreme, "
        "xtreme-r: xlm-roberta-base, lab: pico).",
        envvar="ADAPTERSTILTS_BACKBONE",
    ),
]
Revision = Annotated[str | None, typer.Option("--revision", help="Commit, branch or tag of the backbone on the Hub.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", help="Local mirror of the Hub to read data sets from.", envvar="ADAPTERSTILTS_DATA_ROOT"
    ),
]
StoreFolder = Annotated[
    Path | None,
    typer.Option(
        "--store", help="Folder of finished artifacts (default: ~/.cache/adapterstilts).", envvar="ADAPTERSTILTS_HOME"
    ),
]
TaskFiles = Annotated[
    list[Path] | None,
    typer.Option("--task-file", help="YAML file with a task of your own; may be given several times."),
]
TrimVocabulary = Annotated[
    bool,
    typer.Option(
        "--trim-vocabulary/--no-trim-vocabulary",
        help="Leave out the embeddings of tokens that do not occur; it saves memory, and the results are the same.",
    ),
]
LanguageAdapter = Annotated[
    list[str] | None,
    typer.Option(
        "--language-adapter",
        help="LANG=ARTIFACT: the adapter to take for a language, else the newest of the store; may be given several "
        "times.",
    ),
]
LanguageFallback = Annotated[
    str | None,
    typer.Option(
        "--language-fallback",
        help="For evaluated languages without an adapter: none (nothing at the bottom), english (the source "
        "language's) or nearest (that of the nearest language by typology).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout, all else to stderr.")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write the table to this file as CSV, too.")]
Languages = Annotated[str, typer.Option("--languages", help="'all', or codes such as de,sw.")]
SplitName = Annotated[
    str | None, typer.Option("--split", help="validation or test; the one the task is scored on if left out.")
]
MaxEvalExamples = Annotated[
    int | None, typer.Option("--max-eval-examples", help="Evaluate on a seeded sample of so many rows a language.")
]
Reference = Annotated[
    bool, typer.Option("--reference", help="Show published scores on the same backbone, too, where some are known.")
]
ReportTo = Annotated[
    str, typer.Option("--report-to", help="Trackers of the transformers Trainer: tensorboard,wandb,trackio.")
]


def split_list(text: str) -> tuple[str, ...]:
    """Read a list joined by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def read_seeds(text: str) -> tuple[int, ...]:
    """Read seeds joined by commas; raises as ``read_numbers``."""
    return read_numbers(text, "--seeds", "0,1,2")


def read_numbers(text: str, option: str, example: str) -> tuple[int, ...]:
    """Read whole numbers joined by commas.

    Args:
        text: the list.
        option: that takes it, for messages.
        example: of such a list, for messages.

    Raises:
        SettingsError: one is no whole number from 0 on.
    """
    parts = split_list(text)
    if not all(part.isdecimal() for part in parts):
        raise SettingsError(f"{option} '{text}' is not a list of whole numbers such as {example}.")
    return tuple(int(part) for part in parts)


def with_training_settings(
    leave_out: Collection[str] = (), also: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each field of ``TrainingSettings``; see ``with_settings``."""
    return with_settings(TrainingSettings, TRAINING_PANEL, leave_out=leave_out, also=also)


def with_settings(
    kind_of_settings: type, panel: str, *, leave_out: Collection[str] = (), also: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each field of a dataclass of settings.

    The command takes them as one dictionary, ``settings``; what the user left out is None in it.

    Args:
        kind_of_settings: the dataclass; each field has its line of help in its metadata.
        panel: heading of the options in ``--help``.
        leave_out: fields that shall have no option.
        also: second names of options, by field.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        hints = typing.get_type_hints(function, include_extras=True)
        parameters = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name != "settings"
        ]
        types_of = typing.get_type_hints(kind_of_settings)
        chosen = [field for field in fields(kind_of_settings) if field.name not in leave_out]
        for field in chosen:
            flags = [f"--{field.name.replace('_', '-')}"]
            if also and field.name in also:
                flags.append(also[field.name])
            option = typer.Option(*flags, help=field.metadata["help"], rich_help_panel=panel)
            kind = _without_none(types_of[field.name])
            parameters.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=None,
                    annotation=Annotated[kind | None, option],
                )
            )

        @functools.wraps(function)
        def command(**values: Any) -> None:
            settings = {field.name: values.pop(field.name) for field in chosen}
            function(**values, settings=settings)

        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        )
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        (kind,) = [part for part in typing.get_args(kind) if part is not type(None)]
    return kind
