"""``--drop-layers``: in training, for target and baseline alike, and in one evaluation alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stores import found
from toy_stages import TINY

from adapterstilts.errors import ArtifactError, ExpressionError, SettingsError
from adapterstilts.models.saved import read_composition
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.exporting import export
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.transfer import compose, evaluate, train_intermediate
from adapterstilts.training.trainer import StiltsTrainer

DROPPED = TINY | {"drop_layers": "0"}


def test_target_and_baseline_drop_the_layers_and_adapters_come_from_the_store(
    copy: Path, common: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    fit = StiltsTrainer.fit

    def counted(trainer: StiltsTrainer) -> Any:
        trained.append(trainer.title)
        return fit(trainer)

    monkeypatch.setattr(StiltsTrainer, "fit", counted)
    made = compose(
        "mnli+squad", target="xnli", **common | {"settings": DROPPED}, store=copy, languages="en", max_eval_examples=15
    )
    assert trained == ["xnli.mnli+squad", "xnli.none"]
    for artifact in (*made.artifacts, *made.baselines):
        assert read_composition(artifact).left_out == {0}
        assert artifact.manifest["settings"]["drop_layers"] == "0"
    assert made.artifacts[0].manifest["inputs"] == [found(Store(copy), name, 0).id for name in ("mnli", "squad")]
    again = evaluate(
        made.artifacts[0].id, data_root=common["data_root"], store=copy, languages="en", max_eval_examples=15
    )
    assert [item.id for item in again.baselines] == [item.id for item in made.baselines]
    assert "drop_layers" not in again.to_json()
    with pytest.raises(SettingsError, match="has no adapters in these layers anyway"):
        evaluate(made.artifacts[0].id, data_root=common["data_root"], store=copy, drop_layers="0")


def test_an_adapter_without_a_layer_is_taken_only_where_the_layer_is_dropped(
    copy: Path, common: dict[str, Any]
) -> None:
    whole = found(Store(copy), "squad", 0)
    partial = train_intermediate("squad", **common | {"settings": DROPPED}, store=copy).artifact
    options: dict[str, Any] = {"target": "xnli", "store": copy, "languages": "en", "max_eval_examples": 5}
    plain = compose("squad", **common, **options)
    assert plain.artifacts[0].manifest["inputs"] == [whole.id]
    dropped = compose("squad", **common | {"settings": DROPPED}, **options)
    assert dropped.artifacts[0].manifest["inputs"] == [partial.id]
    with pytest.raises(ExpressionError, match="trained without the layers 0"):
        compose("squad", **common, **options, use=[partial.id])
    with pytest.raises(ExpressionError, match="differ in leave_out"):
        compose("avg(mnli, squad)", **common | {"settings": DROPPED}, **options, use=[partial.id])


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"drop_layers": "2"}, "has 2 layers, 0 to 1, and no layer 2"),
        ({"drop_layers": "0-1"}, "at least one has to keep its adapter"),
        ({"drop_layers": "1-0"}, "--drop-layers must be a list of layers"),
        ({"drop_layers": "0", "adapter": "prefix_tuning"}, "in one tensor"),
    ],
)
def test_what_cannot_be_dropped_is_refused_before_training(
    settings: dict[str, Any], says: str, shelf: Path, common: dict[str, Any]
) -> None:
    with pytest.raises((SettingsError, ExpressionError), match=says):
        compose("hellaswag", target="xnli", **common | {"settings": TINY | settings}, store=shelf)


@pytest.mark.usefixtures("no_training")
def test_an_evaluation_without_layers_is_one_of_its_own(copy: Path, common: dict[str, Any], composed: Transfer) -> None:
    options: dict[str, Any] = {"data_root": common["data_root"], "store": copy, "max_eval_examples": 15}
    whole = evaluate(composed.artifacts[0].id, **options)
    dropped = evaluate(composed.artifacts[0].id, **options, drop_layers="0,0")
    again = evaluate(composed.artifacts[0].id, **options, drop_layers="0-0")
    assert dropped.to_json()["drop_layers"] == "0"
    assert {stage["state"] for stage in whole.stages} == {"reused"}
    assert {stage["state"] for stage in dropped.stages} == {"evaluated"}
    assert {stage["state"] for stage in again.stages} == {"reused"}
    identities = [one.evaluations[0].manifest["identity"] for one in (whole, dropped)]
    assert identities[1] == identities[0] | {"drop_layers": "0"}
    answers = [one.evaluations[0].read_lines("predictions/en.jsonl") for one in (whole, dropped)]
    scores = [[record["score"] for record in of] for of in answers]
    assert scores[0] != scores[1]
    for layers, says in (("5", "no layer 5"), ("0-1", "at least one"), ("x", "must be a list of layers")):
        with pytest.raises(SettingsError, match=says):
            evaluate(composed.artifacts[0].id, **options, drop_layers=layers)


@pytest.mark.usefixtures("no_training")
def test_an_export_takes_the_evaluation_with_all_layers(
    copy: Path, common: dict[str, Any], composed: Transfer, tmp_path: Path
) -> None:
    artifact = composed.artifacts[0].id
    options: dict[str, Any] = {"data_root": common["data_root"], "store": copy}
    evaluate(artifact, **options, max_eval_examples=15, drop_layers="0")
    written = export([artifact], tmp_path / "out", partial=True, **options)
    assert [task.evaluation for task in written.tasks] == [composed.evaluations[0].id]
    chosen = evaluate(composed.artifacts[1].id, **options, drop_layers="0").evaluations[0].id
    with pytest.raises(ArtifactError, match="both of the task"):
        export([artifact, chosen], tmp_path / "both", partial=True, **options)
