"""Imports run downwards only, and slow packages are imported where they are needed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

#: Rooms from the top down; a room imports from its own line and from those below.
LEVELS = (
    ("cli",),
    ("studies",),
    ("training", "evaluation"),
    ("models", "data", "store"),
    ("tasks",),
    ("lab",),
    ("bundled", "errors", "fingerprints", "home", "progress", "settings", "__init__"),
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
#: Pairs of neighbours on one line where the import may run in one direction only.
ONE_WAY = {("evaluation", "training"), ("data", "models"), ("store", "models"), ("store", "data")}
QUICK = ("cli", "tasks", "lab", "store", *LEVELS[-1])
SLOW = {"torch", "transformers", "adapters", "datasets", "evaluate", "numpy", "scipy"}


def modules() -> list[Path]:
    return [*(REPOSITORY / "adapterstilts").rglob("*.py"), *(REPOSITORY / "cli").glob("*.py")]


def room_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).parts
    return "cli" if parts[0] == "cli" else parts[1].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Yield imported module names, and whether the import runs when the module is imported."""

    def walk(node: ast.AST, runs: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, runs) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.level == 0 and child.module:
                yield child.module, runs
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            else:
                yield from walk(child, runs and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    yield from walk(tree, True)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_imports_run_downwards(path: Path) -> None:
    room = room_of(path)
    assert room in LEVEL_OF, f"{room} stands in no level: add it to LEVELS"
    for name, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] != "adapterstilts" or len(parts) == 1 or parts[1] == room:
            continue
        assert LEVEL_OF[parts[1]] >= LEVEL_OF[room], f"{path.name} imports {name}, which is above it"
        assert (room, parts[1]) not in ONE_WAY, f"{path.name} imports {name}: {parts[1]} uses {room}, so it is a circle"


@pytest.mark.parametrize("room", QUICK)
def test_the_command_line_and_the_catalogue_import_nothing_slow(room: str) -> None:
    paths = [path for path in modules() if room_of(path) == room]
    assert paths
    for path in paths:
        found = imports(ast.parse(path.read_text(encoding="utf-8")))
        assert not {name.split(".")[0] for name, runs in found if runs} & SLOW, path
