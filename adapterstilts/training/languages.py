"""Language adapters: trained by masked-language modelling on plain text of one language, as in MAD-X.

Pfeiffer, Vulić, Gurevych, Ruder 2020, https://arxiv.org/abs/2005.00052. The bottleneck adapters may have invertible
ones beside them, at the embeddings, whose inverse stands before the output embeddings of the masked-language-model
head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapterstilts.data.sources import check_rows_access
from adapterstilts.data.texts import with_texts
from adapterstilts.errors import SettingsError
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.tasks.suites import Suite, language_task
from adapterstilts.training.recipes import recipe_settings
from adapterstilts.training.stages import TrainingStage

#: Configurations that a language adapter may have: it is stacked under others, and swapped for another one's weights.
ADAPTERS = ("seq_bn_inv", "seq_bn")


def language_stage(
    code: str,
    world: Suite,
    backbone: BackboneIdentity,
    *,
    texts: Sequence[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
) -> TrainingStage:
    """Return the stage that trains the adapter of a language.

    Args:
        code: of the language.
        world: the suite; in the lab, text is made where none is named.
        backbone: which it is trained on.
        texts: files of plain text in the language, a document or sentence a line.
        settings: fields of ``TrainingSettings`` that differ from the recipe.

    Raises:
        UnknownNameError: the suite has no such language.
        DataUnavailableError: there is no text.
        SettingsError: a setting is wrong, or the adapter is none that can lie under others.
    """
    task = with_texts(language_task(world, code, own_text=bool(texts)), texts)
    check_rows_access(task, None)
    chosen = recipe_settings(task, settings)
    if chosen.adapter not in ADAPTERS:
        raise SettingsError(
            f"--adapter {chosen.adapter} is none for languages; choose {' or '.join(ADAPTERS)} (the first has "
            "invertible adapters at the embeddings, too)."
        )
    if chosen.dropped:
        raise SettingsError(
            "A language adapter is trained in all layers; `compose --drop-layers` leaves it out of some, where it has "
            "no invertible part (--adapter seq_bn)."
        )
    return TrainingStage(task, chosen, backbone)
