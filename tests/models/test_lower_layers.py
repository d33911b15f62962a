"""The cut model is the whole model without dropout below the cut: outputs, gradients, random numbers, names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toy_compositions import HEAD, batch_of, make_composition
from toy_encoders import ENCODERS, SMALL, in_memory
from toy_layers import cut_model, lower_of
from transformers import DebertaV2Config, PreTrainedTokenizerFast

from adapterstilts.models.backbone import Backbone, ComposedModel, backbone_from, build, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.expression import Nothing
from adapterstilts.models.full import FULL
from adapterstilts.models.lower_layers import LowerLayers, layers_below, lower_layers, stacked
from adapterstilts.tasks.formats import HeadSpec

Batch = dict[str, torch.Tensor]
LENGTHS = (9, 4, 7)


def padded_batch(composed: ComposedModel, *, choices: int = 1, types: bool = False) -> Batch:
    """Return sequences of several lengths, with labels for three classes, or for the choice."""
    pad, generator = int(composed.backbone.tokenizer.pad_token_id), torch.Generator().manual_seed(1)
    lengths = LENGTHS * choices
    ids = torch.randint(10, 40, (len(lengths), max(lengths)), generator=generator)
    mask = torch.tensor([[1] * length + [0] * (max(lengths) - length) for length in lengths])
    batch = {"input_ids": ids.where(mask.bool(), torch.tensor(pad)), "attention_mask": mask}
    if types:
        batch["token_type_ids"] = torch.randint(0, 2, ids.shape, generator=generator) * mask
    return batch | {"labels": torch.tensor([0, 1, 1])}


def sequences_of(batch: Batch) -> list[dict[str, list[int]]]:
    names = [name for name in ("input_ids", "token_type_ids") if name in batch]
    return [
        {name: batch[name][row][mask.bool()].tolist() for name in names}
        for row, mask in enumerate(batch["attention_mask"])
    ]


def step(composed: ComposedModel, lower: LowerLayers, batch: Batch, *, cut: bool) -> tuple[Any, Batch]:
    """Return the output in training and the gradients; the whole model with its lower part without dropout."""
    model: Any = composed.model
    model.train()
    model.zero_grad()
    states = stacked(lower.run(sequences_of(batch), 1), batch["input_ids"].shape[1])
    model.train()
    torch.manual_seed(5)
    if cut:
        with lower.above(states):
            output = model(**batch)
    else:
        for module in lower.modules:
            module.eval()
        output = model(**batch)
    output.loss.backward()
    gradients = {name: item.grad.clone() for name, item in model.named_parameters() if item.grad is not None}
    return output, gradients


def assert_same_step(composed: ComposedModel, batch: Batch) -> None:
    composed.model.double()
    lower = lower_of(composed)
    (whole, expected), (cut, found) = (step(composed, lower, batch, cut=cut) for cut in (False, True))
    torch.testing.assert_close(cut.loss, whole.loss, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(cut.logits, whole.logits, rtol=1e-10, atol=1e-10)
    assert any(bool((value.abs() > 1e-6).any()) for value in expected.values())
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("expression", ["none", "a", "a+b"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_outputs_and_gradients_are_those_of_the_whole_model(
    kind: str, expression: str, toy_tokenizer: PreTrainedTokenizerFast
) -> None:
    composed = cut_model(in_memory(kind, toy_tokenizer), expression)
    assert lower_of(composed).further
    assert_same_step(composed, padded_batch(composed, types=kind == "bert"))


@pytest.mark.parametrize("adapter", ["lora", "ia3", "double_seq_bn", "par_bn"])
def test_kinds_of_adapters(adapter: str, toy_backbone: Backbone) -> None:
    """The further cut is for adapters at the end of a layer alone: nothing may be trained before it."""
    composed = cut_model(toy_backbone, adapter=adapter, reduction_factor=None)
    assert lower_of(composed).further == (adapter == "par_bn")
    assert_same_step(composed, padded_batch(composed))


@pytest.mark.parametrize("dropped", [(0,), (0, 1)])
def test_the_first_layer_with_an_adapter_is_run_up_to_it(
    dropped: tuple[int, ...], toy_tokenizer: PreTrainedTokenizerFast
) -> None:
    composed = cut_model(in_memory("xlm-roberta", toy_tokenizer, layers=3), "a+b", dropped=dropped)
    model: Any = composed.model
    lower, plain = lower_of(composed), lower_layers(composed, further=False)
    assert plain is not None
    assert (lower.width, plain.width) == (64, 32)
    batch, count = padded_batch(composed), len(dropped)
    attended: list[str] = []
    for number, layer in model.iter_layers():
        layer.attention.register_forward_hook(lambda *_, number=number: attended.append(number))
    states = {part: stacked(part.run(sequences_of(batch), 1), max(LENGTHS)) for part in (lower, plain)}
    assert attended == list(range(count + 1)) * len(LENGTHS) + list(range(count)) * len(LENGTHS)
    logits = []
    for part in (lower, plain):
        attended.clear()
        with torch.no_grad(), part.above(states[part]):
            logits.append(model(**batch).logits)
        assert attended == list(range(count + (part is lower), 3))
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-6)


def test_what_stands_beside_the_adapters_may_be_trained(toy_backbone: Backbone) -> None:
    """Then the layer is none of the lower part."""
    composed = cut_model(toy_backbone)
    model: Any = composed.model
    model.base_model.encoder.layer[1].output.LayerNorm.weight.requires_grad_(True)
    assert not lower_of(composed).further


def test_a_further_cut_that_fails_is_none(toy_backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a norm behind the layers wants their width."""
    composed = cut_model(toy_backbone)
    model: Any = composed.model
    encoder = model.base_model.encoder
    plain = encoder.forward

    def narrow(*arguments: Any, **options: Any) -> Any:
        found = plain(*arguments, **options)
        torch.nn.functional.layer_norm(found[0], (32,))
        return found

    monkeypatch.setattr(encoder, "forward", narrow)
    assert not lower_of(composed).further


def test_states_of_another_width_than_the_embeddings(toy_tokenizer: PreTrainedTokenizerFast) -> None:
    """ELECTRA's encoder begins with a projection where the two differ, and cannot begin with states."""
    from adapters import AutoAdapterModel
    from transformers import ElectraConfig

    config = ElectraConfig(vocab_size=len(toy_tokenizer), embedding_size=16, pad_token_id=1, **SMALL)
    composed = cut_model(backbone_from(AutoAdapterModel.from_config(config), toy_tokenizer, "projected"))
    assert lower_layers(composed) is None


def test_too_little_memory_is_no_reason_to_cut_elsewhere(
    toy_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is dropped out in a training must not depend on it."""
    composed = cut_model(toy_backbone)
    model: Any = composed.model

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(model.base_model.encoder, "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        lower_layers(composed)


def test_choices_are_sequences(toy_backbone: Backbone) -> None:
    composed = cut_model(toy_backbone, head=HeadSpec("multiple_choice", 2))
    assert_same_step(composed, padded_batch(composed, choices=2))


def test_spans_and_tags_of_tokens_do_not_see_the_padding(toy_backbone_folder: Path) -> None:
    for head in (HeadSpec("question_answering", 2), HeadSpec("tagging", 3, ("a", "b", "c"))):
        composed = cut_model(load_backbone(str(toy_backbone_folder)), head=head)
        lower, batch = lower_of(composed), padded_batch(composed)
        del batch["labels"]
        composed.model.eval()
        with torch.no_grad():
            whole = composed.model(**batch)
            with lower.above(stacked(lower.run(sequences_of(batch), 1), max(LENGTHS))):
                cut = composed.model(**batch)
        places = batch["attention_mask"].bool()
        for name in ("start_logits", "end_logits") if head.kind == "question_answering" else ("logits",):
            torch.testing.assert_close(cut[name][places], whole[name][places], rtol=1e-5, atol=1e-5)


def test_token_types_reach_the_states(wordpiece: Any) -> None:
    lower = lower_of(cut_model(in_memory("bert", wordpiece)))
    one, other = ({"input_ids": [5, 6, 7], "token_type_ids": types} for types in ([0, 0, 0], [0, 1, 1]))
    first, second = lower.run([one, other])
    assert not torch.equal(first, second)
    assert torch.equal(first, lower.run([{"input_ids": [5, 6, 7]}])[0])


def test_a_sequence_has_the_same_states_in_any_company(toy_backbone: Backbone, toy_mirror: Path) -> None:
    composed = cut_model(toy_backbone)
    lower, sequences = lower_of(composed), sequences_of(batch_of("mnli", toy_backbone, toy_mirror, 8))
    composed.model.train()
    before = torch.get_rng_state()
    together = lower.run(sequences)
    assert torch.equal(torch.get_rng_state(), before), "no dropout is drawn"
    for alone, states in zip(sequences, together, strict=True):
        assert torch.equal(lower.run([alone])[0], states)
        assert states.shape == (len(alone["input_ids"]), lower.width)
    with torch.autocast("cpu", torch.bfloat16), torch.enable_grad():
        again = lower.run(sequences)
    assert all(torch.equal(one, other) for one, other in zip(again, together, strict=True))
    assert not any(states.requires_grad for states in again)


def test_the_model_is_whole_again_afterwards(toy_backbone: Backbone) -> None:
    composed = cut_model(toy_backbone)
    lower, batch = lower_of(composed), padded_batch(composed)
    model: Any = composed.model
    model.eval()
    names, before = list(model.state_dict()), model(**batch).logits
    states = stacked(lower.run(sequences_of(batch)), max(LENGTHS))
    with pytest.raises(ZeroDivisionError), lower.above(states):
        _ = 1 / 0
    with lower.above(torch.zeros_like(states)):
        assert not torch.equal(model(**batch).logits, before)
    assert list(model.state_dict()) == names
    assert torch.equal(model(**batch).logits, before)
    assert [number for number, _ in model.iter_layers()] == [0, 1]


def test_layers_are_counted_from_the_lowest(toy_backbone: Backbone) -> None:
    def below(*dropped: int, expression: str = "a+b") -> int:
        return layers_below(make_composition(expression, "top", HEAD).without(dropped))

    assert [below(), below(1), below(0), below(0, 1, 2, 5)] == [0, 0, 1, 3]
    assert layers_below(Composition(Nothing(), "top", HEAD, {"top": {"alias": FULL}})) == 0
    assert lower_layers(cut_model(toy_backbone, dropped=(1,))) is None


def test_an_adapter_of_another_layer_counts(toy_backbone: Backbone) -> None:
    """The lower part ends where the first of all adapters begins."""
    whole = make_composition("a", "top", HEAD)
    partial = whole.without([0]).adapters["top"]
    mixed = Composition(whole.expression, "top", HEAD, {"a": whole.adapters["a"], "top": partial})
    assert layers_below(mixed) == 0
    assert lower_layers(build(toy_backbone, mixed, seed=0)) is None


def test_a_lower_part_that_is_trained_is_none(toy_backbone: Backbone) -> None:
    composed = cut_model(toy_backbone)
    next(lower_of(composed).embeddings.parameters()).requires_grad_(True)
    assert lower_layers(composed) is None


def test_a_model_that_differs_when_cut_is_left_whole(toy_tokenizer: PreTrainedTokenizerFast) -> None:
    """DeBERTa-v2's convolution stands behind the first layer in its list, whichever that is."""
    from adapters import AutoAdapterModel

    size = {**SMALL, "num_hidden_layers": 3}
    config = DebertaV2Config(
        vocab_size=len(toy_tokenizer), type_vocab_size=0, pad_token_id=1, conv_kernel_size=3, conv_act="gelu", **size
    )
    model = AutoAdapterModel.from_config(config)
    composed = cut_model(backbone_from(model, toy_tokenizer, "convolution"), dropped=(0, 1))
    assert not LowerLayers(composed.model, 2).fits(config.vocab_size, 1)
    assert lower_layers(composed) is None


def test_a_model_without_one_list_of_layers_is_left_whole(toy_tokenizer: PreTrainedTokenizerFast) -> None:
    from adapters import AutoAdapterModel
    from transformers import GPT2Config

    config = GPT2Config(vocab_size=len(toy_tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=64)
    with pytest.raises(ValueError, match="GPT2Model has no embeddings"):
        LowerLayers(AutoAdapterModel.from_config(config), 1)
