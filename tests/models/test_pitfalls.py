"""What the adapters library (1.3, on transformers 4.57) gets wrong without a word, and the guard against each.

Where it is cheap, a test first shows the fault in the plain library: when upstream mends it, that line fails and says
that the guard may go. The rest of a test is about our own code. Numbers are those of the list of faults.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from adapters import ADAPTER_CONFIG_MAP, AutoAdapterModel
from adapters.composition import Average, Fuse, Stack
from plain_library import library_trainer, overwrite, part_of, plain
from toy_compositions import HEAD, MakeComposition, batch_of, copies, encoded, same
from toy_trainer import trainer_for

import adapterstilts
from adapterstilts.errors import ArtifactError, ExpressionError
from adapterstilts.models.backbone import build, identify, load_backbone, quiet_adapters
from adapterstilts.models.grammar import parse
from adapterstilts.models.vocabulary import whole_vocabulary
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS


def test_pitfall_01_average_divides_twice_and_is_never_built(
    still_folder: Path, toy_composition: MakeComposition
) -> None:
    """Average of N adapters weighs them to a sum of 1 and then divides by N again."""
    model = plain(still_folder)
    for name in ("a", "b"):
        model.add_adapter(name, config="seq_bn")
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if ".adapters.b." in key:
                tensor.copy_(model.state_dict()[key.replace(".adapters.b.", ".adapters.a.")])
    layer = model.base_model.encoder.layer[0].output
    hidden = torch.randn(1, 3, 32)
    with torch.no_grad():
        alone = layer.compose(Stack("a"), _bottleneck_state(layer, hidden)).hidden_states
        averaged = layer.compose(Average("a", "b"), _bottleneck_state(layer, hidden)).hidden_states
    torch.testing.assert_close(averaged, alone / 2)  # of two equal adapters; the mean would be `alone`

    for text in ("average(a,b)", "a|b", "0.5*a+0.5*b"):
        with pytest.raises(ExpressionError):
            parse(text)
    # our own average is made before, and is one adapter in the model
    for expression in ("none", "a", "a+b", "avg(a,b)", "avg(a,b)+c"):
        composed = build(load_backbone(str(still_folder)), toy_composition(expression, "xnli", HEAD), seed=0)
        assert set(_blocks(composed.model.active_adapters)) <= {"Stack", "Fuse"}


def _bottleneck_state(layer: Any, hidden: torch.Tensor) -> Any:
    from adapters.methods.bottleneck import BottleneckState

    return BottleneckState(hidden, hidden, hidden, layer.LayerNorm, None, None)


def _blocks(block: Any) -> Iterator[str]:
    if not isinstance(block, str):
        yield type(block).__name__
        for child in block.children:
            yield from _blocks(child)


def test_pitfall_02_gradient_accumulation_is_divided(
    still_folder: Path, toy_composition: MakeComposition, toy_mirror: Path, tmp_path: Path
) -> None:
    """The forward's **kwargs make the Trainer believe that the model scales the loss: it does not divide then."""
    model = plain(still_folder)
    model.add_adapter("mnli", config="seq_bn")
    model.add_classification_head("mnli", num_labels=3)
    model.train_adapter("mnli")
    assert library_trainer(model, tmp_path).model_accepts_loss_kwargs

    seen = []
    for batch_size, accumulation in ((8, 1), (2, 4)):
        backbone = load_backbone(str(still_folder))
        composed = build(backbone, toy_composition("none", "mnli", HEAD), seed=0)
        features = encoded("mnli", backbone, toy_mirror, 8)
        trainer = trainer_for(
            composed, "mnli", features, tmp_path, batch_size=batch_size, gradient_accumulation=accumulation
        )
        assert not trainer.model_accepts_loss_kwargs
        record = next(item for item in trainer.fit().curve if "loss" in item)
        seen.append((record["loss"], record["gradient_norm"]))
    (loss, norm), (accumulated_loss, accumulated_norm) = seen
    assert accumulated_loss == pytest.approx(loss, abs=2e-4)  # the Trainer rounds the loss to four places
    assert accumulated_norm == pytest.approx(norm, rel=1e-4)


def test_pitfall_04_a_fusion_is_kept_and_brought_back(
    toy_backbone_folder: Path, toy_composition: MakeComposition, tmp_path: Path
) -> None:
    """The library knows a saved fusion by the comma in its folder's name; one with another name stays as it was."""
    model = plain(toy_backbone_folder)
    for name in ("a", "b"):
        model.add_adapter(name, config="seq_bn")
    model.add_adapter_fusion(Fuse("a", "b", name="mix"))
    model.add_classification_head("a", num_labels=3)
    model.train_adapter_fusion(Fuse("a", "b", name="mix"))
    trainer = library_trainer(model, tmp_path)
    trainer._save(str(tmp_path / "checkpoint-1"))
    overwrite(model, "adapter_fusion_layer.mix", 7.0)
    trainer._load_from_checkpoint(str(tmp_path / "checkpoint-1"))
    assert all((tensor == 7.0).all() for tensor in part_of(model, "adapter_fusion_layer.mix").values())

    composed = build(load_backbone(str(toy_backbone_folder)), toy_composition("squad+mnli", "xnli", HEAD), seed=0)
    assert set(composed.keys["fusion"]) == set(part_of(composed.model, "adapter_fusion_layer"))
    kept, fusion = composed.trained_state(), copies(composed.state("fusion"))
    overwrite(composed.model, "adapter_fusion_layer", 7.0)
    composed.restore(kept)
    assert same(composed.state("fusion"), fusion)


def test_pitfall_05_names_that_begin_alike_are_kept_apart(
    toy_backbone_folder: Path, toy_composition: MakeComposition, tmp_path: Path
) -> None:
    """The library saves and loads every head and fusion whose name begins like the one it was asked for."""
    model = plain(toy_backbone_folder)
    for name in ("squad", "squad2"):
        model.add_adapter(name, config="seq_bn")
        model.add_qa_head(name)
    model.save_head(str(tmp_path), "squad")
    saved = torch.load(tmp_path / "pytorch_model_head.bin", weights_only=True)
    assert {key.split(".")[1] for key in saved} == {"squad", "squad2"}

    composed = build(load_backbone(str(toy_backbone_folder)), toy_composition("mnli+squad", "squad2", HEAD), seed=0)
    other = build(load_backbone(str(toy_backbone_folder)), toy_composition("mnli+squad2", "squad", HEAD), seed=0)
    for model, names in ((composed, ("mnli", "squad", "squad2")), (other, ("mnli", "squad2", "squad"))):
        for name in names:
            assert {key.split(".adapters.")[1].split(".")[0] for key in model.keys[f"adapters/{name}"]} == {name}
        assert {key.split(".")[1] for key in model.keys["head"]} == {names[2]}
        assert {key.split("adapter_fusion_layer.")[1].split(".")[0] for key in model.keys["fusion"]} == {
            ",".join(names[:2])
        }
    ones = {key: torch.ones_like(tensor) for key, tensor in composed.state("adapters/squad").items()}
    neighbour = copies(composed.state("adapters/squad2"))
    composed.load_state("adapters/squad", ones, where="The test")
    assert same(composed.state("adapters/squad2"), neighbour)
    assert same(composed.state("adapters/squad"), ones)


def test_pitfall_06_the_head_of_the_target_is_active(
    toy_backbone_folder: Path, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    """With a fusion on top, the library finds no head and leaves the one that was active before."""
    model = plain(toy_backbone_folder)
    for name in ("a", "b"):
        model.add_adapter(name, config="seq_bn")
        model.add_classification_head(name, num_labels=2)
    model.add_adapter_fusion(Fuse("a", "b"))
    model.active_head = "a"
    model.set_active_adapters(Fuse("a", "b"))
    assert model.active_head == "a"

    for expression in ("none", "a", "a+b"):
        backbone = load_backbone(str(toy_backbone_folder))
        composed = build(backbone, toy_composition(expression, "xnli", HEAD), seed=0)
        assert composed.model.active_head == "xnli"
        assert list(composed.model.heads) == ["xnli"]
        batch = batch_of("mnli", backbone, toy_mirror)
        del batch["labels"]
        with torch.no_grad():
            hidden = composed.model.base_model(**batch)
            expected = composed.model.heads["xnli"](hidden, return_dict=True).logits
            torch.testing.assert_close(composed.model(**batch).logits, expected)


def test_pitfall_07_missing_weights_are_an_error(
    toy_backbone_folder: Path, toy_composition: MakeComposition, tmp_path: Path
) -> None:
    """The library loads an adapter with weights missing, and says so on a level nobody sees."""
    model = plain(toy_backbone_folder)
    model.add_adapter("a", config="seq_bn")
    model.save_adapter(str(tmp_path), "a")
    weights = torch.load(tmp_path / "pytorch_adapter.bin", weights_only=True)
    gone = [key for key in weights if ".layer.1." in key]
    assert len(gone) == 4
    torch.save({key: tensor for key, tensor in weights.items() if key not in gone}, tmp_path / "pytorch_adapter.bin")
    plain(toy_backbone_folder).load_adapter(str(tmp_path))  # no error

    composed = build(load_backbone(str(toy_backbone_folder)), toy_composition("none", "xnli", HEAD), seed=0)
    tensors = copies(composed.state("adapters/xnli"))
    for key in [key for key in tensors if ".layer.1." in key]:
        del tensors[key]
    with pytest.raises(ArtifactError, match=r"The file lacks 4 keys: .*layer\.1\."):
        composed.load_state("adapters/xnli", tensors, where="The file")


def test_pitfall_08_weights_for_another_backbone_are_refused(
    toy_backbone_folder: Path, still_folder: Path, tmp_path: Path
) -> None:
    """The library loads an adapter that was trained on another backbone, as long as its shapes fit."""
    other = tmp_path / "other"
    AutoAdapterModel.from_config(plain(toy_backbone_folder).config).save_pretrained(other)
    model = plain(toy_backbone_folder)
    model.add_adapter("a", config="seq_bn")
    model.save_adapter(str(tmp_path / "adapter"), "a")
    stranger = AutoAdapterModel.from_pretrained(str(other))
    assert stranger.load_adapter(str(tmp_path / "adapter")) == "a"  # no error

    here, there = identify(str(toy_backbone_folder)), identify(str(other))
    with pytest.raises(ArtifactError, match=r"The adapter was made for the backbone '.*other' .*, not for"):
        here.require_same(dataclasses.asdict(there), what="The adapter")
    with pytest.raises(ArtifactError):  # same weights, other configuration
        here.require_same(dataclasses.asdict(identify(str(still_folder))), what="The adapter")


def test_pitfall_10_fusion_dropout_can_be_zero(toy_backbone_folder: Path, toy_composition: MakeComposition) -> None:
    """The library takes a fusion dropout of 0.0 for none given, and uses the backbone's."""
    model = plain(toy_backbone_folder)
    for name in ("a", "b"):
        model.add_adapter(name, config="seq_bn")
    model.add_adapter_fusion(Fuse("a", "b"), config=ADAPTER_FUSION | {"dropout_prob": 0.0})
    assert _fusion_dropouts(model) == [0.1, 0.1]

    for asked, expected in ((None, 0.1), (0.0, 0.0), (0.35, 0.35)):
        composed = build(
            load_backbone(str(toy_backbone_folder)), toy_composition("a+b", "xnli", HEAD), seed=0, fusion_dropout=asked
        )
        assert _fusion_dropouts(composed.model) == [expected, expected]


ADAPTER_FUSION = {
    **{"key": True, "query": True, "value": True, "query_before_ln": False, "regularization": True},
    **{"residual_before": False, "temperature": False, "value_before_softmax": True, "value_initialized": 1.0},
}


def _fusion_dropouts(model: Any) -> list[float]:
    return [module.dropout.p for module in model.modules() if type(module).__name__ == "BertFusion"]


def test_pitfall_13_the_untrained_pooler_is_not_used(
    toy_backbone_folder: Path, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    """XLM-R comes without a pooler; the library makes one with random weights and never trains it."""
    for task_name in ("mnli", "hellaswag"):
        backbone = load_backbone(str(toy_backbone_folder))
        task = get_task(task_name)
        composed = build(backbone, toy_composition("none", task_name, FORMATS[task.format].head(task)), seed=0)
        batch = batch_of(task_name, backbone, toy_mirror)
        composed.model.eval()
        with torch.no_grad():
            before = composed.model(**batch).logits
            assert len(part_of(composed.model, "pooler")) == 2
            overwrite(composed.model, "pooler", float("nan"))
            assert torch.equal(composed.model(**batch).logits, before)


def test_pitfall_14_prompt_tuning_is_refused_where_positions_matter(
    toy_backbone_folder: Path, toy_composition: MakeComposition
) -> None:
    """With prompt tuning, the library's logits are longer than the input, by the prompt put before it."""
    model = plain(toy_backbone_folder)
    model.add_adapter("squad", config="prompt_tuning")
    model.add_qa_head("squad")
    model.add_tagging_head("panx", num_labels=7)
    model.set_active_adapters("squad")
    ids = torch.full((1, 10), 5)
    for head, name in (("squad", "start_logits"), ("panx", "logits")):
        model.active_head = head
        assert model(input_ids=ids)[name].shape[1] == 20

    for task_name in ("squad", "panx"):
        head = FORMATS[get_task(task_name).format].head(get_task(task_name))
        with pytest.raises(ExpressionError, match="prompt tuning"):
            toy_composition("none", task_name, head, adapter="prompt_tuning", reduction_factor=None)


def test_pitfall_27_choices_are_laid_one_after_the_other(
    toy_backbone_folder: Path, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    """Given choices in a dimension of their own, the library's ReFT and UniPELT fail with a bare RuntimeError."""
    for adapter in ("loreft", "unipelt", "seq_bn"):
        backbone = load_backbone(str(toy_backbone_folder))
        head = FORMATS["multiple_choice"].head(get_task("hellaswag"))
        composition = toy_composition("none", "hellaswag", head, adapter=adapter, reduction_factor=None)
        composed = build(backbone, composition, seed=0)
        composed.model.eval()
        batch = batch_of("hellaswag", backbone, toy_mirror, count=2)
        assert batch["input_ids"].dim() == 2
        apart = {name: batch[name].view(2, 4, -1) for name in ("input_ids", "attention_mask")}
        if adapter != "seq_bn":
            with pytest.raises(RuntimeError, match="must match the size"):
                composed.model(**apart)
        with torch.no_grad():
            logits = composed.model(**batch).logits
            for row in range(2):  # each row for itself gives the same: nothing is mixed
                alone = {name: batch[name][4 * row : 4 * row + 4] for name in apart}
                torch.testing.assert_close(composed.model(**alone).logits, logits[row : row + 1])
            if adapter == "seq_bn":
                torch.testing.assert_close(composed.model(**apart).logits, logits)


def test_pitfall_35_no_masked_language_model_head_is_left(toy_backbone_folder: Path) -> None:
    """The library adds a trainable head with the vocabulary's embedding, and stores it in every checkpoint."""
    model = AutoAdapterModel.from_pretrained(str(toy_backbone_folder))
    words = model.config.vocab_size
    large = [key for key, tensor in model.state_dict().items() if words in tensor.shape]
    assert list(model.heads) == ["default"]
    assert "heads.default.3.weight" in large

    backbone = load_backbone(str(toy_backbone_folder))
    assert list(backbone.model.heads) == []
    whole_vocabulary(backbone.model)
    state = backbone.model.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values() if words in tensor.shape}) == 1  # the embedding
    assert not any(key.startswith("heads.") for key in state)


def test_pitfall_38_no_warning_comes_when_all_is_right(
    toy_backbone_folder: Path, toy_composition: MakeComposition
) -> None:
    """The library warns that no adapter is activated each time that one is being activated."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    sources = [logging.getLogger(name) for name in ("adapters.model_mixin", "adapters.heads.model_mixin")]
    kept = {source.name: (source.filters[:], source.level) for source in sources}
    listener = Listener(logging.WARNING)
    for source in sources:
        source.addHandler(listener)
        source.setLevel(logging.WARNING)  # a command that ran before may have silenced the library
    try:
        for source in sources:
            source.filters.clear()
        model = plain(toy_backbone_folder)
        model.add_adapter("a", config="seq_bn")
        model.set_active_adapters("a")
        assert any("none are activated" in message for message in heard)

        heard.clear()
        quiet_adapters()
        quiet_adapters()  # a second time changes nothing
        assert [len(source.filters) for source in sources] == [1, 1]
        build(load_backbone(str(toy_backbone_folder)), toy_composition("mnli+squad", "xnli", HEAD), seed=0)
        assert heard == []
        sources[0].warning("Something else.")
        assert heard == ["Something else."]
    finally:
        for source in sources:
            source.removeHandler(listener)
            source.filters[:], level = kept[source.name]
            source.setLevel(level)


def test_two_backbones_do_not_share_their_heads(toy_backbone_folder: Path, toy_composition: MakeComposition) -> None:
    """Models that the library builds from one configuration share its heads: a head of one stands in both."""
    one, other = (load_backbone(str(toy_backbone_folder)) for _ in range(2))
    build(one, toy_composition("none", "xnli", HEAD), seed=0)
    assert one.model.config.prediction_heads
    assert not other.model.config.prediction_heads
    assert not dict(other.model.heads)


def test_what_the_library_does_otherwise_than_it_says_is_not_called() -> None:
    """Its fusion loader returns None, ``load_as`` renames the head, and the lists of the Hub's adapters stay empty."""
    calls = re.compile(r"\b(load_adapter_fusion|list_adapters|get_adapter_info)\(|\bload_as=")
    package = Path(adapterstilts.__file__).parent
    assert not [path.name for path in package.rglob("*.py") if calls.search(path.read_text(encoding="utf-8"))]


def test_the_library_has_no_new_kinds_of_adapters() -> None:
    """Each kind was tried in a stack and in a fusion (test_building.py); a new one has to be tried, too."""
    assert set(ADAPTER_CONFIG_MAP) == {
        *("pfeiffer", "houlsby", "parallel", "scaled_parallel", "pfeiffer+inv", "houlsby+inv"),
        *("seq_bn", "double_seq_bn", "par_bn", "scaled_par_bn", "seq_bn_inv", "double_seq_bn_inv"),
        *("compacter++", "compacter", "prefix_tuning", "prefix_tuning_flat", "prompt_tuning"),
        *("mtl_lora", "lora", "ia3", "vera", "dora", "dvora", "loreft", "noreft", "direft", "mam", "unipelt"),
    }
