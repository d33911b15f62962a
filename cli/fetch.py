"""``fetch TASK… --model ID``: fill the Hugging Face cache, for machines without network."""

from __future__ import annotations

from typing import Annotated

import typer

from adapterstilts.tasks.spec import DEFAULT_SUITE

from .console import print_json, result_console, session
from .options import Json, Languages, Revision, Suite


def command(
    tasks: Annotated[list[str] | None, typer.Argument(help="Tasks whose data shall be fetched.")] = None,
    suite: Suite = DEFAULT_SUITE,
    model: Annotated[str | None, typer.Option("--model", help="Backbone to fetch, such as xlm-roberta-base.")] = None,
    revision: Revision = None,
    languages: Languages = "all",
    json: Json = False,
) -> None:
    """Fetch data sets and a backbone into the Hugging Face cache (HF_HOME), to work without network later."""
    with session() as reporter:
        from adapterstilts.studies.fetching import fetch

        fetched = fetch(
            tuple(tasks or ()), suite=suite, model=model, revision=revision, languages=languages, reporter=reporter
        )
        if json:
            print_json(fetched)
            return
        for item in fetched:
            result_console().print(f"{item['kind']:8} {item['id']}  {item['detail']}", soft_wrap=True)
