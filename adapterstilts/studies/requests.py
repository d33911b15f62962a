"""What the user asks ``compose`` and ``evaluate`` for, checked: rows and seeds; and the baseline that belongs to it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from adapterstilts.data.sources import root_of_suite
from adapterstilts.errors import SettingsError
from adapterstilts.evaluation.zero_shot import EvaluationRequest
from adapterstilts.models.expression import ENSEMBLE
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.languages import parse_languages
from adapterstilts.tasks.spec import TaskSpec, base_suite
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import baseline_of

Folder = str | os.PathLike[str]


def evaluation_request(
    spec: TaskSpec,
    languages: str,
    split: str | None,
    data_root: Folder | None,
    max_eval_examples: int | None,
    settings: TrainingSettings,
) -> EvaluationRequest:
    """Return what shall be evaluated on what.

    Args:
        spec: the task.
        languages, split, data_root, max_eval_examples: as for ``compose``.
        settings: of the training, which say how rows are sampled and read.

    Raises:
        AdapterStiltsError: there is no such language or split, or no row would be left.
    """
    chosen = split or spec.evaluation_split
    known = spec.languages_of(chosen)
    what, among = f"'{spec.name}' ({chosen})", get_suite(spec.suite).languages
    codes = None if languages.strip() == "all" else parse_languages(languages, known, what=what, among=among)
    if max_eval_examples is not None and max_eval_examples < 1:
        raise SettingsError(f"--max-eval-examples must be at least 1, not {max_eval_examples}.")
    return EvaluationRequest(
        split=chosen,
        languages=codes,
        root=root_of_suite(spec.suite, data_root),
        max_examples=max_eval_examples,
        sample_seed=settings.sample_seed,
        batch_size=settings.batch_size,
        precision=settings.precision,
    )


def same_task(one: TaskSpec, other: TaskSpec) -> bool:
    """Tell whether adapters for the two can stand beside each other: the suites may differ in their languages."""
    first, second = ((task.name, task.labels, base_suite(task.suite)) for task in (one, other))
    return first == second


def stored_baseline(artifact: Artifact, store: Store) -> Artifact | None:
    """Return the artifact that differs from this one only in having no intermediate task."""
    identity = artifact.manifest.get("identity")
    if artifact.kind not in ("target", ENSEMBLE) or not isinstance(identity, Mapping):
        return None
    baseline = baseline_of(artifact)
    return None if baseline == artifact.fingerprint else store.find(baseline)


def checked_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return the seeds that the user gave.

    Raises:
        SettingsError: there are none, or one is there twice.
    """
    if not seeds:
        raise SettingsError("--seeds is empty; give numbers such as 0,1,2.")
    if len(set(seeds)) != len(seeds):
        raise SettingsError(f"--seeds names a seed twice: {', '.join(map(str, seeds))}.")
    return tuple(seeds)
