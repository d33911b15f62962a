"""The rows that a stage is trained and validated on: as features, scored, and as a manifest tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.encode import encode_rows
from adapterstilts.data.rows import Rows
from adapterstilts.errors import SettingsError
from adapterstilts.models.backbone import Backbone, ComposedModel
from adapterstilts.models.lower_layers import lower_layers
from adapterstilts.models.row_states import RowStates, row_states
from adapterstilts.models.vocabulary import read_ahead
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store
from adapterstilts.tasks.formats import Encoded

if TYPE_CHECKING:
    from adapterstilts.training.stages import TrainingStage


def encoded_rows(stage: TrainingStage, backbone: Backbone, store: Store, reporter: Reporter) -> tuple[Encoded, Encoded]:
    """Return the stage's training and validation rows as features, and tell how many there are.

    Raises:
        SettingsError: no training row can be learnt from.
    """
    tokenizer, encoding, home = backbone.tokenizer, stage.settings.encoding, store.home
    train = encode_rows(stage.train_rows, tokenizer, encoding, training=True, home=home)
    validation = encode_rows(stage.validation_rows, tokenizer, encoding, training=False, home=home)
    if not len(train):
        raise SettingsError(f"No training row of '{stage.task.name}' is usable: {_counted(train.report)}.")
    read_ahead(backbone.model, train.features, validation.features)
    _tell_rows(reporter, stage, train.report)
    return train, validation


def states_below(
    stage: TrainingStage,
    composed: ComposedModel,
    train: Encoded,
    validation: Encoded,
    store: Store,
    reporter: Reporter,
) -> tuple[RowStates | None, RowStates | None]:
    """Return the hidden states of the stage's training and validation rows below the first adapter.

    None where there is an adapter in the lowest layer, the model cannot be cut, or other tokens are hidden each time.
    """
    lower = lower_layers(composed) if stage.task.format != "language_modelling" else None
    if lower is None:
        return None, None
    settings, home = stage.settings, store.home
    steps = settings.steps or 0
    passes = steps * settings.batch_size * settings.gradient_accumulation / len(train) or settings.epochs
    found = [
        row_states(
            lower,
            encoded.features,
            composed.backbone,
            what=f"{stage.name}, {split}",
            passes=count,
            home=home,
            reporter=reporter,
        )
        for encoded, split, count in ((train, "training", passes), (validation, "validation", settings.evaluations))
    ]
    return found[0], found[1]


def scores_now(
    stage: TrainingStage, composed: ComposedModel, validation: Encoded, lower: RowStates | None = None
) -> Mapping[str, float]:
    """Return the scores on the stage's validation rows as the model is now, the main score first.

    ``lower`` has the rows' hidden states below the first adapter, where the model shall not work them out itself.
    """
    from adapterstilts.evaluation.scoring import validation_scores

    settings = stage.settings
    return validation_scores(
        composed,
        stage.validation_rows,
        validation,
        settings.encoding,
        batch_size=settings.batch_size,
        precision=settings.precision,
        lower=lower,
    )


def data_json(stage: TrainingStage, train: Encoded, validation: Encoded) -> dict[str, Any]:
    """Return what a manifest says of the rows that a stage was trained and validated on."""
    return {
        "train": _data_json(stage.train_rows, train.report),
        "validation": _data_json(stage.validation_rows, validation.report),
    }


def _data_json(rows: Rows, report: Mapping[str, int]) -> dict[str, Any]:
    source, *more = rows.task.source(rows.split).parts(rows.task.source_language)
    return {
        "dataset": source.dataset,
        "config": source.config,
        "split": source.split,
        "revision": source.revision,
        **({"texts": [Path(path).name for path in source.texts]} if source.texts else {}),
        "more": [f"{other.dataset} {other.config} {other.split} {other.revision}" for other in more],
        "rows": len(rows),
        "fingerprint": rows.fingerprint,
        "skipped": dict(rows.skipped),
        "encoding": dict(report),
    }


def _tell_rows(reporter: Reporter, stage: TrainingStage, report: Mapping[str, int]) -> None:
    counted = _counted({**stage.train_rows.skipped, **report})
    text = f"{stage.name}: {len(stage.train_rows)} training rows, {len(stage.validation_rows)} validation rows"
    reporter.message(f"{text} ({counted})" if counted else text)


def _counted(report: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in report.items())
