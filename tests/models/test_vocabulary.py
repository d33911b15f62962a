"""Embeddings of tokens that do not occur are not in memory, and nobody can tell by what comes out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import adapters.heads
import pytest
import torch
from toy_backbone import copied
from toy_compositions import HEAD, MakeComposition, batch_of, encoded, logits_of, randomised
from toy_encoders import ENCODERS
from transformers import AutoModel, AutoModelForMaskedLM, PreTrainedTokenizerFast

from adapterstilts.errors import ArtifactError
from adapterstilts.evaluation.inference import predict_logits
from adapterstilts.models.backbone import Backbone, build, load_backbone
from adapterstilts.models.needed_rows import NeededRows
from adapterstilts.models.vocabulary import read_ahead, vocabulary, whole_vocabulary
from adapterstilts.tasks.formats import FORMATS


def embeddings(backbone: Backbone) -> Any:
    model: Any = backbone.model
    return model.get_input_embeddings()


def loaded(folder: Path, *, trimmed: bool) -> Backbone:
    with vocabulary(trimmed=trimmed):
        backbone = load_backbone(str(folder))
    assert isinstance(embeddings(backbone), NeededRows) == trimmed
    return backbone


@pytest.mark.parametrize("headed", [True, False])
@pytest.mark.parametrize("kind", ENCODERS)
def test_logits_are_the_same_to_the_bit(
    kind: str,
    headed: bool,
    toy_tokenizer: PreTrainedTokenizerFast,
    toy_composition: MakeComposition,
    toy_mirror: Path,
    tmp_path: Path,
) -> None:
    """Whether the checkpoint is of an encoder with its head or of the encoder alone: the keys differ by a prefix."""
    config = ENCODERS[kind](len(toy_tokenizer))
    (AutoModelForMaskedLM if headed else AutoModel).from_config(config).save_pretrained(tmp_path)
    toy_tokenizer.save_pretrained(tmp_path)
    found = []
    for trimmed in (True, False):
        backbone = loaded(tmp_path, trimmed=trimmed)
        composed = build(backbone, toy_composition("mnli", "xnli", HEAD), seed=0)
        randomised(composed)
        found.append(logits_of(composed, batch_of("mnli", backbone, toy_mirror)))
        if trimmed:
            held = len(embeddings(backbone).weight)
            assert held < len(toy_tokenizer), "the tokens of four rows, and those of the probe"
    assert torch.equal(*found)


def test_half_precision_is_widened_as_in_the_whole(toy_backbone_folder: Path, tmp_path: Path) -> None:
    folder = copied(toy_backbone_folder, tmp_path / "half")
    AutoModelForMaskedLM.from_pretrained(toy_backbone_folder).to(torch.bfloat16).save_pretrained(folder)
    ids = torch.tensor([[5, 9], [9, 30]])
    trimmed, whole = (embeddings(loaded(folder, trimmed=trimmed))(ids) for trimmed in (True, False))
    assert trimmed.dtype == torch.float32
    assert torch.equal(trimmed, whole)


def test_rows_come_when_they_are_asked_for(toy_backbone_folder: Path) -> None:
    backbone = loaded(toy_backbone_folder, trimmed=True)
    needed, whole = embeddings(backbone), embeddings(loaded(toy_backbone_folder, trimmed=False))
    assert needed.num_embeddings == whole.num_embeddings
    assert needed.padding_idx == whole.padding_idx == 1
    sizes = []
    for ids in ([[7, 5], [5, 7]], [[5, 5]], [[200, 0, 7]]):
        with torch.inference_mode():
            assert torch.equal(needed(torch.tensor(ids)), whole.weight[torch.tensor(ids)])
        sizes.append(len(needed.weight))
    assert sizes == [2, 2, 4]
    assert not needed.weight.is_inference(), "a training may come after an evaluation"
    assert not needed.weight.requires_grad
    other = copy.deepcopy(needed)
    assert torch.equal(other(torch.tensor([7, 9])), whole.weight[[7, 9]])
    for outside in (-1, needed.num_embeddings):
        with pytest.raises((IndexError, RuntimeError)):
            needed(torch.tensor([outside]))


@pytest.mark.parametrize("task_name", ["mnli", "hellaswag", "squad", "panx"])
def test_the_rows_of_a_pass_are_read_at_once(
    task_name: str, toy_backbone_folder: Path, toy_composition: MakeComposition, toy_mirror: Path, tmp_path: Path
) -> None:
    """After that the checkpoint can go away; a token that is in none of the rows is told, not made up."""
    from adapterstilts.tasks.catalogue import get_task

    folder = copied(toy_backbone_folder, tmp_path / "backbone")
    backbone = loaded(folder, trimmed=True)
    rows = encoded(task_name, backbone, toy_mirror, 6)
    head = FORMATS[get_task(task_name).format].head(get_task(task_name))
    composed = build(backbone, toy_composition("none", task_name, head), seed=0)
    before = len(embeddings(backbone).weight)
    read_ahead(backbone.model, rows.features)
    column = rows.features["input_ids"]
    occurs = {token for ids in column for part in ids for token in (part if isinstance(part, list) else [part])}
    held = {token for token, place in enumerate(embeddings(backbone).places.tolist()) if place >= 0}
    assert occurs <= held
    assert len(held) <= before + len(occurs)
    embeddings(backbone)(torch.tensor([backbone.tokenizer.pad_token_id]))
    (folder / "model.safetensors").unlink()
    assert len(predict_logits(composed, rows, batch_size=4)) == len(rows)
    (other, *_) = set(range(embeddings(backbone).num_embeddings)) - held - {backbone.tokenizer.pad_token_id}
    with pytest.raises(ArtifactError, match="cannot be read"):
        embeddings(backbone)(torch.tensor([other]))


def test_the_whole_comes_back(toy_backbone_folder: Path) -> None:
    backbone = loaded(toy_backbone_folder, trimmed=True)
    whole = embeddings(loaded(toy_backbone_folder, trimmed=False))
    whole_vocabulary(backbone.model)
    found = embeddings(backbone)
    assert type(found) is torch.nn.Embedding
    assert torch.equal(found.weight, whole.weight)
    assert found.padding_idx == whole.padding_idx, "the padding is not trained, by --adapter full"
    model: Any = backbone.model
    assert model.loaded_embeddings["default"] is found
    assert not any(isinstance(module, NeededRows) for module in model.modules())
    read_ahead(model)  # nothing is left to read


def test_no_head_is_made_unless_it_is_asked_for(
    toy_backbone_folder: Path, toy_composition: MakeComposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library makes that of the class that the configuration names: for XLM-R, 250,002 x 768 numbers of its own."""
    made: list[str] = []
    make = adapters.heads.BertStyleMaskedLMHead.__init__

    def watched(self: Any, model: Any, name: str, *arguments: Any, **options: Any) -> None:
        made.append(name)
        make(self, model, name, *arguments, **options)

    monkeypatch.setattr(adapters.heads.BertStyleMaskedLMHead, "__init__", watched)
    backbone = load_backbone(str(toy_backbone_folder))
    build(backbone, toy_composition("none", "xnli", HEAD), seed=0)
    assert made == []
    assert not any(len(embeddings(backbone).places) in tensor.shape for tensor in backbone.model.state_dict().values())
    head = load_backbone(str(toy_backbone_folder)).masked_lm()
    assert head is not None
    assert made == ["default"]
