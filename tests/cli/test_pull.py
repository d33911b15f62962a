"""``pull``: what is published comes back to the bit; what is damaged or hostile never reaches the store."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from calling import TINY, call, document, refused
from cli_world import World
from damages import Files, told_of, with_file, with_manifest
from loopback_hub import TOKEN, USER, LoopbackHub
from stores import kept_in
from toy_compositions import batch_of, logits_of

from adapterstilts.fingerprints import fingerprint
from adapterstilts.models.backbone import load_backbone
from adapterstilts.models.saved import load_trained
from adapterstilts.store.artifacts import Store

REPO = f"{USER}/toy"


@pytest.mark.parametrize("name", ["tags", "squad", "fusion"])
def test_what_was_pushed_answers_alike_from_a_fresh_store(
    name: str, world: World, published: dict[str, Files], loopback: LoopbackHub, fresh: Any, tmp_path: Path
) -> None:
    made = document("push", "push", world.artifact(name), REPO, "--store", world.store)
    pulled = document("pull", "pull", REPO, *fresh)
    assert pulled == {"artifact": world.artifact(name), "repo": REPO, "commit": made["commit"], "state": "pulled"}
    theirs, ours = Store(world.store).get(pulled["artifact"]), Store(tmp_path / "store").get(pulled["artifact"])
    assert ours.manifest["origin"] == {"repo": REPO, "commit": made["commit"]}
    for key in ("id", "fingerprint", "identity", "created", "settings", "labels"):
        assert ours.manifest[key] == theirs.manifest[key]
    task = {"tags": "panx", "fusion": "xnli"}.get(name, name)
    batch = batch_of(task, load_backbone(str(world.backbone)), world.mirror)
    one, other = (logits_of(load_trained(item, load_backbone(str(world.backbone))), batch) for item in (theirs, ours))
    assert torch.equal(one, other)
    (listed,) = document("runs", "runs", "--store", tmp_path / "store")
    assert listed["origin"]["repo"] == REPO
    assert document("pull", "pull", REPO, *fresh)["state"] == "there"


def test_a_pulled_composition_is_evaluated(
    world: World, published: dict[str, Files], loopback: LoopbackHub, fresh: Any
) -> None:
    loopback.publish(REPO, published["tags"])
    artifact = document("pull", "pull", REPO, *fresh)["artifact"]
    told = refused("evaluate", artifact, "--data-root", world.mirror, *fresh[2:])
    assert "There is no folder './" in told, "the folder of the one who pushed it is nobody else's"
    told = document("evaluate", "evaluate", artifact, "--data-root", world.mirror, *fresh)
    assert told["languages"] == world.made["tags"]["languages"]


def test_a_pulled_adapter_is_composed(
    world: World, published: dict[str, Files], loopback: LoopbackHub, fresh: Any
) -> None:
    loopback.publish(REPO, published["squad"])
    artifact = document("pull", "pull", REPO, *fresh)["artifact"]
    told = document(
        *("compose", "compose", "squad", "--target", "tydiqa", "--use", artifact, "--no-train", "--languages", "en"),
        *("--data-root", world.mirror, *fresh, *TINY),
    )
    assert told["stages"][0]["artifact"] == artifact
    assert told["stages"][0]["state"] == "reused"


def test_a_revision_is_pulled(world: World, published: dict[str, Files], loopback: LoopbackHub, fresh: Any) -> None:
    first = loopback.publish(REPO, published["tags"])
    second = loopback.publish(REPO, published["squad"])
    assert document("pull", "pull", f"{REPO}@{first}", *fresh)["artifact"] == world.artifact("tags")
    assert document("pull", "pull", REPO, *fresh)["commit"] == second
    told = refused("pull", f"{REPO}@v9", *fresh)
    assert "has no revision 'v9'" in told


@pytest.mark.parametrize(("kind", "expression"), [("merged", "avg(mnli, squad)"), ("mixed", "mix(mnli, qqp)")])
def test_adapters_without_a_head_of_their_own(
    kind: str, expression: str, own_world: World, loopback: LoopbackHub, fresh: Any, tmp_path: Path
) -> None:
    document("compose", "compose", expression, "--target", "xnli", "--languages", "en", *own_world.options, *TINY)
    (made,) = Store(own_world.store).all(kind)
    pushed = document("push", "push", made.id, REPO, "--store", own_world.store)
    heads = {name for name in pushed["files"] if name.startswith("library/")}
    wanted = {
        f"library/{task}/{file}" for task in ("mnli", "qqp") for file in ("head_config.json", "model_head.safetensors")
    }
    assert heads == (wanted if kind == "mixed" else set())
    assert document("pull", "pull", REPO, *fresh)["state"] == "pulled"
    ours = Store(tmp_path / "store").get(made.id)
    for name, digest in made.manifest["files"].items():
        assert ours.manifest["files"][name] == digest
    (listed,) = document("runs", "runs", "--store", tmp_path / "store")
    assert listed["kind"] == kind
    call("zoo", "check", "--backbone", own_world.backbone, "--store", tmp_path / "store")


def test_a_second_push_of_a_pulled_artifact_keeps_its_scores(
    world: World, published: dict[str, Files], loopback: LoopbackHub, fresh: Any, tmp_path: Path
) -> None:
    loopback.publish(REPO, published["fusion"])
    artifact = document("pull", "pull", REPO, *fresh)["artifact"]
    call("push", artifact, f"{USER}/again", "--dry-run", tmp_path / "out", *fresh)
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == json.loads(
        published["fusion"]["results.json"]
    )
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "origin" not in manifest
    assert manifest == told_of(published["fusion"])


def test_a_private_repository_without_a_token(
    published: dict[str, Files], loopback: LoopbackHub, fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.publish(REPO, published["tags"], private=True)
    monkeypatch.delenv("HF_TOKEN")
    told = refused("pull", REPO, *fresh, store=fresh[3])
    assert "is private" in told
    assert "hf auth login" in told
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert document("pull", "pull", REPO, *fresh)["state"] == "pulled"


@pytest.mark.parametrize(
    ("where", "status", "seconds"),
    [("GET /api/models/", 500, 0), ("HEAD .*manifest", 500, 0), ("GET .*head.safe", 503, 0), ("GET .*head.safe", 0, 0)],
)
def test_a_server_that_fails_once(
    where: str, status: int, seconds: float, published: dict[str, Files], loopback: LoopbackHub, fresh: Any
) -> None:
    loopback.publish(REPO, published["tags"])
    loopback.fail(where, status)
    assert document("pull", "pull", REPO, *fresh)["state"] == "pulled"
    assert [fault.times for fault in loopback.faults] == [0]


def test_a_slow_server_and_one_that_never_answers(
    published: dict[str, Files], loopback: LoopbackHub, fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.publish(REPO, published["tags"])
    loopback.fail("GET", 200, times=99, seconds=0.2)
    assert document("pull", "pull", REPO, *fresh)["state"] == "pulled"
    from adapterstilts.store import hub

    monkeypatch.setattr(hub, "SECONDS", 0.1)
    told = refused("pull", REPO, *fresh)
    assert "does not answer (ReadTimeout)" in told


def test_a_file_that_changed_on_the_server(
    published: dict[str, Files], loopback: LoopbackHub, fresh: Any, world: World
) -> None:
    for name, files in (("tags", published["tags"]), ("fusion", published["fusion"])):
        for file in told_of(files)["files"]:
            data = bytearray(files[file])
            data[len(data) // 2] ^= 4
            loopback.publish(f"{USER}/{name}", {**files, file: bytes(data)})
            told = refused("pull", f"{USER}/{name}", *fresh, store=fresh[3])
            assert f"'{file}' is not the one that was published" in told


def test_too_little_room_is_told_before_the_download(
    published: dict[str, Files], loopback: LoopbackHub, fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.publish(REPO, published["tags"])
    usage = shutil._ntuple_diskusage(10, 9, 1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    told = refused("pull", REPO, *fresh, store=fresh[3])
    total = sum(len(published["tags"][name]) for name in told_of(published["tags"])["files"])
    assert f"The store '{fresh[3]}' has room for 0.0 MB (1000 bytes), and pulling {REPO} needs" in told
    assert f"({total} bytes)" in told
    assert not [what for what in loopback.asked if what.endswith(".safetensors")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_store_that_takes_nothing(
    number: int, published: dict[str, Files], loopback: LoopbackHub, fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.publish(REPO, published["tags"])
    Store(fresh[3]).check_writable()
    copyfile = shutil.copyfile

    def refuse(source: Any, target: Any, **options: Any) -> Any:
        if str(target).startswith(str(fresh[3])):
            raise OSError(number, os.strerror(number), str(target))
        return copyfile(source, target, **options)

    monkeypatch.setattr(shutil, "copyfile", refuse)
    told = refused("pull", REPO, *fresh, store=fresh[3])
    assert f"The store '{fresh[3]}' cannot be written: {os.strerror(number)}" in told
    assert list(fresh[3].glob("tmp/*")) == []


def test_what_was_made_with_other_versions_is_told(
    published: dict[str, Files], loopback: LoopbackHub, fresh: Any
) -> None:
    loopback.publish(REPO, with_manifest(published["tags"], lambda told: told["versions"].update(adapters="2.1.0")))
    result = call("pull", REPO, *fresh)
    assert f"made with adapters 2.1.0, and {version('adapters')} is here" in " ".join(result.stderr.split())
    loopback.publish(f"{USER}/same", published["squad"])
    assert "made with" not in call("pull", f"{USER}/same", *fresh).stderr


def test_another_one_of_the_same_making_stays(
    world: World, published: dict[str, Files], loopback: LoopbackHub, fresh: Any, tmp_path: Path
) -> None:
    from safetensors.torch import load, save

    head = {name: tensor + 1 for name, tensor in load(published["tags"]["head.safetensors"]).items()}
    loopback.publish(REPO, with_file(published["tags"], "head.safetensors", save(head)))
    shutil.copytree(world.store, tmp_path / "store")
    before = kept_in(tmp_path / "store")
    assert document("pull", "pull", REPO, *fresh)["state"] == "kept"
    assert kept_in(tmp_path / "store") == before


def test_what_is_no_artifact_of_ours(loopback: LoopbackHub, fresh: Any) -> None:
    loopback.publish(REPO, {"config.json": b"{}", "pytorch_model.bin": b"\x80\x04"})
    assert "has no manifest.json" in refused("pull", REPO, *fresh, store=fresh[3])
    assert "is not on" in refused("pull", f"{USER}/nothing", *fresh, store=fresh[3])


NAMES = [
    *(
        "../evil.safetensors",
        "adapters/../../evil.safetensors",
        "/etc/passwd",
        "C:\\evil.json",
        "adapters\\x.safetensors",
    ),
    *("pytorch_adapter.bin", "evil.py", "adapters/a/b.safetensors", "adapters/.safetensors", "head.safetensors\n"),
    *("HEAD.safetensors", "adapters/\u202egnp.safetensors", "", ".", "manifest.json/", "heads/é.safetensors"),
    *("~/.ssh/config", "file:///etc/passwd", "\x1b]0;x\x07.json", "a" * 5000 + ".json", "config.json", "README.md"),
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:30]))
def test_names_of_files_that_no_artifact_has(
    name: str, published: dict[str, Files], loopback: LoopbackHub, fresh: Any
) -> None:
    files = with_manifest(published["tags"], lambda manifest: manifest["files"].update({name: "0" * 64}))
    loopback.publish(REPO, {**files, name: b"x"})
    told = refused("pull", REPO, *fresh, store=fresh[3])
    assert "which no artifact has" in told or "signs that no name has, or too many" in told
    assert not set("\x1b\x07\u202e") & set(told)
    assert len(told) < 1000


def relabelled(manifest: dict[str, Any]) -> None:
    manifest["labels"] = list(reversed(manifest["labels"]))


def rehashed(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Change the identity and make the fingerprint and the id fit it."""

    def changed(manifest: dict[str, Any]) -> None:
        change(manifest["identity"])
        manifest["fingerprint"] = fingerprint(manifest["identity"])
        manifest["id"] = f"{manifest['id'][:-12]}{manifest['fingerprint'][:12]}"

    return changed


HOSTILE: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("format", lambda manifest: manifest.update(format_version=2), "format 2"),
    ("true format", lambda manifest: manifest.update(format_version=True), "'format_version'"),
    ("kind", lambda manifest: manifest.update(kind="evaluation"), "'evaluation'"),
    ("other kind", lambda manifest: manifest.update(kind="intermediate"), "another kind"),
    ("list of kinds", lambda manifest: manifest.update(kind=["target"]), "['target']"),
    ("no labels", lambda manifest: manifest.pop("labels"), "lacks labels"),
    ("labels", relabelled, "Label"),
    ("number of labels", lambda manifest: manifest["labels"].append("X"), "Label"),
    ("label of another kind", lambda manifest: manifest.update(labels=[1]), "'labels'"),
    ("fingerprint", lambda manifest: manifest.update(fingerprint="0" * 64), "'fingerprint'"),
    ("identity", lambda manifest: manifest["identity"].update(extra=1), "'fingerprint'"),
    ("id leaves the store", lambda manifest: manifest.update(id="../../evil-000000000000"), "'id'"),
    ("name leaves the store", lambda manifest: manifest.update(name="../../evil"), "'id'"),
    ("markup", lambda manifest: manifest.update(created="[bold red]now[/]"), "'created'"),
    ("terminal", lambda manifest: manifest["versions"].update(torch="\x1b[2J"), "'versions.torch'"),
    ("turned text", lambda manifest: manifest.update(suite="\u202eemertx"), "'suite'"),
    ("suite", lambda manifest: manifest.update(suite="evil"), "suite 'evil'"),
    ("task", lambda manifest: manifest.update(task="panxx"), "something else"),
    ("settings", lambda manifest: manifest["settings"].update(evil=1), "evil"),
    ("setting", lambda manifest: manifest["settings"].update(batch_size="many"), "settings"),
    ("setting out of range", lambda manifest: manifest["settings"].update(batch_size=-1), "batch-size"),
    ("score", lambda manifest: manifest["metrics"]["validation"].update(f1="high"), "metrics.validation"),
    ("scores", lambda manifest: manifest["metrics"].update(validation=[1]), "metrics.validation"),
    ("backbone", lambda manifest: manifest["backbone"].update(id="../../etc"), "'backbone'"),
    ("backbone elsewhere", lambda manifest: manifest["backbone"].update(id="https://evil/x"), "'backbone'"),
    ("remote code", lambda manifest: manifest["backbone"].update(trust_remote_code="yes"), "'backbone'"),
    (
        "another backbone",
        lambda manifest: [manifest[key].update(revision="sha256:" + "1" * 64) for key in ("backbone", "tokenizer")],
        "was made for",
    ),
    ("other width", lambda manifest: manifest["backbone"].update(config_hash="1" * 64), "was made for"),
    ("no files", lambda manifest: manifest.update(files={}), "names 0 files"),
    ("files", lambda manifest: manifest.update(files=[]), "'files'"),
    (
        "many files",
        lambda manifest: manifest["files"].update({f"heads/a{n}.safetensors": "0" * 64 for n in range(999)}),
        "1004",
    ),
    ("a file that is not there", lambda manifest: manifest["files"].update({"fusion.safetensors": "0" * 64}), "lacks"),
    ("a part less", lambda manifest: manifest["files"].pop("head.safetensors"), "head.safetensors"),
    ("hash", lambda manifest: manifest["files"].update({"head.safetensors": "abc"}), "'abc'"),
    ("hash of another", lambda manifest: manifest["files"].update({"head.safetensors": "0" * 64}), "head.safetensors"),
    ("tokenizer", lambda manifest: manifest["tokenizer"].update(id="other"), "'tokenizer'"),
    ("seconds", lambda manifest: manifest["resources"].update(wall_seconds="long"), "wall_seconds"),
    ("rows", lambda manifest: manifest["data"]["train"].update(rows="all"), "'data'"),
    ("no data", lambda manifest: manifest.update(data={"train": []}), "'data'"),
    ("no such task", rehashed(lambda identity: identity["task"].update(name="panxx")), "something else"),
    ("other task", rehashed(lambda identity: identity["task"].update(name="udpos")), "something else"),
    ("list of tasks", rehashed(lambda identity: identity.update(task=[])), "'identity.task'"),
    ("no settings", rehashed(lambda identity: identity.pop("settings")), "'identity.settings'"),
    ("task file", rehashed(lambda identity: identity["task"].update(definition=[1])), "definition"),
    ("fused on", lambda manifest: manifest.update(fused_on="evil"), "'fused_on'"),
    ("deep", lambda manifest: manifest.update(versions={"x": "y" * 500}), "'versions.x'"),
]


@pytest.mark.parametrize(("change", "says"), [item[1:] for item in HOSTILE], ids=[item[0] for item in HOSTILE])
def test_hostile_manifests(
    change: Callable[[dict[str, Any]], Any], says: str, published: dict[str, Files], loopback: LoopbackHub, fresh: Any
) -> None:
    loopback.publish(REPO, with_manifest(published["tags"], change))
    told = refused("pull", REPO, *fresh, store=fresh[3])
    assert says in told
    assert not set("\x1b\u202e") & set(told)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "cannot be read"),
        (b"[]", "no JSON object"),
        (b"\xff\xfe", "cannot be read"),
        (b"{" * 100_000, "cannot be read"),
        (b"[" * 100_000 + b"]" * 100_000, "cannot be read"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b" " * ((1 << 23) + 1), "at most"),
    ],
    ids=["empty", "list", "bytes", "braces", "deep", "nan", "twice", "large"],
)
def test_manifests_that_are_none(text: bytes, says: str, loopback: LoopbackHub, fresh: Any) -> None:
    loopback.publish(REPO, {"manifest.json": text})
    told = refused("pull", REPO, *fresh, store=fresh[3])
    assert says in told
    assert "manifest.json" in told


def test_a_backbone_that_a_stranger_named_is_not_loaded(
    published: dict[str, Files], loopback: LoopbackHub, fresh: Any
) -> None:
    def elsewhere(manifest: dict[str, Any]) -> None:
        for key in ("backbone", "tokenizer"):
            manifest[key]["id"] = "bob/model"

    loopback.publish(REPO, with_manifest(published["tags"], elsewhere))
    told = refused("pull", REPO, *fresh[2:], store=fresh[3])
    assert "give --backbone bob/model" in told
    assert not any("bob" in what for what in loopback.asked)
    assert document("pull", "pull", REPO, *fresh)["state"] == "pulled"


def description(change: Callable[[dict[str, Any]], Any]) -> Callable[[Files], Files]:
    """Change ``composition.json``, with a manifest that agrees."""

    def changed(files: Files) -> Files:
        value = json.loads(files["composition.json"])
        change(value)
        return with_file(files, "composition.json", json.dumps(value).encode())

    return changed


CONFIG: Callable[[dict[str, Any]], dict[str, Any]] = lambda value: value["adapters"]["panx"]  # noqa: E731


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda value: value.update(top="../evil"), "top"),
        (lambda value: value.update(top="none"), "none"),
        (lambda value: value.update(expression="mnli+squad"), "No configuration"),
        (lambda value: value.update(expression="(" * 9999), "cannot be read"),
        (lambda value: value["head"].update(outputs=10**9), "outputs"),
        (lambda value: value["head"].update(outputs=6), "head.safetensors"),
        (lambda value: value["head"].update(kind="pickle"), "head.kind"),
        (lambda value: value["head"].update(labels=["X"] * 7), "labels"),
        (lambda value: CONFIG(value).update(reduction_factor=1e-9), "reduction_factor"),
        (lambda value: CONFIG(value).update(reduction_factor={"0": 1e-9}), "reduction_factor"),
        (lambda value: CONFIG(value).update(reduction_factor=4), "shape"),
        (lambda value: CONFIG(value).update(prefix_length=10**9), "prefix_length"),
        (lambda value: CONFIG(value).update({"\x1b[2J\u202e[bold]width": 10**9}), "[2J[bold]width"),
        (lambda value: CONFIG(value).update(architecture="evil"), "composition.json"),
        (lambda value: CONFIG(value).update(non_linearity="__import__('os')"), "."),
        (lambda value: value["adapters"].update(panx={"architecture": "union", "configs": ["/etc/passwd"]}), "configs"),
        (lambda value: value["adapters"].update(panx={}), "."),
        (lambda value: value["adapters"].update(panx=[]), "adapters"),
    ],
)
def test_hostile_compositions(
    change: Callable[[dict[str, Any]], Any], says: str, published: dict[str, Files], loopback: LoopbackHub, fresh: Any
) -> None:
    loopback.publish(REPO, description(change)(published["tags"]))
    told = refused("pull", REPO, *fresh, store=fresh[3])
    assert says in told
    assert not set("\x1b\u202e") & set(told)


def test_hostile_results(published: dict[str, Files], loopback: LoopbackHub, fresh: Any) -> None:
    for value in ({}, [1], [{"evaluation": "x"}], [{"evaluation": "x", "languages": {"en": {"f1": "1"}}}]):
        loopback.publish(REPO, with_file(published["tags"], "results.json", json.dumps(value).encode()))
        assert "results.json" in refused("pull", REPO, *fresh, store=fresh[3])
