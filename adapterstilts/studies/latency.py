"""How fast something trained answers, beside the bare backbone: by length of the inputs and by size of the batches."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ArtifactError, SettingsError
from adapterstilts.evaluation.answering import more_dropped
from adapterstilts.evaluation.random_inputs import RandomInputs
from adapterstilts.evaluation.timing import Clock, Timing, alternated, repeated
from adapterstilts.models.backbone import ComposedModel
from adapterstilts.models.bare import adapters_off, check_mergeable, merge_lora
from adapterstilts.models.expression import ENSEMBLE
from adapterstilts.models.fast_fusion import fusion_paths
from adapterstilts.models.layers import layers_text, read_layers
from adapterstilts.models.saved import (
    HEADLESS,
    is_headless,
    load_backbone_of,
    load_headless,
    load_trained,
    members_of,
    read_composition,
)
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.studies.requests import Folder
from adapterstilts.training.resources import device_name, peak_memory, versions

if TYPE_CHECKING:
    from torch import Tensor

LENGTHS = (32, 128, 384)
BATCHES = (1, 8, 32)
SECONDS = 10.0
ITERATIONS = 10
"""Least number of measured pairs of each length and batch size, and of tokenisations."""
CHECKED = 4
"""Examples on which the outputs before and after a merge are compared."""


@dataclass(frozen=True)
class Cell:
    """What was measured of one length and one batch size."""

    length: int
    """Tokens of an input."""
    batch: int
    """Examples a batch."""
    timing: Timing
    """Of a batch, beside the bare backbone."""
    tokenisation: float
    """Median time in milliseconds to turn the texts of a batch into token ids; no part of ``timing``."""

    @property
    def examples_per_second(self) -> float:
        """Examples answered in a second, by the mean time."""
        return 1000 * self.batch / self.timing.mean

    def to_json(self) -> dict[str, Any]:
        """Return it as documents tell it."""
        timing = self.timing
        times = {
            "p50_ms": timing.p50,
            "p90_ms": timing.p90,
            "p99_ms": timing.p99,
            "mean_ms": timing.mean,
            "examples_per_second": self.examples_per_second,
            "backbone_p50_ms": timing.beside,
            "ratio": timing.ratio,
            "tokenisation_ms": self.tokenisation,
        }
        rounded = {name: round(value, 4) for name, value in times.items()}
        return {"length": self.length, "batch": self.batch, "iterations": timing.iterations, **rounded}


@dataclass(frozen=True)
class FusionPaths:
    """In how many layers a fusion is fast."""

    adapters: int
    layers: int
    """Those with a fusion."""
    slow: Mapping[str, str]
    """Why the adapters library works it out, by the name of the layer, where it does."""

    @property
    def fast(self) -> int:
        """Layers in which the fusion is worked out in the space of the bottlenecks."""
        return self.layers - len(self.slow)


@dataclass(frozen=True)
class Member:
    """One of the models that answer: of an ensemble one of several, else the only one."""

    artifact: str
    drawing: str
    fusion: FusionPaths | None

    def to_json(self) -> dict[str, Any]:
        """Return it as documents tell it."""
        told = self.fusion and {**asdict(self.fusion), "fast": self.fusion.fast}
        return {"artifact": self.artifact, "composition": self.drawing, "fusion": told}


@dataclass(frozen=True)
class Latency:
    """How fast an artifact answers, and on what."""

    artifact: Artifact
    members: tuple[Member, ...]
    cells: tuple[Cell, ...]
    """In the order of the lengths, then of the batch sizes."""
    merged: bool
    """Whether LoRA was worked into the weights of the backbone."""
    drop_layers: tuple[int, ...]
    seconds: float
    """Each cell was measured at least so long."""
    device: str
    threads: int
    """Of torch, on the CPU."""
    precision: str
    peak_memory: Mapping[str, int]
    """Of the process since it began, in bytes."""
    versions: Mapping[str, str]

    @property
    def backbone(self) -> str:
        """Name of the backbone."""
        return str(self.artifact.manifest["backbone"]["id"])

    def to_json(self) -> dict[str, Any]:
        """Return it as documents tell it."""
        return {
            "artifact": self.artifact.id,
            "kind": self.artifact.kind,
            "backbone": self.backbone,
            "members": [member.to_json() for member in self.members],
            "merged": self.merged,
            "drop_layers": layers_text(self.drop_layers) if self.drop_layers else None,
            "seconds": self.seconds,
            "device": self.device,
            "threads": self.threads,
            "precision": self.precision,
            "peak_memory": dict(self.peak_memory),
            "versions": dict(self.versions),
            "cells": [cell.to_json() for cell in self.cells],
        }


def latency(
    artifact: str,
    *,
    lengths: Sequence[int] = LENGTHS,
    batches: Sequence[int] = BATCHES,
    seconds: float = SECONDS,
    iterations: int = ITERATIONS,
    threads: int | None = None,
    drop_layers: str | None = None,
    merge: bool = False,
    backbone: str | None = None,
    store: Folder | None = None,
    clock: Clock = time.perf_counter,
    reporter: Reporter | None = None,
) -> Latency:
    """Measure how fast an artifact answers batches of each length and size, in turn with the bare backbone.

    The inputs are random tokens of the vocabulary, none of them special, without padding; the bare backbone has the
    same weights and head and no adapters. The members of an ensemble answer one after the other.

    Args:
        artifact: id in the store (or its beginning), or a folder.
        lengths: of the inputs, in tokens.
        batches: examples a batch; one of multiple choice is as many inputs as it has choices.
        seconds: each length and batch size is measured at least so long, the bare backbone included.
        iterations: and at least so often.
        threads: of torch, on the CPU; None is as many as it has now.
        drop_layers: layers such as ``0-4`` in which no adapter and no fusion works now.
        merge: add LoRA to the weights of the backbone first; that the outputs stay equal is checked.
        backbone: id or folder of the backbone, where it is no longer where the artifact says.
        store: folder of artifacts.
        clock: gives seconds.
        reporter: told of the progress.

    Raises:
        SettingsError: a number is out of range, the backbone does not take inputs so long, or there is too little
            memory for a batch.
        ArtifactError: it is none that answers, or not whole.
        ExpressionError: adapters that cannot be dropped from layers, or merged.
    """
    import torch

    _check_numbers("--lengths", lengths)
    _check_numbers("--batches", batches)
    _check_numbers("--iterations", (iterations,))
    if not 0 < seconds < math.inf:
        raise SettingsError(f"--seconds must be above 0, not {seconds:g}.")
    if threads is not None and not 1 <= threads <= (os.cpu_count() or 1):
        raise SettingsError(f"--threads must be from 1 to {os.cpu_count()}, as many as there are here, not {threads}.")
    reporter = reporter or Reporter()
    found = Store(store).get(artifact)
    dropped = () if drop_layers is None else read_layers(drop_layers)
    _check_artifact(found, dropped, merge=merge)
    precision = str(found.manifest.get("settings", {}).get("precision", "fp32"))
    with _threads(threads):
        members = _loaded(found, max(lengths), dropped, backbone)
        draw = RandomInputs(members[0])
        if merge:
            for member in members:
                merge_lora(member, draw.batch(min(lengths), CHECKED))
        cells = []
        reporter.begin(f"Measuring {found.id}", len(lengths) * len(batches))
        try:
            for length in lengths:
                for batch in batches:
                    with _told_of_memory(length, batch):
                        ours, bare = _runs(members, draw.batch(length, batch), precision)
                        pairs = alternated(ours, bare, seconds=seconds, iterations=iterations, clock=clock)
                    tokenise = draw.tokenising(length, batch)
                    cell = Cell(
                        length, batch, Timing.of(pairs), 1000 * repeated(tokenise, iterations=iterations, clock=clock)
                    )
                    cells.append(cell)
                    reporter.advance(len(cells), milliseconds=cell.timing.p50)
        finally:
            reporter.end()
        return Latency(
            artifact=found,
            members=tuple(map(_member, members_of(found), members)),
            cells=tuple(cells),
            merged=merge,
            drop_layers=dropped,
            seconds=seconds,
            device=device_name(),
            threads=torch.get_num_threads(),
            precision=precision,
            peak_memory=peak_memory(),
            versions=versions(),
        )


def _check_numbers(option: str, numbers: Sequence[int]) -> None:
    if not numbers:
        raise SettingsError(f"{option} is empty; give numbers such as 1,8,32.")
    if min(numbers) < 1:
        raise SettingsError(f"{option} must be at least 1, not {min(numbers)}.")
    if twice := [number for number in numbers if numbers.count(number) > 1]:
        raise SettingsError(f"{option} names {twice[0]} twice.")


def _check_artifact(artifact: Artifact, dropped: tuple[int, ...], *, merge: bool) -> None:
    """Refuse what does not answer, and what cannot be dropped or merged, before anything is loaded."""
    kind = artifact.kind
    if kind not in ("intermediate", "target", ENSEMBLE, *HEADLESS):
        of = artifact.manifest.get("of")
        raise ArtifactError(
            f"Artifact '{artifact.id}' is of kind '{kind}'; only adapters and compositions can be measured"
            + (f"; this one is about '{of}'." if of else ".")
        )
    if is_headless(artifact):
        if dropped or merge:
            option = "--drop-layers" if dropped else "--merge-lora"
            raise SettingsError(
                f"{option} is for adapters and compositions with a head of their own, which '{artifact.id}', of kind "
                f"'{kind}', is not. Leave it out."
            )
        return
    if dropped and not more_dropped(artifact, dropped):
        raise SettingsError(
            f"--drop-layers {layers_text(dropped)}: '{artifact.id}' has no adapters in these layers anyway."
        )
    for member in members_of(artifact):
        composition = read_composition(member)
        if composition.head.kind == "masked_lm":
            raise ArtifactError(
                f"Artifact '{member.id}' learnt from plain text and answers nothing by itself; put it under a target, "
                "and measure that."
            )
        if merge:
            check_mergeable(composition)


def _loaded(artifact: Artifact, longest: int, dropped: tuple[int, ...], backbone: str | None) -> list[ComposedModel]:
    """Load all members, after comparing the longest input with what the backbone takes."""
    found = []
    for member in members_of(artifact):
        loaded = load_backbone_of(member, backbone)
        if longest > loaded.max_length:
            raise SettingsError(
                f"--lengths: '{loaded.identity.id}' takes inputs of at most {loaded.max_length} tokens, not {longest}."
            )
        if is_headless(member):
            composed = load_headless(member, loaded)
        else:
            composed = load_trained(member, loaded, drop_layers=more_dropped(member, dropped))
        composed.activate()
        composed.to_device()
        found.append(composed)
    return found


def _runs(
    members: Sequence[ComposedModel], batch: Mapping[str, Tensor], precision: str
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return two functions that answer a batch: one with all members, one with the bare backbone."""
    import torch

    device = batch["input_ids"].device

    def answered(chosen: Sequence[ComposedModel]) -> None:
        autocast = torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
        with torch.inference_mode(), autocast:
            for composed in chosen:
                model: Any = composed.model
                model(**batch)
        if device.type != "cpu":
            torch.accelerator.synchronize()  # it returns before the work is done

    def bare() -> None:
        with adapters_off(members[0]):
            answered(members[:1])

    return lambda: answered(members), bare


def _member(artifact: Artifact, composed: ComposedModel) -> Member:
    paths = fusion_paths(composed.model)
    slow = {name: why for name, why in paths.items() if why}
    fusion = FusionPaths(len(composed.composition.expression.names), len(paths), slow) if paths else None
    return Member(artifact.id, composed.composition.drawing(), fusion)


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let torch work with so many threads, and then with as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _told_of_memory(length: int, batch: int) -> Iterator[None]:
    """Tell too little memory in a sentence; torch has no error of its own for it on the CPU."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error) and not isinstance(error, MemoryError):
            raise
        raise SettingsError(
            f"There is too little memory for batches of {batch} inputs of {length} tokens; give smaller ones with "
            "--batches or --lengths."
        ) from error
