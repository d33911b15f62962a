"""CCGbank's own files: derivations of the Wall Street Journal, of which the words and their categories are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from adapterstilts.errors import DataFormatError

_FILE = re.compile(r"wsj_(\d\d)\d\d\.auto")
#: A leaf: category, two part-of-speech tags, word, category with the heads of its arguments.
_LEAF = re.compile(r"\(<L (\S+) \S+ \S+ (\S+) \S+>\)")


def auto_files(folder: Path, sections: tuple[int, int]) -> list[Path]:
    """Return the ``wsj_SSNN.auto`` files anywhere below a folder, by name.

    Args:
        folder: where CCGbank's ``AUTO`` folder was put, or its files.
        sections: first and last section SS.
    """
    first, last = sections
    named = ((path, _FILE.fullmatch(path.name)) for path in folder.rglob("wsj_*.auto"))
    return sorted((path for path, name in named if name and first <= int(name[1]) <= last), key=lambda path: path.name)


def read_auto(paths: Iterable[Path]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield words and categories of each sentence (Hockenmaier, Steedman 2007, https://aclanthology.org/J07-3004).

    Raises:
        DataFormatError: a line is no derivation; names file and line.
    """
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise DataFormatError(f"'{path}' cannot be read as UTF-8: {error}.") from error
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("ID="):
                continue
            leaves = _LEAF.findall(line)
            if not leaves or len(leaves) != line.count("(<L "):
                raise DataFormatError(
                    f"Line {number} of '{path}' is no derivation with leaves such as (<L N NN NN word N>)."
                )
            yield [word for _, word in leaves], [category for category, _ in leaves]
