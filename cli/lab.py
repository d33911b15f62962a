"""``lab``: look into the lab, declare languages of one's own, make its encoder anew."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from adapterstilts.errors import DataUnavailableError, SettingsError
from adapterstilts.lab.languages import (
    FEATURES,
    SOURCE,
    Language,
    declare,
    differences,
    distance,
    get_language,
    read_language,
)
from adapterstilts.lab.settings import PretrainingSettings

from .console import notes, print_json, print_table, result_console, session
from .options import Json, with_settings

if TYPE_CHECKING:
    from adapterstilts.lab.grammar import Sentence
    from adapterstilts.lab.meaning import Meaning

app = typer.Typer(
    name="lab",
    help="Look into the lab: its languages and rows; declare languages of your own; make its encoder anew.",
    no_args_is_help=True,
)

LanguageCode = Annotated[str, typer.Argument(metavar="LANGUAGE", help="Code of a language of the lab, such as qba.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the sentences.")]


@app.command()
def show(language: LanguageCode, seed: Seed = 0, json: Json = False) -> None:
    """Show a language: its parameters, and sentences with glosses and a translation into the source language."""
    with session():
        found = get_language(language)
        if json:
            print_json(_document(found, seed))
        else:
            _print_language(found, seed)


@app.command()
def sample(
    task: Annotated[str, typer.Argument(help="A task, such as squad.")],
    language: Annotated[str, typer.Argument(metavar="LANGUAGE", help="Code of a language of the lab.")] = SOURCE,
    split: Annotated[str | None, typer.Option("--split", help="train, validation or test.")] = None,
    count: Annotated[int, typer.Option("--count", help="How many rows.")] = 3,
    json: Json = False,
) -> None:
    """Show rows of a task in a language, with the columns that the Hub's data set has."""
    from adapterstilts.lab.rows import rows

    with session():
        if count < 1:
            raise SettingsError(f"--count must be at least 1, not {count}.")
        if split is None:
            try:
                found = rows(task, language, "test", count)
            except DataUnavailableError:
                found = rows(task, language, "validation", count)
        else:
            found = rows(task, language, split, count)
        if json:
            print_json(found)
            return
        for number, row in enumerate(found):
            table = Table(title=f"{task} {language} {number}", show_header=False, title_justify="left")
            table.add_column("column", style="bold")
            table.add_column("value")
            for column, value in row.items():
                table.add_row(column, escape(_shown(value)))
            print_table(table)


@app.command("new-language")
def new_language(
    file: Annotated[Path, typer.Argument(help="YAML with code, name and the parameters that differ from the source.")],
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a language declared before.")] = False,
    seed: Seed = 0,
) -> None:
    """Declare a language: from now on, commands with --suite lab know it by its code.

    Example of a FILE: {code: qpa, name: mine, word_order: VSO, adjective: noun-adjective, script: Greek}
    """
    from adapterstilts.lab.grammar import sentence
    from adapterstilts.lab.parser import parse

    with session():
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"'{file}' cannot be read: {error}.") from error
        language = read_language(text)
        said = [sentence(meaning, language).text for meaning in _meanings(seed, 200)]
        unclear = sum(len(parse(text, language)) > 1 for text in said)
        kept = declare(language, replace=replace)
        _print_language(language, seed)
        notes.print(f"Kept in {kept}. Use it: adapterstilts languages --suite lab", soft_wrap=True)
        if unclear:
            notes.print(
                f"Note: {unclear} of {len(said)} sentences can be read in more than one way; with these parameters "
                "different meanings share a sentence."
            )


@app.command()
@with_settings(PretrainingSettings, "Pretraining")
def pretrain(
    folder: Annotated[Path, typer.Argument(help="Folder of the run; an interrupted run goes on in it.")],
    settings: dict[str, Any] | None = None,
) -> None:
    """Make an encoder for the lab, as the shipped one was made: FOLDER/model, with a card that says what it can do.

    Example: adapterstilts lab pretrain my-pico --steps 20000; then --backbone my-pico/model
    """
    with session() as reporter:
        chosen = {name: value for name, value in (settings or {}).items() if value is not None}
        from adapterstilts.lab.card import measure_folder
        from adapterstilts.lab.pretrain import pretrain as run

        model = run(PretrainingSettings(**chosen), folder, reporter)
        reporter.message("Measuring it in all languages.")
        measure_folder(model)
        notes.print(f"Made {model}; its card is {model / 'README.md'}.", soft_wrap=True)


def _document(language: Language, seed: int) -> dict[str, Any]:
    from adapterstilts.lab.grammar import sentence

    source = get_language(SOURCE)
    sentences = [(sentence(meaning, language), sentence(meaning, source)) for meaning in _meanings(seed)]
    return {
        "code": language.code,
        "name": language.name,
        "script": language.script,
        "distance": round(distance(source, language), 4),
        "shared_words": language.shared_words,
        "seen": language.seen,
        "parameters": {feature.name: getattr(language, feature.name) for feature in FEATURES},
        "sentences": [
            {
                "text": said.text,
                "words": [token.form for token in said.tokens],
                "glosses": [token.gloss for token in said.tokens],
                "upos": [token.upos for token in said.tokens],
                "source": translated.text,
            }
            for said, translated in sentences
        ],
    }


def _meanings(seed: int, count: int = 3) -> list[Meaning]:
    """Return sentences of a story, with a question about it at the end."""
    from adapterstilts.lab.questions import ask, askable
    from adapterstilts.lab.teller import Teller

    teller = Teller(random.Random(f"show {seed}"))
    if count > 3:
        return [teller.sentence() for _ in range(count)]
    while True:
        story = teller.story(count)
        asked = [ask(step.clause, role) for step in story.steps for role in islice(askable(step.clause), 1)]
        if asked:
            return [*story.sentences, asked[-1]]


def _print_language(language: Language, seed: int) -> None:
    from adapterstilts.lab.grammar import sentence

    source = get_language(SOURCE)
    apart = differences(source, language)
    table = Table(title=f"{language.code} {language.name}", title_justify="left")
    for title in ("WALS", "parameter", "value", "source"):
        table.add_column(title)
    for feature in FEATURES:
        value, usual = getattr(language, feature.name), getattr(source, feature.name)
        differs = feature.name in apart
        table.add_row(feature.wals, feature.title, f"[bold]{value}[/]" if differs else value, usual if differs else "")
    print_table(table)
    out = result_console()
    out.print(
        f"Distance {distance(source, language):.2f}; {language.script} script; "
        f"{language.shared_words:.0%} of the words are the source's; "
        f"{'read' if language.seen else 'not read'} by the encoder in pretraining.\n"
    )
    for meaning in _meanings(seed):
        said, translated = sentence(meaning, language), sentence(meaning, source)
        out.print(_interlinear(said))
        if language.code != SOURCE:
            out.print(Text(f"  {SOURCE}: {translated.text}", style="italic"))
        out.print()


def _interlinear(said: Sentence) -> Table:
    """Return the words of a sentence with their glosses below them."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in said.tokens:
        table.add_column()
    table.add_row(*(Text(token.form, style="bold") for token in said.tokens))
    table.add_row(*(Text(token.gloss) for token in said.tokens))
    return table


def _shown(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) and value and isinstance(value[0], str) else str(value)
