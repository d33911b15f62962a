"""``--language-adapters madx`` with what else can be composed: ensembles, fusions, dropped layers, plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import validate
from stores import kept_in
from toy_stages import TINY

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import load_rows
from adapterstilts.errors import ArtifactError, ExpressionError, SettingsError
from adapterstilts.evaluation import answering
from adapterstilts.evaluation.answering import answers_of, encoding_settings
from adapterstilts.evaluation.fusion_attention import run_attention
from adapterstilts.evaluation.inference import mean_logits, predict_by_language
from adapterstilts.evaluation.scoring import decoded
from adapterstilts.evaluation.zero_shot import EvaluationRequest, task_of
from adapterstilts.models.backbone import load_backbone
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.languages import LanguageAdapter, own_language
from adapterstilts.models.saved import load_backbone_of, load_composed, members_of, read_composition
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.studies import intermediates
from adapterstilts.studies.grids import run_plan
from adapterstilts.studies.language_adapters import train_language
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.plans import plan_grid
from adapterstilts.studies.prediction import predict
from adapterstilts.studies.transfer import compose, evaluate
from adapterstilts.studies.verifying import conditions
from adapterstilts.training.recipes import recipe_settings
from adapterstilts.training.settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("toy_lab", "no_network")

#: Enough for the adapters of two languages to differ visibly.
STRONG = {**TINY, "learning_rate": 0.02, "steps": 6}


@pytest.fixture(autouse=True)
def _short_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of the intermediate tasks with which a training takes a moment."""

    def short(task: Any, changes: Any = None) -> TrainingSettings:
        return recipe_settings(task, TINY | {name: value for name, value in changes.items() if value is not None})

    monkeypatch.setattr(intermediates, "recipe_settings", short)


def trained(home: Path, *codes: str, **settings: Any) -> dict[str, Artifact]:
    """Train language adapters of the lab."""
    return {code: train_language(code, suite="lab", store=home, settings=STRONG | settings).artifact for code in codes}


def composed(home: Path, expression: str, settings: dict[str, Any] | None = None, **options: Any) -> Transfer:
    """Compose under PAN-X on the language adapters of qaa and qab; qac has none."""
    given = {"target": "panx", "suite": "lab", "language_adapters": "madx", "language_fallback": "none"}
    return compose(expression, store=home, settings=STRONG | (settings or {}), **(given | options))


def test_each_member_of_an_ensemble_answers_on_the_adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = trained(tmp_path, "qaa", "qab")
    made = composed(tmp_path, "ensemble(none, mnli)")
    (ensemble,) = made.artifacts
    assert own_language(ensemble) == LanguageAdapter.own(given["qaa"])
    adapters = {"qaa": own_language(ensemble), "qab": LanguageAdapter.of(given["qab"]), "qac": None}
    assert made.language_adapters == adapters

    task, settings = task_of(ensemble), encoding_settings(ensemble)
    rows = load_rows(task, "test")
    found = []
    for member in members_of(ensemble):
        model = load_composed(member, load_backbone_of(member), task)
        encoded = encode_rows(rows, model.backbone.tokenizer, settings, training=False)
        found.append(predict_by_language(model, rows.table["language"][:], encoded, adapters, batch_size=4))
    seen: list[Any] = []
    told: dict[str, Any] = {"title": "", "batch_size": 4, "precision": "fp32", "reporter": Reporter()}
    with monkeypatch.context() as patch:
        patch.setattr(answering, "decoded", lambda rows, encoded, logits, *_: seen.append(logits))
        list(answers_of([ensemble], rows, adapters=adapters, **told))
        list(answers_of([ensemble], rows, **told))
    swapped, plain = seen
    for one, two in zip(swapped, mean_logits(found), strict=True):
        np.testing.assert_array_equal(one, two)
    own, other = rows.of_language("qaa")[0], rows.of_language("qab")[0]
    np.testing.assert_allclose(swapped[own], plain[own], rtol=1e-4, atol=1e-5)
    assert np.abs(swapped[other] - plain[other]).max() > 1e-3, "qab is answered on its own adapter"

    again = evaluate(ensemble.id, store=tmp_path, language_fallback="none")
    assert again.evaluations == made.evaluations
    assert again.baselines == made.baselines
    assert again.language_adapters == adapters
    assert predict(ensemble.id, ['{"tokens": ["Anna"]}'], store=tmp_path)[0]["answer"]


def test_a_fusion_that_was_trained_before_lies_on_one(tmp_path: Path) -> None:
    given = trained(tmp_path, "qaa", "qab")
    made = composed(tmp_path, "mnli+squad", fuse_on="intermediate")
    (target,) = made.artifacts
    composition = read_composition(target)
    assert composition.drawing().startswith("Stack(language, Fuse(mnli, squad), panx)")
    assert composition.trained_parts == ("adapters/panx", "head")
    assert made.fused_on == "intermediate"
    (fusion,) = Store(tmp_path).all("fusion")
    name = "fusion.safetensors"
    assert (target.path / name).read_bytes() == (fusion.path / name).read_bytes()

    told = evaluate(target.id, store=tmp_path, language_fallback="none", attention=True)
    assert told.evaluations == made.evaluations
    rows = load_rows(task_of(target), "test")
    adapters = {"qaa": own_language(target), "qab": LanguageAdapter.of(given["qab"]), "qac": None}
    store, request = Store(tmp_path), EvaluationRequest(batch_size=4)
    swapped = run_attention(target, rows, request, store, adapters=adapters)
    assert told.attention is not None
    assert {one[:4]: pytest.approx(one.weight, abs=1e-4) for one in swapped} == {
        one[:4]: one.weight for one in told.attention
    }
    plain = run_attention(target, rows, request, store)

    def most(code: str) -> float:
        pairs = zip(swapped, plain, strict=True)
        return max(abs(one.weight - two.weight) for one, two in pairs if one.language == code)

    assert most("qaa") < 1e-5
    assert most("qab") > 1e-5


def test_chain_starts_from_an_adapter_and_lies_on_one(tmp_path: Path) -> None:
    trained(tmp_path, "qaa")
    made = composed(tmp_path, "chain(mnli)")
    assert read_composition(made.artifacts[0]).drawing().startswith("Stack(language, panx)")
    assert made.artifacts[0].fingerprint != made.baselines[0].fingerprint


def test_dropped_layers_leave_a_plain_one_out(tmp_path: Path) -> None:
    given = trained(tmp_path, "qaa", "qab", adapter="seq_bn")
    made = composed(tmp_path, "mnli", {"drop_layers": "0"})
    (target,) = made.artifacts
    composition = read_composition(target)
    assert {name: config["leave_out"] for name, config in composition.adapters.items()} == {
        "mnli": [0],
        "panx": [0],
        "language": [0],
    }
    model = load_composed(target, load_backbone_of(target), task_of(target))
    assert all(".layer.1." in key for key in model.state("adapters/language"))
    told = {code: one and one.language for code, one in (made.language_adapters or {}).items()}
    assert told == {"qaa": "qaa", "qab": "qab", "qac": None}
    assert evaluate(target.id, store=tmp_path, language_fallback="none").evaluations == made.evaluations

    whole = composed(tmp_path, "mnli")
    fewer = evaluate(whole.artifacts[0].id, store=tmp_path, language_fallback="none", drop_layers="0")
    assert fewer.evaluations != whole.evaluations
    wanted = evaluate(target.id, store=tmp_path, language_fallback="none", language_adapter=[f"qac={given['qab'].id}"])
    assert (wanted.language_adapters or {})["qac"] == LanguageAdapter.of(given["qab"])


def test_what_cannot_lie_on_one_is_refused_before_training(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with pytest.raises(SettingsError, match="is trained in all layers"):
        train_language("qaa", suite="lab", store=tmp_path, settings=TINY | {"drop_layers": "0"})
    made = composed(tmp_path / "made", "none", language_fallback="english")
    trained(tmp_path / "narrow", "qaa")
    narrow = trained(tmp_path / "narrow", "qab", reduction_factor=4)["qab"]
    request.getfixturevalue("no_training")

    def refused(kind: type[Exception], says: str, settings: dict[str, Any], **options: Any) -> None:
        for home in (tmp_path / "empty", tmp_path / "narrow"):
            with pytest.raises(kind, match=says):
                composed(home, "mnli", settings, **options)

    refused(SettingsError, "--adapter full trains the backbone itself", {"adapter": "full"})
    refused(ExpressionError, "The language adapter has an invertible part below all layers", {"drop_layers": "0"})
    refused(ExpressionError, "'panx' has an invertible part at the embeddings", {"adapter": "seq_bn_inv"})
    with pytest.raises(ArtifactError, match=r"differ in reduction_factor \(4 and 2"):
        composed(tmp_path / "narrow", "mnli", language_adapter=[f"qab={narrow.id}"])
    with pytest.raises(ExpressionError, match="'language' is a nice adapter"):
        evaluate(made.artifacts[0].id, store=tmp_path / "made", language_fallback="none", drop_layers="0")
    assert {item.fault for item in conditions(Store(tmp_path / "made"))} == {""}, "zoo check knows them"


def test_a_plan_has_them_among_its_stages(tmp_path: Path) -> None:
    given = trained(tmp_path, "qab")
    before = kept_in(tmp_path)
    options: dict[str, Any] = {"suite": "lab", "settings": TINY, "language_adapters": "madx", "seeds": (0, 1)}
    plan = plan_grid(["none", "chain(mnli)"], ["panx"], store=tmp_path, **options)
    assert kept_in(tmp_path) == before
    told = [(stage.name, stage.state) for stage in plan.stages if stage.kind == "language"]
    assert told == [
        ("language.qaa", "to train"),
        ("language.qac", "to train"),
        (str(given["qab"].manifest["name"]), "in store"),
    ]
    validate(plan.to_json(), "compose_plan")
    assert all(stage.seconds is not None for stage in plan.stages if stage.kind == "language"), "qab tells how long"
    grid = run_plan(plan)
    validate(grid.to_json(), "compose_grid")
    assert {stage.artifact for stage in plan.stages} <= {item.id for item in Store(tmp_path).all()}
    assert {item.kind for item in Store(tmp_path).all()} == {"language", "intermediate", "target", "evaluation"}
    again = plan_grid(["none", "chain(mnli)"], ["panx"], store=tmp_path, **options)
    assert again.to_do == ()
    assert {stage.artifact for stage in again.stages} == {stage.artifact for stage in plan.stages}


@pytest.mark.usefixtures("no_training")
def test_a_plan_tells_what_is_lacking_and_takes_nothing_in(common: dict[str, Any], tmp_path: Path) -> None:
    model: Any = load_backbone(common["backbone"]).model
    for code in ("en", "de"):
        model.add_adapter(code, config=adapter_config_json("seq_bn_inv", reduction_factor=2))
        model.save_adapter(str(tmp_path / code), code, use_safetensors=True)
    options = common | {"language_adapters": "madx", "languages": "en,de", "store": tmp_path / "store"}
    with pytest.raises(ArtifactError, match="no language adapter for de"):
        plan_grid(["none"], ["panx"], language_adapter=[f"en={tmp_path / 'en'}"], **options)
    both = [f"{code}={tmp_path / code}" for code in ("en", "de")]
    plan = plan_grid(["none"], ["panx"], language_adapter=both, **options)
    assert [stage.kind for stage in plan.stages] == ["target", "evaluation"]
    assert not (tmp_path / "store").exists()
    weights = tmp_path / "de" / "adapter.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=str(weights)):
        plan_grid(["none"], ["panx"], language_adapter=both, **options)


def test_where_none_has_its_own_nothing_is_swapped(tmp_path: Path) -> None:
    trained(tmp_path, "qaa")
    made = composed(tmp_path, "none", language_fallback="english")
    (artifact,) = made.artifacts
    rows = load_rows(task_of(artifact), "test")
    model = load_composed(artifact, load_backbone_of(artifact), task_of(artifact))
    encoded = encode_rows(rows, model.backbone.tokenizer, encoding_settings(artifact), training=False)
    own = own_language(artifact)
    logits = predict_by_language(model, rows.table["language"][:], encoded, dict.fromkeys(rows.languages, own))
    told: dict[str, Any] = {"title": "", "batch_size": 32, "precision": "fp32", "reporter": Reporter()}
    (answered,) = answers_of([artifact], rows, **told)
    assert answered.answers == decoded(rows, encoded, logits, encoding_settings(artifact))
    assert all(np.isfinite(values).all() for values in logits)
