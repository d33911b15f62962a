"""Several compositions run by their plan: each stage once, whatever fails or is interrupted in between."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from calling import validate
from stores import kept_in

from adapterstilts.errors import GridError, TrainingError
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.grids import Grid, compose_all, total
from adapterstilts.studies.plans import Plan, plan_grid
from adapterstilts.studies.transfer import compose
from adapterstilts.training.trainer import StiltsTrainer

EXPRESSIONS, TARGETS = ["mnli+squad", "avg(mnli, squad)"], ["xnli", "xquad"]


@dataclass
class Story:
    """What happened: planned, failed, interrupted, finished, planned again."""

    home: Path
    before: Plan
    written_by_plan: bool
    failed: str
    after_failure: list[str]
    grid: Grid
    after: Plan
    trained: list[str] = field(default_factory=list)
    """Titles of the trainings that ended well."""


@pytest.fixture(scope="module")
def story(common: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("grid") / "store"
    options = {**common, "store": home, "seeds": (0, 1), "max_eval_examples": 10}
    trained: list[str] = []
    faults: dict[int, BaseException] = {4: TrainingError("The loss is not finite."), 9: KeyboardInterrupt()}
    begun = 0
    plain = StiltsTrainer.fit

    def fit(self: StiltsTrainer) -> Any:
        nonlocal begun
        begun += 1
        if begun in faults:
            raise faults[begun]
        report = plain(self)
        trained.append(self.title)
        return report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adapterstilts.training.recipes._read", lambda task: {"max_length": 64, "steps": 1})
        patch.setattr(StiltsTrainer, "fit", fit)
        before = plan_grid(EXPRESSIONS, TARGETS, **options)
        written = home.exists()
        with pytest.raises(GridError) as caught:
            compose_all(EXPRESSIONS, TARGETS, **options)
        after_failure = [artifact.manifest["name"] for artifact in Store(home).all()]
        with pytest.raises(KeyboardInterrupt):
            compose_all(EXPRESSIONS, TARGETS, **options)
        grid = compose_all(EXPRESSIONS, TARGETS, **options)
        yield Story(
            *(home, before, written, str(caught.value), after_failure, grid),
            after=plan_grid(EXPRESSIONS, TARGETS, **options),
            trained=trained,
        )


def test_a_plan_writes_nothing(story: Story) -> None:
    assert story.written_by_plan is False
    assert {stage.state for stage in story.before.stages} == {"to train", "to merge", "to evaluate"}


def test_each_stage_is_made_once_through_failure_and_interrupt(story: Story) -> None:
    names = [f"{target}.{name}" for target in TARGETS for name in (*EXPRESSIONS, "none")]
    assert sorted(story.trained) == sorted(["mnli", "squad", *names, *names])
    made = [artifact.id for artifact in Store(story.home).all()]
    assert sorted(made) == sorted(stage.artifact for stage in story.before.stages)
    assert len(made) == 14 + 1 + 12


def test_a_failure_names_the_composition_and_keeps_what_was_finished(story: Story) -> None:
    assert story.failed == (
        "mnli+squad → xnli (1 of 4) failed: The loss is not finite. What was finished before is kept; the same "
        "command goes on from there."
    )
    assert sorted(story.after_failure) == ["mnli", "squad", "xnli.mnli+squad"]


def test_all_is_in_the_store_afterwards_and_its_times_are_known(story: Story) -> None:
    assert [stage.artifact for stage in story.after.stages] == [stage.artifact for stage in story.before.stages]
    assert {stage.state for stage in story.after.stages} == {"in store"}
    assert all(stage.seconds is not None for stage in story.after.stages)
    assert story.after.to_do == ()


def test_each_cell_is_what_compose_returns(story: Story, common: dict[str, Any]) -> None:
    labels = [(one.composition, one.target.name) for one in story.grid.transfers]
    assert labels == [(name, target) for target in TARGETS for name in EXPRESSIONS]
    before = kept_in(story.home)
    alone = compose(
        "avg(mnli, squad)", target="xquad", **common, store=story.home, seeds=(0, 1), max_eval_examples=10
    ).to_json()
    cell = story.grid.transfers[3].to_json()
    assert cell.pop("stages") != alone.pop("stages")
    assert cell == alone
    assert kept_in(story.home) == before


def test_the_table_has_means_and_costs(story: Story) -> None:
    grid = story.grid
    assert (grid.compositions, grid.targets) == (tuple(EXPRESSIONS), tuple(TARGETS))
    assert [row.metric for row in grid.rows] == ["accuracy", "accuracy", "f1", "f1"]
    kept = {artifact.manifest["name"]: 0.0 for artifact in Store(story.home).all()}
    for artifact in Store(story.home).all():
        kept[artifact.manifest["name"]] += artifact.manifest["resources"]["wall_seconds"]
    for row, transfer in zip(grid.rows, grid.transfers, strict=True):
        assert row.mean == transfer.comparison.mean
        assert row.parameters == transfer.artifacts[0].manifest["resources"]["trained_parameters"] > 0
        merged = ["avg(mnli, squad)"] if row.composition == "avg(mnli, squad)" else []
        own = f"{row.target}.{row.composition}"
        assert row.seconds == pytest.approx(sum(kept[name] for name in ("mnli", "squad", *merged, own, f"{own}.test")))
    both = total(row.times for row in grid.rows if row.composition == "mnli+squad")
    alone = [kept[f"{target}.mnli+squad{end}"] for target in TARGETS for end in ("", ".test")]
    assert both == pytest.approx(kept["mnli"] + kept["squad"] + sum(alone))
    assert total([{"one": 1.0, "other": None}]) is None
    assert grid.rows[0].parameters > grid.rows[1].parameters  # a fusion is trained, a merge is not


def test_the_document(story: Story) -> None:
    document = story.grid.to_json()
    validate(document, "compose_grid")
    assert document["cells"] == [transfer.to_json() for transfer in story.grid.transfers]
    row, cell = document["table"][2], document["cells"][2]
    assert (row["composition"], row["target"], row["metric"]) == ("mnli+squad", "xquad", "f1")
    assert {name: row[name] for name in ("score", "baseline", "delta", "interval", "deviation")} == cell["summary"][
        "mean"
    ]


def test_the_baseline_alone_and_retrieval_in_a_table(story: Story, common: dict[str, Any]) -> None:
    options = {**common, "store": story.home, "languages": "en", "max_eval_examples": 5}
    grid = compose_all(["none", "squad"], ["xnli"], **options)
    assert grid.rows[0].mean.delta is None
    assert grid.rows[0].seconds is not None
    retrieval = compose_all(["squad"], ["tatoeba"], **{**common, "store": story.home, "settings": {"max_length": 64}})
    assert (retrieval.rows[0].parameters, retrieval.rows[0].metric) == (0, "accuracy")


def test_compositions_without_adapters_in_the_lowest_layers_are_evaluated_together_at_the_end(
    copy: Path, common: dict[str, Any], tmp_path: Path
) -> None:
    options = {**common, "settings": {**common["settings"], "drop_layers": "0"}, "max_eval_examples": 10}
    order: list[str] = []

    class Told(Reporter):
        def begin(self, title: str, total: int) -> None:
            order.append(title)

    apart = Path(shutil.copytree(copy, tmp_path / "apart"))
    grid = compose_all(["squad", "none"], ["xnli", "panx"], **options, store=copy, reporter=Told())
    made = [title for title in order if title.startswith(("Training", "Evaluating"))]
    assert [title.partition(" ")[0] for title in made] == ["Training"] * 4 + ["Evaluating"] * 2
    assert made[4] == "Evaluating 2 compositions in 4 languages"
    labels = [(one.composition, one.target.name) for one in grid.transfers]
    assert labels == [("squad", "xnli"), ("none", "xnli"), ("squad", "panx"), ("none", "panx")]
    for cell in grid.transfers:
        alone = compose(cell.composition, target=cell.target.name, **options, store=apart)
        assert [item.id for item in alone.evaluations] == [item.id for item in cell.evaluations]
        assert alone.comparison.to_json() == cell.comparison.to_json()
        assert cell.evaluations[0].manifest["evaluated_together"] == 2
