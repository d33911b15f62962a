"""The backbone's own masked-language-model head: the logits are those of transformers, and none is made up."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy_compositions import MakeComposition
from transformers import AutoModelForMaskedLM, BertConfig, DistilBertConfig, XLMRobertaModel
from transformers import PreTrainedTokenizerFast as Tokenizer

from adapterstilts.errors import BackboneError, ExpressionError
from adapterstilts.models.backbone import build, load_backbone
from adapterstilts.tasks.formats import HeadSpec

HEAD = HeadSpec("masked_lm", 1)
SMALL = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 64}


def saved(kind: str, xlm_r: Path, tokenizer: Tokenizer, folder: Path) -> Path:
    """Save a tiny encoder with its head, all of its weights random, the output layer's bias among them."""
    if kind == "xlm-roberta":
        model = AutoModelForMaskedLM.from_pretrained(xlm_r)
    elif kind == "bert":
        config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=130, pad_token_id=1, **SMALL)
        model = AutoModelForMaskedLM.from_config(config)
    else:
        distil = DistilBertConfig(len(tokenizer), 130, n_layers=2, n_heads=4, dim=32, hidden_dim=64, pad_token_id=1)
        model = AutoModelForMaskedLM.from_config(distil)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert", "distilbert"])
def test_the_logits_are_those_of_transformers(
    kind: str, toy_backbone_folder: Path, toy_tokenizer: Tokenizer, toy_composition: MakeComposition, tmp_path: Path
) -> None:
    """The adapters library leaves out the bias of the output layer of XLM-R and BERT."""
    folder = saved(kind, toy_backbone_folder, toy_tokenizer, tmp_path / kind)
    composed = build(load_backbone(str(folder)), toy_composition("none", "mlm", HEAD), seed=0)
    composed.model.set_active_adapters(None)  # type: ignore[operator]
    composed.model.active_head = "mlm"
    composed.model.eval()
    ids = torch.arange(5, 25).reshape(2, 10)
    labels = torch.where(ids % 3 == 0, ids + 1, -100)
    with torch.no_grad():
        wanted = AutoModelForMaskedLM.from_pretrained(folder).eval()(input_ids=ids, labels=labels)
        torch.testing.assert_close(composed.model(input_ids=ids)["logits"], wanted.logits)
        found = composed.model(input_ids=ids, labels=labels)
    torch.testing.assert_close(found["loss"], wanted.loss)
    torch.testing.assert_close(found["logits"][0], wanted.logits[labels != -100], msg="one row a label")


def test_only_the_adapter_is_trained_and_stored(toy_backbone_folder: Path, toy_composition: MakeComposition) -> None:
    composed = build(load_backbone(str(toy_backbone_folder)), toy_composition("none", "mlm", HEAD), seed=0)
    assert composed.composition.parts == composed.composition.trained_parts == ("adapters/mlm",)
    trained = {name for name, item in composed.model.named_parameters() if item.requires_grad}
    assert trained == set(composed.keys["adapters/mlm"])
    output = composed.model.heads["mlm"].get_output_embeddings()
    assert output.weight is composed.model.get_input_embeddings().weight


def test_a_checkpoint_without_the_head_is_refused(
    toy_backbone_folder: Path, toy_tokenizer: Tokenizer, toy_composition: MakeComposition, tmp_path: Path
) -> None:
    XLMRobertaModel.from_pretrained(toy_backbone_folder).save_pretrained(tmp_path / "bare")
    toy_tokenizer.save_pretrained(tmp_path / "bare")
    bare = load_backbone(str(tmp_path / "bare"))
    assert bare.masked_lm is None
    with pytest.raises(BackboneError, match="has no masked-language-model head"):
        build(bare, toy_composition("none", "mlm", HEAD), seed=0)


def test_prompts_are_refused(toy_composition: MakeComposition) -> None:
    with pytest.raises(ExpressionError, match="prompt tuning"):
        toy_composition("none", "mlm", HEAD, adapter="prompt_tuning", reduction_factor=None)
