"""Hidden states below the first adapter in trainings: kept or not, the same bytes; one file for many trainings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import kept_in
from toy_stages import MakeStage, artifact_of, weights

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.texts import with_texts
from adapterstilts.evaluation.inference import predict_logits
from adapterstilts.models.backbone import identify
from adapterstilts.models.grammar import parse
from adapterstilts.models.lower_layers import LowerLayers, lower_layers
from adapterstilts.models.row_states import Cost, row_states
from adapterstilts.models.saved import load_backbone_of, load_composed
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.hidden_states import LIMIT_VARIABLE, STATES, states_folder
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.training.fusions import FusionStage, run_fusion
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import TrainingStage, run_stage

#: Two epochs, padded batches, a learning rate at which each of them counts.
LONG = {"steps": None, "epochs": 2, "batch_size": 8, "evaluations": 3, "learning_rate": 1e-2, "drop_layers": "0"}
Run = Callable[..., Artifact]


class Told(Reporter):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def about(self, words: str) -> int:
        return sum(words in message for message in self.messages)


@pytest.fixture(autouse=True)
def _keeping_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cost, "keeping_pays", lambda *_: True)


def without_a_file(stage: TrainingStage, home: Path, reporter: Reporter | None = None) -> Artifact:
    """Train in a store of its own that may keep no hidden states."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LIMIT_VARIABLE, "0")
        made = run_stage(stage, Store(home), reporter=reporter).artifact
    assert not states_folder(home).exists()
    return made


def same_results(one: Artifact, other: Artifact) -> None:
    assert weights(one) == weights(other)
    assert one.read_lines("curve.jsonl") == other.read_lines("curve.jsonl")
    assert one.manifest["metrics"] == other.manifest["metrics"]


@pytest.mark.parametrize("task_name", ["mnli", "squad", "hellaswag", "panx"])
def test_kept_or_not_the_training_ends_in_the_same_bytes(
    task_name: str, stage: MakeStage, store: Store, tmp_path: Path
) -> None:
    made, told, bare = stage(task_name, **LONG), Told(), Told()
    kept = run_stage(made, store, reporter=told).artifact
    assert told.about("first adapter: kept in") == 2
    same_results(kept, without_a_file(made, tmp_path / "other", bare))
    assert bare.about("are more than ADAPTERSTILTS_STATES_GB allows") == 2


@pytest.mark.parametrize("expression", ["mnli", "mnli+squad"])
def test_compositions(expression: str, stage: MakeStage, shelf: Store, store: Store, tmp_path: Path) -> None:
    inputs = tuple(artifact_of(shelf, name) for name in expression.split("+"))
    made = stage("xnli", expression, inputs=inputs, **LONG)
    same_results(run_stage(made, store).artifact, without_a_file(made, tmp_path / "other"))


@pytest.mark.parametrize("changes", [{}, {"batch_tokens": 60, "gradient_accumulation": 2}])
def test_a_fusion_on_the_intermediate_tasks(
    changes: dict[str, Any], stage: MakeStage, store: Store, tmp_path: Path
) -> None:
    """Its adapters have nothing in layer 0, so that each of its tasks has states of its own."""
    expression: Any = parse("mnli+squad")
    inputs = tuple(run_stage(stage(name, drop_layers="0"), store).artifact for name in expression.names)
    whole = LONG | {"drop_layers": None} | changes
    fused = FusionStage(expression, tuple(stage(name, **whole) for name in expression.names), inputs)
    told = Told()
    kept = run_fusion(fused, store, reporter=told).artifact
    assert told.about("first adapter: taken from") == 4
    assert told.about("squad, validation: hidden states") == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LIMIT_VARIABLE, "0")
        bare = run_fusion(fused, Store(tmp_path / "other")).artifact
    same_results(kept, bare)
    assert kept.manifest["metrics"]["steps"] > 10


def test_other_trainings_on_the_rows_use_the_files(
    stage: MakeStage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_stage(stage("mnli", **LONG), store).artifact
    files = sorted(states_folder(store.home).iterdir())
    assert len(files) == 2

    def only_the_probe(self: LowerLayers, sequences: Any, *rest: Any) -> Any:
        assert len(sequences) == 3, "nothing else is worked out"
        return plain(self, sequences, *rest)

    plain = LowerLayers.run
    monkeypatch.setattr(LowerLayers, "run", only_the_probe)
    told = Told()
    for changes in ({"seed": 1}, {"learning_rate": 1e-3}, {"adapter": "par_bn"}, {"precision": "bf16"}):
        other = run_stage(stage("mnli", **LONG | changes), store, reporter=told).artifact
        assert weights(other) != weights(first)
    assert told.about("first adapter: taken from") == 8
    assert sorted(states_folder(store.home).iterdir()) == files


def test_adapters_at_other_places_have_files_of_their_own(stage: MakeStage, store: Store) -> None:
    """LoRA stands in the attention, and takes what the layer below it makes."""
    run_stage(stage("mnli", **LONG), store)
    whole = {folder.name: (folder / STATES).stat().st_size for folder in states_folder(store.home).iterdir()}
    told = Told()
    run_stage(stage("mnli", **LONG | {"adapter": "lora"}), store, reporter=told)
    assert told.about("first adapter: kept in") == 2
    sizes = {folder.name: (folder / STATES).stat().st_size for folder in states_folder(store.home).iterdir()}
    others = [size for name, size in sizes.items() if name not in whole]
    assert sorted(whole.values()) == [2 * size for size in sorted(others)]


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_file_is_made_again(
    damage: str, stage: MakeStage, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    first = stage("mnli", **LONG)
    run_stage(first, store)
    for folder in states_folder(store.home).iterdir():
        data = (folder / STATES).read_bytes()
        (folder / STATES).write_bytes(data[:-64] if damage == "cut" else bytes([data[0] ^ 1]) + data[1:])
    second, told = stage("mnli", **LONG | {"seed": 1}), Told()
    with caplog.at_level(logging.WARNING):
        made = run_stage(second, store, reporter=told).artifact
    assert caplog.text.count("cannot be used") == 2
    assert told.about("first adapter: kept in") == 2
    same_results(made, run_stage(second, Store(store.home / "whole")).artifact)


def test_trainings_that_train_the_lowest_layer_keep_nothing(stage: MakeStage, store: Store) -> None:
    run_stage(stage("mnli", **LONG | {"drop_layers": None}), store)
    run_stage(stage("mnli", **LONG | {"drop_layers": "1"}), store)
    assert not states_folder(store.home).exists()


def test_hidden_tokens_are_others_each_time(toy_backbone_folder: Path, tmp_path: Path, store: Store) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"the cat sees a tree {number} and the house" for number in range(32)), encoding="utf-8")
    settings = TrainingSettings(**LONG, max_length=64)
    run_stage(TrainingStage(with_texts(get_task("mlm"), [text]), settings, identify(str(toy_backbone_folder))), store)
    assert not states_folder(store.home).exists()


def test_an_evaluation_from_kept_states_is_that_of_the_model(stage: MakeStage, store: Store) -> None:
    for name in ("mnli", "squad", "hellaswag"):
        made = stage(name, **LONG)
        artifact = run_stage(made, store).artifact
        composed = load_composed(artifact, load_backbone_of(artifact), get_task(name))
        lower = lower_layers(composed)
        assert lower is not None
        encoded = encode_rows(
            made.validation_rows, composed.backbone.tokenizer, made.settings.encoding, training=False, home=store.home
        )
        kept, new = (
            row_states(lower, encoded.features, composed.backbone, what=name, passes=9, home=home)
            for home in (store.home, None)
        )
        assert kept.kept is not None
        assert new.kept is None
        whole, one, other = (predict_logits(composed, encoded, lower=states) for states in (None, kept, new))
        for expected, found, again in zip(whole, one, other, strict=True):
            np.testing.assert_array_equal(found, again)
            np.testing.assert_allclose(found, expected, atol=0.02)
        assert any(not np.array_equal(expected, found) for expected, found in zip(whole, one, strict=True))


def test_nothing_else_is_left_in_the_store(stage: MakeStage, store: Store) -> None:
    before = set(kept_in(store.home)) if store.home.exists() else set()
    run_stage(stage("mnli", **LONG), store)
    assert not before
    assert len(list(states_folder(store.home).rglob("*"))) == 6
    assert not list((store.home / "tmp").iterdir())
