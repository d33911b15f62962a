"""Model cards of shared artifacts, made from the manifest and the evaluations; nothing in them is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from adapterstilts.store.card_text import (
    CardFacts,
    body,
    known_task,
    known_tasks,
    off_hub,
    sources,
    task_names,
)
from adapterstilts.tasks.spec import DEFAULT_SUITE, LAB, TaskSpec

PIPELINES = {
    "classification": "text-classification",
    "multiple_choice": "multiple-choice",
    "span": "question-answering",
    "tagging": "token-classification",
    "language_modelling": "fill-mask",
    "retrieval": "sentence-similarity",
    "search": "sentence-similarity",
}
"""The Hub's names of what a format does."""


def card(manifest: Mapping[str, Any], facts: CardFacts) -> str:
    """Return the text of a model card.

    Args:
        manifest: as it is shared (``adapterstilts.store.portable``).
        facts: what else it says.
    """
    from huggingface_hub import ModelCard, ModelCardData
    from huggingface_hub.utils import logging as hub_logging

    quiet = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()
    tasks = known_tasks(manifest)
    pipelines = {PIPELINES.get(task.format) for task in tasks} if manifest["kind"] != "merged" else set()
    pipelines |= {PIPELINES["language_modelling"]} if manifest["kind"] == "language" else set()
    results = _eval_results(facts.results)
    relation = "adapter" if facts.library else "finetune"
    data: dict[str, Any] = {
        "base_model": None if off_hub(manifest["backbone"]["id"]) else manifest["backbone"]["id"],
        "base_model_relation": None if off_hub(manifest["backbone"]["id"]) else relation,
        "library_name": "adapterstilts",
        "pipeline_tag": next(iter(pipelines)) if len(pipelines) == 1 else None,
        "language": _languages(manifest, facts.results, tasks) or None,
        "license": facts.license,
        "datasets": _datasets(manifest) or None,
        "tags": ["adapterstilts", *(["adapters"] if facts.library else []), *_own_tags(manifest)],
    }
    if results:
        data |= {"model_name": manifest["name"], "eval_results": results}
    try:
        head = ModelCardData(**data).to_yaml()
        return str(ModelCard(f"---\n{head}\n---\n\n{body(manifest, facts, tasks)}"))
    finally:
        hub_logging.set_verbosity(quiet)


def _eval_results(results: Sequence[Mapping[str, Any]]) -> list[Any]:
    from huggingface_hub import EvalResult

    found = []
    for result in results:
        task = known_task(str(result.get("suite", DEFAULT_SUITE)), str(result["task"]))
        source = task.sources.get(result["split"]) if task else None
        dataset = source.dataset if source and _on_hub(source.dataset) else str(result["task"])
        for code, scores in result["languages"].items():
            for name, value in scores.items():
                if name == "examples":
                    continue
                config = source.config_for(code) if source and source.language_from == "config" else code
                found.append(
                    EvalResult(
                        task_type=PIPELINES[task.format] if task else "other",
                        dataset_type=dataset,
                        dataset_name=f"{result['task']} ({code})",
                        dataset_config=config,
                        dataset_split=result["split"],
                        dataset_revision=source.revision if source else None,
                        metric_type=name,
                        metric_name=f"{name}, zero-shot",
                        metric_value=round(float(value), 4),
                    )
                )
    return found


def _languages(
    manifest: Mapping[str, Any], results: Sequence[Mapping[str, Any]], tasks: Sequence[TaskSpec]
) -> list[str]:
    if manifest.get("suite") == LAB:
        return []  # generated ones have no code
    codes = [manifest["language"]] if manifest["kind"] == "language" else []
    codes += [task.source_language for task in tasks] + [code for result in results for code in result["languages"]]
    return [code for code in dict.fromkeys(codes) if re.fullmatch("[a-z]{2,3}", code)]


def _datasets(manifest: Mapping[str, Any]) -> list[str]:
    names = [source["dataset"] for told in sources(manifest) for source in told.values()]
    names += [text.split()[0] for told in sources(manifest) for source in told.values() for text in source["more"]]
    return [name for name in dict.fromkeys(names) if _on_hub(name)]


def _own_tags(manifest: Mapping[str, Any]) -> list[str]:
    adapter = manifest["settings"].get("adapter")
    return list(dict.fromkeys([manifest["kind"], *task_names(manifest), *([adapter] if adapter else [])]))


def _on_hub(dataset: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", dataset))
