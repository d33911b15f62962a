"""What the tests of the commands share: a process that stays as it was, and a store that is trained once for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import surroundings_kept
from cli_world import World, make_world
from stores import kept_in


@pytest.fixture(autouse=True)
def _surroundings() -> Iterator[None]:
    """Put back what a command sets for its process."""
    with surroundings_kept():
        yield


@pytest.fixture(scope="session")
def world(toy_backbone_folder: Path, toy_mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Trained artifacts and their documents. Tests only read them."""
    home = tmp_path_factory.mktemp("world")
    with surroundings_kept():
        made = make_world(home, toy_backbone_folder, toy_mirror)
    before = kept_in(home)
    yield made
    assert kept_in(home) == before, "a test wrote into the store that all share; it needs `own_world` or `options`"


@pytest.fixture
def own_world(world: World, tmp_path: Path) -> World:
    """A copy of the store that all share, to be added to."""
    return world.copied(tmp_path / "world")


@pytest.fixture
def options(world: World, tmp_path: Path) -> tuple[str, ...]:
    """Toy backbone, toy mirror, an empty store."""
    return (*world.options[:-1], str(tmp_path / "store"))
