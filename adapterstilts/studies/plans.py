"""Several expressions under several targets: what is there, what would be made, and about how long it takes.

A plan is made by ``compose`` itself, once for each expression and target, in a store that promises what it does not
have: what is planned is what is run, and what is wrong shows before anything is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adapterstilts.data.rows import rows_kept
from adapterstilts.errors import AdapterStiltsError, ExpressionError, GridError, SettingsError
from adapterstilts.models.expression import ENSEMBLE, Expression, Single, trained_parts
from adapterstilts.models.grammar import parse
from adapterstilts.models.options import SEARCH
from adapterstilts.models.saved import MERGED
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.promises import PlanningStore, Promise
from adapterstilts.studies.durations import PastTimes, seconds_taken
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.requests import Folder
from adapterstilts.studies.transfer import compose

IN_STORE, TO_PULL = "in store", "to pull"
#: What a stage that is not in the store has to undergo, by its kind, or a target's whose weights are searched for; all
#: others are trained.
TO_DO = {"evaluation": "to evaluate", MERGED: "to merge", ENSEMBLE: "to join", SEARCH: "to search"}


@dataclass(frozen=True)
class PlannedCell:
    """One expression under one target."""

    expression: str
    target: str
    use: tuple[str, ...]
    """The adapters of ``--use`` that the expression names."""
    stages: tuple[str, ...]
    """Ids of the artifacts it needs, in the order in which they are made."""

    @property
    def label(self) -> str:
        return f"{self.expression} → {self.target}"


@dataclass(frozen=True)
class PlannedStage:
    """An artifact that a plan needs."""

    kind: str
    name: str
    artifact: str
    """Its id."""
    seed: int | None
    state: str
    """``in store``, ``to pull``, ``to train``, ``to merge``, ``to join``, ``to search`` or ``to evaluate``."""
    seconds: float | None
    """What it took, or about what it will take; None where nothing is known."""

    def to_json(self) -> dict[str, Any]:
        """Return the stage as the plan's document holds it."""
        seconds = None if self.seconds is None else round(self.seconds, 2)
        return {
            "kind": self.kind,
            "name": self.name,
            "artifact": self.artifact,
            "seed": self.seed,
            "state": self.state,
            "seconds": seconds,
        }


@dataclass(frozen=True)
class Plan:
    """What several expressions under several targets need, each stage once."""

    suite: str
    backbone: str
    seeds: tuple[int, ...]
    cells: tuple[PlannedCell, ...]
    stages: tuple[PlannedStage, ...]
    """In the order in which they are made."""
    store: Store
    options: Mapping[str, Any]
    """What ``compose`` is given for each cell."""

    @cached_property
    def to_do(self) -> tuple[PlannedStage, ...]:
        """The stages that the store does not have."""
        return tuple(stage for stage in self.stages if stage.state != IN_STORE)

    @property
    def seconds(self) -> float:
        """About how long those take whose time is known."""
        return sum(stage.seconds or 0.0 for stage in self.to_do)

    @property
    def unknown(self) -> int:
        """How many of those have a time of which nothing is known."""
        return sum(stage.seconds is None for stage in self.to_do)

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``compose --dry-run --json`` prints (docs/schemas)."""
        return {
            "suite": self.suite,
            "backbone": self.backbone,
            "seeds": list(self.seeds),
            "cells": [
                {"composition": cell.expression, "target": cell.target, "stages": list(cell.stages)}
                for cell in self.cells
            ],
            "stages": [stage.to_json() for stage in self.stages],
            "to_do": len(self.to_do),
            "seconds": round(self.seconds, 2),
            "unknown": self.unknown,
        }


@rows_kept()
def plan_grid(
    expressions: Sequence[str],
    targets: Sequence[str],
    *,
    store: Folder | None = None,
    use: Sequence[str] = (),
    reporter: Reporter | None = None,
    **options: Any,
) -> Plan:
    """Plan each expression under each target; nothing is made, and nothing is written into the store.

    Args:
        expressions: as ``compose`` takes them, each once.
        targets: names of target tasks, each once.
        store, reporter: as for ``compose``.
        use: ids of intermediate adapters to take; each expression gets those that it names.
        options: all else that ``compose`` takes, the same for all.

    Raises:
        GridError: something is wrong; names all of it, and where.
        AdapterStiltsError: the same is wrong everywhere.
    """
    kept = Store(store)
    parsed = [_parsed(text) for text in expressions]
    labels = [str(tree or text) for tree, text in zip(parsed, expressions, strict=True)]
    _check_once("expression", labels)
    _check_once("target", targets)
    if report_to := tuple(options.get("report_to", ())):
        from adapterstilts.training.trainer import check_trackers

        check_trackers(report_to)
    planning = PlanningStore(kept)
    cells: list[PlannedCell] = []
    transfers: list[Transfer] = []
    faults: list[tuple[str, AdapterStiltsError]] = []
    if len(expressions) * len(targets) > 1:
        (reporter or Reporter()).message(f"Planning {len(expressions) * len(targets)} compositions")
    used = {text: kept.get(text) for text in use}
    uses = _uses(parsed, used)
    for target in targets:
        for expression, label, own in zip(expressions, labels, uses, strict=True):
            try:  # messages are for the run: the plan itself tells what it found
                transfer = compose(expression, target=target, store=planning, use=own, **options)
            except AdapterStiltsError as error:
                faults.append((f"{label} → {target}", error))
                continue
            transfers.append(transfer)
            made = tuple(dict.fromkeys(str(stage["artifact"]) for stage in transfer.stages))
            cells.append(PlannedCell(transfer.composition, target, own, made))
    if faults:
        _refuse(faults, len(expressions) * len(targets))
    first = transfers[0]
    return Plan(
        first.target.suite,
        first.backbone,
        first.seeds,
        tuple(cells),
        _stages(cells, finished_in(kept, use), planning.promises),
        kept,
        options,
    )


def finished_in(store: Store, use: Sequence[str]) -> dict[str, Artifact]:
    """Return the finished artifacts by id, oldest first, with those of ``--use``, which may lie elsewhere."""
    return {artifact.id: artifact for artifact in (*store.all(), *map(store.get, use))}


def _stages(
    cells: Sequence[PlannedCell], finished: Mapping[str, Artifact], promises: Mapping[str, Promise]
) -> tuple[PlannedStage, ...]:
    times = PastTimes(finished.values(), promises.values())

    def planned(artifact: Artifact) -> PlannedStage:
        lacking = artifact.id in promises
        state = _to_do(artifact) if lacking else IN_STORE
        seconds = times.estimate(artifact) if lacking else seconds_taken(artifact)
        return PlannedStage(
            kind=artifact.kind,
            name=str(artifact.manifest["name"]),
            artifact=artifact.id,
            seed=artifact.manifest.get("settings", {}).get("seed"),
            state=state,
            seconds=None if state == TO_PULL else seconds,
        )

    ids = dict.fromkeys(own_id for cell in cells for own_id in cell.stages)
    return tuple(planned(promises.get(own_id) or finished[own_id]) for own_id in ids)


def _to_do(artifact: Artifact) -> str:
    """Return what has to be done to have an artifact that the store does not have."""
    if "origin" in artifact.manifest:
        return TO_PULL
    return TO_DO.get(SEARCH if SEARCH in artifact.manifest else artifact.kind, "to train")


def _uses(parsed: Sequence[Expression | None], used: Mapping[str, Artifact]) -> list[tuple[str, ...]]:
    """Return for each expression what of ``--use`` it names; what none names is given to all, which refuse it.

    Args:
        parsed: the expressions, None for one that cannot be read.
        used: the artifacts by what the user typed.
    """
    named: list[set[str]] = [
        {part.name for part in trained_parts(tree) if isinstance(part, Single)} if tree else set() for tree in parsed
    ]
    everywhere = set().union(*named)
    tasks = {text: artifact.manifest.get("task") for text, artifact in used.items()}
    return [tuple(text for text, task in tasks.items() if task in own or task not in everywhere) for own in named]


def _parsed(text: str) -> Expression | None:
    """Return an expression, None where it cannot be read; why not, ``compose`` says."""
    try:
        return parse(text)
    except ExpressionError:
        return None


def _check_once(what: str, names: Sequence[str]) -> None:
    if not names:
        raise SettingsError(f"No {what} is given; name at least one.")
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise SettingsError(f"The {what} '{twice[0]}' is named twice.")


def _refuse(faults: Sequence[tuple[str, AdapterStiltsError]], cells: int) -> None:
    """Raise what is wrong: each message once, with the cells that it is about, unless it is about all of them."""
    told: dict[str, list[str]] = {}
    for label, error in faults:
        told.setdefault(str(error), []).append(label)
    if len(told) == 1 and len(faults) == cells:
        raise faults[0][1]
    lines = [f"\n- {', '.join(labels)}: {message}" for message, labels in told.items()]
    raise GridError(f"{len(faults)} of {cells} compositions cannot be run, and nothing was trained.{''.join(lines)}")
