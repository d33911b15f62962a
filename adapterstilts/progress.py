"""How long work tells what it does, without knowing who listens."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("adapterstilts")


class Reporter:
    """Listens to work in progress. This one writes to the log; the command line has one that draws bars."""

    def message(self, text: str) -> None:
        """Take a sentence for the user."""
        logger.info(text)

    def begin(self, title: str, total: int) -> None:
        """Take the start of work of ``total`` steps."""
        logger.info("%s: %d steps", title, total)

    def advance(self, done: int, **facts: Any) -> None:
        """Take the number of steps done so far, and facts such as the loss."""

    def end(self) -> None:
        """Take the end of the work begun last."""
