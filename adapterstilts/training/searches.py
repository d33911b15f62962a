"""Weights of a merge that suit a target: searched for on its validation rows, without gradients, as LoraHub does.

Huang et al. 2023, LoraHub, https://arxiv.org/abs/2307.13269. A target adapter is trained on the plain average; then it
and its head stay as they are, and the weights of the adapters below it are moved.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

from adapterstilts.data.collate import feature_length
from adapterstilts.data.encode import encode_rows
from adapterstilts.errors import ArtifactError
from adapterstilts.evaluation.metrics import get_metric
from adapterstilts.fingerprints import fingerprint
from adapterstilts.models.backbone import build, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.expression import Search, Single
from adapterstilts.models.layers import left_out
from adapterstilts.models.merging import combination
from adapterstilts.models.options import SEARCH
from adapterstilts.models.saved import COMPOSITION, load_part, read_adapter, read_weights, save_composed
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store, write_lines
from adapterstilts.store.promises import Promise
from adapterstilts.training.resources import make_deterministic, resources, versions
from adapterstilts.training.stages import CURVE, StageResult, TrainingStage, made_once, scores_now

PENALTY = 0.05
"""What the objective adds for each 1 of the weights' absolute values: LoraHub's α."""
BOUND = 1.5
"""Largest absolute value of a weight, as in LoraHub."""
STEP = 0.5
"""How far from where it stands the search tries first, in each direction."""
METHOD = {"method": "nelder-mead", "penalty": PENALTY, "bound": BOUND, "step": STEP}
"""What, beside budget and seed, decides which weights are tried."""


@dataclass(frozen=True)
class Try:
    """Weights, and what came of them."""

    weights: tuple[float, ...]
    scores: Mapping[str, float]
    """On the validation rows, the main one first."""
    objective: float
    """What is made as small as it can be."""

    @property
    def score(self) -> float:
        """The main score."""
        return next(iter(self.scores.values()))


@dataclass(frozen=True)
class SearchStage:
    """A search for the weights of the adapters that stand under a trained target adapter.

    Raises:
        ArtifactError: the target adapter is not the one of the stage.
    """

    expression: Search
    target: TrainingStage
    """That of the target adapter on the average, from which the search starts."""
    trained: Artifact
    """What that stage made."""
    parts: tuple[Artifact, ...]
    """The adapters that are merged, one a part of the expression."""

    def __post_init__(self) -> None:
        if self.trained.fingerprint != self.target.fingerprint:
            raise ArtifactError(f"'{self.trained.id}' is not '{self.target.name}' of these settings and inputs.")

    @property
    def name(self) -> str:
        return f"{self.target.task.name}.{self.expression}"

    @cached_property
    def composition(self) -> Composition:
        """What is built on the backbone: as under the average, by another name."""
        whole, name = self.target.composition, self.expression.adapter
        (below,) = whole.expression.names
        adapters = {name if own == below else own: config for own, config in whole.adapters.items()}
        return dataclasses.replace(whole, expression=Single(name), adapters=adapters)

    def identity(self) -> dict[str, Any]:
        """Return all that decides the result; its hash is the fingerprint."""
        inputs = [artifact.fingerprint for artifact in (self.trained, *self.parts)]
        return {**self.target.identity(), "expression": str(self.expression), "inputs": inputs, SEARCH: dict(METHOD)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ``identity()``."""
        return fingerprint(self.identity())

    def known(self) -> dict[str, Any]:
        """Return what the manifest says that is known before anything is tried."""
        return {
            **self.target.known(),
            "expression": str(self.expression),
            "inputs": [artifact.id for artifact in (self.trained, *self.parts)],
            "identity": self.identity(),
            SEARCH: {**METHOD, "budget": self.expression.budget, "seed": self.expression.seed},
        }

    def promise(self) -> Promise:
        """Return the artifact as far as it is known before anything is tried."""
        rows = {"train": self.target.train_rows, "validation": self.target.validation_rows}
        manifest = self.known() | {"data": {name: {"rows": len(some)} for name, some in rows.items()}}
        contents = {COMPOSITION: self.composition.to_json()}
        return Promise.of(self.target.kind, self.name, self.fingerprint, manifest, contents)

    def told(self, weights: Sequence[float]) -> dict[str, float]:
        """Return weights by the text of their parts."""
        return dict(zip(map(str, self.expression.parts), weights, strict=True))


def run_weight_search(stage: SearchStage, store: Store, *, reporter: Reporter | None = None) -> StageResult:
    """Search for the weights of a merge, or return what was found in the same way before.

    The artifact is of kind ``target`` and complete: the merge of the weights that were found, the target adapter and
    its head. All that was tried stands in its curve, a try a line.

    Args:
        stage: what to search for.
        store: where artifacts are kept.
        reporter: told of the progress.

    Raises:
        AdapterStiltsError: the weights of an adapter cannot be read or do not fit; nothing is stored then.
    """
    reporter = reporter or Reporter()
    make = partial(_search, stage, store, reporter)
    result = made_once(store, stage.fingerprint, stage.name, make, reporter, promise=stage.promise)
    if result.reused:
        reporter.message(f"{stage.name}: searched before, {result.artifact.path}")
    return result


def tried(
    objective: Callable[[tuple[float, ...]], float],
    start: Sequence[float],
    *,
    budget: int,
    seed: int,
    bound: float = BOUND,
    step: float = STEP,
) -> dict[tuple[float, ...], float]:
    """Return the points that a search for the least value of an objective tried, and their values, in their order.

    The search is that of Nelder and Mead 1965 (https://doi.org/10.1093/comjnl/7.4.308) with the coefficients of Gao and
    Han 2012 (https://doi.org/10.1007/s10589-010-9329-3), which are the same in two dimensions. It compares values and
    nothing else. That suits a score, which is a count of right answers and stays the same for small moves: a model of
    the slope (COBYQA) has none to fit there, line searches (Powell) spend a budget of some dozens on one direction,
    and so do populations (differential evolution, annealing) on their first generation. The first simplex has a
    direction for each dimension, at right angles to each other and drawn from the seed; where it has shrunk to a point
    and some budget is left, another one is drawn around the best point so far.

    Args:
        objective: is called once for each point.
        start: the first point; within the bounds.
        budget: how many points are tried; at least 1.
        seed: of the directions.
        bound: largest absolute value of a coordinate.
        step: length of the sides of a simplex that meet in its first point.
    """
    import numpy as np
    from scipy.optimize import minimize

    random = np.random.default_rng(seed)
    found: dict[tuple[float, ...], float] = {}

    def value(point: Sequence[float]) -> float:
        key = tuple(float(part) for part in point)
        if key not in found:
            found[key] = objective(key)
        return found[key]

    best = tuple(map(float, start))
    while len(found) < budget:
        directions, _ = np.linalg.qr(random.standard_normal((len(best), len(best))))
        moved = best + step * directions
        moved = np.where(np.abs(moved) > bound, best - step * directions, moved)
        calls = budget - len(found) + (best in found)
        options = {"initial_simplex": [best, *moved], "maxfev": calls, "xatol": 1e-2, "fatol": 1e-4, "adaptive": True}
        minimize(value, best, method="Nelder-Mead", bounds=[(-bound, bound)] * len(best), options=options)
        best = min(found, key=lambda point: found[point])
    return found


def chosen(tries: Sequence[Try], *, lower_is_better: bool = False) -> Try:
    """Return the try with the least objective among those whose main score is no worse than that of the first.

    Args:
        tries: the first is the start.
        lower_is_better: whether a low main score is a good one.
    """
    sign = -1 if lower_is_better else 1
    return min((one for one in tries if sign * one.score >= sign * tries[0].score), key=lambda one: one.objective)


def _search(stage: SearchStage, store: Store, reporter: Reporter) -> None:
    make_deterministic()
    target, composition, name = stage.target, stage.composition, stage.expression.adapter
    backbone = load_backbone(target.backbone.id, target.backbone.hub_revision)
    composed = build(backbone, composition, seed=target.settings.seed)
    for given in composition.parts:
        if given != f"adapters/{name}":
            load_part(composed, given, stage.trained)
    states = [read_weights(artifact, name) for artifact in stage.parts]
    part = f"adapters/{name}"
    beyond = composition.left_out_of(part) - left_out(read_adapter(stage.parts[0])[1])
    tokenizer, encoding = backbone.tokenizer, target.settings.encoding
    validation = encode_rows(target.validation_rows, tokenizer, encoding, training=False, home=store.home)
    composed.to_device()

    def put(weights: Sequence[float]) -> None:
        where = f"The merge of {', '.join(artifact.id for artifact in stage.parts)}"
        composed.load_state(part, combination(states, weights), where=where, beyond=beyond)

    lower = get_metric(target.task.metric).lower_is_better
    tries: list[Try] = []

    def objective(weights: tuple[float, ...]) -> float:
        put(weights)
        scores = scores_now(target, composed, validation)
        loss = next(iter(scores.values())) / 100 * (1 if lower else -1)
        tries.append(Try(weights, scores, loss + PENALTY * sum(map(abs, weights))))
        reporter.advance(len(tries), **{next(iter(scores)): tries[-1].score})
        return tries[-1].objective

    count, budget = len(stage.parts), stage.expression.budget
    started = time.perf_counter()
    reporter.begin(f"Searching {stage.name}", budget)
    try:
        tried(objective, [1 / count] * count, budget=budget, seed=stage.expression.seed)
    finally:
        reporter.end()
    seconds = time.perf_counter() - started
    best = chosen(tries, lower_is_better=lower)
    put(best.weights)
    weights = stage.told(best.weights)
    told = " + ".join(f"{weight:.2f} {text}" for text, weight in weights.items())
    main = next(iter(best.scores))
    reporter.message(
        f"{stage.name}: {main} {tries[0].score:.2f} → {best.score:.2f} on {len(target.validation_rows)} validation "
        f"rows, with {told}"
    )
    before, known = stage.trained.manifest, stage.known()
    tokens = sum(feature_length({"input_ids": ids}) for ids in validation.features["input_ids"])
    parameters = int(before["resources"]["trained_parameters"]) + count
    manifest = {
        **known,
        SEARCH: {**known[SEARCH], "weights": weights, "tries": len(tries), "start": dict(tries[0].scores)},
        "data": before["data"],
        "metrics": {**before["metrics"], "validation": dict(best.scores)},
        "stopped_early": before["stopped_early"],
        "resources": resources(len(tries) * len(validation), len(tries) * tokens, seconds, parameters),
        "versions": versions() | {"scipy": version("scipy")},
    }
    with store.create(target.kind, stage.name, stage.fingerprint, manifest) as folder:
        save_composed(composed, folder)
        write_lines(
            folder / CURVE,
            [
                {"try": number, "weights": stage.told(one.weights), **one.scores, "objective": one.objective}
                for number, one in enumerate(tries, start=1)
            ],
        )
