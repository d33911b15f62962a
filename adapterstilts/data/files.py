"""Rows that lie in plain files, since no data set on the Hub holds them: the user's own, or at an address."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.network import hub_reachable
from adapterstilts.errors import DataFormatError, DataUnavailableError
from adapterstilts.fingerprints import fingerprint

if TYPE_CHECKING:
    from datasets import Dataset

    from adapterstilts.tasks.spec import Source, TaskSpec

DATA_ROOT_VARIABLE = "ADAPTERSTILTS_DATA_ROOT"


def check_file(source: Source, root: Path | None) -> None:
    """Fail at once where a source's file neither lies in the data root nor can be fetched.

    Raises:
        DataUnavailableError: says how to come by the file and where to put it.
    """
    if _path(source, root) is not None or _has_a_language(source, root):
        return
    place = (root or Path("DIR")) / source.dataset / source.file
    if not source.address:
        how = f"Put it there, as '{place}'" if root else f"Put it in a folder of yours, as '{place}', and give"
        way = "." if root else f" --data-root DIR (or set {DATA_ROOT_VARIABLE}=DIR)."
        raise DataUnavailableError(f"'{source.dataset}/{source.file}' is not there. {source.obtain} {how}{way}".strip())
    if root is not None:
        raise DataUnavailableError(
            f"The mirror '{root}' has no file '{source.dataset}/{source.file}'. Fetch {source.address} and put it "
            "there, or leave --data-root out."
        )
    if not hub_reachable():
        raise DataUnavailableError(
            f"{source.address} cannot be fetched without a network. Put the file into a folder of yours, as '{place}', "
            f"and give --data-root DIR (or set {DATA_ROOT_VARIABLE}=DIR)."
        )


def load_file(source: Source, root: Path | None) -> Dataset:
    """Load the rows of a source that is a file.

    Raises:
        DataUnavailableError: as for ``check_file``.
        DataFormatError: the file cannot be read; names the line where it is known.
    """
    check_file(source, root)
    path = _path(source, root)
    suffix = Path(source.file).suffix
    if path is not None and suffix not in (".csv", ".json"):
        return _tagged_lines(path)
    import datasets

    # SQuAD's documents have all under one key. By default, pandas reads answers such as "None" and "NA" as missing.
    how: dict[str, Any] = {"field": "data"} if suffix == ".json" else {"keep_default_na": False}
    try:
        return datasets.load_dataset(
            "json" if suffix == ".json" else "csv",
            data_files={"train": str(path or source.address)},
            split="train",
            cache_dir=cache_for(path.parent) if path else None,
            **how,
        )
    except Exception as error:  # the library raises whatever its parsers and its network client raise
        kind = DataFormatError if path else DataUnavailableError
        raise kind(f"'{path or source.address}' cannot be read: {first_line(error.__cause__ or error)}.") from error


def with_labels(task: TaskSpec, root: Path | None) -> TaskSpec:
    """Return the task with the labels of its labels file; a task that lists its labels comes back as it is.

    Raises:
        DataUnavailableError: the file is not there.
        DataFormatError: it does not number the labels from 0 on.
    """
    if not task.labels_file or task.labels:
        return task
    source = replace(task.source("train"), file=task.labels_file)
    check_file(source, root)
    path = _path(source, root)
    assert path is not None, "a labels file lies beside the user's own rows"
    try:
        numbers = {str(name): int(number) for name, number in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataFormatError(f"'{path}' is no JSON object of labels and their numbers: {error}.") from error
    if sorted(numbers.values()) != list(range(len(numbers))) or len(numbers) < 2:
        raise DataFormatError(f"'{path}' does not number its {len(numbers)} labels from 0 on without gaps.")
    return replace(task, labels=tuple(sorted(numbers, key=numbers.__getitem__)))


def cache_for(folder: Path) -> str:
    """Return a cache folder of a mirror's own, which changes with any of its files.

    The cache of datasets knows a local folder by its README alone: without this, another mirror, or a file that was
    replaced, would silently give the rows read before.
    """
    import datasets

    files = sorted(path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    stated = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return str(Path(datasets.config.HF_DATASETS_CACHE) / "adapterstilts" / fingerprint(stated)[:16])


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, without a full stop."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".")


def _path(source: Source, root: Path | None) -> Path | None:
    path = root / source.dataset / source.file if root is not None else None
    return path if path is not None and path.is_file() else None


def _has_a_language(source: Source, root: Path | None) -> bool:
    """Whether the mirror has a file of any language of a source with one file a language."""
    pattern = source.file.replace("{language}", "*")
    return pattern != source.file and root is not None and any((root / source.dataset).glob(pattern))


def _tagged_lines(path: Path) -> Dataset:
    """Read sentences as jiant keeps them: words and tags, each joined by spaces, with a tab between the two."""
    from datasets import Dataset, Features, List, Value

    rows = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataFormatError(f"'{path}' cannot be read as UTF-8: {error}.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        parts = line.strip().split("\t")
        if len(parts) != 2:
            raise DataFormatError(
                f"Line {number} of '{path}' has {len(parts) - 1} tabs; one between words and tags is needed."
            )
        rows.append({"tokens": parts[0].split(" "), "tags": parts[1].split()})
    texts = List(Value("string"))
    return Dataset.from_list(rows, features=Features({"tokens": texts, "tags": texts}))
