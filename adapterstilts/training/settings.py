"""Settings of a training stage. The line beside each field is its ``--help``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapterstilts.errors import SettingsError, unknown
from adapterstilts.models.layers import layers_text, read_layers
from adapterstilts.settings import setting
from adapterstilts.tasks.formats.base import EncodingSettings

LARGEST_SEED = 2**32 - 1
PRECISIONS = ("fp32", "bf16")
LATER = {"drop_layers": None, "batch_tokens": None, "compile": False}
"""Settings that there were not always, and what they are where they are not told."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a stage is trained. Defaults per task come from the recipes of the zoo."""

    adapter: str = setting(
        "seq_bn",
        "Adapter configuration of the adapters library, such as seq_bn or double_seq_bn; full trains the whole "
        "backbone in its place.",
    )
    reduction_factor: float | None = setting(
        None, "Hidden size over bottleneck size; the configuration's own if left out."
    )
    drop_layers: str | None = setting(
        None, "Layers without adapters, such as 0-4 or 0-2,5, counted from 0, the lowest (AdapterDrop)."
    )
    epochs: float = setting(3.0, "Passes over the training rows.")
    steps: int | None = setting(None, "Optimiser steps; takes the place of --epochs.")
    learning_rate: float = setting(
        1e-4,
        "Peak learning rate; adapters want about 1e-4, ten times that of full fine-tuning (--adapter full takes a "
        "tenth of the recipe's).",
    )
    warmup_ratio: float = setting(
        0.1, "Share of the steps in which the learning rate rises; it then falls linearly to 0."
    )
    batch_size: int = setting(32, "Examples a forward pass.")
    gradient_accumulation: int = setting(1, "Forward passes an optimiser step; the effective batch is the product.")
    batch_tokens: int | None = setting(
        None, "Tokens of a forward pass, padding included; a batch with more is made in several, to the same gradient."
    )
    weight_decay: float = setting(
        0.0, "AdamW's decay of weight matrices; biases, norms and fusion values are left alone."
    )
    max_grad_norm: float = setting(1.0, "Gradients are scaled down to this norm.")
    fusion_dropout: float | None = setting(
        None, "Dropout on fusion scores; the backbone's attention dropout if left out."
    )
    max_length: int = setting(128, "Tokens of an input, special tokens included.")
    doc_stride: int = setting(128, "Tokens that windows of a long text share.")
    max_train_examples: int | None = setting(None, "Train on a seeded sample of at most this many rows.")
    max_validation_examples: int | None = setting(
        1000, "Rows of the validation set, in the source language, used to pick the checkpoint."
    )
    sample_seed: int = setting(0, "Seed of samples of rows.")
    evaluations: int = setting(5, "How often to evaluate on validation rows while training; the best is kept.")
    patience: int | None = setting(None, "Stop after this many evaluations without a better score.")
    precision: str = setting("fp32", "fp32, or bf16 for mixed precision.")
    compile: bool = setting(
        False, "Compile the model with torch.compile first: minutes, which a GPU and a long training are worth."
    )
    seed: int = setting(0, "Seed of new weights, data order and dropout.")

    def __post_init__(self) -> None:
        infinite = [
            f"--{name.replace('_', '-')} must be a finite number"
            for name, value in dataclasses.asdict(self).items()
            if isinstance(value, float) and not math.isfinite(value)
        ]
        faults = [*infinite, *self._faults()]
        try:
            self.encoding  # noqa: B018  checks the lengths
        except SettingsError as error:
            faults.append(str(error).rstrip("."))
        try:  # 0,1,2 is 0-2: one text for one meaning
            object.__setattr__(self, "drop_layers", layers_text(self.dropped) or None)
        except SettingsError as error:
            faults.append(str(error).rstrip("."))
        if faults:
            raise SettingsError("; ".join(faults) + ".")

    def _faults(self) -> list[str]:
        return [
            f"--{name.replace('_', '-')} must be {what}, not {getattr(self, name)!r}"
            for name, what, fits in (
                ("epochs", "above 0", self.epochs > 0),
                ("steps", "at least 1", self.steps is None or self.steps >= 1),
                ("learning_rate", "above 0 and below 1", 0 < self.learning_rate < 1),
                ("warmup_ratio", "from 0 to 1", 0 <= self.warmup_ratio <= 1),
                ("batch_size", "at least 1", self.batch_size >= 1),
                ("gradient_accumulation", "at least 1", self.gradient_accumulation >= 1),
                ("batch_tokens", "at least 1", self.batch_tokens is None or self.batch_tokens >= 1),
                ("weight_decay", "at least 0", self.weight_decay >= 0),
                ("max_grad_norm", "above 0", self.max_grad_norm > 0),
                ("fusion_dropout", "from 0 to below 1", self.fusion_dropout is None or 0 <= self.fusion_dropout < 1),
                ("reduction_factor", "above 0", self.reduction_factor is None or self.reduction_factor > 0),
                ("max_train_examples", "at least 1", self.max_train_examples is None or self.max_train_examples >= 1),
                (
                    "max_validation_examples",
                    "at least 1",
                    self.max_validation_examples is None or self.max_validation_examples >= 1,
                ),
                ("evaluations", "at least 1", self.evaluations >= 1),
                ("patience", "at least 1", self.patience is None or self.patience >= 1),
                ("seed", f"from 0 to {LARGEST_SEED}", 0 <= self.seed <= LARGEST_SEED),
                ("sample_seed", f"from 0 to {LARGEST_SEED}", 0 <= self.sample_seed <= LARGEST_SEED),
                ("precision", f"one of {', '.join(PRECISIONS)}", self.precision in PRECISIONS),
            )
            if not fits
        ]

    @property
    def dropped(self) -> tuple[int, ...]:
        """The layers without adapters."""
        return () if self.drop_layers is None else read_layers(self.drop_layers)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as manifests keep them, in which later ones stand only where they are given.

        So what was made before there were these settings is still found.
        """
        told = dataclasses.asdict(self)
        return {key: value for key, value in told.items() if key not in LATER or value != LATER[key]}

    @property
    def encoding(self) -> EncodingSettings:
        """The settings of tokenisation among these."""
        return EncodingSettings(max_length=self.max_length, doc_stride=self.doc_stride)

    def replaced(self, changes: Mapping[str, Any]) -> TrainingSettings:
        """Return a copy with the given fields changed; None in ``changes`` means "leave as it is".

        Raises:
            UnknownNameError: there is no such setting; the nearest one is given.
            SettingsError: the values are out of range.
        """
        known = {field.name for field in dataclasses.fields(self)}
        for name in changes:
            if name not in known:
                raise unknown("training setting", name, known)
        return dataclasses.replace(self, **{name: value for name, value in changes.items() if value is not None})
