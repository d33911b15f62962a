"""Errors for the person who typed the command: what was asked, what is wrong, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AdapterStiltsError(Exception):
    """A mistake in the call, or a state of the world that the caller can mend.

    The command line shows the message without a traceback and exits with 2.
    """


class UnknownNameError(AdapterStiltsError):
    """A task, language, format, metric or setting that does not exist."""


class DataUnavailableError(AdapterStiltsError):
    """Rows that are neither in the mirror nor in the cache, and no network to fetch them."""


class DataFormatError(AdapterStiltsError):
    """A data file that is empty, cut, or has other columns or labels than the task says."""


class BackboneError(AdapterStiltsError):
    """A backbone that cannot be found, loaded or used with adapters."""


class ExpressionError(AdapterStiltsError):
    """A composition expression that cannot be parsed or cannot work."""


class SettingsError(AdapterStiltsError):
    """Settings that contradict each other or lie outside their range."""


class MissingPackageError(AdapterStiltsError):
    """An optional package that is not installed; the message names it."""


class TrainingError(AdapterStiltsError):
    """Training that cannot go on, such as a loss that is not finite."""


class ArtifactError(AdapterStiltsError):
    """An artifact that is missing, damaged, or made for something else."""


class GridError(AdapterStiltsError):
    """Some of several compositions that cannot be run, or one that failed; the message says which."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like ``name``, or None if none is close."""
    folded = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.5)
    return folded[matches[0]] if matches else None


def unknown(what: str, name: str, known: Iterable[str], *, hint: str = "") -> UnknownNameError:
    """Build the error for a wrong name: it carries the nearest right one, or the whole list."""
    known = sorted(known)
    best = nearest(name, known)
    if best is not None:
        advice = f"Did you mean '{best}'?"
    else:
        advice = f"Known: {', '.join(known)}." if known else ""
    return UnknownNameError(" ".join(part for part in (f"There is no {what} '{name}'.", advice, hint) if part))
