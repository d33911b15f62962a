"""Where backbones are looked for: the packaged ones without a network, and all ways out where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from adapterstilts.errors import BackboneError, DataUnavailableError
from adapterstilts.fingerprints import fingerprint_file
from adapterstilts.models import locations
from adapterstilts.models.backbone import identify, input_limit, load_backbone
from adapterstilts.models.locations import DEFAULT_BACKBONE, locate


def test_the_default_backbone_is_that_of_xtreme() -> None:
    assert DEFAULT_BACKBONE == "xlm-roberta-base"
    assert DEFAULT_BACKBONE in locations.PINNED


@pytest.mark.usefixtures("no_network")
def test_pico_comes_with_the_package(toy_lab: Any, toy_backbone_folder: Path) -> None:
    """Its identity is the hash of its weights, as for a folder, whatever place it is installed in."""
    identity = identify("pico")
    assert identity.id == "pico"
    assert identity.revision == f"sha256:{fingerprint_file(toy_backbone_folder / 'model.safetensors')}"
    assert identity.key == identify(str(toy_backbone_folder)).key
    assert load_backbone("pico").identity == identity
    assert input_limit("pico") == input_limit(str(toy_backbone_folder)) == 128


def test_a_package_without_its_encoder(toy_lab: Any) -> None:
    shutil.rmtree(locate("pico"))
    with pytest.raises(BackboneError, match="holds no encoder 'pico'; install it again"):
        locate("pico")


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(locations.PACKAGED, "other", ("no_such_package", "model", "no-such-package"))
    with pytest.raises(BackboneError, match="pip install no-such-package"):
        locate("other")


def test_without_the_hub_the_lab_is_a_way_out() -> None:
    with pytest.raises(DataUnavailableError, match=r"Three ways out: .*--backbone DIR.*minilm-l6.*\(3\) --suite lab"):
        locate("some/model")
