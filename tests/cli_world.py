"""The store that the tests of the commands share, with the documents of the commands that made what is in it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from calling import TINY, call, document
from damages import Files

FUSE = ("compose", "mnli+squad", "--target", "xnli", "--fuse-on", "intermediate", "--languages", "en")
NLI_ROW = {"text": "the cat sees a tree", "text_pair": "indeed a tree"}


@dataclasses.dataclass(frozen=True)
class World:
    """A store with trained artifacts and the documents of the commands that made them. Tests only read it."""

    store: Path
    backbone: Path
    mirror: Path
    made: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def options(self) -> tuple[str, ...]:
        """Toy backbone, toy mirror, this store."""
        return ("--backbone", str(self.backbone), "--data-root", str(self.mirror), "--store", str(self.store))

    @property
    def fusion(self) -> tuple[str, ...]:
        """The command that made ``fusion``."""
        return ("compose", "mnli+squad", "--target", "xnli", *self.options, *TINY)

    def artifact(self, name: str) -> str:
        """Return the id of an artifact."""
        value: str = self.made[name]["artifact"]
        return value

    def copied(self, folder: Path) -> World:
        """Copy the store into a new folder, where more may be made."""
        return dataclasses.replace(self, store=Path(shutil.copytree(self.store, folder)))


def add_kinds(world: World) -> None:
    """Train one of each kind that ``make_world`` leaves out; a fusion of its own with the recipes of its tasks."""
    english = ("--languages", "en", *world.options, *TINY)
    world.made["fused"] = document("compose", *FUSE, *world.options, *TINY)
    for name, expression, more in (
        ("whole", "none", ("--adapter", "full")),
        ("dropped", "mnli+squad", ("--drop-layers", "0")),
        ("ensemble", "ensemble(mnli, squad)", ()),
    ):
        world.made[name] = document("compose", "compose", expression, "--target", "xnli", *more, *english)


def make_world(store: Path, backbone: Path, mirror: Path) -> World:
    """Train what the tests of the commands read: three adapters, a fusion, a composition of no intermediate task."""
    world = World(store, backbone, mirror)
    for task in ("mnli", "squad", "hellaswag"):
        world.made[task] = document("train_intermediate", "train-intermediate", task, *world.options, *TINY)
    world.made["fusion"] = document("compose", *world.fusion)
    world.made["tags"] = document("compose", "compose", "none", "--target", "panx", *world.options, *TINY)
    return world


def repository_of(world: World, artifact: str, folder: Path) -> Files:
    """Return the files that ``push`` makes of an artifact, by way of a new folder."""
    call("push", artifact, "alice/toy", "--dry-run", folder, "--store", world.store)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
