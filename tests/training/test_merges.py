"""Merged adapters: made once, of the right weights, refused where a merge has no meaning; and adapters trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy_stages import MakeStage, artifact_of

from adapterstilts.errors import ArtifactError, ExpressionError
from adapterstilts.models.backbone import build, identify, load_backbone
from adapterstilts.models.configs import merged_config
from adapterstilts.models.expression import Merge
from adapterstilts.models.grammar import parse
from adapterstilts.models.saved import read_adapter, read_composition
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.training.merges import MergeStage, run_merge
from adapterstilts.training.stages import run_stage


def merge(text: str) -> Merge:
    parsed = parse(text)
    assert isinstance(parsed, Merge)
    return parsed


def adapter(artifact: Artifact) -> dict[str, torch.Tensor]:
    """The adapter's tensors, by what follows its name in their keys."""
    name, _ = read_adapter(artifact)
    loaded = load_file(artifact.path / f"adapters/{name}.safetensors")
    assert all(f".{name}." in key for key in loaded)
    return {key.replace(f".{name}.", ".NAME."): tensor for key, tensor in loaded.items()}


@pytest.fixture
def stage_of(toy_backbone_folder: Path, shelf: Store) -> MergeStage:
    return MergeStage(
        merge("avg(mnli, 3*squad)"),
        identify(str(toy_backbone_folder)),
        (artifact_of(shelf, "mnli"), artifact_of(shelf, "squad")),
    )


def test_an_average_is_made_once_and_is_the_average(stage_of: MergeStage, store: Store) -> None:
    made = run_merge(stage_of, store)
    assert not made.reused
    assert made.to_json()["state"] == "merged"
    first, second = map(adapter, stage_of.inputs)
    merged = adapter(made.artifact)
    assert merged.keys() == first.keys()
    for key, tensor in merged.items():
        torch.testing.assert_close(tensor, 0.25 * first[key] + 0.75 * second[key])
    again = run_merge(stage_of, store)
    assert again.reused
    assert again.artifact.id == made.artifact.id
    assert made.artifact.manifest["inputs"] == [artifact.id for artifact in stage_of.inputs]
    assert made.artifact.manifest["tasks"] == ["mnli", "squad"]


@pytest.mark.parametrize("text", ["arithmetic(mnli, squad; scale=1)", "ties(mnli, squad)", "dare(mnli, squad)"])
def test_task_vectors_are_taken_from_what_training_began_with(
    text: str, toy_backbone_folder: Path, shelf: Store, stage: MakeStage
) -> None:
    inputs = artifact_of(shelf, "mnli"), artifact_of(shelf, "squad")
    made = MergeStage(merge(text), identify(str(toy_backbone_folder)), inputs)
    name = made.expression.adapter
    began = {
        key.replace(f".{name}.", ".NAME."): tensor for key, tensor in made.beginning(str(toy_backbone_folder)).items()
    }
    built = build(load_backbone(str(toy_backbone_folder)), stage("squad").composition, seed=0)
    fresh = {key.replace(".squad.", ".NAME."): tensor for key, tensor in built.state("adapters/squad").items()}
    assert began.keys() == fresh.keys()
    assert all(torch.equal(began[key], fresh[key]) for key in fresh)
    # an untrained adapter adds nothing: what is left of both is what training did
    merged = {
        key.replace(f".{name}.", ".NAME."): tensor for key, tensor in made.merged(str(toy_backbone_folder)).items()
    }
    vectors = [{key: adapter(item)[key] - began[key] for key in began} for item in inputs]
    moved = torch.cat([(merged[key] - began[key]).flatten() for key in began])
    both = [torch.cat([vector[key].flatten() for key in began]) for vector in vectors]
    assert bool(moved.any())
    if made.expression.method == "arithmetic":
        torch.testing.assert_close(moved, both[0] + both[1])
    elif made.expression.method == "ties":
        largest = torch.maximum(both[0].abs(), both[1].abs())
        assert bool((moved.abs() <= largest + 1e-6).all())
        assert (moved != 0).float().mean().item() == pytest.approx(
            0.3, abs=0.11
        )  # a fifth of each, less what is shared
    else:
        assert (moved.abs() > 1e-7).float().mean().item() == pytest.approx(0.19, abs=0.05)


def test_adapters_of_different_seeds_have_no_common_beginning(toy_backbone_folder: Path, shelf: Store) -> None:
    inputs = artifact_of(shelf, "mnli", seed=1), artifact_of(shelf, "squad")
    backbone = identify(str(toy_backbone_folder))
    with pytest.raises(ExpressionError, match=r"'ties' works on what training added.*seeds.*--use, or use avg"):
        MergeStage(merge("ties(mnli, squad)"), backbone, inputs)
    assert MergeStage(merge("avg(mnli, squad)"), backbone, inputs).seed is None


def test_another_backbone_is_refused(stage_of: MergeStage, still_folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"The adapter 'mnli-.*"):
        MergeStage(stage_of.expression, identify(str(still_folder)), stage_of.inputs)


def test_the_fingerprint_is_of_method_weights_options_and_inputs(toy_backbone_folder: Path, shelf: Store) -> None:
    backbone = identify(str(toy_backbone_folder))
    inputs = artifact_of(shelf, "mnli"), artifact_of(shelf, "squad")
    texts = ("avg(mnli, squad)", "avg(2*mnli, squad)", "ties(mnli, squad)", "ties(mnli, squad; density=0.3)")
    prints = {MergeStage(merge(text), backbone, inputs).fingerprint for text in texts}
    prints.add(
        MergeStage(merge("avg(mnli, squad)"), backbone, (artifact_of(shelf, "mnli", seed=1), inputs[1])).fingerprint
    )
    assert len(prints) == 5


# Configurations

BOTTLENECK = {"mh_adapter": False, "output_adapter": True, "reduction_factor": 16}
LORA = {"architecture": "lora", "composition_mode": "add", "r": 8, "alpha": 8}


@pytest.mark.parametrize(
    ("text", "configs", "says"),
    [
        ("avg(a, b)", (BOTTLENECK, {**BOTTLENECK, "reduction_factor": 2}), "differ in reduction_factor \\(16 and 2\\)"),
        ("avg(a, b)", (LORA, {**LORA, "r": 4}), "differ in r"),
        ("avg(a, b)", (BOTTLENECK, LORA), "'a' and 'b' differ in"),
        ("avg(a, b)", ({"prompt_length": 10},) * 2, "only bottleneck adapters .* and lora can be merged, and 'a'"),
        ("avg(a, b)", ({**LORA, "use_dora": True},) * 2, "only bottleneck adapters"),
        ("ties(a, b)", ({**LORA, "composition_mode": "scale"},) * 2, "only bottleneck adapters"),
        ("svd(a, b)", (BOTTLENECK, BOTTLENECK), "svd merges the updates of LoRA, and 'a' is none"),
    ],
)
def test_what_cannot_be_merged_is_refused(text: str, configs: tuple[dict[str, object], ...], says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        merged_config(merge(text), configs)


def test_svd_makes_a_lora_of_the_rank_asked_for_with_scaling_1() -> None:
    configs = LORA, {**LORA, "r": 4, "alpha": 16}
    assert merged_config(merge("svd(a, b; rank=3)"), configs) == {**LORA, "r": 3, "alpha": 3}
    assert merged_config(merge("svd(a, b)"), configs) == {**LORA, "r": 8, "alpha": 8}
    assert merged_config(merge("avg(a, b)"), (BOTTLENECK, BOTTLENECK)) == BOTTLENECK


# Training on from an adapter


def test_a_chain_of_no_steps_would_be_the_intermediate_adapter(stage: MakeStage, shelf: Store, store: Store) -> None:
    """A step at a learning rate of next to nothing leaves the weights that the target adapter started from."""
    start = artifact_of(shelf, "squad")
    chained = stage("xnli", "chain(squad)", inputs=(start,), steps=1, learning_rate=1e-12)
    made = run_stage(chained, store).artifact
    assert read_composition(made).drawing() == "Stack(xnli) → classification head 'xnli'"
    first, second = adapter(start), adapter(made)
    assert first.keys() == second.keys()
    for key, tensor in first.items():
        torch.testing.assert_close(second[key], tensor, atol=1e-8, rtol=0)
    plain = run_stage(stage("xnli", steps=1, learning_rate=1e-12), store).artifact
    assert any(not torch.allclose(adapter(plain)[key], tensor, atol=1e-6) for key, tensor in first.items())
    assert plain.fingerprint != made.fingerprint


def test_a_chain_takes_the_shape_of_the_adapter_it_starts_from(stage: MakeStage, shelf: Store) -> None:
    start = artifact_of(shelf, "squad")
    chained = stage("xnli", "chain(squad)", inputs=(start,), reduction_factor=2)
    assert chained.composition.adapters["xnli"] == read_adapter(start)[1]


def test_a_stage_needs_the_adapters_of_its_expression(stage: MakeStage, shelf: Store) -> None:
    with pytest.raises(ArtifactError, match=r"'chain\(squad\)' needs an artifact"):
        _ = stage("xnli", "chain(squad)").composition
    with pytest.raises(ArtifactError, match="needs an artifact for mnli, squad"):
        _ = stage("xnli", "mnli+squad", inputs=(artifact_of(shelf, "mnli"),)).composition
    with pytest.raises(ArtifactError, match="'squad' is none of 'mnli'"):
        _ = stage("xnli", "mnli", inputs=(artifact_of(shelf, "squad"),)).composition
