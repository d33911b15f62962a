"""Adapters trained on several tasks at once: made once, of all tasks' batches, with a head each, like any adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_stages import MakeStage, artifact_of, weights

from adapterstilts.errors import ExpressionError, SettingsError
from adapterstilts.models.backbone import build, identify, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.expression import Merge, Mix, Nothing
from adapterstilts.models.grammar import parse
from adapterstilts.models.saved import load_headless, read_adapter, read_composition
from adapterstilts.models.shared import build_shared
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.own_tasks import own_text
from adapterstilts.tasks.formats.base import HeadSpec
from adapterstilts.training import mixes, together
from adapterstilts.training.merges import MergeStage
from adapterstilts.training.mixes import MixStage, run_mix
from adapterstilts.training.stages import run_stage
from adapterstilts.training.trainer import StiltsTrainer


def mix(stage: MakeStage, text: str, own: dict[str, dict[str, Any]] | None = None, **settings: Any) -> MixStage:
    """A mix of toy tasks; ``own`` are settings of one task, the others are of all."""
    parsed = parse(text)
    assert isinstance(parsed, Mix)
    return MixStage(parsed, tuple(stage(name, **settings | (own or {}).get(name, {})) for name in parsed.names))


@pytest.fixture(scope="module")
def shared(stage: MakeStage, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with ``mix(mnli, squad)``. Tests only read it."""
    kept = Store(tmp_path_factory.mktemp("mixes"))
    run_mix(mix(stage, "mix(mnli, squad)"), kept)
    return kept


def test_a_mix_is_trained_once(stage: MakeStage, shared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing may be loaded or trained")

    monkeypatch.setattr(mixes, "load_backbone", never)
    monkeypatch.setattr(StiltsTrainer, "fit", never)
    again = run_mix(mix(stage, "mix(mnli, squad)"), shared)
    (made,) = shared.all("mixed")
    assert again.reused
    assert again.artifact.id == made.id
    assert again.to_json() | {"seconds": 0} == {
        "kind": "mixed",
        "name": "mix(mnli, squad)",
        "artifact": made.id,
        "state": "reused",
        "seconds": 0,
        "seed": 0,
    }


def test_the_manifest_tells_what_went_into_it(shared: Store) -> None:
    (made,) = shared.all("mixed")
    manifest = made.manifest
    assert manifest["tasks"] == ["mnli", "squad"]
    mixture = manifest["mixture"]
    assert {name: part["data"]["train"]["rows"] for name, part in mixture.items()} == {"mnli": 60, "squad": 60}
    assert {name: part["share"] for name, part in mixture.items()} == {"mnli": 0.5, "squad": 0.5}
    assert sum(part["batches"] for part in mixture.values()) == manifest["settings"]["steps"] == 6  # 3 of each recipe
    assert all(part["batches"] > 0 for part in mixture.values())
    by_task = manifest["metrics"]["by_task"]
    assert {name: next(iter(scores)) for name, scores in by_task.items()} == {"mnli": "accuracy", "squad": "f1"}
    mains = [next(iter(scores.values())) for scores in by_task.values()]
    assert manifest["metrics"]["validation"] == {"mean": pytest.approx(sum(mains) / 2)}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(
    stage: MakeStage, shared: Store, store: Store
) -> None:
    (first,) = shared.all("mixed")
    again = run_mix(mix(stage, "mix(mnli, squad)"), store).artifact
    other = run_mix(mix(stage, "mix(mnli, squad)", seed=1), store).artifact
    name, _ = read_adapter(first)
    assert set(weights(first)) == {f"{part}.safetensors" for part in (f"adapters/{name}", "heads/mnli", "heads/squad")}
    assert weights(first) == weights(again)
    assert first.read_lines("curve.jsonl") == again.read_lines("curve.jsonl")
    assert all(weights(other)[part] != data for part, data in weights(first).items())


def test_both_heads_learn_and_each_has_its_curve(stage: MakeStage, store: Store) -> None:
    learning = {"learning_rate": 1e-2, "batch_size": 16, "steps": 150, "evaluations": 3, "reduction_factor": 2}
    made = run_mix(mix(stage, "mix(squad, hellaswag)", **learning), store).artifact
    curve = made.read_lines("curve.jsonl")
    for task in ("squad", "hellaswag"):
        losses = [record["loss"] for record in curve if record.get("task") == task]
        assert len(losses) > 30
        assert sum(losses[-8:]) < 0.8 * sum(losses[:8]), task
    batches = made.manifest["mixture"]
    for task, part in batches.items():
        assert sum(record["batches"] for record in curve if record.get("task") == task) == part["batches"]
    means = {record["step"]: record["validation_mean"] for record in curve if "validation_mean" in record}
    assert len(means) == 3
    best = made.manifest["metrics"]
    assert best["validation"]["mean"] == max(means.values()) == means[best["best_step"]]
    assert best["by_task"]["squad"]["f1"] > 25  # the best single guess gives about 10
    assert best["by_task"]["hellaswag"]["accuracy"] > 35  # four choices


def test_the_loss_of_all_is_the_mean_of_the_tasks(stage: MakeStage, store: Store) -> None:
    curve = run_mix(mix(stage, "mix(mnli, squad)", steps=60), store).artifact.read_lines("curve.jsonl")
    for record in (record for record in curve if "loss" in record and "task" not in record):
        own = [each for each in curve if each["step"] == record["step"] and "task" in each]
        total = sum(each["batches"] for each in own)
        assert total == 2  # 120 steps, and about 50 points
        assert sum(each["loss"] * each["batches"] for each in own) / total == pytest.approx(record["loss"], abs=1e-3)


def test_the_adapter_starts_where_one_of_its_shape_and_seed_starts(
    stage: MakeStage, store: Store, toy_backbone_folder: Path
) -> None:
    """So that merges on task vectors may have it as a part."""
    made = run_mix(mix(stage, "mix(mnli, squad)", steps=4, learning_rate=1e-12), store).artifact
    name, config = read_adapter(made)
    composition = Composition(Nothing(), name, HeadSpec("classification", 2, ()), {name: config})
    fresh = build(load_backbone(str(toy_backbone_folder)), composition, seed=0).state(f"adapters/{name}")
    after = load_file(made.path / f"adapters/{name}.safetensors")
    assert after.keys() == fresh.keys()
    for key, tensor in fresh.items():
        torch.testing.assert_close(after[key], tensor, atol=1e-8, rtol=0)


def test_a_head_moves_only_in_batches_of_its_task(
    stage: MakeStage, store: Store, toy_backbone_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "_check_drawn", lambda *_: None)
    lopsided = mix(stage, "mix(mnli, 1000000*squad)", learning_rate=1e-2, weight_decay=0.5)
    made = run_mix(lopsided, store).artifact
    assert made.manifest["mixture"]["mnli"]["batches"] == 0
    _, parts = build_shared(load_backbone(str(toy_backbone_folder)), lopsided.compositions, seed=0)
    for name, moved in (("mnli", False), ("squad", True)):
        before, after = parts[name].state("head"), load_file(made.path / f"heads/{name}.safetensors")
        assert before.keys() == after.keys()
        assert {not torch.equal(before[key], after[key]) for key in before} == {moved}


# Under a target


def test_a_target_stands_on_it_and_leaves_it_alone(stage: MakeStage, shared: Store, store: Store) -> None:
    (made,) = shared.all("mixed")
    name, _ = read_adapter(made)
    target = run_stage(stage("xnli", "mix(mnli, squad)", inputs=(made,), learning_rate=1e-2), store).artifact
    assert read_composition(target).drawing() == f"Stack({name}, xnli) → classification head 'xnli'"
    own, below = (load_file(item.path / f"adapters/{name}.safetensors") for item in (made, target))
    assert own.keys() == below.keys()
    assert all(torch.equal(own[key], below[key]) for key in own)
    assert target.manifest["inputs"] == [made.id]


def test_it_can_be_merged_with_an_adapter_of_one_task(shared: Store, shelf: Store, toy_backbone_folder: Path) -> None:
    (made,) = shared.all("mixed")
    expression = parse("ties(mix(mnli, squad), mnli)")
    assert isinstance(expression, Merge)
    merge = MergeStage(expression, identify(str(toy_backbone_folder)), (made, artifact_of(shelf, "mnli")))
    assert merge.seed == 0
    assert all(bool(torch.isfinite(tensor).all()) for tensor in merge.merged(str(toy_backbone_folder)).values())


def test_it_is_loaded_without_its_heads(shared: Store, toy_backbone_folder: Path) -> None:
    (made,) = shared.all("mixed")
    name, _ = read_adapter(made)
    loaded = load_headless(made, load_backbone(str(toy_backbone_folder)))
    own = load_file(made.path / f"adapters/{name}.safetensors")
    assert all(torch.equal(tensor, own[key]) for key, tensor in loaded.state(f"adapters/{name}").items())


# What decides


def test_the_fingerprint_is_of_tasks_shares_and_settings(stage: MakeStage) -> None:
    texts = (
        "mix(mnli, squad)",
        "mix(squad, mnli)",
        "mix(1*mnli, 1*squad)",
        "mix(mnli, squad; temperature=2)",
        "mix(mnli, squad; cap=9)",
    )
    prints = {mix(stage, text).fingerprint for text in texts}
    prints |= {
        mix(stage, "mix(mnli, squad)", {"squad": change}).fingerprint for change in ({"steps": 4}, {"batch_size": 2})
    }
    prints.add(mix(stage, "mix(mnli, squad)", seed=1).fingerprint)
    assert len(prints) == 8
    assert mix(stage, "mix(mnli, squad)").fingerprint in prints


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mix(mnli, squad)", (0.75, 0.25)),
        ("mix(mnli, squad; temperature=2)", (3**0.5 / (3**0.5 + 1), 1 / (3**0.5 + 1))),
        ("mix(mnli, squad; cap=40)", (2 / 3, 1 / 3)),
        ("mix(mnli, 4*squad)", (0.2, 0.8)),
        ("mix(1*mnli, squad)", (0.5, 0.5)),
    ],
)
def test_shares_come_from_the_training_rows_or_the_weights(
    text: str, expected: tuple[float, float], stage: MakeStage
) -> None:
    made = mix(stage, text, {"squad": {"max_train_examples": 20}})
    assert made.shares == {name: pytest.approx(share) for name, share in zip(("mnli", "squad"), expected, strict=True)}


def test_one_optimiser_has_the_lowest_rate_and_rows_keep_the_settings_of_their_task(
    stage: MakeStage, store: Store
) -> None:
    own = {
        "mnli": {"learning_rate": 3e-3, "batch_size": 6, "evaluations": 2, "steps": None, "epochs": 1},
        "squad": {"learning_rate": 1e-3, "batch_size": 5, "max_length": 32, "steps": 7},
    }
    made = mix(stage, "mix(mnli, squad)", own)
    assert (made.settings.learning_rate, made.settings.evaluations) == (1e-3, 2)
    manifest = run_mix(made, store).artifact.manifest
    assert manifest["settings"]["steps"] == 60 / 6 + 7
    assert (
        manifest["mixture"]["squad"]["settings"] | {"max_length": 32, "batch_size": 5}
        == manifest["mixture"]["squad"]["settings"]
    )


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"adapter": "double_seq_bn"}, "adapter is seq_bn for 'mnli' and double_seq_bn for 'squad'"),
        ({"reduction_factor": 2}, "reduction_factor is None for 'mnli' and 2 for 'squad'"),
        ({"seed": 3}, "seed is 0 for 'mnli' and 3 for 'squad'"),
        ({"precision": "bf16"}, "precision is fp32 for 'mnli' and bf16 for 'squad'"),
    ],
)
def test_recipes_that_want_two_adapters_are_refused(own: dict[str, Any], says: str, stage: MakeStage) -> None:
    with pytest.raises(SettingsError, match=f"'mix\\(mnli, squad\\)' trains one adapter.*{says}"):
        mix(stage, "mix(mnli, squad)", {"squad": own})


@pytest.fixture
def text(tmp_path: Path) -> Iterator[Path]:
    """A text that says much the same again and again, which ``mlm`` learns from inside the test."""
    path = tmp_path / "text.txt"
    path.write_text("".join(f"the cat sees the house and the dog {number}\n" for number in range(60)), encoding="utf-8")
    with own_text([path], ["mix(mnli, mlm)"]):
        yield path


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize("order", ["mix(4*mnli, mlm)", "mix(mlm, 4*mnli)"])
def test_plain_text_is_mixed_in_at_a_rate(
    order: str, stage: MakeStage, store: Store, toy_backbone_folder: Path
) -> None:
    """The backbone's own head finds the hidden tokens, and stays as it is; perplexity is told and chooses nothing."""
    made = run_mix(mix(stage, order, steps=40, learning_rate=1e-2), store).artifact
    manifest = made.manifest
    mixture = manifest["mixture"]
    assert {name: part["share"] for name, part in mixture.items()} == {"mnli": 0.8, "mlm": 0.2}
    assert 0 < mixture["mlm"]["batches"] < mixture["mnli"]["batches"]
    assert mixture["mlm"]["data"]["train"]["texts"] == ["text.txt"]
    by_task = manifest["metrics"]["by_task"]
    assert manifest["metrics"]["validation"] == {"mean": by_task["mnli"]["accuracy"]}
    assert by_task["mlm"]["perplexity"] > 1
    name, _ = read_adapter(made)
    assert set(weights(made)) == {f"adapters/{name}.safetensors", "heads/mnli.safetensors"}
    losses = [record["loss"] for record in made.read_lines("curve.jsonl") if record.get("task") == "mlm"]
    assert sum(losses[-4:]) < sum(losses[:4])
    again = load_headless(made, load_backbone(str(toy_backbone_folder)))
    key, tensor = next(iter(again.state(f"adapters/{name}").items()))
    assert torch.equal(tensor, load_file(made.path / f"adapters/{name}.safetensors")[key])


@pytest.mark.usefixtures("text")
def test_a_mix_with_plain_text_writes_the_same_bytes(stage: MakeStage, store: Store, tmp_path: Path) -> None:
    first, again = (run_mix(mix(stage, "mix(mnli, mlm)"), kept).artifact for kept in (store, Store(tmp_path / "other")))
    assert weights(first) == weights(again)
    assert first.read_lines("curve.jsonl") == again.read_lines("curve.jsonl")


def test_an_adapter_that_does_not_fit_one_of_the_heads_is_refused(stage: MakeStage) -> None:
    with pytest.raises(ExpressionError, match="is prompt tuning"):
        mix(stage, "mix(mnli, squad)", adapter="prompt_tuning")


def test_a_task_whose_turn_never_comes_is_refused(stage: MakeStage, store: Store) -> None:
    with pytest.raises(SettingsError, match=r"trains for 6 steps, and in none of them 'mnli' is drawn.*1e-06"):
        run_mix(mix(stage, "mix(mnli, 1000000*squad)"), store)
    assert store.all() == []


def test_inputs_that_are_too_long_are_refused(stage: MakeStage) -> None:
    made = mix(stage, "mix(mnli, squad)", {"squad": {"max_length": 96}})
    made.check_length(96)
    with pytest.raises(SettingsError, match=r"'squad' in 'mix\(mnli, squad\)' has inputs of 96 tokens.*at most 64"):
        made.check_length(64)
