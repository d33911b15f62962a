"""What there is to build on: the store, the bundled index, the Hub."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapterstilts.errors import AdapterStiltsError, ArtifactError
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.languages import KIND as LANGUAGE
from adapterstilts.models.saved import ADAPTER, COMPOSITION
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.store.hub import TAG, parse_repo
from adapterstilts.store.index import Published, entry_of, published
from adapterstilts.store.portable import CARD, KINDS, MAX_JSON_BYTES, read_json
from adapterstilts.store.promises import PlanningStore, Promise
from adapterstilts.studies.downloads import downloaded_files, downloaded_manifest, hub
from adapterstilts.studies.requests import Folder
from adapterstilts.studies.sharing import Pulled, drawing, pull, stored_results
from adapterstilts.tasks.spec import TaskSpec, base_suite


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


def of_the_index(task: TaskSpec, backbone: BackboneIdentity, store: Store, reporter: Reporter) -> Artifact | None:
    """Return the adapter of an intermediate task that the bundled index names, taken into the store.

    A store that only plans promises it, after its manifest and its configuration were downloaded.

    Args:
        task: of the catalogue; for one of a task file there is none.
        backbone: that it has to be on.
        store: where it is kept.
        reporter: told which it is, or why one cannot be had.

    Returns:
        None where the index has none, or where it cannot be had.
    """
    if task.definition:
        return None
    wanted = ("intermediate", base_suite(task.suite), task.name, backbone.id)
    for entry in published():
        if (entry.kind, base_suite(entry.suite), entry.task, entry.backbone) != wanted:
            continue
        try:
            if isinstance(store, PlanningStore):
                found: Artifact = _promised(entry, store)
            else:
                found = add(entry.name, backbone=backbone.id, store=store.home, reporter=reporter).artifact
            backbone.require_same(found.manifest["backbone"], what=f"'{entry.name}' of the index")
        except AdapterStiltsError as error:
            reporter.message(f"{task.name}: '{entry.name}' of the index cannot be had. {error}")
        else:
            reporter.message(f"{task.name}: '{entry.name}' of the index, {entry.repo} at {entry.revision}")
            return found
    return None


def _promised(entry: Published, store: PlanningStore) -> Promise:
    """Return what an entry of the index will be in a store."""
    origin = {"repo": entry.repo, "commit": entry.revision}
    for promise in store.promises.values():
        if promise.manifest.get("origin") == origin:
            return promise
    server = hub()
    listing = server.listing(entry.repo, entry.revision)
    with tempfile.TemporaryDirectory(prefix="adapterstilts-") as scratch:
        folder = Path(scratch)
        manifest = downloaded_manifest(server, listing, folder, entry.manifest)
        names = [name for name in (COMPOSITION, ADAPTER) if name in manifest["files"]]
        downloaded_files(server, listing, folder, manifest, names)
        contents = {name: read_json(folder / name) for name in names}
    kind, name, key = (str(manifest[field]) for field in ("kind", "name", "fingerprint"))
    return store.promise(Promise.of(kind, name, key, {**manifest, "origin": origin}, contents))


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
