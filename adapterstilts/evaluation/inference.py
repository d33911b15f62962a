"""One pass over encoded rows, sorted by length, in batches of about as many tokens; and the logits they are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from adapterstilts.data.collate import Collator
from adapterstilts.models.composition import BOTTOM
from adapterstilts.models.heap import warm_heap
from adapterstilts.models.lower_layers import lower_layers
from adapterstilts.models.vocabulary import read_ahead
from adapterstilts.tasks.formats.base import IGNORED_LABEL, input_columns
from adapterstilts.tasks.formats.sequences import Sequences, batches_of_tokens

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from torch import Tensor

    from adapterstilts.models.backbone import Backbone, ComposedModel
    from adapterstilts.models.languages import LanguageAdapter
    from adapterstilts.models.row_states import RowStates
    from adapterstilts.tasks.formats import Encoded

CPU_TOKENS = 2048
"""Tokens of a batch on a CPU, at most: with more, what a layer hands to the next leaves the cache before it is read."""


def run_in_batches(
    run: Callable[[dict[str, Tensor]], Any],
    take: Callable[[list[int], dict[str, Tensor], Any], None],
    backbone: Backbone,
    features: Dataset,
    *,
    batch_size: int,
    precision: str,
    progress: Callable[[int], None] | None,
    labelled: bool = False,
    lower: RowStates | None = None,
) -> None:
    """Run a model over all features, the longest first, in evaluation mode and without gradients.

    Args:
        run: takes a batch and gives the model's output.
        take: takes the positions of a batch's features, the batch as it was padded, and the output.
        backbone: whose model it is; put into evaluation mode, and back into the mode it was in.
        features: one row an input, with ``input_ids``.
        batch_size: features of the greatest length a forward pass; of shorter ones as many as have no more tokens,
            and on a CPU no more than ``CPU_TOKENS`` have.
        precision: ``fp32`` or ``bf16`` (autocast).
        progress: told the number of features done after each batch.
        labelled: give the model the features' ``labels``, too.
        lower: hidden states of the features below the first adapter, where the model shall not work them out itself.
    """
    import torch

    model: Any = backbone.model
    device = next(model.parameters()).device
    read_ahead(backbone.model, features)
    padding = Collator.of(backbone.tokenizer)
    pads = {
        "input_ids": padding.pad_token_id,
        "token_type_ids": padding.pad_token_type_id,
        "labels": IGNORED_LABEL,
    }
    names = [*input_columns(features.features), *(["labels"] if labelled else [])]
    sequences = Sequences.of(features, names)
    lengths = sequences.row_lengths * sequences.per_row
    budget = batch_size * int(lengths.max(initial=1))
    done = 0
    mode = model.training
    model.eval()
    try:
        with torch.inference_mode(), warm_heap() if device.type == "cpu" else nullcontext():
            for rows in batches_of_tokens(lengths, min(budget, CPU_TOKENS) if device.type == "cpu" else budget):
                chosen = rows.tolist()
                batch = sequences.padded(chosen, {name: pads[name] for name in names})
                batch = {name: tensor.to(device) for name, tensor in batch.items()}
                given = nullcontext() if lower is None else lower.given(chosen, batch["input_ids"].shape[-1])
                with given, torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext():
                    output = run(batch)
                take(chosen, batch, output)
                done += len(chosen)
                if progress is not None:
                    progress(done)
    finally:
        model.train(mode)


def predict_logits(
    composed: ComposedModel,
    encoded: Encoded,
    *,
    batch_size: int = 32,
    precision: str = "fp32",
    progress: Callable[[int], None] | None = None,
    lower: RowStates | None = None,
) -> list[np.ndarray]:
    """Run the model over all features.

    Args:
        composed: the model; it is put into evaluation mode and back into the mode it was in.
        encoded: features of any number of languages.
        batch_size: as for ``run_in_batches``.
        precision: ``fp32`` or ``bf16`` (autocast).
        progress: told the number of features done after each batch.
        lower: as for ``run_in_batches``.

    Returns:
        one float32 array a feature, in the order of the features: (labels,), (choices,), (length, tags),
        (2, length) for the start and end of spans, or (hidden tokens,), log-probabilities of masked tokens.
    """
    model: Any = composed.model
    kind = composed.composition.head.kind
    logits: list[Any] = [None] * len(encoded)

    def take(chosen: list[int], batch: dict[str, Tensor], output: Any) -> None:
        for index, values in zip(chosen, _by_feature(output, batch, kind), strict=True):
            logits[index] = values

    run_in_batches(
        lambda batch: model(**batch),
        take,
        composed.backbone,
        encoded.features,
        batch_size=batch_size,
        precision=precision,
        progress=progress,
        labelled=kind == "masked_lm",
        lower=lower,
    )
    return logits


def predict_together(
    models: Sequence[ComposedModel],
    encoded: Encoded,
    *,
    batch_size: int = 32,
    precision: str = "fp32",
    progress: Callable[[int], None] | None = None,
) -> list[list[np.ndarray]]:
    """Run several models over all features; what they do below their first adapters is done once.

    Args:
        models: on one backbone, with no adapter in the same lowest layers, and heads of one kind. If one of them cannot
            be cut there, each works by itself.
        encoded, batch_size, precision, progress: as for ``predict_logits``.

    Returns:
        for each model what ``predict_logits`` returns of it, to the last bit.
    """
    parts = [lower_layers(composed) for composed in models]
    if len({part.further for part in parts if part is not None}) > 1:
        parts = [lower_layers(composed, further=False) for composed in models]
    lower = [part for part in parts if part is not None]
    if len(lower) < len(models) or len({part.count for part in lower}) > 1:
        how: dict[str, Any] = {"batch_size": batch_size, "precision": precision}
        shares = [_share(progress, number, len(models), len(encoded)) for number in range(len(models))]
        return [
            predict_logits(composed, encoded, **how, progress=share)
            for composed, share in zip(models, shares, strict=True)
        ]
    logits: list[list[Any]] = [[None] * len(encoded) for _ in models]
    kind = models[0].composition.head.kind
    for composed in models[1:]:
        composed.model.eval()

    def run(batch: dict[str, Tensor]) -> list[Any]:
        states, outputs = lower[0].outputs(batch), []
        for composed, part in zip(models, lower, strict=True):
            model: Any = composed.model
            with part.above(states):
                outputs.append(model(**batch))
        return outputs

    def take(chosen: list[int], batch: dict[str, Tensor], outputs: list[Any]) -> None:
        for own, output in zip(logits, outputs, strict=True):
            for index, values in zip(chosen, _by_feature(output, batch, kind), strict=True):
                own[index] = values

    run_in_batches(
        run,
        take,
        models[0].backbone,
        encoded.features,
        batch_size=batch_size,
        precision=precision,
        progress=progress,
    )
    return logits


def _share(
    progress: Callable[[int], None] | None, number: int, models: int, features: int
) -> Callable[[int], None] | None:
    """Return what tells the progress of one of several models as that of all."""
    return None if progress is None else lambda done: progress((number * features + done) // models)


def each_language(
    composed: ComposedModel,
    languages: Sequence[str],
    encoded: Encoded,
    adapters: Mapping[str, LanguageAdapter | None],
) -> Iterator[tuple[list[int], Encoded]]:
    """Put the adapter of each language at the bottom in turn, and yield which features shall be read on it.

    One model stays loaded; at the end its own weights lie at the bottom again. Languages of one adapter are one part.

    Args:
        composed: a composition on a language adapter.
        languages: code of the language of each row.
        encoded: features of the rows.
        adapters: by code; None for a language that is read without one.

    Yields:
        the positions of features, and these features.
    """
    groups: dict[str | None, tuple[LanguageAdapter | None, list[int]]] = {}
    for feature, example in enumerate(encoded.features["example"]):
        adapter = adapters[languages[example]]
        key = None if adapter is None else adapter.fingerprint
        groups.setdefault(key, (adapter, []))[1].append(feature)
    own = {key: tensor.detach().clone() for key, tensor in composed.state(f"adapters/{BOTTOM}").items()}
    try:
        for adapter, features in groups.values():
            if adapter is None:
                composed.use_language(None)
            else:
                here = own if adapter.artifact is None else adapter.weights()
                composed.use_language(here, where=f"The adapter of the language '{adapter.language}'")
            yield features, dataclasses.replace(encoded, features=encoded.features.select(features))
    finally:
        composed.use_language(own)


def predict_by_language(
    composed: ComposedModel,
    languages: Sequence[str],
    encoded: Encoded,
    adapters: Mapping[str, LanguageAdapter | None],
    *,
    batch_size: int = 32,
    precision: str = "fp32",
    progress: Callable[[int], None] | None = None,
) -> list[np.ndarray]:
    """Run the model over all features, those of each language on the language's adapter.

    Args:
        composed, languages, encoded, adapters: as for ``each_language``.
        batch_size, precision, progress: as for ``predict_logits``.

    Returns:
        as ``predict_logits``.
    """
    logits: list[Any] = [None] * len(encoded)
    done = 0

    def advance(count: int) -> None:
        if progress is not None:
            progress(done + count)

    for features, part in each_language(composed, languages, encoded, adapters):
        found = predict_logits(composed, part, batch_size=batch_size, precision=precision, progress=advance)
        for feature, values in zip(features, found, strict=True):
            logits[feature] = values
        done += len(features)
    return logits


def mean_logits(members: Iterable[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Return the mean of the logits that several models give to the same features.

    Where one of several alternatives is chosen (labels, choices, a tag), this is the logarithmic opinion pool of equal
    weights, the normalised geometric mean of the models' probabilities (Heskes 1997,
    https://mlanthology.org/neurips/1997/heskes1997neurips-selecting): the mean of log-probabilities differs from it by
    a constant, which neither the choice nor its probability sees. For starts and ends of spans the two differ: spans
    of several windows of a context compete by the sum of their logits, not normalised (as in Clark & Gardner 2018,
    https://arxiv.org/abs/1710.10723), and normalising within each window would take away how much more a model makes
    of one window than of another. So logits are averaged in all cases, starts and ends each by themselves.

    Args:
        members: for each model one array a feature, as from ``predict_logits``. They are added up as they come, so
            that no more than the sum and one model's are in memory.
    """
    total: list[np.ndarray] = []
    count = 0
    for logits in members:
        total = [one + other for one, other in zip(total, logits, strict=True)] if count else list(logits)
        count += 1
        del logits  # else they would be there while the next model works
    return [values / count for values in total]


def _values(output: Any) -> np.ndarray:
    import torch

    if "start_logits" in output:
        values = torch.stack([output["start_logits"], output["end_logits"]], dim=1)
    else:
        values = output["logits"]
    result: np.ndarray = values.float().cpu().numpy()
    return result


def _log_probabilities(output: Any, batch: dict[str, Tensor]) -> list[np.ndarray]:
    """Return the log-probabilities of the labels of each feature, (hidden tokens,)."""
    import torch

    places = batch["labels"] != IGNORED_LABEL
    chosen = output["logits"][0].float().log_softmax(dim=-1).gather(-1, batch["labels"][places].unsqueeze(-1))
    parts = torch.split(chosen.squeeze(-1).cpu(), places.sum(dim=-1).tolist())
    return [part.numpy().copy() for part in parts]


def _by_feature(output: Any, batch: dict[str, Tensor], kind: str) -> list[np.ndarray]:
    """Return the logits of each feature of a batch."""
    return _log_probabilities(output, batch) if kind == "masked_lm" else _trimmed(_values(output), batch, kind)


def _trimmed(values: np.ndarray, batch: dict[str, Tensor], kind: str) -> list[np.ndarray]:
    """Return one array a feature, with its padding cut off; features of a batch have nearly the same length."""
    if kind not in ("question_answering", "tagging"):
        return list(values)
    lengths = batch["attention_mask"].sum(dim=-1).tolist()
    if kind == "question_answering":
        return [row[:, :length] for row, length in zip(values, lengths, strict=True)]
    return [row[:length] for row, length in zip(values, lengths, strict=True)]
