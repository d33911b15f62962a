"""A composition as data: to JSON and back, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_compositions import HEAD

from adapterstilts.errors import ArtifactError, ExpressionError
from adapterstilts.models.composition import Composition
from adapterstilts.models.expression import Fusion, Nothing, Single, reduced
from adapterstilts.models.grammar import parse
from adapterstilts.tasks.formats import HeadSpec

SIMPLE = {"architecture": None, "reduction_factor": 16}


def compose(expression: str, top: str = "xnli", head: HeadSpec = HEAD) -> Composition:
    parsed = parse(expression)
    fusion = {"key": True} if isinstance(parsed, Fusion) else None
    return Composition(parsed, top, head, {name: dict(SIMPLE) for name in (*parsed.names, top)}, fusion)


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True).filter(lambda name: name != "none")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CONFIGS = st.dictionaries(st.text(min_size=1, max_size=8), JSON_VALUES, max_size=4)


@st.composite
def compositions(draw: st.DrawFn) -> Composition:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    top, below = names[0], tuple(names[1:])
    expression = Nothing() if not below else Single(below[0]) if len(below) == 1 else Fusion(tuple(map(Single, below)))
    labels = tuple(draw(st.lists(st.text(max_size=4), max_size=4)))
    kind = draw(st.sampled_from(["classification", "multiple_choice", "tagging", "question_answering"]))
    head = HeadSpec(kind, draw(st.integers(1, 50)), labels)  # type: ignore[arg-type]
    if not isinstance(expression, Fusion):
        return Composition(expression, top, head, {name: draw(CONFIGS) for name in names})
    adapters, fusion = {name: draw(CONFIGS) for name in names}, draw(CONFIGS)
    if draw(st.booleans()):
        return Composition(expression, None, head, {name: adapters[name] for name in below}, fusion)
    return Composition(expression, top, head, adapters, fusion, draw(st.booleans()))


@given(compositions())
def test_a_composition_is_read_back_from_its_json(composition: Composition) -> None:
    assert Composition.from_json(json.loads(json.dumps(composition.to_json()))) == composition


def test_real_configurations_survive_json(toy_composition: Callable[..., Composition]) -> None:
    for adapter in ("seq_bn", "double_seq_bn", "lora", "mam", "prefix_tuning"):
        composition = toy_composition("mnli", "xnli", HEAD, adapter=adapter, reduction_factor=None)
        assert Composition.from_json(json.loads(json.dumps(composition.to_json()))) == composition


@pytest.mark.parametrize(
    ("expression", "parts", "trained", "fusion_name", "drawing"),
    [
        (
            "none",
            ("adapters/xnli", "head"),
            ("adapters/xnli", "head"),
            None,
            "Stack(xnli) → classification head 'xnli'",
        ),
        (
            "squad",
            ("adapters/squad", "adapters/xnli", "head"),
            ("adapters/xnli", "head"),
            None,
            "Stack(squad, xnli) → classification head 'xnli'",
        ),
        (
            "squad+mnli",
            ("adapters/squad", "adapters/mnli", "adapters/xnli", "fusion", "head"),
            ("adapters/xnli", "fusion", "head"),
            "squad,mnli",
            "Stack(Fuse(squad, mnli), xnli) → classification head 'xnli'",
        ),
    ],
)
def test_the_parts_of_a_composition(
    expression: str, parts: tuple[str, ...], trained: tuple[str, ...], fusion_name: str | None, drawing: str
) -> None:
    composition = compose(expression)
    assert composition.parts == parts
    assert composition.trained_parts == trained
    assert composition.fusion_name == fusion_name
    assert composition.drawing() == drawing


def test_a_target_cannot_be_its_own_intermediate_task() -> None:
    with pytest.raises(
        ExpressionError, match="'mnli' is both an intermediate and the target adapter of 'mnli\\+squad'"
    ):
        compose("mnli+squad", top="mnli")


def test_every_adapter_needs_a_configuration() -> None:
    with pytest.raises(ExpressionError, match="No configuration is given for the adapter squad, xnli"):
        Composition(parse("mnli+squad"), "xnli", HEAD, {"mnli": SIMPLE})


def _without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda value: {key: item for key, item in value.items() if key != name}


def _with(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda value: value | changes


@pytest.mark.parametrize(
    "damage",
    [
        *(_without(name) for name in ("expression", "top", "head", "adapters", "fusion")),
        _with(expression=5),
        _with(expression="mnli+"),
        _with(expression=None),
        _with(head=None),
        _with(head={"kind": "classification", "outputs": 3}),
        _with(head={"kind": "classification", "outputs": 3, "labels": None}),
        _with(adapters=None),
        _with(adapters={"mnli": SIMPLE}),
        _with(top=5),
        _with(top="mnli"),
        lambda value: [value],
        lambda value: None,
        lambda value: "text",
    ],
)
def test_damaged_json_is_an_artifact_error(damage: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(ArtifactError, match=r"composition\.json cannot be read"):
        Composition.from_json(damage(compose("mnli").to_json()))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_with(adapters=["mnli", "xnli"]), id="adapters without configurations"),
        pytest.param(_with(adapters={"mnli": "seq_bn", "xnli": "seq_bn"}), id="configurations by name"),
        pytest.param(_with(head={"kind": "regression", "outputs": 3, "labels": []}), id="unknown kind of head"),
        pytest.param(_with(head={"kind": "classification", "outputs": "3", "labels": []}), id="number as text"),
        pytest.param(_with(head={"kind": "classification", "outputs": 3, "labels": "abc"}), id="labels as text"),
        pytest.param(_with(fusion="dynamic"), id="fusion by name"),
    ],
)
def test_json_of_the_wrong_kind_is_an_artifact_error(damage: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(ArtifactError, match=r"composition\.json cannot be read"):
        Composition.from_json(damage(compose("mnli").to_json()))


def test_a_fusion_alone_and_one_that_stays_as_it_is() -> None:
    below = {name: dict(SIMPLE) for name in ("squad", "mnli")}
    alone = Composition(reduced(parse("squad+mnli")), None, HEAD, below, {"key": True})
    assert alone.parts == ("adapters/squad", "adapters/mnli", "fusion", "head")
    assert alone.trained_parts == ("fusion", "head")
    assert alone.drawing() == "Fuse(squad, mnli) → classification head 'bare'"
    frozen = Composition(alone.expression, "xnli", HEAD, {**below, "xnli": dict(SIMPLE)}, {"key": True}, True)
    assert frozen.parts == ("adapters/squad", "adapters/mnli", "adapters/xnli", "fusion", "head")
    assert frozen.trained_parts == ("adapters/xnli", "head")
    assert "frozen_fusion" not in compose("squad+mnli").to_json(), "written as it was before"


def test_what_would_train_nothing_or_freeze_nothing_is_refused() -> None:
    with pytest.raises(ExpressionError, match="Without an adapter on top 'squad' trains nothing"):
        Composition(Single("squad"), None, HEAD, {"squad": dict(SIMPLE)})
    with pytest.raises(ExpressionError, match="'squad' has no fusion below an adapter"):
        Composition(Single("squad"), "xnli", HEAD, {"squad": {}, "xnli": {}}, None, True)
    with pytest.raises(ArtifactError, match="frozen_fusion is not of the right kind"):
        Composition.from_json(compose("squad+mnli").to_json() | {"frozen_fusion": 1})
