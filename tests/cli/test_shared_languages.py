"""Language adapters and compositions on them, there and back: the same predictions in every language."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from calling import TINY, call, document, refused
from damages import Files, with_file, with_manifest
from loopback_hub import USER, LoopbackHub, card_fault
from plain_library import plain
from toy_compositions import batch_of, logits_of

from adapterstilts.fingerprints import fingerprint
from adapterstilts.models.backbone import identify, load_backbone
from adapterstilts.models.saved import load_trained
from adapterstilts.store.artifacts import Store
from adapterstilts.training.adapter_hub import import_language

pytestmark = pytest.mark.usefixtures("toy_lab", "short_recipes")

#: Enough for the adapters of two languages to differ visibly.
STRONG = (*TINY[2:], "--steps", "6", "--learning-rate", "0.02")
LAB = ("--suite", "lab")


def repo(name: str) -> str:
    return f"{USER}/{name}"


def made(store: Path, *codes: str, expression: str = "squad+mnli") -> dict[str, Any]:
    """Train language adapters of the lab and a composition on them; return the document of that."""
    for code in codes:
        document("train_language", "train-language", code, *LAB, "--store", store, *STRONG)
    options = ("--language-adapters", "madx", "--language-fallback", "none", "--store", store)
    found: dict[str, Any] = document("compose", "compose", expression, "--target", "tydiqa", *LAB, *options, *STRONG)
    return found


def test_a_composition_and_its_language_adapters_come_back(loopback: LoopbackHub, tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    told = made(theirs, "qaa", "qab")
    languages = {item.manifest["language"]: item for item in Store(theirs).all("language")}
    sent = document("push", "push", told["artifact"], repo("tydiqa"), "--store", theirs)
    assert {"adapters/language.safetensors", "library/language/adapter.safetensors"} <= set(sent["files"])
    (results,) = json.loads(loopback.repositories[repo("tydiqa")].files["results.json"])
    assert results["language_adapters"] == {"qaa": "qaa", "qab": "qab", "qac": None}
    card = loopback.repositories[repo("tydiqa")].files["README.md"].decode()
    assert f"--language-adapters madx --language-adapter qaa={languages['qaa'].id}" in card
    assert "qab on that of qab, qac on none" in card
    assert card_fault(card) == ""

    assert document("pull", "pull", repo("tydiqa"), "--store", ours)["artifact"] == told["artifact"]
    pulled = Store(ours).get(told["artifact"])
    assert pulled.manifest["language_adapter"] == {
        **{"language": "qaa", "artifact": languages["qaa"].id, "fingerprint": languages["qaa"].fingerprint}
    }
    document("runs", "runs", "--store", ours)
    alone = document("evaluate", "evaluate", told["artifact"], "--language-fallback", "none", "--store", ours)
    assert alone["language_adapters"]["qab"] is None, "nobody has pulled the adapter of qab yet"

    document("push", "push", languages["qab"].id, repo("qab"), "--store", theirs)
    assert document("pull", "pull", repo("qab"), "--store", ours)["artifact"] == languages["qab"].id
    again = document("evaluate", "evaluate", told["artifact"], "--language-fallback", "none", "--store", ours)
    assert again["language_adapters"]["qab"]["artifact"] == languages["qab"].id
    both = [Store(home).get(one["evaluations"][0]) for home, one in ((theirs, told), (ours, again))]
    first, second = (
        {code: item.read_lines(f"predictions/{code}.jsonl") for code in ("qaa", "qab", "qac")} for item in both
    )
    assert first == second
    swapped, bare = (Store(ours).get(one["evaluations"][0]).manifest["files"] for one in (again, alone))
    assert swapped["predictions/qab.jsonl"] != bare["predictions/qab.jsonl"], "the adapter makes no difference"
    whole = document("zoo_check", "zoo", "check", "--store", ours)
    assert {item["fault"] for item in whole} == {""}
    offers = document("zoo_list", "zoo", "list", "--task", "qab", "--store", ours)
    assert [offer["name"] for offer in offers] == [languages["qab"].id]


@pytest.mark.parametrize("expression", ["none", "squad+mnli"])
def test_the_adapters_library_stacks_it_on_the_source_language(
    expression: str, toy_backbone_folder: Path, toy_mirror: Path, tmp_path: Path
) -> None:
    told = made(tmp_path / "store", "qaa", expression=expression)
    call("push", told["artifact"], repo("tydiqa"), "--dry-run", tmp_path / "out", "--store", tmp_path / "store")
    model = plain(toy_backbone_folder)
    setup, _ = model.load_adapter_setup(str(tmp_path / "out" / "library"), use_safetensors=True, set_active=True)
    assert next(iter(setup)) == "language"
    model.active_head = "tydiqa"
    composed = load_trained(Store(tmp_path / "store").get(told["artifact"]), load_backbone(str(toy_backbone_folder)))
    batch = batch_of("tydiqa", composed.backbone, toy_mirror)
    expected = logits_of(composed, batch)
    with torch.no_grad():
        output = model.eval()(**{name: batch[name] for name in ("input_ids", "attention_mask")})
    torch.testing.assert_close(torch.stack([output.start_logits, output.end_logits]), expected, rtol=0, atol=1e-6)


def rehashed(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Change the manifest, and make the fingerprint and the id fit what is in the identity then."""

    def changed(manifest: dict[str, Any]) -> None:
        change(manifest)
        manifest["fingerprint"] = fingerprint(manifest["identity"])
        manifest["id"] = f"{manifest['id'][:-12]}{manifest['fingerprint'][:12]}"

    return changed


def without_language(files: Files) -> Files:
    """Return a composition that says it is on no language adapter."""
    told = json.loads(files["composition.json"])
    del told["on_language"]
    return with_file(files, "composition.json", json.dumps(told).encode())


HOSTILE: dict[str, Callable[[Files], Files]] = {
    "'language_adapter' is not the one": lambda files: with_manifest(
        files, lambda told: told["language_adapter"].update(fingerprint="0" * 64)
    ),
    "names no language and artifact": lambda files: with_manifest(
        files, lambda told: told["language_adapter"].update(artifact="../../evil")
    ),
    "There is no language code 'qzz'": lambda files: with_manifest(
        files, lambda told: told["language_adapter"].update(language="qzz")
    ),
    "do not agree on whether there is a language adapter": lambda files: with_manifest(
        files, rehashed(lambda told: [told.pop("language_adapter"), told["identity"].pop("language")])
    ),
    "composition.json": without_language,
}


def test_hostile_compositions_on_a_language(loopback: LoopbackHub, tmp_path: Path) -> None:
    told = made(tmp_path / "store", "qaa", expression="none")
    document("push", "push", told["artifact"], repo("tydiqa"), "--store", tmp_path / "store")
    files = loopback.repositories[repo("tydiqa")].files
    (tmp_path / "ours").mkdir()
    for says, change in HOSTILE.items():
        loopback.publish(repo("evil"), change(files))
        refusal = refused("pull", repo("evil"), "--store", tmp_path / "ours", store=tmp_path / "ours")
        assert says in " ".join(refusal.split())


def test_a_language_adapter_that_others_trained_is_published_as_such(
    toy_backbone_folder: Path, loopback: LoopbackHub, tmp_path: Path
) -> None:
    model = plain(toy_backbone_folder)
    model.add_adapter("xyz", config="seq_bn_inv")
    model.save_adapter(str(tmp_path / "saved"), "xyz")
    theirs = Store(tmp_path / "theirs")
    identity = identify(str(toy_backbone_folder))
    artifact = import_language(tmp_path / "saved", "sw", "xtreme", identity, theirs)
    document("push", "push", artifact.id, repo("sw"), "--store", theirs.home)
    card = loopback.repositories[repo("sw")].files["README.md"].decode()
    assert "which others trained and saved with the adapters library" in card
    assert "| not known | data, settings, seed, time and energy |" in card
    assert "train-language" not in card
    assert str(toy_backbone_folder.parent) not in card
    assert card_fault(card) == ""
    ours = ("--backbone", toy_backbone_folder, "--store", tmp_path / "ours")
    assert document("pull", "pull", repo("sw"), *ours)["artifact"] == artifact.id
    (listed,) = document("runs", "runs", *ours[2:])
    assert (listed["language"], listed["not_known"]) == ("sw", ["data", "settings", "seed", "resources"])
    (condition,) = document("zoo_check", "zoo", "check", *ours)
    assert condition["fault"] == ""
