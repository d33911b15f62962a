"""Running commands in tests: documents are checked against their schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
from typer.testing import CliRunner

from adapterstilts.cli.app import app

SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"


def call(*arguments: Any, given: str | bytes | None = None, code: int = 0) -> Any:
    """Run a command in this process, and check its exit code."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=given)
    if code != 1 and result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stderr
    assert "Traceback" not in result.stderr
    return result


def document(name: str, *arguments: Any) -> Any:
    """Run a command with --json; its stdout must be one document of the schema ``name``, and nothing else."""
    result = call(*arguments, "--json")
    assert result.stdout.endswith("\n")
    value = json.loads(result.stdout)
    validate(value, name)
    return value


def schema(name: str) -> dict[str, Any]:
    """Return the schema of a command's document."""
    value: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return value


def validate(value: Any, name: str) -> None:
    """Check a document against the schema ``name``."""
    validator = jsonschema.Draft202012Validator(schema(name), format_checker=jsonschema.FormatChecker())
    faults = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert faults == []
