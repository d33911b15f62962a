"""The expression a user types for a composition: text to a frozen tree, and back.

::

    expression := "none" | name ("+" name)*

``none`` means no intermediate task, ``squad`` a stack on one intermediate adapter, ``mnli+squad`` AdapterFusion of two
(Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapterstilts.errors import ExpressionError

NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Nothing:
    """No intermediate task: the baseline."""

    def __str__(self) -> str:
        return "none"

    @property
    def names(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class Single:
    """A stack on one intermediate adapter."""

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)


@dataclass(frozen=True)
class Fusion:
    """Learned AdapterFusion of several intermediate adapters."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "+".join(self.names)


Expression = Nothing | Single | Fusion


def parse(text: str) -> Expression:
    """Parse an expression.

    Raises:
        ExpressionError: shows the text with a mark under the place that is wrong.
    """
    names: dict[str, int] = {}
    position = 0
    expected = "a task name"
    while True:
        position = _skip_spaces(text, position)
        match = NAME.match(text, position)
        if match is None:
            raise _error(text, position, f"{expected} is expected here")
        name = match.group()
        if name in names:
            raise _error(text, position, f"'{name}' stands here a second time, which has no effect")
        names[name] = position
        position = _skip_spaces(text, match.end())
        if position == len(text):
            break
        if text[position] != "+":
            raise _error(text, position, "only '+' joins adapters")
        position += 1
        expected = "a task name after '+'"
    if "none" in names:
        if len(names) > 1:
            raise _error(text, names["none"], "'none' means no intermediate task and cannot be joined to others")
        return Nothing()
    return Single(next(iter(names))) if len(names) == 1 else Fusion(tuple(names))


def _skip_spaces(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _error(text: str, position: int, what: str) -> ExpressionError:
    if not text.strip():
        return ExpressionError("The expression is empty. Write 'none', a task such as 'squad', or a sum: 'mnli+squad'.")
    shown = text.replace("\n", " ").replace("\t", " ")
    return ExpressionError(f"The expression cannot be read: {what}.\n  {shown}\n  {' ' * position}^")
