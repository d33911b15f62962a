"""Faults of data, backbone, store and network are told by what is at fault."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from calling import TINY, refused
from cli_world import NLI_ROW, World
from stores import kept_in

from adapterstilts.store.artifacts import Store


@pytest.fixture
def mirror(world: World, tmp_path: Path, own_cache: Path) -> Path:
    """A copy of the mirror, to be damaged."""
    assert not own_cache.exists()
    return Path(shutil.copytree(world.mirror, tmp_path / "hub"))


MNLI = "nyu-mll/glue"


def empty(folder: Path) -> None:
    (folder / "mnli" / "train-00000-of-00001.parquet").write_bytes(b"")


def truncated(folder: Path) -> None:
    path = folder / "mnli" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:500])


def no_rows(folder: Path) -> None:
    from datasets import Dataset

    path = folder / "mnli" / "train-00000-of-00001.parquet"
    table = Dataset.from_parquet(str(path), cache_dir=str(folder.parent / "cache"))
    table.select([]).to_parquet(str(path))


def no_column(folder: Path) -> None:
    from datasets import Dataset

    for path in (folder / "mnli").glob("*.parquet"):
        table = Dataset.from_parquet(str(path), cache_dir=str(folder.parent / "cache"))
        table.remove_columns("hypothesis").to_parquet(str(path))


def no_file(folder: Path) -> None:
    (folder / "mnli" / "train-00000-of-00001.parquet").unlink()


def no_config(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(text.replace("config_name: mnli", "config_name: cola"), encoding="utf-8")


def broken_readme(folder: Path) -> None:
    (folder / "README.md").write_text("---\nconfigs: [\n---\n", encoding="utf-8")


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (empty, "glue' (mnli, train)"),
        (truncated, "glue' (mnli, train)"),
        (no_rows, "glue' (mnli, train)"),
        (no_column, "'hypothesis'"),
        (no_file, "glue"),
        (no_config, "has no configuration 'mnli'"),
        (broken_readme, "glue"),
        (no_folder, "has no folder 'nyu-mll/glue'"),
    ],
)
@pytest.mark.parametrize("command", ["train-intermediate", "compose"])
def test_damaged_data_is_told_by_its_name(
    damage: Callable[[Path], None], says: str, command: str, mirror: Path, world: World, tmp_path: Path
) -> None:
    damage(mirror / MNLI)
    what = ("mnli",) if command == "train-intermediate" else ("none", "--target", "xnli")
    told = refused(
        *(command, *what, "--backbone", world.backbone, "--data-root", mirror, "--store", tmp_path / "store", *TINY),
        store=tmp_path / "store",
    )
    assert told.startswith("Error: ")
    assert says in told


def test_data_that_lacks_the_languages_asked_for(mirror: Path, world: World, tmp_path: Path) -> None:
    told = refused(
        *("compose", "none", "--target", "panx", "--languages", "de,fi", "--backbone", world.backbone),
        *("--data-root", mirror, "--store", tmp_path / "store", *TINY),
        store=tmp_path / "store",
    )
    assert "PAN-X.fi" in told


@pytest.mark.parametrize("root", ["missing", "file"])
def test_a_data_root_that_is_no_folder(root: str, world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = refused(
        *("train-intermediate", "mnli", "--backbone", world.backbone, "--data-root", tmp_path / root),
        *("--store", tmp_path / "store"),
        store=tmp_path / "store",
    )
    assert f"'{tmp_path / root}' (--data-root) is not a folder" in told


@pytest.mark.parametrize(
    ("gone", "says"),
    [("config.json", "config.json"), ("model.safetensors", "weights"), ("tokenizer*", "tokenizer"), ("*", "config")],
)
def test_a_backbone_that_is_not_whole(gone: str, says: str, world: World, tmp_path: Path) -> None:
    shutil.copytree(world.backbone, tmp_path / "backbone")
    for path in (tmp_path / "backbone").glob(gone):
        path.unlink()
    told = refused(
        *("train-intermediate", "mnli", "--backbone", tmp_path / "backbone", "--data-root", world.mirror),
        *("--store", tmp_path / "store", *TINY),
        store=tmp_path / "store",
    )
    assert str(tmp_path / "backbone") in told
    assert says in told


def test_a_store_that_cannot_be_written(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for what in (("train-intermediate", "mnli"), ("compose", "mnli+squad", "--target", "xnli")):
        told = refused(*what, *world.options[:-1], tmp_path / "file" / "store", *TINY)
        assert f"'{tmp_path / 'file' / 'store'}' cannot be written" in told
        assert "ADAPTERSTILTS_HOME" in told
        assert "Training" not in told
    artifact = world.store / "artifacts" / "target" / world.artifact("fusion")
    told = refused("evaluate", artifact, "--data-root", world.mirror, "--store", tmp_path / "file" / "store")
    assert "cannot be written" in told


WITHOUT_NETWORK = """
import sys, time
import adapters, datasets, evaluate, torch, transformers
from adapterstilts.cli import main
started = time.perf_counter()
try:
    main()
finally:
    print(f"\\nseconds {time.perf_counter() - started:.2f}", file=sys.stderr)
"""


@pytest.mark.parametrize("what", ["data", "backbone"])
def test_without_network_and_mirror_the_ways_out_are_told_quickly(what: str, world: World, tmp_path: Path) -> None:
    backbone = ("--backbone", str(world.backbone)) if what == "data" else ()
    root = ("--data-root", str(world.mirror)) if what == "backbone" else ()
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    result = subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_NETWORK, "compose", "squad", "--target", "tydiqa", *backbone, *root),
            *("--store", str(tmp_path / "store")),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=environment
        | {
            "HF_ENDPOINT": "http://127.0.0.1:9",  # the discard port: nobody answers
            "HF_HOME": str(tmp_path / "hf"),
            "HF_DATASETS_CACHE": str(tmp_path / "datasets"),
        },
    )
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert "cannot be reached" in result.stderr
    assert "adapterstilts fetch" in result.stderr
    if what == "data":
        assert "--data-root" in result.stderr
        assert "google/xtreme" in result.stderr
    else:
        assert "xlm-roberta-base" in result.stderr
        assert "--backbone" in result.stderr
        assert "--data-root" not in result.stderr, "a mirror of data sets has no backbones"
    assert float(result.stderr.rsplit("seconds ", 1)[1]) < 5
    assert kept_in(tmp_path / "store") == []


def test_a_tampered_artifact_is_told_by_its_file(world: World, tmp_path: Path) -> None:
    home = Path(shutil.copytree(world.store, tmp_path / "store"))
    (found,) = Store(home).all("target", lambda item: item.id == world.artifact("fusion"))
    path = found.path / "head.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    told = refused("predict", found.id, "--store", home, given=json.dumps(NLI_ROW))
    assert str(path) in told
    labels: Mapping[str, Any] = json.loads((found.path / "manifest.json").read_text()) | {"labels": ["a", "b", "c"]}
    (found.path / "manifest.json").write_text(json.dumps(labels))
    told = refused("predict", found.id, "--store", home, given=json.dumps(NLI_ROW))
    assert "Label 0" in told
