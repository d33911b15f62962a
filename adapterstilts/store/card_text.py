"""What a model card says below its metadata: the composition, how to use it, scores, how it was made, its limits."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapterstilts.errors import UnknownNameError
from adapterstilts.store.portable import is_local
from adapterstilts.tasks.spec import DEFAULT_SUITE, LAB, TaskSpec
from adapterstilts.tasks.suites import get_suite

PACKAGED = ("pico", "minilm-l6")
"""Backbones that come in a Python package, so that they are no repository on the Hub."""
CITATIONS = (
    "Phang et al. 2020, English Intermediate-Task Training Improves Zero-Shot Cross-Lingual Transfer Too, "
    "https://arxiv.org/abs/2005.13013",
    "Pfeiffer et al. 2021, AdapterFusion: Non-Destructive Task Composition for Transfer Learning, "
    "https://arxiv.org/abs/2005.00247",
    "Poth et al. 2023, Adapters: A Unified Library for Parameter-Efficient and Modular Transfer Learning, "
    "https://arxiv.org/abs/2311.11077",
)


@dataclass(frozen=True)
class CardFacts:
    """What a card says beside the manifest."""

    repo: str
    """``USER/REPO``."""
    drawing: str
    """The composition as a line of text."""
    results: Sequence[Mapping[str, Any]]
    """The evaluations, as ``results.json`` has them."""
    library: str
    """How the adapters library loads it: ``load_adapter`` or ``load_adapter_setup``; empty for a trained backbone."""
    license: str | None = None
    """The Hub's name of the licence that the owner gives it."""
    weights: int = 0
    """Bytes of its weights."""


def command_of(manifest: Mapping[str, Any]) -> str:
    """Return the command that makes an artifact of the same fingerprint, with every setting spelled out.

    Of an adapter that the adapters library saved it is the one that takes it; empty for that of a language.
    """
    if told := manifest.get("imported"):
        words = ["adapterstilts", "pull", f"{told['repo']}@{told['commit']}", "--as", manifest["task"]]
        where = [] if manifest["suite"] == DEFAULT_SUITE else ["--suite", manifest["suite"]]
        return shlex.join([*words, *where, "--backbone", manifest["backbone"]["id"]])
    settings = {key: value for key, value in manifest["settings"].items() if value is not None}
    backbone = ["--backbone", manifest["backbone"]["id"]]
    if not off_hub(backbone[1]) and re.fullmatch("[0-9a-f]{40}", manifest["backbone"]["revision"]):
        backbone += ["--revision", manifest["backbone"]["revision"]]
    suite = str(manifest.get("suite", DEFAULT_SUITE))
    where = [*([] if suite == DEFAULT_SUITE else ["--suite", suite]), *backbone]
    fused = ["--fuse-on", "intermediate"] if manifest["kind"] == "fusion" or "fused_on" in manifest else []
    if manifest["kind"] in ("merged", "mixed", "fusion"):
        words = ["adapterstilts", "compose", manifest["expression"], "--target", "TASK", *fused, *where]
        return shlex.join(words)
    if "steps" in settings:
        settings.pop("epochs", None)
    own = _own_file(manifest)
    if manifest["kind"] == "language" and "not_known" in manifest:
        return ""
    texts = manifest.get("data", {}).get("train", {}).get("texts", ())
    texts = [word for text in texts for word in ("--text", text)]
    if manifest["kind"] == "intermediate":
        words = ["adapterstilts", "train-intermediate", manifest["task"], *own, *where, *texts]
    elif manifest["kind"] == "language":
        words = ["adapterstilts", "train-language", manifest["language"], *where, *texts]
    else:
        words = ["adapterstilts", "compose", manifest["expression"], "--target", manifest["task"], *fused, *own, *where]
        words += ["--seeds", str(settings.pop("seed", 0))]
        if below := manifest.get("language_adapter"):
            words += ["--language-adapters", "madx", "--language-adapter", f"{below['language']}={below['artifact']}"]
    options = [word for key, value in settings.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    return shlex.join([*words, *options])


def mean_and_gap(result: Mapping[str, Any]) -> tuple[float, float | None]:
    """Return the mean main score of an evaluation, and the source language's minus the mean of the others.

    Args:
        result: an entry of ``results.json``.

    Returns:
        the mean, and the gap; None where the source or all others are missing.
    """
    mains = {code: _main(scores)[1] for code, scores in result["languages"].items()}
    source = _source(str(result.get("suite", DEFAULT_SUITE)))
    others = [value for code, value in mains.items() if code != source]
    gap = mains[source] - sum(others) / len(others) if source in mains and others else None
    return sum(mains.values()) / len(mains), gap


def _not_known(manifest: Mapping[str, Any]) -> str:
    """Return what nobody tells of an adapter that was not trained here, as a list of words; empty where all is told."""
    words = {"resources": "time and energy"}
    return ", ".join(words.get(item, item) for item in manifest.get("not_known", ()))


def body(manifest: Mapping[str, Any], facts: CardFacts, tasks: Sequence[TaskSpec]) -> str:
    """Return the text of a card below its metadata.

    Args:
        manifest: as it is shared (``adapterstilts.store.portable``).
        facts: what else it says.
        tasks: those of the catalogue that it is about.
    """
    sections = [
        f"# {manifest['name']}",
        _introduction(manifest, facts),
        f"## What it is\n\n```\n{manifest['backbone']['id']} → {facts.drawing}\n```",
        _use(manifest, facts),
        _scores(facts.results),
        _making(manifest),
        _data(manifest, tasks),
        _limits(manifest, facts),
        "## Citation\n\n" + "\n".join(f"- {_cell(text)}" for text in (*CITATIONS, *(task.citation for task in tasks))),
    ]
    return "\n\n".join(part for part in sections if part) + "\n"


def _introduction(manifest: Mapping[str, Any], facts: CardFacts) -> str:
    backbone = manifest["backbone"]
    kinds = {
        "intermediate": f"An adapter for the intermediate task `{manifest.get('task')}`",
        "target": f"A composition for the target task `{manifest.get('task')}`, from `{manifest['expression']}`,",
        "merged": f"An adapter merged from others, `{manifest['expression']}`,",
        "mixed": f"An adapter trained on several tasks at once, `{manifest['expression']}`,",
        "fusion": f"A fusion of adapters, trained on their own tasks, `{manifest['expression']}`, with their heads,",
        "language": f"An adapter for the language `{manifest.get('language')}`, to lie under others (MAD-X),",
    }
    encoder = f"encoder `{backbone['id']}` ({backbone['revision'][:17]})"
    if facts.library:
        made = "made with AdapterSTILTs"
        if told := manifest.get("imported"):
            made = f"which others trained (`{told['repo']}` at `{told['commit']}`)"
        elif "not_known" in manifest:
            made = "which others trained and saved with the adapters library"
        text = (
            f"{kinds[manifest['kind']]} on the frozen {encoder}, {made}. Weights are safetensors; the encoder is not "
            "part of this repository."
        )
    else:
        text = (
            f"The {encoder}, all of its weights trained on `{manifest['task']}`, made with AdapterSTILTs "
            f"(`--adapter full`, from `{manifest['expression']}`). It is no adapter: the repository holds "
            f"{facts.weights / 1e6:,.1f} MB of weights, and the encoder's configuration and tokenizer come from where "
            "it was published."
        )
    if backbone["id"] in PACKAGED:
        text += f" The encoder comes as a Python package, by the name `--backbone {backbone['id']}`."
    elif is_local(backbone["id"]):
        text += " The encoder lay in a folder: it is known by its hashes alone, and has to be given with `--backbone`."
    if manifest.get("suite") == LAB:
        text += " Its languages are generated, so its scores tell nothing of real ones."
    return text


def _use(manifest: Mapping[str, Any], facts: CardFacts) -> str:
    local = " --backbone FOLDER" if is_local(manifest["backbone"]["id"]) else ""
    lines = [f"adapterstilts pull {facts.repo}{local}"]
    if manifest["kind"] == "language":
        given = f"{manifest['language']}={manifest['id']}"
        command = "adapterstilts compose none --target TASK --language-adapters madx --language-adapter"
        lines.append(f"{command} {given}{local}")
    if manifest["kind"] in ("intermediate", "target") and manifest.get("imported", {}).get("head") != "none":
        lines.append(f"adapterstilts evaluate {manifest['id']}{local}")
    if manifest["kind"] == "intermediate":
        chosen = ("{}", "") if facts.library else ("'chain({})'", " --adapter full")
        expression = chosen[0].format(manifest["task"])
        lines.append(f"adapterstilts compose {expression} --target TASK --use {manifest['id']}{chosen[1]}{local}")
    if manifest["kind"] == "fusion":
        shown = shlex.quote(manifest["expression"])
        lines.append(f"adapterstilts compose {shown} --target TASK --fuse-on intermediate{local}")
    shown = "\n".join(lines)
    ours = f"## Use\n\n```\n{shown}\n```"
    if below := manifest.get("language_adapter"):
        ours += (
            f"\n\nAt the bottom lies the adapter of `{below['language']}` (`{below['artifact']}`), which is a part of "
            "this repository. For the other languages their own adapters are put in its place, from the store: pull or "
            "train these, too, or give `--language-fallback`."
        )
    if manifest["kind"] == "fusion":
        ours += f"\n\nThe fusion is taken where the store has its adapters, too: {_inputs(manifest)}."
    if not facts.library:
        return f"{ours}\n\nThe adapters library alone cannot load it."
    encoder = "FOLDER" if off_hub(manifest["backbone"]["id"]) else manifest["backbone"]["id"]
    library = (
        "from adapters import AutoAdapterModel\nfrom huggingface_hub import snapshot_download\n\n"
        f"folder = snapshot_download({facts.repo!r})\n"
        f"model = AutoAdapterModel.from_pretrained({encoder!r})\n"
    )
    if facts.library == "load_adapter":
        library += "model.load_adapter(folder, use_safetensors=True, set_active=True)"
    else:
        library += 'model.load_adapter_setup(f"{folder}/library", use_safetensors=True, set_active=True)' + (
            f"\nmodel.active_head = {task_names(manifest)[0]!r}" if manifest["kind"] in ("target", "fusion") else ""
        )
    return f"{ours}\n\nWith the adapters library alone:\n\n```python\n{library}\n```"


def _scores(results: Sequence[Mapping[str, Any]]) -> str:
    if not results:
        return "## Scores\n\nNobody has evaluated it yet."
    parts = []
    for result in results:
        names = [name for name in next(iter(result["languages"].values())) if name != "examples"]
        rows = [f"| language | rows | {' | '.join(names)} |", f"|---|---{'|---' * len(names)}|"]
        for code, scores in result["languages"].items():
            values = " | ".join(f"{scores[name]:.1f}" for name in names)
            rows.append(f"| {_cell(code)} | {scores['examples']} | {values} |")
        mean, gap = mean_and_gap(result)
        told = f"Mean of the {len(result['languages'])} languages: {mean:.1f}."
        if gap is not None:
            told += f" Transfer gap: {gap:.1f}."
        if below := result.get("language_adapters"):
            used = [f"{_cell(code)} on {f'that of {_cell(own)}' if own else 'none'}" for code, own in below.items()]
            told += f" Language adapters: {', '.join(used)}."
        if result.get("missing"):
            told += f" Not evaluated: {', '.join(map(_cell, result['missing']))}."
        table = "\n".join(rows)
        parts.append(f"`{_code(result['task'])}`, {_cell(result['split'])} rows, zero-shot:\n\n{table}\n\n{told}")
    return "## Scores\n\n" + "\n\n".join(parts)


def _making(manifest: Mapping[str, Any]) -> str:
    resources, metrics = manifest.get("resources", {}), manifest.get("metrics", {})
    if "resources" in manifest.get("not_known", ()):
        resources = {}
    facts = {
        "trained parameters": f"{resources['trained_parameters']:,}" if "trained_parameters" in resources else "",
        "time": f"{resources['wall_seconds']} s on {resources.get('device', 'a cpu')}" if resources else "",
        "steps": f"{metrics['steps']}, the best after {metrics['best_step']}" if "best_step" in metrics else "",
        "validation": ", ".join(f"{name} {value:.2f}" for name, value in metrics.get("validation", {}).items()),
        "weights": ", ".join(
            f"{value:.3f} of `{_code(part)}`" for part, value in manifest.get("search", {}).get("weights", {}).items()
        ),
        "inputs": _inputs(manifest),
        "not known": _not_known(manifest),
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items()),
        "fingerprint": f"`{manifest['fingerprint']}`",
    }
    rows = "\n".join(f"| {name} | {text} |" for name, text in facts.items() if text)
    command = command_of(manifest)
    shown = f"```\n{command}\n```\n\n" if command else ""
    return f"## How it was made\n\n{shown}| | |\n|---|---|\n{rows}"


def _inputs(manifest: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in manifest.get("inputs", []))


def _data(manifest: Mapping[str, Any], tasks: Sequence[TaskSpec]) -> str:
    lines = []
    for told in sources(manifest):
        for split, source in told.items():
            commit = f" at `{source['revision']}`" if source.get("revision") else ""
            name = f"`{_code(source['dataset'])}` ({_cell(source['config'])}, {_cell(source['split'])})"
            lines.append(f"- {split}: {name}{commit}, {source['rows']} rows")
    lines += [f"- licence of `{task.name}`: {_cell(task.license)}" for task in tasks if task.license]
    lines = ["Nobody tells what it was trained on."] if "data" in manifest.get("not_known", ()) else lines
    return "## Data\n\n" + "\n".join(lines) if lines else ""


def _limits(manifest: Mapping[str, Any], facts: CardFacts) -> str:
    if manifest["kind"] == "language":
        return "## Limits\n\n- It solves no task: it lies under an adapter that was trained on another language's."
    if "not_known" in manifest:
        lines = [f"- Others trained it; of its training nobody tells: {_not_known(manifest)}."]
        return "## Limits\n\n" + "\n".join([*lines, *_gaps(facts)])
    lines = ["- Trained on rows in one language; whatever it does in others, nobody taught it."]
    lines += _gaps(facts)
    if manifest.get("settings", {}).get("max_train_examples"):
        lines.append(f"- Trained on a sample of {manifest['settings']['max_train_examples']} rows.")
    lines.append("- One seed: another gives other scores.")
    return "## Limits\n\n" + "\n".join(lines)


def _gaps(facts: CardFacts) -> list[str]:
    """Return a line for each evaluation of several languages that tells what the others lack."""
    gaps = [(result, mean_and_gap(result)[1]) for result in facts.results]
    return [
        f"- On `{_code(result['task'])}` ({_cell(result['split'])}) the source language scores {gap:.1f} points more "
        "than the mean of the others."
        for result, gap in gaps
        if gap is not None
    ]


def sources(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a manifest tells of the rows of each training, by split."""
    if "data" in manifest:
        return [manifest["data"]]
    return [part["data"] for part in manifest.get("mixture", {}).values()]


def task_names(manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of the tasks that an artifact is about."""
    return [manifest["task"]] if "task" in manifest else list(manifest["tasks"])


def known_tasks(manifest: Mapping[str, Any]) -> list[TaskSpec]:
    """Return those of its tasks that the catalogue has."""
    if _own_file(manifest):
        return []
    suite = str(manifest.get("suite", DEFAULT_SUITE))
    return [task for name in task_names(manifest) if (task := known_task(suite, name)) is not None]


def known_task(suite: str, name: str) -> TaskSpec | None:
    """Return a task of the catalogue, None where it has none of that name."""
    try:
        return get_suite(suite).tasks.get(name)
    except UnknownNameError:
        return None


def _source(suite: str) -> str:
    try:
        return get_suite(suite).source_language
    except UnknownNameError:
        return "en"


def _own_file(manifest: Mapping[str, Any]) -> list[str]:
    told = manifest["identity"].get("task", {})
    return ["--task-file", "FILE"] if isinstance(told, dict) and told.get("definition") else []


def _main(scores: Mapping[str, float]) -> tuple[str, float]:
    return next((name, value) for name, value in scores.items() if name != "examples")


def off_hub(backbone: str) -> bool:
    """Tell whether a backbone is no repository on the Hub: it comes in a package, or lay in a folder."""
    return backbone in PACKAGED or is_local(backbone)


def _cell(text: Any) -> str:
    """Return a text that stays one line, and one cell, of a Markdown page."""
    return re.sub(r"([|<\\])", r"\\\1", _code(text))


def _code(text: Any) -> str:
    """Return a text that stays inside of backticks."""
    return " ".join(str(text).split()).replace("`", "'")
