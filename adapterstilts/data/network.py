"""Is the Hub there? Asked once, quickly, before a client that would retry for half a minute."""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
import urllib.error
import urllib.request

logger = logging.getLogger(__name__)

PROBE_SECONDS = 3.0


def hub_endpoint() -> str:
    """Return the address of the Hub (``HF_ENDPOINT``, else huggingface.co)."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def offline_requested() -> bool:
    """Tell whether the user asked for offline work (``HF_HUB_OFFLINE``)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


@functools.lru_cache(maxsize=8)
def _answers(endpoint: str) -> bool:
    """Tell whether ``endpoint`` answers HTTP at all within ``PROBE_SECONDS``; any status counts."""
    answered = threading.Event()

    def probe() -> None:
        request = urllib.request.Request(endpoint, method="HEAD", headers={"User-Agent": "adapterstilts"})
        try:
            with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
                answered.set()
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, ValueError) as error:
            logger.debug("The Hub at %s does not answer: %s", endpoint, error)

    # In a thread, since a name server that is silent is outside the socket's time limit.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answered.is_set()


def hub_reachable() -> bool:
    """Tell whether the Hub can be asked. Where it cannot, the Hub's clients are set to work from their cache.

    The answer is worked out once a process and takes at most ``PROBE_SECONDS``.
    """
    if offline_requested():
        return False
    if _answers(hub_endpoint()):
        return True
    _go_offline()
    return False


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
