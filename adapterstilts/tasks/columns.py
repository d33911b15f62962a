"""How a field of ours is made of a data set's columns, where it is not simply one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Column = str | tuple[str, ...]
"""A column of the data set (``premise``), a member of a nested one (``choices.text``), a text made of several
(``{premise} {question}``), or a tuple of these for a list."""

_IN_BRACES = re.compile(r"\{(\w+)\}")


def needed_columns(column: Column) -> tuple[str, ...]:
    """Return the data set's columns that a field is made of."""
    parts = (column,) if isinstance(column, str) else column
    return tuple(dict.fromkeys(name for part in parts for name in _IN_BRACES.findall(part) or [part.split(".")[0]]))


def is_plain(column: Column) -> bool:
    """Tell whether a field is one column of the data set, as it is."""
    return isinstance(column, str) and needed_columns(column) == (column,)


def field_value(column: Column, row: Mapping[str, Any], wording: Mapping[str, str]) -> Any:
    """Return a field of a row.

    Args:
        column: what it is made of.
        row: the data set's columns.
        wording: what to write in texts for a value, such as a question for its short name.
    """
    if isinstance(column, tuple):
        return [field_value(part, row, wording) for part in column]
    if "{" in column:
        return _IN_BRACES.sub(lambda match: _worded(row[match[1]], wording), column)
    name, *members = column.split(".")
    value = row[name]
    for member in members:
        value = value[member]
    return value


def _worded(value: Any, wording: Mapping[str, str]) -> str:
    text = "" if value is None else str(value)
    return wording.get(text, text)
