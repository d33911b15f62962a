"""What the tests of studies share: where the toy data is, and a store with adapters and a composition of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from stores import dated
from toy_stages import TINY

from adapterstilts.store.artifacts import Store
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.transfer import compose, train_intermediate
from adapterstilts.training.trainer import StiltsTrainer


@pytest.fixture(scope="session")
def common(toy_backbone_folder: Path, toy_mirror: Path) -> dict[str, Any]:
    """Toy backbone, toy mirror, settings with which a stage takes a moment."""
    return {"backbone": str(toy_backbone_folder), "data_root": toy_mirror, "settings": TINY}


@pytest.fixture(scope="session")
def shelf(common: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two adapters for mnli, one for squad, and what ``composed`` makes. Tests only read it."""
    home = tmp_path_factory.mktemp("shelf")
    for task, seed in (("mnli", 0), ("mnli", 1), ("squad", 0)):
        train_intermediate(task, **common | {"settings": TINY | {"seed": seed}}, store=home)
    dated(Store(home), "mnli", 0, "2020-01-01T00:00:00+00:00")
    dated(Store(home), "mnli", 1, "2019-01-01T00:00:00+00:00")
    return home


@pytest.fixture(scope="session")
def composed(shelf: Path, common: dict[str, Any]) -> Transfer:
    """A fusion of two seeds beside its baseline, in the store ``shelf``."""
    return compose("mnli+squad", target="xnli", **common, store=shelf, seeds=(0, 1), max_eval_examples=15)


@pytest.fixture
def copy(composed: Transfer, shelf: Path, tmp_path: Path) -> Path:
    """A copy of the shelf, to be changed."""
    assert composed
    return Path(shutil.copytree(shelf, tmp_path / "copy"))


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where something is trained."""

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing may be trained")

    monkeypatch.setattr(StiltsTrainer, "fit", never)
