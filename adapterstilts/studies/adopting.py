"""Adapters of the adapters library on the Hub, such as AdapterHub's, taken into the store for an intermediate task."""

from __future__ import annotations

import tempfile
from pathlib import Path

from adapterstilts.errors import ArtifactError
from adapterstilts.models.backbone import identify
from adapterstilts.models.library_adapters import OF_HEAD, WEIGHTS
from adapterstilts.models.library_files import ADAPTER_CONFIG, HEAD_CONFIG
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Store
from adapterstilts.store.hub import Listing, parse_repo
from adapterstilts.studies.downloads import fetched, hub
from adapterstilts.studies.requests import Folder
from adapterstilts.studies.sharing import Pulled
from adapterstilts.tasks.spec import DEFAULT_SUITE
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.adapter_hub import import_task


def adopt(
    repo: str,
    task: str,
    *,
    suite: str = DEFAULT_SUITE,
    backbone: str | None = None,
    store: Folder | None = None,
    reporter: Reporter | None = None,
) -> Pulled:
    """Take an adapter that somebody saved with the adapters library from the Hub, as that of an intermediate task.

    Args:
        repo: ``USER/REPO``, or ``USER/REPO@revision``.
        task: name of the intermediate task whose adapter it shall be.
        suite: of the task.
        backbone: that it was trained on, id or folder; None is the suite's.
        store, reporter: as for ``compose``.

    Raises:
        AdapterStiltsError: it cannot be had, is no such adapter, or one for another backbone or kind of task; the store
            is as it was then.
    """
    reporter = reporter or Reporter()
    name, revision = parse_repo(repo)
    world, kept = get_suite(suite), Store(store)
    spec = world.task(task, "intermediate")
    server = hub()
    kept.check_writable()
    listing = server.listing(name, revision)
    chosen = _chosen(listing)
    identity = identify(backbone or world.backbone)
    with tempfile.TemporaryDirectory(prefix="adapterstilts-") as scratch:
        folder = Path(scratch) / "adapter"
        folder.mkdir()
        total = sum(listing.sizes[file] or 0 for file in chosen)
        reporter.message(f"{name}: {len(chosen)} files, {total} bytes")
        fetched(server, listing, chosen, folder)
        origin = {"repo": name, "commit": listing.commit}
        result = import_task(folder, spec, identity, kept, origin=origin, tell=reporter.message)
    return Pulled(result.artifact, name, listing.commit, "there" if result.reused else "pulled")


def _chosen(listing: Listing) -> list[str]:
    """Return the files to download: of weights that are there in both forms, the safetensors."""

    def first(names: tuple[str, ...]) -> list[str]:
        return [name for name in names if name in listing.sizes][:1]

    if ADAPTER_CONFIG not in listing.sizes:
        raise ArtifactError(
            f"'{listing.repo}' at {listing.commit[:10]} has no {ADAPTER_CONFIG}, so it is no adapter of the adapters "
            "library. What adapterstilts published as a composition is pulled without --as."
        )
    head = [HEAD_CONFIG, *first(OF_HEAD)] if HEAD_CONFIG in listing.sizes else []
    return [ADAPTER_CONFIG, *first(WEIGHTS), *head]
