"""How long a stage takes, by what stages like it took before; nothing is guessed where there was none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapterstilts.models.grammar import parse
from adapterstilts.models.options import SEARCH
from adapterstilts.models.saved import MERGED
from adapterstilts.store.artifacts import Artifact


def seconds_taken(artifact: Artifact) -> float | None:
    """Return how long a finished artifact took to make, None where its manifest does not say."""
    seconds = artifact.manifest.get("resources", {}).get("wall_seconds")
    return None if seconds is None else float(seconds)


class PastTimes:
    """What the stages in a store took.

    Args:
        finished: artifacts with their times, oldest first.
        planned: those whose times are asked for.
    """

    def __init__(self, finished: Iterable[Artifact], planned: Iterable[Artifact] = ()) -> None:
        self._finished = tuple(finished)
        self._backbones = {artifact.id: _backbone(artifact) for artifact in (*self._finished, *planned)}

    def estimate(self, artifact: Artifact) -> float | None:
        """Return about how many seconds an artifact takes that is not made yet, None where nothing is known.

        It is the time of the newest one of the same kind and task on the same backbone, of the most alike expression,
        by the number of examples: twice as many take twice as long.
        """
        known = [
            (one, seconds)
            for one in reversed(self._finished)
            if _subject(one) == _subject(artifact)
            and self._on(one) == self._on(artifact)
            and (seconds := seconds_taken(one)) is not None
            and amount(one.manifest) > 0
        ]
        if not known:
            return None
        closest, seconds = max(known, key=lambda pair: _likeness(pair[0], artifact))
        return seconds * amount(artifact.manifest) / amount(closest.manifest)

    def _on(self, artifact: Artifact) -> Any:
        """Return what tells the backbone of an artifact; an evaluation has that of what was evaluated."""
        of = str(artifact.manifest.get("of"))
        return _backbone(artifact) or self._backbones.get(of) or of


def amount(manifest: Mapping[str, Any]) -> float:
    """Return how many examples go through the model by a manifest, of a merge how many adapters; 0 if it is not said.

    A training that stopped early counts as a whole one: the next of its kind will, too.
    """
    if manifest["kind"] == MERGED:
        return len(manifest.get("inputs", ()))
    if SEARCH in manifest:
        rows = manifest.get("data", {}).get("validation", {}).get("rows", 0)
        return float(manifest[SEARCH].get("budget", 0) * rows)
    if manifest["kind"] == "evaluation":
        return sum(told.get("examples", 0) for told in manifest.get("metrics", {}).values())
    return sum(_examples(part) for part in (manifest.get("mixture") or {"": manifest}).values())


def _examples(told: Mapping[str, Any]) -> float:
    """Return the examples of a training by its settings and rows; windows of long texts are not counted apart."""
    settings, rows = told.get("settings", {}), told.get("data", {}).get("train", {}).get("rows", 0)
    if settings.get("steps") is not None:
        return float(settings["steps"] * settings.get("batch_size", 1) * settings.get("gradient_accumulation", 1))
    return float(rows * settings.get("epochs", 0))


def _subject(artifact: Artifact) -> tuple[Any, ...]:
    """Return what an artifact must have in common with another, so that one tells of the other's time."""
    manifest = artifact.manifest
    if artifact.kind == MERGED:
        return MERGED, manifest.get("identity", {}).get("method")
    return artifact.kind, manifest.get("task"), tuple(manifest.get("tasks", ())), SEARCH in manifest


def _likeness(one: Artifact, other: Artifact) -> int:
    """Return 2 for the same expression, 1 for one of the same kind, of which one trains more than another, else 0."""
    texts = [str(artifact.manifest.get("expression", "none")) for artifact in (one, other)]
    return 2 if texts[0] == texts[1] else int(len({type(parse(text)) for text in texts}) == 1)


def _backbone(artifact: Artifact) -> tuple[Any, ...]:
    """Return what tells one backbone from another, nothing where the manifest does not say."""
    told = artifact.manifest.get("backbone")
    return () if told is None else (told.get("config_hash"), told.get("revision"))
