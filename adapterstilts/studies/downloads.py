"""What others published, downloaded: the manifest first, then what it names, each compared with its hash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapterstilts.data.network import hub_endpoint, hub_reachable, offline_requested
from adapterstilts.errors import ArtifactError, DataUnavailableError
from adapterstilts.fingerprints import fingerprint_file
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import MANIFEST
from adapterstilts.store.home import check_room
from adapterstilts.store.hub import Hub, Listing
from adapterstilts.store.portable import MAX_FILES, check_name, check_size, foreign_manifest, read_json


def hub() -> Hub:
    """Return the Hub that ``HF_ENDPOINT`` names.

    Raises:
        DataUnavailableError: it is not there, or offline work was asked for.
    """
    asked_for = offline_requested()  # asked first, since a Hub that does not answer sets it for the clients
    if asked_for or not hub_reachable():
        asked = "HF_HUB_OFFLINE is set" if asked_for else f"{hub_endpoint()} does not answer"
        raise DataUnavailableError(f"The Hub cannot be reached: {asked}. Only `push --dry-run DIR` works without it.")
    return Hub(hub_endpoint())


def downloaded_manifest(server: Hub, listing: Listing, folder: Path, manifest_hash: str | None) -> dict[str, Any]:
    """Download the manifest of an artifact into a folder, and check it.

    Args:
        server: where it is.
        listing: of the repository.
        folder: empty.
        manifest_hash: SHA-256 that it has to have; None takes any.

    Raises:
        ArtifactError: there is none, or another one, or it says what no manifest says.
        DataUnavailableError: the Hub does not answer.
    """
    where = f"'{listing.repo}' at {listing.commit[:10]}"
    if MANIFEST not in listing.sizes:
        raise ArtifactError(
            f"{where} has no {MANIFEST}, so it was not published by adapterstilts, and cannot be verified. An adapter "
            "that the adapters library saved is taken with --as TASK, for an intermediate task, or as that of a "
            f"language with --language-adapter LANG={listing.repo}."
        )
    check_size(MANIFEST, listing.sizes[MANIFEST], where)
    server.download(listing, [MANIFEST], folder)
    if manifest_hash is not None and fingerprint_file(folder / MANIFEST) != manifest_hash:
        raise ArtifactError(f"{where}: '{MANIFEST}' is not the one that the index names. Nothing is kept.")
    return foreign_manifest(folder)


def downloaded(
    server: Hub, listing: Listing, folder: Path, manifest_hash: str | None, home: Path, reporter: Reporter
) -> dict[str, Any]:
    """Download an artifact into a folder: the manifest, which is returned, and what it names once it is checked.

    Args:
        server, listing, folder, manifest_hash: as for ``downloaded_manifest``.
        home: the store that it is for.
        reporter: told how much there is.

    Raises:
        ArtifactError, DataUnavailableError: as for ``downloaded_manifest`` and ``downloaded_files``; or the store has
            no room for it.
    """
    manifest = downloaded_manifest(server, listing, folder, manifest_hash)
    names = list(manifest["files"])
    total = sum(listing.sizes.get(name) or 0 for name in names)
    reporter.message(f"{manifest['id']}: {min(len(names), MAX_FILES)} files, {total} bytes")
    check_room(home, total, f"pulling {listing.repo}")
    downloaded_files(server, listing, folder, manifest, names)
    return manifest


def downloaded_files(
    server: Hub, listing: Listing, folder: Path, manifest: dict[str, Any], names: Sequence[str]
) -> None:
    """Download some of the files that a manifest names.

    Raises:
        ArtifactError: one is missing, none that an artifact has, or not the one that was published; names it.
        DataUnavailableError: the Hub does not answer.
    """
    where = f"'{listing.repo}' at {listing.commit[:10]}"
    for name in names:
        check_name(name, where)
        if name not in listing.sizes:
            raise ArtifactError(f"{where} lacks the file '{name}', which its manifest names.")
    fetched(server, listing, names, folder)
    for name in names:
        if fingerprint_file(folder / name) != manifest["files"][name]:
            raise ArtifactError(
                f"{where}: the file '{name}' is not the one that was published: its hash differs from the manifest's. "
                "Nothing is kept; tell the owner of the repository."
            )
        if name.endswith(".json"):
            read_json(folder / name)


def fetched(server: Hub, listing: Listing, names: Sequence[str], folder: Path) -> None:
    """Download files that are in a listing, none of them larger than such a file can be, or than was told.

    Raises:
        ArtifactError: one is too large, a link, or of another size; names it.
        DataUnavailableError: the Hub does not answer.
    """
    where = f"'{listing.repo}' at {listing.commit[:10]}"
    for name in names:
        check_size(name, listing.sizes[name], where)
    server.download(listing, names, folder)
    for name in names:
        if (folder / name).is_symlink() or (folder / name).stat().st_size != listing.sizes[name]:
            raise ArtifactError(f"{where}: '{name}' is a link, or has another size than was told. Nothing is kept.")
