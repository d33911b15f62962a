"""A training that was cut off goes on to the very bytes that it would have come to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from stores import kept_in
from toy_stages import MakeStage, artifact_of, weights

from adapterstilts.data.texts import with_texts
from adapterstilts.errors import ArtifactError, TrainingError
from adapterstilts.models.backbone import identify
from adapterstilts.models.grammar import parse
from adapterstilts.models.row_states import Cost
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.hidden_states import LIMIT_VARIABLE, states_folder
from adapterstilts.store.home import checkpoints_of
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training import checkpoints, resuming
from adapterstilts.training.checkpoints import DOCUMENT, TENSORS, Checkpoints
from adapterstilts.training.languages import language_stage
from adapterstilts.training.mixes import MixStage, run_mix
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import TrainingStage, run_stage
from adapterstilts.training.trainer import StiltsTrainer

#: 64 rows in batches of 8 are eight steps an epoch; a point of the curve at each step.
LONG = {"steps": None, "epochs": 2.5, "batch_size": 8, "max_length": 64, "evaluations": 4, "learning_rate": 1e-2}


class Cut(Exception):
    """Stands for a killed process: nothing in the project catches it."""


class Told(Reporter):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """A function: from now on trainings write a checkpoint at each point of the curve, and die in the step named."""
    monkeypatch.setattr(checkpoints.Checkpoints, "due", True)
    step_of = StiltsTrainer.training_step

    def begin(dies_in: int | None) -> None:
        def step(self: StiltsTrainer, *arguments: Any, **options: Any) -> Any:
            if self.state.global_step + 1 == dies_in:
                raise Cut
            return step_of(self, *arguments, **options)

        monkeypatch.setattr(StiltsTrainer, "training_step", step)

    return begin


def same_results(one: Artifact, other: Artifact) -> None:
    assert weights(one) == weights(other)
    assert one.read_lines("curve.jsonl") == other.read_lines("curve.jsonl")
    assert one.manifest["metrics"] == other.manifest["metrics"]
    assert one.manifest["stopped_early"] == other.manifest["stopped_early"]


def steps_of(artifact: Artifact) -> int:
    return int(artifact.manifest["metrics"]["steps"])


def rest_after(stage: TrainingStage, store: Store) -> list[int]:
    return [int(path.name.split("-")[1]) for path in checkpoints_of(store.home, stage.fingerprint).glob("step-*")]


@pytest.mark.parametrize(
    ("task_name", "settings"),
    [
        ("mnli", {}),
        ("mnli", {"gradient_accumulation": 3, "batch_size": 4}),  # the last step of an epoch has fewer batches
        ("squad", {"steps": 11, "warmup_ratio": 0.5}),
        ("panx", {"patience": 1, "evaluations": 12, "learning_rate": 0.05}),
    ],
)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_a_training_goes_on_to_the_same_bytes(
    task_name: str, settings: dict[str, Any], share: float, stage: MakeStage, store: Store, cut: Callable[..., None]
) -> None:
    made = stage(task_name, **LONG | settings)
    whole = run_stage(made, Store(store.home / "whole")).artifact
    dies_in = max(2, round(steps_of(whole) * share))
    cut(dies_in)
    with pytest.raises(Cut):
        run_stage(made, store)
    assert rest_after(made, store) == [dies_in - 1]
    cut(None)
    told = Told()
    resumed = run_stage(made, store, reporter=told)
    assert not resumed.reused
    assert any(f"goes on at step {dies_in - 1} of" in message for message in told.messages)
    same_results(whole, resumed.artifact)
    assert not checkpoints_of(store.home, made.fingerprint).exists()


def test_a_training_may_be_cut_off_again_and_again(stage: MakeStage, store: Store, cut: Callable[..., None]) -> None:
    made = stage("mnli", **LONG)
    whole = run_stage(made, Store(store.home / "whole")).artifact
    for dies_in in range(2, steps_of(whole) + 1):  # each end of an epoch is among them
        cut(dies_in)
        with pytest.raises(Cut):
            run_stage(made, store)
    cut(None)
    same_results(whole, run_stage(made, store).artifact)


def test_a_fusion_goes_on_to_the_same_bytes(
    stage: MakeStage, shelf: Store, store: Store, cut: Callable[..., None]
) -> None:
    inputs = artifact_of(shelf, "mnli"), artifact_of(shelf, "squad")
    made = stage("xnli", "mnli+squad", inputs=inputs, **LONG)
    whole = run_stage(made, Store(store.home / "whole")).artifact
    cut(7)
    with pytest.raises(Cut):
        run_stage(made, store)
    (checkpoint,) = checkpoints_of(store.home, made.fingerprint).glob("step-*")
    held = {key.split(".", 1)[1] for key in _keys(checkpoint / TENSORS) if key.startswith("trained.")}
    assert held
    assert not any(".adapters.mnli." in key or ".adapters.squad." in key for key in held), "frozen parts stay out"
    cut(None)
    same_results(whole, run_stage(made, store).artifact)


def _keys(path: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        return list(file.keys())


def test_hidden_tokens_are_the_same(
    toy_backbone_folder: Path, tmp_path: Path, store: Store, cut: Callable[..., None]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"the cat sees a tree {number} and the house" for number in range(48)), encoding="utf-8")
    settings = TrainingSettings(**LONG)
    made = TrainingStage(with_texts(get_task("mlm"), [text]), settings, identify(str(toy_backbone_folder)))
    whole = run_stage(made, Store(store.home / "whole")).artifact
    for dies_in in range(2, steps_of(whole) + 1, 3):  # an end of an epoch is among them
        cut(dies_in)
        with pytest.raises(Cut):
            run_stage(made, store)
    cut(None)
    same_results(whole, run_stage(made, store).artifact)


def test_a_mixture_goes_on_to_the_same_bytes(stage: MakeStage, store: Store, cut: Callable[..., None]) -> None:
    expression: Any = parse("mix(mnli, squad; temperature=2)")
    made = MixStage(expression, (stage("mnli", **LONG), stage("squad", **LONG)))
    whole = run_mix(made, Store(store.home / "whole")).artifact
    for dies_in in (3, 9, steps_of(whole)):
        cut(dies_in)
        with pytest.raises(Cut):
            run_mix(made, store)
    cut(None)
    same_results(whole, run_mix(made, store).artifact)


@pytest.mark.parametrize("damage", ["cut", "flipped", "document", "versions", "other"])
def test_a_checkpoint_that_cannot_be_used_is_passed_over(
    damage: str, stage: MakeStage, store: Store, cut: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    made = stage("mnli", **LONG)
    cut(5)
    with pytest.raises(Cut):
        run_stage(made, store)
    (checkpoint,) = checkpoints_of(store.home, made.fingerprint).glob("step-*")
    data, document = (checkpoint / TENSORS).read_bytes(), json.loads((checkpoint / DOCUMENT).read_text())
    if damage == "cut":
        (checkpoint / TENSORS).write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        (checkpoint / TENSORS).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "document":
        (checkpoint / DOCUMENT).write_text("{")
    else:
        changed = {"versions": {"versions": {"torch": "0.1"}}, "other": {"key": "0" * 64}}[damage]
        (checkpoint / DOCUMENT).write_text(json.dumps(document | changed))
    cut(None)
    told = Told()
    resumed = run_stage(made, store, reporter=told).artifact
    assert not any("goes on at" in message for message in told.messages)
    assert str(checkpoint) in caplog.text
    same_results(run_stage(made, Store(store.home / "whole")).artifact, resumed)


def test_a_store_that_takes_no_checkpoint_does_not_stop_the_training(
    stage: MakeStage, store: Store, cut: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise ArtifactError("The store is full.")

    cut(None)
    monkeypatch.setattr(Checkpoints, "save", full)
    told = Told()
    assert not run_stage(stage("mnli", **LONG), store, reporter=told).reused
    assert [message for message in told.messages if "without checkpoints" in message] == [
        "mnli: goes on without checkpoints. The store is full."
    ]


def test_what_diverged_leaves_no_checkpoint(
    stage: MakeStage, store: Store, cut: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(None)
    loss_of = resuming.ResumableTrainer.compute_loss

    def explode(self: StiltsTrainer, *arguments: Any, **options: Any) -> Any:
        loss, outputs = loss_of(self, *arguments, **options)
        return (loss * float("inf") if self.state.global_step == 6 else loss), outputs

    monkeypatch.setattr(resuming.ResumableTrainer, "compute_loss", explode, raising=False)
    with pytest.raises(TrainingError, match="at step 7"):
        run_stage(stage("mnli", **LONG), store)
    assert kept_in(store.home) == []


def test_no_checkpoint_is_written_within_a_minute(stage: MakeStage, store: Store) -> None:
    made = stage("mnli", **LONG)
    kept = Checkpoints(store.home, made.fingerprint, {})
    assert not kept.due
    kept.every = 0
    assert kept.due
    kept.save(3, {"a": torch.ones(2)}, {"step": 3}, {})
    assert (kept.folder / "step-00000003" / TENSORS).is_file()
    kept.save(4, {"a": torch.ones(2)}, {"step": 4}, {})
    assert [path.name for path in kept.folder.iterdir()] == ["step-00000004"]
    found = kept.last()
    assert found is not None
    assert found[2]["step"] == 4


def test_too_little_room_is_told_before_the_training(
    stage: MakeStage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1000))  # type: ignore[attr-defined]

    def never(*_: Any) -> None:
        raise AssertionError("nothing may be trained")

    monkeypatch.setattr(StiltsTrainer, "fit", never)
    with pytest.raises(ArtifactError, match=r"room for 0\.0 MB \(1000 bytes\), and training mnli needs \d") as caught:
        run_stage(stage("mnli"), store)
    assert str(store.home) in str(caught.value)
    assert kept_in(store.home) == []


@pytest.mark.parametrize(("first", "second"), [("1", "1"), ("0", "0"), ("1", "0"), ("0", "1")])
def test_kept_hidden_states_change_nothing(
    first: str, second: str, stage: MakeStage, store: Store, cut: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training of the layers above may find the states of those below kept before it was cut off, and after."""
    monkeypatch.setattr(Cost, "keeping_pays", lambda *_: True)
    made = stage("squad", **LONG | {"drop_layers": "0"})
    whole = run_stage(made, Store(store.home / "whole")).artifact
    monkeypatch.setenv(LIMIT_VARIABLE, first)
    cut(7)
    with pytest.raises(Cut):
        run_stage(made, store)
    assert states_folder(store.home).exists() == (first == "1")
    monkeypatch.setenv(LIMIT_VARIABLE, second)
    if second == "0":
        shutil.rmtree(states_folder(store.home), ignore_errors=True)
    cut(None)
    same_results(whole, run_stage(made, store).artifact)


def test_a_language_adapter_goes_on_to_the_same_bytes(
    toy_backbone_folder: Path, tmp_path: Path, store: Store, cut: Callable[..., None]
) -> None:
    """Its invertible part is trained, too, and kept in the checkpoint."""
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"the cat sees a tree {number} and the house" for number in range(48)), encoding="utf-8")
    identity = identify(str(toy_backbone_folder))
    made = language_stage("de", get_suite("xtreme"), identity, texts=[text], settings=LONG)
    whole = run_stage(made, Store(store.home / "whole")).artifact
    cut(4)
    with pytest.raises(Cut):
        run_stage(made, store)
    (checkpoint,) = checkpoints_of(store.home, made.fingerprint).glob("step-*")
    assert any(".invertible_adapters." in key for key in _keys(checkpoint / TENSORS))
    cut(None)
    same_results(whole, run_stage(made, store).artifact)
