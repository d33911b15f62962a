"""How much a fusion takes of each adapter, by layer and language: the means of its attention over the tokens.

AdapterFusion weighs the adapters anew for each token in each layer, with weights that add up to 1 (Pfeiffer et al.
2021, section 3.2, https://arxiv.org/abs/2005.00247).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from adapterstilts.data.encode import encode_rows
from adapterstilts.errors import ArtifactError
from adapterstilts.evaluation.answering import encoding_settings
from adapterstilts.evaluation.inference import each_language, run_in_batches
from adapterstilts.evaluation.zero_shot import EvaluationRequest
from adapterstilts.models.saved import load_backbone_of, load_composed, read_composition
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from adapterstilts.data.rows import Rows
    from adapterstilts.models.backbone import ComposedModel
    from adapterstilts.models.languages import LanguageAdapter
    from adapterstilts.tasks.formats import Encoded

#: Blocks of a layer after which adapters stand, by the adapters library's names of the places.
PLACES: Mapping[str, str] = {"mh_adapter": "attention", "output_adapter": "feed-forward"}


class Weight(NamedTuple):
    """The mean share that a fusion gives an adapter."""

    language: str
    layer: int
    """From 0, the lowest."""
    place: str
    """Block of the layer that the adapter stands after: ``attention`` or ``feed-forward``."""
    adapter: str
    weight: float
    """From 0 to 1; those of a language, layer and place add up to 1."""


def check_fused(artifact: Artifact) -> None:
    """Refuse an artifact without a learned fusion.

    Raises:
        ArtifactError: says what it is.
    """
    composition = read_composition(artifact)
    if composition.fusion_name is None:
        raise ArtifactError(
            f"Artifact '{artifact.id}' ({artifact.manifest['expression']}) has no learned fusion, whose attention "
            "could be told; such are compositions like mnli+squad."
        )


def run_attention(
    artifact: Artifact,
    rows: Rows,
    request: EvaluationRequest,
    store: Store,
    *,
    adapters: Mapping[str, LanguageAdapter | None] | None = None,
    backbone: str | None = None,
    reporter: Reporter | None = None,
) -> tuple[Weight, ...]:
    """Return the mean weights of an artifact's fusion on rows of one or more languages.

    Args:
        artifact: of kind ``target``, with a learned fusion.
        rows: what it reads.
        request: batch size and precision.
        store: where encoded rows are kept.
        adapters: for a composition on a language adapter, what takes its place, by code of the language of the rows.
        backbone: id or folder of the backbone, where it is no longer where the artifact says.
        reporter: told of the progress.

    Raises:
        AdapterStiltsError: there is no fusion, or artifact and rows do not fit together.
    """
    check_fused(artifact)
    reporter = reporter or Reporter()
    composed = load_composed(artifact, load_backbone_of(artifact, backbone), rows.task)
    composed.to_device()
    settings = encoding_settings(artifact)
    encoded = encode_rows(rows, composed.backbone.tokenizer, settings, training=False, home=store.home)
    reporter.begin(f"Attention of {artifact.manifest['name']} in {len(rows.languages)} languages", len(encoded))
    try:
        return fusion_attention(
            composed,
            rows,
            encoded,
            adapters=adapters,
            batch_size=request.batch_size,
            precision=request.precision,
            progress=reporter.advance,
        )
    finally:
        reporter.end()


def fusion_attention(
    composed: ComposedModel,
    rows: Rows,
    encoded: Encoded,
    *,
    adapters: Mapping[str, LanguageAdapter | None] | None = None,
    batch_size: int = 32,
    precision: str = "fp32",
    progress: Callable[[int], None] | None = None,
) -> tuple[Weight, ...]:
    """Return the fusion's weights, averaged over all tokens of a language that are no padding.

    Special tokens count, and where a long text has several windows, what they share counts in each.

    Args:
        composed: a model with a learned fusion.
        rows: rows of any number of languages.
        encoded: their features.
        adapters: as for ``run_attention``; None leaves the model as it is.
        batch_size: features a forward pass.
        precision: ``fp32`` or ``bf16`` (autocast).
        progress: told the number of features done after each batch.

    Returns:
        by language, layer, place and adapter, in this order.
    """
    import numpy as np

    name = composed.composition.fusion_name
    assert name is not None
    language_of = {position: code for code in rows.languages for position in rows.of_language(code)}
    codes = [language_of[position] for position in encoded.features["example"]]
    sums: dict[tuple[str, int, str], np.ndarray] = {}
    tokens = dict.fromkeys(rows.languages, 0)
    parts: Iterable[tuple[Sequence[int], Encoded]] = [(range(len(encoded)), encoded)]
    if adapters is not None:
        parts = each_language(composed, rows.table["language"][:], encoded, adapters)

    def take(places: Sequence[int], chosen: list[int], batch: dict[str, Tensor], output: Any) -> None:
        # A feature of multiple choice is as many sequences as there are choices.
        mask = batch["attention_mask"].flatten(0, -2).bool().cpu().numpy()
        own = np.repeat([codes[places[index]] for index in chosen], len(mask) // len(chosen))
        for code in set(own):
            tokens[str(code)] += int(mask[own == code].sum())
        for layer, by_place in output["adapter_fusion_attentions"][name].items():
            for place, weights in by_place.items():  # (sequences, length, adapters)
                for code in set(own):
                    found = weights[own == code][mask[own == code]].astype(np.float64).sum(axis=0)
                    key = str(code), int(layer), PLACES[place]
                    sums[key] = sums.get(key, 0.0) + found

    model: Any = composed.model
    done = 0

    def advance(count: int) -> None:
        if progress is not None:
            progress(done + count)

    for places, part in parts:
        run_in_batches(
            lambda batch: model(**batch, output_adapter_fusion_attentions=True),
            partial(take, places),
            composed.backbone,
            part.features,
            batch_size=batch_size,
            precision=precision,
            progress=advance,
        )
        done += len(places)
    order = {code: number for number, code in enumerate(rows.languages)}
    return tuple(
        Weight(*key, adapter, float(value) / tokens[key[0]])
        for key, total in sorted(sums.items(), key=lambda item: (order[item[0][0]], *item[0][1:]))
        for adapter, value in zip(composed.composition.expression.names, total, strict=True)
    )


def means_over_layers(weights: tuple[Weight, ...]) -> dict[str, dict[str, float]]:
    """Return the mean weight of each adapter over layers and places, by language."""
    found: dict[str, dict[str, list[float]]] = {}
    for each in weights:
        found.setdefault(each.language, {}).setdefault(each.adapter, []).append(each.weight)
    return {
        language: {adapter: sum(values) / len(values) for adapter, values in by_adapter.items()}
        for language, by_adapter in found.items()
    }
