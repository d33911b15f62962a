"""``--language-adapters madx``: what is trained on what, whose adapter a language is evaluated on, what is stored."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_stages import TINY, weights

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import load_rows
from adapterstilts.errors import ArtifactError, SettingsError, UnknownNameError
from adapterstilts.evaluation.answering import encoding_settings
from adapterstilts.evaluation.inference import predict_by_language, predict_logits
from adapterstilts.evaluation.zero_shot import EvaluationRequest, run_evaluation, task_of
from adapterstilts.models.backbone import load_backbone
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.languages import LanguageAdapter, own_language
from adapterstilts.models.saved import load_backbone_of, load_composed
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.weights import load_weights
from adapterstilts.studies.language_adapters import LanguageChoice, train_language
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.prediction import predict
from adapterstilts.studies.transfer import compose, evaluate
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training import adapter_hub

pytestmark = pytest.mark.usefixtures("toy_lab", "no_network")

LAB: dict[str, Any] = {"suite": "lab", "settings": TINY}
#: Enough for the adapters of two languages to differ visibly.
STRONG = {**TINY, "learning_rate": 0.02, "steps": 6}


def trained(home: Path, *codes: str, **settings: Any) -> dict[str, Artifact]:
    """Train language adapters of the lab."""
    made = {}
    for code in codes:
        made[code] = train_language(code, suite="lab", store=home, settings=STRONG | settings).artifact
    return made


def composed(home: Path, expression: str = "none", **options: Any) -> Transfer:
    """Compose under PAN-X on language adapters."""
    return compose(expression, target="panx", store=home, language_adapters="madx", **(LAB | options))


def lying(transfer: Transfer) -> dict[str, str | None]:
    """Return the language whose adapter each language was evaluated on."""
    assert transfer.language_adapters is not None
    return {code: one and one.language for code, one in transfer.language_adapters.items()}


def test_the_lab_trains_what_is_missing(tmp_path: Path) -> None:
    """The source's is a part of composition and baseline, to the bit; the others take its place."""
    given = trained(tmp_path, "qab")
    made = composed(tmp_path, "mnli")
    assert lying(made) == {"qaa": "qaa", "qab": "qab", "qac": "qac"}
    told = [(stage["name"], stage["state"]) for stage in made.stages if stage["kind"] == "language"]
    assert told == [("language.qaa", "trained"), ("language.qac", "trained"), ("language.qab", "reused")]
    kept = Store(tmp_path)
    source = next(item for item in kept.all("language") if item.manifest["language"] == "qaa")
    for artifact in (*made.artifacts, *made.baselines):
        assert weights(artifact)["adapters/language.safetensors"] == weights(source)["adapters/language.safetensors"]
        assert artifact.manifest["identity"]["language"] == source.fingerprint
        assert own_language(artifact) == LanguageAdapter.own(source)
    told = made.evaluations[0].manifest["identity"]["language_adapters"]
    assert told["qaa"] == source.fingerprint
    assert told["qab"] == given["qab"].fingerprint

    again = composed(tmp_path, "mnli")
    assert {stage["state"] for stage in again.stages} == {"reused"}
    evaluated = evaluate(made.artifacts[0].id, store=tmp_path)
    assert evaluated.evaluations == made.evaluations
    assert evaluated.baselines == made.baselines, "found by its identity"
    assert lying(evaluated) == lying(made)
    assert predict(made.artifacts[0].id, ['{"tokens": ["Anna"]}'], store=tmp_path)[0]["answer"]

    plain = compose("mnli", target="panx", store=tmp_path, **LAB)
    assert plain.language_adapters is None
    assert "language_adapters" not in plain.to_json()
    assert "language" not in plain.artifacts[0].manifest["identity"]
    assert "language_adapters" not in plain.evaluations[0].manifest["identity"]
    assert plain.artifacts[0].fingerprint != made.artifacts[0].fingerprint


def test_each_languages_rows_are_answered_on_its_adapter(tmp_path: Path) -> None:
    """The logits are those of the artifact with the other language's weights in the place of the source's."""
    given = trained(tmp_path, "qaa", "qab")
    made = composed(tmp_path, language_fallback="none", settings=STRONG)
    artifact = made.artifacts[0]
    task = task_of(artifact)
    adapters = {
        "qaa": own_language(artifact),
        "qab": LanguageAdapter.of(given["qab"]),
        "qac": None,
    }
    assert made.language_adapters == adapters
    settings = encoding_settings(artifact)
    found: dict[str, list[np.ndarray]] = {}
    model = load_composed(artifact, load_backbone_of(artifact), task)
    rows = load_rows(task, "test")
    encoded = encode_rows(rows, model.backbone.tokenizer, settings, training=False)
    seen: list[int] = []
    logits = predict_by_language(
        model, rows.table["language"][:], encoded, adapters, batch_size=4, progress=seen.append
    )
    assert seen[-1] == len(encoded)
    for code in rows.languages:
        found[code] = [logits[place] for place in rows.of_language(code)]

    def by_hand(code: str) -> list[np.ndarray]:
        other = load_composed(artifact, load_backbone_of(artifact), task)
        if code == "qab":
            path = given["qab"].path / "adapters/language.safetensors"
            other.load_state("adapters/language", load_weights(path), where="by hand")
        elif code == "qac":
            other.model.set_active_adapters("panx")  # type: ignore[operator]
            other.model.active_head = "panx"
        own = load_rows(task, "test", [code])
        features = encode_rows(own, other.backbone.tokenizer, settings, training=False)
        return predict_logits(other, features, batch_size=4)

    for code in rows.languages:
        for one, two in zip(found[code], by_hand(code), strict=True):
            np.testing.assert_array_equal(one, two)
    # After it, the model is as it was.
    source = predict_logits(model, encoded, batch_size=4)
    first = rows.of_language("qaa")[0]
    np.testing.assert_allclose(source[first], logits[first], rtol=1e-4, atol=1e-5)
    second = rows.of_language("qab")[0]
    assert np.abs(source[second] - logits[second]).max() > 1e-3
    state = model.state("adapters/language")
    stored = load_weights(artifact.path / "adapters/language.safetensors")
    assert all(np.array_equal(state[key].numpy(), stored[key].numpy()) for key in stored)


def test_fallbacks(tmp_path: Path) -> None:
    """qac is 0.25 from the source and as far from qab."""
    trained(tmp_path, "qaa", "qac")
    told = {fallback: composed(tmp_path, language_fallback=fallback) for fallback in ("none", "english", "nearest")}
    assert {name: lying(made)["qab"] for name, made in told.items()} == {
        "none": None,
        "english": "qaa",
        "nearest": "qac",
    }
    assert len({made.artifacts[0].id for made in told.values()}) == 1, "the training is the same"
    assert len({made.evaluations[0].id for made in told.values()}) == 3
    assert told["none"].to_json()["language_adapters"]["qab"] is None
    near = told["nearest"].to_json()["language_adapters"]["qab"]
    assert near["language"] == "qac"
    again = evaluate(told["none"].artifacts[0].id, store=tmp_path, language_fallback="nearest")
    assert again.evaluations == told["nearest"].evaluations


def test_which_adapter_is_taken(tmp_path: Path) -> None:
    """Those given come first; of the store's, the newest of the source's configuration."""
    first = trained(tmp_path, "qaa", "qab")
    narrow = trained(tmp_path, "qab", reduction_factor=4)["qab"]
    made = composed(tmp_path, languages="qaa,qab")
    assert made.language_adapters is not None
    taken = made.language_adapters["qab"]
    assert taken is not None
    assert taken.id == first["qab"].id, "the narrow one does not fit"
    with pytest.raises(ArtifactError, match=r"differ in reduction_factor \(4 and 2"):
        composed(tmp_path, languages="qaa,qab", language_adapter=[f"qab={narrow.id}"])
    folder = shutil.copytree(first["qaa"].path, tmp_path / "elsewhere" / "qaa")
    chosen = composed(tmp_path, languages="qaa,qab", language_adapter=[f"qab={folder}"])
    assert lying(chosen) == {"qaa": "qaa", "qab": "qaa"}


def test_what_cannot_work_is_refused_before_training(tmp_path: Path, no_training: None) -> None:
    def refused(kind: type[Exception], says: str, **options: Any) -> None:
        with pytest.raises(kind, match=says):
            compose("none", **({"target": "panx", "store": tmp_path, "language_adapters": "madx"} | LAB | options))

    missing = "no language adapter for qaa, qab, qac on 'pico'"
    refused(ArtifactError, missing, train_missing=False)
    refused(ArtifactError, "adapterstilts train-language qab --suite lab --backbone pico", train_missing=False)
    refused(ArtifactError, "no language adapter for qaa", train_missing=False, language_fallback="english")
    refused(UnknownNameError, "Did you mean 'madx'", language_adapters="mad-x")
    refused(UnknownNameError, "Did you mean 'nearest'", language_fallback="nearst")
    refused(SettingsError, "--language-fallback would have no effect", language_adapters=None, language_fallback="none")
    refused(SettingsError, "--language-adapter would have no effect", language_adapters=None, language_adapter=["a=b"])
    refused(SettingsError, "'qaa' is not of the form LANG=ARTIFACT", language_adapter=["qaa"])
    refused(SettingsError, "for 'qaa' twice", language_adapter=["qaa=a", "qaa=b"])
    refused(UnknownNameError, "language code", language_adapter=["qzz=a"])
    refused(ArtifactError, "There is no artifact 'nowhere'", language_adapter=["qaa=nowhere"])


def test_what_was_trained_on_none_takes_none(tmp_path: Path) -> None:
    plain = compose("none", target="panx", store=tmp_path, **LAB)
    with pytest.raises(SettingsError, match="was trained on no language adapter"):
        evaluate(plain.artifacts[0].id, store=tmp_path, language_fallback="none")
    with pytest.raises(ArtifactError, match="is of kind 'target', not 'language'"):
        composed(tmp_path, language_adapter=[f"qaa={plain.artifacts[0].id}"])
    trained(tmp_path, "qaa")
    made = composed(tmp_path, language_fallback="none")
    with pytest.raises(ArtifactError, match="no language adapter for qab, qac"):
        evaluate(made.artifacts[0].id, store=tmp_path)
    with pytest.raises(ArtifactError, match="nothing says which one takes its place for qaa, qab, qac"):
        run_evaluation(made.artifacts[0], EvaluationRequest(), Store(tmp_path))


def test_xtreme_needs_text_and_knows_no_distances(common: dict[str, Any], tmp_path: Path, no_training: None) -> None:
    options = common | {"target": "panx", "store": tmp_path, "language_adapters": "madx", "languages": "en,de"}
    with pytest.raises(ArtifactError, match="train-language de --text FILE --backbone"):
        compose("none", **options)
    with pytest.raises(SettingsError, match="which the suite 'xtreme' does not have"):
        compose("none", **options, language_fallback="nearest")
    with pytest.raises(SettingsError, match="'tatoeba' trains nothing that could lie on a language adapter"):
        compose("none", **options | {"target": "tatoeba", "languages": "all"})
    with pytest.raises(SettingsError, match="are in two languages"):
        compose("none", **options | {"target": "mlqa_pairs", "languages": "all"})
    assert LanguageChoice.read([], "english", get_suite()).fallback == "english"


def test_adapters_of_others(common: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of the adapters library, and AdapterHub's where the store has none; nothing is fetched here."""
    backbone = load_backbone(common["backbone"])
    model: Any = backbone.model
    for code in ("en", "de"):
        model.add_adapter(code, config=adapter_config_json("seq_bn_inv", reduction_factor=2))
        model.save_adapter(str(tmp_path / code), code, use_safetensors=code == "de")
    asked: list[str] = []

    def download(name: str) -> Path:
        asked.append(name)
        return tmp_path / "de"

    monkeypatch.setattr(adapter_hub, "hub_id", lambda code, _: f"AdapterHub/{code}" if code == "de" else None)
    monkeypatch.setattr(adapter_hub, "download", download)
    monkeypatch.setattr("adapterstilts.studies.language_adapters.hub_reachable", lambda: True)
    options = common | {"target": "panx", "store": tmp_path / "store", "language_adapters": "madx"}
    given = [f"en={tmp_path / 'en'}"]
    made = compose("none", **options, languages="en,de", language_adapter=given)
    assert lying(made) == {"en": "en", "de": "de"}
    assert set(asked) == {"AdapterHub/de"}
    known = len(asked)
    again = compose("none", **options, languages="en,de")
    assert {stage["state"] for stage in again.stages} == {"reused"}
    assert len(asked) == known, "both are in the store now"
    source = next(item for item in Store(tmp_path / "store").all("language") if item.manifest["language"] == "en")
    copied = load_weights(made.artifacts[0].path / "adapters/language.safetensors")
    stored = load_weights(source.path / "adapters/language.safetensors")
    assert all(np.array_equal(copied[key].numpy(), stored[key].numpy()) for key in stored)
    state = model.state_dict()
    assert all(np.array_equal(state[key.replace(".language.", ".en.")].numpy(), stored[key].numpy()) for key in stored)
    compose("none", **options, languages="en", language_adapter=["en=some/where"])
    assert asked[-1] == "some/where"
