"""Ways to compose beside stack and fusion, from the text of the expression to the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from calling import validate
from safetensors.torch import load_file
from stores import kept_in
from toy_stages import TINY

from adapterstilts.errors import ArtifactError, ExpressionError, SettingsError, UnknownNameError
from adapterstilts.evaluation.kept import predictions_file
from adapterstilts.models.saved import read_adapter, read_composition
from adapterstilts.store.artifacts import Store
from adapterstilts.store.portable import foreign_manifest
from adapterstilts.studies.exporting import export
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.plans import plan_grid
from adapterstilts.studies.prediction import predict
from adapterstilts.studies.sharing import push
from adapterstilts.studies.transfer import compose, evaluate, train_intermediate
from adapterstilts.training.mix_trainer import MixTrainer


@pytest.mark.parametrize(
    ("expression", "drawing"),
    [
        ("avg(mnli, 0.5*squad)", "Stack(avg_mnli_squad_{}, xnli) → classification head 'xnli'"),
        ("ties(mnli, squad; density=0.5)", "Stack(ties_mnli_squad_{}, xnli) → classification head 'xnli'"),
        ("chain(squad)", "Stack(xnli) → classification head 'xnli'"),
        ("chain(avg(mnli, squad))", "Stack(xnli) → classification head 'xnli'"),
        ("avg(mnli, squad)+squad", "Stack(Fuse(avg_mnli_squad_{}, squad), xnli) → classification head 'xnli'"),
    ],
)
def test_each_way_is_trained_evaluated_and_evaluated_again(
    expression: str, drawing: str, composed: Transfer, copy: Path, common: dict[str, Any], no_network: None
) -> None:
    made = compose(expression, target="xnli", **common, store=copy, max_eval_examples=15)
    assert made.composition == expression
    assert made.same_training_data == (("mnli",) if "mnli" in expression else ())
    (artifact,) = made.artifacts
    merged = Store(copy).all("merged")
    names = [read_adapter(item)[0] for item in merged]
    drawn = read_composition(artifact).drawing()
    assert drawn == drawing.format(names[0].rsplit("_", 1)[1] if names else "")
    assert [stage["kind"] for stage in made.stages].count("merged") == len(merged)
    assert set(made.comparison.languages) == set(composed.comparison.languages)
    again = evaluate(artifact.id, store=copy, data_root=common["data_root"], max_eval_examples=15)
    assert again.composition == expression
    assert {code: cell.score for code, cell in again.comparison.languages.items()} == {
        code: cell.score for code, cell in made.comparison.languages.items()
    }
    before = kept_in(copy)
    assert (
        compose(expression, target="xnli", **common, store=copy, max_eval_examples=15).stages[-1]["state"] == "reused"
    )
    assert kept_in(copy) == before


def test_a_merge_under_a_target_is_used_as_it_was_made(copy: Path, common: dict[str, Any]) -> None:
    made = compose("avg(mnli, squad)", target="xnli", **common, store=copy, max_eval_examples=5)
    (merged,) = Store(copy).all("merged")
    name, _ = read_adapter(merged)
    own = load_file(merged.path / f"adapters/{name}.safetensors")
    below = load_file(made.artifacts[0].path / f"adapters/{name}.safetensors")
    assert own.keys() == below.keys()
    assert all(torch.equal(own[key], below[key]) for key in own)


def test_a_merge_of_lora_by_its_updates(common: dict[str, Any], tmp_path: Path) -> None:
    settings = TINY | {"adapter": "lora"}
    for task in ("mnli", "squad"):
        train_intermediate(task, **common | {"settings": settings}, store=tmp_path)
    made = compose(
        "svd(mnli, squad; rank=2)",
        target="xnli",
        **common | {"settings": settings},
        store=tmp_path,
        max_eval_examples=5,
    )
    (merged,) = Store(tmp_path).all("merged")
    assert read_adapter(merged)[1]["r"] == 2
    assert made.stages[2]["state"] == "merged"


def test_a_merge_serves_retrieval(copy: Path, common: dict[str, Any]) -> None:
    used = common | {"settings": {"batch_size": 4, "max_length": 32}}
    made = compose("avg(mnli, squad)", target="tatoeba", **used, store=copy, max_eval_examples=5, layer="1")
    assert made.composition == "avg(mnli, squad)"
    with pytest.raises(ExpressionError, match=r"'chain\(squad\)' tells where the target adapter starts"):
        compose("chain(squad)", target="tatoeba", **used, store=copy, layer="1")


@pytest.mark.parametrize(
    ("expression", "use", "says"),
    [
        ("svd(mnli, squad)", (), "svd merges the updates of LoRA, and 'mnli' is none"),
        ("svd(mnli, squad)+qqp", (), "svd merges the updates of LoRA"),
        ("ties(mnli, squad)", (("mnli", 1),), "these adapters began with different seeds"),
    ],
)
def test_what_cannot_be_merged_is_told_before_anything_is_trained(
    expression: str,
    use: tuple[tuple[str, int], ...],
    says: str,
    copy: Path,
    common: dict[str, Any],
    no_training: None,
) -> None:
    kept = Store(copy)
    ids = [
        item.id
        for item in kept.all("intermediate")
        if (item.manifest["task"], item.manifest["settings"]["seed"]) in use
    ]
    with pytest.raises(ExpressionError, match=says):
        compose(expression, target="xnli", **common, store=copy, use=ids)


def test_a_merged_adapter_has_no_head_to_evaluate(copy: Path, common: dict[str, Any]) -> None:
    compose("avg(mnli, squad)", target="xnli", **common, store=copy, max_eval_examples=5)
    (merged,) = Store(copy).all("merged")
    with pytest.raises(ArtifactError, match="is of kind 'merged'; only adapters and compositions can be evaluated"):
        evaluate(merged.id, store=copy, data_root=common["data_root"])


# One adapter trained on several tasks


def test_a_mix_is_trained_once_and_stands_where_an_adapter_may(
    copy: Path, common: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {item.id for item in Store(copy).all("intermediate")}
    made = compose("mix(mnli, qqp)+squad", target="xnli", **common, store=copy, max_eval_examples=5)
    (mixed,) = Store(copy).all("mixed")
    name, config = read_adapter(mixed)
    assert read_composition(made.artifacts[0]).drawing() == (
        f"Stack(Fuse({name}, squad), xnli) → classification head 'xnli'"
    )
    assert made.same_training_data == ("mnli",)
    assert [(stage["kind"], stage["state"]) for stage in made.stages[:2]] == [
        ("intermediate", "reused"),
        ("mixed", "trained"),
    ]
    assert {item.id for item in Store(copy).all("intermediate")} == before, "no adapter of mnli or qqp is needed"
    # mnli: 2 epochs of 60 rows, 32 a batch; qqp: 3. The settings of the target are no settings of the mix.
    assert mixed.manifest["settings"]["steps"] == 2 * 2 + 3 * 2
    assert config == read_adapter(Store(copy).get(made.artifacts[0].manifest["inputs"][1]))[1]

    validate({"path": str(mixed.path), **mixed.manifest}, "runs")
    validate(made.to_json(), "compose")

    monkeypatch.setattr(MixTrainer, "fit", lambda *_: pytest.fail("trained a second time"))
    merged = compose("chain(avg(mix(mnli, qqp), squad))", target="xnli", **common, store=copy, max_eval_examples=5)
    assert [(stage["kind"], stage["state"]) for stage in merged.stages[:3]] == [
        ("intermediate", "reused"),
        ("mixed", "reused"),
        ("merged", "merged"),
    ]
    (artifact,) = Store(copy).all("merged")
    validate({"path": str(artifact.path), **artifact.manifest}, "runs")
    used = common | {"settings": {"batch_size": 4, "max_length": 32}}
    searched = compose("mix(mnli, qqp)", target="tatoeba", **used, store=copy, max_eval_examples=5, layer="1")
    assert searched.artifacts[0].id == mixed.id
    with pytest.raises(ArtifactError, match="is of kind 'mixed'; --use takes adapters of one task"):
        compose("mix(mnli, qqp)", target="xnli", **common, store=copy, use=(mixed.id,))


@pytest.mark.parametrize(
    ("expression", "options", "error", "says"),
    [
        (
            "mix(mnli, qqp)",
            {"train_missing": False},
            ArtifactError,
            r"has no adapter for mix\(mnli, qqp\) .*--no-train",
        ),
        ("mix(mnli, qqp)", {"use": ("squad",)}, ArtifactError, r"which 'mix\(mnli, qqp\)' does not name\."),
        ("mix(squad, qqp)", {"use": ("squad",)}, ArtifactError, "does not name but in a mix, where it is trained anew"),
        ("mix(mnli, squad)", {}, SettingsError, r"'squad' in 'mix\(mnli, squad\)' has inputs of 384 tokens"),
        ("mix(mnli, nonesuch)", {}, UnknownNameError, "nonesuch"),
        ("mix(mnli, xnli)", {}, UnknownNameError, "'xnli' is a target task"),
        ("svd(mix(mnli, qqp), mnli)", {}, ExpressionError, r"svd merges the updates of LoRA, and 'mix\(mnli, qqp\)'"),
    ],
)
def test_what_is_wrong_with_a_mix_is_told_before_anything_is_trained(
    expression: str,
    options: dict[str, Any],
    error: type[Exception],
    says: str,
    copy: Path,
    common: dict[str, Any],
    no_training: None,
) -> None:
    with pytest.raises(error, match=says):
        compose(expression, target="xnli", **common, store=copy, **options)


# Averaged answers


def test_an_ensemble_is_made_of_what_each_part_is_trained_to_and_used_like_it(
    composed: Transfer, copy: Path, common: dict[str, Any], tmp_path: Path
) -> None:
    expression = "ensemble(mnli+squad, chain(avg(mnli, squad)), none)"
    made = compose(expression, target="xnli", **common, store=copy, seeds=(0, 1))
    assert made.composition == expression
    assert made.same_training_data == ("mnli",)
    told = [(stage["kind"], stage["name"], stage["state"], stage["seed"]) for stage in made.stages]
    of_seed = [
        [
            ("target", "xnli.mnli+squad", "reused", seed),
            ("target", "xnli.chain(avg(mnli, squad))", "trained", seed),
            ("target", "xnli.none", "reused", seed),
        ]
        for seed in (0, 1)
    ]
    assert told == [
        ("intermediate", "mnli", "reused", 0),
        ("intermediate", "squad", "reused", 0),
        ("merged", "avg(mnli, squad)", "merged", 0),
        *of_seed[0],
        *of_seed[1],
        *(("ensemble", f"xnli.{expression}", "joined", seed) for seed in (0, 1)),
        *(("target", "xnli.none", "reused", seed) for seed in (0, 1)),
        *(("evaluation", f"xnli.{expression}.test", "evaluated", None),) * 2,
        *(("evaluation", "xnli.none.test", "evaluated", None),) * 2,
    ]
    for number, ensemble in enumerate(made.artifacts):
        fusion, chain, none = ensemble.manifest["inputs"]
        assert (fusion, none) == (composed.artifacts[number].id, composed.baselines[number].id)
        assert Store(copy).get(chain).manifest["settings"]["seed"] == number
        validate({"path": str(ensemble.path), **ensemble.manifest}, "runs")
    validate(made.to_json(), "compose")

    before = kept_in(copy)
    turned = compose("ensemble(none, chain(avg(mnli, squad)), mnli+squad)", target="xnli", **common, store=copy)
    assert turned.artifacts == made.artifacts[:1], "the order has no effect"
    assert {stage["state"] for stage in turned.stages} == {"reused"}
    assert kept_in(copy) == before

    again = evaluate(made.artifacts[0].id, store=copy, data_root=common["data_root"])
    assert (again.composition, again.evaluations) == (expression, made.evaluations[:1])
    assert again.baselines == made.baselines[:1], "the baseline is found"
    validate(again.to_json(), "evaluate")

    rows = [json.dumps(row) for row in ({"text": "the cat sees a tree", "text_pair": "indeed a tree"},) * 2]
    (first, second) = predict(made.artifacts[0].id, rows, store=copy)
    assert first["answer"] == second["answer"] in ("entailment", "neutral", "contradiction")

    exported = export([made.artifacts[0].id], tmp_path / "out", partial=True, store=copy, data_root=common["data_root"])
    assert exported.tasks[0].of == made.artifacts[0].id
    lines = (tmp_path / "out" / "xnli" / "test-de.tsv").read_text(encoding="utf-8").splitlines()
    records = made.evaluations[0].read_lines(predictions_file("de"))
    assert [line.split("\t")[-1] for line in lines] == [record["answer"] for record in records]


@pytest.mark.parametrize(
    ("expression", "options", "error", "says"),
    [
        ("ensemble(mnli, mnli)", {}, ExpressionError, "'mnli' stands here a second time"),
        ("ensemble(mnli, nonesuch)", {}, UnknownNameError, "nonesuch"),
        ("ensemble(mnli, qqp)", {"train_missing": False}, ArtifactError, "has no adapter for qqp"),
        ("ensemble(none, svd(mnli, squad))", {}, ExpressionError, "svd merges the updates of LoRA"),
        (
            "ensemble(mnli, squad)",
            {"target": "tatoeba", "settings": {"max_length": 32}},
            ExpressionError,
            "it compares the vectors of one encoder. Name one part: 'mnli' or 'squad'",
        ),
    ],
)
def test_what_is_wrong_with_an_ensemble_is_told_before_anything_is_trained(
    expression: str,
    options: dict[str, Any],
    error: type[Exception],
    says: str,
    copy: Path,
    common: dict[str, Any],
    no_training: None,
) -> None:
    before = kept_in(copy)
    with pytest.raises(error, match=says):
        compose(expression, **{"target": "xnli", **common, "store": copy, **options})
    assert kept_in(copy) == before


def test_parts_of_an_ensemble_that_cannot_be_fused_are_told_before_anything_is_trained(
    common: dict[str, Any], store: Store, no_training: None
) -> None:
    settings = TINY | {"adapter": "lora"}
    with pytest.raises(ExpressionError, match="only bottleneck adapters"):
        compose("ensemble(none, mnli+hellaswag)", target="xnli", **common | {"settings": settings}, store=store.home)
    assert kept_in(store.home) == []


# Searched weights


def test_a_search_starts_from_the_target_on_the_average_and_is_used_like_any_target(
    composed: Transfer, copy: Path, common: dict[str, Any]
) -> None:
    expression = "search(mnli, squad; budget=4)"
    planned = plan_grid([expression], ["xnli"], **common, store=copy, max_eval_examples=15)
    made = compose(expression, target="xnli", **common, store=copy, max_eval_examples=15)
    assert made.composition == expression
    assert made.same_training_data == ("mnli",)
    told = [(stage["kind"], stage["name"], stage["state"]) for stage in made.stages]
    assert told == [
        ("intermediate", "mnli", "reused"),
        ("intermediate", "squad", "reused"),
        ("merged", "avg(mnli, squad)", "merged"),
        ("target", "xnli.avg(mnli, squad)", "trained"),
        ("target", f"xnli.{expression}", "searched"),
        ("target", "xnli.none", "reused"),
        ("evaluation", f"xnli.{expression}.test", "evaluated"),
        ("evaluation", "xnli.none.test", "reused"),
    ]
    states = {"reused": "in store", "trained": "to train", "evaluated": "to evaluate"}
    states |= {"merged": "to merge", "searched": "to search"}
    assert [(stage.kind, stage.name, stage.state) for stage in planned.stages] == [
        (kind, name, states[state]) for kind, name, state in told
    ]
    assert [stage.artifact for stage in planned.stages] == [stage["artifact"] for stage in made.stages]
    validate(planned.to_json(), "compose_plan")
    validate(made.to_json(), "compose")
    (artifact,) = made.artifacts
    validate({"path": str(artifact.path), **artifact.manifest}, "runs")
    assert made.baselines[0].id == composed.baselines[0].id

    again = evaluate(artifact.id, store=copy, data_root=common["data_root"], max_eval_examples=15)
    assert (again.composition, again.evaluations) == (expression, made.evaluations)
    assert again.baselines == made.baselines, "the baseline is found"
    (answer,) = predict(artifact.id, [json.dumps({"text": "the cat sees a tree", "text_pair": "a tree"})], store=copy)
    assert answer["answer"] in ("entailment", "neutral", "contradiction")
    before = kept_in(copy)
    again = compose(expression, target="xnli", **common, store=copy, max_eval_examples=15)
    assert {stage["state"] for stage in again.stages} == {"reused"}
    assert kept_in(copy) == before
    pushed = push(artifact.id, "alice/searched", dry_run=copy.parent / "pushed", store=copy)
    assert "of `mnli`" in pushed.card
    assert foreign_manifest(copy.parent / "pushed")["search"] == artifact.manifest["search"]


@pytest.mark.parametrize(
    ("expression", "options", "says"),
    [
        ("search(mnli, mnli)", {}, "'mnli' stands here a second time"),
        ("search(mnli, svd(mnli, squad))", {}, "svd merges the updates of LoRA"),
        (
            "search(mnli, squad)",
            {"target": "tatoeba", "settings": {"max_length": 32}},
            r"and 'tatoeba' trains nothing\. Say 'avg\(mnli, squad\)'\.",
        ),
    ],
)
def test_what_is_wrong_with_a_search_is_told_before_anything_is_trained(
    expression: str, options: dict[str, Any], says: str, copy: Path, common: dict[str, Any], no_training: None
) -> None:
    before = kept_in(copy)
    with pytest.raises(ExpressionError, match=says):
        compose(expression, **{"target": "xnli", **common, "store": copy, **options})
    assert kept_in(copy) == before
