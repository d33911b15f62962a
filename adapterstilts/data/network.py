"""Is the Hub there? Asked once, quickly, before a client that would retry for half a minute."""

from __future__ import annotations

import functools
import logging
import os
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

logger = logging.getLogger(__name__)

PROBE_SECONDS = 2.5


def hub_endpoint() -> str:
    """Return the address of the Hub (``HF_ENDPOINT``, else huggingface.co)."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def offline_requested() -> bool:
    """Tell whether the user asked for offline work (``HF_HUB_OFFLINE=1``)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def online_asserted() -> bool:
    """Tell whether the user says that the Hub is there (``HF_HUB_OFFLINE=0``), so that nothing need be probed."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"0", "OFF", "NO", "FALSE"}


@functools.lru_cache(maxsize=8)
def _probe(endpoint: str) -> tuple[threading.Thread, threading.Event, float]:
    """Start asking ``endpoint`` whether it is there; a refusal of its own counts, a gateway's does not."""
    answered = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(endpoint, method="HEAD", headers={"User-Agent": "adapterstilts"})
        try:
            with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
                answered.set()
        except urllib.error.HTTPError as error:
            if error.code in (401, 404, 405, 429):
                answered.set()
        except urllib.error.URLError as error:
            # Certificates that Python does not know may be known to the Hub's client: it is for that to say.
            if isinstance(error.reason, ssl.SSLError):
                answered.set()
            logger.debug("The Hub at %s does not answer: %s", endpoint, error)
        except (OSError, ValueError) as error:
            logger.debug("The Hub at %s does not answer: %s", endpoint, error)

    # In a thread, since a name server that is silent is outside the socket's time limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread, answered, time.monotonic()


def begin_probe() -> None:
    """Start asking for the Hub, so that the answer is there once slow imports are done."""
    if not offline_requested() and not online_asserted():
        _probe(hub_endpoint())


@functools.lru_cache(maxsize=8)
def _answers(endpoint: str) -> bool:
    """Tell whether ``endpoint`` answered within ``PROBE_SECONDS`` of being asked."""
    thread, answered, started = _probe(endpoint)
    thread.join(max(0.0, PROBE_SECONDS - (time.monotonic() - started)))
    return answered.is_set()


def hub_reachable() -> bool:
    """Tell whether the Hub can be asked. Where it cannot, the Hub's clients are set to work from their cache.

    The answer is worked out once a process and takes at most ``PROBE_SECONDS``.
    """
    if offline_requested():
        return False
    if online_asserted() or _answers(hub_endpoint()):
        return True
    _go_offline()
    return False


def model_cached(name: str) -> bool:
    """Tell whether the Hub's cache has something of a model, without importing the Hub's client."""
    cache = Path(os.environ.get("HF_HUB_CACHE") or _hf_home() / "hub")
    return (cache / f"models--{name.replace('/', '--')}").is_dir()


def dataset_cached(name: str) -> bool:
    """Tell whether the cache of datasets has something of a data set, without importing datasets."""
    cache = Path(os.environ.get("HF_DATASETS_CACHE") or _hf_home() / "datasets")
    wanted = name.replace("/", "___").casefold()
    return cache.is_dir() and any(folder.name.casefold() == wanted for folder in cache.iterdir())


def _hf_home() -> Path:
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface"
    return Path(os.environ.get("HF_HOME") or default).expanduser()


def _go_offline() -> None:
    """Make huggingface_hub, transformers and datasets answer from their caches, imported already or not."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    for module, names in (
        ("huggingface_hub.constants", ("HF_HUB_OFFLINE",)),
        ("transformers.utils.hub", ("_is_offline_mode",)),
        ("datasets.config", ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")),
    ):
        if module in sys.modules:
            for name in names:
                if hasattr(sys.modules[module], name):
                    setattr(sys.modules[module], name, True)
