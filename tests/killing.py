"""Killing processes at random moments, and looking at what they leave. Started from a server that has imported all."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toy_stages import weights

from adapterstilts.store.artifacts import Artifact, Store

#: What the processes are about to use.
IMPORTS = ("adapterstilts.studies.transfer", "adapterstilts.training.trainer", "adapters", "evaluate", "datasets")
LONGEST_SECONDS = 300.0

Job = Callable[..., None]


def server() -> Any:
    """Return what starts processes quickly, with everything imported and no thread running."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTS))
    return context


def train(home: str, common: Mapping[str, Any]) -> None:
    """Train an adapter; a checkpoint at each point of the curve."""
    _quick_checkpoints()
    from adapterstilts.studies.transfer import train_intermediate

    train_intermediate("mnli", **common, store=home)


def compose(home: str, common: Mapping[str, Any]) -> None:
    """Train two adapters, a fusion of them and its baseline, and evaluate both."""
    _quick_checkpoints()
    from adapterstilts.studies.transfer import compose, train_intermediate

    for task in ("mnli", "squad"):
        train_intermediate(task, **common, store=home)
    compose("mnli+squad", target="xnli", **common, store=home, max_eval_examples=10)


def _quick_checkpoints() -> None:
    import torch

    from adapterstilts.training.checkpoints import Checkpoints

    torch.set_num_threads(1)
    Checkpoints.due = property(lambda self: True)  # type: ignore[method-assign,assignment]


def finish(context: Any, job: Job, *given: Any) -> float:
    """Run a job to its end, and return the seconds it took."""
    started = time.monotonic()
    process = context.Process(target=job, args=given)
    process.start()
    process.join(LONGEST_SECONDS)
    assert process.exitcode == 0
    return time.monotonic() - started


def kill(context: Any, job: Job, after: float, *given: Any) -> bool:
    """Run a job and kill it after so many seconds; return whether it was still at work."""
    process = context.Process(target=job, args=given)
    process.start()
    process.join(after)
    working = process.exitcode is None
    process.kill()
    process.join(LONGEST_SECONDS)
    assert process.exitcode is not None
    return working


def whole(home: Path) -> dict[str, Artifact]:
    """Return the artifacts of a store by id, after reading every file of each and comparing its hash."""
    found = {}
    for manifest in home.glob("artifacts/*/*/manifest.json"):
        (artifact,) = [item for item in Store(home).all() if item.path == manifest.parent]
        for name in artifact.manifest["files"]:
            artifact.file(name)
        found[artifact.id] = artifact
    return found


def results(home: Path) -> dict[str, tuple[dict[str, bytes], Any]]:
    """Return the weights and scores of each artifact of a store."""
    return {name: (weights(item), item.manifest["metrics"]) for name, item in whole(home).items()}


def survives(
    context: Any,
    job: Job,
    home: Path,
    expected: Mapping[str, Any],
    seed: int,
    kills: int,
    took: float,
    common: Mapping[str, Any],
) -> int:
    """Kill a job again and again, then let it finish; check the store after each time.

    Args:
        context: of ``server``.
        job: what is killed.
        home: an empty store.
        expected: what ``results`` gives for a store in which nothing was killed.
        seed: of the moments.
        kills: how often.
        took: seconds that the job takes where it is not killed.
        common: for the job.

    Returns:
        how many of the kills came while the job was at work.
    """
    moments = random.Random(seed)
    hits, before = 0, set[str]()
    for _ in range(kills):
        hits += kill(context, job, moments.uniform(0.05, 0.9 * took), str(home), common)
        now = set(whole(home))
        assert before <= now, f"finished and lost: {before - now}"
        before = now
    finish(context, job, str(home), common)
    assert results(home) == dict(expected)
    with contextlib.suppress(FileNotFoundError):
        assert os.listdir(home / "checkpoints") == []
    return hits
