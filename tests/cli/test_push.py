"""``push``: what is sent is whole, portable and readable without us; one commit, through what goes wrong on the way."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from calling import call, document, refused
from cli_world import World
from loopback_hub import TOKEN, USER, LoopbackHub, card_fault
from toy_compositions import batch_of, logits_of

from adapterstilts.models.backbone import load_backbone
from adapterstilts.models.saved import load_trained
from adapterstilts.store.artifacts import Store
from adapterstilts.studies import sharing

REPO = f"{USER}/panx-toy"


def written(world: World, name: str, folder: Path) -> Path:
    """Write a repository without sending it."""
    call("push", world.artifact(name), f"{USER}/{name}", "--dry-run", folder, "--store", world.store)
    return folder


def logits(world: World, name: str) -> torch.Tensor:
    """Return what an artifact of the store answers to a few rows."""
    backbone = load_backbone(str(world.backbone))
    composed = load_trained(Store(world.store).get(world.artifact(name)), backbone)
    return logits_of(composed, rows(world, name))


def rows(world: World, name: str) -> dict[str, torch.Tensor]:
    task = {"tags": "panx", "fusion": "xnli"}.get(name, name)
    return batch_of(task, load_backbone(str(world.backbone)), world.mirror)


def library_model(world: World) -> Any:
    from adapters import AutoAdapterModel

    model = AutoAdapterModel.from_pretrained(str(world.backbone))
    model.delete_head("default")
    return model.eval()


def answer(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        output = model(**{name: batch[name] for name in ("input_ids", "attention_mask")})
    return torch.stack([output[name] for name in ("logits", "start_logits", "end_logits") if name in output])


def test_a_dry_run_writes_everything_and_asks_nobody(
    world: World, tmp_path: Path, loopback: LoopbackHub, no_network: None
) -> None:
    shown = call("push", world.artifact("tags"), REPO, "--dry-run", tmp_path / "out", "--store", world.store)
    assert loopback.asked == []
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {
        *("README.md", "manifest.json", "composition.json", "results.json", "curve.jsonl"),
        *("adapters/panx.safetensors", "head.safetensors"),
        *("adapter_config.json", "adapter.safetensors", "head_config.json", "model_head.safetensors"),
    }
    assert all(name in shown.stdout for name in names)
    assert "base_model" not in shown.stdout, "a folder is no model on the Hub"
    assert "nothing was sent" in shown.stderr


@pytest.mark.parametrize("name", ["tags", "squad", "mnli"])
def test_the_adapters_library_loads_an_adapter_and_answers_alike(name: str, world: World, tmp_path: Path) -> None:
    folder = written(world, name, tmp_path / "out")
    model = library_model(world)
    info: dict[str, Any] = {}
    loaded = model.load_adapter(str(folder), use_safetensors=True, set_active=True, loading_info=info)
    assert info == {"missing_keys": [], "unexpected_keys": []}
    model.active_head = loaded
    assert torch.equal(answer(model.eval(), rows(world, name)), logits(world, name))
    config = json.loads((folder / "head_config.json").read_text())
    if name == "mnli":
        assert config["config"]["label2id"] == {"entailment": 0, "neutral": 1, "contradiction": 2}


def test_the_adapters_library_loads_an_adapter_from_the_hub_by_its_name(
    world: World, loopback: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    call("push", world.artifact("squad"), REPO, "--store", world.store)
    model = library_model(world)
    loaded = model.load_adapter(REPO, use_safetensors=True, set_active=True, cache_dir=str(tmp_path / "cache"))
    model.active_head = loaded
    assert torch.equal(answer(model.eval(), rows(world, "squad")), logits(world, "squad"))
    assert any(what.startswith(f"GET /{REPO}/resolve/") for what in loopback.asked)


def test_the_adapters_library_loads_a_composition_and_answers_alike(world: World, tmp_path: Path) -> None:
    folder = written(world, "fusion", tmp_path / "out")
    assert not (folder / "adapter_config.json").exists()
    model = library_model(world)
    setup, _ = model.load_adapter_setup(str(folder / "library"), use_safetensors=True, set_active=True)
    assert setup.flatten() == {"mnli", "squad", "xnli"}
    model.active_head = "xnli"
    assert torch.allclose(answer(model.eval(), rows(world, "fusion")), logits(world, "fusion"), atol=1e-6)


@pytest.mark.parametrize("name", ["tags", "fusion", "squad"])
def test_nothing_of_this_machine_is_in_it(name: str, world: World, tmp_path: Path) -> None:
    folder = written(world, name, tmp_path / "out")
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret in (str(world.backbone.parent), str(world.mirror), str(world.store), str(Path.home()), TOKEN):
                assert secret.encode() not in content, (path, secret)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["backbone"]["id"] == f"./{world.backbone.name}"
    assert manifest["tokenizer"] == {"id": f"./{world.backbone.name}", "revision": manifest["backbone"]["revision"]}


def test_results_tell_the_scores_and_the_hashes_of_the_predictions(world: World, tmp_path: Path) -> None:
    folder = written(world, "fusion", tmp_path / "out")
    (result,) = json.loads((folder / "results.json").read_text())
    evaluation = Store(world.store).get(world.made["fusion"]["evaluations"][0])
    assert result["languages"] == evaluation.manifest["metrics"]
    assert result["predictions"] == {
        code: evaluation.manifest["files"][f"predictions/{code}.jsonl"] for code in evaluation.manifest["languages"]
    }
    cells = world.made["fusion"]["languages"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    for code, cell in cells.items():
        assert f"| {code} | {cell['examples']} | {cell['score']:.1f} |" in card
    told = yaml.safe_load(card.split("---\n")[1])
    values = {item["dataset"]["config"]: item["metrics"][0]["value"] for item in told["model-index"][0]["results"]}
    assert len(values) == len(cells)
    assert values == {code: pytest.approx(cell["score"], abs=0.006) for code, cell in cells.items()}
    assert card_fault(card) == ""


def test_a_push_is_one_commit_and_the_next_one_another(world: World, loopback: LoopbackHub, own_world: World) -> None:
    made = document("push", "push", world.artifact("tags"), REPO, "--store", world.store)
    repository = loopback.repositories[REPO]
    assert made["commit"] == repository.refs["main"]
    assert set(repository.files) == {*made["files"], ".gitattributes"}
    assert len(repository.commits) == 2, "that of the empty repository, and one"
    again = document("push", "push", world.artifact("tags"), REPO, "--store", world.store)
    assert again["commit"] == made["commit"], "nothing changed, so there is nothing to commit"

    other = document("push", "push", world.artifact("fusion"), REPO, "--store", world.store)
    assert len(repository.commits) == 3
    assert set(repository.files) == {*other["files"], ".gitattributes"}, "files of the one before are gone"
    assert "adapters/panx.safetensors" in repository.commits[made["commit"]]


def test_a_private_repository_and_a_branch(world: World, loopback: LoopbackHub) -> None:
    made = document(
        "push", "push", world.artifact("tags"), REPO, "--private", "--revision", "v1", "--store", world.store
    )
    repository = loopback.repositories[REPO]
    assert repository.private
    assert repository.refs["v1"] == made["commit"]
    assert set(repository.files) == {".gitattributes"}, "main is as it was"


@pytest.mark.parametrize(
    ("where", "status", "times"),
    [("POST /api/repos/create", 500, 1), ("/lfs/[0-9a-f]{64}", 0, 1), ("/preupload/", 503, 2), ("/commit/", 502, 1)],
)
def test_what_goes_wrong_on_the_way_is_tried_again(
    where: str, status: int, times: int, world: World, loopback: LoopbackHub
) -> None:
    loopback.fail(where, status, times)
    made = document("push", "push", world.artifact("tags"), REPO, "--store", world.store)
    assert [fault.times for fault in loopback.faults] == [0]
    assert loopback.repositories[REPO].refs["main"] == made["commit"]


def test_an_upload_that_is_cut_off_leaves_nothing_and_can_be_repeated(world: World, loopback: LoopbackHub) -> None:
    loopback.fail("/commit/", 500, times=9)
    told = refused("push", world.artifact("tags"), REPO, "--store", world.store, store=world.store)
    assert "Nothing was changed" in told
    assert "answers 500" in told
    assert set(loopback.repositories[REPO].files) == {".gitattributes"}
    loopback.faults.clear()
    made = document("push", "push", world.artifact("tags"), REPO, "--store", world.store)
    assert loopback.repositories[REPO].refs["main"] == made["commit"]


def test_what_has_arrived_is_not_sent_again(
    world: World, loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line breaks at one of the weights, again and again; the repeated command sends that one and the rest."""
    head = sha256((Store(world.store).get(world.artifact("fusion")).path / "head.safetensors").read_bytes()).hexdigest()
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the client waits before it tries again
    loopback.fail(f"/lfs/{head}", 0, times=999)
    told = refused("push", world.artifact("fusion"), REPO, "--store", world.store, store=world.store)
    assert "Nothing was changed" in told
    assert set(loopback.repositories[REPO].files) == {".gitattributes"}
    arrived = set(loopback.large)
    assert head not in arrived
    loopback.faults.clear()
    loopback.asked.clear()
    call("push", world.artifact("fusion"), REPO, "--store", world.store)
    sent = {what.rsplit("/", 1)[-1] for what in loopback.asked if what.startswith("PUT /lfs/")}
    assert head in sent
    assert not sent & arrived
    assert "head.safetensors" in loopback.repositories[REPO].files


def test_a_second_push_with_new_scores_sends_those_alone(own_world: World, loopback: LoopbackHub) -> None:
    artifact = own_world.artifact("tags")
    call("push", artifact, REPO, "--store", own_world.store)
    repository = loopback.repositories[REPO]
    before = dict(repository.files)
    call("evaluate", artifact, "--split", "validation", "--languages", "en", *own_world.options)
    loopback.asked.clear()
    call("push", artifact, REPO, "--store", own_world.store)
    after = repository.files
    assert {name for name in after if after[name] != before.get(name)} == {"README.md", "manifest.json", "results.json"}
    assert len(json.loads(after["results.json"])) == len(json.loads(before["results.json"])) + 1
    assert not [what for what in loopback.asked if what.startswith("PUT /lfs/")]
    assert len(repository.commits) == 3


def test_the_card_is_validated_before_it_is_sent(
    world: World, loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("push", world.artifact("tags"), REPO, "--store", world.store)
    assert "POST /api/validate-yaml" in loopback.asked
    monkeypatch.setattr(sharing, "card", lambda *_: "---\ntags: [1]\n---\n")
    told = refused("push", world.artifact("tags"), f"{USER}/other", "--store", world.store)
    assert "tags must be texts" in told
    assert set(loopback.repositories[f"{USER}/other"].files) == {".gitattributes"}


def test_a_disk_that_is_full(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Any, target: Any, **_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    told = refused("push", world.artifact("tags"), REPO, "--dry-run", tmp_path / "out", "--store", world.store)
    assert "No space left on device" in told
    assert "/repository/" in told
    assert not (tmp_path / "out").exists()


def test_without_a_token_one_is_told_to_log_in(
    world: World, loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token in (None, "hf_wrongWrongWrongWrongWrong"):
        monkeypatch.delenv("HF_TOKEN") if token is None else monkeypatch.setenv("HF_TOKEN", token)
        told = refused("push", world.artifact("tags"), REPO, "--store", world.store)
        assert "hf auth login" in told
        assert "hf_wrong" not in told
    assert loopback.repositories == {}


def test_the_repository_of_somebody_else(world: World, loopback: LoopbackHub) -> None:
    told = refused("push", world.artifact("tags"), "bob/panx", "--store", world.store)
    assert "may not do that with 'bob/panx'" in told
    assert TOKEN not in told


def test_a_server_that_says_what_a_terminal_would_obey(world: World, loopback: LoopbackHub) -> None:
    loopback.fail("/commit/", 418, times=9)
    told = refused("push", world.artifact("tags"), REPO, "--store", world.store)
    assert "refuses" in told
    assert "\x1b" not in told.split("Error:")[1]


@pytest.mark.parametrize(
    "repo", ["panx", "a/b/c", "../etc/passwd", "alice/..", "alice/x@", "https://hub/x", "alice/a--b", "alice/\x1b[1m"]
)
def test_names_that_no_repository_has(repo: str, world: World, tmp_path: Path) -> None:
    told = refused("push", world.artifact("tags"), repo, "--dry-run", tmp_path / "out", "--store", world.store)
    assert "give USER/REPO" in told or "is no revision" in told
    assert "\x1b" not in told
    assert not (tmp_path / "out").exists()


def test_an_evaluation_is_not_pushed_and_offline_is_told(world: World, tmp_path: Path) -> None:
    told = refused("push", world.made["fusion"]["evaluations"][0], REPO, "--store", world.store)
    assert world.artifact("fusion") in told
    told = refused("push", world.artifact("fusion"), REPO, "--store", world.store)
    assert "HF_HUB_OFFLINE" in told
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    told = refused("push", world.artifact("tags"), REPO, "--dry-run", tmp_path / "full", "--store", world.store)
    assert "not empty" in told


def test_a_hub_that_is_not_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody answers
    told = refused("push", world.artifact("tags"), REPO, "--store", world.store)
    assert "http://127.0.0.1:9 does not answer" in told
    assert "--dry-run" in told


def test_in_a_process_of_its_own_there_and_back(world: World, loopback: LoopbackHub, tmp_path: Path) -> None:
    """With nothing changed inside of the client, and with everything logged."""
    environment = {**os.environ, "ADAPTERSTILTS_LOG": "DEBUG", "HF_HUB_VERBOSITY": "debug", "HF_HOME": str(tmp_path)}
    for command in (
        ("push", world.artifact("tags"), REPO, "--store", str(world.store)),
        ("pull", REPO, "--backbone", str(world.backbone), "--store", str(tmp_path / "store")),
    ):
        done = subprocess.run(
            [sys.executable, "-c", "from adapterstilts.cli import main; main()", *command],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        assert loopback.repositories[REPO].refs["main"] in done.stderr
    assert Store(tmp_path / "store").get(world.artifact("tags")).manifest["origin"]["repo"] == REPO
    assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def changed(world: World, name: str, change: Any) -> str:
    """Change a manifest in a store of one's own."""
    path = Store(world.store).get(world.artifact(name)).path / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return world.artifact(name)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda manifest: manifest["versions"].update(extra="hf_" + "a" * 30), "token in 'versions.extra'"),
        (lambda manifest: manifest["identity"].update(root=str(Path.home() / "data")), "identity.root"),
        (lambda manifest: manifest["settings"].update(rate=1), "rate"),
    ],
)
def test_what_tells_of_this_machine_or_is_damaged_is_refused(
    change: Any, says: str, own_world: World, tmp_path: Path
) -> None:
    artifact = changed(own_world, "tags", change)
    told = refused("push", artifact, REPO, "--dry-run", tmp_path / "out", "--store", own_world.store)
    assert says in told
    assert "hf_aaa" not in told
    assert not (tmp_path / "out").exists()


def test_paths_of_data_become_names(own_world: World, tmp_path: Path) -> None:
    artifact = changed(own_world, "tags", lambda manifest: manifest["data"]["train"].update(dataset="/data/me/rows"))
    call("push", artifact, REPO, "--dry-run", tmp_path / "out", "--store", own_world.store)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["data"]["train"]["dataset"] == "rows"


def test_no_request_but_its_head_has_the_token(world: World, loopback: LoopbackHub) -> None:
    call("push", world.artifact("tags"), REPO, "--store", world.store)
    assert not any(TOKEN in body for body in loopback.bodies)
    assert all(re.fullmatch(r"[A-Z]+ /\S+", what) for what in loopback.asked)
