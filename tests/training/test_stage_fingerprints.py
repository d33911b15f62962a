"""Fingerprints of stages follow all that decides the result, and nothing else."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from safetensors.torch import load_file
from toy_stages import MakeStage, artifact_of

from adapterstilts.data.rows import load_rows
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.store.artifacts import Store
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stage_rows import _data_json

#: Another value for each setting; a new setting has to be added here.
OTHERWISE: dict[str, Any] = {
    "adapter": "double_seq_bn",
    "reduction_factor": 8,
    "drop_layers": "0",
    "epochs": 2.5,
    "steps": 4,
    "learning_rate": 2e-4,
    "warmup_ratio": 0.2,
    "batch_size": 8,
    "gradient_accumulation": 2,
    "batch_tokens": 64,
    "weight_decay": 0.01,
    "max_grad_norm": 0.5,
    "fusion_dropout": 0.3,
    "max_length": 48,
    "doc_stride": 16,
    "max_train_examples": 40,
    "max_validation_examples": 10,
    "sample_seed": 1,
    "evaluations": 2,
    "patience": 3,
    "precision": "bf16",
    "compile": True,
    "seed": 1,
}


def with_other_rows(source: Path, target: Path, split: str, change: Callable[[Dataset], Dataset]) -> Path:
    """Copy a mirror and change a split of MNLI in it."""
    shutil.copytree(source, target)
    (path,) = (target / "nyu-mll" / "glue" / "mnli").glob(f"{split}-*.parquet")
    change(Dataset.from_parquet(str(path), cache_dir=str(target / "cache"))).to_parquet(str(path))
    return target


def one_more_word(table: Dataset) -> Dataset:
    return table.map(lambda row, number: {"hypothesis": row["hypothesis"] + " x" * (number == 7)}, with_indices=True)


def test_there_is_another_value_for_each_setting() -> None:
    assert set(OTHERWISE) == {field.name for field in dataclasses.fields(TrainingSettings)}


@pytest.mark.parametrize("name", OTHERWISE)
def test_each_setting_changes_the_fingerprint(name: str, stage: MakeStage) -> None:
    """But for the fusion's dropout where nothing is fused: the baseline of two such stages is one and the same."""
    plain, changed = stage(), stage(**{name: OTHERWISE[name]})
    assert (plain.fingerprint == changed.fingerprint) is (name == "fusion_dropout")


def test_the_dropout_of_a_fusion_changes_its_fingerprint(stage: MakeStage, shelf: Store) -> None:
    inputs = artifact_of(shelf, "mnli"), artifact_of(shelf, "squad")

    def made(dropout: float | None) -> str:
        return stage("xnli", "mnli+squad", inputs=inputs, fusion_dropout=dropout).fingerprint

    assert len({made(None), made(0.0), made(0.3)}) == 3


def test_what_is_composed_changes_the_fingerprint(stage: MakeStage, shelf: Store) -> None:
    mnli, other_mnli, squad = artifact_of(shelf, "mnli"), artifact_of(shelf, "mnli", 1), artifact_of(shelf, "squad")
    made = {
        "none": stage("xnli"),
        "mnli": stage("xnli", "mnli", inputs=(mnli,)),
        "squad": stage("xnli", "squad", inputs=(squad,)),
        "other mnli": stage("xnli", "mnli", inputs=(other_mnli,)),
        "fused": stage("xnli", "mnli+squad", inputs=(mnli, squad)),
        "fused the other way": stage("xnli", "squad+mnli", inputs=(squad, mnli)),
        "fused with another": stage("xnli", "mnli+squad", inputs=(other_mnli, squad)),
    }
    assert len({item.fingerprint for item in made.values()}) == len(made)


def test_the_task_changes_the_fingerprint_where_rows_are_the_same(stage: MakeStage) -> None:
    mnli, xnli = stage("mnli"), stage("xnli")
    assert mnli.train_rows.fingerprint == xnli.train_rows.fingerprint
    assert mnli.fingerprint != xnli.fingerprint


@pytest.mark.parametrize("split", ["train", "validation_matched"])
def test_one_other_row_changes_the_fingerprint(
    split: str, stage: MakeStage, toy_mirror: Path, tmp_path: Path, own_cache: Path
) -> None:
    other = with_other_rows(toy_mirror, tmp_path / "hub", split, one_more_word)
    changed = stage(root=other).fingerprint
    shutil.rmtree(own_cache)
    assert changed != stage().fingerprint


def test_another_mirror_of_the_same_look_has_rows_of_its_own(toy_mirror: Path, tmp_path: Path) -> None:
    """The datasets library takes two folders of one name for the same where their READMEs are equal."""
    task = get_task("mnli")
    before = load_rows(task, "train", root=toy_mirror)
    other = with_other_rows(toy_mirror, tmp_path / "hub", "train", one_more_word)
    rows = load_rows(task, "train", root=other)
    assert rows.table["text_pair"][7] == before.table["text_pair"][7] + " x"
    assert rows.fingerprint != before.fingerprint


def test_a_file_of_a_mirror_that_is_replaced_is_read_again(toy_mirror: Path, tmp_path: Path) -> None:
    task = get_task("mnli")
    shutil.copytree(toy_mirror, tmp_path / "hub")
    before = load_rows(task, "train", root=tmp_path / "hub")
    other = with_other_rows(toy_mirror, tmp_path / "other", "train", one_more_word)
    shutil.copytree(other, tmp_path / "hub", dirs_exist_ok=True)
    assert load_rows(task, "train", root=tmp_path / "hub").fingerprint != before.fingerprint


def test_rows_that_are_not_used_do_not_change_the_fingerprint(
    stage: MakeStage, toy_mirror: Path, tmp_path: Path, own_cache: Path
) -> None:
    other = with_other_rows(toy_mirror, tmp_path / "hub", "validation_mismatched", lambda table: table.select(range(3)))
    changed = stage(root=other).fingerprint
    shutil.rmtree(own_cache)
    assert changed == stage().fingerprint


def test_other_weights_of_the_backbone_change_the_fingerprint(
    stage: MakeStage, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    other = tmp_path / "other"
    shutil.copytree(toy_backbone_folder, other)
    tensors = load_file(other / "model.safetensors")
    tensors["roberta.embeddings.LayerNorm.bias"][0] += 1e-3
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    assert stage(backbone=other).fingerprint != stage().fingerprint


def test_the_place_of_backbone_and_mirror_does_not_change_the_fingerprint(
    stage: MakeStage, toy_backbone_folder: Path, toy_mirror: Path, tmp_path: Path
) -> None:
    shutil.copytree(toy_backbone_folder, tmp_path / "backbone")
    shutil.copytree(toy_mirror, tmp_path / "hub")
    assert stage(backbone=tmp_path / "backbone", root=tmp_path / "hub").fingerprint == stage().fingerprint


def test_fingerprints_of_xtreme_are_those_from_before_there_were_suites(stage: MakeStage) -> None:
    """What decides the result, spelt out: with a word more in it, all stored artifacts would be trained again."""
    made = stage("mnli")
    assert made.fingerprint == fingerprint(
        {
            "version": FORMAT_VERSION,
            "kind": "intermediate",
            "task": {
                "name": "mnli",
                "format": "classification",
                "labels": ["entailment", "neutral", "contradiction"],
            },
            "metric": "accuracy",
            "settings": {
                "adapter": "seq_bn",
                "reduction_factor": None,
                "epochs": 3.0,
                "steps": 3,
                "learning_rate": 1e-4,
                "warmup_ratio": 0.1,
                "batch_size": 4,
                "gradient_accumulation": 1,
                "weight_decay": 0.0,
                "max_grad_norm": 1.0,
                "fusion_dropout": None,
                "max_length": 64,
                "doc_stride": 128,
                "max_train_examples": None,
                "max_validation_examples": 1000,
                "sample_seed": 0,
                "evaluations": 1,
                "patience": None,
                "precision": "fp32",
                "seed": 0,
            },
            "backbone": made.backbone.key,
            "expression": "none",
            "inputs": [],
            "data": {"train": made.train_rows.fingerprint, "validation": made.validation_rows.fingerprint},
        }
    )


@pytest.mark.parametrize(("name", "same"), [("mnli", True), ("panx", True), ("xquad", True), ("udpos", False)])
def test_what_trains_on_the_same_rows_is_one_artifact_in_xtreme_and_xtreme_r(
    name: str, same: bool, stage: MakeStage
) -> None:
    """UDPOS is another release in XTREME-R."""
    made = stage(name)
    other = dataclasses.replace(made, task=get_suite("xtreme-r").task(name))
    assert other.task.suite == "xtreme-r"
    assert (other.fingerprint == made.fingerprint) is same


def test_of_several_data_sets_only_those_with_the_source_language_are_noted(stage: MakeStage) -> None:
    validation = dataclasses.replace(stage("panx"), task=get_suite("xtreme-r").task("panx")).validation_rows
    noted = _data_json(validation, {})
    assert (noted["dataset"], noted["more"]) == ("google/xtreme", [])
