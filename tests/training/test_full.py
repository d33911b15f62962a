"""Full fine-tuning: what the artifact holds, and that a chain goes on from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_compositions import batch_of, copies, logits_of, same
from toy_stages import MakeStage, artifact_of

from adapterstilts.errors import ExpressionError
from adapterstilts.models.backbone import load_backbone
from adapterstilts.models.expression import Mix
from adapterstilts.models.saved import load_backbone_of, load_composed
from adapterstilts.models.vocabulary import whole_vocabulary
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.training.mixes import MixStage
from adapterstilts.training.recipes import FULL_RATE, recipe_settings
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import run_stage
from adapterstilts.training.trainer import StiltsTrainer

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def whole(stage: MakeStage, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The toy backbone, trained on mnli."""
    kept = Store(tmp_path_factory.mktemp("whole"))
    return run_stage(stage("mnli", adapter="full", learning_rate=1e-3), kept).artifact


def weights(artifact: Artifact) -> Tensors:
    return load_file(artifact.path / "backbone.safetensors")


def published(folder: Path) -> Tensors:
    model = load_backbone(str(folder)).model
    whole_vocabulary(model)
    return copies(model.state_dict())


def test_all_weights_of_the_backbone_change(whole: Artifact, toy_backbone_folder: Path) -> None:
    """But those of the pooler, which is no part of the model's answer; rows of words that do not occur stay, too."""
    before, after = published(toy_backbone_folder), weights(whole)
    parameters = {key for key, _ in load_backbone(str(toy_backbone_folder)).model.named_parameters()}
    assert set(after) == {key for key in parameters if "pooler" not in key}
    assert [key for key, tensor in after.items() if torch.equal(tensor, before[key])] == []
    files = {name for name in whole.manifest["files"] if name.endswith(".safetensors")}
    assert files == {"backbone.safetensors", "head.safetensors"}
    tensors = [*after.values(), *load_file(whole.path / "head.safetensors").values()]
    assert whole.manifest["resources"]["trained_parameters"] == sum(tensor.numel() for tensor in tensors)
    assert whole.manifest["backbone"]["revision"] == load_backbone(str(toy_backbone_folder)).identity.revision


def test_what_is_loaded_says_what_was_trained(
    stage: MakeStage, store: Store, toy_mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[Any] = []
    fit = StiltsTrainer.fit

    def watched(trainer: StiltsTrainer) -> Any:
        models.append(trainer.composed)
        return fit(trainer)

    monkeypatch.setattr(StiltsTrainer, "fit", watched)
    made = run_stage(stage("mnli", adapter="full", learning_rate=1e-3), store).artifact
    batch = batch_of("mnli", models[0].backbone, toy_mirror)
    loaded = load_composed(made, load_backbone_of(made), get_task("mnli"))
    assert torch.equal(logits_of(loaded, batch), logits_of(models[0], batch))
    assert same(loaded.state("backbone"), weights(made))


def test_a_chain_starts_from_the_weights_of_the_intermediate_task(
    whole: Artifact, stage: MakeStage, store: Store, toy_backbone_folder: Path
) -> None:
    made = run_stage(stage("xnli", "chain(mnli)", inputs=(whole,), adapter="full", learning_rate=1e-30), store).artifact
    assert same(weights(made), weights(whole))
    plain = run_stage(stage("xnli", adapter="full", learning_rate=1e-30), store).artifact
    before = published(toy_backbone_folder)
    torch.testing.assert_close(weights(plain), {key: before[key] for key in weights(plain)}, rtol=0, atol=1e-20)
    assert made.manifest["backbone"] == plain.manifest["backbone"] == whole.manifest["backbone"]


def test_what_cannot_be_is_refused_before_training(whole: Artifact, stage: MakeStage, shelf: Store) -> None:
    adapter, squad = artifact_of(shelf, "mnli"), artifact_of(shelf, "squad")
    for expression, inputs, settings, says in (
        ("mnli", (whole,), {"adapter": "full"}, r"Type 'chain\(mnli\)'"),
        ("mnli+squad", (whole, squad), {"adapter": "full"}, r"Type 'chain\(mnli\)' or 'chain\(squad\)'"),
        ("chain(mnli)", (adapter,), {"adapter": "full"}, "'mnli' is an adapter"),
        ("chain(mnli)", (whole,), {}, "whole backbone and no adapter"),
        ("mnli", (whole,), {"adapter": "lora"}, "whole backbone and no adapter"),
        ("mnli+squad", (whole, squad), {}, "whole backbone and no adapter"),
        ("none", (), {"adapter": "full", "reduction_factor": 8.0}, "--reduction-factor would have no effect"),
        ("none", (), {"adapter": "full", "drop_layers": "0"}, "no adapters that --drop-layers could drop"),
    ):
        with pytest.raises(ExpressionError, match=says):
            _ = stage("xnli", expression, inputs=inputs, **settings).composition
    with pytest.raises(ExpressionError, match=r"'mix\(mnli, squad\)' joins adapters"):
        MixStage(Mix(("mnli", "squad")), tuple(stage(name, adapter="full") for name in ("mnli", "squad")))


def test_the_learning_rate_is_a_tenth_of_the_recipe_unless_it_is_given() -> None:
    task = get_task("mnli")
    usual = recipe_settings(task)
    assert recipe_settings(task, {"adapter": "full"}).learning_rate == pytest.approx(usual.learning_rate * FULL_RATE)
    assert FULL_RATE == 0.1
    assert recipe_settings(task, {"adapter": "full", "learning_rate": 3e-5}).learning_rate == 3e-5
    assert recipe_settings(task, {"adapter": "lora"}).learning_rate == usual.learning_rate
    own = dataclasses.replace(task, definition="0" * 64, recipe={"adapter": "full", "learning_rate": 2e-5})
    assert recipe_settings(own, {"adapter": "full"}).learning_rate == 2e-5, "its recipe is for full fine-tuning"
    assert TrainingSettings().learning_rate == 1e-4
