"""Our trainer on toy data, with all that goes into it, and the gradients that it sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from toy_compositions import MakeComposition
from transformers import TrainerCallback

from adapterstilts.data.collate import feature_length
from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import load_rows
from adapterstilts.evaluation.scoring import validation_scores
from adapterstilts.models.backbone import ComposedModel, build, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Encoded
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.trainer import StiltsTrainer

State = dict[str, torch.Tensor]


def trainer_for(
    composed: ComposedModel,
    task_name: str,
    features: Encoded,
    folder: Path,
    *,
    validate: Callable[[], Mapping[str, float]] = lambda: {"accuracy": 0.0},
    **settings: Any,
) -> StiltsTrainer:
    """Return our trainer on a few features."""
    chosen = TrainingSettings(**{"steps": 1, "warmup_ratio": 0.0, "evaluations": 1, **settings})
    return StiltsTrainer(
        composed, get_task(task_name), features, validate, chosen, title="a test", output_dir=str(folder)
    )


class Setup:
    """A toy trainer with all that went into it."""

    def __init__(
        self,
        folder: Path,
        mirror: Path,
        make: MakeComposition,
        scratch: Path,
        task_name: str = "mnli",
        expression: str = "none",
        *,
        train_rows: int | None = None,
        of_one_length: int | None = None,
        scores: list[float] | None = None,
        validate: Callable[[], Mapping[str, float]] | None = None,
        reduction_factor: float = 2,
        regularization: bool = True,
        **settings: Any,
    ) -> None:
        defaults: dict[str, Any] = {"steps": 4, "batch_size": 4, "max_length": 64, "evaluations": 1}
        self.settings = TrainingSettings(**defaults | settings)
        self.task = get_task(task_name)
        head = FORMATS[self.task.format].head(self.task)
        composition = make(expression, task_name, head, reduction_factor=reduction_factor)
        if composition.fusion is not None and not regularization:
            composition = Composition(
                composition.expression,
                composition.top,
                head,
                composition.adapters,
                dict(composition.fusion) | {"regularization": False},
            )
        backbone = load_backbone(str(folder))
        self.composed = build(backbone, composition, seed=self.settings.seed)
        self.rows = load_rows(self.task, "train", ["en"], root=mirror, max_examples=train_rows)
        self.held_out = load_rows(self.task, "validation", ["en"], root=mirror)
        encoding = self.settings.encoding
        self.train: Encoded = encode_rows(self.rows, backbone.tokenizer, encoding, training=True)
        if of_one_length is not None:
            self.train = Encoded(self.train.features.select(most_of_one_length(self.train)[:of_one_length]))
            assert len(self.train) == of_one_length
        self.validation = encode_rows(self.held_out, backbone.tokenizer, encoding, training=False)
        self.kept: list[State] = []
        """The trained state at each evaluation."""
        self.scores = scores
        self.trainer = StiltsTrainer(
            self.composed,
            self.task,
            self.train,
            validate or self.validate,
            self.settings,
            output_dir=str(scratch),
            title="toy",
        )

    def validate(self) -> Mapping[str, float]:
        self.kept.append(self.composed.trained_state())
        if self.scores is not None:
            return {"score": self.scores[len(self.kept) - 1]}
        return self.score()

    def score(self) -> Mapping[str, float]:
        return validation_scores(
            self.composed, self.held_out, self.validation, self.settings.encoding, batch_size=32, precision="fp32"
        )

    def parameters(self, part: str) -> State:
        named = dict(self.composed.model.named_parameters())
        return {key: named[key] for key in self.composed.keys[part]}


MakeSetup = Callable[..., Setup]


def most_of_one_length(encoded: Encoded) -> list[int]:
    """Return the positions of the features of the most frequent length, which need no padding beside each other."""
    lengths = [feature_length({"input_ids": ids}) for ids in encoded.features["input_ids"]]
    frequent = max(set(lengths), key=lengths.count)
    return [position for position, length in enumerate(lengths) if length == frequent]


class GradientKeeper(TrainerCallback):
    """Keeps the gradients as they are just before the optimiser uses them."""

    def __init__(self) -> None:
        self.gradients: list[State] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.gradients.append(
            {key: item.grad.clone() for key, item in model.named_parameters() if item.grad is not None}
        )
