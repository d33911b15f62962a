"""Stages without adapters in some layers: what is trained and stored, and what of other adapters is taken."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_compositions import same
from toy_stages import TINY, MakeStage, artifact_of

from adapterstilts.errors import ExpressionError, SettingsError
from adapterstilts.models.expression import Mix
from adapterstilts.models.saved import load_backbone_of, load_composed, read_composition
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.training.mixes import MixStage, run_mix
from adapterstilts.training.recipes import own_settings
from adapterstilts.training.settings import LATER, TrainingSettings
from adapterstilts.training.stages import run_stage
from adapterstilts.training.trainer import StiltsTrainer

Tensors = dict[str, torch.Tensor]


def tensors_of(artifact: Artifact, part: str) -> Tensors:
    return load_file(artifact.path / f"{part}.safetensors")


def above(tensors: Tensors) -> Tensors:
    """Return the tensors of the upper of the two layers."""
    return {key: tensor for key, tensor in tensors.items() if ".layer.1." in key}


def test_an_intermediate_adapter_without_a_layer(stage: MakeStage, store: Store) -> None:
    made = run_stage(stage("mnli", drop_layers="0"), store).artifact
    weights = tensors_of(made, "adapters/mnli")
    assert above(weights) == weights
    assert read_composition(made).adapters["mnli"]["leave_out"] == [0]
    assert made.manifest["settings"]["drop_layers"] == made.manifest["identity"]["settings"]["drop_layers"] == "0"
    # hidden 32, bottleneck 2, one layer; 32 to 32 to 3 in the head
    parameters = 32 * 2 + 2 + 2 * 32 + 32 + 32 * 32 + 32 + 32 * 3 + 3
    assert made.manifest["resources"]["trained_parameters"] == parameters
    composed = load_composed(made, load_backbone_of(made), get_task("mnli"))
    assert same(composed.state("adapters/mnli"), weights)


@pytest.mark.parametrize("expression", ["mnli", "mnli+squad"])
def test_adapters_of_all_layers_give_only_what_is_left(
    expression: str, stage: MakeStage, shelf: Store, store: Store
) -> None:
    names = expression.split("+")
    inputs = tuple(artifact_of(shelf, name) for name in names)
    made = run_stage(stage("xnli", expression, inputs=inputs, drop_layers="0"), store).artifact
    for name, artifact in zip(names, inputs, strict=True):
        before = tensors_of(artifact, f"adapters/{name}")
        assert same(tensors_of(made, f"adapters/{name}"), above(before))
        assert len(above(before)) == len(before) / 2
    for part in ("adapters/xnli", *(["fusion"] if "+" in expression else [])):
        weights = tensors_of(made, part)
        assert above(weights) == weights != {}
    trained = [part for part in ("adapters/xnli", "fusion", "head") if f"{part}.safetensors" in made.manifest["files"]]
    counted = sum(tensor.numel() for part in trained for tensor in tensors_of(made, part).values())
    assert made.manifest["resources"]["trained_parameters"] == counted
    composed = load_composed(made, load_backbone_of(made), get_task("xnli"))
    assert all(same(composed.state(part), tensors_of(made, part)) for part in composed.composition.parts)


def test_a_chain_starts_from_what_is_left(stage: MakeStage, shelf: Store, store: Store) -> None:
    start = artifact_of(shelf, "mnli")
    made = run_stage(
        stage("xnli", "chain(mnli)", inputs=(start,), drop_layers="0", learning_rate=1e-30), store
    ).artifact
    renamed = {key.replace(".mnli.", ".xnli."): tensor for key, tensor in tensors_of(start, "adapters/mnli").items()}
    assert same(tensors_of(made, "adapters/xnli"), above(renamed))


@pytest.mark.parametrize("expression", ["mnli", "chain(mnli)", "mnli+squad"])
def test_an_adapter_without_a_layer_is_refused_where_the_layer_is_used(
    expression: str, stage: MakeStage, shelf: Store, store: Store
) -> None:
    partial = run_stage(stage("mnli", drop_layers="0"), store).artifact
    inputs = (partial, artifact_of(shelf, "squad"))[: expression.count("+") + 1]
    with pytest.raises(ExpressionError, match=r"trained without the layers 0.*--drop-layers 0, or"):
        _ = stage("xnli", expression, inputs=inputs).composition
    fitting = stage("xnli", expression, inputs=inputs, drop_layers="0").composition
    assert all(config["leave_out"] == [0] for config in fitting.adapters.values())


@pytest.mark.parametrize(("layers", "says"), [("2", "no layer 2"), ("0-1", "all the layers"), ("1-7", "no layer 2-7")])
def test_impossible_layers_are_refused_before_training(
    layers: str, says: str, stage: MakeStage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing may be trained")

    monkeypatch.setattr(StiltsTrainer, "fit", never)
    with pytest.raises(SettingsError, match=says):
        run_stage(stage("mnli", drop_layers=layers), store)
    assert store.all() == []


def test_later_settings_that_are_not_given_are_told_as_before_there_were_any(stage: MakeStage, shelf: Store) -> None:
    told = artifact_of(shelf, "mnli").manifest
    names = {field.name for field in dataclasses.fields(TrainingSettings)} - set(LATER)
    assert set(told["settings"]) == set(told["identity"]["settings"]) == names
    assert TrainingSettings(**told["settings"]) == stage("mnli").settings


def test_one_meaning_has_one_fingerprint(stage: MakeStage) -> None:
    assert stage(drop_layers="1,0").fingerprint == stage(drop_layers="0-1").fingerprint
    assert TrainingSettings(drop_layers=" 2,0,1,7").drop_layers == "0-2,7"
    assert TrainingSettings(drop_layers=" 2,0,1,7").dropped == (0, 1, 2, 7)


def test_a_mix_is_told_as_before_there_were_dropped_layers(stage: MakeStage, store: Store) -> None:
    mix = Mix(("mnli", "squad"))
    made = run_mix(MixStage(mix, (stage("mnli"), stage("squad"))), store).artifact
    assert "drop_layers" not in made.manifest["settings"]
    parts = tuple(stage(name, drop_layers="0") for name in ("mnli", "squad"))
    dropped = run_mix(MixStage(mix, parts), store).artifact
    assert dropped.manifest["settings"]["drop_layers"] == "0"
    weights = tensors_of(dropped, f"adapters/{mix.adapter}")
    assert above(weights) == weights
    with pytest.raises(SettingsError, match="drop_layers is None for 'mnli' and 0 for 'squad'"):
        MixStage(mix, (stage("mnli"), parts[1]))


def test_a_task_file_may_drop_a_single_layer() -> None:
    """``drop_layers: "0"`` is a text, whereas numbers in quotes are numbers elsewhere."""
    task = dataclasses.replace(get_task("mnli"), definition="0" * 64, recipe={**TINY, "drop_layers": "0"})
    assert own_settings(task).dropped == (0,)
