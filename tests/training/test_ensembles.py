"""Ensembles: an artifact without weights, whose answers are those of its members' mean logits."""

from __future__ import annotations

import dataclasses
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapterstilts.data.encode import encode_rows
from adapterstilts.errors import ArtifactError, ExpressionError
from adapterstilts.evaluation import answering
from adapterstilts.evaluation.answering import encoding_settings
from adapterstilts.evaluation.inference import predict_logits
from adapterstilts.evaluation.kept import predictions_file
from adapterstilts.evaluation.zero_shot import EvaluationRequest, run_evaluation, task_of
from adapterstilts.models.backbone import identify
from adapterstilts.models.expression import Ensemble
from adapterstilts.models.grammar import parse
from adapterstilts.models.saved import load_backbone_of, load_composed, members_of
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS
from adapterstilts.training.ensembles import EnsembleStage, check_ensemble, run_ensemble
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import TrainingStage, baseline_of, run_stage

SETTINGS = TrainingSettings(
    steps=40, batch_size=8, max_length=18, doc_stride=4, evaluations=1, learning_rate=1e-2, reduction_factor=2
)
PARTS = {
    "xnli": ("none", "mnli", "chain(mnli)"),
    "tydiqa": ("none", "mnli", "chain(mnli)"),
    "panx": ("none", "mnli"),
    "xcopa": ("none", "mnli"),
}
Member = Callable[[str, str], Artifact]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store of the members. Tests only add to it."""
    return Store(tmp_path_factory.mktemp("ensembles"))


@pytest.fixture(scope="module")
def member(kept: Store, toy_backbone_folder: Path, toy_mirror: Path) -> Member:
    """A function that gives the target adapter of a task on an expression, trained once."""
    identity = identify(str(toy_backbone_folder))
    mnli = run_stage(TrainingStage(get_task("mnli"), SETTINGS, identity, root=toy_mirror), kept).artifact

    def trained(task: str, part: str) -> Artifact:
        inputs = () if part == "none" else (mnli,)
        return run_stage(
            TrainingStage(get_task(task), SETTINGS, identity, parse(part), inputs, toy_mirror), kept
        ).artifact

    return trained


def stage_of(member: Member, task: str, *parts: str) -> EnsembleStage:
    expression = parse(f"ensemble({', '.join(parts)})")
    assert isinstance(expression, Ensemble)
    return EnsembleStage(expression, tuple(member(task, part) for part in parts))


def answers_in(evaluation: Artifact) -> dict[str, list[dict[str, Any]]]:
    return {code: evaluation.read_lines(predictions_file(code)) for code in evaluation.manifest["languages"]}


@pytest.mark.parametrize(("name", "parts"), PARTS.items())
def test_answers_are_those_of_the_mean_logits_of_the_members(
    name: str, parts: tuple[str, ...], member: Member, kept: Store, toy_mirror: Path
) -> None:
    """Averaged here by hand, from the logits of each member by itself."""
    ensemble = run_ensemble(stage_of(member, name, *parts), kept).artifact
    request = EvaluationRequest(root=toy_mirror)
    made = answers_in(run_evaluation(ensemble, request, kept).artifact)
    task, settings = task_of(ensemble), encoding_settings(ensemble)
    rows = request.rows(task)
    logits, alone = [], []
    for part in parts:
        one = member(name, part)
        composed = load_composed(one, load_backbone_of(one), task)
        encoded = encode_rows(rows, composed.backbone.tokenizer, settings, training=False)
        logits.append(predict_logits(composed, encoded))
        alone.append(answers_in(run_evaluation(one, request, kept).artifact))
    averaged = [np.mean([values[place] for values in logits], axis=0) for place in range(len(encoded))]
    answers = FORMATS[task.format].decode(task, rows.table, encoded, averaged, settings)
    for code in rows.languages:
        expected = [answers[place] for place in rows.of_language(code)]
        assert [record["answer"] for record in made[code]] == [answer.value for answer in expected]
        scores = [record["score"] for record in made[code]]
        assert scores == pytest.approx([answer.score for answer in expected], abs=1e-5)
    if name == "tydiqa":
        assert len(encoded) > len(rows), "contexts of several windows compete"
    for each in alone:
        assert each != made, "the mean is none of the members"


@pytest.mark.parametrize("name", ["xnli", "tydiqa"])
def test_the_order_of_the_members_has_no_effect(
    name: str, member: Member, kept: Store, store: Store, toy_mirror: Path
) -> None:
    request, parts = EvaluationRequest(root=toy_mirror, languages=("en",)), PARTS[name]
    first = run_ensemble(stage_of(member, name, *parts), kept)
    evaluated = run_evaluation(first.artifact, request, kept)
    turned = stage_of(member, name, *parts[::-1])
    assert run_ensemble(turned, kept).artifact.id == first.artifact.id

    shutil.copytree(kept.home / "artifacts" / "target", store.home / "artifacts" / "target")
    second = run_ensemble(turned, store)
    assert second.artifact.manifest["inputs"] == first.artifact.manifest["inputs"][::-1]
    again = run_evaluation(second.artifact, request, store)
    assert not again.reused
    assert answers_in(again.artifact) == answers_in(evaluated.artifact)


def test_one_member_at_a_time_is_in_memory(
    member: Member, kept: Store, store: Store, toy_mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = run_ensemble(stage_of(member, "xnli", "none", "mnli"), kept).artifact
    seen: list[Any] = []

    def loaded(artifact: Artifact, *rest: Any, **options: Any) -> Any:
        assert all(weights() is None for weights in seen), "the model before is still there"
        composed = load_composed(artifact, *rest, **options)
        seen.append(weakref.ref(next(composed.model.parameters())))
        return composed

    monkeypatch.setattr(answering, "load_composed", loaded)
    run_evaluation(ensemble, EvaluationRequest(root=toy_mirror, languages=("en",)), store)
    assert len(seen) == 2


def test_an_ensemble_tells_what_it_is_made_of_and_holds_no_weights(member: Member, kept: Store) -> None:
    made = run_ensemble(stage_of(member, "xnli", "none", "mnli"), kept)
    assert (made.artifact.kind, made.to_json()["state"]) == ("ensemble", "joined" if not made.reused else "reused")
    manifest = made.artifact.manifest
    both = [member("xnli", part) for part in ("none", "mnli")]
    assert manifest["name"] == "xnli.ensemble(none, mnli)"
    assert manifest["inputs"] == [artifact.id for artifact in both]
    assert manifest["identity"]["members"] == sorted(artifact.fingerprint for artifact in both)
    assert manifest["identity"]["baseline"] == both[0].fingerprint == baseline_of(both[1])
    assert manifest["labels"] == ["entailment", "neutral", "contradiction"]
    assert manifest["settings"] == both[0].manifest["settings"]
    parameters = [artifact.manifest["resources"]["trained_parameters"] for artifact in both]
    assert manifest["resources"]["trained_parameters"] == sum(parameters) > max(parameters)
    assert [path.name for path in made.artifact.path.iterdir()] == ["manifest.json"]
    assert run_ensemble(stage_of(member, "xnli", "none", "mnli"), kept).reused
    assert members_of(made.artifact) == tuple(sorted(both, key=lambda artifact: artifact.fingerprint))
    assert members_of(both[0]) == (both[0],)


@pytest.mark.parametrize("change", [{"seed": 1}, {"max_length": 16}])
def test_members_of_other_settings_are_refused(
    change: dict[str, Any], member: Member, kept: Store, toy_backbone_folder: Path, toy_mirror: Path
) -> None:
    settings = SETTINGS.replaced({"steps": 1} | change)
    stage = TrainingStage(get_task("xnli"), settings, identify(str(toy_backbone_folder)), root=toy_mirror)
    other = run_stage(stage, kept).artifact
    expression = parse("ensemble(mnli, none)")
    assert isinstance(expression, Ensemble)
    with pytest.raises(ArtifactError, match="differ in more than what they were trained on"):
        EnsembleStage(expression, (member("xnli", "mnli"), other))


def test_members_of_other_tasks_are_refused(member: Member) -> None:
    expression = parse("ensemble(mnli, none)")
    assert isinstance(expression, Ensemble)
    with pytest.raises(ArtifactError, match="in task, rows, settings or backbone"):
        EnsembleStage(expression, (member("xnli", "mnli"), member("panx", "none")))


def test_a_member_that_is_gone_is_named(member: Member, kept: Store, store: Store, toy_mirror: Path) -> None:
    gone = member("xnli", "mnli").id
    shutil.copytree(kept.home / "artifacts" / "target", store.home / "artifacts" / "target")
    ensemble = run_ensemble(stage_of(member, "xnli", "none", "mnli"), store).artifact
    shutil.rmtree(store.home / "artifacts" / "target" / gone)
    with pytest.raises(ArtifactError, match=rf"lacks '{gone}', .* Compose 'ensemble\(none, mnli\)' again"):
        run_evaluation(ensemble, EvaluationRequest(root=toy_mirror), store)
    assert store.all("evaluation") == []


def test_questions_that_may_have_no_answer_are_refused() -> None:
    task = dataclasses.replace(get_task("tydiqa"), unanswerable=True)
    with pytest.raises(ExpressionError, match=r"a threshold of its own\. Compose one: 'mnli' or 'mnli\+squad'\."):
        check_ensemble(parse("ensemble(mnli, mnli+squad)"), task)
    check_ensemble(parse("ensemble(mnli, squad)"), get_task("tydiqa"))
    check_ensemble(parse("mnli"), task)
