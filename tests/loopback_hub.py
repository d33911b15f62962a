"""A stand-in for the Hub on the loopback interface: what huggingface_hub 0.36 asks of it for models, and its faults.

Repositories are kept in memory, a dictionary of files a commit. ``Faults`` let it answer badly on purpose.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

TOKEN = "hf_loopbackLoopbackLoopback"
"""Of the user ``alice``, who may write everywhere below ``alice/``."""
USER = "alice"
LARGE = ".safetensors"
"""Files of this kind go by LFS."""


@dataclass
class Repository:
    """Files by branch or commit."""

    private: bool = False
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        """Put a set of files on top of a branch."""
        content = sorted((name, hashlib.sha256(data).hexdigest()) for name, data in files.items())
        commit = hashlib.sha1(json.dumps([branch, len(self.commits), content]).encode()).hexdigest()
        self.commits[commit] = files
        self.refs[branch] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        """Return the commit that a revision stands for."""
        return self.refs.get(revision, revision if revision in self.commits else None)

    @property
    def files(self) -> dict[str, bytes]:
        """The files on the main branch."""
        return self.commits[self.refs["main"]]


@dataclass
class Fault:
    """What goes wrong: the next ``times`` requests whose method and path fit."""

    where: str
    """Pattern that ``METHOD path`` is searched for."""
    status: int = 500
    """0 closes the connection in the middle."""
    times: int = 1
    seconds: float = 0.0
    """Pause before the answer; with status 200 the answer is then the right one."""


class LoopbackHub:
    """A Hub with its repositories, what it was asked, and its faults."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.bodies: list[str] = []
        self.endpoint = ""

    def fail(self, where: str, status: int = 500, times: int = 1, seconds: float = 0.0) -> None:
        """Let the next requests that fit go wrong."""
        self.faults.append(Fault(where, status, times, seconds))

    def publish(self, repo: str, files: dict[str, bytes], private: bool = False) -> str:
        """Put files into a repository without a client, and return the commit."""
        found = self.repositories.setdefault(repo, Repository(private))
        return found.commit("main", dict(files))

    def fault_for(self, what: str) -> Fault | None:
        """Return a fault that fits a request, used up by one."""
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.where, what):
                fault.times -= 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        url = urlsplit(self.path)
        path, query = unquote(url.path), parse_qs(url.query)
        what = f"{self.command} {path}"
        self.hub.asked.append(what)
        fault = self.hub.fault_for(what)
        if fault is not None:
            time.sleep(fault.seconds)
            if fault.status == 0:
                self.rfile.read(min(1000, int(self.headers.get("Content-Length") or 0)))
                self.close_connection = True
                self.connection.close()
                return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault is not None and fault.status != 200:
            self._json({"error": "\x1b[31mon purpose [bold]"}, fault.status)
            return
        self.hub.bodies.append(f"{what} {body[:2000]!r}")
        self._answer(path, query, body)

    def _answer(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        if path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._validate(json.loads(body)["content"])
        elif path == "/api/models":
            self._list(query.get("filter", []))
        elif found := re.fullmatch(r"/lfs/([0-9a-f]{64})", path):
            self._take_large(found[1], body)
        elif found := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self._batch(found[1], json.loads(body))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/([^/]+)(?:/(.+))?)?", path):
            self._model(found[1], found[2] or "revision", found[3] or "main", query, body)
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(found[1], found[2], found[3])
        else:
            self._json({"error": "no such page"}, 404)

    @property
    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _may(self, repo: str, *, write: bool) -> bool:
        """Tell whether the request may touch a repository; where not, answer as the Hub does."""
        found = self.hub.repositories.get(repo)
        if write and not self._known:
            self._json({"error": "Invalid username or password."}, 401)
        elif write and repo.split("/")[0] != USER:
            self._json({"error": "Forbidden"}, 403)
        elif found is None or (found.private and not self._known):
            code = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            self._json({"error": "Repository not found"}, 404 if self._known else 401, code)
        else:
            return True
        return False

    def _create(self, asked: dict[str, Any]) -> None:
        repo = f"{asked.get('organization') or USER}/{asked['name']}"
        if not self._known:
            self._json({"error": "Invalid username or password."}, 401)
        elif repo in self.hub.repositories:
            self._json({"error": "You already created this model repo", "url": f"{self.hub.endpoint}/{repo}"}, 409)
        elif repo.split("/")[0] != USER:
            self._json({"error": "Forbidden"}, 403)
        else:
            private = bool(asked.get("private"))
            self.hub.publish(repo, {".gitattributes": b"*.safetensors filter=lfs\n"}, private)
            self._json({"url": f"{self.hub.endpoint}/{repo}"})

    def _validate(self, content: str) -> None:
        fault = card_fault(content)
        self._json({"errors": [{"message": fault}] if fault else [], "warnings": []}, 400 if fault else 200)

    def _list(self, tags: list[str]) -> None:
        wanted = {tag for part in tags for tag in part.split(",")}
        found = []
        for repo, repository in self.hub.repositories.items():
            card = repository.files.get("README.md", b"").decode("utf-8", "replace")
            told = (yaml.safe_load(card.split("---")[1]) or {}) if card.startswith("---") else {}
            own = {*told.get("tags", []), *([f"base_model:{told['base_model']}"] if "base_model" in told else [])}
            if wanted <= own and (self._known or not repository.private):
                found.append({"id": repo, "modelId": repo, "tags": sorted(own), "sha": repository.refs["main"]})
        self._json(found)

    def _model(self, repo: str, page: str, rest: str, query: dict[str, list[str]], body: bytes) -> None:
        if not self._may(repo, write=page in ("commit", "branch", "preupload")):
            return
        repository = self.hub.repositories[repo]
        if page == "branch":
            if rest in repository.refs:
                self._json({"error": "Reference already exists"}, 409)
            else:
                repository.refs[rest] = repository.refs["main"]
                self._json({})
            return
        commit = repository.resolve(rest)
        if commit is None:
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
            return
        files = repository.commits[commit]
        if page == "revision":
            siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
            self._json(
                {"id": repo, "modelId": repo, "sha": commit, "private": repository.private, "siblings": siblings}
            )
        elif page == "tree":
            told = [
                {"type": "file", "path": name, "size": len(data), "oid": oid(name, data)}
                for name, data in files.items()
            ]
            self._json(told)
        elif page == "preupload":
            told = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                    "oid": oid(file["path"], files[file["path"]]) if file["path"] in files else None,
                }
                for file in json.loads(body)["files"]
            ]
            self._json({"files": told})
        elif page == "commit":
            self._commit(repo, repository, rest, dict(files), body)
        else:
            self._json({"error": "no such page"}, 404)

    def _commit(self, repo: str, repository: Repository, branch: str, files: dict[str, bytes], body: bytes) -> None:
        for line in body.decode().splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                if value["oid"] not in self.hub.large:
                    self._json({"error": "LFS object was never uploaded"}, 400)
                    return
                files[value["path"]] = self.hub.large[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        commit = repository.commit(branch, files)
        self._json({"commitUrl": f"{self.hub.endpoint}/{repo}/commit/{commit}", "commitOid": commit})

    def _batch(self, repo: str, asked: dict[str, Any]) -> None:
        if not self._may(repo, write=True):
            return
        told = []
        for item in asked["objects"]:
            there = item["oid"] in self.hub.large
            actions = {} if there else {"actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{item['oid']}"}}}
            told.append({"oid": item["oid"], "size": item["size"], **actions})
        self._json({"transfer": "basic", "objects": told})

    def _take_large(self, digest: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != digest:
            self._json({"error": "other bytes"}, 400)
            return
        self.hub.large[digest] = body
        self._json({})

    def _file(self, repo: str, revision: str, name: str) -> None:
        if not self._may(repo, write=False):
            return
        repository = self.hub.repositories[repo]
        commit = repository.resolve(revision)
        data = None if commit is None else repository.commits[commit].get(name)
        if commit is None or data is None:
            code = "RevisionNotFound" if commit is None else "EntryNotFound"
            self._json({"error": code}, 404, {"X-Error-Code": code})
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{oid(name, data)}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for key, text in (headers or {}).items():
            self.send_header(key, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def oid(name: str, data: bytes) -> str:
    """Return the name of a file's content: SHA-256 by LFS, git's own else."""
    if name.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\x00" % len(data) + data).hexdigest()


def card_fault(content: str) -> str:
    """Return what the Hub would say against a card's metadata, empty where it is right."""
    if not content.startswith("---\n") or "\n---\n" not in content[4:]:
        return "no metadata"
    try:
        value = yaml.safe_load(content[4:].split("\n---\n")[0])
    except yaml.YAMLError as error:
        return f"YAML: {error}"
    for key in ("tags", "datasets"):
        if not all(isinstance(item, str) for item in value.get(key, [])):
            return f"{key} must be texts"
    for model in value.get("model-index", []):
        for result in model["results"]:
            for metric in result["metrics"]:
                if not isinstance(metric["value"], (int, float)) or not result["dataset"]["type"]:
                    return "model-index"
    return ""


def ask_instead(endpoint: str, patch: pytest.MonkeyPatch) -> None:
    """Let the clients in this process ask the Hub at an address, as the user ``alice``."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import reset_sessions

    from adapterstilts.store import hub

    patch.setenv("HF_ENDPOINT", endpoint)
    patch.setenv("HF_HUB_OFFLINE", "0")
    patch.setenv("HF_TOKEN", TOKEN)
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "ENDPOINT", endpoint)  # both are read when the client is imported
    pages = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", pages)
    patch.setattr(hub, "PAUSES", (0.0, 0.0))
    reset_sessions()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is no news."""


@contextmanager
def serving() -> Iterator[LoopbackHub]:
    """Serve an empty Hub on a free port."""
    hub = LoopbackHub()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
