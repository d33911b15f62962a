"""``train-intermediate mlm``: an adapter from plain text, found again by its content, and put under a target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_stages import short_recipes

from adapterstilts.errors import ArtifactError, DataUnavailableError, SettingsError
from adapterstilts.store.artifacts import Artifact
from adapterstilts.studies.own_tasks import own_text
from adapterstilts.studies.prediction import predict
from adapterstilts.studies.transfer import compose, evaluate, train_intermediate
from adapterstilts.training.stages import CURVE

WORDS = "the cat sees a tree the house and the dog".split()
LINES = [" ".join(WORDS[(number + place) % 3 :: 2]) for number in range(3) for place in range(20)] + [
    f"the cat sees a tree {number}" for number in range(40)
]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A text that says the same again and again."""
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


def weights(artifact: Artifact) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(artifact.path.rglob("*.safetensors"))}


def test_perplexity_falls_and_the_best_state_is_that_of_the_lowest(
    text: Path, common: dict[str, Any], tmp_path: Path
) -> None:
    settings = common["settings"] | {"steps": 60, "batch_size": 8, "learning_rate": 0.01, "evaluations": 6}
    made = train_intermediate("mlm", texts=[text], **common | {"settings": settings}, store=tmp_path / "store")
    curve = [row for row in made.artifact.read_lines(CURVE) if "validation_perplexity" in row]
    scores = [row["validation_perplexity"] for row in curve]
    metrics = made.artifact.manifest["metrics"]
    assert len(scores) == 6
    assert min(scores) < 0.7 * scores[0]
    assert metrics["validation"]["perplexity"] == pytest.approx(min(scores))
    assert metrics["best_step"] == curve[scores.index(min(scores))]["step"]
    assert list(metrics["validation"]) == ["perplexity", "loss"]
    assert list(weights(made.artifact)) == ["mlm.safetensors"], "the head is the backbone's"
    told = made.artifact.manifest["data"]["train"]
    assert (told["dataset"], told["texts"]) == ("text", ["text.txt"])


def test_the_same_text_is_the_same_adapter_wherever_it_lies(text: Path, common: dict[str, Any], tmp_path: Path) -> None:
    first = train_intermediate("mlm", texts=[text], **common, store=tmp_path / "one").artifact
    again = train_intermediate("mlm", texts=[text], **common, store=tmp_path / "other").artifact
    assert (first.id, weights(first)) == (again.id, weights(again)), "to the bit"
    other = tmp_path / "elsewhere.text"
    other.write_bytes(text.read_bytes())
    moved = train_intermediate("mlm", texts=[other], **common, store=tmp_path / "one")
    assert (moved.reused, moved.artifact.id) == (True, first.id)
    other.write_text("\n".join([*LINES, "one more line"]), encoding="utf-8")
    longer = train_intermediate("mlm", texts=[text, other], **common, store=tmp_path / "one")
    assert not longer.reused


def test_the_adapter_is_put_under_a_target(text: Path, common: dict[str, Any], tmp_path: Path) -> None:
    kept = {**common, "store": tmp_path / "store"}
    with pytest.raises(DataUnavailableError, match="train-intermediate mlm --text FILE"):
        compose("mlm", target="xnli", **kept, max_eval_examples=3)
    made = train_intermediate("mlm", texts=[text], **kept).artifact
    train_intermediate("squad", **kept)
    for expression in ("mlm", "mlm+squad"):
        told = compose(expression, target="xnli", **kept, max_eval_examples=3)
        assert made.id in told.artifacts[0].manifest["inputs"]
        assert told.comparison.languages["en"].baseline is not None
    with pytest.raises(ArtifactError, match="answers nothing by itself"):
        predict(made.id, ['{"text": "the cat"}'], store=kept["store"])
    with pytest.raises(DataUnavailableError, match="answers nothing by itself"):
        evaluate(made.id, data_root=common["data_root"], store=kept["store"])


@pytest.mark.parametrize("suite", ["xtreme", "xtreme-r"])
def test_text_is_mixed_into_a_task(suite: str, text: Path, common: dict[str, Any], tmp_path: Path) -> None:
    kept = {**common, "store": tmp_path / "store", "suite": suite, "target": "xnli", "max_eval_examples": 3}
    expression = "mix(2*mnli, mlm)"
    with short_recipes(), pytest.raises(DataUnavailableError, match="give compose the --text"):
        compose(expression, **kept)
    with short_recipes(), own_text([text], [expression], suite):
        told = compose(expression, **kept)
        (mixed,) = (stage for stage in told.stages if stage["kind"] == "mixed")
        again = compose(f"{expression}+squad", **kept)
    assert mixed["state"] == "trained"
    assert mixed["artifact"] in told.artifacts[0].manifest["inputs"]
    assert {stage["artifact"]: stage["state"] for stage in again.stages}[mixed["artifact"]] == "reused"


def test_text_without_a_mixture_that_learns_from_it(text: Path) -> None:
    for expression in ("mlm", "mix(mnli, squad)", "mlm+squad"):
        refusing = own_text([text], [expression])
        with pytest.raises(SettingsError, match="--text is for mlm in a mixture, as in 'mix"), refusing:
            pass
    with own_text([], ["mlm"]):
        pass
