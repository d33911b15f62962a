"""``--fuse-on intermediate`` from a request to a table: one fusion for all targets and seeds, and for retrieval."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from calling import validate
from stores import kept_in
from toy_stages import short_recipes

from adapterstilts.errors import ArtifactError, ExpressionError, SettingsError, UnknownNameError
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.transfer import compose, evaluate
from adapterstilts.tasks.suites import get_suite


@pytest.fixture(autouse=True, scope="module")
def _short_recipes() -> Any:
    with short_recipes():
        yield


@pytest.fixture(scope="module")
def home(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with adapters for mnli and squad, and what ``fused`` makes. Tests only read it."""
    folder = tmp_path_factory.mktemp("fused") / "store"
    shutil.copytree(shelf / "artifacts" / "intermediate", folder / "artifacts" / "intermediate")
    return folder


@pytest.fixture(scope="module")
def fused(home: Path, common: dict[str, Any]) -> Transfer:
    """Two seeds of a target adapter on one fusion."""
    return compose(
        "mnli+squad", target="xnli", **common, store=home, seeds=(0, 1), max_eval_examples=9, fuse_on="intermediate"
    )


def test_one_fusion_serves_all_seeds(fused: Transfer, home: Path) -> None:
    (fusion,) = Store(home).all("fusion")
    assert [(stage["kind"], stage["name"], stage["state"]) for stage in fused.stages[:5]] == [
        ("intermediate", "mnli", "reused"),
        ("intermediate", "squad", "reused"),
        ("fusion", "mnli+squad", "trained"),
        ("target", "xnli.mnli+squad.fused", "trained"),
        ("target", "xnli.mnli+squad.fused", "trained"),
    ]
    assert [artifact.manifest["inputs"] for artifact in fused.artifacts] == [[fusion.id]] * 2
    assert {artifact.manifest["expression"] for artifact in fused.baselines} == {"none"}
    document = fused.to_json()
    validate(document, "compose")
    assert (document["composition"], document["fused_on"]) == ("mnli+squad", "intermediate")


@pytest.mark.usefixtures("no_training")
def test_the_same_call_again_takes_everything_from_the_store(
    fused: Transfer, home: Path, common: dict[str, Any]
) -> None:
    before = kept_in(home)
    again = compose(
        "mnli+squad", target="xnli", **common, store=home, seeds=(0, 1), max_eval_examples=9, fuse_on="intermediate"
    )
    assert {stage["state"] for stage in again.stages} == {"reused"}
    assert again.comparison.to_json() == fused.comparison.to_json()
    assert kept_in(home) == before


def test_it_is_evaluated_again_with_its_baseline(fused: Transfer, home: Path, common: dict[str, Any]) -> None:
    again = evaluate(fused.artifacts[0].id, store=home, data_root=common["data_root"], max_eval_examples=9)
    assert again.fused_on == "intermediate"
    assert [item.id for item in again.baselines] == [fused.baselines[0].id]


def test_the_same_fusion_serves_other_targets_and_retrieval(
    fused: Transfer, home: Path, common: dict[str, Any], tmp_path: Path
) -> None:
    own = Path(shutil.copytree(home, tmp_path / "store"))
    (fusion,) = Store(own).all("fusion")
    options: dict[str, Any] = {"store": own, "fuse_on": "intermediate", "max_eval_examples": 9}
    other = compose("mnli+squad", target="xquad", **common, **options)
    assert other.artifacts[0].manifest["inputs"] == [fusion.id]
    searched = {"backbone": common["backbone"], "data_root": common["data_root"], "settings": {"max_length": 64}}
    found = compose("mnli+squad", target="tatoeba", layer="2", **searched, **options)
    assert [item.id for item in Store(own).all("fusion")] == [fusion.id]
    assert [artifact.id for artifact in found.artifacts] == [fusion.id]
    document = found.to_json()
    validate(document, "compose")
    assert document["fused_on"] == "intermediate"
    records = [item.read_lines("predictions/de.jsonl") for item in (found.evaluations[0], *_bare(own))]
    assert [record["score"] for record in records[0]] != [record["score"] for record in records[1]]
    below = compose("mnli+squad", target="tatoeba", layer="0", **searched, **options).to_json()
    assert [cell["delta"] for cell in below["languages"].values()] == [0.0, 0.0, 0.0]


def _bare(home: Path) -> list[Any]:
    return [item for item in Store(home).all("evaluation") if item.manifest["name"] == "none.tatoeba.test"]


def test_a_fusion_that_the_target_learns_is_another(fused: Transfer, home: Path, common: dict[str, Any]) -> None:
    learnt = compose("mnli+squad", target="xnli", **common, store=home, max_eval_examples=9, fuse_on="target")
    assert learnt.artifacts[0].id != fused.artifacts[0].id
    assert "fused_on" not in learnt.to_json()
    assert learnt.artifacts[0].manifest.get("fused_on") is None


@pytest.mark.parametrize("expression", ["none", "squad", "avg(mnli, squad)", "mix(mnli, squad)", "chain(squad)"])
@pytest.mark.parametrize("target", ["xnli", "tatoeba"])
@pytest.mark.parametrize("fuse_on", ["intermediate", "target"])
def test_what_is_no_fusion_is_refused(
    expression: str, target: str, fuse_on: str, common: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(
        ExpressionError, match=f"--fuse-on {fuse_on} tells what a fusion is trained on, and '.*' is none"
    ):
        compose(expression, target=target, **common, store=tmp_path, fuse_on=fuse_on)
    assert kept_in(tmp_path) == []


def test_what_cannot_be_fused_on_its_tasks_is_told_before_training(
    common: dict[str, Any], tmp_path: Path, no_training: None
) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'intermediate'"):
        compose("mnli+squad", target="xnli", **common, store=tmp_path, fuse_on="intermediates")
    given = common | {"settings": {"epochs": 2.0}}
    with pytest.raises(SettingsError, match="--epochs would have no effect"):
        compose("mnli+squad", target="tatoeba", **given, store=tmp_path, fuse_on="intermediate")
    assert get_suite().task("mlm", "intermediate").format == "language_modelling"
    with pytest.raises(ExpressionError, match="'mlm' is scored by its perplexity"):
        compose("mnli+mlm", target="xnli", **common, store=tmp_path, fuse_on="intermediate")


def test_a_fusion_is_not_trained_with_no_train(shelf: Path, common: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(shelf / "artifacts" / "intermediate", tmp_path / "artifacts" / "intermediate")
    with pytest.raises(ArtifactError, match=r"has no fusion of mnli-\w+, squad-\w+ .*--no-train was given"):
        compose("mnli+squad", target="xnli", **common, store=tmp_path, fuse_on="intermediate", train_missing=False)


def test_a_fusion_is_no_adapter_to_use(fused: Transfer, home: Path, common: dict[str, Any]) -> None:
    (fusion,) = Store(home).all("fusion")
    with pytest.raises(ArtifactError, match="is of kind 'fusion'; --use takes adapters of one task"):
        compose("mnli+squad", target="xnli", **common, store=home, use=(fusion.id,), fuse_on="intermediate")
    with pytest.raises(ArtifactError, match="is of kind 'fusion'; only adapters and compositions can be evaluated"):
        evaluate(fusion.id, store=home, data_root=common["data_root"])


# Attention


@pytest.mark.parametrize("languages", ["all", "sw,en"])
def test_attention_of_the_languages_asked_for(
    languages: str, fused: Transfer, home: Path, common: dict[str, Any]
) -> None:
    told = evaluate(
        fused.artifacts[0].id,
        store=home,
        data_root=common["data_root"],
        max_eval_examples=9,
        languages=languages,
        attention=True,
    )
    assert told.attention is not None
    assert [(each.language, each.layer, each.adapter) for each in told.attention] == [
        (code, layer, name) for code in told.comparison.languages for layer in (0, 1) for name in ("mnli", "squad")
    ]
    validate(told.to_json(), "evaluate")


def test_attention_without_a_fusion_is_refused(fused: Transfer, home: Path, common: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match=r"'xnli\.none-\w+' \(none\) has no learned fusion"):
        evaluate(fused.baselines[0].id, store=home, data_root=common["data_root"], attention=True)
