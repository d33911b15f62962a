"""The backbone's own masked-language-model head: the logits are those of transformers, and none is made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def test_the_inverse_of_an_invertible_adapter_stands_before_the_output(
    toy_backbone_folder: Path, toy_tokenizer: Tokenizer, toy_composition: MakeComposition, tmp_path: Path
) -> None:
    """As in MAD-X: NICE after the embeddings, and its inverse before the tied output embeddings, worked out by hand."""
    folder = saved("xlm-roberta", toy_backbone_folder, toy_tokenizer, tmp_path / "xlm-r")
    composed = build(load_backbone(str(folder)), toy_composition("none", "mlm", HEAD, "seq_bn_inv"), seed=0)
    state = composed.state("adapters/mlm")
    for tensor in state.values():
        tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)) * 0.3)
    assert sum(".invertible_adapters.mlm." in key for key in state) == 8, "stored with the adapter"
    nice = {key.partition("invertible_adapters.mlm.")[2]: tensor for key, tensor in state.items() if "invert" in key}

    def net(name: str, values: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(values @ nice[f"{name}.0.weight"].T + nice[f"{name}.0.bias"])
        return hidden @ nice[f"{name}.2.weight"].T + nice[f"{name}.2.bias"]

    seen: dict[str, torch.Tensor] = {}
    model = composed.model
    model.eval()
    base: Any = model.base_model
    base.encoder.layer[0].register_forward_pre_hook(lambda _, args: seen.update(inputs=args[0]))
    base.encoder.register_forward_hook(lambda _, args, output: seen.update(outputs=output[0]))
    ids = torch.arange(5, 25).reshape(2, 10)
    with torch.no_grad():
        logits = model(input_ids=ids)["logits"]
        plain = AutoModelForMaskedLM.from_pretrained(folder).eval()
        first, second = plain.roberta.embeddings(input_ids=ids).chunk(2, dim=-1)
        first = first + net("F", second)
        second = second + net("G", first)
        torch.testing.assert_close(seen["inputs"], torch.cat((first, second), dim=-1))
        head = plain.lm_head
        hidden = head.layer_norm(torch.nn.functional.gelu(head.dense(seen["outputs"])))
        first, second = hidden.chunk(2, dim=-1)
        second = second - net("G", first)
        first = first - net("F", second)
        torch.testing.assert_close(logits, head.decoder(torch.cat((first, second), dim=-1)))
        labels = torch.where(ids % 3 == 0, ids + 1, -100)
        chosen = model(input_ids=ids, labels=labels)
    torch.testing.assert_close(chosen["logits"][0], logits[labels != -100])


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
    assert bare.masked_lm() is None
    with pytest.raises(BackboneError, match="has no masked-language-model head"):
        build(bare, toy_composition("none", "mlm", HEAD), seed=0)


def test_prompts_are_refused(toy_composition: MakeComposition) -> None:
    with pytest.raises(ExpressionError, match="prompt tuning"):
        toy_composition("none", "mlm", HEAD, adapter="prompt_tuning", reduction_factor=None)
