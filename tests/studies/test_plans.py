"""Plans of several compositions: each stage once, all mistakes at once, and nothing written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from calling import validate
from stores import found, kept_in
from toy_stages import TINY

from adapterstilts.errors import AdapterStiltsError, ArtifactError, GridError, SettingsError, UnknownNameError
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.plans import Plan, plan_grid

pytestmark = pytest.mark.usefixtures("no_training")


def files_in(home: Path) -> list[Path]:
    return sorted(home.rglob("*"))


def told(plan: Plan) -> list[tuple[str, str, int | None, str]]:
    return [(stage.kind, stage.name, stage.seed, stage.state) for stage in plan.stages]


@pytest.fixture
def quick_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes whose inputs the toy backbone takes."""
    monkeypatch.setattr("adapterstilts.training.recipes._read", lambda task: {"max_length": 64, "steps": 1})


@pytest.mark.usefixtures("quick_recipes")
def test_stages_that_compositions_share_stand_once(common: dict[str, Any], store: Store) -> None:
    plan = plan_grid(["mnli+squad", "avg(mnli,squad)"], ["xnli"], **common, store=store.home, seeds=(0, 1))
    assert not store.home.exists()
    assert told(plan) == [
        ("intermediate", "mnli", 0, "to train"),
        ("intermediate", "squad", 0, "to train"),
        *(("target", "xnli.mnli+squad", seed, "to train") for seed in (0, 1)),
        *(("target", "xnli.none", seed, "to train") for seed in (0, 1)),
        *(("evaluation", "xnli.mnli+squad.test", None, "to evaluate"),) * 2,
        *(("evaluation", "xnli.none.test", None, "to evaluate"),) * 2,
        ("merged", "avg(mnli, squad)", 0, "to merge"),
        *(("target", "xnli.avg(mnli, squad)", seed, "to train") for seed in (0, 1)),
        *(("evaluation", "xnli.avg(mnli, squad).test", None, "to evaluate"),) * 2,
    ]
    assert len({stage.artifact for stage in plan.stages}) == len(plan.stages) == 15
    assert {stage.seconds for stage in plan.stages} == {None}
    assert (plan.to_do, plan.seconds, plan.unknown) == (plan.stages, 0, 15)
    fusion, merge = plan.cells
    assert (fusion.label, merge.label) == ("mnli+squad → xnli", "avg(mnli, squad) → xnli")
    assert len(set(fusion.stages) & set(merge.stages)) == 6
    document = plan.to_json()
    validate(document, "compose_plan")
    assert document["cells"][1]["stages"] == list(merge.stages)


def test_what_the_store_has_is_told_with_its_time_and_tells_of_others(
    composed: Transfer, shelf: Path, common: dict[str, Any]
) -> None:
    before = files_in(shelf)
    same = plan_grid(["mnli+squad"], ["xnli"], **common, store=shelf, seeds=(0, 1), max_eval_examples=15)
    assert {stage.state for stage in same.stages} == {"in store"}
    assert [stage.artifact for stage in same.stages] == [stage["artifact"] for stage in composed.stages]
    kept = {artifact.id: artifact.manifest["resources"]["wall_seconds"] for artifact in Store(shelf).all()}
    assert [stage.seconds for stage in same.stages] == [kept[stage.artifact] for stage in same.stages]
    assert (same.to_do, same.seconds, same.unknown) == ((), 0, 0)

    options = common | {"settings": TINY | {"steps": 6}, "store": shelf}
    longer = plan_grid(["mnli+squad"], ["xnli"], **options, seeds=(1,), max_eval_examples=5)
    by_name = {stage.name: stage for stage in longer.to_do}
    assert list(by_name) == ["xnli.mnli+squad", "xnli.none", "xnli.mnli+squad.test", "xnli.none.test"]
    newest = {
        name: kept[[one for one in Store(shelf).all("target") if one.manifest["name"] == name][-1].id]
        for name in ("xnli.mnli+squad", "xnli.none")
    }
    assert by_name["xnli.mnli+squad"].seconds == pytest.approx(2 * newest["xnli.mnli+squad"])
    assert by_name["xnli.none"].seconds == pytest.approx(2 * newest["xnli.none"])
    evaluated = kept[Store(shelf).all("evaluation")[-1].id]
    assert by_name["xnli.none.test"].seconds == pytest.approx(evaluated / 3)
    assert longer.unknown == 0
    assert files_in(shelf) == before


@pytest.mark.usefixtures("quick_recipes")
def test_a_mix_and_retrieval_are_planned_too(common: dict[str, Any], store: Store) -> None:
    plan = plan_grid(["mix(mnli, squad)", "none"], ["tatoeba"], **common | {"settings": {}}, store=store.home)
    assert told(plan) == [
        ("mixed", "mix(mnli, squad)", 0, "to train"),
        ("evaluation", "mix(mnli, squad).tatoeba.test", None, "to evaluate"),
        ("evaluation", "none.tatoeba.test", None, "to evaluate"),
    ]
    chained = plan_grid(["chain(avg(mix(mnli, squad), squad))"], ["xnli"], **common, store=store.home)
    assert [stage.kind for stage in chained.stages] == [
        *("intermediate", "mixed", "merged", "target", "target", "evaluation", "evaluation")
    ]
    assert not store.home.exists()


def test_adapters_that_were_named_go_to_the_expressions_that_name_them(copy: Path, common: dict[str, Any]) -> None:
    older = found(Store(copy), "mnli", 1)
    plan = plan_grid(["mnli", "squad"], ["xnli"], **common, store=copy, use=[older.id], languages="en")
    assert [cell.use for cell in plan.cells] == [(older.id,), ()]
    assert plan.cells[0].stages[0] == older.id
    outside = copy.rename(copy.with_name("elsewhere")) / older.path.relative_to(copy)
    again = plan_grid(
        ["mnli"], ["xnli"], **common, store=outside.parents[2], use=[str(outside)], languages="en", train_missing=False
    )
    assert again.stages[0].artifact == older.id
    with pytest.raises(GridError, match=r"is an adapter for 'mnli', which 'none' does not name"):
        plan_grid(["squad", "none"], ["xnli"], **common, store=outside.parents[2], use=[older.id])


# Mistakes


def test_all_mistakes_are_told_at_once_with_their_compositions(common: dict[str, Any], shelf: Path) -> None:
    before = kept_in(shelf)
    with pytest.raises(GridError) as caught:
        plan_grid(["mnli", "mnly", "mnli+", "squad"], ["xnli", "xnly"], **common, store=shelf, train_missing=False)
    first, *lines = [line for line in str(caught.value).splitlines() if not line.startswith(" ")]
    assert first == "6 of 8 compositions cannot be run, and nothing was trained."
    assert [line.split(":")[0] for line in lines] == [
        "- mnly → xnli",
        "- mnli+ → xnli, mnli+ → xnly",
        "- mnli → xnly, mnly → xnly, squad → xnly",
    ]
    assert "Did you mean 'mnli'?" in lines[0]
    assert "a task name after" in lines[1]
    assert "Did you mean 'xnli'?" in lines[2]
    assert kept_in(shelf) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"data_root": "/no/such/folder"}, "--data-root"),
        ({"seeds": (0, 0)}, "--seeds names a seed twice"),
        ({"settings": TINY | {"max_length": 129}}, "--max-length 129"),
        ({"suite": "labs"}, "Did you mean 'lab'"),
    ],
)
def test_what_is_wrong_everywhere_is_told_as_for_one(
    options: dict[str, Any], says: str, common: dict[str, Any], shelf: Path
) -> None:
    with pytest.raises(AdapterStiltsError, match=says) as caught:
        plan_grid(["mnli", "none"], ["xnli", "pawsx"], **{**common, **options}, store=shelf)
    assert not isinstance(caught.value, GridError)


def test_adapters_that_the_store_lacks_are_named_for_each(common: dict[str, Any], store: Store) -> None:
    with pytest.raises(GridError, match=r"2 of 3 .*\n- mnli → xnli: .*no adapter for mnli.*\n- squad → xnli: .*squad"):
        plan_grid(["mnli", "squad", "none"], ["xnli"], **common, store=store.home, train_missing=False)
    with pytest.raises(ArtifactError, match="no adapter for mnli"):
        plan_grid(["mnli"], ["xnli"], **common, store=store.home, train_missing=False)


@pytest.mark.parametrize(
    ("expressions", "targets", "says"),
    [
        (["mnli + squad", "mnli+squad"], ["xnli"], "The expression 'mnli+squad' is named twice"),
        (["mnli"], ["xnli", "xquad", "xnli"], "The target 'xnli' is named twice"),
        ([], ["xnli"], "No expression is given"),
        (["mnli"], [], "No target is given"),
    ],
)
def test_lists_that_make_no_sense(expressions: list[str], targets: list[str], says: str, store: Store) -> None:
    with pytest.raises(SettingsError, match=re.escape(says)):
        plan_grid(expressions, targets, store=store.home)


def test_a_tracker_that_is_not_installed_is_told_before(common: dict[str, Any], store: Store) -> None:
    with pytest.raises((UnknownNameError), match="nonsense"):
        plan_grid(["none"], ["xnli"], **common, store=store.home, report_to=("nonsense",))
