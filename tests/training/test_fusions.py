"""Fusions that are trained on their intermediate tasks: made once, with a head a task, and frozen under any target."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fusion_by_hand import by_hand, head_by_hand
from safetensors.torch import load_file
from toy_compositions import batch_of, copies, logits_of, same
from toy_stages import MakeStage, artifact_of, weights

from adapterstilts.errors import ArtifactError, BackboneError, ExpressionError, SettingsError
from adapterstilts.fingerprints import fingerprint_file
from adapterstilts.models.backbone import identify, load_backbone
from adapterstilts.models.expression import Fusion, Merge
from adapterstilts.models.grammar import parse
from adapterstilts.models.saved import load_composed, load_headless, load_part, read_adapter, read_composition
from adapterstilts.models.shared import build_shared
from adapterstilts.store.artifacts import Artifact, Store, read_artifact
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.training import fusions
from adapterstilts.training.fusions import FusionStage, check_lengths, check_tasks, run_fusion
from adapterstilts.training.merges import MergeStage, run_merge
from adapterstilts.training.stages import run_stage
from adapterstilts.training.trainer import StiltsTrainer

PARTS = ("adapters/mnli", "adapters/squad", "fusion", "heads/mnli", "heads/squad")


def fusion(
    stage: MakeStage, shelf: Store, own: dict[str, dict[str, Any]] | None = None, *, seed: int = 0, **settings: Any
) -> FusionStage:
    """The fusion of mnli (of a seed) and squad; ``own`` are settings of one task, the others are of all."""
    parsed = parse("mnli+squad")
    assert isinstance(parsed, Fusion)
    settings = {"learning_rate": 1e-2} | settings
    tasks = tuple(stage(name, **settings | (own or {}).get(name, {})) for name in parsed.names)
    return FusionStage(parsed, tasks, (artifact_of(shelf, "mnli", seed), artifact_of(shelf, "squad")))


@pytest.fixture(scope="module")
def made(stage: MakeStage, shelf: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A trained fusion. Tests only read it."""
    return run_fusion(fusion(stage, shelf), Store(tmp_path_factory.mktemp("fusions"))).artifact


@pytest.fixture(scope="module")
def target(made: Artifact, stage: MakeStage, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A target adapter on that fusion. Tests only read it."""
    stacked = stage("xnli", "mnli+squad", inputs=(made,), learning_rate=1e-2)
    return run_stage(stacked, Store(tmp_path_factory.mktemp("targets"))).artifact


def state(artifact: Artifact, part: str) -> dict[str, torch.Tensor]:
    return dict(load_file(artifact.path / f"{part}.safetensors"))


def test_a_fusion_is_trained_once(
    made: Artifact, stage: MakeStage, shelf: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing may be loaded or trained")

    monkeypatch.setattr(fusions, "load_backbone", never)
    monkeypatch.setattr(StiltsTrainer, "fit", never)
    again = run_fusion(fusion(stage, shelf), Store(made.path.parents[2]))
    assert again.reused
    assert again.to_json() | {"seconds": 0} == {
        "kind": "fusion",
        "name": "mnli+squad",
        "artifact": made.id,
        "state": "reused",
        "seconds": 0,
        "seed": 0,
    }


def test_the_artifact_is_whole_and_tells_what_went_into_it(made: Artifact, shelf: Store) -> None:
    assert made.path.parent.name == made.kind == "fusion"
    assert set(weights(made)) == {f"{part}.safetensors" for part in PARTS}
    manifest = made.manifest
    assert manifest["inputs"] == [artifact_of(shelf, name).id for name in ("mnli", "squad")]
    mixture = manifest["mixture"]
    assert {name: part["share"] for name, part in mixture.items()} == {"mnli": 0.5, "squad": 0.5}
    assert sum(part["batches"] for part in mixture.values()) == manifest["settings"]["steps"] == 6  # 3 of each recipe
    assert set(manifest["metrics"]["by_task"]) == {"mnli", "squad"}
    assert {record["task"] for record in made.read_lines("curve.jsonl") if "task" in record} == {"mnli", "squad"}
    described = made.read_json("fusion.json")
    assert (described["expression"], list(described["adapters"])) == ("mnli+squad", ["mnli", "squad"])
    assert {name: head["kind"] for name, head in described["heads"].items()} == {
        "mnli": "classification",
        "squad": "question_answering",
    }


def test_only_fusion_and_heads_are_trained(
    made: Artifact, stage: MakeStage, shelf: Store, toy_backbone_folder: Path
) -> None:
    for name in ("mnli", "squad"):
        assert same(state(made, f"adapters/{name}"), state(artifact_of(shelf, name), f"adapters/{name}"))
    backbone = load_backbone(str(toy_backbone_folder))
    whole, parts = build_shared(backbone, fusion(stage, shelf).compositions, seed=0)
    trained = {key for key, item in whole.model.named_parameters() if item.requires_grad}
    assert trained == {*whole.keys["fusion"], *parts["mnli"].keys["head"], *parts["squad"].keys["head"]}
    for part, before in (
        ("fusion", whole.state("fusion")),
        *((f"heads/{name}", parts[name].state("head")) for name in parts),
    ):
        after = state(made, part)
        assert before.keys() == after.keys()
        assert all(not torch.equal(before[key], after[key]) for key in before), part


@pytest.mark.parametrize("task", ["mnli", "squad"])
def test_the_model_is_the_fusion_by_hand(
    task: str, made: Artifact, stage: MakeStage, shelf: Store, toy_backbone_folder: Path, toy_mirror: Path
) -> None:
    backbone = load_backbone(str(toy_backbone_folder))
    whole, parts = build_shared(backbone, fusion(stage, shelf).compositions, seed=5)
    for part in ("adapters/mnli", "adapters/squad", "fusion"):
        load_part(whole, part, made)
    parts[task].load_state("head", state(made, f"heads/{task}"), where="The head")
    # Far from where weights start, so that the attention is far from even.
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in ("adapters/mnli", "adapters/squad", "fusion"):
            for tensor in whole.state(part).values():
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.3)
    parts[task].activate()
    batch = batch_of(task, backbone, toy_mirror)
    hidden, attention = by_hand(parts[task], batch)
    assert max(float((layer - 0.5).abs().max()) for layer in attention) > 0.3
    torch.testing.assert_close(logits_of(parts[task], batch), head_by_hand(parts[task], hidden), rtol=1e-4, atol=1e-4)


def test_the_same_seed_writes_the_same_bytes(made: Artifact, stage: MakeStage, shelf: Store, store: Store) -> None:
    assert weights(run_fusion(fusion(stage, shelf), store).artifact) == weights(made)


# Under a target


def test_a_target_stands_on_it_and_leaves_it_alone(made: Artifact, target: Artifact) -> None:
    composition = read_composition(target)
    assert composition.drawing() == "Stack(Fuse(mnli, squad), xnli) → classification head 'xnli'"
    assert composition.trained_parts == ("adapters/xnli", "head")
    for part in ("adapters/mnli", "adapters/squad", "fusion"):
        assert same(state(target, part), state(made, part))
    assert target.manifest["inputs"] == [made.id]
    assert (target.manifest["name"], target.manifest["fused_on"]) == ("xnli.mnli+squad.fused", "intermediate")
    assert target.manifest["expression"] == "mnli+squad"


def test_only_the_target_adapter_and_its_head_are_trained(
    target: Artifact, toy_backbone_folder: Path, toy_mirror: Path
) -> None:
    composed = load_composed(target, load_backbone(str(toy_backbone_folder)), get_task("xnli"))
    trained = {key for key, item in composed.model.named_parameters() if item.requires_grad}
    assert trained == {key for part in ("adapters/xnli", "head") for key in composed.keys[part]}
    assert target.manifest["resources"]["trained_parameters"] == composed.trained_parameters
    batch = batch_of("mnli", composed.backbone, toy_mirror)
    hidden, _ = by_hand(composed, batch)
    torch.testing.assert_close(logits_of(composed, batch), head_by_hand(composed, hidden), rtol=1e-4, atol=1e-4)


def test_a_frozen_fusion_is_not_regularised(
    made: Artifact, stage: MakeStage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its penalty would be the same number in every loss."""
    from adapterstilts.training.trainer import StiltsTrainer as Trainer

    asked: list[bool] = []
    plain = Trainer.compute_loss

    def watched(self: Trainer, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        base: Any = self.composed.model.base_model
        monkeypatch.setattr(base, "get_fusion_regularization_loss", lambda: asked.append(True), raising=False)
        return plain(self, model, inputs, *arguments, **options)

    monkeypatch.setattr(Trainer, "compute_loss", watched)
    run_stage(stage("xnli", "mnli+squad", inputs=(made,)), store)
    assert asked == []


def test_it_is_loaded_without_its_heads(made: Artifact, toy_backbone_folder: Path) -> None:
    loaded = load_headless(made, load_backbone(str(toy_backbone_folder)))
    assert loaded.composition.top is None
    for part in ("adapters/mnli", "adapters/squad", "fusion"):
        assert same(copies(loaded.state(part)), state(made, part))


def test_it_gives_no_single_adapter(made: Artifact, stage: MakeStage) -> None:
    with pytest.raises(ArtifactError, match="is a fusion of several adapters, not one adapter"):
        read_adapter(made)
    with pytest.raises(ArtifactError, match=r"'squad\+mnli' needs another fusion than 'mnli\+squad-"):
        _ = stage("xnli", "squad+mnli", inputs=(made,)).composition


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expression": "mnli"}, "'mnli' is no fusion"),
        ({"expression": "mnli+"}, "cannot be read"),
        ({"adapters": {"mnli": {}}}, "'squad'"),
        ({"fusion": None}, "cannot be read"),
    ],
)
def test_a_damaged_description_is_told(
    change: dict[str, Any], says: str, made: Artifact, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(made.path, tmp_path / "copy"))
    described = folder / "fusion.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | change))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["fusion.json"] = fingerprint_file(described)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=says):
        load_headless(read_artifact(folder), load_backbone(str(toy_backbone_folder)))


def test_a_merge_and_an_adapter_are_fused_on_the_tasks_of_both(
    stage: MakeStage, shelf: Store, store: Store, toy_backbone_folder: Path
) -> None:
    parsed = parse("avg(mnli, squad)+squad")
    assert isinstance(parsed, Fusion)
    merge, squad = parsed.parts[0], artifact_of(shelf, "squad")
    assert isinstance(merge, Merge)
    identity = identify(str(toy_backbone_folder))
    merged = run_merge(MergeStage(merge, identity, (artifact_of(shelf, "mnli"), squad)), store).artifact
    tasks = (stage("mnli"), stage("squad"))
    made = run_fusion(FusionStage(parsed, tasks, (merged, squad)), store).artifact
    assert set(weights(made)) == {
        f"{part}.safetensors" for part in (f"adapters/{merge.adapter}", "adapters/squad", *PARTS[2:])
    }
    stacked = stage("xnli", "avg(mnli, squad)+squad", inputs=(made,)).composition
    assert stacked.drawing() == f"Stack(Fuse({merge.adapter}, squad), xnli) → classification head 'xnli'"


# What decides, and what is refused


def test_the_fingerprint_is_of_adapters_tasks_and_settings(stage: MakeStage, shelf: Store) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"seed": 1},
        {"own": {"squad": {"steps": 4}}},
        {"learning_rate": 1e-3},
        {"fusion_dropout": 0.3},
        {"max_train_examples": 20},
    )
    prints = [fusion(stage, shelf, **change).fingerprint for change in changes]
    assert len(set(prints)) == len(prints)
    assert fusion(stage, shelf).fingerprint == prints[0]


def test_a_target_on_it_is_another_stage_than_one_that_learns_the_fusion(
    made: Artifact, stage: MakeStage, shelf: Store
) -> None:
    learnt = stage("xnli", "mnli+squad", inputs=(artifact_of(shelf, "mnli"), artifact_of(shelf, "squad")))
    given = stage("xnli", "mnli+squad", inputs=(made,))
    assert learnt.fingerprint != given.fingerprint
    assert given.identity()["inputs"] == [made.fingerprint]
    assert given.identity() | {"inputs": []} == learnt.identity() | {"inputs": []}
    assert (learnt.name, given.name) == ("xnli.mnli+squad", "xnli.mnli+squad.fused")


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"seed": 3}, "seed is 0 for 'mnli' and 3 for 'squad'"),
        ({"fusion_dropout": 0.2}, "fusion_dropout is None for 'mnli' and 0.2 for 'squad'"),
    ],
)
def test_recipes_that_want_two_trainings_are_refused(
    own: dict[str, Any], says: str, stage: MakeStage, shelf: Store
) -> None:
    with pytest.raises(SettingsError, match=rf"'mnli\+squad' is trained on its tasks as one.*{says}.*--fuse-on target"):
        fusion(stage, shelf, {"squad": own})


def test_the_shape_of_adapters_is_no_setting_of_a_fusion(stage: MakeStage, shelf: Store) -> None:
    fusion(stage, shelf, {"squad": {"reduction_factor": 2}})


def test_plain_text_and_long_inputs_are_refused(stage: MakeStage) -> None:
    parsed = parse("mnli+mlm")
    assert isinstance(parsed, Fusion)
    with pytest.raises(ExpressionError, match=r"'mlm' is scored by its perplexity.*--fuse-on target"):
        check_tasks(parsed, (stage("mnli"), stage("mlm")))
    with pytest.raises(SettingsError, match=r"'mnli' in 'mnli\+mlm' has inputs of 64 tokens.*at most 63\..*--fuse-on"):
        check_lengths(parsed, (stage("mnli"),), 63)


def test_a_task_whose_turn_never_comes_is_refused(stage: MakeStage, shelf: Store, store: Store) -> None:
    lopsided = fusion(stage, shelf, steps=1)
    lopsided.__dict__["shares"] = {"mnli": 1e-9, "squad": 1 - 1e-9}
    with pytest.raises(SettingsError, match=r"trains for 2 steps, and in none of them 'mnli' is drawn.*Leave it out\."):
        run_fusion(lopsided, store)
    assert store.all() == []


def test_adapters_of_another_backbone_are_refused(stage: MakeStage, shelf: Store) -> None:
    right = fusion(stage, shelf)
    other = dataclasses.replace(right.backbone, revision="sha256:other")
    with pytest.raises((BackboneError, ArtifactError), match="The adapter 'mnli-"):
        dataclasses.replace(right, parts=tuple(dataclasses.replace(part, backbone=other) for part in right.parts))
