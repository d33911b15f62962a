"""All commands under one name."""

from __future__ import annotations

from typing import Annotated

import typer

from adapterstilts import __version__

from . import (
    bench,
    compose,
    demo,
    evaluate,
    export,
    fetch,
    lab,
    languages,
    predict,
    pull,
    push,
    runs,
    score,
    tasks,
    train_intermediate,
    train_language,
    zoo,
)

app = typer.Typer(
    name="adapterstilts",
    help="Modular cross-lingual transfer: train intermediate-task adapters once on a frozen encoder, compose them "
    "under a target adapter, and see what it brings in every language, zero-shot.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"adapterstilts {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


for name, command in (
    ("demo", demo.command),
    ("train-intermediate", train_intermediate.command),
    ("train-language", train_language.command),
    ("compose", compose.command),
    ("evaluate", evaluate.command),
    ("predict", predict.command),
    ("export", export.command),
    ("score", score.command),
    ("languages", languages.command),
    ("fetch", fetch.command),
    ("push", push.command),
    ("pull", pull.command),
):
    app.command(name)(command)
app.add_typer(runs.app)
app.add_typer(tasks.app)
app.add_typer(lab.app)
app.add_typer(zoo.app)
app.add_typer(bench.app)
