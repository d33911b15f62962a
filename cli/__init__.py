"""The command line: one file a command, each a thin function over a plain one of the library."""

from __future__ import annotations


def main() -> None:
    """Run the command line; exits with 0 (done), 1 (a fault of ours) or 2 (a mistake in the call)."""
    from .app import app

    app()
