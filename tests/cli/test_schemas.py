"""The schemas of the documents: each describes itself, and refuses what is wrong."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from calling import COMMANDS, SCHEMAS, call, schema
from cli_world import World


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name.split(".")[0])
def test_a_schema_is_one_and_describes_itself(path: Path) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(value)
    assert value["$id"] == path.name
    assert value["title"].startswith("adapterstilts ")
    assert value["description"]


def test_each_command_with_a_document_has_a_schema() -> None:
    names = {path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.json")}
    of_several = {"compose_grid", "compose_plan"}
    assert names == {re.sub("[- ]", "_", command) for command in COMMANDS if command != "predict"} | of_several
    for command in COMMANDS:
        full = ("runs", "show") if command == "runs" else tuple(command.split())
        assert ("--json" in call(*full, "--help").stdout) is (command != "predict")


def test_compose_and_evaluate_share_their_schema() -> None:
    one, other = schema("compose"), schema("evaluate")
    for value in (one, other):
        del value["title"], value["description"], value["$id"]
    assert one == other


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda value: value.pop("mean"), "'mean' is a required property"),
        (lambda value: value.update(extra=1), "extra"),
        (lambda value: value["languages"]["en"].update(score=0.5 + 100), "maximum"),
        (lambda value: value["languages"]["en"].update(score="50"), "number"),
        (lambda value: value["languages"]["en"].update(interval=[1.0, 2.0, 3.0]), "is not valid under any"),
        (lambda value: value["languages"].update(English=value["languages"].pop("en")), "does not match"),
        (lambda value: value["summary"]["mean"].pop("interval"), "'interval' is a required property"),
        (lambda value: value["stages"][0].update(state="made"), "is not one of"),
    ],
)
def test_the_schema_refuses_what_is_wrong(change: Callable[[Any], Any], fault: str, world: World) -> None:
    """A schema that lets everything through would make the tests below worthless."""
    value = copy.deepcopy(world.made["fusion"])
    change(value)
    errors = list(jsonschema.Draft202012Validator(schema("compose")).iter_errors(value))
    assert errors
    assert any(fault in error.message for error in errors), [error.message for error in errors]
