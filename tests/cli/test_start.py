"""How the program starts and ends: help without heavy imports, faults of ours, interruptions, a real process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from calling import COMMANDS, TINY, call, validate
from cli_world import World
from typer.testing import CliRunner

from adapterstilts import __version__
from adapterstilts.cli.app import app
from adapterstilts.tasks.catalogue import TASKS

LIGHT_START = """
import contextlib, io, json, sys
from adapterstilts.cli import main
told = {}
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["adapterstilts", *arguments]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            main()
        except SystemExit as end:
            assert end.code in (0, None), (arguments, end.code)
    heavy = [name for name in ("torch", "transformers", "datasets", "adapters", "evaluate") if name in sys.modules]
    told[" ".join(arguments)] = [heavy, out.getvalue()]
print(json.dumps(told))
"""


def test_help_and_lists_come_without_heavy_imports(tmp_path: Path) -> None:
    calls = [["--help"], ["--version"], ["tasks"], ["tasks", "--json"], ["languages"], ["runs"]]
    calls += [[*command.split(), "--help"] for command in COMMANDS]
    result = subprocess.run(
        [sys.executable, "-c", LIGHT_START, json.dumps(calls)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"ADAPTERSTILTS_HOME": str(tmp_path)},
    )
    told = json.loads(result.stdout)
    assert {name: heavy for name, (heavy, _) in told.items() if heavy} == {}
    assert all(command.split()[0] in told["--help"][1] for command in COMMANDS)
    assert told["--version"][1] == f"adapterstilts {__version__}\n"
    assert all(task in told["tasks"][1] for task in TASKS)
    assert "--gradient-accumulation" in told["compose --help"][1]


def test_the_program_and_the_module_are_the_same(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("adapterstilts")
    if not program.exists():
        pytest.skip("the package is not installed beside this Python")
    for start in ([str(program)], [sys.executable, "-m", "adapterstilts.cli"]):
        result = subprocess.run([*start, "--version"], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert (result.stdout, result.stderr) == (f"adapterstilts {__version__}\n", "")


def test_without_a_command_the_help_is_shown() -> None:
    result = CliRunner().invoke(app, [])
    assert "train-intermediate" in result.output


def test_a_fault_of_ours_has_a_traceback_and_exit_code_1() -> None:
    script = (
        "import sys\nfrom adapterstilts.cli import main, runs\n"
        "def broken(*_): raise RuntimeError('a fault of ours')\n"
        "runs.Store.all = broken\nsys.argv = ['adapterstilts', 'runs', '--json']\nmain()\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Traceback")
    assert result.stderr.rstrip().endswith("RuntimeError: a fault of ours")


def test_a_fault_of_ours_is_not_taken_for_a_mistake(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("adapterstilts.studies.transfer.compose", broken)
    result = call(*world.fusion, code=1)
    assert isinstance(result.exception, RuntimeError)


def test_a_wrong_level_of_the_log_is_no_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERSTILTS_LOG", "loud")
    result = CliRunner().invoke(app, ["tasks"])
    assert result.exit_code in (0, 2)


def test_an_interruption_is_told_in_a_sentence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("adapterstilts.studies.transfer.compose", interrupted)
    assert "Interrupted" in call(*world.fusion, code=130).stderr


def test_a_real_process_keeps_stdout_for_the_document(world: World, tmp_path: Path) -> None:
    """With the libraries' own warnings and bars, which an outer process cannot silence."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "adapterstilts.cli", "compose", "none", "--target", "xnli", "--json"),
            *(*world.options[:-1], str(tmp_path / "store"), *TINY),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    made = json.loads(result.stdout)
    validate(made, "compose")
    assert re.search(r"Training xnli\S*: 3/3", result.stderr)
    noise = re.compile(r"\b[Ww]arning|newly initialized|Generating|Map:")
    assert [line for line in result.stderr.splitlines() if noise.search(line)] == []
