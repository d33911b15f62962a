"""Artifacts to the Hub and back: what is pushed is whole and portable, what is pulled is verified before it is kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterstilts.data.network import model_cached
from adapterstilts.errors import ArtifactError, SettingsError
from adapterstilts.fingerprints import fingerprint_file
from adapterstilts.models.languages import KIND as LANGUAGE
from adapterstilts.models.languages import own_language
from adapterstilts.models.locations import PACKAGED, PINNED
from adapterstilts.models.saved import (
    COMPOSITION,
    FUSED,
    check_labels,
    read_adapter,
    read_composition,
    read_fusion,
    read_heads,
    trained_task,
)
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import MANIFEST, Artifact, Store, read_artifact, write_json
from adapterstilts.store.card_text import CardFacts
from adapterstilts.store.cards import card
from adapterstilts.store.home import check_new_folders
from adapterstilts.store.hub import check_revision, parse_repo
from adapterstilts.store.portable import (
    CARD,
    KINDS,
    RESULTS,
    check_portable,
    is_local,
    portable,
    read_json,
)
from adapterstilts.studies.downloads import downloaded, hub
from adapterstilts.studies.requests import Folder
from adapterstilts.studies.verifying import needed_files, verified
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.resources import versions


@dataclass(frozen=True)
class Pushed:
    """What was put where."""

    artifact: str
    repo: str
    commit: str | None
    """None where nothing was sent."""
    folder: Path | None
    """Where it was written in the place of being sent."""
    files: Mapping[str, int]
    """Bytes by name."""
    card: str

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``push --json`` prints (docs/schemas)."""
        folder = None if self.folder is None else str(self.folder)
        told = {"artifact": self.artifact, "repo": self.repo, "commit": self.commit, "folder": folder}
        return {**told, "files": dict(self.files)}


@dataclass(frozen=True)
class Pulled:
    """What came from where."""

    artifact: Artifact
    repo: str
    commit: str
    state: str
    """``pulled``; ``there`` where the store had the same; ``kept`` where it had one of the same making, other bits."""

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``pull --json`` prints (docs/schemas)."""
        return {"artifact": self.artifact.id, "repo": self.repo, "commit": self.commit, "state": self.state}


def push(
    artifact: str,
    repo: str,
    *,
    private: bool = False,
    revision: str | None = None,
    dry_run: Folder | None = None,
    license: str | None = None,
    backbone: str | None = None,
    store: Folder | None = None,
    reporter: Reporter | None = None,
) -> Pushed:
    """Put an adapter or a composition into a repository on the Hub, as one commit.

    It is loaded and answers once before anything is sent.

    Args:
        artifact: id in the store (or its beginning).
        repo: ``USER/REPO``; made if it is not there.
        private: whether a new repository shall be.
        revision: branch; made if it is not there.
        dry_run: new folder to write all of it to, in the place of sending it; nobody is contacted then.
        license: the Hub's name of the licence that the card shall state.
        backbone: id or folder, where the backbone is no longer where the artifact says.
        store, reporter: as for ``compose``.

    Raises:
        AdapterStiltsError: it is damaged, tells of this machine, or cannot be sent; says what to do.
    """
    reporter = reporter or Reporter()
    name, at = parse_repo(repo)
    if at is not None:
        raise SettingsError(f"'{repo}': give the branch with --revision.")
    if revision is not None:
        check_revision(revision)
    to = None if dry_run is None else Path(dry_run).expanduser()
    if to is not None:
        check_new_folders([to])
    kept = Store(store)
    found = kept.get(artifact)
    if found.kind not in KINDS:
        instead = {"evaluation": f"push what it is of: {found.manifest.get('of')}"}
        instead |= {"ensemble": f"push its members: {', '.join(found.manifest.get('inputs', []))}"}
        told = instead.get(found.kind, "push a composition on it")
        raise ArtifactError(f"'{found.id}' is of kind '{found.kind}', which is not shared by itself; {told}.")
    server = hub() if to is None else None
    with _scratch() as folder:
        text = write_repository(found, folder, name, kept, license=license, backbone=backbone)
        files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in _files(folder)}
        commit = None
        if server is not None:
            reporter.message(f"{found.id}: {len(files)} files, {sum(files.values())} bytes, to {name}")
            message = f"{found.manifest['name']}, from adapterstilts"
            commit = server.upload(folder, name, private=private, revision=revision, message=message)
        else:
            assert to is not None
            shutil.copytree(folder, to, dirs_exist_ok=True)
    return Pushed(found.id, name, commit, to, files, text)


def write_repository(
    artifact: Artifact,
    folder: Path,
    repo: str,
    store: Store,
    *,
    license: str | None = None,
    backbone: str | None = None,
) -> str:
    """Write what a repository holds into a folder, and return the card.

    Raises:
        AdapterStiltsError: the artifact is damaged, or tells of this machine.
    """
    from adapterstilts.models.library_files import ADAPTER_CONFIG, FOLDER, write_library_files

    loaded = verified(artifact, backbone)
    manifest = portable(artifact.manifest)
    results = stored_results(artifact, store)
    folder.mkdir(parents=True)
    for name in needed_files(artifact):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(artifact.file(name), folder / name)
    write_json(folder / RESULTS, results)
    hashes = {**manifest["files"], RESULTS: fingerprint_file(folder / RESULTS)}
    write_json(folder / MANIFEST, {**manifest, "files": hashes})
    write_library_files(folder, artifact, loaded.composed, loaded.heads, model_name=manifest["backbone"]["id"])
    for path in folder.rglob("*.json"):
        check_portable(read_json(path), f"'{path.relative_to(folder)}' of '{artifact.id}'")
    setup = (folder / FOLDER / "adapter_setup.json").is_file()
    way = "load_adapter_setup" if setup else "load_adapter" if (folder / ADAPTER_CONFIG).is_file() else ""
    weights = sum((folder / name).stat().st_size for name in needed_weights(artifact))
    text = card(manifest, CardFacts(repo, drawing(artifact), results, way, license, weights))
    (folder / CARD).write_text(text, encoding="utf-8")
    return text


def pull(
    repo: str,
    *,
    manifest_hash: str | None = None,
    backbone: str | None = None,
    store: Folder | None = None,
    reporter: Reporter | None = None,
) -> Pulled:
    """Take an artifact from a repository on the Hub into the store, after verifying all of it.

    Args:
        repo: ``USER/REPO``, or ``USER/REPO@revision``.
        manifest_hash: SHA-256 that ``manifest.json`` has to have; None takes any.
        backbone: id or folder, where the backbone is not where the artifact says.
        store, reporter: as for ``compose``.

    Raises:
        AdapterStiltsError: it cannot be had, or is not whole, or not what it says; the store is as it was then.
    """
    reporter = reporter or Reporter()
    name, revision = parse_repo(repo)
    server, kept = hub(), Store(store)
    kept.check_writable()
    with _scratch() as folder:
        folder.mkdir()
        listing = server.listing(name, revision)
        manifest = downloaded(server, listing, folder, manifest_hash, kept.home, reporter)
        _tell_versions(manifest, reporter)
        write_json(folder / MANIFEST, manifest)
        artifact = read_artifact(folder)
        _check_task(artifact)
        if backbone is None:
            _check_backbone(artifact)
        results = folder / RESULTS
        if RESULTS in manifest["files"]:
            _check_results(read_json(results), results)
        verified(artifact, backbone)
        origin = {"repo": name, "commit": listing.commit}
        return _keep(artifact, manifest, origin, kept, reporter)


@contextmanager
def _scratch() -> Iterator[Path]:
    """Give the path of a folder below a temporary one, and say it in the project's words where that is full.

    Raises:
        ArtifactError: something cannot be written; names the path.
    """
    with tempfile.TemporaryDirectory(prefix="adapterstilts-") as scratch:
        try:
            yield Path(scratch) / "repository"
        except OSError as error:
            raise ArtifactError(
                f"A file cannot be written: {error.strerror} ({error.filename}). Make room, or set TMPDIR to another "
                "folder for temporary files."
            ) from error


def _tell_versions(manifest: Mapping[str, Any], reporter: Reporter) -> None:
    """Say where the libraries that decide how layers are worked out were others; whether it loads is seen after."""
    here = versions()
    for package in ("adapters", "transformers"):
        theirs = str(manifest.get("versions", {}).get(package, here[package]))
        if theirs.split(".")[:2] != here[package].split(".")[:2]:
            reporter.message(f"{manifest['id']}: made with {package} {theirs}, and {here[package]} is here")


def stored_results(artifact: Artifact, store: Store) -> list[dict[str, Any]]:
    """Return the evaluations of an artifact: those in the store, and those that it came with."""
    found = {
        item.id: {
            "evaluation": item.id,
            "suite": item.suite,
            "task": item.manifest["task"],
            "split": item.manifest["split"],
            "languages": dict(item.manifest["metrics"]),
            "missing": list(item.manifest.get("missing", [])),
            "rows": item.manifest.get("identity", {}).get("rows"),
            "created": item.manifest["created"],
            **{key: dict(told) for key in ("language_adapters",) if (told := item.manifest.get(key))},
            "predictions": {
                name.removeprefix("predictions/").removesuffix(".jsonl"): digest
                for name, digest in item.manifest["files"].items()
                if name.startswith("predictions/")
            },
        }
        for item in store.all("evaluation", lambda item: item.manifest.get("of") == artifact.id)
    }
    came = artifact.read_json(RESULTS) if RESULTS in artifact.manifest["files"] else []
    return [item for item in came if item["evaluation"] not in found] + list(found.values())


def drawing(artifact: Artifact) -> str:
    """Return what an artifact is on its backbone, as a line of text."""
    if COMPOSITION in artifact.manifest["files"]:
        return read_composition(artifact).drawing()
    if artifact.kind == FUSED:
        heads = ", ".join(f"{head.kind} head '{task}'" for task, head in read_heads(artifact).items())
        return f"Fuse({', '.join(read_fusion(artifact)[0].names)}) → {heads}"
    if artifact.kind in ("intermediate", LANGUAGE):
        return f"one adapter '{read_adapter(artifact)[0]}', without a head"
    return f"{artifact.manifest['expression']} = one adapter '{read_adapter(artifact)[0]}'"


def _check_task(artifact: Artifact) -> None:
    """Compare labels with those of the task, where it is one of the catalogue, and look for the languages."""
    suite = get_suite(artifact.suite)
    if artifact.kind == LANGUAGE:
        suite.language(str(artifact.manifest["language"]))
    if below := own_language(artifact):
        suite.language(below.language)
    if artifact.kind not in ("intermediate", "target") or artifact.manifest["identity"].get("task", {}).get(
        "definition"
    ):
        return
    suite.task(str(artifact.manifest["task"]), artifact.kind)  # type: ignore[arg-type]
    check_labels(artifact, trained_task(artifact))


def _check_backbone(artifact: Artifact) -> None:
    """Load no model from the Hub that a stranger named and nobody here has ever used."""
    name = str(artifact.manifest["backbone"]["id"])
    if not (is_local(name) or name in PACKAGED or name in PINNED or model_cached(name)):
        raise ArtifactError(
            f"'{artifact.id}' is for the backbone '{name}', which was never used here and which whoever published the "
            f"artifact has chosen. Look at it, and give --backbone {name} to load it."
        )


def _check_results(results: Any, path: Path) -> None:
    def fits(item: Any) -> bool:
        return (
            isinstance(item, dict)
            and all(isinstance(item.get(key), str) for key in ("evaluation", "suite", "task", "split"))
            and isinstance(item.get("language_adapters", {}), dict)
            and all(isinstance(code, str | None) for code in item.get("language_adapters", {}).values())
            and isinstance(item.get("languages"), dict)
            and bool(item["languages"])
            and all(
                isinstance(scores, dict)
                and type(scores.get("examples")) is int
                and len(scores) > 1
                and all(type(value) in (int, float) for value in scores.values())
                for scores in item["languages"].values()
            )
        )

    if not isinstance(results, list) or not all(map(fits, results)):
        raise ArtifactError(f"The file '{path}' holds something that is no evaluation. Nothing is kept.")


def _keep(
    artifact: Artifact, manifest: dict[str, Any], origin: dict[str, str], store: Store, reporter: Reporter
) -> Pulled:
    """Put a verified artifact into the store, unless that has one of the same making."""
    key = artifact.fingerprint
    with store.lock(key, artifact.id, reporter.message):
        found = store.find(key)
        if found is not None:
            same = all(
                found.manifest["files"].get(name) == manifest["files"][name] for name in needed_weights(artifact)
            )
            return Pulled(found, origin["repo"], origin["commit"], "there" if same else "kept")
        head = ("kind", "name", "fingerprint", "files")
        more = {name: value for name, value in manifest.items() if name not in head} | {"origin": origin}
        with store.create(artifact.kind, str(manifest["name"]), key, more) as folder:
            for name in manifest["files"]:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(artifact.file(name), folder / name)
    made = store.find(key)
    assert made is not None
    return Pulled(made, origin["repo"], origin["commit"], "pulled")


def needed_weights(artifact: Artifact) -> list[str]:
    """Return the names of the files with an artifact's weights."""
    return [name for name in artifact.manifest["files"] if name.endswith(".safetensors")]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
