"""XTREME and XTREME-R share their adapters: what was trained in one is used, and evaluated, in the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stores import found
from toy_stages import TINY

from adapterstilts.errors import ArtifactError, UnknownNameError
from adapterstilts.evaluation.zero_shot import task_of
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.transfer import compose, evaluate, train_intermediate

R = {"suite": "xtreme-r"}


@pytest.mark.usefixtures("no_training")
def test_an_adapter_is_not_trained_again(shelf: Path, common: dict[str, Any]) -> None:
    trained = train_intermediate("mnli", **R, **common, store=shelf)
    assert (trained.reused, trained.artifact.suite) == (True, "xtreme")
    assert trained.artifact.id == found(Store(shelf), "mnli", 0).id


@pytest.mark.usefixtures("no_training")
def test_a_composition_and_its_baseline_are_the_same_ones(
    copy: Path, common: dict[str, Any], composed: Transfer
) -> None:
    options = {"store": copy, "seeds": (0, 1), "max_eval_examples": 15}
    again = compose("mnli+squad", target="xnli", **R, **common, **options).to_json()
    one = composed.to_json()
    assert again["suite"] == "xtreme-r"
    assert {stage["state"] for stage in again["stages"]} == {"reused"}
    assert {**again, "stages": [], "suite": ""} == {**one, "stages": [], "suite": ""}
    made = evaluate(composed.artifacts[0].id, **R, data_root=common["data_root"], store=copy, max_eval_examples=15)
    assert [item.id for item in made.baselines] == [composed.baselines[0].id]


def test_a_target_of_one_is_evaluated_in_the_languages_of_the_other(copy: Path, common: dict[str, Any]) -> None:
    """XTREME-R's UDPOS is trained anew, on an adapter of XTREME; PAN-X is not."""
    udpos = compose("mnli", target="udpos", **R, **common, store=copy, max_eval_examples=5)
    assert list(udpos.comparison.languages) == ["en", "de", "lt"]
    states = [(stage["kind"], stage["state"]) for stage in udpos.to_json()["stages"]]
    assert states[:3] == [("intermediate", "reused"), ("target", "trained"), ("target", "trained")]

    panx = compose("none", target="panx", **R, **common, store=copy, max_eval_examples=5)
    assert sorted(panx.comparison.languages) == ["de", "en", "ro", "sw"]
    (artifact,) = panx.artifacts
    assert artifact.suite == "xtreme-r"
    options = {"data_root": common["data_root"], "store": copy, "max_eval_examples": 5}
    fewer = evaluate(artifact.id, suite="xtreme", **options)
    assert (fewer.to_json()["suite"], sorted(fewer.comparison.languages)) == ("xtreme", ["de", "en", "sw"])
    own = evaluate(artifact.id, **options)
    assert own.comparison.languages.keys() == panx.comparison.languages.keys()
    assert own.comparison.languages["de"].score == fewer.comparison.languages["de"].score
    same = compose("none", target="panx", **common, store=copy, max_eval_examples=5, languages="de")
    assert [item.id for item in same.artifacts] == [artifact.id]


def test_use_takes_an_adapter_of_either(copy: Path, common: dict[str, Any]) -> None:
    other = train_intermediate("mnli", **R, **common | {"settings": TINY | {"seed": 5}}, store=copy).artifact
    assert other.suite == "xtreme-r"
    made = compose("mnli", target="xnli", **common, store=copy, use=[other.id], languages="en", max_eval_examples=5)
    assert made.artifacts[0].manifest["inputs"] == [other.id]


def test_what_is_of_another_suite_is_refused(copy: Path, composed: Transfer) -> None:
    with pytest.raises(ArtifactError, match="is of the suite 'xtreme', not of 'lab'"):
        task_of(composed.artifacts[0], "lab")
    with pytest.raises(UnknownNameError, match=r"no suite 'xtreme_r'.*'xtreme-r'"):
        task_of(composed.artifacts[0], "xtreme_r")
    assert task_of(composed.artifacts[0], "xtreme-r").suite == "xtreme-r"
