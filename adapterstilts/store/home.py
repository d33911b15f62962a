"""Where finished things are kept, and how a folder is written: whole, or not at all."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from adapterstilts.errors import ArtifactError, SettingsError
from adapterstilts.home import HOME_VARIABLE

logger = logging.getLogger(__name__)

ID_DIGITS = 12
"""Digits of a fingerprint that names have."""


@contextmanager
def new_folder(target: Path, home: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes ``target`` when the block ends, and vanishes when it fails.

    The temporary lies in ``home/tmp``, on the same file system, so that the move is one atomic rename: a process
    killed in between leaves no half-written ``target``. If another process made ``target`` meanwhile, its folder stays.

    Raises:
        ArtifactError: the store cannot be written (read-only, full); names the path.
    """
    temporary = home / "tmp" / f"{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    try:
        with written_in(home, temporary):
            temporary.mkdir(parents=True)
            yield temporary
            _sync(temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.rename(temporary, target)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                logger.info("%s was made by another process meanwhile; that one is kept.", target)
            else:
                _sync_path(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def written_in(home: Path, place: Path) -> Iterator[None]:
    """Say it in the project's words where the store cannot be written.

    Raises:
        ArtifactError: it is read-only or full; names the path, ``place`` where the system names none.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR):
            raise ArtifactError(
                f"The store '{home}' cannot be written: {error.strerror} ({error.filename or place}). "
                f"Make room or set {HOME_VARIABLE} to another folder."
            ) from error
        raise


def checkpoints_of(home: Path, key: str) -> Path:
    """Return the folder of the checkpoints of what has a fingerprint."""
    return home / "checkpoints" / key[:ID_DIGITS]


def check_room(home: Path, needed: int, what: str) -> None:
    """Fail before hours of work rather than after, where the disk is too full for what they make.

    Args:
        home: the store's folder.
        needed: bytes.
        what: for people.

    Raises:
        ArtifactError: there is less room; says how much there is and how much is needed.
    """
    there = next(folder for folder in (home, *home.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise ArtifactError(
            f"The store '{home}' has room for {_size(free)}, and {what} needs {_size(needed)}. Make room or set "
            f"{HOME_VARIABLE} to another folder."
        )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB ({count} bytes)"


def check_writable(home: Path) -> None:
    """Fail before hours of work rather than after.

    Raises:
        ArtifactError: the store cannot be written.
    """
    probe = home / "tmp" / f"probe.{uuid.uuid4().hex[:8]}"
    with new_folder(probe, home) as folder:
        (folder / "probe").write_bytes(b"")
    shutil.rmtree(probe, ignore_errors=True)


def check_new_folders(folders: Iterable[Path]) -> None:
    """Fail before any work where a folder for the user cannot be made.

    Raises:
        SettingsError: it exists and is not empty, is a file, is named twice, or would lie nowhere.
    """
    seen: set[Path] = set()
    for folder in folders:
        if folder.is_dir() and any(folder.iterdir()):
            raise SettingsError(f"The folder '{folder}' is not empty. Name a new one.")
        if folder.exists() and not folder.is_dir():
            raise SettingsError(f"'{folder}' is a file. Name a new folder.")
        if not folder.absolute().parent.is_dir():
            raise SettingsError(f"The folder '{folder}' cannot be made: '{folder.absolute().parent}' is no folder.")
        if folder.resolve() in seen:
            raise SettingsError(f"The folder '{folder}' is named twice.")
        seen.add(folder.resolve())


def write_folders(contents: Mapping[Path, Mapping[str, str]]) -> None:
    """Write text files into new folders of the user's: all of them, or none where something goes wrong.

    Args:
        contents: for each folder, text by path below it.

    Raises:
        SettingsError: as for ``check_new_folders``, or a folder cannot be written; names the path.
    """
    check_new_folders(contents)
    try:
        with ExitStack() as stack:
            made = []
            for folder, files in contents.items():
                scratch = tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.absolute().parent)
                whole = Path(stack.enter_context(scratch)) / "whole"
                for name, text in files.items():
                    file = whole / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text, encoding="utf-8", newline="\n")
                _sync(whole)
                made.append((whole, folder))
            for whole, folder in made:
                if folder.is_dir():
                    folder.rmdir()  # it is empty
                os.rename(whole, folder)
    except OSError as error:
        raise SettingsError(f"The files cannot be written: {error.strerror} ({error.filename}).") from error


def _sync(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _sync_path(path)
    _sync_path(folder)


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
