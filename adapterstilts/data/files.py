"""Rows that lie in plain files, since no data set on the Hub holds them: the user's own, or at an address."""

from __future__ import annotations

import glob
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.ccgbank import auto_files, read_auto
from adapterstilts.data.network import hub_reachable
from adapterstilts.data.tables import read_table, tagged_rows
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
    if _is_there(source, root) or _derivations(source, root):
        return
    place = (root or Path("DIR")) / source.dataset / source.file
    if Path(source.dataset).is_absolute():
        raise DataUnavailableError(f"There is no file '{place}'. {source.obtain}".strip())
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


def file_place(source: Source, root: Path | None) -> str:
    """Return where a source's file would be read from: ``file`` (of a task file), ``mirror`` or ``web``.

    It is empty where ``check_file`` fails.
    """
    own = Path(source.dataset).is_absolute()
    if _is_there(source, root) or _derivations(source, root):
        return "file" if own else "mirror"
    return "web" if source.address and not own and root is None and hub_reachable() else ""


def load_file(source: Source, root: Path | None, language: str) -> Dataset:
    """Load the rows of a source that is a file.

    Args:
        source: whose file it is.
        root: the data root.
        language: its code; it chooses the file where there is one a language.

    Raises:
        DataUnavailableError: as for ``check_file``.
        DataFormatError: the file cannot be read; names the line where it is known.
    """
    check_file(source, root)
    path = file_path(source, root, language)
    document = Path(source.file).suffix == ".json"
    if path is not None and not document:
        return read_table(path, source)
    if found := _derivations(source, root):
        return tagged_rows({"tokens": words, "tags": tags} for words, tags in read_auto(found))
    import datasets

    # SQuAD's documents have all under one key. By default, pandas reads answers such as "None" and "NA" as missing.
    how: dict[str, Any] = {"field": "data"} if document else {"keep_default_na": False}
    try:
        return datasets.load_dataset(
            "json" if document else "csv",
            data_files={"train": str(path or source.address_for(language))},
            split="train",
            cache_dir=cache_for(path.parent) if path else None,
            **how,
        )
    except Exception as error:  # the library raises whatever its parsers and its network client raise
        kind = DataFormatError if path else DataUnavailableError
        where = path or source.address_for(language)
        raise kind(f"'{where}' cannot be read: {first_line(error.__cause__ or error)}.") from error


def with_labels(task: TaskSpec, root: Path | None) -> TaskSpec:
    """Return the task with the labels of its labels file; a task that lists its labels comes back as it is.

    Where there is no such file, but CCGbank's own, the labels are the categories in these, in alphabetical order.

    Raises:
        DataUnavailableError: the file is not there.
        DataFormatError: it does not number the labels from 0 on.
    """
    if not task.labels_file or task.labels:
        return task
    source = replace(task.source("train"), file=task.labels_file, sections=None)
    if file_path(source, root) is None:
        found = [path for split in task.sources.values() for path in _derivations(split, root)]
        if found:
            return replace(task, labels=tuple(sorted({tag for _, tags in read_auto(found) for tag in tags})))
    check_file(source, root)
    path = file_path(source, root)
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


def file_path(source: Source, root: Path | None, language: str = "") -> Path | None:
    """Return where a source's file lies, None where it does not.

    Args:
        source: whose file it is.
        root: the data root; a folder of the source that is absolute needs none.
        language: its code; it chooses the file where there is one a language.
    """
    folder = Path(source.dataset)
    if root is None and not folder.is_absolute():
        return None
    path = (root or folder) / folder / source.file_for(language)
    return path if path.is_file() else None


def _is_there(source: Source, root: Path | None) -> bool:
    if "{language}" not in source.file:
        return file_path(source, root) is not None
    folder = (root or Path()) / source.dataset
    parts = (glob.escape(part) for part in source.file.split("{language}"))
    anywhere = root is not None or folder.is_absolute()
    return anywhere and any(path.is_file() for path in folder.glob("*".join(parts)))


def _derivations(source: Source, root: Path | None) -> list[Path]:
    """Return CCGbank's own files with the rows of a source."""
    return [] if root is None or source.sections is None else auto_files(root / source.dataset, source.sections)
