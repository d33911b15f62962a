"""Killing processes at random moments, and looking at what they leave. Started from a server that has imported all."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import USER, ask_instead, serving
from toy_stages import weights

from adapterstilts.store.artifacts import Artifact, Store

#: What the processes are about to use.
IMPORTS = (
    *("adapterstilts.studies.transfer", "adapterstilts.training.trainer", "adapters", "evaluate", "datasets"),
    *("adapterstilts.studies.sharing", "huggingface_hub", "loopback_hub"),
)
LONGEST_SECONDS = 300.0
REPO = f"{USER}/killed"

Job = Callable[..., None]
State = Callable[[Path], Mapping[str, Any]]


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


def push(home: str, common: Mapping[str, Any]) -> None:
    """Send the artifact of another store."""
    _ask(common)
    from adapterstilts.studies.sharing import push

    push(common["artifact"], REPO, store=common["store"])


def pull(home: str, common: Mapping[str, Any]) -> None:
    """Take what ``push`` sent."""
    _ask(common)
    from adapterstilts.studies.sharing import pull

    pull(REPO, backbone=common["backbone"], store=home)


def _ask(common: Mapping[str, Any]) -> None:
    """Ask the Hub of the test, and leave what a kill leaves in a folder of the test."""
    import torch

    torch.set_num_threads(1)
    ask_instead(common["endpoint"], pytest.MonkeyPatch())
    tempfile.tempdir = common["scratch"]


class HubApart:
    """A Hub in a process of its own, which outlives those that are killed.

    Args:
        line: to the process.
    """

    def __init__(self, line: Any) -> None:
        self._line = line
        self.endpoint: str = line.recv()

    def files(self) -> dict[str, str]:
        """Return the hash of each file of the repository, by name; empty before the first push."""
        self._line.send("files")
        found: dict[str, str] = self._line.recv()
        return found

    def forget(self) -> None:
        """Remove what was sent."""
        self._line.send("forget")
        assert self._line.recv()


@contextlib.contextmanager
def hub_apart(context: Any) -> Iterator[HubApart]:
    """Serve an empty Hub from another process."""
    line, other_end = context.Pipe()
    process = context.Process(target=_serve, args=(other_end,))
    process.start()
    try:
        yield HubApart(line)
    finally:
        process.kill()
        process.join(LONGEST_SECONDS)


def _serve(line: Any) -> None:
    with serving() as hub:
        line.send(hub.endpoint)
        while True:
            if line.recv() == "forget":
                hub.repositories.clear()
                hub.large.clear()
                line.send(True)
            else:
                found = hub.repositories[REPO].files if REPO in hub.repositories else {}
                own = {name: data for name, data in found.items() if name != ".gitattributes"}
                line.send({name: sha256(data).hexdigest() for name, data in own.items()})


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
    """Return the artifacts of a store by id, after reading every file of each and comparing its hash.

    Nothing else lies among them.
    """
    found = {}
    for folder in home.glob("artifacts/*/*"):
        (artifact,) = [item for item in Store(home).all() if item.path == folder]
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
    state: State = results,
) -> int:
    """Kill a job again and again, then let it finish; look at what is there after each time.

    Args:
        context: of ``server``.
        job: what is killed.
        home: an empty store.
        expected: what ``state`` gives where nothing was killed.
        seed: of the moments.
        kills: how often.
        took: seconds that the job takes where it is not killed.
        common: for the job.
        state: what there is, by name: of each thing all or nothing.

    Returns:
        how many of the kills came while the job was at work.
    """
    moments = random.Random(seed)
    hits, before = 0, dict[str, Any]()
    for _ in range(kills):
        hits += kill(context, job, moments.uniform(0.05, 0.9 * took), str(home), common)
        now = dict(state(home))
        assert set(before) <= set(now), f"finished and lost: {set(before) - set(now)}"
        before = now
    finish(context, job, str(home), common)
    assert state(home) == dict(expected)
    with contextlib.suppress(FileNotFoundError):
        assert os.listdir(home / "checkpoints") == []
    return hits
