"""``--adapter full``: STILTs itself, from the intermediate task to predictions on the target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stores import found
from toy_stages import TINY

from adapterstilts.errors import ExpressionError
from adapterstilts.store.artifacts import Store
from adapterstilts.studies.exporting import export
from adapterstilts.studies.prediction import predict
from adapterstilts.studies.transfer import compose, evaluate, train_intermediate

FULL = TINY | {"adapter": "full"}
NLI_ROW = {"text": "the cat sees a tree", "text_pair": "indeed a tree"}


def test_stilts_from_the_intermediate_task_to_predictions(copy: Path, common: dict[str, Any], tmp_path: Path) -> None:
    """Adapters of the store are not taken, though they are newer; nor is the backbone taken for an adapter."""
    options: dict[str, Any] = {"target": "xnli", "store": copy, "languages": "en"}
    whole = train_intermediate("mnli", **common | {"settings": FULL | {"seed": 2}}, store=copy).artifact
    made = compose("chain(mnli)", **common | {"settings": FULL}, **options)
    assert made.artifacts[0].manifest["inputs"] == [whole.id]
    assert [item.manifest["settings"]["adapter"] for item in (*made.artifacts, *made.baselines)] == ["full", "full"]
    again = evaluate(made.artifacts[0].id, data_root=common["data_root"], store=copy, languages="en")
    assert {stage["state"] for stage in again.stages} == {"reused"}
    assert [item.id for item in again.baselines] == [item.id for item in made.baselines]
    (answer,) = predict(made.artifacts[0].id, [json.dumps(NLI_ROW)], store=copy)
    assert answer["answer"] in made.artifacts[0].manifest["labels"]
    written = export([made.artifacts[0].id], tmp_path / "out", partial=True, data_root=common["data_root"], store=copy)
    assert [task.of for task in written.tasks] == [made.artifacts[0].id]

    stacked = compose("mnli", **common, **options)
    assert stacked.artifacts[0].manifest["inputs"] == [found(Store(copy), "mnli", 0).id]
    with pytest.raises(ExpressionError, match="'mnli' was trained with --adapter full"):
        compose("mnli", **common, **options, use=[whole.id])
    adapter = found(Store(copy), "mnli", 0).id
    with pytest.raises(ExpressionError, match="'mnli' is an adapter"):
        compose("chain(mnli)", **common | {"settings": FULL}, **options, use=[adapter])


def test_retrieval_compares_the_trained_backbone_with_the_published_one(copy: Path, common: dict[str, Any]) -> None:
    made = compose(
        "mnli", target="tatoeba", **common | {"settings": {"adapter": "full", "max_length": 64}}, store=copy, layer="2"
    )
    assert made.artifacts[0].manifest["settings"]["adapter"] == "full"
    assert made.evaluations[0].manifest["of"] == made.artifacts[0].id


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    "expression", ["hellaswag", "mnli+squad", "avg(mnli, squad)", "mix(mnli, squad)", "chain(avg(mnli, squad))"]
)
def test_what_joins_adapters_is_refused_before_training(expression: str, shelf: Path, common: dict[str, Any]) -> None:
    with pytest.raises(ExpressionError, match=r"full there is none: .* Type 'chain\((mnli|hellaswag)\)'"):
        compose(expression, target="xnli", **common | {"settings": FULL}, store=shelf)


def test_plain_text_teaches_the_whole_backbone(copy: Path, common: dict[str, Any], tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"the cat {number} sees a tree of {number} birds\n" for number in range(200)))
    made = train_intermediate("mlm", texts=[text], **common | {"settings": FULL}, store=copy).artifact
    files = [name for name in made.manifest["files"] if name.endswith(".safetensors")]
    assert files == ["backbone.safetensors"]
    composed = compose(
        "chain(mlm)", target="xnli", **common | {"settings": FULL}, store=copy, languages="en", max_eval_examples=5
    )
    assert composed.artifacts[0].manifest["inputs"] == [made.id]
