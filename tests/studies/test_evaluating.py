"""Evaluating what is in the store: the baseline is found, another can be named, and mistakes write nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from stores import found, kept_in
from toy_stages import TINY

from adapterstilts.errors import (
    AdapterStiltsError,
    ArtifactError,
)
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.transfer import compose, evaluate


@pytest.mark.usefixtures("no_training")
def test_the_baseline_is_found_by_its_fingerprint(composed: Transfer, shelf: Path, common: dict[str, Any]) -> None:
    for system, baseline in zip(composed.artifacts, composed.baselines, strict=True):
        made = evaluate(system.id, data_root=common["data_root"], store=shelf, max_eval_examples=15)
        assert [item.id for item in made.baselines] == [baseline.id]
        assert made.seeds == (system.manifest["settings"]["seed"],)
        assert {stage["state"] for stage in made.stages} == {"reused"}
        assert made.comparison.mean.delta is not None


@pytest.mark.usefixtures("no_training")
def test_evaluation_gives_what_composing_gave(copy: Path, common: dict[str, Any], composed: Transfer) -> None:
    one = compose("mnli+squad", target="xnli", **common, store=copy, max_eval_examples=15).to_json()
    shutil.rmtree(copy / "artifacts" / "evaluation")
    fresh = evaluate(composed.artifacts[0].id, data_root=common["data_root"], store=copy, max_eval_examples=15)
    assert {stage["state"] for stage in fresh.stages} == {"evaluated"}
    document = fresh.to_json()
    del one["stages"], document["stages"]
    assert document == one


def test_the_dropout_of_a_fusion_does_not_hide_the_baseline(copy: Path, common: dict[str, Any]) -> None:
    settings = TINY | {"fusion_dropout": 0.0}
    made = compose(
        "mnli+squad", target="xnli", **common | {"settings": settings}, store=copy, languages="en", max_eval_examples=5
    )
    alone = evaluate(
        made.artifacts[0].id, data_root=common["data_root"], store=copy, languages="en", max_eval_examples=5
    )
    assert [item.id for item in alone.baselines] == [made.baselines[0].id]


def test_without_the_baseline_in_the_store_there_is_no_difference(
    copy: Path, common: dict[str, Any], composed: Transfer
) -> None:
    shutil.rmtree(copy / "artifacts" / "target" / composed.baselines[0].id)
    made = evaluate(composed.artifacts[0].id, data_root=common["data_root"], store=copy, max_eval_examples=15)
    assert made.baselines == ()
    assert made.comparison.mean.baseline is None


def test_another_baseline_can_be_named(copy: Path, common: dict[str, Any], composed: Transfer) -> None:
    first, second = composed.artifacts
    made = evaluate(
        first.id, baseline=second.id, data_root=common["data_root"], store=copy, languages="en", max_eval_examples=15
    )
    assert [item.id for item in made.baselines] == [second.id]
    itself = evaluate(
        first.id, baseline=first.id, data_root=common["data_root"], store=copy, languages="en", max_eval_examples=15
    )
    assert (itself.comparison.mean.delta, itself.comparison.mean.interval) == (0.0, (0.0, 0.0))


def test_a_baseline_of_another_task_is_refused(copy: Path, common: dict[str, Any], composed: Transfer) -> None:
    squad = found(Store(copy), "squad", 0)
    with pytest.raises(ArtifactError, match="is for 'squad', not for 'xnli'"):
        evaluate(composed.artifacts[0].id, baseline=squad.id, data_root=common["data_root"], store=copy)


def test_an_intermediate_adapter_is_evaluated_on_its_own_task(copy: Path, common: dict[str, Any]) -> None:
    made = evaluate(found(Store(copy), "squad", 0).id, data_root=common["data_root"], store=copy)
    assert (made.split, list(made.comparison.languages), made.baselines) == ("validation", ["en"], ())
    validation = found(Store(copy), "squad", 0).manifest["metrics"]["validation"]
    assert made.comparison.mean.score == pytest.approx(validation["f1"], abs=1e-3)


def test_an_artifact_can_be_given_as_a_folder(
    copy: Path, common: dict[str, Any], composed: Transfer, store: Store
) -> None:
    folder = copy / "artifacts" / "target" / composed.artifacts[0].id
    made = evaluate(str(folder), data_root=common["data_root"], store=store.home, languages="en", max_eval_examples=5)
    assert [item.kind for item in store.all()] == ["evaluation"]
    assert made.artifacts[0].id == composed.artifacts[0].id


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_size": 0}, "--batch-size"),
        ({"split": "dev"}, "no split 'dev'"),
        ({"max_eval_examples": -1}, "--max-eval-examples"),
        ({"languages": ""}, "language"),
        ({"languages": "ja"}, "'ja'"),
        ({"baseline": "nothing"}, "no artifact 'nothing'"),
        ({"data_root": "/no/such/folder"}, "not a folder"),
    ],
)
def test_mistakes_in_evaluating(
    options: dict[str, Any], says: str, shelf: Path, common: dict[str, Any], composed: Transfer
) -> None:
    before = kept_in(shelf)
    with pytest.raises(AdapterStiltsError, match=says):
        evaluate(composed.artifacts[0].id, **{"data_root": common["data_root"], "store": shelf, **options})
    assert kept_in(shelf) == before
