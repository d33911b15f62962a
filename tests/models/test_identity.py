"""Knowing which backbone one has: what changes its identity, and what does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_backbone import copied
from toy_compositions import HEAD, MakeComposition
from toy_encoders import in_memory
from transformers import (
    PreTrainedTokenizerFast,
)

from adapterstilts.errors import (
    ArtifactError,
)
from adapterstilts.models.backbone import Backbone, build, identify, load_backbone


def with_weight(folder: Path, key: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change one tensor in a backbone's folder."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors[key] = change(tensors[key])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_identity_is_the_same_on_reload_and_without_loading(toy_backbone_folder: Path) -> None:
    first = load_backbone(str(toy_backbone_folder)).identity
    assert load_backbone(str(toy_backbone_folder)).identity == first
    assert identify(str(toy_backbone_folder)) == first
    assert first.id == str(toy_backbone_folder)
    assert first.model_type == "xlm-roberta"
    assert first.revision.startswith("sha256:")


def test_identity_does_not_change_with_the_folders_name(toy_backbone_folder: Path, tmp_path: Path) -> None:
    here, there = identify(str(toy_backbone_folder)), identify(str(copied(toy_backbone_folder, tmp_path / "elsewhere")))
    assert here.key == there.key
    here.require_same(dataclasses.asdict(there), what="It")


def test_identity_does_not_change_with_what_is_built_on_it(
    toy_backbone: Backbone, toy_composition: MakeComposition
) -> None:
    from adapterstilts.models.backbone import config_hash

    build(toy_backbone, toy_composition("mnli+squad", "xnli", HEAD), seed=0)
    assert config_hash(toy_backbone.model.config) == toy_backbone.identity.config_hash


def test_identity_changes_with_the_weights(toy_backbone_folder: Path, tmp_path: Path) -> None:
    other = copied(toy_backbone_folder, tmp_path / "other")
    with_weight(other, "roberta.embeddings.word_embeddings.weight", lambda tensor: tensor + 1e-3)
    here, there = identify(str(toy_backbone_folder)), identify(str(other))
    assert here.config_hash == there.config_hash
    assert here.revision != there.revision
    with pytest.raises(ArtifactError, match=r"It was made for the backbone .*other"):
        here.require_same(dataclasses.asdict(there), what="It")


def test_identity_changes_with_weights_that_lie_in_several_files(toy_backbone_folder: Path, tmp_path: Path) -> None:
    from transformers import XLMRobertaForMaskedLM

    model = XLMRobertaForMaskedLM.from_pretrained(toy_backbone_folder)
    model.save_pretrained(tmp_path / "one", max_shard_size="20KB")
    with torch.no_grad():
        model.roberta.encoder.layer[0].output.dense.weight.add_(1e-3)
    model.save_pretrained(tmp_path / "two", max_shard_size="20KB")
    assert len(list((tmp_path / "one").glob("*.safetensors"))) > 1
    assert identify(str(tmp_path / "one")).revision != identify(str(tmp_path / "two")).revision


@pytest.mark.parametrize("change", [{"layer_norm_eps": 1e-3}, {"hidden_act": "relu"}, {"num_attention_heads": 8}])
def test_identity_changes_with_the_architecture(
    change: dict[str, Any], toy_backbone_folder: Path, tmp_path: Path
) -> None:
    here, there = (
        identify(str(toy_backbone_folder)),
        identify(str(copied(toy_backbone_folder, tmp_path / "b", **change))),
    )
    assert here.revision == there.revision
    assert here.config_hash != there.config_hash
    with pytest.raises(ArtifactError):
        here.require_same(dataclasses.asdict(there), what="It")


@pytest.mark.parametrize(
    "change", [{"torch_dtype": "bfloat16"}, {"transformers_version": "4.1"}, {"architectures": []}]
)
def test_identity_does_not_change_with_what_has_no_effect(
    change: dict[str, Any], toy_backbone_folder: Path, tmp_path: Path
) -> None:
    assert (
        identify(str(copied(toy_backbone_folder, tmp_path / "b", **change))).key
        == identify(str(toy_backbone_folder)).key
    )


def test_identity_of_a_model_in_memory_follows_its_weights(toy_tokenizer: PreTrainedTokenizerFast) -> None:
    def made(seed: int) -> Backbone:
        return in_memory("bert", toy_tokenizer, seed=seed)

    assert made(0).identity == made(0).identity
    assert made(0).identity.revision != made(1).identity.revision
