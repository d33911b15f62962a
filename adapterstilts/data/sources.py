"""Where rows come from: the Hub, a local mirror with its layout, or the lab. The same code after the first line."""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from adapterstilts.data.files import (
    DATA_ROOT_VARIABLE,
    cache_for,
    check_file,
    file_path,
    file_place,
    first_line,
    load_file,
)
from adapterstilts.data.layouts import with_layout
from adapterstilts.data.network import dataset_cached, hub_reachable
from adapterstilts.data.texts import load_texts, texts_fault
from adapterstilts.errors import DataFormatError, DataUnavailableError
from adapterstilts.tasks.spec import LAB, TEXT

if TYPE_CHECKING:
    from datasets import Dataset

    from adapterstilts.tasks.spec import Source, TaskSpec

logger = logging.getLogger(__name__)


def data_root(given: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the local mirror to read from, or None for the Hub.

    Args:
        given: a folder named by the caller; without it, ``ADAPTERSTILTS_DATA_ROOT`` is asked.

    Raises:
        DataUnavailableError: the folder does not exist.
    """
    chosen = given or os.environ.get(DATA_ROOT_VARIABLE)
    if not chosen:
        return None
    root = Path(chosen).expanduser()
    if not root.is_dir():
        said_by = "--data-root" if given else DATA_ROOT_VARIABLE
        raise DataUnavailableError(f"The data root '{root}' ({said_by}) is not a folder. Give a mirror of the Hub.")
    return root.resolve()


def root_of_suite(suite: str, given: str | os.PathLike[str] | None) -> Path | None:
    """Return the mirror that the rows of a suite are read from; the lab needs none, whatever is set.

    Raises:
        DataUnavailableError: as for ``data_root``.
    """
    return None if suite == LAB else data_root(given)


class MissingConfigError(DataUnavailableError):
    """The data set is there, but not this configuration or split: a mirror with a part of the languages, say."""


class NotCachedError(MissingConfigError):
    """The cache has other parts of the data set, and the Hub cannot be reached."""


class MissingDataSetError(DataUnavailableError):
    """The mirror does not have the data set, or nothing of it is in the cache while the Hub cannot be reached."""


def load_split(source: Source, language: str, root: Path | None) -> Dataset:
    """Load the raw rows of ``source`` for ``language``, as the data set stores them.

    Args:
        source: data set, configuration, split, revision.
        language: its code; it chooses the configuration where there is one a language.
        root: local mirror, or None for the Hub; the rows of the lab are generated in either case.

    Raises:
        MissingConfigError: the data set has no configuration, or no such split, for this language; a NotCachedError
            where the cache has other parts of it, and the Hub cannot be reached.
        MissingDataSetError: the mirror does not have the data set, or nothing of it is in the cache while the Hub
            cannot be reached.
        DataUnavailableError: what the cache has cannot be read, and the Hub cannot be reached.
        DataFormatError: a file is empty, cut or unreadable.
    """
    raw = _load_raw(source, language, root)
    return with_layout(source.layout, raw, language) if source.layout else raw


def _load_raw(source: Source, language: str, root: Path | None) -> Dataset:
    if source.dataset == TEXT:
        return load_texts(source)
    if source.file:
        here = file_path(source, root, language) is not None
        if "{language}" in source.file and not here and (root is not None or not source.address):
            raise MissingConfigError(f"'{source.dataset}' has no file '{source.file_for(language)}'.")
        return load_file(source, root, language)
    config = source.config_for(language)
    if source.dataset == LAB:
        from adapterstilts.lab.rows import load

        task, _, code = config.rpartition(".")
        return load(task, code, source.split)
    if root is not None:
        return _load_from_mirror(source, config, root)
    return _load_from_hub(source, config)


def _load_from_mirror(source: Source, config: str, root: Path) -> Dataset:
    folder = root / source.dataset
    _require(source, root)
    known = _mirror_configs(
        str(folder), (folder / "README.md").stat().st_mtime if (folder / "README.md").exists() else 0
    )
    if config not in known:
        raise MissingConfigError(f"The mirror's '{source.dataset}' has no configuration '{config}'.")
    return _load(str(folder), config, source, revision=None, cache_dir=cache_for(folder))


@functools.lru_cache(maxsize=64)
def _mirror_configs(folder: str, _changed: float) -> tuple[str, ...]:
    from datasets import get_dataset_config_names

    try:
        return tuple(get_dataset_config_names(folder))
    except Exception as error:  # the library raises whatever its parsers raise
        raise DataFormatError(f"The mirror folder '{folder}' cannot be read: {first_line(error)}") from error


def _load_from_hub(source: Source, config: str) -> Dataset:
    _require(source, None)
    reachable = hub_reachable()
    try:
        return _load(source.dataset, config, source, revision=source.revision if reachable else None)
    except (DataFormatError, DataUnavailableError) as error:
        if reachable:
            raise
        if isinstance(error, MissingConfigError):
            raise NotCachedError(str(_not_cached(source, f" ({config}, {source.split})"))) from None
        raise _not_cached(source) from None


def check_access(source: Source, root: Path | None) -> None:
    """Fail at once, before any slow import, where a source can neither be read from disk nor fetched.

    Where the languages lie in several data sets, one of these is enough: the languages of the others are missing.

    Raises:
        DataUnavailableError: names the ways out.
    """
    parts = (source, *source.more)
    faults = [fault for part in parts if (fault := _fault(part, root)) is not None]
    if faults and (not source.languages or len(faults) == len(parts)):
        raise faults[0]


def check_rows_access(task: TaskSpec, root: Path | None) -> None:
    """Fail at once where the rows of a split of a task, or what is searched, can neither be read nor fetched.

    Raises:
        DataUnavailableError: as for ``check_access``.
    """
    for source in task.every_source:
        check_access(source, root)


def places(task: TaskSpec, root: Path | None) -> tuple[str, ...]:
    """Return where the rows of a task would come from now, nothing where they cannot be had; nothing is loaded.

    The places are ``generated`` (the lab), ``mirror`` (the data root), ``file`` (of a task file), ``cache`` (which has
    something of the data set), ``hub``, ``web`` (a file at an address) and ``text`` (named with ``--text``). Where the
    languages lie in several data sets, one of these is enough, as for ``check_access``.
    """
    found: dict[str, None] = {}
    for source in task.every_source:
        parts = [_place(part, root) for part in (source, *source.more)]
        if not any(parts) or not (all(parts) or source.languages):
            return ()
        found |= dict.fromkeys(filter(None, parts))
    return tuple(found)


def _place(source: Source, root: Path | None) -> str:
    """Return the place of a source's rows, whatever follows it; empty where they cannot be had."""
    if source.dataset == LAB:
        return "generated"
    if source.dataset == TEXT:
        return "text"
    if source.file:
        return file_place(source, root)
    if root is not None:
        return "mirror" if (root / source.dataset).is_dir() else ""
    if dataset_cached(source.dataset):
        return "cache"
    return "hub" if hub_reachable() else ""


def _require(source: Source, root: Path | None) -> None:
    """Fail where the data set of a source, whatever follows it, can neither be read from disk nor fetched."""
    if (fault := _fault(source, root)) is not None:
        raise MissingDataSetError(str(fault))


def _fault(source: Source, root: Path | None) -> DataUnavailableError | None:
    if source.dataset == TEXT:
        return texts_fault(source)
    if _place(source, root):
        return None
    if source.file:
        check_file(source, root)  # says what to do
    return _not_mirrored(source, root) if root is not None else _not_cached(source)


def _not_mirrored(source: Source, root: Path) -> DataUnavailableError:
    folder = root / source.dataset
    return DataUnavailableError(
        f"The mirror '{root}' has no folder '{source.dataset}'. Mirror it with "
        f"`hf download --repo-type dataset {source.dataset} --local-dir {folder}`, or leave --data-root out."
    )


def _not_cached(source: Source, part: str = "") -> DataUnavailableError:
    return unreachable(
        f"'{source.dataset}'{part}",
        f"with a mirror of the Hub on disk, give --data-root DIR or set {DATA_ROOT_VARIABLE}=DIR (rows are looked for "
        f"in DIR/{source.dataset})",
    )


def unreachable(what: str, way_out: str) -> DataUnavailableError:
    """Build the error for something that is not in the cache while the Hub cannot be reached."""
    return DataUnavailableError(
        f"{what} is not in the local cache, and the Hub cannot be reached. Three ways out: (1) {way_out}; "
        "(2) on a machine with network, run `adapterstilts fetch TASK --model ID` and bring its Hugging Face "
        "cache (HF_HOME) along; (3) --suite lab runs the same commands on the embedded lab, with a backbone of its own."
    )


def _load(path: str, config: str, source: Source, *, revision: str | None, cache_dir: str | None = None) -> Dataset:
    import datasets

    try:
        return datasets.load_dataset(path, config, split=source.split, revision=revision, cache_dir=cache_dir)
    except (ValueError, FileNotFoundError) as error:
        if cache_dir is not None and ("valid data file" in str(error) or isinstance(error, FileNotFoundError)):
            raise MissingConfigError(f"The files of '{path}' ({config}) are not in the mirror.") from error
        if isinstance(error, FileNotFoundError):
            raise DataUnavailableError(f"'{path}' ({config}) cannot be loaded: {first_line(error)}") from error
        if "BuilderConfig" in str(error) or "config" in str(error).lower():
            raise MissingConfigError(f"'{path}' has no configuration '{config}': {first_line(error)}") from error
        if "split" in str(error).lower():
            raise MissingConfigError(f"'{path}' ({config}) has no split '{source.split}'.") from error
        raise DataFormatError(f"'{path}' ({config}, {source.split}) cannot be read: {first_line(error)}") from error
    except ConnectionError as error:
        raise DataUnavailableError(f"'{path}' ({config}) cannot be loaded: {first_line(error)}") from error
    except Exception as error:  # parquet and csv readers raise their own kinds for cut or empty files
        cause = error.__cause__ or error
        raise DataFormatError(
            f"The files of '{path}' ({config}, {source.split}) cannot be read: {first_line(cause)}. "
            "They may be empty or cut; fetch them again."
        ) from error
