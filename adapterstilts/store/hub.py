"""Repositories on the Hub: the one place that talks to it about artifacts.

Tokens are those of huggingface_hub's login; they are never read here, and no message repeats what a server said without
its control characters. Nothing of what a repository holds is run.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from adapterstilts.errors import ArtifactError, DataUnavailableError, SettingsError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

TAG = "adapterstilts"
"""By which repositories with our artifacts are found."""
PAUSES = (0.5, 1.0, 2.0)
"""Seconds before a request is repeated that the server, or the line, let down."""
SECONDS = 20.0
"""How long an answer about a repository may take."""
MAX_LISTED = 1000

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


@dataclass(frozen=True)
class Listing:
    """A repository at one commit."""

    repo: str
    commit: str
    sizes: Mapping[str, int | None]
    """Bytes of each file, by name; None where the server does not tell."""


def parse_repo(text: str) -> tuple[str, str | None]:
    """Read ``USER/REPO`` or ``USER/REPO@revision``.

    Raises:
        SettingsError: it is neither.
    """
    repo, at, revision = text.partition("@")
    if not _REPO.fullmatch(repo) or "--" in repo or ".." in repo or repo.endswith((".git", ".", "-")):
        raise SettingsError(f"'{clean(text)}' is no repository; give USER/REPO, or USER/REPO@revision.")
    if at:
        check_revision(revision)
    return repo, revision if at else None


def check_revision(revision: str) -> None:
    """Refuse what can be no branch, tag or commit.

    Raises:
        SettingsError: names it.
    """
    if not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision or revision.endswith(("/", ".lock")):
        raise SettingsError(f"'{clean(revision)}' is no revision; give a branch, a tag or a commit.")


class Hub:
    """The Hub at one address.

    Args:
        endpoint: its address, without a stroke at the end.
    """

    def __init__(self, endpoint: str) -> None:
        from huggingface_hub import HfApi

        from adapterstilts import __version__

        self.endpoint = endpoint
        self.api = HfApi(endpoint=endpoint, library_name=TAG, library_version=__version__)

    def listing(self, repo: str, revision: str | None = None) -> Listing:
        """Return what a repository holds.

        Raises:
            ArtifactError: there is no such repository or revision, or one may not read it.
            DataUnavailableError: the Hub does not answer.
        """

        def ask() -> ModelInfo:
            return self.api.model_info(repo, revision=revision, files_metadata=True, timeout=SECONDS)

        info = self._asked(ask, repo, revision)
        sizes = {sibling.rfilename: sibling.size for sibling in info.siblings or ()}
        if not re.fullmatch(r"[0-9a-f]{40}", info.sha or ""):
            raise ArtifactError(f"'{repo}' has no commit; nothing was ever put into it.")
        return Listing(repo, str(info.sha), sizes)

    def download(self, listing: Listing, names: Iterable[str], folder: Path) -> None:
        """Download files into a folder. Their names have to be checked before.

        Raises:
            ArtifactError: the repository lacks one.
            DataUnavailableError: the Hub does not answer, or stops in the middle.
        """
        from huggingface_hub import hf_hub_download

        for name in names:
            if name not in listing.sizes:
                raise ArtifactError(f"'{listing.repo}' lacks the file '{name}' at {listing.commit[:10]}.")

            def fetch(name: str = name) -> str:
                return hf_hub_download(
                    listing.repo,
                    name,
                    revision=listing.commit,
                    local_dir=folder,
                    endpoint=self.endpoint,
                    library_name=TAG,
                )

            self._asked(fetch, listing.repo, listing.commit)
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # notes of the client about what it downloaded

    def upload(self, folder: Path, repo: str, *, private: bool, revision: str | None, message: str) -> str:
        """Put a folder's files into a repository as one commit, which is made if it is not there; return the commit.

        Files that the folder does not have are taken away in the same commit.

        Raises:
            ArtifactError: one may not write there, or the Hub refuses the card.
            DataUnavailableError: the Hub does not answer, or stops in the middle; nothing is changed then.
        """

        def put() -> str:
            self.api.create_repo(repo, private=private, exist_ok=True)
            if revision is not None:
                self.api.create_branch(repo, branch=revision, exist_ok=True)
            found = self.api.upload_folder(
                repo_id=repo, folder_path=folder, revision=revision, commit_message=message, delete_patterns="*"
            )
            return str(found.oid)

        return self._asked(put, repo, revision)

    def search(self, tags: Iterable[str]) -> list[dict[str, Any]]:
        """Return id, tags, downloads and commit of the repositories with all of these tags.

        Raises:
            DataUnavailableError: the Hub does not answer.
        """
        found = self._asked(lambda: list(self.api.list_models(filter=list(tags), limit=MAX_LISTED)), "the list", None)
        return [
            {
                "repo": clean(str(item.id)),
                "tags": [clean(str(tag)) for tag in item.tags or ()],
                "downloads": item.downloads or 0,
                "commit": item.sha,
            }
            for item in found
        ]

    def _asked(self, call: Callable[[], Answer], repo: str, revision: str | None) -> Answer:
        """Call the client; where the server or the line is at fault, again after a pause."""
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
        from requests import RequestException

        for pause in (*PAUSES, None):
            try:
                return call()
            except HFValidationError as error:
                raise SettingsError(f"'{clean(repo)}' is no repository: {clean(str(error))}") from None
            except (HfHubHTTPError, LocalEntryNotFoundError, RequestException, RuntimeError) as error:
                cause = _cause(error)
                if isinstance(cause, RuntimeError):
                    raise  # a fault of ours, or of the client
                if pause is None or not _passing(cause):
                    raise _told(cause, repo, revision, self.endpoint) from None
                logger.info("%s does not answer well (%s); asked again", self.endpoint, type(cause).__name__)
                time.sleep(pause)
            except (ValueError, OSError) as error:
                raise ArtifactError(f"'{repo}': {clean(str(error))[:300]}") from None
        raise AssertionError  # pragma: no cover


def clean(text: str) -> str:
    """Return a foreign text as one that only shows: control signs, and those that turn text around, are gone."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", "", text)


def _cause(error: BaseException) -> BaseException:
    """Return the answer behind the client's own "cannot be found locally either", or "error while uploading"."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    while isinstance(error, (LocalEntryNotFoundError, RuntimeError)) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _passing(error: BaseException) -> bool:
    """Tell whether the next try may go better."""
    import requests

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return status >= 500 or status == 429
    return isinstance(error, (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError))


def _told(error: BaseException, repo: str, revision: str | None, endpoint: str) -> Exception:
    """Say it in the project's words, without what the server may have put into its own."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    status = getattr(getattr(error, "response", None), "status_code", None)
    login = "log in with `hf auth login`, or set HF_TOKEN"
    if isinstance(error, GatedRepoError):
        return ArtifactError(f"'{repo}' is open to those only whom its owner lets in; ask on its page, and {login}.")
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return ArtifactError(
            f"'{repo}' is not on {endpoint}, or is private, or the token is not valid: look at the name, or {login}."
        )
    if isinstance(error, RevisionNotFoundError):
        return ArtifactError(f"'{repo}' has no revision '{revision}'.")
    if status == 403:
        return ArtifactError(f"This account may not do that with '{repo}'; {login} with a token that may write.")
    if status is not None and status < 500:
        message = clean(str(getattr(error, "server_message", "") or ""))[:300]
        return ArtifactError(f"The Hub refuses the request about '{repo}' ({status}). {message}".rstrip())
    what = f"answers {status}" if status is not None else f"does not answer ({type(error).__name__})"
    return DataUnavailableError(
        f"The Hub at {endpoint} {what}, also when asked again. Nothing was changed; try the same command later."
    )
