"""Several compositions in one pass: the layers below their adapters run once, and nothing else differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_compositions import make_composition, randomised
from toy_stages import TINY

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import load_rows
from adapterstilts.evaluation import answering, inference
from adapterstilts.evaluation.answering import MOST_TOGETHER, passes
from adapterstilts.evaluation.inference import predict_logits, predict_together
from adapterstilts.evaluation.zero_shot import EvaluationRequest, run_evaluation, run_evaluations, task_of
from adapterstilts.models.backbone import ComposedModel, build, identify, load_backbone
from adapterstilts.models.grammar import parse
from adapterstilts.models.lower_layers import one_backbone
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded, EncodingSettings
from adapterstilts.training.ensembles import EnsembleStage, run_ensemble
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import TrainingStage, run_stage

SETTINGS = EncodingSettings(max_length=64, doc_stride=16)
EXPRESSIONS = ("cosmos+siqa", "none", "squad")


class Told(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.titles: list[tuple[str, int]] = []
        self.done: list[int] = []

    def begin(self, title: str, total: int) -> None:
        self.titles.append((title, total))

    def advance(self, done: int, **facts: Any) -> None:
        self.done.append(done)


def models(task_name: str, folder: Path, mirror: Path, dropped: Collection[int]) -> tuple[list[ComposedModel], Encoded]:
    """Return three compositions for a task, each on a backbone of its own, and features."""
    task = get_task(task_name)
    made = []
    for expression in EXPRESSIONS:
        composition = make_composition(expression, "top", FORMATS[task.format].head(task))
        composed = build(load_backbone(str(folder)), composition.without(dropped), seed=0)
        randomised(composed)
        made.append(composed)
    rows = load_rows(task, "train", ["en"], root=mirror, max_examples=17)
    return made, encode_rows(rows, made[0].backbone.tokenizer, SETTINGS, training=False)


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return len(first) == len(second) and all(map(np.array_equal, first, second))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("task_name", ["mnli", "hellaswag", "squad", "panx"])
def test_logits_are_those_of_each_model_by_itself_to_the_bit(
    task_name: str, precision: str, toy_backbone_folder: Path, toy_mirror: Path
) -> None:
    made, encoded = models(task_name, toy_backbone_folder, toy_mirror, [0])
    alone = [predict_logits(composed, encoded, batch_size=5, precision=precision) for composed in made]
    runs = [0] * len(made)
    hooks = [
        layer.register_forward_hook(lambda *_, number=number: runs.__setitem__(number, runs[number] + 1))
        for number, composed in enumerate(made)
        for place, layer in composed.model.iter_layers()  # type: ignore[operator]
        if place == 0
    ]
    done: list[int] = []
    together = predict_together(one_backbone(made), encoded, batch_size=5, precision=precision, progress=done.append)
    for hook in hooks:
        hook.remove()
    assert all(map(same, together, alone))
    assert not same(alone[0], alone[1])
    assert done[-1] == len(encoded)
    tried = runs[1]
    assert runs == [len(done) + tried, tried, tried], "once a batch, in the first model; each is tried first"
    assert tried == 4, "on three sequences, and whole"


def test_a_model_that_cannot_be_cut_works_by_itself(
    toy_backbone_folder: Path, toy_mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, encoded = models("mnli", toy_backbone_folder, toy_mirror, [0])
    alone = [predict_logits(composed, encoded, batch_size=5) for composed in made]
    monkeypatch.setattr(inference, "lower_layers", lambda _: None)
    done: list[int] = []
    assert all(map(same, predict_together(made, encoded, batch_size=5, progress=done.append), alone))
    assert done == sorted(done)
    assert done[-1] == len(encoded)


def test_frozen_weights_are_in_memory_once(toy_backbone_folder: Path, toy_mirror: Path) -> None:
    made, encoded = models("mnli", toy_backbone_folder, toy_mirror, [0])
    alone = [predict_logits(composed, encoded) for composed in made]
    first, *others = one_backbone(made)
    weights = dict(first.model.named_parameters())
    own = {key for keys in first.keys.values() for key in keys}
    for composed in others:
        added = {key for keys in composed.keys.values() for key in keys}
        places = {
            name: weight.data_ptr() == weights[name].data_ptr()
            for name, weight in composed.model.named_parameters()
            if name in weights and weight.numel()
        }
        assert {name for name, shared in places.items() if not shared} == {name for name in places if name in added}
        assert own & added, "an adapter of the same name is not shared"
    assert all(same(predict_logits(one, encoded), before) for one, before in zip(made, alone, strict=True))


# Artifacts


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("answering"))


@pytest.fixture(scope="module")
def cut(kept: Store, toy_backbone_folder: Path, toy_mirror: Path) -> dict[str, Artifact]:
    """Targets without an adapter in layer 0, one with adapters everywhere, and an ensemble of two of the first."""
    identity = identify(str(toy_backbone_folder))

    def trained(task: str, expression: str, *inputs: Artifact, **more: Any) -> Artifact:
        settings = TrainingSettings(**TINY | {"learning_rate": 1e-2, **more})
        stage = TrainingStage(get_task(task), settings, identity, parse(expression), inputs, toy_mirror)
        return run_stage(stage, kept).artifact

    squad = trained("squad", "none")
    found = {
        "squad": trained("xnli", "squad", squad, drop_layers="0"),
        "none": trained("xnli", "none", drop_layers="0"),
        "seed": trained("xnli", "none", drop_layers="0", seed=1),
        "whole": trained("xnli", "none"),
        "longer": trained("xnli", "none", drop_layers="0", max_length=48),
    }
    expression: Any = parse("ensemble(none, squad)")
    found["ensemble"] = run_ensemble(EnsembleStage(expression, (found["none"], found["squad"])), kept).artifact
    return found


def names_of(groups: list[list[Artifact]], among: dict[str, Artifact]) -> list[list[str]]:
    names = {artifact.id: name for name, artifact in among.items()}
    return [[names[artifact.id] for artifact in group] for group in groups]


def test_neighbours_that_share_their_lowest_layers_go_together(cut: dict[str, Artifact]) -> None:
    order = ["squad", "none", "whole", "seed", "longer", "ensemble", "none"]
    chosen = [cut[name] for name in order]
    assert names_of(passes(chosen), cut) == [["squad", "none"], ["whole"], ["seed"], ["longer"], ["ensemble"], ["none"]]
    assert names_of(passes([cut["squad"], cut["whole"]], [0]), cut) == [["squad", "whole"]], "dropped in evaluation"
    many = passes([cut["none"]] * (MOST_TOGETHER + 1))
    assert [len(group) for group in many] == [MOST_TOGETHER, 1]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of models that went through one pass."""
    found: list[int] = []

    def counting(given: list[ComposedModel], *args: Any, **more: Any) -> Any:
        found.append(len(given))
        return predict_together(given, *args, **more)

    monkeypatch.setattr(answering, "predict_together", counting)
    return found


def test_evaluations_together_are_those_of_each_by_itself(
    cut: dict[str, Artifact], kept: Store, toy_mirror: Path, tmp_path: Path, counted: list[int]
) -> None:
    request = EvaluationRequest(root=toy_mirror, languages=("en", "de"), batch_size=8)
    rows = request.rows(task_of(cut["none"]))
    chosen = [cut[name] for name in ("squad", "none", "whole", "seed", "none")]
    alone = {artifact.id: run_evaluation(artifact, request, Store(tmp_path), rows=rows) for artifact in chosen}
    assert counted == []
    told = Told()
    made = run_evaluations(chosen, request, kept, rows=rows, reporter=told)
    assert counted == [2]
    size = told.titles[1][1]
    assert told.titles == [
        ("Evaluating 2 compositions in 2 languages", 2 * size),
        ("Evaluating xnli.none in 2 languages", size),
        ("Evaluating xnli.none in 2 languages", size),
    ]
    assert told.done == [
        *sorted(told.done[: told.done.index(2 * size) + 1]),
        *told.done[told.done.index(2 * size) + 1 :],
    ]
    assert [evaluation.artifact.manifest["of"] for evaluation in made] == [artifact.id for artifact in chosen]
    assert made[1].artifact.id == made[4].artifact.id
    for artifact, evaluation in zip(chosen, made, strict=True):
        other = alone[artifact.id].artifact
        assert evaluation.artifact.id == other.id
        assert evaluation.artifact.manifest["files"] == other.manifest["files"], "answers and scores to the bit"
    together = [evaluation.artifact.manifest.get("evaluated_together") for evaluation in made]
    assert together == [2, 2, None, None, 2]
    again = run_evaluations(chosen, request, kept, rows=rows, reporter=told)
    assert all(evaluation.reused for evaluation in again)
    assert len(told.titles) == 3


def test_the_members_of_an_ensemble_go_together(
    cut: dict[str, Artifact], toy_mirror: Path, tmp_path: Path, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = EvaluationRequest(root=toy_mirror, languages=("en", "de"))
    together = run_evaluation(cut["ensemble"], request, Store(tmp_path / "one"))
    assert counted == [2]
    assert "evaluated_together" in together.artifact.manifest
    monkeypatch.setattr(answering, "MOST_TOGETHER", 1)
    alone = run_evaluation(cut["ensemble"], dataclasses.replace(request), Store(tmp_path / "two"))
    assert counted == [2]
    assert together.artifact.manifest["files"] == alone.artifact.manifest["files"]


def test_states_of_a_pass_are_in_the_precision_of_the_layers(toy_backbone_folder: Path, toy_mirror: Path) -> None:
    """What the layers below leave off is handed on as it is, so that autocast rounds nothing a second time."""
    made, encoded = models("mnli", toy_backbone_folder, toy_mirror, [0])
    lower = inference.lower_layers(made[0])
    assert lower is not None
    seen: list[torch.dtype] = []
    _, above = list(made[0].model.iter_layers())  # type: ignore[operator]
    hook = above[1].register_forward_pre_hook(lambda _, given: seen.append(given[0].dtype))
    predict_logits(made[0], encoded, precision="bf16")
    whole = set(seen)
    seen.clear()
    predict_together(made[:1], encoded, precision="bf16")
    hook.remove()
    assert set(seen) - {torch.float32} == whole - {torch.float32}
