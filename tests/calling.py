"""Running commands in tests: documents are checked against their schemas, mistakes leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import referencing
from stores import kept_in
from typer.testing import CliRunner

from adapterstilts.cli.app import app

SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"
COMMANDS = (
    "train-intermediate",
    "train-language",
    "compose",
    "evaluate",
    "predict",
    "export",
    "score",
    "tasks",
    "languages",
    "fetch",
    "push",
    "pull",
    "runs",
    "bench latency",
    *("zoo list", "zoo search", "zoo show", "zoo add", "zoo check"),
)
#: Options with which training takes a moment.
TINY = ("--steps", "3", "--batch-size", "4", "--max-length", "64", "--evaluations", "1")


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


def refused(*arguments: Any, store: Path | None = None, given: str | bytes | None = None) -> str:
    """Run a command that is a mistake: exit code 2, a sentence on stderr, nothing on stdout, nothing in the store."""
    before = kept_in(store) if store else []
    result = call(*arguments, given=given, code=2)
    assert result.stdout == ""
    assert result.stderr.strip()
    if store:
        assert kept_in(store) == before
    return str(result.stderr)


def schema(name: str) -> dict[str, Any]:
    """Return the schema of a command's document."""
    value: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return value


def validate(value: Any, name: str) -> None:
    """Check a document against the schema ``name``."""
    validator = jsonschema.Draft202012Validator(
        schema(name), format_checker=jsonschema.FormatChecker(), registry=_registry()
    )
    faults = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert faults == []


def _registry() -> Any:
    """Return all schemas by their ids, since one may name another."""
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(SCHEMAS.glob("*.json"))]
    return referencing.Registry().with_resources(
        (content["$id"], referencing.Resource.from_contents(content)) for content in contents
    )


@contextlib.contextmanager
def surroundings_kept() -> Iterator[None]:
    """Put back what a command sets for its process: log handlers, variables."""
    logger, environment = logging.getLogger("adapterstilts"), dict(os.environ)
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)
        logging.captureWarnings(False)
        os.environ.clear()
        os.environ.update(environment)
