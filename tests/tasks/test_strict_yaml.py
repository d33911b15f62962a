"""YAML of the user's own: plain values, each key once, and no file that is larger than what a person writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapterstilts.errors import SettingsError
from adapterstilts.tasks.strict_yaml import MAX_BYTES, Faults, read_mapping


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "must hold one YAML mapping"),
        (b"- a\n", "must hold one YAML mapping"),
        (b"a: 1\nb: [1, 2\n", r"line 3 cannot be read"),
        (b"a: 1\nb: 2\na: 3\n", "line 3 cannot be read: the key 'a' stands twice"),
        (b"a: {b: 1, b: 2}\n", "the key 'b' stands twice"),
        (b"a: &x [1]\nb: *x\n", "line 2 cannot be read: anchors are not read"),
        (b"a: 1\nno: 2\n", "line 2 cannot be read: a key must be a text; quote it"),
        (b"a: !!python/object/apply:os.system [ls]\n", "line 1 cannot be read: could not determine a constructor"),
        (b"a: 2020-13-45\n", "is no YAML: month must be in"),
        (b"a: \xff\n", "is not UTF-8"),
        (b"a: \x00\n", "is no YAML"),
        (b"[" * 5000, "is no YAML|cannot be read"),
        (b"a: " + b"x" * MAX_BYTES, "is larger than 64 KiB"),
    ],
)
def test_what_is_not_read(content: bytes, told: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=told) as caught:
        read_mapping(file, "task file")
    assert f"The task file '{file}'" in str(caught.value)


def test_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: {b: [1, 'no'], c: no}\n")
    assert read_mapping(file, "task file") == {"a": {"b": [1, "no"], "c": False}}
    with pytest.raises(SettingsError, match="There is no task file"):
        read_mapping(tmp_path, "task file")


def test_faults_are_told_together_each_with_its_key() -> None:
    given = {"name": 3, "labels": ["a", True], "kind": "x", "flag": "yes", "names": {"a": 1}, "lable": 1}
    faults = Faults()
    faults.keys(given, "", ("name", "labels", "kind", "flag", "names", "needed"), needed=("needed",))
    assert faults.text(given, "name") == ""
    assert faults.texts(given, "labels") == ("a",)
    assert faults.one_of(given, "kind", ("a", "b"), at="source") == ""
    assert faults.one_of(given, "other", ("a", "b"), usual="a") == "a"
    assert faults.flag(given, "flag") is False
    assert faults.text_mapping(given, "names", at="source") == {}
    assert faults.about("labels")
    assert not faults.about("label")
    with pytest.raises(SettingsError) as caught:
        faults.raise_if_any("It")
    assert str(caught.value).split("\n") == [
        "It cannot be used:",
        "- lable: there is no such key; did you mean 'labels'?",
        "- needed: missing",
        "- name: must be a text, not 3; put it in quotes",
        "- labels[1]: must be a text, not True; put it in quotes",
        "- source.kind: must be one of a, b, not 'x'",
        "- flag: must be true or false, not 'yes'",
        "- source.names.a: must be a text, not 1; put it in quotes",
    ]
