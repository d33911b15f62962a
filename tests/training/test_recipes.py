"""Every recipe of the zoo can be read, is for a task of the catalogue, and none is missing."""

from __future__ import annotations

import dataclasses
import importlib.resources
import re
from pathlib import Path

import pytest
import yaml

from adapterstilts import bundled
from adapterstilts.errors import ExpressionError, SettingsError, UnknownNameError
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.tasks.catalogue import TASKS, XTREME_R_TASKS, get_task
from adapterstilts.tasks.catalogue.plain_text import LANGUAGE
from adapterstilts.tasks.spec import TaskSpec
from adapterstilts.tasks.suites import get_suite, lab_task
from adapterstilts.training.recipes import recipe_settings
from adapterstilts.training.settings import TrainingSettings

FOLDER = Path(str(importlib.resources.files("adapterstilts.zoo") / "recipes"))
SUITE_FILES = ("lab.yaml",)
FILES = sorted(path for path in FOLDER.glob("*") if path.name not in SUITE_FILES)


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder in the place of the zoo's recipes."""
    (tmp_path / "recipes").mkdir()

    monkeypatch.setattr(bundled.importlib.resources, "files", lambda package: tmp_path)
    return tmp_path / "recipes"


def test_each_task_has_a_recipe_and_each_recipe_a_task() -> None:
    assert {path.name for path in FILES} == {f"{name}.yaml" for name in (*TASKS, LANGUAGE.name)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recipe_says_what_its_task_is_trained_with(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["task"] == path.stem
    assert set(content) == {"task", "settings"}
    settings = recipe_settings(LANGUAGE if path.stem == LANGUAGE.name else get_task(path.stem))
    told = {name: float(value) if name == "learning_rate" else value for name, value in content["settings"].items()}
    assert {name: getattr(settings, name) for name in told} == told
    untold = [field for field in dataclasses.fields(settings) if field.name not in told]
    assert all(getattr(settings, field.name) == field.default for field in untold)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recipe_gives_its_source(path: Path) -> None:
    """A number in a recipe comes with where it is from: a paper with its year, or scripts by name."""
    comments = " ".join(line[1:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    assert re.search(r"\b(19|20)\d\d\b|scripts", comments), comments


def test_numbers_of_a_recipe_are_numbers(zoo: Path) -> None:
    """YAML 1.1 reads 1e-4, without a point, as text."""
    (zoo / "mnli.yaml").write_text("task: mnli\nsettings:\n  learning_rate: 1e-4\n  adapter: double_seq_bn\n")
    settings = recipe_settings(get_task("mnli"))
    assert settings.learning_rate == 1e-4
    assert settings.adapter == "double_seq_bn"


def test_the_users_settings_win_over_the_recipes() -> None:
    plain = recipe_settings(get_task("tydiqa"))
    changed = recipe_settings(get_task("tydiqa"), {"epochs": 1.5, "batch_size": None, "seed": 7})
    assert changed == dataclasses.replace(plain, epochs=1.5, seed=7)
    assert plain.batch_size != TrainingSettings().batch_size, "the recipe's own is kept, not the default"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n- list\n", "has no settings"),
        ("task: mnli\n", "has no settings"),
        ("task: mnli\nsettings: 3\n", "has no settings"),
        ("task: mnli\nsettings:\n  epochs: 0\n", "--epochs"),
    ],
)
def test_a_wrong_recipe_is_told(text: str, says: str, zoo: Path) -> None:
    (zoo / "mnli.yaml").write_text(text)
    with pytest.raises(SettingsError, match=says):
        recipe_settings(get_task("mnli"))


def test_a_missing_recipe_is_named_with_its_file(zoo: Path) -> None:
    with pytest.raises(SettingsError, match=re.escape("adapters_zoo/recipes/mnli.yaml")):
        recipe_settings(get_task("mnli"))


def test_a_setting_of_a_recipe_that_does_not_exist(zoo: Path) -> None:
    (zoo / "mnli.yaml").write_text("task: mnli\nsettings:\n  batchsize: 8\n")
    with pytest.raises(UnknownNameError, match=r"'batchsize'.*'batch_size'"):
        recipe_settings(get_task("mnli"))


@pytest.mark.parametrize("name", XTREME_R_TASKS)
def test_xtreme_r_has_the_recipes_of_xtreme(name: str) -> None:
    assert recipe_settings(XTREME_R_TASKS[name]) == recipe_settings(get_task(name))


def of_the_lab(name: str) -> TaskSpec:
    return lab_task(get_task(name), ("qaa", "qab"), "qaa")


@pytest.mark.parametrize("name", TASKS)
def test_the_lab_has_one_recipe_for_all_its_tasks(name: str) -> None:
    content = yaml.safe_load((FOLDER / "lab.yaml").read_text(encoding="utf-8"))
    assert set(content) == {"suite", "defaults", "tasks"}
    assert content["suite"] == "lab"
    assert set(content["tasks"]) <= {*TASKS, LANGUAGE.name}
    told = {**content["defaults"], **content["tasks"].get(name, {})}
    settings = recipe_settings(of_the_lab(name))
    assert {field: getattr(settings, field) for field in told} == told
    assert recipe_settings(of_the_lab(name), {"epochs": 0.5}) == dataclasses.replace(settings, epochs=0.5)


def test_a_task_that_the_labs_recipe_does_not_name_takes_the_defaults(zoo: Path) -> None:
    (zoo / "lab.yaml").write_text(
        "defaults:\n  epochs: 4\n  learning_rate: 2e-3\ntasks:\n  squad:\n    epochs: 7\n    max_length: 96\n"
    )
    settings = recipe_settings(of_the_lab("mnli"))
    assert (settings.epochs, settings.learning_rate, settings.max_length) == (4, 2e-3, 128)
    settings = recipe_settings(of_the_lab("squad"))
    assert (settings.epochs, settings.learning_rate, settings.max_length) == (7, 2e-3, 96)


@pytest.mark.parametrize("text", ["- a\n", "defaults: {}\n", "tasks: {}\n", "defaults: {}\ntasks:\n  mnli: 3\n"])
def test_a_wrong_recipe_of_the_lab_is_told(text: str, zoo: Path) -> None:
    (zoo / "lab.yaml").write_text(text)
    with pytest.raises(SettingsError, match="recipe of the suite 'lab' needs 'defaults' and 'tasks'"):
        recipe_settings(of_the_lab("mnli"))


@pytest.mark.parametrize(
    ("kind", "factor"), [("seq_bn", 2), ("double_seq_bn", 2), ("lora", None), ("ia3", None), ("full", None)]
)
def test_a_recipe_s_reduction_factor_is_for_adapters_that_have_one(kind: str, factor: float | None) -> None:
    task = get_suite("lab").task("mnli")
    assert recipe_settings(task).reduction_factor == 2
    settings = recipe_settings(task, {"adapter": kind})
    assert (settings.adapter, settings.reduction_factor) == (kind, factor)
    if factor is None:
        given = recipe_settings(task, {"adapter": kind, "reduction_factor": 4})
        with pytest.raises(ExpressionError, match=r"reduction.factor"):
            adapter_config_json(given.adapter, reduction_factor=given.reduction_factor)


def test_a_kind_of_adapter_that_there_is_not_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'seq_bn'"):
        recipe_settings(get_suite("lab").task("mnli"), {"adapter": "seqbn"})
