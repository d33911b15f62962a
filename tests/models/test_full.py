"""The whole backbone in the place of an adapter: what is trained, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_compositions import HEAD, batch_of
from toy_encoders import ENCODERS, in_memory
from transformers import PreTrainedTokenizerFast

from adapterstilts.errors import ExpressionError
from adapterstilts.models.backbone import build
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.expression import Nothing, Single
from adapterstilts.models.full import check_alike, check_full, full_config
from adapterstilts.models.grammar import parse
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS


@pytest.mark.parametrize("task_name", ["mnli", "squad"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_gradients_reach_what_is_trained_and_nothing_else(
    kind: str, task_name: str, toy_tokenizer: PreTrainedTokenizerFast, toy_mirror: Path
) -> None:
    """The pooler, which some encoders have and no head uses, is not trained."""
    backbone = in_memory(kind, toy_tokenizer)
    own = {key for key, _ in backbone.model.named_parameters()}
    head = FORMATS[get_task(task_name).format].head(get_task(task_name))
    composed = build(backbone, Composition(Nothing(), task_name, head, {task_name: full_config()}), seed=0)
    composed.model(**batch_of(task_name, backbone, toy_mirror)).loss.backward()
    parameters = dict(composed.model.named_parameters())
    reached = {key for key, parameter in parameters.items() if parameter.grad is not None}
    assert composed.composition.parts == composed.composition.trained_parts == ("backbone", "head")
    assert reached == {*composed.keys["backbone"], *composed.keys["head"]}
    assert {key for key in own - reached if "pooler" not in key} == set()
    assert composed.trained_parameters == sum(parameters[key].numel() for key in reached)


def test_a_composition_is_read_again_as_it_was_written() -> None:
    composition = Composition(Nothing(), "xnli", HEAD, {"xnli": full_config()})
    assert composition.full
    assert Composition.from_json(composition.to_json()) == composition
    assert composition.drawing() == "the whole backbone → classification head 'xnli'"


def test_whole_backbones_cannot_be_joined() -> None:
    for odd in ("mnli", "xnli"):
        adapters = {"mnli": adapter_config_json("seq_bn"), "xnli": adapter_config_json("seq_bn"), odd: full_config()}
        with pytest.raises(ExpressionError, match="joins adapters, and a whole backbone"):
            Composition(Single("mnli"), "xnli", HEAD, adapters)
    check_full(parse("none"))
    check_full(parse("chain(mnli)"))
    for text in (
        "mnli",
        "mnli+squad",
        "avg(mnli, squad)",
        "mix(mnli, squad)",
        "chain(avg(mnli, squad))",
        "search(mnli, squad)",
    ):
        with pytest.raises(ExpressionError, match=r"Type 'chain\(mnli\)'"):
            check_full(parse(text))


def test_an_adapter_is_no_backbone_and_a_backbone_no_adapter() -> None:
    lora = adapter_config_json("lora")
    check_alike("mnli", lora, full=False)
    check_alike("mnli", full_config(), full=True)
    with pytest.raises(ExpressionError, match="it is a whole backbone and no adapter"):
        check_alike("mnli", full_config(), full=False)
    with pytest.raises(ExpressionError, match="'mnli' is an adapter"):
        check_alike("mnli", lora, full=True)


def test_there_is_no_bottleneck_and_no_layer_to_drop() -> None:
    assert adapter_config_json("full") == full_config()
    with pytest.raises(ExpressionError, match="--reduction-factor would have no effect"):
        adapter_config_json("full", reduction_factor=8)
    with pytest.raises(ExpressionError, match="no adapters that --drop-layers could drop"):
        Composition(Nothing(), "xnli", HEAD, {"xnli": full_config()}).without([0])
