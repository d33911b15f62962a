"""Mean attention of a fusion: that of the fusion written out by hand, over the tokens of each language."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from fusion_by_hand import by_hand
from toy_compositions import MakeComposition, randomised
from toy_encoders import ENCODERS, in_memory
from transformers import PreTrainedTokenizerFast

from adapterstilts.data.collate import Collator
from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import load_rows
from adapterstilts.evaluation.fusion_attention import Weight, fusion_attention, means_over_layers
from adapterstilts.models.backbone import Backbone, build
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, EncodingSettings

SETTINGS = EncodingSettings(max_length=24, doc_stride=8)


def sums_to_one(weights: tuple[Weight, ...]) -> bool:
    totals: dict[tuple[str, int, str], float] = {}
    for language, layer, place, _, weight in weights:
        assert 0 < weight < 1
        totals[language, layer, place] = totals.get((language, layer, place), 0.0) + weight
    return all(total == pytest.approx(1.0, abs=1e-6) for total in totals.values())


@pytest.mark.parametrize(
    ("task_name", "split", "codes"), [("xnli", "test", ("en", "sw")), ("xquad", "test", ("en", "de"))]
)
def test_it_is_the_mean_by_hand(
    task_name: str,
    split: str,
    codes: tuple[str, ...],
    toy_backbone: Backbone,
    toy_composition: MakeComposition,
    toy_mirror: Path,
) -> None:
    """Each feature alone, without padding; in batches of 5 there is much of it."""
    task = get_task(task_name)
    rows = load_rows(task, split, list(codes), root=toy_mirror, max_examples=7)
    composed = build(
        toy_backbone, toy_composition("mnli+squad+ccg", task_name, FORMATS[task.format].head(task)), seed=0
    )
    randomised(composed)
    encoded = encode_rows(rows, toy_backbone.tokenizer, SETTINGS, training=False)
    found = fusion_attention(composed, rows, encoded, batch_size=5)
    collate = Collator.of(toy_backbone.tokenizer)
    language = {position: code for code in rows.languages for position in rows.of_language(code)}
    seen: dict[str, list[list[torch.Tensor]]] = {code: [[], []] for code in rows.languages}
    for feature in encoded.features:
        batch: Mapping[str, torch.Tensor] = collate([{"input_ids": feature["input_ids"]}])
        for layer, attention in enumerate(by_hand(composed, batch)[1]):
            seen[language[feature["example"]]][layer].append(attention[0])
    expected = [
        Weight(code, layer, "feed-forward", name, pytest.approx(float(value), abs=1e-5))
        for code, layers in seen.items()
        for layer, parts in enumerate(layers)
        for name, value in zip(("mnli", "squad", "ccg"), torch.cat(parts).mean(dim=0), strict=True)
    ]
    assert list(found) == expected
    assert len({each.weight for each in found}) == len(found)
    assert sums_to_one(found)


@pytest.mark.parametrize("task_name", ["xcopa", "panx"])
def test_both_places_of_a_layer_are_told(
    task_name: str, toy_backbone: Backbone, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    """In multiple choice a feature is as many sequences as there are choices."""
    task = get_task(task_name)
    rows = load_rows(task, task.evaluation_split, root=toy_mirror, max_examples=6)
    head = FORMATS[task.format].head(task)
    composed = build(toy_backbone, toy_composition("mnli+squad", task_name, head, adapter="double_seq_bn"), seed=0)
    randomised(composed)
    encoded = encode_rows(rows, toy_backbone.tokenizer, SETTINGS, training=False)
    found, alone = (fusion_attention(composed, rows, encoded, batch_size=size) for size in (4, 1))
    assert {(each.layer, each.place) for each in found} == {
        (layer, place) for layer in (0, 1) for place in ("attention", "feed-forward")
    }
    assert [each[:4] for each in found] == [each[:4] for each in alone]
    assert [each.weight for each in found] == pytest.approx([each.weight for each in alone], abs=1e-5)
    assert sums_to_one(found)


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder_tells_its_attention(
    kind: str, toy_tokenizer: PreTrainedTokenizerFast, toy_composition: MakeComposition, toy_mirror: Path
) -> None:
    backbone, task = in_memory(kind, toy_tokenizer), get_task("xnli")
    rows = load_rows(task, "test", ["en", "sw"], root=toy_mirror, max_examples=5)
    composed = build(backbone, toy_composition("mnli+squad", "xnli", FORMATS[task.format].head(task)), seed=0)
    randomised(composed)
    encoded = encode_rows(rows, backbone.tokenizer, SETTINGS, training=False)
    found = fusion_attention(composed, rows, encoded, batch_size=4)
    assert len(found) == len({each[:4] for each in found}) == 2 * 2 * 2
    assert sums_to_one(found)


def test_means_over_layers() -> None:
    weights = (
        Weight("en", 0, "feed-forward", "mnli", 0.2),
        Weight("en", 0, "feed-forward", "squad", 0.8),
        Weight("en", 1, "feed-forward", "mnli", 0.4),
        Weight("en", 1, "feed-forward", "squad", 0.6),
        Weight("de", 0, "feed-forward", "mnli", 0.5),
    )
    assert means_over_layers(weights) == {
        "en": {"mnli": pytest.approx(0.3), "squad": pytest.approx(0.7)},
        "de": {"mnli": 0.5},
    }
