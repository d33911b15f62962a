"""Searches for the weights of a merge: what is tried, what is chosen, and what the artifact holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from adapterstilts.data.encode import encode_rows
from adapterstilts.errors import ArtifactError
from adapterstilts.evaluation.zero_shot import EvaluationRequest, run_evaluation
from adapterstilts.models.backbone import identify
from adapterstilts.models.expression import Search
from adapterstilts.models.grammar import parse
from adapterstilts.models.merging import combination
from adapterstilts.models.saved import load_backbone_of, load_composed, read_composition, read_weights
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.weights import load_weights
from adapterstilts.studies.verifying import verified
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.training import searches
from adapterstilts.training.merges import MergeStage, run_merge
from adapterstilts.training.searches import BOUND, PENALTY, SearchStage, Try, chosen, run_weight_search, tried
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import CURVE, TrainingStage, baseline_of, run_stage, scores_now

SETTINGS = TrainingSettings(
    steps=20, batch_size=8, max_length=18, doc_stride=4, evaluations=1, learning_rate=1e-2, reduction_factor=2
)
MakeSearch = Callable[..., SearchStage]

# The search by itself


def bowl(*least: float) -> Callable[[tuple[float, ...]], float]:
    return lambda point: sum((one - other) ** 2 for one, other in zip(point, least, strict=True))


@pytest.mark.parametrize(
    ("least", "budget", "within"), [((0.9, -0.4), 40, 0.05), ((0.2, 1.1, -1.2), 80, 0.1), ((1.5, 0.0), 60, 0.05)]
)
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_known_optimum_is_found(least: tuple[float, ...], budget: int, within: float, seed: int) -> None:
    found = tried(bowl(*least), [1 / len(least)] * len(least), budget=budget, seed=seed)
    best = min(found, key=lambda point: found[point])
    assert best == pytest.approx(least, abs=within)


def test_an_optimum_beyond_the_bounds_is_looked_for_at_the_bound() -> None:
    found = tried(bowl(4.0, 0.0), [0.5, 0.5], budget=60, seed=0)
    assert max(abs(part) for point in found for part in point) <= BOUND
    assert min(found, key=lambda point: found[point]) == pytest.approx((BOUND, 0.0), abs=0.05)


@pytest.mark.parametrize("budget", [1, 2, 3, 4, 17, 200])
def test_the_budget_is_used_and_never_exceeded(budget: int) -> None:
    """With 200 the simplex has shrunk to a point more than once, and the search sets out again."""
    points: list[tuple[float, ...]] = []

    def counted(point: tuple[float, ...]) -> float:
        points.append(point)
        return bowl(0.1, 0.2)(point)

    found = tried(counted, [0.5, 0.5], budget=budget, seed=0)
    assert len(points) == budget
    assert list(found) == points
    assert len(set(points)) == budget, "no point is tried twice"
    assert points[0] == (0.5, 0.5)


def test_steps_are_no_hindrance() -> None:
    """A score of fifty rows stays the same for small moves."""

    def steps(point: tuple[float, ...]) -> float:
        return round(50 * bowl(1.0, -0.5)(point)) / 50 + PENALTY * sum(map(abs, point))

    found = tried(steps, [0.5, 0.5], budget=40, seed=0)
    assert min(found.values()) < 0.12 < steps((0.5, 0.5)), "the least there is, is about 0.07"


def test_the_seed_decides_what_is_tried() -> None:
    first, again, other = (tried(bowl(1.0, 0.0), [0.5, 0.5], budget=9, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert list(first)[1:] != list(other)[1:]


def test_what_scores_below_the_start_is_not_chosen() -> None:
    def try_of(score: float, objective: float) -> Try:
        return Try((0.0, 0.0), {"accuracy": score, "other": 0.0}, objective)

    start, small, better, best = try_of(60, -0.5), try_of(59.9, -0.9), try_of(60, -0.6), try_of(70, -0.7)
    assert chosen([start, small, better]) is better
    assert chosen([start, small, better, best]) is best
    assert chosen([start, small]) is start
    assert chosen([start, better, best], lower_is_better=True) is better


# As a stage


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store of what the searches start from. Tests only add to it."""
    return Store(tmp_path_factory.mktemp("searches"))


@pytest.fixture(scope="module")
def search(kept: Store, toy_backbone_folder: Path, toy_mirror: Path) -> MakeSearch:
    """A function that gives a search for a target task, all before it trained once."""
    identity = identify(str(toy_backbone_folder))

    def make(text: str = "search(mnli, qqp; budget=9)", task: str = "xnli", **changes: Any) -> SearchStage:
        expression, settings = parse(text), dataclasses.replace(SETTINGS, **changes)
        assert isinstance(expression, Search)
        below = dataclasses.replace(settings, drop_layers=None, seed=0)
        parts = tuple(
            run_stage(TrainingStage(get_task(name), below, identity, root=toy_mirror), kept).artifact
            for name in expression.names
        )
        average = run_merge(MergeStage(expression.average, identity, parts), kept).artifact
        target = TrainingStage(get_task(task), settings, identity, expression.average, (average,), toy_mirror)
        return SearchStage(expression, target, run_stage(target, kept).artifact, parts)

    return make


def below(artifact: Artifact) -> dict[str, torch.Tensor]:
    """Return the weights of the merge of an artifact."""
    (name,) = read_composition(artifact).expression.names
    return load_weights(artifact.path / f"adapters/{name}.safetensors")


def score_of(stage: TrainingStage, artifact: Artifact) -> dict[str, float]:
    """Return the scores of an artifact on the validation rows of its target's stage."""
    composed = load_composed(artifact, load_backbone_of(artifact), stage.task)
    encoded = encode_rows(stage.validation_rows, composed.backbone.tokenizer, stage.settings.encoding, training=False)
    return dict(scores_now(stage, composed, encoded))


@pytest.mark.parametrize("task", ["xnli", "tydiqa"])
@pytest.mark.parametrize("adapter", ["seq_bn", "lora"])
def test_the_artifact_is_the_merge_of_the_weights_that_were_found(
    task: str, adapter: str, search: MakeSearch, kept: Store
) -> None:
    stage = search(task=task, adapter=adapter, reduction_factor=2.0 if adapter == "seq_bn" else None)
    made = run_weight_search(stage, kept)
    artifact, manifest = made.artifact, made.artifact.manifest
    tries = artifact.read_lines(CURVE)
    assert len(tries) == manifest["search"]["tries"] == 9
    assert tries[0]["weights"] == {"mnli": 0.5, "qqp": 0.5}
    main = next(iter(manifest["metrics"]["validation"]))
    for one in tries:
        assert one["objective"] == pytest.approx(
            -one[main] / 100 + PENALTY * sum(map(abs, one["weights"].values())), abs=1e-9
        )
        assert max(map(abs, one["weights"].values())) <= BOUND
    allowed = [one for one in tries if one[main] >= tries[0][main]]
    best = min(allowed, key=lambda one: one["objective"])
    assert manifest["search"]["weights"] == best["weights"]

    name = stage.expression.adapter
    states = [read_weights(part, name) for part in stage.parts]
    expected = combination(states, tuple(best["weights"].values()))
    found = below(artifact)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)
    for part in ("adapters/" + task, "head"):
        own, before = (load_weights(item.path / f"{part}.safetensors") for item in (artifact, stage.trained))
        assert all(torch.equal(own[key], before[key]) for key in before), "target adapter and head stay as they are"

    trained = stage.trained.manifest["metrics"]["validation"]
    assert {key: tries[0][key] for key in trained} == trained == manifest["search"]["start"], "the start is the average"
    assert manifest["metrics"]["validation"] == {key: best[key] for key in trained}
    assert score_of(stage.target, artifact) == manifest["metrics"]["validation"]
    assert manifest["metrics"]["validation"][main] >= trained[main]


def test_the_same_seed_finds_the_same_weights(search: MakeSearch, kept: Store, store: Store) -> None:
    first = run_weight_search(search(), kept).artifact
    again = run_weight_search(search(), store)
    assert not again.reused
    assert again.artifact.read_lines(CURVE) == first.read_lines(CURVE)
    assert again.artifact.manifest["search"] == first.manifest["search"]
    assert again.artifact.id == first.id
    assert run_weight_search(search(), store).reused
    other = run_weight_search(search("search(mnli, qqp; budget=9, seed=1)"), store).artifact
    assert other.fingerprint != first.fingerprint
    assert other.read_lines(CURVE)[0]["weights"] == first.read_lines(CURVE)[0]["weights"]
    assert other.read_lines(CURVE)[1]["weights"] != first.read_lines(CURVE)[1]["weights"]


def test_the_manifest_tells_what_it_was_made_of(search: MakeSearch, kept: Store) -> None:
    stage = search()
    made = run_weight_search(stage, kept)
    artifact, manifest = made.artifact, made.artifact.manifest
    assert made.to_json()["state"] == ("reused" if made.reused else "searched")
    assert (artifact.kind, manifest["name"]) == ("target", "xnli.search(mnli, qqp; budget=9)")
    assert manifest["expression"] == "search(mnli, qqp; budget=9)"
    assert manifest["inputs"] == [stage.trained.id, *(part.id for part in stage.parts)]
    assert manifest["identity"]["inputs"] == [item.fingerprint for item in (stage.trained, *stage.parts)]
    parameters = stage.trained.manifest["resources"]["trained_parameters"]
    assert manifest["resources"]["trained_parameters"] == parameters + 2
    assert manifest["settings"] == stage.trained.manifest["settings"]
    assert (manifest["search"]["budget"], manifest["search"]["seed"]) == (9, 0)
    assert manifest["versions"]["scipy"]
    assert baseline_of(artifact) == baseline_of(stage.trained) != artifact.fingerprint
    assert read_composition(artifact).drawing() == (
        f"Stack({stage.expression.adapter}, xnli) → classification head 'xnli'"
    )
    assert search("search(mnli, qqp; budget=10)").fingerprint != stage.fingerprint
    assert search("search(qqp, mnli; budget=9)").fingerprint != stage.fingerprint


def test_it_is_verified_and_evaluated_as_any_target(search: MakeSearch, kept: Store, toy_mirror: Path) -> None:
    artifact = run_weight_search(search(), kept).artifact
    assert verified(artifact).composed.composition == read_composition(artifact)
    evaluation = run_evaluation(artifact, EvaluationRequest(root=toy_mirror, languages=("en", "de")), kept)
    assert set(evaluation.artifact.manifest["metrics"]) == {"en", "de"}


def test_layers_that_the_target_drops_are_no_hindrance(search: MakeSearch, kept: Store) -> None:
    stage = search("search(mnli, qqp; budget=3)", drop_layers="0")
    artifact = run_weight_search(stage, kept).artifact
    weights = tuple(artifact.manifest["search"]["weights"].values())
    whole = combination([read_weights(part, stage.expression.adapter) for part in stage.parts], weights)
    found = below(artifact)
    assert set(found) == {key for key in whole if ".layer.0." not in key} < set(whole)
    assert all(torch.equal(found[key], whole[key]) for key in found)


def test_better_weights_are_found_where_there_are(
    search: MakeSearch, kept: Store, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a score that tells how near the merge is to 1.0 and -0.5 of its parts, worked out from its tensors."""
    stage = search("search(mnli, qqp)")
    states = [read_weights(part, stage.expression.adapter) for part in stage.parts]
    wanted = combination(states, (1.0, -0.5))

    def nearness(target: TrainingStage, composed: Any, validation: Any) -> dict[str, float]:
        now = composed.state(f"adapters/{stage.expression.adapter}")
        gap = sum(float((now[key] - tensor).square().sum()) for key, tensor in wanted.items())
        size = sum(float(tensor.square().sum()) for tensor in wanted.values())
        return {"accuracy": 100 - 100 * gap / size}

    monkeypatch.setattr(searches, "scores_now", nearness)
    artifact = run_weight_search(stage, store).artifact
    assert artifact.manifest["search"]["tries"] == 40
    found = artifact.manifest["search"]["weights"]
    assert (found["mnli"], found["qqp"]) == pytest.approx((1.0, -0.5), abs=0.15), "the penalty pulls a little"
    assert artifact.manifest["metrics"]["validation"]["accuracy"] > 97
    assert artifact.manifest["search"]["start"]["accuracy"] < 60


def test_another_target_adapter_than_the_one_on_the_average_is_refused(search: MakeSearch) -> None:
    stage, other = search(), search(task="tydiqa")
    with pytest.raises(ArtifactError, match=r"is not 'xnli\.avg\(mnli, qqp\)' of these settings"):
        dataclasses.replace(stage, trained=other.trained)
