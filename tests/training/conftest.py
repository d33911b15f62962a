"""What the tests of training share: toy trainers, toy stages, and a store with a few adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_compositions import MakeComposition
from toy_stages import TINY, MakeStage
from toy_trainer import MakeSetup, Setup

from adapterstilts.models.backbone import identify
from adapterstilts.models.grammar import parse
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import TrainingStage, run_stage


@pytest.fixture
def setup(toy_backbone_folder: Path, toy_mirror: Path, toy_composition: MakeComposition, tmp_path: Path) -> MakeSetup:
    """A function that makes a trainer; ``folder`` takes the place of the toy backbone."""

    def make(*names: str, folder: Path = toy_backbone_folder, **options: Any) -> Setup:
        return Setup(folder, toy_mirror, toy_composition, tmp_path / "scratch", *names, **options)

    return make


@pytest.fixture(scope="session")
def stage(toy_backbone_folder: Path, toy_mirror: Path) -> MakeStage:
    """A function that makes a stage on the toy backbone and mirror."""

    def make(
        task_name: str = "mnli",
        expression: str = "none",
        *,
        inputs: tuple[Artifact, ...] = (),
        backbone: Path = toy_backbone_folder,
        root: Path = toy_mirror,
        **settings: Any,
    ) -> TrainingStage:
        task, parsed = get_suite().task(task_name), parse(expression)
        return TrainingStage(task, TrainingSettings(**TINY | settings), identify(str(backbone)), parsed, inputs, root)

    return make


@pytest.fixture(scope="session")
def shelf(stage: MakeStage, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with intermediate adapters for mnli, twice, and for squad. Tests only read it."""
    kept = Store(tmp_path_factory.mktemp("shelf"))
    for made in (stage("mnli"), stage("squad"), stage("mnli", seed=1)):
        run_stage(made, kept)
    return kept
