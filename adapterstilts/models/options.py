"""What the functions of an expression take after the semicolon, and how a call of one is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from adapterstilts.errors import ExpressionError


@dataclass(frozen=True)
class Option:
    """A number that a function of the language takes after the semicolon."""

    default: float
    allowed: str
    """For messages."""
    fits: Callable[[float], bool]


_SCALE = Option(1.0, "above 0", lambda value: value > 0)
_SEED = Option(0, "a whole number from 0", lambda value: value >= 0 and value == int(value))

#: Ways to make one adapter of the weights of several, with their options in the order in which they are printed.
METHODS: Mapping[str, Mapping[str, Option]] = MappingProxyType(
    {
        "avg": {},
        "arithmetic": {"scale": Option(0.4, "above 0", lambda value: value > 0)},
        "ties": {
            "density": Option(0.2, "above 0 and at most 1", lambda value: 0 < value <= 1),
            "scale": _SCALE,
        },
        "dare": {
            "drop": Option(0.9, "from 0 to below 1", lambda value: 0 <= value < 1),
            "seed": _SEED,
            "scale": _SCALE,
        },
        "svd": {
            "rank": Option(
                0, "a whole number from 1, or 0 for the adapters' own", lambda value: value >= 0 and value == int(value)
            )
        },
    }
)
MIX = "mix"
SEARCH = "search"
#: The options of each function that takes any; those of ``mix`` make shares of the tasks' sizes.
OPTIONS: Mapping[str, Mapping[str, Option]] = MappingProxyType(
    {
        **METHODS,
        MIX: {
            "temperature": Option(1.0, "at least 1", lambda value: value >= 1),
            "cap": Option(
                0, "a whole number of rows from 1, or 0 for none", lambda value: value >= 0 and value == int(value)
            ),
        },
        SEARCH: {
            "budget": Option(40, "a whole number from 2", lambda value: value >= 2 and value == int(value)),
            "seed": _SEED,
        },
    }
)


def number(value: float) -> str:
    """Return a number as an expression writes it, which is read back as the same number."""
    return str(int(value)) if value == int(value) else repr(float(value))


def check_option(method: str, name: str, value: float) -> None:
    """Refuse an option that a function does not take, or a value that the option cannot have.

    Raises:
        ExpressionError: says what there is.
    """
    known = OPTIONS[method]
    if name not in known:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise ExpressionError(f"'{method}' has no option '{name}'; {takes}")
    if not known[name].fits(value):
        raise ExpressionError(f"'{name}' of '{method}' must be {known[name].allowed}, not {number(value)}")


def filled(method: str, options: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    """Return all options of a function in its order, after checking those that are given."""
    given = dict(options)
    for name, value in given.items():
        check_option(method, name, value)
    return tuple((name, float(given.get(name, option.default))) for name, option in OPTIONS[method].items())


def call_text(method: str, parts: list[str], options: tuple[tuple[str, float], ...]) -> str:
    """Return the text of a function; options that have their default go without saying."""
    known = OPTIONS[method]
    said = [f"{name}={number(value)}" for name, value in options if value != known[name].default]
    return f"{method}({', '.join(parts)}{'; ' if said else ''}{', '.join(said)})"
