"""Filling the Hugging Face cache, so that everything else works without network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapterstilts.data.network import hub_endpoint, hub_reachable, offline_requested
from adapterstilts.data.sources import MissingConfigError, load_split
from adapterstilts.errors import DataUnavailableError, SettingsError
from adapterstilts.models.backbone import load_backbone
from adapterstilts.models.locations import PACKAGED, locate
from adapterstilts.progress import Reporter
from adapterstilts.tasks.languages import parse_languages
from adapterstilts.tasks.spec import DEFAULT_SUITE, LAB, TaskSpec
from adapterstilts.tasks.suites import get_suite

_EMBEDDED = "{}: nothing need be fetched"


def fetch(
    tasks: Sequence[str],
    *,
    suite: str = DEFAULT_SUITE,
    model: str | None = None,
    revision: str | None = None,
    languages: str = "all",
    reporter: Reporter | None = None,
) -> list[dict[str, Any]]:
    """Download the rows of tasks and a backbone into the Hugging Face cache.

    Args:
        tasks: names of tasks.
        suite: the suite they are of; of the lab nothing need be fetched.
        model: Hub id of a backbone.
        revision: commit, branch or tag of the backbone.
        languages: ``all``, or codes joined by commas, for data sets with one configuration a language.
        reporter: told of the progress.

    Returns:
        an object for each thing fetched: ``kind``, ``id``, ``detail``.

    Raises:
        SettingsError: nothing was named.
        DataUnavailableError: the Hub cannot be reached.
    """
    reporter = reporter or Reporter()
    world = get_suite(suite)
    specs = [world.task(name) for name in dict.fromkeys(tasks)]
    if not specs and model is None and world.name != LAB:
        raise SettingsError("Name a task or --model: `adapterstilts fetch tydiqa squad --model xlm-roberta-base`.")
    plan = [
        (source, language)
        for spec in specs
        for split in spec.sources
        for language in _languages(spec, split, languages)
        for source in spec.source(split).parts(language)
    ]
    plan += [
        (spec.candidates, language)
        for spec in specs
        if spec.candidates is not None
        for language in _of_candidates(spec, languages)
    ]
    fetched: list[dict[str, Any]] = []
    if world.name == LAB:
        fetched.append({"kind": "embedded", "id": LAB, "detail": _EMBEDDED.format("its rows are generated")})
        plan = []
    if model in PACKAGED:
        detail = _EMBEDDED.format(f"comes as a Python package, {locate(model)}")
        fetched.append({"kind": "embedded", "id": model, "detail": detail})
        model = None
    if not plan and model is None:
        return fetched
    why = "HF_HUB_OFFLINE is set" if offline_requested() else "it does not answer"
    if not hub_reachable():
        raise DataUnavailableError(
            f"The Hub ({hub_endpoint()}) cannot be reached: {why}. `fetch` needs the network; on a machine without "
            "one, give the other commands --data-root DIR with a mirror of the Hub, or --suite lab."
        )
    done: set[tuple[str, str, str]] = set()
    for source, language in plan:
        key = (source.dataset, source.config_for(language), source.split)
        if key in done:
            continue
        done.add(key)
        reporter.message(f"Fetching {' '.join(key)}")
        try:
            rows = len(load_split(source, language, None))
        except MissingConfigError as error:
            fetched.append({"kind": "missing", "id": " ".join(key), "detail": str(error)})
            continue
        fetched.append({"kind": "data", "id": " ".join(key), "detail": f"{rows} rows"})
    if model is not None:
        reporter.message(f"Fetching {model}")
        identity = load_backbone(model, revision).identity
        fetched.append({"kind": "model", "id": identity.id, "detail": f"revision {identity.revision}"})
    return fetched


def _languages(spec: TaskSpec, split: str, asked: str) -> tuple[str, ...]:
    """Return the languages to load one by one; one is enough where all stand in the same file."""
    known = spec.languages_of(split)
    if spec.source(split).language_from != "config" or len(known) == 1:
        return known[:1]
    return parse_languages(asked, known, what=f"'{spec.name}'", among=get_suite(spec.suite).languages)


def _of_candidates(spec: TaskSpec, asked: str) -> tuple[str, ...]:
    """Return the languages whose candidates are loaded: of a pool of all languages, all."""
    if spec.candidates is None or spec.candidates.language_from != "config":
        return (spec.source_language,)
    return spec.languages if spec.one_pool else _languages(spec, spec.evaluation_split, asked)
