"""What leaves this machine, and what comes in: texts, names, sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapterstilts.errors import ArtifactError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.store.artifacts import artifact_id, write_json
from adapterstilts.store.portable import (
    check_name,
    check_portable,
    check_size,
    foreign_manifest,
    is_local,
    portable,
    read_json,
)

MANIFEST: dict[str, Any] = {
    "id": "squad-000000000000",
    "backbone": {"id": "xlm-roberta-base", "revision": "0" * 40, "config_hash": "1" * 64, "model_type": "xlm-roberta"},
    "labels": ["(S\\NP)/NP", "NP/N", "/"],
    "data": {"train": {"dataset": "rajpurkar/squad", "more": ["google/xtreme XNLI train 0"]}},
    "identity": {"root": 1},
    "files": {"adapters/squad.safetensors": "2" * 64},
    "origin": {"repo": "me/private"},
}


def test_names_of_the_hub_stay_and_the_origin_goes() -> None:
    shown = portable(MANIFEST)
    assert shown == {
        **{key: value for key, value in MANIFEST.items() if key != "origin"},
        "tokenizer": {"id": "xlm-roberta-base", "revision": "0" * 40},
    }


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        ("/home/alice/models/my encoder", "./my-encoder"),
        ("~/xlmr", "./xlmr"),
        ("../xlm-roberta.base/", "./xlm-roberta.base"),
        ("C:\\Users\\alice\\xlmr", "./xlmr"),
        ("/", "./backbone"),
        ("..", "./backbone"),
    ],
)
def test_a_backbone_in_a_folder_is_its_name_alone(folder: str, shown: str) -> None:
    told = portable({**MANIFEST, "backbone": {**MANIFEST["backbone"], "id": folder}})
    assert told["backbone"]["id"] == told["tokenizer"]["id"] == shown


def test_the_name_of_the_user_is_no_name_of_a_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    told = portable({**MANIFEST, "backbone": {**MANIFEST["backbone"], "id": "/home/alice"}})
    assert told["backbone"]["id"] == "./backbone"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/data/me/rows", "rows"),
        ("/data/me/rows.csv train None", "rows.csv train None"),
        ("rows C:\\me\\x.csv", "rows x.csv"),
        ("~/rows", "rows"),
        ("file:///srv/rows", "rows"),
        ("\\\\server\\share\\rows", "rows"),
        ("google/xtreme", "google/xtreme"),
        ("https://hub/x", "https://hub/x"),
    ],
)
def test_of_a_path_the_last_part_is_left(text: str, left: str) -> None:
    assert portable({**MANIFEST, "data": {"dataset": text}})["data"]["dataset"] == left


@pytest.mark.parametrize("place", ["identity", "files"])
def test_what_a_hash_is_about_is_refused_and_not_changed(place: str) -> None:
    with pytest.raises(ArtifactError, match=f"in '{place}"):
        portable({**MANIFEST, place: {"x": "/srv/data"}})


def test_a_token_is_never_repeated() -> None:
    with pytest.raises(ArtifactError, match=r"token in 'a\.b\[0\]'") as refusal:
        check_portable({"a": {"b": ["x hf_" + "Q" * 34]}}, "It")
    assert "QQ" not in str(refusal.value)


@pytest.mark.parametrize(
    "backbone", [".", "./x", "/x", "~/x", "a/b/c", "C:/x", "a\\b", "https://x/y"], ids=lambda text: text
)
def test_folders_and_names_of_the_hub(backbone: str) -> None:
    assert is_local(backbone)
    assert not any(map(is_local, ("xlm-roberta-base", "FacebookAI/xlm-roberta-base", "pico", "minilm-l6")))


def test_names_and_sizes_of_files() -> None:
    for name in ("composition.json", "adapters/squad2.safetensors", "heads/mnli.safetensors", "fusion.safetensors"):
        check_name(name, "x")
    for name in ("fusion.json", "backbone.safetensors"):
        check_name(name, "x")
    for name in (
        "adapters/../x.safetensors",
        "x.bin",
        "/composition.json",
        "adapters/Ä.safetensors",
        "curve.jsonl\n",
        "backbone.json",
    ):
        with pytest.raises(ArtifactError, match="no artifact has"):
            check_name(name, "x")
    check_size("head.safetensors", 1 << 30, "x")
    for name, size in (("manifest.json", 1 << 30), ("head.safetensors", 1 << 40), ("x.json", None), ("x.json", -1)):
        with pytest.raises(ArtifactError, match="at most"):
            check_size(name, size, "x")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    assert read_json(tmp_path / "real.json") == {}
    with pytest.raises(ArtifactError, match=r"link\.json"):
        read_json(tmp_path / "link.json")


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ({"budget": 40, "weights": {"mnli": 0.7, "squad": -0.1}}, ""),
        ({}, ""),
        ([0.7, -0.1], "'search' is"),
        ({"weights": [0.7, -0.1]}, "'search.weights' holds something that is no number"),
        ({"weights": {"mnli": "0.7"}}, "'search.weights' holds something that is no number"),
        ({"weights": {"mnli": True}}, "'search.weights' holds something that is no number"),
        ({"budget": "40"}, "'search.budget' is no number"),
        ({"weights": {"mnli\n": 0.7}}, "holds signs that no name has"),
    ],
)
def test_searched_weights_of_others_are_numbers(search: Any, says: str, tmp_path: Path) -> None:
    expression = "search(mnli, squad)"
    identity = {"kind": "target", "task": {"name": "xnli"}, "settings": {}, "expression": expression}
    key = fingerprint(identity)
    backbone = MANIFEST["backbone"]
    told = {
        "format_version": FORMAT_VERSION,
        "kind": "target",
        "id": artifact_id("xnli", key),
        "name": "xnli",
        "fingerprint": key,
        "created": "2026-01-01T00:00:00+00:00",
        "task": "xnli",
        "expression": expression,
        "labels": [],
        "backbone": backbone,
        "tokenizer": {"id": backbone["id"], "revision": backbone["revision"]},
        "settings": {},
        "identity": identity,
        "data": {},
        "metrics": {"validation": {"accuracy": 50.0}},
        "resources": {},
        "files": {"composition.json": "1" * 64, "head.safetensors": "2" * 64},
        "search": search,
    }
    write_json(tmp_path / "manifest.json", told)
    if says:
        with pytest.raises(ArtifactError, match=says):
            foreign_manifest(tmp_path)
    else:
        assert foreign_manifest(tmp_path)["search"] == search
