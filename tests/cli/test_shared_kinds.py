"""Every kind of artifact there and back: fusions, trained backbones, dropped layers; ensembles are told what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from calling import TINY, call, document, refused
from cli_world import FUSE, World
from damages import Files, with_file
from loopback_hub import USER, LoopbackHub, card_fault
from plain_library import plain
from toy_compositions import batch_of, logits_of

from adapterstilts.models.backbone import load_backbone
from adapterstilts.models.saved import FUSED, load_shared, load_trained
from adapterstilts.store.artifacts import Artifact, Store

REPO = f"{USER}/kinds"


pytestmark = pytest.mark.usefixtures("short_recipes")


def only(world: World, kind: str) -> Artifact:
    """Return the one artifact of a kind."""
    (found,) = Store(world.store).all(kind)
    return found


def sent(world: World, artifact: str) -> Any:
    """Push an artifact."""
    return document("push", "push", artifact, REPO, "--store", world.store)


def answers(world: World, artifact: Artifact) -> dict[str, torch.Tensor]:
    """Return what each head of a fusion says to rows of its task."""
    _, parts = load_shared(artifact, load_backbone(str(world.backbone)))
    found = {}
    for task, part in parts.items():
        part.activate()
        found[task] = logits_of(part, batch_of(task, part.backbone, world.mirror))
    return found


def test_a_fusion_comes_back_and_answers_through_each_head(
    kinds: World, loopback: LoopbackHub, fresh: Any, tmp_path: Path
) -> None:
    fusion = only(kinds, FUSED)
    made = sent(kinds, fusion.id)
    assert {name for name in made["files"] if not name.startswith("library/")} == {
        *("README.md", "manifest.json", "results.json", "curve.jsonl", "fusion.json", "fusion.safetensors"),
        *(f"{folder}/{task}.safetensors" for folder in ("adapters", "heads") for task in ("mnli", "squad")),
    }
    assert document("pull", "pull", REPO, *fresh)["state"] == "pulled"
    ours = Store(tmp_path / "store").get(fusion.id)
    one, other = answers(kinds, fusion), answers(kinds, ours)
    assert one["squad"].shape != one["mnli"].shape
    assert all(torch.equal(one[task], other[task]) for task in ("mnli", "squad"))
    assert document("pull", "pull", REPO, *fresh)["state"] == "there"
    (condition,) = document("zoo_check", "zoo", "check", *fresh)
    assert condition == {"artifact": fusion.id, "kind": "fusion", "fault": ""}
    (offer,) = document("zoo_list", "zoo", "list", "--task", "squad", "--store", tmp_path / "store")
    assert (offer["kind"], offer["task"]) == ("fusion", "mnli+squad")


def test_a_pulled_fusion_stands_under_a_target_where_its_adapters_are(
    kinds: World, loopback: LoopbackHub, fresh: Any
) -> None:
    for artifact in (*only(kinds, FUSED).manifest["inputs"], only(kinds, FUSED).id):
        sent(kinds, artifact)
        document("pull", "pull", REPO, *fresh)
    told = document("compose", *FUSE, "--no-train", "--data-root", kinds.mirror, *fresh, *TINY)
    assert [(stage["kind"], stage["state"]) for stage in told["stages"][:3]] == [
        ("intermediate", "reused"),
        ("intermediate", "reused"),
        ("fusion", "reused"),
    ]
    assert told["languages"] == kinds.made["fused"]["languages"]


def test_a_composition_on_a_fusion_says_what_it_was_fused_on(kinds: World, loopback: LoopbackHub, fresh: Any) -> None:
    artifact = kinds.artifact("fused")
    sent(kinds, artifact)
    assert document("pull", "pull", REPO, *fresh)["artifact"] == artifact
    card = loopback.repositories[REPO].files["README.md"].decode()
    assert "--target xnli --fuse-on intermediate" in card
    told = document("evaluate", "evaluate", artifact, "--languages", "en", "--data-root", kinds.mirror, *fresh)
    assert told["fused_on"] == "intermediate"
    assert told["languages"]["en"]["score"] == kinds.made["fused"]["languages"]["en"]["score"]


def test_the_adapters_library_loads_a_fusion_with_its_heads(kinds: World, tmp_path: Path) -> None:
    fusion = only(kinds, FUSED)
    call("push", fusion.id, REPO, "--dry-run", tmp_path / "out", "--store", kinds.store)
    model = plain(kinds.backbone).eval()
    setup, _ = model.load_adapter_setup(str(tmp_path / "out" / "library"), use_safetensors=True, set_active=True)
    assert str(setup) == "Fuse[mnli, squad]"
    assert set(model.heads) == {"mnli", "squad"}
    for task, expected in answers(kinds, fusion).items():
        model.active_head = task
        batch = batch_of(task, load_backbone(str(kinds.backbone)), kinds.mirror)
        assert torch.allclose(spoken(model, batch), expected, atol=1e-6)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Fuse(mnli, squad) → classification head 'mnli', question_answering head 'squad'" in card
    assert "compose mnli+squad --target TASK --fuse-on intermediate" in card
    assert f"where the store has its adapters, too: `{fusion.manifest['inputs'][0]}`" in card
    assert "model.active_head = 'mnli'" in card
    assert "pipeline_tag" not in card, "two tasks of two kinds"
    assert card_fault(card) == ""


def spoken(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the logits of the active head of a model of the adapters library."""
    with torch.no_grad():
        output = model.eval()(**{name: batch[name] for name in ("input_ids", "attention_mask")})
    return torch.stack([output[name] for name in ("logits", "start_logits", "end_logits") if name in output])


def logits(world: World, artifact: Artifact) -> torch.Tensor:
    backbone = load_backbone(str(world.backbone))
    return logits_of(load_trained(artifact, backbone), batch_of("xnli", backbone, world.mirror))


def test_a_trained_backbone_comes_back(kinds: World, loopback: LoopbackHub, fresh: Any, tmp_path: Path) -> None:
    artifact = kinds.artifact("whole")
    made = sent(kinds, artifact)
    assert set(made["files"]) == {
        *("README.md", "manifest.json", "composition.json", "results.json", "curve.jsonl"),
        *("backbone.safetensors", "head.safetensors"),
    }
    card = loopback.repositories[REPO].files["README.md"].decode()
    size = sum(made["files"][name] for name in ("backbone.safetensors", "head.safetensors"))
    assert f"the repository holds {size / 1e6:,.1f} MB of weights" in card
    assert "the whole backbone → classification head 'xnli'" in card
    assert "--adapter full" in card
    assert "The adapters library alone cannot load it." in card
    assert "load_adapter" not in card
    assert "frozen" not in card
    assert "- adapters\n" not in card
    assert card_fault(card) == ""
    assert document("pull", "pull", REPO, *fresh)["artifact"] == artifact
    theirs, ours = Store(kinds.store).get(artifact), Store(tmp_path / "store").get(artifact)
    assert torch.equal(logits(kinds, theirs), logits(kinds, ours))
    told = document("evaluate", "evaluate", artifact, "--languages", "en", "--data-root", kinds.mirror, *fresh)
    assert told["languages"]["en"]["score"] == kinds.made["whole"]["languages"]["en"]["score"]


def test_dropped_layers_stay_dropped(kinds: World, loopback: LoopbackHub, fresh: Any, tmp_path: Path) -> None:
    artifact = kinds.artifact("dropped")
    sent(kinds, artifact)
    files = loopback.repositories[REPO].files
    assert "--drop-layers 0" in files["README.md"].decode()
    assert document("pull", "pull", REPO, *fresh)["artifact"] == artifact
    ours = Store(tmp_path / "store").get(artifact)
    expected = logits(kinds, Store(kinds.store).get(artifact))
    assert torch.equal(logits(kinds, ours), expected)
    for name, data in files.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(data)
    model = plain(kinds.backbone)
    model.load_adapter_setup(str(tmp_path / "out" / "library"), use_safetensors=True, set_active=True)
    model.active_head = "xnli"
    batch = batch_of("xnli", load_backbone(str(kinds.backbone)), kinds.mirror)
    assert torch.allclose(spoken(model, batch), expected, atol=1e-6)
    assert not [key for key in model.state_dict() if "layer.0." in key and ".adapters." in key]


def test_an_ensemble_is_pushed_by_its_members(kinds: World, tmp_path: Path) -> None:
    found = only(kinds, "ensemble")
    told = refused("push", found.id, REPO, "--dry-run", tmp_path / "out", "--store", kinds.store)
    assert "which is not shared by itself; push its members: " in " ".join(told.split())
    assert all(name in told for name in found.manifest["inputs"])
    assert not (tmp_path / "out").exists()


def test_all_kinds_are_checked_and_what_an_ensemble_lacks_is_told(kinds: World, tmp_path: Path) -> None:
    home = Path(shutil.copytree(kinds.store, tmp_path / "store"))
    whole = document("zoo_check", "zoo", "check", "--store", home)
    assert {condition["kind"] for condition in whole} == {
        *("intermediate", "target", "evaluation", "ensemble", "fusion"),
    }
    assert {condition["fault"] for condition in whole} == {""}

    gone = Store(home).get(only(kinds, "ensemble").manifest["inputs"][0])
    shutil.rmtree(gone.path)
    head = only(kinds, FUSED).path.relative_to(kinds.store) / "heads" / "squad.safetensors"
    (home / head).write_bytes((home / head).read_bytes()[:-4])
    result = call("zoo", "check", "--json", "--store", home, code=2)
    faults = {item["artifact"]: item["fault"] for item in json.loads(result.stdout) if item["fault"]}
    assert set(faults) == {only(kinds, "ensemble").id, only(kinds, FUSED).id}
    assert f"lacks '{gone.id}'" in faults[only(kinds, "ensemble").id]
    assert str(home / head) in faults[only(kinds, FUSED).id]


def described(change: Any, files: Files) -> Files:
    """Return a repository with another ``fusion.json``, and a manifest that agrees with it."""
    told = json.loads(files["fusion.json"])
    change(told)
    return with_file(files, "fusion.json", json.dumps(told).encode())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda value: value.update(expression="mnli"), "is no fusion"),
        (lambda value: value.update(expression="mnli+hellaswag"), "hellaswag"),
        (lambda value: value.update(expression="squad+mnli"), "fusion"),
        (lambda value: value["adapters"].pop("mnli"), "mnli"),
        (lambda value: value["adapters"]["mnli"].update(reduction_factor=1e-9), "reduction_factor"),
        (lambda value: value["adapters"]["mnli"].update(leave_out=[0]), "different layers"),
        (lambda value: value.update(fusion=None), "fusion.json"),
        (lambda value: value["fusion"].update(query_before_ln=10**9), "query_before_ln"),
        (lambda value: value["fusion"].update(value=False), "fusion.safetensors"),
        (lambda value: value.update(heads=[]), "a head of each of its tasks"),
        (lambda value: value["heads"].pop("squad"), "a head of each of its tasks"),
        (lambda value: value["heads"].update({"../evil": value["heads"]["squad"]}), "a head of each of its tasks"),
        (lambda value: value["heads"].update(squad=1), "a head is no JSON object"),
        (lambda value: value["heads"]["squad"].update(outputs=True), "head.outputs"),
        (lambda value: value["heads"]["squad"].update(outputs=10**9), "outputs"),
        (lambda value: value["heads"]["mnli"].update(outputs=4, labels=list("abcd")), "mnli.safetensors"),
    ],
)
def test_hostile_fusions(
    change: Any, says: str, kinds: World, loopback: LoopbackHub, fresh: Any, tmp_path: Path
) -> None:
    sent(kinds, only(kinds, FUSED).id)
    loopback.publish(REPO, described(change, loopback.repositories[REPO].files))
    told = refused("pull", REPO, *fresh, store=fresh[3])
    assert says in told.replace("\n", "")
    assert "fusion.json" in told.replace("\n", "") or "safetensors" in told.replace("\n", "")
