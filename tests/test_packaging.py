"""What gets onto a user's machine: the packages of pyproject.toml, the wheel, a fresh and an editable installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import adapterstilts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # a dependency of pytest there

ROOT = Path(__file__).resolve().parents[1]

# folder in the repository -> name after installation
PACKAGE_ROOTS = {"adapterstilts": "adapterstilts", "cli": "adapterstilts.cli", "adapters_zoo": "adapterstilts.zoo"}

# names that the repository has at its top and a user must not get
FORBIDDEN_TOP_LEVEL = ("cli", "adapters_zoo", "tests", "examples", "benchmarks")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command as a user would, away from the repository, and return what it prints."""
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment | {"COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, f"{command} exited with {result.returncode}:\n{result.stdout}"
    return result.stdout


def importable(python: str | Path, names: tuple[str, ...], *, cwd: Path) -> list[str]:
    """Those of `names` that an interpreter can import."""
    code = "import importlib.util, sys; print(*filter(importlib.util.find_spec, sys.argv[1:]))"
    return run(python, "-c", code, *names, cwd=cwd).split()


def source_files() -> Iterator[tuple[Path, str]]:
    """Each file of the three package folders, with the path that it has in the wheel."""
    for folder, package in PACKAGE_ROOTS.items():
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path, f"{package.replace('.', '/')}/{path.relative_to(ROOT / folder).as_posix()}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: in place, setuptools would also pack what an older build left in build/."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGE_ROOTS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    target = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", source, "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", target, cwd=target)
    (path,) = target.glob("*.whl")
    return path


def test_list_of_packages_is_complete() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert settings["package-dir"] == {package: folder for folder, package in PACKAGE_ROOTS.items()}

    in_tree = {
        ".".join((package, *init.parent.relative_to(ROOT / folder).parts))
        for folder, package in PACKAGE_ROOTS.items()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert sorted(settings["packages"]) == sorted(in_tree)


def test_each_module_lies_in_a_package() -> None:
    """A module in a folder without __init__.py can be imported here, and is missing from the wheel."""
    modules = [path for path, _ in source_files() if path.suffix == ".py"]
    assert [path for path in modules if not (path.parent / "__init__.py").exists()] == []


def test_editable_install_has_all_names(tmp_path: Path) -> None:
    code = """
import adapterstilts.cli, adapterstilts.zoo
from importlib.resources import files
print(callable(adapterstilts.cli.main), files("adapterstilts.zoo").joinpath("recipes").is_dir())
"""
    assert run(sys.executable, "-c", code, cwd=tmp_path) == "True True\n"
    assert importable(sys.executable, FORBIDDEN_TOP_LEVEL, cwd=tmp_path) == []


@pytest.mark.packaging
def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    dist_info = f"adapterstilts-{adapterstilts.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"adapterstilts", dist_info}

    # each module, recipe and schema; a Markdown file is for the reader of the repository
    expected = {installed for path, installed in source_files() if path.suffix != ".md"}
    assert sorted(expected - set(names)) == [], "name these in [tool.setuptools.package-data]"
    assert any(name.startswith("adapterstilts/zoo/recipes/") and name.endswith(".yaml") for name in names)
    assert f"{dist_info}/licenses/LICENSE" in names


@pytest.mark.packaging
@pytest.mark.slow
@pytest.mark.timeout(3600)  # on a slow line torch alone can take longer than a test usually may
def test_wheel_works_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    bin_folder = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python, command = bin_folder / "python", bin_folder / "adapterstilts"

    # the recorded versions are for Python 3.11 and later; before, pip chooses
    pins = ("-c", ROOT / "constraints.txt") if sys.version_info >= (3, 11) else ()
    run(python, "-m", "pip", "--disable-pip-version-check", "install", *pins, wheel, cwd=tmp_path)

    assert adapterstilts.__version__ in run(command, "--version", cwd=tmp_path)
    assert "squad" in run(command, "tasks", cwd=tmp_path)
    assert importable(python, FORBIDDEN_TOP_LEVEL, cwd=tmp_path) == []
