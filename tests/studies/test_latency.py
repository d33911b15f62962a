"""How fast something answers: what is measured, beside what, and what is refused before anything is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_stages import TINY

from adapterstilts.errors import AdapterStiltsError, ArtifactError, ExpressionError, SettingsError
from adapterstilts.evaluation.zero_shot import EvaluationRequest, run_evaluation
from adapterstilts.models.backbone import identify
from adapterstilts.models.expression import Ensemble, Merge
from adapterstilts.models.grammar import parse
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.studies import latency as module
from adapterstilts.studies.latency import Latency, latency
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import HeadSpec
from adapterstilts.training.ensembles import EnsembleStage, run_ensemble
from adapterstilts.training.merges import MergeStage, run_merge
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import TrainingStage, run_stage

SMALL: dict[str, Any] = {"lengths": (16,), "batches": (2,), "seconds": 0.2}


class Ticking:
    """A clock that shows a millisecond more each time."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.asked / 1000


@pytest.fixture(scope="module")
def shelf(toy_backbone_folder: Path, toy_mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """One artifact of each kind that answers otherwise. Tests only read them."""
    kept, identity = Store(tmp_path_factory.mktemp("shelf")), identify(str(toy_backbone_folder))

    def trained(task: str, on: str = "none", *inputs: Artifact, **changes: Any) -> Artifact:
        settings = TrainingSettings(**TINY | changes)
        stage = TrainingStage(get_task(task), settings, identity, parse(on), inputs, toy_mirror)
        return run_stage(stage, kept).artifact

    made = {"mnli": trained("mnli"), "squad": trained("squad"), "none": trained("xnli")}
    made["fusion"] = trained("xnli", "mnli+squad", made["mnli"], made["squad"])
    made["choices"] = trained("hellaswag")
    made["lora"] = trained("mnli", adapter="lora")
    made["ia3"] = trained("mnli", adapter="ia3")
    made["full"] = trained("mnli", adapter="full")
    made["half"] = trained("mnli", precision="bf16")
    stacked = trained("xnli", "mnli", made["mnli"])
    average = parse("avg(mnli, squad)")
    assert isinstance(average, Merge)
    made["merged"] = run_merge(MergeStage(average, identity, (made["mnli"], made["squad"])), kept).artifact
    both = parse("ensemble(none, mnli)")
    assert isinstance(both, Ensemble)
    made["ensemble"] = run_ensemble(EnsembleStage(both, (made["none"], stacked)), kept).artifact
    request = EvaluationRequest(root=toy_mirror, languages=("en",), max_examples=3)
    made["evaluation"] = run_evaluation(made["none"], request, kept).artifact
    return made


def measured(artifact: Artifact, **options: Any) -> Latency:
    """Measure an artifact with a clock that ticks."""
    return latency(str(artifact.path), **{"clock": Ticking(), **SMALL, **options})


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool, tuple[int, ...], torch.dtype]]:
    """What goes through the models: the head, whether adapters are active, the shape, and the type of the logits."""
    seen = []
    loaded = module._loaded

    def watched(*arguments: Any) -> Any:
        members = loaded(*arguments)
        for member in members:

            def told(model: Any, _: Any, given: Any, output: Any) -> None:
                assert torch.is_inference_mode_enabled()
                assert not model.training
                assert bool(given["attention_mask"].all())
                active = model.adapters_config.active_setup is not None
                logits = next(iter(output.values()))
                seen.append((model.active_head, active, tuple(given["input_ids"].shape), logits.dtype))

            member.model.register_forward_hook(told, with_kwargs=True)
        return members

    monkeypatch.setattr(module, "_loaded", watched)
    return seen


def test_times_of_a_known_clock(shelf: dict[str, Artifact], passes: list[Any]) -> None:
    """A run takes one tick. 51 pairs of two runs with four looks at the clock are the first to take 0.2 seconds."""
    found = measured(shelf["none"], lengths=(16, 8), batches=(1, 4))
    assert [(cell.length, cell.batch) for cell in found.cells] == [(16, 1), (16, 4), (8, 1), (8, 4)]
    for cell in found.cells:
        assert cell.timing.iterations == 51
        times = (cell.timing.p50, cell.timing.p90, cell.timing.p99, cell.timing.mean, cell.timing.beside)
        assert times == pytest.approx((1.0,) * 5)
        assert cell.timing.ratio == pytest.approx(1.0)
        assert cell.tokenisation == pytest.approx(1.0)
        assert cell.examples_per_second == pytest.approx(1000.0 * cell.batch)
    each = 2 * (51 + 3)
    assert [shape for _, _, shape, _ in passes] == [
        shape for shape in ((1, 16), (4, 16), (1, 8), (4, 8)) for _ in range(each)
    ]
    assert sum(active for _, active, _, _ in passes) == len(passes) / 2
    assert {dtype for *_, dtype in passes} == {torch.float32}


def test_iterations_are_at_least_so_many(shelf: dict[str, Artifact]) -> None:
    assert measured(shelf["none"], seconds=0.001).cells[0].timing.iterations == 10
    assert measured(shelf["none"], seconds=0.001, iterations=12).cells[0].timing.iterations == 12


def test_what_it_was_measured_on_is_told(shelf: dict[str, Artifact]) -> None:
    before = torch.get_num_threads()
    found = measured(shelf["none"], threads=1)
    assert torch.get_num_threads() == before
    told = found.to_json()
    assert (told["artifact"], told["kind"]) == (shelf["none"].id, "target")
    assert told["backbone"] == shelf["none"].manifest["backbone"]["id"]
    assert (told["threads"], told["precision"], told["seconds"]) == (1, "fp32", 0.2)
    assert told["device"].startswith("cpu (") or torch.cuda.is_available()
    assert told["versions"]["torch"] == torch.__version__
    assert told["peak_memory"]["resident_bytes"] > 50_000_000
    assert (told["merged"], told["drop_layers"]) == (False, None)
    (member,) = told["members"]
    assert member == {
        "artifact": shelf["none"].id,
        "composition": "Stack(xnli) → classification head 'xnli'",
        "fusion": None,
    }


def test_threads_are_put_back_after_a_mistake(shelf: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    with pytest.raises(SettingsError):
        measured(shelf["none"], lengths=(129,), threads=1)
    assert asked == [1, 7]


def test_a_fusion_tells_in_how_many_layers_it_is_fast(
    shelf: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    (member,) = measured(shelf["fusion"]).to_json()["members"]
    assert member["fusion"] == {"adapters": 2, "layers": 2, "fast": 2, "slow": {}}
    names = ("first", "second", "third")
    monkeypatch.setattr(module, "fusion_paths", lambda _: dict(zip(names, ("", "a hook", ""), strict=True)))
    (member,) = measured(shelf["fusion"]).to_json()["members"]
    assert member["fusion"] == {"adapters": 2, "layers": 3, "fast": 2, "slow": {"second": "a hook"}}


def test_layers_are_dropped(shelf: dict[str, Artifact]) -> None:
    found = measured(shelf["fusion"], drop_layers="0")
    assert found.to_json()["drop_layers"] == "0"
    (member,) = found.members
    assert member.fusion is not None
    assert (member.fusion.layers, member.fusion.fast) == (1, 1)


def test_lora_is_measured_in_the_weights_or_beside_them(
    shelf: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    merged: list[float] = []
    merge: Callable[..., float] = module.merge_lora

    def kept(*arguments: Any) -> float:
        merged.append(merge(*arguments))
        return merged[-1]

    monkeypatch.setattr(module, "merge_lora", kept)
    assert not measured(shelf["lora"]).merged
    assert merged == []
    assert measured(shelf["lora"], merge=True).to_json()["merged"] is True
    (difference,) = merged
    assert difference <= 1e-4


def test_an_adapter_without_a_head_has_one_for_two_classes(shelf: dict[str, Artifact], passes: list[Any]) -> None:
    told = measured(shelf["merged"]).to_json()
    assert told["kind"] == "merged"
    assert "avg_mnli_squad" in told["members"][0]["composition"]
    assert sum(active for _, active, _, _ in passes) == len(passes) / 2
    for options, option in (({"merge": True}, "--merge-lora"), ({"drop_layers": "0"}, "--drop-layers")):
        with pytest.raises(SettingsError, match=f"{option} is for adapters and compositions with a head"):
            measured(shelf["merged"], **options)


def test_text_alone_gives_no_answers(shelf: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch) -> None:
    composition = module.read_composition(shelf["none"])
    masked = dataclasses.replace(composition, head=HeadSpec("masked_lm", 1, ()))
    monkeypatch.setattr(module, "read_composition", lambda _: masked)
    with pytest.raises(ArtifactError, match="learnt from plain text and answers nothing by itself"):
        measured(shelf["none"])


def test_a_whole_backbone_and_choices_answer(shelf: dict[str, Artifact], passes: list[Any]) -> None:
    assert measured(shelf["full"]).members[0].drawing.startswith("the whole backbone")
    assert {active for _, active, _, _ in passes} == {False}
    passes.clear()
    measured(shelf["choices"])
    assert {shape for _, _, shape, _ in passes} == {(2, 4, 16)}


def test_the_precision_is_that_of_training(shelf: dict[str, Artifact], passes: list[Any]) -> None:
    assert measured(shelf["half"]).precision == "bf16"
    assert {dtype for *_, dtype in passes} == {torch.bfloat16}


def test_the_members_of_an_ensemble_answer_one_after_the_other(shelf: dict[str, Artifact], passes: list[Any]) -> None:
    found = measured(shelf["ensemble"])
    assert [member.artifact for member in found.members] == [
        artifact.id for artifact in module.members_of(shelf["ensemble"])
    ]
    assert {member.drawing for member in found.members} == {
        "Stack(xnli) → classification head 'xnli'",
        "Stack(mnli, xnli) → classification head 'xnli'",
    }
    runs = 51 + 3
    assert len(passes) == 3 * runs  # two members, and one bare backbone
    assert [active for _, active, _, _ in passes[:6]] == [True, True, False] * 2
    assert sum(active for _, active, _, _ in passes) == 2 * runs


@pytest.mark.parametrize(
    ("name", "options", "error", "says"),
    [
        ("none", {"lengths": ()}, SettingsError, "--lengths is empty"),
        ("none", {"batches": ()}, SettingsError, "--batches is empty"),
        ("none", {"lengths": (16, 0)}, SettingsError, "--lengths must be at least 1, not 0"),
        ("none", {"batches": (0,)}, SettingsError, "--batches must be at least 1, not 0"),
        ("none", {"batches": (1, 2, 1)}, SettingsError, "--batches names 1 twice"),
        ("none", {"iterations": 0}, SettingsError, "--iterations must be at least 1"),
        ("none", {"seconds": 0.0}, SettingsError, "--seconds must be above 0, not 0"),
        ("none", {"seconds": float("nan")}, SettingsError, "--seconds must be above 0, not nan"),
        ("none", {"seconds": float("inf")}, SettingsError, "--seconds must be above 0, not inf"),
        ("none", {"threads": 0}, SettingsError, "--threads must be from 1 to"),
        ("none", {"threads": 10**6}, SettingsError, "--threads must be from 1 to"),
        ("none", {"lengths": (16, 129)}, SettingsError, "takes inputs of at most 128 tokens, not 129"),
        ("none", {"drop_layers": "2"}, SettingsError, "no layer 2"),
        ("none", {"drop_layers": "x"}, SettingsError, "must be a list of layers"),
        ("full", {"drop_layers": "0"}, ExpressionError, "--adapter full has no adapters"),
        ("none", {"merge": True}, ExpressionError, "only LoRA can be merged"),
        ("ia3", {"merge": True}, ExpressionError, "biases"),
        ("fusion", {"merge": True}, ExpressionError, "several adapters"),
        ("ensemble", {"merge": True}, ExpressionError, "--merge-lora"),
        (
            "evaluation",
            {},
            ArtifactError,
            "is of kind 'evaluation'; only adapters and compositions.*is about 'xnli.none",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_before_measuring(
    name: str,
    options: dict[str, Any],
    error: type[AdapterStiltsError],
    says: str,
    shelf: dict[str, Artifact],
    passes: list[Any],
) -> None:
    with pytest.raises(error, match=says):
        measured(shelf[name], **options)
    assert passes == []


def test_too_little_memory_is_told(shelf: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate a lot")

    monkeypatch.setattr(module, "alternated", full)
    with pytest.raises(SettingsError, match="too little memory for batches of 2 inputs of 16 tokens"):
        measured(shelf["none"])
    monkeypatch.setattr(module, "alternated", lambda *_, **__: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        measured(shelf["none"])


def test_the_accelerator_is_waited_for(shelf: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock may be read only when the device has done what it was given."""
    order: list[str] = []

    class Model:
        def __init__(self) -> None:
            self.adapters_config = type("Config", (), {"active_setup": "xnli"})()

        def __call__(self, **_: Any) -> None:
            order.append("bare" if self.adapters_config.active_setup is None else "answer")

    class Composed:
        model = Model()

    class Ids:
        device = torch.device("meta")

    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: order.append("wait"))
    ours, bare = module._runs([Composed(), Composed()], {"input_ids": Ids()}, "fp32")  # type: ignore[list-item, dict-item]
    ours()
    bare()
    assert order == ["answer", "answer", "wait", "bare", "wait"]
