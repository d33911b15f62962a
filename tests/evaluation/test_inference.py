"""Logits: the same whatever the batches, and the same to the bit in another process; damaged artifacts are told."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import load_rows
from adapterstilts.errors import ArtifactError
from adapterstilts.evaluation.answering import encoding_settings
from adapterstilts.evaluation.inference import mean_logits, predict_logits
from adapterstilts.evaluation.zero_shot import task_of
from adapterstilts.fingerprints import fingerprint_file
from adapterstilts.models.backbone import ComposedModel, build, identify, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.grammar import parse
from adapterstilts.models.saved import load_backbone_of, load_composed
from adapterstilts.store.artifacts import Artifact, Store, read_artifact
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded, EncodingSettings
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import TrainingStage, run_stage

TASKS = ["mnli", "hellaswag", "squad", "panx"]
SETTINGS = EncodingSettings(max_length=64, doc_stride=16)
MakeModel = Callable[[str], tuple[ComposedModel, Encoded]]


@pytest.fixture
def model(toy_backbone_folder: Path, toy_mirror: Path, toy_composition: Callable[..., Composition]) -> MakeModel:
    """A function that makes a fused toy model for a task, with weights that are no initial ones, and features."""

    def make(task_name: str) -> tuple[ComposedModel, Encoded]:
        task = get_task(task_name)
        backbone = load_backbone(str(toy_backbone_folder))
        composition = toy_composition("cosmos+siqa", task_name, FORMATS[task.format].head(task))
        composed = build(backbone, composition, seed=0)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in composed.model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
        rows = load_rows(task, "train", ["en"], root=toy_mirror, max_examples=17)
        return composed, encode_rows(rows, backbone.tokenizer, SETTINGS, training=True)

    return make


def difference(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(first, second, strict=True))


def shuffled(encoded: Encoded) -> tuple[list[int], Encoded]:
    order = list(range(len(encoded)))
    random.Random(0).shuffle(order)
    return order, Encoded(encoded.features.select(order))


@pytest.mark.parametrize("task_name", TASKS)
def test_logits_do_not_depend_on_the_batches(task_name: str, model: MakeModel) -> None:
    composed, encoded = model(task_name)
    alone = predict_logits(composed, encoded, batch_size=1)
    for size in (2, 5, 17, 64):
        assert difference(alone, predict_logits(composed, encoded, batch_size=size)) < 1e-5
    assert difference(alone, [np.roll(item, 1) for item in alone]) > 1e-2, "the logits are not all alike"


@pytest.mark.parametrize("task_name", TASKS)
def test_logits_come_in_the_order_of_the_features(task_name: str, model: MakeModel) -> None:
    composed, encoded = model(task_name)
    plain = predict_logits(composed, encoded, batch_size=4)
    order, mixed = shuffled(encoded)
    assert order != sorted(order)
    moved = predict_logits(composed, mixed, batch_size=4)
    assert difference([plain[position] for position in order], moved) < 1e-5
    different = [
        difference([one], [other]) for one, other in zip(plain, moved, strict=True) if one.shape == other.shape
    ]
    assert max(different) > 1e-2


@pytest.mark.parametrize("task_name", TASKS)
def test_a_batch_is_the_forward_pass_of_the_model(task_name: str, model: MakeModel) -> None:
    """The logits are those of the model on the ids alone, without padding, and have the length of the ids."""
    composed, encoded = model(task_name)
    logits = predict_logits(composed, encoded, batch_size=64)
    composed.model.eval()
    for position in (0, 7, 16):
        rows = encoded.features[position]["input_ids"]
        if task_name == "hellaswag":  # the choices of one row must be of one length
            longest = max(map(len, rows))
            mask = torch.tensor([[[1] * len(row) + [0] * (longest - len(row)) for row in rows]])
            ids = torch.tensor([[row + [1] * (longest - len(row)) for row in rows]])
        else:
            ids = torch.tensor([rows])
            mask = torch.ones_like(ids)
        with torch.no_grad():
            output = composed.model(input_ids=ids, attention_mask=mask)
        if task_name == "squad":
            expected = torch.stack([output.start_logits[0], output.end_logits[0]])
        else:
            expected = output.logits[0]
        assert logits[position].shape == tuple(expected.shape)
        assert logits[position].dtype == np.float32
        np.testing.assert_allclose(logits[position], expected.numpy(), atol=1e-5)


def test_a_long_neighbour_changes_nothing(model: MakeModel) -> None:
    from datasets import concatenate_datasets

    composed, encoded = model("panx")
    ids = encoded.features["input_ids"][:]
    longest = max(range(len(ids)), key=lambda position: len(ids[position]))
    long = encoded.features.select([longest]).map(
        lambda row: {name: (row[name] * 9)[:100] for name in ("input_ids", "labels", "words")}
    )
    with_long = Encoded(concatenate_datasets([encoded.features, long.cast(encoded.features.features)]))
    together = predict_logits(composed, with_long, batch_size=64)
    assert together[-1].shape[0] == 100
    assert difference(predict_logits(composed, encoded, batch_size=1), together[:-1]) < 1e-5


def test_the_models_mode_is_left_as_it_was_and_dropout_is_off(model: MakeModel) -> None:
    composed, encoded = model("mnli")
    composed.model.train()
    first = predict_logits(composed, encoded, batch_size=8)
    assert composed.model.training
    assert difference(first, predict_logits(composed, encoded, batch_size=8)) == 0
    composed.model.eval()
    predict_logits(composed, encoded, batch_size=8)
    assert not composed.model.training


def test_batches_hold_as_many_tokens_as_so_many_of_the_longest_features(
    model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed, encoded = model("mnli")
    lengths = sorted(map(len, encoded.features["input_ids"]), reverse=True)

    def told(batch_size: int) -> list[int]:
        found: list[int] = []
        predict_logits(composed, encoded, batch_size=batch_size, progress=found.append)
        return found

    ends = told(2)
    assert ends[0] == 2
    assert ends[-1] == len(lengths)
    for start, end in zip([0, *ends], ends, strict=False):
        assert (end - start) * lengths[start] <= 2 * lengths[0]
        assert end == len(lengths) or (end + 1 - start) * lengths[start] > 2 * lengths[0]
    assert told(100) == [17]
    monkeypatch.setattr("adapterstilts.evaluation.inference.CPU_TOKENS", 2 * lengths[0])
    assert told(100) == ends, "more tokens are slower on a CPU"


def test_half_precision_is_near(model: MakeModel) -> None:
    composed, encoded = model("mnli")
    full = predict_logits(composed, encoded, batch_size=8)
    half = predict_logits(composed, encoded, batch_size=8, precision="bf16")
    assert 0 < difference(full, half) < 0.2
    assert all(item.dtype == np.float32 for item in half)


# Of several models


def test_the_mean_of_logits_is_taken_feature_by_feature() -> None:
    """Two windows of starts and ends, of unequal lengths, as three models see them."""
    first = [np.array([[1, 2, 3], [0, 6, 0]], np.float32), np.array([[9], [3]], np.float32)]
    second = [np.array([[4, 2, -3], [0, 0, 3]], np.float32), np.array([[0], [0]], np.float32)]
    third = [np.array([[1, 5, 0], [3, 0, 0]], np.float32), np.array([[-3], [6]], np.float32)]
    mean = mean_logits([first, second, third])
    assert [values.tolist() for values in mean] == [[[2, 3, 0], [1, 2, 1]], [[2], [3]]]
    assert {values.dtype for values in mean} == {np.dtype(np.float32)}
    assert first[0].tolist() == [[1, 2, 3], [0, 6, 0]], "what was given is left as it was"
    for one, other in zip(mean_logits([second, first]), mean_logits([first, second]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("task_name", TASKS)
def test_the_mean_of_one_model_is_its_logits(task_name: str, model: MakeModel) -> None:
    logits = predict_logits(*model(task_name))
    assert difference(mean_logits([logits]), logits) == 0


def test_no_more_than_the_sum_and_one_model_are_in_memory() -> None:
    seen: list[weakref.ref[np.ndarray]] = []

    def members() -> Iterator[list[np.ndarray]]:
        for number in range(4):
            assert all(kept() is None for kept in seen[1:]), "those of a model before are still there"
            values = np.full(3, number, np.float32)
            seen.append(weakref.ref(values))
            yield [values]
            del values

    assert mean_logits(members())[0].tolist() == [1.5] * 3


def test_models_that_answered_other_features_are_no_ensemble() -> None:
    with pytest.raises(ValueError, match="zip"):
        mean_logits([[np.zeros(2)], [np.zeros(2), np.zeros(2)]])


# Saved and loaded


@pytest.fixture(scope="module")
def fused(toy_backbone_folder: Path, toy_mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A fusion of mnli and squad below xnli, trained for a few steps. Tests copy it before they damage it."""
    kept = Store(tmp_path_factory.mktemp("fused"))
    settings = TrainingSettings(steps=4, batch_size=4, max_length=64, evaluations=1, learning_rate=1e-2)
    identity = identify(str(toy_backbone_folder))
    inputs = tuple(
        run_stage(TrainingStage(get_task(name), settings, identity, root=toy_mirror), kept).artifact
        for name in ("mnli", "squad")
    )
    stage = TrainingStage(get_task("xnli"), settings, identity, parse("mnli+squad"), inputs, toy_mirror)
    return run_stage(stage, kept).artifact


@pytest.fixture
def copy(fused: Artifact, tmp_path: Path) -> Path:
    """A copy of the fusion's folder, to be damaged."""
    return Path(shutil.copytree(fused.path, tmp_path / "copy"))


def loaded(folder: Path, backbone: Path | None = None) -> ComposedModel:
    artifact = read_artifact(folder)
    return load_composed(artifact, load_backbone_of(artifact, str(backbone) if backbone else None), task_of(artifact))


def rewritten(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def rehashed(folder: Path, name: str) -> None:
    """Put the hash that a file has now into the manifest."""
    rewritten(folder / "manifest.json", lambda value: value["files"].update({name: fingerprint_file(folder / name)}))


def logits_of(artifact: Artifact, mirror: Path) -> np.ndarray:
    """Logits of the English and German test rows, (rows, labels)."""
    composed = loaded(artifact.path)
    rows = load_rows(task_of(artifact), "test", ["en", "de"], root=mirror)
    encoded = encode_rows(rows, composed.backbone.tokenizer, encoding_settings(artifact), training=False)
    return np.stack(predict_logits(composed, encoded, batch_size=8))


IN_A_NEW_PROCESS = """
import sys
from pathlib import Path
import numpy as np
import torch
from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import load_rows
from adapterstilts.evaluation.inference import predict_logits
from adapterstilts.evaluation.answering import encoding_settings
from adapterstilts.evaluation.zero_shot import task_of
from adapterstilts.models.saved import load_backbone_of, load_composed
from adapterstilts.store.artifacts import read_artifact
torch.set_num_threads(1)
folder, mirror, target = map(Path, sys.argv[1:])
artifact = read_artifact(folder)
task = task_of(artifact)
composed = load_composed(artifact, load_backbone_of(artifact), task)
rows = load_rows(task, "test", ["en", "de"], root=mirror)
encoded = encode_rows(rows, composed.backbone.tokenizer, encoding_settings(artifact), training=False)
np.save(target, np.stack(predict_logits(composed, encoded, batch_size=8)))
"""


def test_a_new_process_gives_the_same_logits_to_the_bit(fused: Artifact, toy_mirror: Path, tmp_path: Path) -> None:
    here = logits_of(fused, toy_mirror)
    target = tmp_path / "logits.npy"
    subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS, str(fused.path), str(toy_mirror), str(target)],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "77"},
        capture_output=True,
    )
    there = np.load(target)
    assert here.shape == (42, 3)
    assert np.array_equal(here, there)
    assert np.ptp(here) > 0.1


def test_the_loaded_model_is_the_trained_one(
    toy_backbone_folder: Path, toy_mirror: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the store gives, to the bit, what the model in memory gave at the end of training."""
    from adapterstilts.training import stages

    kept: list[ComposedModel] = []
    plain = stages.save_composed

    def save(composed: ComposedModel, folder: Path) -> None:
        kept.append(composed)
        plain(composed, folder)

    monkeypatch.setattr(stages, "save_composed", save)
    settings = TrainingSettings(steps=4, batch_size=4, max_length=64, evaluations=2, learning_rate=1e-2)
    stage = TrainingStage(get_task("panx"), settings, identify(str(toy_backbone_folder)), root=toy_mirror)
    artifact = run_stage(stage, store).artifact
    (trained,) = kept
    rows = load_rows(stage.task, "test", ["en", "sw"], root=toy_mirror)
    encoded = encode_rows(rows, trained.backbone.tokenizer, settings.encoding, training=False)
    before = predict_logits(trained, encoded, batch_size=8)
    after = predict_logits(loaded(artifact.path), encoded, batch_size=8)
    assert difference(before, after) == 0


@pytest.mark.parametrize("part", ["adapters/mnli", "adapters/squad", "adapters/xnli", "fusion", "head"])
def test_a_key_that_is_gone_is_named(part: str, copy: Path) -> None:
    path = copy / f"{part}.safetensors"
    tensors = load_file(path)
    gone = sorted(tensors)[0]
    del tensors[gone]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ArtifactError) as caught:
        loaded(copy)
    assert f"'{gone}'" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_key_that_is_gone_is_named_even_if_the_hash_is_right(copy: Path) -> None:
    tensors = load_file(copy / "fusion.safetensors")
    gone = sorted(tensors)[-1]
    del tensors[gone]
    save_file(tensors, copy / "fusion.safetensors", metadata={"format": "pt"})
    rehashed(copy, "fusion.safetensors")
    with pytest.raises(ArtifactError, match=gone):
        loaded(copy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tensors, key: tensors.update(stranger=torch.zeros(1)), "stranger"),
        (lambda tensors, key: tensors.update({key: torch.zeros(7, 7)}), r"\(7, 7\)"),
        (lambda tensors, key: tensors.update({key: tensors[key].double()}), "float64"),
    ],
)
def test_a_key_that_does_not_fit_is_named(
    change: Callable[[dict[str, torch.Tensor], str], None], says: str, copy: Path
) -> None:
    tensors = load_file(copy / "head.safetensors")
    change(tensors, sorted(tensors)[0])
    save_file(tensors, copy / "head.safetensors", metadata={"format": "pt"})
    rehashed(copy, "head.safetensors")
    with pytest.raises(ArtifactError, match=says):
        loaded(copy)


def test_a_label_that_differs_in_the_manifest_is_named(copy: Path) -> None:
    rewritten(copy / "manifest.json", lambda value: value["labels"].__setitem__(1, "maybe"))
    with pytest.raises(ArtifactError, match=r"Label 1 .* is 'maybe'; the task 'xnli' has 'neutral'"):
        loaded(copy)


@pytest.mark.parametrize("change", [lambda labels: labels.pop(), lambda labels: labels.append("other")])
def test_a_label_too_few_or_too_many_is_told(change: Callable[[list[str]], Any], copy: Path) -> None:
    rewritten(copy / "manifest.json", lambda value: change(value["labels"]))
    with pytest.raises(ArtifactError, match=r"Label \d .*missing"):
        loaded(copy)


def test_labels_that_changed_places_in_the_composition_are_told_with_the_file(copy: Path) -> None:
    rewritten(copy / "composition.json", lambda value: value["head"]["labels"].reverse())
    with pytest.raises(ArtifactError, match=r"composition\.json"):
        loaded(copy)
    rehashed(copy, "composition.json")
    with pytest.raises(ArtifactError, match=r"labels of .*composition\.json"):
        loaded(copy)


def test_a_field_that_is_gone_from_the_composition_is_named(copy: Path) -> None:
    rewritten(copy / "composition.json", lambda value: value.pop("top"))
    rehashed(copy, "composition.json")
    with pytest.raises(ArtifactError, match=r"composition\.json cannot be read: .*top"):
        loaded(copy)


def test_another_backbone_is_refused_by_both_names(copy: Path, toy_backbone_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "stranger"
    shutil.copytree(toy_backbone_folder, other)
    tensors = load_file(other / "model.safetensors")
    tensors["roberta.embeddings.LayerNorm.bias"] += 1e-3
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError) as caught:
        loaded(copy, other)
    assert str(other) in str(caught.value)
    assert str(toy_backbone_folder) in str(caught.value)


def test_the_same_backbone_in_another_place_is_taken(
    fused: Artifact, copy: Path, toy_backbone_folder: Path, toy_mirror: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(toy_backbone_folder, tmp_path / "moved"))
    composed = loaded(copy, moved)
    rows = load_rows(get_task("xnli"), "test", ["en", "de"], root=toy_mirror)
    encoded = encode_rows(rows, composed.backbone.tokenizer, encoding_settings(fused), training=False)
    assert np.array_equal(np.stack(predict_logits(composed, encoded, batch_size=8)), logits_of(fused, toy_mirror))


@pytest.mark.parametrize("place", [20, -5])
@pytest.mark.parametrize("part", ["adapters/squad", "adapters/xnli", "fusion", "head"])
def test_a_flipped_byte_is_told_with_its_file(part: str, place: int, copy: Path) -> None:
    """In the header at the beginning, and in the numbers at the end."""
    path = copy / f"{part}.safetensors"
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ArtifactError) as caught:
        loaded(copy)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("part", ["adapters/mnli", "head"])
def test_a_file_that_is_cut_or_gone_is_told(part: str, copy: Path) -> None:
    path = copy / f"{part}.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=part):
        loaded(copy)
    path.unlink()
    with pytest.raises(ArtifactError, match=f"{part}.*missing"):
        loaded(copy)
