"""What there is to build on: the store, the bundled index, the Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapterstilts.errors import ArtifactError
from adapterstilts.models.languages import KIND as LANGUAGE
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.hub import TAG, parse_repo
from adapterstilts.store.index import entry_of, published
from adapterstilts.store.portable import CARD, KINDS, MAX_JSON_BYTES
from adapterstilts.studies.requests import Folder
from adapterstilts.studies.sharing import Pulled, drawing, hub, pull, stored_results


@dataclass(frozen=True)
class Offer:
    """An adapter or composition that can be had."""

    name: str
    """What to type: an id in the store, a name in the index, a repository."""
    where: str
    """``store``, ``index`` or ``hub``."""
    kind: str
    task: str
    backbone: str
    note: str

    def to_json(self) -> dict[str, str]:
        """Return it as documents tell it."""
        return asdict(self)


def offers(*, backbone: str | None = None, task: str | None = None, store: Folder | None = None) -> list[Offer]:
    """Return what the store and the bundled index have.

    Args:
        backbone: only for this one, by its name.
        task: only what has to do with this task.
        store: as for ``compose``.
    """
    found = [_of_store(item) for item in Store(store).all(where=lambda item: item.kind in KINDS)]
    found += [
        Offer(entry.name, "index", entry.kind, entry.task, entry.backbone, entry.note or entry.repo)
        for entry in published()
    ]
    return [offer for offer in found if backbone in (None, offer.backbone) and (task is None or task in _words(offer))]


def search(*, backbone: str | None = None, task: str | None = None) -> list[Offer]:
    """Return what the Hub has with our tag.

    Args:
        backbone: only for this one, by its id on the Hub.
        task: only for this task.

    Raises:
        DataUnavailableError: the Hub does not answer.
    """
    tags = [TAG, *([task] if task else []), *([f"base_model:{backbone}"] if backbone else [])]
    found = []
    for item in hub().search(tags):
        own = [tag for tag in item["tags"] if tag not in (TAG, "adapters") and ":" not in tag]
        kind = next((tag for tag in own if tag in KINDS), "")
        bases = [tag.split(":")[-1] for tag in item["tags"] if tag.startswith("base_model:")]
        rest = " ".join(tag for tag in own if tag != kind)
        found.append(
            Offer(item["repo"], "hub", kind, rest, bases[0] if bases else "", f"{item['downloads']} downloads")
        )
    return found


def add(
    name: str, *, backbone: str | None = None, store: Folder | None = None, reporter: Reporter | None = None
) -> Pulled:
    """Pull what the index or the Hub has under a name.

    Args:
        name: of an entry of the index, or ``USER/REPO``, or ``USER/REPO@revision``.
        backbone, store, reporter: as for ``pull``.

    Raises:
        AdapterStiltsError: as for ``pull``; or the index has no such name, or another manifest than the repository.
    """
    if "/" in name:
        return pull(name, backbone=backbone, store=store, reporter=reporter)
    entry = entry_of(name)
    return pull(
        f"{entry.repo}@{entry.revision}",
        manifest_hash=entry.manifest,
        backbone=backbone,
        store=store,
        reporter=reporter,
    )


def show(name: str, *, store: Folder | None = None) -> Mapping[str, Any]:
    """Return what is known of an artifact of the store, an entry of the index, or a repository on the Hub.

    Args:
        name: id, name, or ``USER/REPO``.
        store: as for ``compose``.

    Raises:
        AdapterStiltsError: nobody knows it, or the Hub does not answer.
    """
    if name in {entry.name for entry in published()}:
        return {"where": "index", **entry_of(name).to_json()}
    if _is_repo(name):
        repo, revision = parse_repo(name)
        return {"where": "hub", "repo": repo, "card": _card(repo, revision)}
    kept = Store(store)
    found = kept.get(name)
    told = {"where": "store", **_of_store(found).to_json(), "origin": found.manifest.get("origin")}
    return {**told, "drawing": drawing(found), "results": stored_results(found, kept)}


def _card(repo: str, revision: str | None) -> str:
    import tempfile
    from pathlib import Path

    asked = hub()
    listing = asked.listing(repo, revision)
    size = listing.sizes.get(CARD)
    if size is None or size > MAX_JSON_BYTES:
        raise ArtifactError(f"'{repo}' has no card that could be shown.")
    with tempfile.TemporaryDirectory(prefix="adapterstilts-") as scratch:
        asked.download(listing, [CARD], Path(scratch))
        return (Path(scratch) / CARD).read_text(encoding="utf-8", errors="replace")


def _of_store(artifact: Artifact) -> Offer:
    manifest = artifact.manifest
    task = str(manifest.get("task", manifest.get("expression", "")))
    if artifact.kind == "target":
        task = f"{manifest['expression']} → {task}"
    if artifact.kind == LANGUAGE:
        task = f"{LANGUAGE}: {manifest['language']}"
    note = f"from {manifest['origin']['repo']}" if "origin" in manifest else ""
    return Offer(artifact.id, "store", artifact.kind, task, str(manifest["backbone"]["id"]), note)


def _words(offer: Offer) -> Sequence[str]:
    return "".join(letter if letter.isalnum() or letter == "_" else " " for letter in offer.task).split()


def _is_repo(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))
