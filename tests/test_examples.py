"""The scripts in examples/ run, and say what they are meant to say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run_example(tmp_path: Path, toy_backbone_folder: Path, toy_mirror: Path):
    def run(name: str, *more: str) -> str:
        command = [
            *(sys.executable, str(EXAMPLES / name), "--backbone", str(toy_backbone_folder)),
            *("--data-root", str(toy_mirror), "--store", str(tmp_path / "store"), *more),
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ})
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_compose_in_python_prints_a_line_a_language(run_example) -> None:
    text = run_example("compose_in_python.py", "--steps", "2", "--max-eval-examples", "8")
    assert re.findall(r"^(mnli|squad)-[0-9a-f]{12}: ", text, re.MULTILINE) == ["mnli", "squad"]
    lines = re.findall(r"^([a-z]{2})  +([\d.]+)  baseline +([\d.]+)  +([+-][\d.]+) \[", text, re.MULTILINE)
    assert lines[0][0] == "en"
    assert len(lines) > 1
    for _, score, baseline, delta in lines:
        assert float(score) - float(baseline) == pytest.approx(float(delta), abs=0.11)


def test_every_script_is_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in here] == []
