"""``pull USER/REPO --as TASK``: adapters that the adapters library saved, for an intermediate task, or refused."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from calling import TINY, call, document, refused
from cli_world import World
from damages import Files
from loopback_hub import USER, LoopbackHub, card_fault
from plain_library import plain
from toy_compositions import batch_of, logits_of

from adapterstilts.models.backbone import load_backbone
from adapterstilts.models.saved import load_headless, load_trained
from adapterstilts.store.artifacts import Store

NLI = {0: "entailment", 1: "neutral", 2: "contradiction"}
REPO = "AdapterHub/toy"
Saved = Callable[..., tuple[Files, Any]]


@pytest.fixture
def saved(world: World, tmp_path: Path) -> Saved:
    """Return a function that lets the library save an adapter with random weights; files, and the model itself."""

    def save(
        adapter: str = "seq_bn", head: tuple[str, dict[str, Any]] | None = None, *, safetensors: bool = False
    ) -> tuple[Files, Any]:
        from adapters import AdapterConfig

        model = plain(world.backbone)
        config = AdapterConfig.load(adapter)
        model.add_adapter("xyz", config=config.replace(reduction_factor=4) if "bn" in adapter else config)
        if head is not None:
            getattr(model, head[0])("xyz", **head[1])
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for key, tensor in model.state_dict().items():
                if "xyz" in key.split("."):
                    tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
        model.set_active_adapters("xyz")
        folder = tmp_path / "saved"
        model.save_adapter(str(folder), "xyz", use_safetensors=safetensors)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        for path in folder.iterdir():
            path.unlink()
        return files, model.eval()

    return save


def said(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return what the library's model answers."""
    with torch.no_grad():
        output = model(**{name: batch[name] for name in ("input_ids", "attention_mask")})
    return torch.stack([output[name] for name in ("logits", "start_logits", "end_logits") if name in output])


@pytest.mark.parametrize("safetensors", [False, True])
@pytest.mark.parametrize(
    ("task", "head"),
    [
        ("mnli", ("add_classification_head", {"num_labels": 3, "id2label": NLI})),
        ("squad", ("add_qa_head", {})),
        ("hellaswag", ("add_multiple_choice_head", {"num_choices": 4})),
    ],
)
def test_with_a_head_of_the_task_it_answers_as_it_did(
    task: str,
    head: tuple[str, dict[str, Any]],
    safetensors: bool,
    saved: Saved,
    world: World,
    loopback: LoopbackHub,
    fresh: Any,
    tmp_path: Path,
) -> None:
    files, model = saved(head=head, safetensors=safetensors)
    commit = loopback.publish(REPO, files)
    told = document("pull", "pull", REPO, "--as", task, *fresh)
    assert (told["repo"], told["commit"], told["state"]) == (REPO, commit, "pulled")
    made = Store(tmp_path / "store").get(told["artifact"])
    assert not [name for name in made.manifest["files"] if name.endswith(".bin")], "a pickle is in the store"
    backbone = load_backbone(str(world.backbone))
    batch = batch_of(task, backbone, world.mirror)
    assert torch.equal(logits_of(load_trained(made, backbone), batch), said(model, batch))
    (listed,) = document("runs", "runs", *fresh[2:])
    assert listed["imported"] == {"repo": REPO, "commit": commit, "head": "kept"}
    assert listed["not_known"] == ["data", "settings", "seed", "resources"]
    assert (listed["settings"]["adapter"], listed["settings"]["reduction_factor"]) == ("seq_bn", 4)
    assert document("pull", "pull", REPO, "--as", task, *fresh)["state"] == "there"
    rows = {
        "mnli": {"text": "the cat sees a tree", "text_pair": "indeed a tree"},
        "squad": {"question": "who", "context": "the cat sees a tree"},
        "hellaswag": {"text": "the cat", "choices": ["sees", "is", "a", "b"]},
    }
    answered = call("predict", told["artifact"], "-", *fresh, given=json.dumps(rows[task]))
    assert json.loads(answered.stdout)["answer"] is not None


def test_it_is_composed_evaluated_checked_and_published(
    saved: Saved, world: World, loopback: LoopbackHub, fresh: Any, tmp_path: Path
) -> None:
    files, _ = saved(head=("add_qa_head", {}))
    commit = loopback.publish(REPO, files)
    artifact = document("pull", "pull", REPO, "--as", "squad", *fresh)["artifact"]
    assert "F1" in call("evaluate", artifact, "--data-root", world.mirror, *fresh).stdout
    scores = document("evaluate", "evaluate", artifact, "--data-root", world.mirror, *fresh)
    assert scores["seeds"] == [], "nobody tells with which seed it was trained"
    told = document(
        *("compose", "compose", "squad", "--target", "tydiqa", "--no-train", "--languages", "en"),
        *("--data-root", world.mirror, *fresh, *TINY),
    )
    assert (told["stages"][0]["artifact"], told["stages"][0]["state"]) == (artifact, "reused")
    assert Store(tmp_path / "store").get(told["artifact"]).manifest["inputs"] == [artifact]
    assert {item["fault"] for item in document("zoo_check", "zoo", "check", *fresh)} == {""}
    (offer,) = document("zoo_list", "zoo", "list", "--task", "squad", *fresh[2:])[:1]
    assert (offer["name"], offer["note"]) == (artifact, f"from {REPO}")

    document("push", "push", artifact, f"{USER}/again", *fresh)
    card = loopback.repositories[f"{USER}/again"].files["README.md"].decode()
    assert f"which others trained (`{REPO}` at `{commit}`)" in card
    assert f"adapterstilts pull {REPO}@{commit} --as squad" in card
    assert "| not known | data, settings, seed, time and energy |" in card
    assert "Nobody tells what it was trained on." in card
    assert "| time |" not in card
    assert card_fault(card) == ""
    other = ("--backbone", world.backbone, "--store", tmp_path / "other")
    assert document("pull", "pull", f"{USER}/again", *other)["artifact"] == artifact
    document("runs", "runs", *other[2:])


@pytest.mark.parametrize(
    ("task", "head", "says"),
    [
        ("squad", None, ""),
        ("mnli", ("add_classification_head", {"num_labels": 3}), "its labels are ('LABEL_0', 'LABEL_1', 'LABEL_2')"),
        ("mnli", ("add_classification_head", {"num_labels": 2}), "it has 2 outputs, and the task 3"),
        ("mnli", ("add_classification_head", {"num_labels": 3, "id2label": {0: "neutral", 1: "x", 2: "y"}}), "labels"),
        ("mnli", ("add_classification_head", {"num_labels": 3, "id2label": NLI, "layers": 1}), "its layers is 1"),
        ("hellaswag", ("add_multiple_choice_head", {"num_choices": 2}), "it has 2 outputs, and the task 4"),
    ],
)
def test_without_a_head_that_fits_it_gives_its_adapter_alone(
    task: str, head: Any, says: str, saved: Saved, world: World, loopback: LoopbackHub, fresh: Any, tmp_path: Path
) -> None:
    files, model = saved(head=head)
    loopback.publish(REPO, files)
    result = call("pull", REPO, "--as", task, *fresh)
    assert says in " ".join(result.stderr.split())
    assert ("The head of the adapter is left out" in result.stderr) == bool(says)
    artifact = result.stdout.strip()
    made = Store(tmp_path / "store").get(artifact)
    assert set(made.manifest["files"]) == {"adapter.json", f"adapters/{task}.safetensors"}
    loaded = load_headless(made, load_backbone(str(world.backbone)))
    batch = batch_of("mnli", loaded.backbone, world.mirror)
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        ours, theirs = (each.base_model(**given)[0] for each in (loaded.model, model))  # type: ignore[operator]
    assert torch.equal(ours, theirs)
    document("runs", "runs", *fresh[2:])
    for command in (("evaluate", artifact), ("predict", artifact, "-")):
        told = " ".join(refused(*command, *fresh, given="{}").split())
        assert f"adapterstilts compose {task} --target ... --use {artifact}" in told


def test_an_adapter_alone_is_composed_fused_checked_timed_and_published(
    saved: Saved, world: World, loopback: LoopbackHub, fresh: Any, tmp_path: Path
) -> None:
    files, _ = saved()
    loopback.publish(REPO, files)
    artifact = document("pull", "pull", REPO, "--as", "mnli", *fresh)["artifact"]
    english = ("--languages", "en", "--data-root", world.mirror, *fresh, *TINY)
    squad = Store(world.store).get(world.artifact("squad")).path
    shutil.copytree(squad, tmp_path / "store" / "artifacts" / "intermediate" / squad.name)
    for expression in ("mnli", "mnli+squad", "chain(mnli)"):
        told = document("compose", "compose", expression, "--target", "xnli", "--no-train", *english)
        assert artifact in [stage["artifact"] for stage in told["stages"]]
    retrieval = document(
        *(
            "compose",
            "compose",
            "mnli",
            "--target",
            "tatoeba",
            "--no-train",
            *english[2:4],
            *fresh,
            "--max-length",
            "64",
        )
    )
    assert retrieval["stages"][0]["artifact"] == artifact
    assert {item["fault"] for item in document("zoo_check", "zoo", "check", *fresh)} == {""}
    shown = document("zoo_show", "zoo", "show", artifact, *fresh[2:])
    assert shown["drawing"] == "one adapter 'mnli', without a head"
    document("push", "push", artifact, f"{USER}/again", *fresh)
    assert (
        f"adapterstilts evaluate {artifact}" not in loopback.repositories[f"{USER}/again"].files["README.md"].decode()
    )
    other = ("--backbone", world.backbone, "--store", tmp_path / "other")
    assert document("pull", "pull", f"{USER}/again", *other)["artifact"] == artifact


def test_kinds_of_adapters(saved: Saved, loopback: LoopbackHub, fresh: Any) -> None:
    for kind in ("double_seq_bn", "lora", "prefix_tuning", "ia3"):
        loopback.publish(REPO, saved(kind)[0])
        assert document("pull", "pull", REPO, "--as", "squad", *fresh)["state"] == "pulled"
    listed = document("runs", "runs", *fresh[2:])
    assert {item["settings"].get("adapter") for item in listed} == {"double_seq_bn", "lora", "prefix_tuning", "ia3"}
    assert {item["fault"] for item in document("zoo_check", "zoo", "check", *fresh)} == {""}


class Evil:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('run')",)


def changed(files: Files, name: str, change: Callable[[dict[str, Any]], Any]) -> Files:
    """Return files with another configuration."""
    told = json.loads(files[name])
    change(told)
    return {**files, name: json.dumps(told).encode()}


def packed(value: Any, folder: Path) -> bytes:
    """Return what torch writes of a value."""
    torch.save(value, folder / "packed")
    return (folder / "packed").read_bytes()


def test_what_is_refused(saved: Saved, loopback: LoopbackHub, fresh: Any, tmp_path: Path) -> None:
    files, _ = saved(head=("add_classification_head", {"num_labels": 3, "id2label": NLI}))
    (tmp_path / "packed").write_bytes(files["pytorch_adapter.bin"])
    tensors = torch.load(tmp_path / "packed", weights_only=True)
    key, first = next(iter(tensors.items()))
    config, weights, head = "adapter_config.json", "pytorch_adapter.bin", "pytorch_model_head.bin"
    document("runs", "runs", *fresh[2:])

    def no(says: str, given: Files, *more: Any) -> None:
        loopback.publish(REPO, given)
        told = " ".join(refused("pull", REPO, "--as", "mnli", *fresh, *more, store=fresh[3]).split())
        assert says in told, told
        assert not set("\x1b\x07") & set(told)

    no("has no adapter_config.json", {"README.md": b"x"})
    no("has no weights of an adapter", {config: files[config]})
    no("cannot be read", {**files, config: b"{"})
    no("cannot be read", {**files, config: b"[" * 100_000})
    no("does not tell the configuration", {**files, config: b"[]"})
    no(f"has {(1 << 23) + 1} bytes", {**files, config: b" " * ((1 << 23) + 1)})
    no("made for 'bert-base'", changed(files, config, lambda told: told.update(model_name="bert-base")))
    no("made for", changed(files, config, lambda told: told.update(model_type="bert")))
    no("made for", changed(files, config, lambda told: told.update(model_name="\x1b[2J")))
    no("reduction_factor 1e-09", changed(files, config, lambda told: told["config"].update(reduction_factor=1e-9)))
    no("configuration cannot be read", changed(files, config, lambda told: told["config"].update(architecture="evil")))
    no("cannot be read", {**files, weights: b"cut"})
    no("cannot be read", {**files, weights: pickle.dumps(Evil())})
    no("cannot be read", {**files, weights: packed(Evil(), tmp_path)})
    no("cannot be read", {**files, head: packed({"x": Evil()}, tmp_path)})
    no("something else than tensors", {**files, weights: packed([1], tmp_path)})
    no("something else than tensors", {**files, weights: packed({**tensors, key: first.to("meta")}, tmp_path)})
    no("something else than tensors", {**files, weights: packed({**tensors, key: first.to_sparse()}, tmp_path)})
    no("lacks the key", {**files, weights: packed({k: v for k, v in tensors.items() if k != key}, tmp_path)})
    no("has the key 'roberta.more'", {**files, weights: packed({**tensors, "more": first}, tmp_path)})
    no("has shape (2,)", {**files, weights: packed({**tensors, key: torch.zeros(2)}, tmp_path)})
    no("is torch.float16", {**files, weights: packed({**tensors, key: first.half()}, tmp_path)})
    no("no finite numbers", {**files, weights: packed({**tensors, key: first * float("nan")}, tmp_path)})
    no("and no weights", {name: data for name, data in files.items() if name != head})
    no("lacks 4 keys", {**files, head: packed({}, tmp_path)})
    no("safetensors' cannot be read", {**files, "adapter.safetensors": b"cut"})
    span, _ = saved(head=("add_qa_head", {}))
    no("a head for 'question_answering', and 'mnli' needs one for 'classification'", span)
    loopback.publish(REPO, files)
    told = " ".join(refused("pull", REPO, *fresh, store=fresh[3]).split())
    assert "is taken with --as TASK" in told


def test_names_of_tasks(loopback: LoopbackHub, fresh: Any) -> None:
    assert "Did you mean 'mnli'?" in refused("pull", REPO, "--as", "mnly", *fresh)
    assert "intermediate" in refused("pull", REPO, "--as", "xnli", *fresh)
    assert f"'{REPO}' is not on" in refused("pull", REPO, "--as", "mnli", *fresh)


def test_a_revision_and_a_server_that_fails_once(saved: Saved, loopback: LoopbackHub, fresh: Any) -> None:
    first = loopback.publish(REPO, saved()[0])
    loopback.publish(REPO, {"README.md": b"gone"})
    loopback.fail("GET .*pytorch_adapter.bin", 500)
    told = document("pull", "pull", f"{REPO}@{first}", "--as", "mnli", *fresh)
    assert (told["commit"], told["state"]) == (first, "pulled")
    assert [fault.times for fault in loopback.faults] == [0]
