"""YAML that users write, read without guessing, and the faults that are found in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapterstilts.errors import SettingsError, nearest

MAX_BYTES = 1 << 16
"""A file that people write has no more."""


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Only plain values are read: no tags, no anchors (which can make a small file a huge object), no key twice.

    Args:
        path: the file.
        what: for messages.

    Raises:
        SettingsError: it is not there, too large, not UTF-8, not YAML of this kind, or no mapping.
    """
    import yaml

    if not path.is_file():
        raise SettingsError(f"There is no {what} '{path}'.")
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise SettingsError(f"The {what} '{path}' is larger than {MAX_BYTES >> 10} KiB.")

    class Loader(yaml.SafeLoader):
        """Plain values, each key once."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.MarkedYAMLError(problem="anchors are not read", problem_mark=self.peek_event().start_mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                if key.tag != "tag:yaml.org,2002:str":
                    raise yaml.MarkedYAMLError(problem="a key must be a text; quote it", problem_mark=key.start_mark)
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key '{key.value}' stands twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        given = yaml.load(content.decode("utf-8-sig"), Loader)
    except UnicodeDecodeError as error:
        raise SettingsError(f"The {what} '{path}' is not UTF-8: {error}.") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"The {what} '{path}'{line} cannot be read: {error.problem or error.context}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # impossible dates are ValueErrors
        raise SettingsError(f"The {what} '{path}' is no YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(given, dict):
        raise SettingsError(f"The {what} '{path}' must hold one YAML mapping.")
    return given


class Faults:
    """What is wrong with a mapping, by key, so that all of it can be told at once; each reader returns what it can."""

    def __init__(self) -> None:
        self._told: list[tuple[str, str]] = []

    def add(self, key: str, text: str) -> None:
        """Note a fault of a key."""
        self._told.append((key, text))

    def about(self, key: str) -> bool:
        """Tell whether something is wrong with a key, or with a part of its value."""
        return any(told == key or told.startswith((f"{key}[", f"{key}.")) for told, _ in self._told)

    def raise_if_any(self, what: str) -> None:
        """Raise a SettingsError that tells all that was noted."""
        if self._told:
            lines = "".join(f"\n- {key}: {text}" for key, text in self._told)
            raise SettingsError(f"{what} cannot be used:{lines}")

    def keys(self, given: Mapping[str, Any], at: str, allowed: Sequence[str], *, needed: Collection[str]) -> None:
        """Note keys that are unknown, and keys that are missing."""
        for key in given:
            if key not in allowed:
                best = nearest(key, allowed)
                hint = f"did you mean '{best}'?" if best else f"allowed are {', '.join(allowed)}"
                self.add(f"{at}{key}", f"there is no such key; {hint}")
        for key in needed:
            if key not in given:
                self.add(f"{at}{key}", "missing")

    def text(self, given: Mapping[str, Any], key: str, *, at: str = "") -> str:
        """Return a text, empty where there is none."""
        value = given.get(key, "")
        if key in given and (not isinstance(value, str) or not value.strip()):
            self.add(_joined(at, key), _no_text(value))
            return ""
        return str(value)

    def texts(self, given: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where there is none."""
        values = given.get(key, [])
        if not isinstance(values, list) or (key in given and not values):
            self.add(key, f"must be a list of texts, not {values!r}")
            return ()
        for place, value in enumerate(values):
            if not isinstance(value, str) or not value.strip():
                self.add(f"{key}[{place}]", _no_text(value))
        return tuple(value for value in values if isinstance(value, str))

    def text_mapping(self, given: Mapping[str, Any], key: str, *, at: str) -> dict[str, str]:
        """Return a mapping of texts to texts, empty where there is none."""
        values = given.get(key, {})
        if not isinstance(values, dict):
            self.add(_joined(at, key), f"must be a mapping of texts, not {values!r}")
            return {}
        for name, value in values.items():
            if not isinstance(value, str):
                self.add(f"{_joined(at, key)}.{name}", _no_text(value))
        return {name: value for name, value in values.items() if isinstance(value, str)}

    def one_of(
        self, given: Mapping[str, Any], key: str, allowed: Sequence[str], *, at: str = "", usual: str = ""
    ) -> str:
        """Return one of several texts, ``usual`` where there is none, empty where it is another."""
        if key not in given:
            return usual
        value = given[key]
        if not isinstance(value, str) or value not in allowed:
            self.add(_joined(at, key), f"must be one of {', '.join(allowed)}, not {value!r}")
            return ""
        return value

    def flag(self, given: Mapping[str, Any], key: str) -> bool:
        """Return true or false, false where there is nothing."""
        value = given.get(key, False)
        if not isinstance(value, bool):
            self.add(key, f"must be true or false, not {value!r}")
        return value is True


def _joined(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _no_text(value: Any) -> str:
    return f"must be a text, not {value!r}" + ("" if isinstance(value, (list, dict, str)) else "; put it in quotes")
