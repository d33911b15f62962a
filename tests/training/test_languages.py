"""Stages of language adapters: what they are trained on, what tells them apart, which configurations they may have."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_texts import FILLERS

from adapterstilts.errors import DataUnavailableError, SettingsError, UnknownNameError
from adapterstilts.models.backbone import identify
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.languages import language_stage


@pytest.fixture
def identity(toy_backbone_folder: Path) -> BackboneIdentity:
    return identify(str(toy_backbone_folder))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(f"the cat sees a tree {number}" for number in range(30)), encoding="utf-8")
    return path


def test_the_recipe_is_that_of_madx(identity: BackboneIdentity, text: Path) -> None:
    stage = language_stage("sw", get_suite(), identity, texts=[text])
    assert (stage.settings.adapter, stage.settings.reduction_factor) == ("seq_bn_inv", 2)
    config = stage.composition.adapters["language"]
    assert (config["inv_adapter"], config["inv_adapter_reduction_factor"], config["non_linearity"]) == (
        "nice",
        2,
        "relu",
    )
    assert (stage.kind, stage.name) == ("language", "language.sw")


def test_the_language_tells_two_adapters_of_one_text_apart(identity: BackboneIdentity, text: Path) -> None:
    swahili, german = (language_stage(code, get_suite(), identity, texts=[text]) for code in ("sw", "de"))
    assert swahili.identity()["task"]["language"] == "sw"
    assert set(swahili.train_rows.table["language"]) == {"sw"}
    assert swahili.fingerprint != german.fingerprint
    # XTREME-R trains the same one.
    other = language_stage("sw", get_suite("xtreme-r"), identity, texts=[text])
    assert other.fingerprint == swahili.fingerprint


@pytest.mark.usefixtures("toy_lab", "no_network")
def test_the_lab_has_text_of_its_own_and_takes_the_users(identity: BackboneIdentity, text: Path) -> None:
    own = language_stage("qab", get_suite("lab"), identity)
    assert len(own.train_rows) == 40
    assert set(" ".join(own.train_rows.table["text"]).split()) == set(FILLERS["de"].split())
    assert own.settings.adapter == "seq_bn_inv"
    users = language_stage("qab", get_suite("lab"), identity, texts=[text])
    assert users.train_rows.table["text"][0].startswith("the cat")


def test_what_cannot_be_trained_is_refused(identity: BackboneIdentity, text: Path) -> None:
    world = get_suite()
    with pytest.raises(DataUnavailableError, match=r"train-language sw --text FILE \(UTF-8"):
        language_stage("sw", world, identity)
    with pytest.raises(DataUnavailableError, match="train-language sw --text FILE --suite xtreme-r"):
        language_stage("sw", get_suite("xtreme-r"), identity)
    with pytest.raises(UnknownNameError, match="The code of Swahili is sw"):
        language_stage("Swahili", world, identity, texts=[text])
    with pytest.raises(UnknownNameError, match="language code"):
        language_stage("ar-de", world, identity, texts=[text])
    for adapter in ("lora", "double_seq_bn", "par_bn"):
        with pytest.raises(
            SettingsError, match=f"--adapter {adapter} is none for languages; choose seq_bn_inv or seq_bn"
        ):
            language_stage("sw", world, identity, texts=[text], settings={"adapter": adapter, "reduction_factor": None})
