"""What the tests of the commands share: a process that stays as it was, and a store that is trained once for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import surroundings_kept
from cli_world import World, add_kinds, make_world, repository_of
from damages import Files
from stores import kept_in
from toy_stages import short_recipes as recipes_shortened


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


@pytest.fixture
def fresh(world: World, tmp_path: Path) -> tuple[Any, ...]:
    """The toy backbone, an empty store: where something is pulled into."""
    return ("--backbone", world.backbone, "--store", tmp_path / "store")


@pytest.fixture
def short_recipes() -> Iterator[None]:
    """As ``toy_stages.short_recipes``."""
    with recipes_shortened():
        yield


@pytest.fixture(scope="session")
def kinds(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The shared store with one artifact of every kind beside. Tests only read it."""
    made = world.copied(tmp_path_factory.mktemp("kinds") / "store")
    with surroundings_kept(), recipes_shortened():
        add_kinds(made)
    return made


@pytest.fixture(scope="session")
def published(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """What ``push`` makes of three artifacts, by name."""
    return {
        name: repository_of(world, world.artifact(name), tmp_path_factory.mktemp("published") / name)
        for name in ("tags", "squad", "fusion")
    }
