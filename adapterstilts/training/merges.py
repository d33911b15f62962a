"""Adapters that are made of the weights of others: a stage like any other, but nothing is trained."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ExpressionError
from adapterstilts.fingerprints import FORMAT_VERSION, fingerprint
from adapterstilts.models.backbone import build, load_backbone
from adapterstilts.models.composition import Composition
from adapterstilts.models.configs import merged_config
from adapterstilts.models.expression import Merge, Nothing
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.merging import arithmetic, average, dare, svd, ties
from adapterstilts.models.saved import ADAPTER, MERGED, read_adapter, read_weights, weights_file
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store, write_json
from adapterstilts.store.promises import Promise
from adapterstilts.store.weights import save_weights
from adapterstilts.tasks.formats.base import HeadSpec
from adapterstilts.training.resources import versions
from adapterstilts.training.stages import StageResult, made_once

if TYPE_CHECKING:
    from torch import Tensor

#: Methods that work on what training added, so that all adapters must have started from the same weights.
ON_TASK_VECTORS = ("arithmetic", "ties", "dare")


@dataclass(frozen=True)
class MergeStage:
    """A merge of adapters on one backbone.

    Raises:
        ExpressionError: the adapters cannot be merged in this way; names the part and the rule.
    """

    expression: Merge
    backbone: BackboneIdentity
    inputs: tuple[Artifact, ...]
    """One a part of the expression."""

    def __post_init__(self) -> None:
        for artifact in self.inputs:
            self.backbone.require_same(artifact.manifest["backbone"], what=f"The adapter '{artifact.id}'")
        _ = self.config, self.seed

    @cached_property
    def config(self) -> dict[str, Any]:
        """Configuration of the adapter that is made."""
        return merged_config(self.expression, [read_adapter(artifact)[1] for artifact in self.inputs])

    @cached_property
    def seed(self) -> int | None:
        """The seed of the weights that all the adapters started from; None where they started from different ones."""
        seeds = [artifact.manifest["settings"]["seed"] for artifact in self.inputs]
        if len(set(seeds)) == 1 and seeds[0] is not None:
            return int(seeds[0])
        if self.expression.method in ON_TASK_VECTORS:
            told = ", ".join(f"'{artifact.id}' {seed}" for artifact, seed in zip(self.inputs, seeds, strict=True))
            raise ExpressionError(
                f"'{self.expression.method}' works on what training added to one and the same beginning, and these "
                f"adapters began with different seeds ({told}). Take adapters of one seed with --use, or use avg."
            )
        return None

    def identity(self) -> dict[str, Any]:
        """Return all that decides the result; its hash is the fingerprint."""
        return {
            "version": FORMAT_VERSION,
            "kind": MERGED,
            "method": self.expression.method,
            "weights": list(self.expression.weights),
            "options": dict(self.expression.options),
            "adapter": self.expression.adapter,
            "backbone": self.backbone.key,
            "inputs": [artifact.fingerprint for artifact in self.inputs],
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ``identity()``."""
        return fingerprint(self.identity())

    def known(self) -> dict[str, Any]:
        """Return what the manifest says that is known before anything is merged."""
        first = self.inputs[0]
        return {
            "suite": first.suite,
            "expression": str(self.expression),
            "tasks": list(self.expression.names),
            "backbone": dataclasses.asdict(self.backbone),
            "settings": {
                **{key: first.manifest["settings"].get(key) for key in ("adapter", "reduction_factor")},
                "seed": self.seed,
            },
            "inputs": [artifact.id for artifact in self.inputs],
            "identity": self.identity(),
        }

    @property
    def adapter_json(self) -> dict[str, Any]:
        """Name and configuration of the adapter that is made."""
        return {"name": self.expression.adapter, "config": self.config}

    def promise(self) -> Promise:
        """Return the artifact as far as it is known before anything is merged."""
        return Promise.of(MERGED, str(self.expression), self.fingerprint, self.known(), {ADAPTER: self.adapter_json})

    def merged(self, backbone: str) -> dict[str, Tensor]:
        """Return the weights of the adapter that is made.

        Args:
            backbone: id or folder, for the weights that the adapters started from.
        """
        name, weights, options = self.expression.adapter, self.expression.weights, dict(self.expression.options)
        states = [read_weights(artifact, name) for artifact in self.inputs]
        match self.expression.method:
            case "avg":
                return average(states, weights)
            case "svd":
                configs = [read_adapter(artifact)[1] for artifact in self.inputs]
                return svd(states, weights, [each["alpha"] / each["r"] for each in configs], rank=self.config["r"])
            case "arithmetic":
                return arithmetic(states, weights, self.beginning(backbone), **options)
            case "ties":
                return ties(states, weights, self.beginning(backbone), **options)
            case method:
                assert method == "dare"
                drop, seed, scale = options["drop"], int(options["seed"]), options["scale"]
                return dare(states, weights, self.beginning(backbone), drop=drop, seed=seed, scale=scale)

    def beginning(self, backbone: str) -> dict[str, Tensor]:
        """Return the weights that the adapters started from: what their seed gives a new adapter of this shape."""
        assert self.seed is not None
        name = self.expression.adapter
        head = HeadSpec("classification", 2, ())
        composition = Composition(Nothing(), name, head, {name: self.config})
        loaded = load_backbone(backbone, self.backbone.hub_revision)
        return dict(build(loaded, composition, seed=self.seed).state(f"adapters/{name}"))


def run_merge(
    stage: MergeStage, store: Store, *, backbone: str | None = None, reporter: Reporter | None = None
) -> StageResult:
    """Merge adapters, or return what was merged of the same before.

    Args:
        stage: what to merge.
        store: where artifacts are kept.
        backbone: id or folder of the backbone, where it is no longer where the stage says.
        reporter: told of the progress.

    Raises:
        AdapterStiltsError: the weights cannot be read or do not fit; nothing is stored then.
    """
    reporter = reporter or Reporter()
    name = str(stage.expression)
    make = partial(_merge, stage, store, backbone or stage.backbone.id)
    result = made_once(store, stage.fingerprint, name, make, reporter, promise=stage.promise)
    if not result.reused:
        reporter.message(f"{name}: merged, {result.artifact.path}")
    return result


def _merge(stage: MergeStage, store: Store, backbone: str) -> None:
    started = time.perf_counter()
    state = stage.merged(backbone)
    manifest = {
        **stage.known(),
        "resources": {"wall_seconds": round(time.perf_counter() - started, 2), "trained_parameters": 0},
        "versions": versions(),
    }
    with store.create(MERGED, str(stage.expression), stage.fingerprint, manifest) as folder:
        write_json(folder / ADAPTER, stage.adapter_json)
        save_weights(folder / weights_file(f"adapters/{stage.expression.adapter}"), state)
