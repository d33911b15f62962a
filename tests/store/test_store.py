"""The store: a folder is written whole or not at all, found again by what made it, and read back to the byte."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from adapterstilts.errors import ArtifactError, SettingsError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint, fingerprint_file
from adapterstilts.home import store_home
from adapterstilts.store.artifacts import MANIFEST, Artifact, Store, read_artifact, write_json, write_lines
from adapterstilts.store.home import check_writable, new_folder, write_folders
from adapterstilts.store.weights import check_weights, load_weights, save_weights

PRINTS = {name: fingerprint(name) for name in ("one", "two", "three")}


def put(store: Store, name: str = "mnli", key: str = "one", kind: str = "intermediate", **told: Any) -> Artifact:
    """Store an artifact with two files."""
    with store.create(kind, name, PRINTS[key], {"task": name, **told}) as folder:
        write_json(folder / "scores.json", {"accuracy": 0.5, "name": "Größe"})
        write_lines(folder / "deep" / "curve.jsonl", [{"step": 1}, {"step": 2}])
    found = store.find(PRINTS[key])
    assert found is not None
    return found


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# Folders


def test_a_new_folder_appears_when_it_is_finished(tmp_path: Path) -> None:
    target = tmp_path / "home" / "deep" / "target"
    with new_folder(target, tmp_path / "home") as folder:
        (folder / "file").write_text("text")
        assert folder.is_relative_to(tmp_path / "home" / "tmp")
        assert not target.exists()
    assert everything(tmp_path) == ["home/deep/target/file"]
    assert (target / "file").read_text() == "text"


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), OSError(errno.EIO, "broken")])
def test_a_failure_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "target", tmp_path) as folder:
            (folder / "file").write_text("text")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert everything(tmp_path) == []
    assert not (tmp_path / "target").exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_folders_of_the_user_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    write_folders({one: {"deep/a.tsv": "ä\n", "b.tsv": ""}, other: {"c.tsv": "c"}})
    assert everything(tmp_path) == ["one/b.tsv", "one/deep/a.tsv", "other/c.tsv"]
    assert (one / "deep" / "a.tsv").read_bytes() == "ä\n".encode()
    with pytest.raises(SettingsError, match="is not empty"):
        write_folders({tmp_path / "new": {"a.tsv": "a"}, other: {"c.tsv": "d"}})
    with pytest.raises(SettingsError, match="cannot be written: File name too long"):
        write_folders({tmp_path / "new": {"a.tsv": "a"}, tmp_path / "more": {"x" * 300: "d"}})
    assert everything(tmp_path) == ["one/b.tsv", "one/deep/a.tsv", "other/c.tsv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]


def test_a_folder_that_another_process_made_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with new_folder(target, tmp_path) as folder:
        (folder / "file").write_text("ours")
        target.mkdir()
        (target / "file").write_text("theirs")
    assert (target / "file").read_text() == "theirs"
    assert everything(tmp_path) == ["target/file"]


def test_two_at_once_do_not_share_a_temporary(tmp_path: Path) -> None:
    with new_folder(tmp_path / "target", tmp_path) as first, new_folder(tmp_path / "target", tmp_path) as second:
        assert first != second
        (first / "file").write_text("first")
        (second / "file").write_text("second")
    assert (tmp_path / "target" / "file").read_text() == "second"  # the inner one ended first


@pytest.mark.parametrize("where", ["below a file", "temporary is a file", "device full", "read-only"])
def test_a_store_that_cannot_be_written(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    if where == "below a file":
        home.write_text("")
    elif where == "temporary is a file":
        home.mkdir()
        (home / "tmp").write_text("")
    else:
        number = errno.ENOSPC if where == "device full" else errno.EROFS

        def fail(self: Path, *_: Any, **__: Any) -> None:
            raise OSError(number, os.strerror(number), str(self))

        monkeypatch.setattr(Path, "mkdir", fail)
    store = Store(home)
    says = f"The store '{home}' cannot be written: .*set ADAPTERSTILTS_HOME to another folder"
    with pytest.raises(ArtifactError, match=says):
        store.check_writable()
    with pytest.raises(ArtifactError, match=says), store.create("intermediate", "mnli", PRINTS["one"], {}):
        pytest.fail("nothing can be written")  # pragma: no cover


def test_a_store_that_can_be_written_stays_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "home")
    assert everything(tmp_path) == []


def test_where_the_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERSTILTS_HOME", str(tmp_path / "told"))
    assert store_home() == tmp_path / "told"
    assert store_home(tmp_path / "given") == tmp_path / "given"
    assert Store().home == tmp_path / "told"
    assert Store().cache == tmp_path / "told" / "cache"
    monkeypatch.delenv("ADAPTERSTILTS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store_home() == tmp_path / ".cache" / "adapterstilts"
    assert store_home("~/here") == tmp_path / "here"


# Artifacts


def test_an_artifact_is_found_by_what_made_it(store: Store) -> None:
    assert store.find(PRINTS["one"]) is None
    artifact = put(store, labels=["a", "b"])
    assert artifact.id == f"mnli-{PRINTS['one'][:12]}"
    assert artifact.path == store.home / "artifacts" / "intermediate" / artifact.id
    assert (artifact.kind, artifact.fingerprint) == ("intermediate", PRINTS["one"])
    assert artifact.manifest["labels"] == ["a", "b"]
    assert artifact.manifest["format_version"] == FORMAT_VERSION
    assert sorted(artifact.manifest["files"]) == ["deep/curve.jsonl", "scores.json"]
    assert store.find(PRINTS["two"]) is None
    almost = PRINTS["one"][:12] + PRINTS["two"][12:]
    assert store.find(almost) is None  # the first digits alone are not enough


def test_files_are_read_back(store: Store) -> None:
    artifact = put(store)
    assert artifact.read_json("scores.json") == {"accuracy": 0.5, "name": "Größe"}
    assert artifact.read_lines("deep/curve.jsonl") == [{"step": 1}, {"step": 2}]
    assert artifact.file("scores.json") == artifact.path / "scores.json"


def test_numbers_that_json_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_lines(tmp_path / "a.jsonl", [{"loss": float("inf")}])


def test_the_manifest_may_grow_inside_the_block(store: Store) -> None:
    manifest: dict[str, Any] = {}
    with store.create("evaluation", "xnli.mnli+squad", PRINTS["one"], manifest) as folder:
        (folder / "answers.jsonl").write_text("")
        manifest["seconds"] = 3
    artifact = store.get(f"xnli.mnli+squad-{PRINTS['one'][:12]}")
    assert artifact.manifest["seconds"] == 3


def test_an_artifact_knows_its_suite(store: Store) -> None:
    assert put(store).suite == "xtreme", "manifests from before there were suites say none"
    assert put(store, key="two", suite="lab").suite == "lab"


def test_a_failure_inside_the_block_stores_nothing(store: Store) -> None:
    def fail() -> None:
        with store.create("target", "xnli", PRINTS["one"], {}) as folder:
            (folder / "file").write_text("")
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert store.find(PRINTS["one"]) is None
    assert everything(store.home) == []


def test_an_artifact_that_is_there_is_kept(store: Store) -> None:
    first = put(store, note="first")
    again = put(store, note="second")
    assert again.manifest["note"] == "first"
    assert again.path == first.path
    assert list((store.home / "tmp").iterdir()) == []


def test_an_artifact_by_its_name(store: Store) -> None:
    mnli, squad, other = put(store), put(store, "squad", "two"), put(store, "squad_v2", "three", kind="target")
    assert store.get(mnli.id) == mnli
    assert store.get("mnli") == mnli
    assert store.get("squad") == squad  # though another begins so, too
    assert store.get("squad_") == other  # the only one that begins so
    assert store.get(PRINTS["two"][:12]) == squad
    assert store.get(f"squad-{PRINTS['two'][:3]}") == squad
    assert store.get(str(other.path)) == other
    with pytest.raises(ArtifactError, match=f"'squ' fits 2 artifacts: {squad.id}, {other.id}. Give more of the id."):
        store.get("squ")
    misspelt = f"mnli-{PRINTS['one'][:11]}x"
    with pytest.raises(ArtifactError, match=f"There is no artifact '{misspelt}' .* Did you mean '{mnli.id}'"):
        store.get(misspelt)
    with pytest.raises(ArtifactError, match=r"There is no artifact 'qqqqqqqq' in .* See `adapterstilts runs`"):
        store.get("qqqqqqqq")


def test_a_name_that_two_artifacts_have(store: Store) -> None:
    first, second = sorted((put(store, "mnli", "one"), put(store, "mnli", "two")), key=lambda item: item.id)
    with pytest.raises(ArtifactError, match=f"'mnli' fits 2 artifacts: {first.id}, {second.id}"):
        store.get("mnli")


def test_an_id_wins_over_what_only_begins_with_it(store: Store) -> None:
    first = put(store, "mnli", "one")
    with store.create("evaluation", f"{first.id}", PRINTS["two"], {}) as folder:
        (folder / "file").write_text("")
    assert store.get(first.id) == first


def test_an_empty_store(store: Store) -> None:
    assert store.all() == []
    with pytest.raises(ArtifactError, match="There is no artifact 'mnli'"):
        store.get("mnli")


def rewrite(artifact: Artifact, **changes: Any) -> None:
    told = {**artifact.manifest, **changes}
    (artifact.path / MANIFEST).write_text(json.dumps({key: value for key, value in told.items() if value is not None}))


def test_artifacts_are_listed_oldest_first(store: Store) -> None:
    for name, key, created in (("a", "one", "2024-03-01"), ("b", "two", "2024-01-01"), ("c", "three", "2024-02-01")):
        rewrite(put(store, name, key, kind="target" if name == "c" else "intermediate"), created=created)
    assert [item.manifest["name"] for item in store.all()] == ["b", "c", "a"]
    assert [item.manifest["name"] for item in store.all("intermediate")] == ["b", "a"]
    assert [item.manifest["name"] for item in store.all(where=lambda item: item.manifest["task"] != "b")] == ["c", "a"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ('{"format_version": 1}', "lacks kind, id, name, fingerprint, created, files"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_damaged_manifest_is_left_out_with_a_warning(
    damage: str | bytes, says: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    whole, broken = put(store), put(store, "squad", "two")
    (broken.path / MANIFEST).write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    with caplog.at_level(logging.WARNING):
        assert store.all() == [whole]
    assert [record.getMessage() for record in caplog.records if says in record.getMessage()] != []
    assert store.find(PRINTS["two"]) is None
    with pytest.raises(ArtifactError, match=says):
        store.get(broken.id)


def test_a_manifest_of_a_later_version(store: Store) -> None:
    artifact = put(store)
    rewrite(artifact, format_version=FORMAT_VERSION + 1)
    with pytest.raises(ArtifactError, match=f"is of format {FORMAT_VERSION + 1}; this version reads {FORMAT_VERSION}"):
        read_artifact(artifact.path)


def test_a_folder_without_a_manifest_is_no_artifact(store: Store, tmp_path: Path) -> None:
    (store.home / "artifacts" / "target" / "half-written").mkdir(parents=True)
    assert store.all() == []
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_artifact(tmp_path)


def test_a_file_with_other_bytes_is_refused(store: Store) -> None:
    artifact = put(store)
    (artifact.path / "scores.json").write_text('{"accuracy": 0.9}')
    with pytest.raises(ArtifactError, match=r"scores\.json' of artifact .* is not the one that was written"):
        artifact.read_json("scores.json")
    assert artifact.read_lines("deep/curve.jsonl")  # the others are as they were


def test_a_file_that_is_gone_or_was_never_there(store: Store) -> None:
    artifact = put(store)
    (artifact.path / "scores.json").unlink()
    with pytest.raises(ArtifactError, match=r"lacks its file 'scores\.json'"):
        artifact.file("scores.json")
    with pytest.raises(ArtifactError, match=r"has no file 'other\.json' in its manifest"):
        artifact.file("other.json")


# Weights


TENSORS: Mapping[str, torch.Tensor] = {
    "b.weight": torch.arange(6.0).view(2, 3),
    "a.bias": torch.tensor([1.0, float("inf"), -0.0]),
    "c": torch.tensor(3, dtype=torch.int64),
}


def test_weights_come_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "weights.safetensors"
    shared = TENSORS["b.weight"].t()  # a view, not contiguous, of memory that another tensor has, too
    save_weights(path, {**TENSORS, "view": shared})
    loaded = load_weights(path)
    assert sorted(loaded) == ["a.bias", "b.weight", "c", "view"]
    for name, tensor in {**TENSORS, "view": shared}.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_equal_weights_make_equal_files(tmp_path: Path) -> None:
    save_weights(tmp_path / "one", TENSORS)
    save_weights(tmp_path / "two", dict(reversed(list(TENSORS.items()))))
    assert fingerprint_file(tmp_path / "one") == fingerprint_file(tmp_path / "two")


def test_weights_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(ArtifactError, match="is missing"):
        load_weights(path)
    save_weights(path, TENSORS)
    whole = path.read_bytes()
    for damaged in (whole[:-4], whole[:6], b"", b"not weights at all", whole + b"more"):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="cannot be read"):
            load_weights(path)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"a": torch.zeros(2)}, "lacks the key 'b'"),
        ({}, "lacks 2 keys: 'a', 'b'"),
        (
            {"a": torch.zeros(2), "b": torch.zeros(2, 3), "a2": torch.zeros(2)},
            "has the key 'a2', which the model does not",
        ),
        ({"a": torch.zeros(3), "b": torch.zeros(2, 3)}, r"'a' has shape \(3,\), the model needs \(2,\)"),
        ({"a": torch.zeros(2), "b": torch.zeros(3, 2)}, r"'b' has shape \(3, 2\), the model needs \(2, 3\)"),
        (
            {"a": torch.zeros(2).half(), "b": torch.zeros(2, 3)},
            r"'a' is torch\.float16, the model needs torch\.float32",
        ),
        ({f"key{number}": torch.zeros(1) for number in range(5)}, "lacks 2 keys"),
    ],
)
def test_weights_that_do_not_fit(tensors: dict[str, torch.Tensor], says: str) -> None:
    with pytest.raises(ArtifactError, match=f"The file.*{says}"):
        check_weights(tensors, {"a": torch.ones(2), "b": torch.ones(2, 3)}, where="The file")


def test_weights_that_fit() -> None:
    check_weights(dict(TENSORS), TENSORS, where="The file")
