"""Building compositions on a backbone: what is trained, what has an effect, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from toy_compositions import HEAD, MakeComposition, batch_of, logits_of, randomised
from toy_encoders import ENCODERS, in_memory
from transformers import (
    PreTrainedTokenizerFast,
)

from adapterstilts.errors import (
    AdapterStiltsError,
    BackboneError,
    ExpressionError,
    UnknownNameError,
)
from adapterstilts.models.backbone import Backbone, build, load_backbone
from adapterstilts.models.configs import adapter_config
from adapterstilts.models.vocabulary import whole_vocabulary
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS


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


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder_trains_a_fusion_with_nothing_on_top(
    kind: str, toy_tokenizer: PreTrainedTokenizerFast, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    backbone, stacked = in_memory(kind, toy_tokenizer), toy_composition("cosmos+siqa", "mnli", HEAD)
    below = {name: stacked.adapters[name] for name in ("cosmos", "siqa")}
    composed = build(backbone, dataclasses.replace(stacked, top=None, adapters=below), seed=0)
    assert repr(composed.model.active_adapters) == "Fuse[cosmos, siqa]"
    composed.model(**batch_of("mnli", backbone, toy_mirror)).loss.backward()
    reached = {key for key, parameter in composed.model.named_parameters() if parameter.grad is not None}
    assert reached == {*composed.keys["fusion"], *composed.keys["head"]}


def test_only_target_fusion_and_head_are_trained(toy_backbone: Backbone, toy_composition: MakeComposition) -> None:
    whole_vocabulary(toy_backbone.model)
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
    whole_vocabulary(toy_backbone.model)
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
