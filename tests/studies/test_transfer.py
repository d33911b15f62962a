"""From a request to a table: what is taken from the store, what is trained, and what is refused in time."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stores import dated, found, kept_in
from toy_stages import TINY

from adapterstilts.errors import (
    AdapterStiltsError,
    ArtifactError,
    ExpressionError,
    SettingsError,
    UnknownNameError,
)
from adapterstilts.models import saved
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.transfer import compose, evaluate, train_intermediate
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.trainer import StiltsTrainer


class Kept(Reporter):
    """Keeps messages."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def message(self, text: str) -> None:
        self.told.append(text)


# Composing


def test_each_seed_has_a_composition_and_a_baseline(composed: Transfer) -> None:
    assert composed.seeds == (0, 1)
    assert [item.manifest["settings"]["seed"] for item in composed.artifacts] == [0, 1]
    assert [item.manifest["settings"]["seed"] for item in composed.baselines] == [0, 1]
    assert {item.manifest["expression"] for item in composed.artifacts} == {"mnli+squad"}
    assert {item.manifest["expression"] for item in composed.baselines} == {"none"}
    assert len({item.id for item in (*composed.artifacts, *composed.baselines)}) == 4
    for system, baseline in zip(composed.artifacts, composed.baselines, strict=True):
        assert system.manifest["settings"] == baseline.manifest["settings"]
        assert system.manifest["data"] == baseline.manifest["data"]


def test_scores_are_means_over_the_seeds(composed: Transfer) -> None:
    kept = {item.manifest["of"]: item for item in Store(composed.artifacts[0].path.parents[2]).all("evaluation")}
    assert len(kept) == 4
    for code, cell in composed.comparison.languages.items():
        system = [kept[item.id].manifest["metrics"][code]["accuracy"] for item in composed.artifacts]
        baseline = [kept[item.id].manifest["metrics"][code]["accuracy"] for item in composed.baselines]
        assert cell.score == pytest.approx(statistics.mean(system), abs=1e-3)
        assert cell.baseline == pytest.approx(statistics.mean(baseline), abs=1e-3)
        assert cell.deviation == pytest.approx(statistics.stdev(system), abs=1e-3)
        assert cell.examples == 15


def test_intermediate_tasks_with_the_targets_rows_are_told(composed: Transfer) -> None:
    assert composed.same_training_data == ("mnli",)
    other = replace(composed, target=get_suite().task("xquad"), composition="mnli+squad2+squad")
    assert other.same_training_data == ("squad2", "squad")
    assert other.to_json()["same_training_data"] == ["squad2", "squad"]
    alone = replace(composed, target=get_suite().task("squad"), composition="squad")
    assert alone.same_training_data == ()  # an intermediate adapter on its own task


def test_languages_that_the_data_lacks_are_reported(composed: Transfer) -> None:
    assert list(composed.comparison.languages) == ["en", "de", "sw", "zh"]
    assert set(composed.comparison.missing) == {"ar", "bg", "el", "es", "fr", "hi", "ru", "th", "tr", "ur", "vi"}


def test_stages_tell_what_was_done(composed: Transfer) -> None:
    told = [(stage["kind"], stage["name"], stage["state"], stage["seed"]) for stage in composed.stages]
    assert told == [
        ("intermediate", "mnli", "reused", 0),
        ("intermediate", "squad", "reused", 0),
        ("target", "xnli.mnli+squad", "trained", 0),
        ("target", "xnli.mnli+squad", "trained", 1),
        ("target", "xnli.none", "trained", 0),
        ("target", "xnli.none", "trained", 1),
        ("evaluation", "xnli.mnli+squad.test", "evaluated", None),
        ("evaluation", "xnli.mnli+squad.test", "evaluated", None),
        ("evaluation", "xnli.none.test", "evaluated", None),
        ("evaluation", "xnli.none.test", "evaluated", None),
    ]


@pytest.mark.usefixtures("no_training")
def test_the_same_call_again_takes_everything_from_the_store(
    composed: Transfer, shelf: Path, common: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapterstilts.evaluation import answering

    monkeypatch.setattr(answering, "load_backbone_of", saved.read_composition)  # of no use to anyone
    before = kept_in(shelf)
    again = compose("mnli+squad", target="xnli", **common, store=shelf, seeds=(0, 1), max_eval_examples=15)
    assert {stage["state"] for stage in again.stages} == {"reused"}
    first, second = composed.to_json(), again.to_json()
    assert first.pop("stages") != second.pop("stages")
    assert first == second
    assert kept_in(shelf) == before


def test_the_baseline_is_shared_by_compositions(composed: Transfer, copy: Path, common: dict[str, Any]) -> None:
    made = compose("squad", target="xnli", **common, store=copy, max_eval_examples=15)
    assert [item.id for item in made.baselines] == [composed.baselines[0].id]
    states = {stage["name"]: stage["state"] for stage in made.stages}
    assert (states["xnli.squad"], states["xnli.none"]) == ("trained", "reused")


def test_no_intermediate_task_is_the_baseline_itself(composed: Transfer, copy: Path, common: dict[str, Any]) -> None:
    made = compose("none", target="xnli", **common, store=copy, max_eval_examples=15)
    assert [item.id for item in made.artifacts] == [composed.baselines[0].id]
    assert made.baselines == ()
    assert made.comparison.mean.delta is None
    assert made.to_json()["baseline_artifacts"] == []


def test_only_the_languages_asked_for(copy: Path, common: dict[str, Any], composed: Transfer) -> None:
    made = compose(
        "mnli+squad", target="xnli", **common, store=copy, languages="sw,en", seeds=(0, 1), max_eval_examples=15
    )
    assert list(made.comparison.languages) == ["en", "sw"]
    assert made.comparison.missing == ()
    for code, cell in made.comparison.languages.items():
        assert cell.score == composed.comparison.languages[code].score


# Which intermediate adapter


def test_the_newest_adapter_is_chosen_and_told(copy: Path, common: dict[str, Any]) -> None:
    for newest, other in ((1, 0), (0, 1)):
        dated(Store(copy), "mnli", newest, "2031-01-01T00:00:00+00:00")
        dated(Store(copy), "mnli", other, "2030-01-01T00:00:00+00:00")
        reporter = Kept()
        made = compose(
            "mnli", target="xnli", **common, store=copy, languages="en", max_eval_examples=5, reporter=reporter
        )
        chosen = found(Store(copy), "mnli", newest).id
        assert made.artifacts[0].manifest["inputs"] == [chosen]
        assert any(f"{chosen}, the newest of 2; choose another with --use ID" in text for text in reporter.told)


def test_an_adapter_can_be_chosen_by_id(copy: Path, common: dict[str, Any]) -> None:
    older = found(Store(copy), "mnli", 1)
    made = compose(
        "mnli+squad", target="xnli", **common, store=copy, use=[older.id], languages="en", max_eval_examples=5
    )
    squad = found(Store(copy), "squad", 0)
    assert made.artifacts[0].manifest["inputs"] == [older.id, squad.id]
    assert made.artifacts[0].manifest["identity"]["inputs"] == [older.fingerprint, squad.fingerprint]


def test_an_adapter_that_the_expression_does_not_name_is_refused(copy: Path, common: dict[str, Any]) -> None:
    squad = found(Store(copy), "squad", 0)
    with pytest.raises(ArtifactError, match=f"{squad.id}' is an adapter for 'squad', which 'mnli' does not name"):
        compose("mnli", target="xnli", **common, store=copy, use=[squad.id])
    with pytest.raises(ArtifactError, match="There is no artifact 'nothing'"):
        compose("mnli", target="xnli", **common, store=copy, use=["nothing"])


def test_an_adapter_of_another_shape_is_not_taken(copy: Path, common: dict[str, Any]) -> None:
    """The way an adapter is built concerns both stages, so that one of another reduction factor does not fit."""
    settings = TINY | {"reduction_factor": 8}
    with pytest.raises(ArtifactError, match="has no adapter for mnli"):
        compose("mnli", target="xnli", **common | {"settings": settings}, store=copy, train_missing=False)


def test_missing_adapters_are_trained_by_their_recipes(common: dict[str, Any], store: Store) -> None:
    settings = TINY | {"learning_rate": 3e-4, "reduction_factor": 8}
    made = compose(
        "hellaswag",
        target="xnli",
        **common | {"settings": settings},
        store=store.home,
        languages="en",
        max_eval_examples=5,
    )
    intermediate = found(store, "hellaswag", 0).manifest
    assert made.artifacts[0].manifest["inputs"] == [intermediate["id"]]
    assert intermediate["settings"]["learning_rate"] == 1e-4
    assert (intermediate["settings"]["epochs"], intermediate["settings"]["steps"]) == (7, None)
    assert intermediate["settings"]["reduction_factor"] == 8
    assert made.artifacts[0].manifest["settings"]["learning_rate"] == 3e-4


def test_adapters_that_may_not_be_trained_are_named_with_the_command(common: dict[str, Any], store: Store) -> None:
    with pytest.raises(ArtifactError) as caught:
        compose("mnli+squad", target="xnli", **common, store=store.home, train_missing=False)
    for name in ("mnli", "squad"):
        assert f"adapterstilts train-intermediate {name} --backbone {common['backbone']}" in str(caught.value)
    assert kept_in(store.home) == []


# Refused before anything is trained


@pytest.mark.parametrize(
    ("expression", "options", "kind", "says"),
    [
        ("mnli+", {}, ExpressionError, "a task name after"),
        ("mnly", {}, UnknownNameError, "'mnli'"),
        ("tydiqa", {}, UnknownNameError, "'tydiqa' is a target task"),
        ("mnli", {"target": "squad"}, UnknownNameError, "'squad' is an intermediate task"),
        ("mnli", {"target": "xnly"}, UnknownNameError, "'xnli'"),
        ("mnli", {"seeds": ()}, SettingsError, "--seeds is empty"),
        ("mnli", {"seeds": (0, 1, 0)}, SettingsError, "--seeds names a seed twice"),
        ("mnli", {"languages": "de,ja"}, UnknownNameError, "'ja'"),
        ("mnli", {"languages": "German"}, UnknownNameError, "is de"),
        ("mnli", {"languages": "th"}, AdapterStiltsError, "Thai"),
        ("mnli", {"split": "dev"}, SettingsError, "no split 'dev'"),
        ("mnli", {"max_eval_examples": 0}, SettingsError, "--max-eval-examples must be at least 1"),
        ("mnli", {"settings": TINY | {"epochs": -1.0}}, SettingsError, "--epochs"),
        ("mnli", {"settings": TINY | {"adapter": "seq_nb"}}, UnknownNameError, "'seq_bn'"),
        ("mnli", {"settings": {"nonsense": 1}}, UnknownNameError, "training setting"),
        ("mnli", {"data_root": "/no/such/folder"}, AdapterStiltsError, "--data-root"),
        ("mnli", {"backbone": "/no/such/folder"}, AdapterStiltsError, "There is no folder"),
        ("mnli+hellaswag", {"settings": TINY | {"adapter": "lora"}}, ExpressionError, "only bottleneck adapters"),
        ("mnli", {"settings": TINY | {"max_length": 129}}, SettingsError, "--max-length 129"),
        ("mnli+squad", {}, SettingsError, "--max-length 384"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(
    expression: str,
    options: dict[str, Any],
    kind: type[AdapterStiltsError],
    says: str,
    common: dict[str, Any],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained: list[str] = []
    plain = StiltsTrainer.fit

    def fit(self: StiltsTrainer) -> Any:
        trained.append(self.composed.composition.top)
        return plain(self)

    monkeypatch.setattr(StiltsTrainer, "fit", fit)
    # mnli without settings would be trained by its recipe, for some seconds; a few steps will do to see that it was.
    monkeypatch.setattr(
        "adapterstilts.training.recipes._read",
        lambda task: {"max_length": 384 if task.name == "squad" else 128, "steps": 1},
    )
    with pytest.raises(kind, match=says):
        compose(expression, **{"target": "xnli", **common, "store": store.home, **options})
    assert trained == []
    assert kept_in(store.home) == []


def test_adapters_of_the_store_that_cannot_be_fused_with_a_missing_one(
    common: dict[str, Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The missing one would be trained for hours, and the fusion refused then."""
    train_intermediate("mnli", **common | {"settings": TINY | {"adapter": "double_seq_bn"}}, store=store.home)
    before = kept_in(store.home)
    monkeypatch.setattr("adapterstilts.training.recipes._read", lambda task: {"max_length": 64, "steps": 1})
    with pytest.raises(ExpressionError, match="cannot be fused"):
        compose("mnli+hellaswag", target="xnli", **common, store=store.home)
    assert kept_in(store.home) == before


# One stage


@pytest.mark.usefixtures("no_training")
def test_an_intermediate_adapter_is_trained_once(shelf: Path, common: dict[str, Any]) -> None:
    result = train_intermediate("squad", **common, store=shelf)
    assert result.reused
    assert result.artifact.id == found(Store(shelf), "squad", 0).id


def test_a_target_is_no_intermediate_task(common: dict[str, Any], store: Store) -> None:
    with pytest.raises(UnknownNameError, match="'xnli' is a target task; intermediate tasks are: mnli, squad"):
        train_intermediate("xnli", **common, store=store.home)


# Suites


@pytest.mark.usefixtures("toy_lab", "no_network")
def test_the_lab_needs_no_backbone_no_data_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERSTILTS_DATA_ROOT", str(tmp_path / "is not there"))
    lab: dict[str, Any] = {"suite": "lab", "store": tmp_path, "settings": TINY}
    trained = train_intermediate("squad", **lab)
    assert trained.artifact.manifest["backbone"]["id"] == "pico"
    made = compose("squad", target="tydiqa", **lab)
    assert list(made.comparison.languages) == ["qaa", "qac", "qab"]
    assert made.stages[0]["artifact"] == trained.artifact.id
    document = made.to_json()
    assert (document["suite"], document["backbone"]) == ("lab", "pico")
    assert [cell["distance"] for cell in document["languages"].values()] == [0.0, 0.25, 0.5]

    again = evaluate(made.artifacts[0].id, store=tmp_path)
    assert again.target == made.target
    assert again.baselines == made.baselines
    assert again.to_json()["languages"] == document["languages"]
    assert evaluate(made.artifacts[0].id, suite="lab", store=tmp_path).comparison == again.comparison
    with pytest.raises(ArtifactError, match="is of the suite 'lab', not of 'xtreme'"):
        evaluate(made.artifacts[0].id, suite="xtreme", store=tmp_path)
    with pytest.raises(UnknownNameError, match="no language code 'de'"):
        evaluate(made.artifacts[0].id, languages="de", store=tmp_path)
    with pytest.raises(UnknownNameError, match=r"'tydiqa' \(validation\) has: qaa"):
        evaluate(made.artifacts[0].id, languages="qab", split="validation", store=tmp_path)


@pytest.mark.usefixtures("toy_lab")
def test_an_adapter_of_another_suite_is_not_taken(copy: Path, common: dict[str, Any]) -> None:
    """The store has adapters for mnli and squad on this very backbone, but they learnt from other rows."""
    lab = common | {"suite": "lab", "store": copy}
    xtreme = found(Store(copy), "squad", 0)
    with pytest.raises(ArtifactError, match="train-intermediate squad --suite lab --backbone"):
        compose("squad", target="tydiqa", **lab, train_missing=False)
    with pytest.raises(ArtifactError, match=f"--use '{xtreme.id}' is of the suite 'xtreme', not of 'lab'"):
        compose("squad", target="tydiqa", **lab, use=[xtreme.id])
    trained = train_intermediate("squad", **lab)
    assert trained.artifact.id != xtreme.id
    kept = Kept()
    made = compose("squad", target="tydiqa", **lab, reporter=kept)
    assert made.stages[0]["artifact"] == trained.artifact.id
    assert f"squad: taken from the store, {trained.artifact.id}" in kept.told


def test_a_suite_that_does_not_exist(store: Store) -> None:
    with pytest.raises(UnknownNameError, match=r"'xtrem'.*'xtreme'"):
        train_intermediate("squad", suite="xtrem", store=store.home)
    with pytest.raises(UnknownNameError, match=r"'labs'.*'lab'"):
        compose("none", target="tydiqa", suite="labs", store=store.home)
