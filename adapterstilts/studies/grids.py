"""Several expressions under several targets, each by ``compose``; stages that they share are made once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from adapterstilts.data.rows import rows_kept
from adapterstilts.errors import AdapterStiltsError, GridError
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact
from adapterstilts.studies.comparison import Cell
from adapterstilts.studies.composing import Composed, evaluate_all, train_targets
from adapterstilts.studies.durations import seconds_taken
from adapterstilts.studies.outcome import Transfer
from adapterstilts.studies.plans import Plan, finished_in, plan_grid
from adapterstilts.studies.requests import Folder


@dataclass(frozen=True)
class GridRow:
    """One expression under one target, in the mean over languages."""

    composition: str
    target: str
    metric: str
    mean: Cell
    parameters: int
    """Trained for the target, on one seed; 0 where nothing is."""
    times: Mapping[str, float | None]
    """Seconds that its stages took, by artifact: all seeds and the intermediate adapters, without the baseline's."""

    @property
    def seconds(self) -> float | None:
        """What its stages took together, None where a manifest does not say."""
        return total([self.times])

    def to_json(self) -> dict[str, Any]:
        """Return the row as the grid's document holds it."""
        return {
            "composition": self.composition,
            "target": self.target,
            "metric": self.metric,
            **self.mean.to_json(),
            "trained_parameters": self.parameters,
            "seconds": None if self.seconds is None else round(self.seconds, 2),
        }


@dataclass(frozen=True)
class Grid:
    """The outcome of several expressions under several targets."""

    plan: Plan
    transfers: tuple[Transfer, ...]
    """One for each cell of the plan, target by target."""
    rows: tuple[GridRow, ...]
    """In the same order."""

    @property
    def compositions(self) -> tuple[str, ...]:
        """The expressions, in the order in which they were given."""
        return tuple(dict.fromkeys(transfer.composition for transfer in self.transfers))

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets, in the order in which they were given."""
        return tuple(dict.fromkeys(transfer.target.name for transfer in self.transfers))

    def of_target(self, target: str) -> tuple[Transfer, ...]:
        """Return what was composed under one target."""
        return tuple(transfer for transfer in self.transfers if transfer.target.name == target)

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``compose --json`` prints of several expressions or targets (docs/schemas)."""
        return {
            "suite": self.plan.suite,
            "backbone": self.plan.backbone,
            "seeds": list(self.plan.seeds),
            "cells": [transfer.to_json() for transfer in self.transfers],
            "table": [row.to_json() for row in self.rows],
        }


@rows_kept()
def compose_all(
    expressions: Sequence[str],
    targets: Sequence[str],
    *,
    store: Folder | None = None,
    use: Sequence[str] = (),
    reporter: Reporter | None = None,
    **options: Any,
) -> Grid:
    """Compose each expression under each target; what they share is made once.

    Args:
        expressions: as ``compose`` takes them, each once.
        targets: names of target tasks, each once.
        store, reporter: as for ``compose``.
        use: ids of intermediate adapters to take; each expression gets those that it names.
        options: all else that ``compose`` takes, the same for all.

    Raises:
        GridError: something is wrong with some of them, which shows before anything is trained, or one of them fails.
        AdapterStiltsError: the same is wrong with all of them.
    """
    plan = plan_grid(expressions, targets, store=store, use=use, reporter=reporter, **options)
    return run_plan(plan, reporter=reporter)


@rows_kept()
def run_plan(plan: Plan, *, reporter: Reporter | None = None) -> Grid:
    """Make what a plan says, cell by cell.

    Where adapters are left out of the lowest layers (``--drop-layers 0-4``), all compositions of a target are evaluated
    at the end, so that these layers are run once for several.

    Raises:
        GridError: a cell fails; what was finished before is kept, and the same plan goes on from there.
    """
    reporter = reporter or Reporter()
    made: list[Transfer | Composed] = []
    for number, cell in enumerate(plan.cells, start=1):
        reporter.message(f"{number} of {len(plan.cells)}: {cell.label}")
        with _told(f"{cell.label} ({number} of {len(plan.cells)})"):
            one = train_targets(
                cell.expression,
                target=cell.target,
                store=plan.store,
                use=cell.use,
                reporter=reporter,
                **plan.options,
            )
            waits = isinstance(one, Composed) and one.cut
            made.append(one if waits or isinstance(one, Transfer) else _evaluated([one], reporter)[0])
    waiting: dict[str, list[Composed]] = {}
    for one in made:
        if isinstance(one, Composed):
            waiting.setdefault(one.target.name, []).append(one)
    together = {}
    for target, several in waiting.items():
        with _told(f"The evaluation of '{target}'"):
            together[target] = iter(_evaluated(several, reporter))
    transfers = [next(together[one.target.name]) if isinstance(one, Composed) else one for one in made]
    finished = finished_in(plan.store, [text for cell in plan.cells for text in cell.use])
    return Grid(plan, tuple(transfers), tuple(_row(transfer, finished) for transfer in transfers))


def _evaluated(made: Sequence[Composed], reporter: Reporter) -> list[Transfer]:
    """Return what comes of compositions for one target."""
    evaluations = evaluate_all(made, reporter=reporter)
    return [one.transfer(evaluations) for one in made]


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say what it was that failed."""
    try:
        yield
    except AdapterStiltsError as error:
        raise GridError(
            f"{what} failed: {error} What was finished before is kept; the same command goes on from there."
        ) from error


def _row(transfer: Transfer, finished: Mapping[str, Artifact]) -> GridRow:
    comparison = transfer.comparison
    first = transfer.artifacts[0]
    cost = first.manifest.get("resources", {})
    return GridRow(
        composition=transfer.composition,
        target=transfer.target.name,
        metric=comparison.metric,
        mean=comparison.mean,
        parameters=int(cost.get("trained_parameters", 0)) if first.kind == "target" else 0,
        times=_times(transfer, finished),
    )


def _times(transfer: Transfer, finished: Mapping[str, Artifact]) -> dict[str, float | None]:
    """Return what the stages of a composition took, whenever that was."""
    baselines = {artifact.id for artifact in transfer.baselines}
    made = [finished[own_id] for own_id in dict.fromkeys(str(stage["artifact"]) for stage in transfer.stages)]
    return {
        artifact.id: seconds_taken(artifact)
        for artifact in made
        if artifact.id not in baselines and artifact.manifest.get("of") not in baselines
    }


def total(times: Iterable[Mapping[str, float | None]]) -> float | None:
    """Return the seconds of all stages, each once however many compositions have it; None where one is unknown."""
    together = {own_id: seconds for each in times for own_id, seconds in each.items()}
    known = [seconds for seconds in together.values() if seconds is not None]
    return sum(known) if len(known) == len(together) else None
