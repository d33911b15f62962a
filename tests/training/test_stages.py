"""Stages: trained once, and the store gets whole artifacts or none."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_backbone import copied
from toy_stages import TINY, MakeStage, artifact_of, weights

from adapterstilts.data.rows import load_rows
from adapterstilts.errors import ArtifactError, ExpressionError, SettingsError, TrainingError
from adapterstilts.fingerprints import fingerprint_file
from adapterstilts.models.backbone import identify
from adapterstilts.models.expression import Nothing
from adapterstilts.models.vocabulary import vocabulary
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training import stages
from adapterstilts.training.stages import StageResult, run_stage
from adapterstilts.training.trainer import StiltsTrainer


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) if folder.exists() else []


# Running


def test_a_stage_is_trained_once(stage: MakeStage, shelf: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing may be loaded or trained")

    monkeypatch.setattr(stages, "load_backbone", never)
    monkeypatch.setattr(StiltsTrainer, "fit", never)
    before = everything(shelf.home)
    result = run_stage(stage("mnli"), shelf)
    assert result.reused
    assert result.artifact.id == artifact_of(shelf, "mnli").id
    assert result.to_json()["state"] == "reused"
    assert everything(shelf.home) == before


@pytest.mark.parametrize("task_name", ["mnli", "hellaswag", "squad"])
def test_embeddings_left_out_change_no_byte(task_name: str, stage: MakeStage, store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "whole")
    trimmed = run_stage(stage(task_name), store).artifact
    with vocabulary(trimmed=False):
        whole = run_stage(stage(task_name), other).artifact
    assert trimmed.fingerprint == whole.fingerprint
    assert weights(trimmed) == weights(whole)
    assert trimmed.manifest["metrics"] == whole.manifest["metrics"]
    assert trimmed.read_lines("curve.jsonl") == whole.read_lines("curve.jsonl")
    kept, also = (
        sorted(path.name for path in (each.home / "cache" / "encodings").iterdir()) for each in (store, other)
    )
    assert kept == also


def test_two_runs_write_the_same_bytes_and_another_seed_others(stage: MakeStage, shelf: Store, store: Store) -> None:
    inputs = artifact_of(shelf, "mnli"), artifact_of(shelf, "squad")
    first = run_stage(stage("xnli", "mnli+squad", inputs=inputs), store).artifact
    again = run_stage(stage("xnli", "mnli+squad", inputs=inputs), Store(store.home / "again")).artifact
    other = run_stage(stage("xnli", "mnli+squad", inputs=inputs, seed=1), store).artifact
    assert set(weights(first)) == {
        f"{part}.safetensors" for part in ("adapters/mnli", "adapters/squad", "adapters/xnli", "fusion", "head")
    }
    assert weights(first) == weights(again)
    assert first.read_lines("curve.jsonl") == again.read_lines("curve.jsonl")
    for name, data in weights(first).items():
        assert (weights(other)[name] == data) is (name in ("adapters/mnli.safetensors", "adapters/squad.safetensors"))


def test_intermediate_adapters_stay_as_they_are(stage: MakeStage, shelf: Store, store: Store) -> None:
    inputs = artifact_of(shelf, "mnli"), artifact_of(shelf, "squad")
    made = run_stage(stage("xnli", "mnli+squad", inputs=inputs, learning_rate=1e-2), store).artifact
    for item, name in zip(inputs, ("mnli", "squad"), strict=True):
        before = load_file(item.path / f"adapters/{name}.safetensors")
        after = load_file(made.path / f"adapters/{name}.safetensors")
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
        assert any(bool(tensor.any()) for tensor in before.values())
    assert made.manifest["inputs"] == [item.id for item in inputs]


def test_the_curve_is_json_lines_with_the_loss_of_each_step(shelf: Store) -> None:
    artifact = artifact_of(shelf, "mnli")
    text = (artifact.path / "curve.jsonl").read_text(encoding="utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    losses = {record["step"]: record["loss"] for record in records if "loss" in record}
    assert list(losses) == [1, 2, 3]
    assert all(0.3 < loss < 5 for loss in losses.values()), "three classes, hardly trained: about log 3"
    assert [record["step"] for record in records if "validation_accuracy" in record] == [3]
    assert all(
        record["learning_rate"] <= artifact.manifest["settings"]["learning_rate"]
        for record in records
        if "loss" in record
    )


def test_the_manifest_tells_scores_rows_and_cost(
    stage: MakeStage, store: Store, toy_mirror: Path, toy_backbone_folder: Path
) -> None:
    started = time.perf_counter()
    made = run_stage(stage("squad", steps=None, epochs=2.0, batch_size=8), store)
    passed = time.perf_counter() - started
    manifest = made.artifact.manifest
    cost = manifest["resources"]
    tensors = [load_file(made.artifact.path / name) for name in manifest["files"] if name.endswith(".safetensors")]
    assert cost["trained_parameters"] == sum(tensor.numel() for part in tensors for tensor in part.values())
    # hidden 32, bottleneck 2 (reduction factor 16), 2 layers; the head has 2 outputs
    assert cost["trained_parameters"] == 2 * (32 * 2 + 2 + 2 * 32 + 32) + (32 * 2 + 2)
    assert 0 < cost["wall_seconds"] <= passed + 0.01
    features = 2 * manifest["data"]["train"]["rows"]
    assert cost["examples_per_second"] * cost["wall_seconds"] == pytest.approx(features, rel=0.05)
    assert 8 < cost["tokens_per_second"] / cost["examples_per_second"] < 64
    assert cost["device"].startswith("cpu (") or torch.cuda.is_available()
    assert 50 * 2**20 < cost["peak_memory"]["resident_bytes"] < 64 * 2**30
    assert manifest["metrics"]["steps"] == 16
    assert 1 <= manifest["metrics"]["best_step"] <= 16
    assert list(manifest["metrics"]["validation"]) == ["f1", "exact_match"]
    task = get_task("squad")
    assert manifest["data"]["train"]["fingerprint"] == load_rows(task, "train", root=toy_mirror).fingerprint
    assert manifest["data"]["train"]["rows"] == 60
    assert manifest["backbone"] == dataclasses.asdict(identify(str(toy_backbone_folder)))
    assert manifest["versions"]["torch"] == torch.__version__
    assert {name: fingerprint_file(made.artifact.path / name) for name in manifest["files"]} == manifest["files"]
    assert set(manifest["files"]) == {
        "composition.json",
        "curve.jsonl",
        "adapters/squad.safetensors",
        "head.safetensors",
    }


def test_a_sample_of_the_rows_is_what_is_trained_on(stage: MakeStage, store: Store) -> None:
    manifest = run_stage(stage("mnli", max_train_examples=10, max_validation_examples=7), store).artifact.manifest
    assert (manifest["data"]["train"]["rows"], manifest["data"]["validation"]["rows"]) == (10, 7)


def test_a_loss_that_is_no_number_leaves_nothing_in_the_store(
    stage: MakeStage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = StiltsTrainer.compute_loss

    def broken(self: StiltsTrainer, *arguments: Any, **options: Any) -> Any:
        loss = plain(self, *arguments, **options)
        return loss * float("nan") if self.state.global_step == 1 else loss

    monkeypatch.setattr(StiltsTrainer, "compute_loss", broken)
    with pytest.raises(TrainingError, match=r"at step 2 \(learning rate [0-9.e+-]+\)"):
        run_stage(stage("mnli"), store)
    assert store.all() == []
    assert [path for path in everything(store.home) if not path.startswith(("cache", "locks"))] in ([], ["tmp"])


def test_a_learning_rate_that_blows_up_is_told_or_survived(stage: MakeStage, store: Store) -> None:
    """Nothing that is no number may reach the store, whatever the settings."""
    try:
        artifact = run_stage(
            stage("mnli", steps=30, learning_rate=0.99, max_grad_norm=1e9, warmup_ratio=0.0), store
        ).artifact
    except TrainingError:
        assert store.all() == []
    else:
        tensors = [load_file(artifact.path / name) for name in weights(artifact)]
        assert all(bool(tensor.isfinite().all()) for part in tensors for tensor in part.values())


def test_a_length_above_the_backbones_is_refused_before_training(stage: MakeStage, store: Store) -> None:
    with pytest.raises(SettingsError, match=r"--max-length 129 .* at most 128"):
        run_stage(stage("mnli", max_length=129), store)
    assert store.all() == []


def test_an_adapter_of_another_backbone_is_refused(
    stage: MakeStage, shelf: Store, store: Store, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    other = copied(toy_backbone_folder, tmp_path / "other", layer_norm_eps=1e-3)
    with pytest.raises(ArtifactError) as caught:
        run_stage(stage("xnli", "mnli", inputs=(artifact_of(shelf, "mnli"),), backbone=other), store)
    assert str(other) in str(caught.value)
    assert str(toy_backbone_folder) in str(caught.value)
    assert store.all() == []


def test_adapters_at_different_places_cannot_be_fused(stage: MakeStage, shelf: Store, store: Store) -> None:
    deep = run_stage(stage("squad", adapter="double_seq_bn"), store).artifact
    made = stage("xnli", "mnli+squad", inputs=(artifact_of(shelf, "mnli"), deep))
    with pytest.raises(ExpressionError, match="'mnli' and 'squad' cannot be fused"):
        run_stage(made, store)


def test_a_missing_input_is_named(stage: MakeStage, shelf: Store, store: Store) -> None:
    with pytest.raises(ArtifactError, match="needs an artifact for mnli, squad"):
        run_stage(stage("xnli", "mnli+squad", inputs=(artifact_of(shelf, "mnli"),)), store)


@pytest.mark.usefixtures("own_cache")
def test_rows_of_which_none_can_be_learnt_from(
    stage: MakeStage, store: Store, toy_mirror: Path, tmp_path: Path
) -> None:
    from datasets import Dataset

    shutil.copytree(toy_mirror, tmp_path / "hub")
    (path,) = (tmp_path / "hub" / "rajpurkar" / "squad" / "plain_text").glob("train-*.parquet")
    table = Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    moved = table.map(lambda row: {"answers": {"text": ["nowhere"], "answer_start": [0]}}, features=table.features)
    moved.to_parquet(str(path))
    with pytest.raises(SettingsError, match="answer not in context: 60"):
        run_stage(stage("squad", root=tmp_path / "hub"), store)
    assert store.all() == []


def test_the_baseline_of_a_stage_has_the_fingerprint_of_the_plain_stage(stage: MakeStage, shelf: Store) -> None:
    inputs = artifact_of(shelf, "mnli"), artifact_of(shelf, "squad")
    fused = stage("xnli", "mnli+squad", inputs=inputs, fusion_dropout=0.3)
    assert fused.identity(Nothing(), []) == stage("xnli").identity()


def test_what_a_stage_says_of_itself(shelf: Store) -> None:
    told = StageResult(artifact_of(shelf, "mnli", 1), False, 1.234).to_json()
    artifact = artifact_of(shelf, "mnli", 1)
    assert told == {
        "kind": "intermediate",
        "name": "mnli",
        "artifact": artifact.id,
        "state": "trained",
        "seconds": 1.23,
        "seed": 1,
    }


# Damage


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_stage_whose_manifest_is_damaged_is_trained_again(damage: str, stage: MakeStage, store: Store) -> None:
    """Hours of training must not end in a crash because an old folder of the same name is in the way."""
    first = run_stage(stage("mnli"), store).artifact
    before = weights(first)
    manifest = first.path / "manifest.json"
    if damage == "cut":
        manifest.write_text(manifest.read_text()[:100])
    else:
        manifest.unlink()
    result = run_stage(stage("mnli"), store)
    assert not result.reused
    assert weights(result.artifact) == before
    assert run_stage(stage("mnli"), store).reused


KILLED_WHILE_TRAINING = """
import sys
import torch
torch.set_num_threads(1)
from adapterstilts.training.trainer import StiltsTrainer
plain = StiltsTrainer.training_step
def told(self, *arguments, **options):
    loss = plain(self, *arguments, **options)
    if self.state.global_step == 1:
        print("in the midst", flush=True)
        sys.stdin.read()
    return loss
StiltsTrainer.training_step = told
"""


KILLED_WHILE_WRITING = """
import os, signal
import torch
torch.set_num_threads(1)
from adapterstilts.training import stages
plain = stages.save_composed
def half(composed, folder):
    plain(composed, folder)
    (folder / "head.safetensors").write_bytes(b"half")
    print("in the midst", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
stages.save_composed = half
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("script", [KILLED_WHILE_TRAINING, KILLED_WHILE_WRITING], ids=["training", "writing"])
def test_a_process_that_is_killed_leaves_a_store_to_go_on_with(
    script: str,
    stage: MakeStage,
    shelf: Store,
    store: Store,
    toy_backbone_folder: Path,
    toy_mirror: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    call = (
        "from adapterstilts.studies.transfer import train_intermediate\n"
        f"train_intermediate('mnli', backbone={str(toy_backbone_folder)!r}, data_root={str(toy_mirror)!r}, "
        f"store={str(store.home)!r}, settings={TINY!r})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script + call],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in the midst\n"
    finally:
        process.kill()
        process.wait()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    left: Mapping[str, Any] = {path.name: path for path in (store.home / "tmp").glob("mnli*")}
    assert bool(left) is (script is KILLED_WHILE_WRITING), "the half-written folder lies where nobody looks"

    assert store.all() == []
    result = run_stage(stage("mnli"), store)
    assert not result.reused
    assert [item.id for item in store.all()] == [result.artifact.id]
    assert [text for text in caplog.messages if "Left out" in text] == []
    assert weights(result.artifact) == weights(artifact_of(shelf, "mnli"))


@pytest.mark.skipif(sys.platform == "win32", reason="as above")
def test_what_another_process_trains_is_waited_for(
    stage: MakeStage, shelf: Store, store: Store, toy_backbone_folder: Path, toy_mirror: Path
) -> None:
    own = stage("mnli")
    call = (
        "from pathlib import Path\n"
        "from adapterstilts.models.backbone import identify\n"
        "from adapterstilts.store.artifacts import Store\n"
        "from adapterstilts.tasks.catalogue import get_task\n"
        "from adapterstilts.training.settings import TrainingSettings\n"
        "from adapterstilts.training.stages import TrainingStage, run_stage\n"
        f"stage = TrainingStage(get_task('mnli'), TrainingSettings(**{TINY!r}), "
        f"identify({str(toy_backbone_folder)!r}), root=Path({str(toy_mirror)!r}))\n"
        f"run_stage(stage, Store({str(store.home)!r}))\n"
    )
    told: list[str] = []
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_WHILE_TRAINING + call],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )

    class Ends(Reporter):
        """Lets the other process go on as soon as it is waited for."""

        def message(self, text: str) -> None:
            told.append(text)
            if text.endswith("waiting"):
                assert process.stdin is not None
                process.stdin.close()

    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in the midst\n"
        result = run_stage(own, store, reporter=Ends())
    finally:
        process.kill()
        process.wait()
    assert result.reused
    assert [item.id for item in store.all()] == [result.artifact.id]
    assert weights(result.artifact) == weights(artifact_of(shelf, "mnli"))
    assert told[0].startswith(f"mnli: process {process.pid} on ")
    assert told[1].startswith("mnli: trained before")


# Suites


@pytest.mark.usefixtures("no_network")
def test_a_stage_of_the_lab_says_its_suite(stage: MakeStage, toy_lab: Any, store: Store) -> None:
    plain = stage("mnli")
    made = dataclasses.replace(plain, task=get_suite("lab").task("mnli"))
    assert made.identity()["suite"] == "lab"
    assert made.fingerprint != plain.fingerprint
    assert {row["language"] for row in made.train_rows.table} == {"qaa"}
    artifact = run_stage(made, store).artifact
    assert (artifact.suite, artifact.manifest["suite"]) == ("lab", "lab")
    assert artifact.manifest["data"]["train"]["dataset"] == "lab"
    assert run_stage(made, store).reused
    assert not run_stage(plain, store).reused


def test_the_command_for_a_shorter_input_names_the_suite(stage: MakeStage, toy_lab: Any) -> None:
    made = dataclasses.replace(stage("squad"), task=get_suite("lab").task("squad"))
    with pytest.raises(SettingsError, match="train-intermediate squad --suite lab --max-length 32"):
        made.check_length(32)
