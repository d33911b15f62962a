"""The command line as a user and a script see it: documents, messages, exit codes, and mistakes told in a sentence."""

from __future__ import annotations

import copy
import csv
import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from adapterstilts import __version__
from adapterstilts.cli.app import app
from adapterstilts.store.artifacts import Store
from adapterstilts.tasks.catalogue import TASKS

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
COMMANDS = ("train-intermediate", "compose", "evaluate", "predict", "score", "tasks", "languages", "fetch", "runs")
TINY = ("--steps", "3", "--batch-size", "4", "--max-length", "64", "--evaluations", "1")
NLI_ROW = {"text": "the cat sees a tree", "text_pair": "indeed a tree"}


@pytest.fixture(scope="module", autouse=True)
def _surroundings() -> Iterator[None]:
    """Put back what a command sets for its process: log handlers, variables."""
    logger, environment = logging.getLogger("adapterstilts"), dict(os.environ)
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)
    logging.captureWarnings(False)
    os.environ.clear()
    os.environ.update(environment)


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
    value: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return value


def validate(value: Any, name: str) -> None:
    validator = jsonschema.Draft202012Validator(schema(name), format_checker=jsonschema.FormatChecker())
    faults = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert faults == []


class World:
    """A store with trained artifacts and the documents of the commands that made them. Tests only read it."""

    def __init__(self, store: Path, backbone: Path, mirror: Path) -> None:
        self.store, self.backbone, self.mirror = store, backbone, mirror
        self.made: dict[str, Any] = {}
        for task in ("mnli", "squad", "hellaswag"):
            self.made[task] = document("train_intermediate", "train-intermediate", task, *self.options, *TINY)
        self.fusion = ("compose", "mnli+squad", "--target", "xnli", *self.options, *TINY)
        self.made["fusion"] = document("compose", *self.fusion)
        self.made["tags"] = document("compose", "compose", "none", "--target", "panx", *self.options, *TINY)

    @property
    def options(self) -> tuple[str, ...]:
        return ("--backbone", str(self.backbone), "--data-root", str(self.mirror), "--store", str(self.store))

    def artifact(self, name: str) -> str:
        value: str = self.made[name]["artifact"]
        return value


@pytest.fixture(scope="module")
def world(toy_backbone_folder: Path, toy_mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"), toy_backbone_folder, toy_mirror)


@pytest.fixture
def options(world: World, tmp_path: Path) -> tuple[str, ...]:
    """Toy backbone, toy mirror, an empty store."""
    return (*world.options[:-1], str(tmp_path / "store"))


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of the datasets library that has seen no other mirror."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "own-cache"))
    return tmp_path / "own-cache"


def kept_in(home: Path) -> list[str]:
    """Return the finished and half-finished things in a store; what is in its cache can be made again."""
    if not home.is_dir():
        return []
    return sorted(
        path.relative_to(home).as_posix()
        for path in home.rglob("*")
        if path.is_file() and not path.is_relative_to(home / "cache")
    )


def refused(*arguments: Any, store: Path | None = None, given: str | bytes | None = None) -> str:
    """Run a command that is a mistake: exit code 2, a sentence on stderr, nothing on stdout, nothing in the store."""
    before = kept_in(store) if store else []
    result = call(*arguments, given=given, code=2)
    assert result.stdout == ""
    assert result.stderr.strip()
    if store:
        assert kept_in(store) == before
    return str(result.stderr)


# Schemas


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name.split(".")[0])
def test_a_schema_is_one_and_describes_itself(path: Path) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(value)
    assert value["$id"] == path.name
    assert value["title"].startswith("adapterstilts ")
    assert value["description"]


def test_each_command_with_a_document_has_a_schema() -> None:
    names = {path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.json")}
    assert names == {command.replace("-", "_") for command in COMMANDS if command != "predict"}
    for command in COMMANDS:
        assert ("--json" in call(command, "--help").stdout) is (command != "predict")


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


# Documents


def test_tasks_are_those_of_the_catalogue() -> None:
    assert [task["name"] for task in document("tasks", "tasks")] == list(TASKS)
    assert {task["kind"] for task in document("tasks", "tasks", "--kind", "target")} == {"target"}


def test_languages_with_their_tasks() -> None:
    every = document("languages", "languages")
    assert len(every) == 42
    assert document("languages", "languages", "--task", "tydiqa") == [
        language for code in TASKS["tydiqa"].languages for language in every if language["code"] == code
    ]
    swahili = next(language for language in every if language["code"] == "sw")
    assert swahili["tasks"] == ["xnli", "panx", "tydiqa", "xcopa", "tatoeba"]


def test_a_trained_adapter_and_the_same_again(world: World) -> None:
    first = world.made["mnli"]
    assert (first["reused"], first["stages"][0]["state"]) == (False, "trained")
    again = document("train_intermediate", "train-intermediate", "mnli", *world.options, *TINY)
    assert (again["reused"], again["stages"][0]["state"]) == (True, "reused")
    for value in (first, again):
        value = dict(value)
        assert Path(value["path"]).name == value["artifact"]
    assert {key: again[key] for key in ("artifact", "metrics", "settings", "resources")} == {
        key: first[key] for key in ("artifact", "metrics", "settings", "resources")
    }


def test_each_option_of_training_reaches_the_settings(world: World, options: tuple[str, ...]) -> None:
    settings = {
        "adapter": "double_seq_bn",
        "reduction_factor": 8.0,
        "epochs": 0.5,
        "steps": 2,
        "learning_rate": 0.002,
        "warmup_ratio": 0.25,
        "batch_size": 3,
        "gradient_accumulation": 2,
        "weight_decay": 0.05,
        "max_grad_norm": 0.7,
        "fusion_dropout": 0.2,
        "max_length": 48,
        "doc_stride": 12,
        "max_train_examples": 30,
        "max_validation_examples": 9,
        "sample_seed": 4,
        "evaluations": 2,
        "patience": 3,
        "precision": "bf16",
        "seed": 6,
    }
    assert settings.keys() == world.made["mnli"]["settings"].keys()
    flags = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    made = document("train_intermediate", "train-intermediate", "mnli", *options, *flags)
    assert made["settings"] == settings
    assert made["metrics"]["steps"] == 2


def test_a_composition_beside_its_baseline(world: World) -> None:
    made = world.made["fusion"]
    assert (made["target"], made["composition"], made["split"], made["seeds"]) == ("xnli", "mnli+squad", "test", [0])
    assert list(made["languages"]) == ["en", "de", "sw", "zh"]
    scores = {code: cell["score"] for code, cell in made["languages"].items()}
    assert made["mean"] == pytest.approx(sum(scores.values()) / 4, abs=0.01)
    assert made["mean_without_source"] == pytest.approx((sum(scores.values()) - scores["en"]) / 3, abs=0.01)
    assert made["transfer_gap"] == pytest.approx(scores["en"] - made["mean_without_source"], abs=0.011)
    for cell in made["languages"].values():
        assert cell["delta"] == pytest.approx(cell["score"] - cell["baseline"], abs=0.011)
        assert cell["interval"][0] <= cell["delta"] <= cell["interval"][1]
        assert cell["deviation"] is None
    assert len(made["artifacts"]) == len(made["baseline_artifacts"]) == 1
    assert made["artifact"] == made["artifacts"][0]


def test_the_same_call_again_trains_and_evaluates_nothing(world: World) -> None:
    again = document("compose", *world.fusion)
    assert {stage["state"] for stage in again["stages"]} == {"reused"}
    assert len(again["stages"]) == 6
    before = world.made["fusion"]
    assert {key: value for key, value in again.items() if key != "stages"} == {
        key: value for key, value in before.items() if key != "stages"
    }


def test_no_intermediate_task_has_no_baseline(world: World) -> None:
    made = world.made["tags"]
    assert made["baseline_artifacts"] == []
    assert {cell["delta"] for cell in made["languages"].values()} == {None}
    assert "baseline_scores" not in made["languages"]["en"]
    assert list(made["languages"]["en"]["scores"]) == ["f1", "precision", "recall", "token_accuracy"]


def test_sentence_retrieval_trains_nothing_and_tells_its_layers(world: World) -> None:
    command = ("compose", "mnli", "--target", "tatoeba", *world.options, "--max-length", 64)
    made = document("compose", *command)
    assert (made["metric"], made["mean"] > 50) == ("accuracy", True)
    assert made["artifact"] == world.artifact("mnli")
    assert set(made["layers"]) == {"composition", "baseline"}
    shown = call(*command).stdout
    layer = made["layers"]["composition"]["chosen"]["de"]
    assert f"Layer of the composition: {layer} (chosen: the other languages)." in shown
    assert shown.count("mean by layer  0: ") == 2
    listed = document("runs", "runs", "--store", world.store, "--kind", "evaluation")
    assert {"mnli.tatoeba.test", "none.tatoeba.test"} <= {item["name"] for item in listed}
    fixed = document("compose", *command[:4], *world.options, "--max-length", 64, "--layer", 1, "--languages", "ru")
    assert fixed["layers"]["baseline"]["chosen"] == {"ru": 1}
    says = refused("compose", "mnli+squad", *command[2:])
    assert "Name one adapter: 'mnli' or 'squad'" in says


def test_several_seeds_have_a_deviation(world: World) -> None:
    made = document("compose", *world.fusion, "--seeds", "0,1", "--max-eval-examples", "15")
    assert made["seeds"] == [0, 1]
    assert len(made["artifacts"]) == len(made["baseline_artifacts"]) == len(made["evaluations"]) == 2
    cells = [*made["languages"].values(), *made["summary"].values()]
    assert all(isinstance(cell["deviation"], float) for cell in cells)
    assert any(cell["deviation"] > 0 for cell in cells)
    assert {cell["examples"] for cell in made["languages"].values()} == {15}


def test_evaluating_finds_the_baseline(world: World) -> None:
    made = document(
        "evaluate", "evaluate", world.artifact("fusion"), "--data-root", world.mirror, "--store", world.store
    )
    assert {stage["state"] for stage in made["stages"]} == {"reused"}
    before = world.made["fusion"]
    assert {key: value for key, value in made.items() if key != "stages"} == {
        key: value for key, value in before.items() if key != "stages"
    }


def test_evaluating_one_language_of_an_intermediate_adapter(world: World) -> None:
    made = document(
        "evaluate", "evaluate", world.artifact("squad"), "--data-root", world.mirror, "--store", world.store
    )
    assert (made["split"], list(made["languages"])) == ("validation", ["en"])
    assert (made["mean_without_source"], made["transfer_gap"]) == (None, None)
    assert made["summary"] == {
        "mean": {"score": made["mean"], "baseline": None, "delta": None, "interval": None, "deviation": None},
        "mean_without_source": None,
        "transfer_gap": None,
    }


def test_fetching_tells_what_it_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    from adapterstilts.data.sources import MissingConfigError
    from adapterstilts.studies import fetching

    def load_split(source: Any, language: str, root: None) -> range:
        if language == "th":
            raise MissingConfigError("no Thai")
        return range(5)

    monkeypatch.setattr(fetching, "hub_reachable", lambda: True)
    monkeypatch.setattr(fetching, "load_split", load_split)
    fetched = document("fetch", "fetch", "panx", "mnli", "--languages", "th,de")
    assert {item["kind"] for item in fetched} == {"data", "missing"}
    assert {"kind": "data", "id": "nyu-mll/glue mnli train", "detail": "5 rows"} in fetched
    shown = call("fetch", "panx", "mnli", "--languages", "th,de").stdout
    assert all(item["id"] in shown for item in fetched)


# Messages, tables, files


def test_messages_go_to_stderr(world: World, options: tuple[str, ...]) -> None:
    result = call("compose", "none", "--target", "xnli", *options, *TINY, "--json")
    validate(json.loads(result.stdout), "compose")
    assert "60 training rows, 20 validation rows" in result.stderr
    assert re.search(r"Training xnli\S*: 3/3", result.stderr)
    assert "Evaluating xnli.none in 4 languages: 84/84" in result.stderr
    assert "Warning" not in result.stderr


def test_the_table_has_the_documents_numbers(world: World) -> None:
    result = call(*world.fusion)
    made = world.made["fusion"]
    rows = {line.split("│")[1].strip(): line for line in result.stdout.splitlines() if line.count("│") > 3}
    assert set(rows) == {
        "English (en), source",
        "German (de)",
        "Swahili (sw)",
        "Chinese (zh)",
        "mean, all languages",
        "mean without English",
        "transfer gap",
    }
    for code, label in (("en", "English (en), source"), ("sw", "Swahili (sw)")):
        cell = made["languages"][code]
        for value in (f"{cell['score']:.1f}", f"{cell['baseline']:.1f}", f"{cell['delta']:+.1f}"):
            assert value in rows[label]
    assert f"{made['mean']:.1f}" in rows["mean, all languages"]
    assert f"Not in the data: {', '.join(made['missing_languages'])}." in result.stdout
    assert f"Artifact: {made['artifact']}" in result.stdout
    assert "nothing, all was in the store" in result.stderr


def test_lines_for_people_on_a_trained_adapter(world: World) -> None:
    shown = call("train-intermediate", "mnli", *world.options, *TINY).stdout
    made = world.made["mnli"]
    assert f"{made['artifact']} was trained before." in shown
    assert f"accuracy {made['metrics']['validation']['accuracy']:.2f} (step 3 of 3)" in shown
    assert made["path"] in shown


def test_the_table_as_csv(world: World, tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    made = document("compose", *world.fusion, "--csv", target)
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    numbers = ["rows", "accuracy", "deviation", "baseline", "delta", "low", "high", "distance"]
    assert list(rows[0]) == ["language", *numbers]
    by_name = {row["language"]: row for row in rows}
    assert list(by_name) == [*made["languages"], "mean", "mean_without_source", "transfer_gap"]
    for name, cell in {**made["languages"], **made["summary"]}.items():
        low, high = cell["interval"] or ("", "")
        expected = [cell.get("examples", ""), cell["score"], "", cell["baseline"], cell["delta"], low, high, ""]
        assert [by_name[name][column] for column in numbers] == [str(value) for value in expected]


@pytest.mark.parametrize("name", ["missing/table.csv", ".", "file/table.csv"])
def test_a_csv_that_cannot_be_written_is_told_before_training(
    name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    told = refused(
        *("compose", "none", "--target", "xnli", *options, *TINY, "--csv", tmp_path / name), store=tmp_path / "store"
    )
    assert "--csv" in told
    assert str(tmp_path) in told


def test_variables_stand_in_for_options(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERSTILTS_BACKBONE", str(world.backbone))
    monkeypatch.setenv("ADAPTERSTILTS_DATA_ROOT", str(world.mirror))
    monkeypatch.setenv("ADAPTERSTILTS_HOME", str(world.store))
    again = document("train_intermediate", "train-intermediate", "squad", *TINY)
    assert (again["artifact"], again["reused"]) == (world.artifact("squad"), True)


# Start, help, faults of ours

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
    calls += [[command, "--help"] for command in COMMANDS]
    result = subprocess.run(
        [sys.executable, "-c", LIGHT_START, json.dumps(calls)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"ADAPTERSTILTS_HOME": str(tmp_path)},
    )
    told = json.loads(result.stdout)
    assert {name: heavy for name, (heavy, _) in told.items() if heavy} == {}
    assert all(command in told["--help"][1] for command in COMMANDS)
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


# Mistakes in the call


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        # Names
        (("compose", "squd", "--target", "xnli"), "Did you mean 'squad'?"),
        (("compose", "mnli", "--target", "xnly"), "Did you mean 'xnli'?"),
        (("compose", "tydiqa", "--target", "xnli"), "'tydiqa' is a target task"),
        (("compose", "mnli", "--target", "squad"), "'squad' is an intermediate task"),
        (("train-intermediate", "xnli"), "'xnli' is a target task"),
        (("train-intermediate", "squd"), "Did you mean 'squad'?"),
        (("compose", "mnli", "--target", "xnli", "--languages", "xx"), "There is no language code 'xx'"),
        (("compose", "mnli", "--target", "xnli", "--languages", "German"), "The code of German is de."),
        (("compose", "mnli", "--target", "xnli", "--languages", "en,ja"), "There is no language of 'xnli' (test) 'ja'"),
        (("compose", "mnli", "--target", "xnli", "--languages", ","), "language"),
        (("compose", "mnli", "--target", "xnli", "--languages", "th"), "Thai"),
        (("compose", "mnli", "--target", "xnli", "--adapter", "seq_nb"), "Did you mean 'seq_bn'?"),
        (("train-intermediate", "mnli", "--adapter", "nonsense"), "There is no adapter configuration 'nonsense'"),
        (("compose", "mnli", "--target", "xnli", "--split", "dev"), "no split 'dev'"),
        (("compose", "mnli", "--target", "xnli", "--use", "nothing"), "There is no artifact 'nothing'"),
        (("evaluate", "nothing"), "There is no artifact 'nothing'"),
        # Expressions
        (("compose", "", "--target", "xnli"), "The expression is empty"),
        (("compose", "mnli+", "--target", "xnli"), "a task name after '+' is expected here"),
        (("compose", "+mnli", "--target", "xnli"), "a task name is expected here"),
        (("compose", "mnli squad", "--target", "xnli"), "only '+' joins adapters"),
        (("compose", "mnli+mnli", "--target", "xnli"), "a second time"),
        (("compose", "none+mnli", "--target", "xnli"), "'none' means no intermediate task"),
        (("compose", "avg(mnli,squad)", "--target", "xnli"), "only '+' joins adapters"),
        (("compose", "MNLI", "--target", "xnli"), "a task name is expected here"),
        (("compose", "[bold]mnli[/]", "--target", "xnli"), "[bold]mnli[/]"),
        # Settings
        (("train-intermediate", "mnli", "--epochs", "0"), "--epochs must be above 0"),
        (("train-intermediate", "mnli", "--learning-rate", "-1"), "--learning-rate must be"),
        (("train-intermediate", "mnli", "--max-length", "4"), "--max-length 4 leaves no room"),
        (("train-intermediate", "mnli", "--max-length", "129"), "give at most 128"),
        (("train-intermediate", "squad"), "give at most 128"),
        (("train-intermediate", "mnli", "--precision", "fp16"), "one of fp32, bf16"),
        (("train-intermediate", "mnli", "--epochs", "0", "--batch-size", "0"), "--batch-size must be"),
        (("train-intermediate", "mnli", "--adapter", "prefix_tuning", "--reduction-factor", "4"), "reduction factor"),
        (("compose", "mnli", "--target", "xnli", "--seeds", "a"), "--seeds 'a'"),
        (("compose", "mnli", "--target", "xnli", "--seeds", "0,-1"), "--seeds '0,-1'"),
        (("compose", "mnli", "--target", "xnli", "--seeds", "0,0"), "--seeds names a seed twice"),
        (("compose", "mnli", "--target", "xnli", "--seeds", ","), "--seeds is empty"),
        (("compose", "mnli", "--target", "xnli", "--max-eval-examples", "0"), "--max-eval-examples must be"),
        (("compose", "none", "--target", "panx", "--adapter", "prompt_tuning"), "is prompt tuning"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(
    arguments: tuple[str, ...], says: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    extra = options if arguments[0] != "evaluate" else options[2:]
    told = refused(*arguments, *extra, store=tmp_path / "store")
    assert told.startswith("Error: ")
    assert says in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("train-intermediate", "mnli", "--seed", "-1"),
        ("train-intermediate", "mnli", "--seed", "4294967296"),
        ("compose", "none", "--target", "xnli", "--seeds", "4294967296"),
        ("train-intermediate", "mnli", "--sample-seed", "-1", "--max-train-examples", "5"),
        ("train-intermediate", "mnli", "--epochs", "inf"),
        ("train-intermediate", "mnli", "--reduction-factor", "inf"),
        ("train-intermediate", "mnli", "--report-to", "nonsense"),
    ],
)
def test_values_that_break_a_library_are_mistakes_too(
    arguments: tuple[str, ...], options: tuple[str, ...], tmp_path: Path
) -> None:
    assert refused(*arguments, *options, store=tmp_path / "store").startswith("Error: ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("train",), "No such command"),
        (("compose", "mnli"), "--target"),
        (("train-intermediate",), "Missing argument"),
        (("train-intermediate", "mnli", "--epochs", "many"), "'--epochs'"),
        (("train-intermediate", "mnli", "--steps", "1.5"), "'--steps'"),
        (("train-intermediate", "mnli", "--epoch", "3"), "--epoch"),
        (("predict", "x", "--batch-size", "0"), "--batch-size"),
        (("tasks", "--kind", "targets"), "target"),
        (("languages", "--task", "xnly"), "xnli"),
        (("fetch",), "Name a task or --model"),
        (("fetch", "nonsense"), "nonsense"),
        (("fetch", "mnli"), "HF_HUB_OFFLINE"),
    ],
)
def test_calls_that_make_no_sense(arguments: tuple[str, ...], says: str) -> None:
    assert says in refused(*arguments)


def test_adapters_that_may_not_be_trained_are_named_with_the_command(
    options: tuple[str, ...], world: World, tmp_path: Path
) -> None:
    told = refused(
        *("compose", "mnli+squad", "--target", "xnli", "--no-train", *options, *TINY), store=tmp_path / "store"
    )
    for task in ("mnli", "squad"):
        assert f"`adapterstilts train-intermediate {task} --backbone {world.backbone}`" in told


def test_an_adapter_that_is_not_asked_for_is_refused(world: World) -> None:
    told = refused(
        *("compose", "mnli", "--target", "xnli", *world.options, *TINY, "--use", world.artifact("squad")),
        store=world.store,
    )
    assert "which 'mnli' does not name" in told


def test_the_beginning_of_several_ids_is_not_enough(world: World) -> None:
    for command in (("evaluate", "xnli", "--data-root", world.mirror), ("predict", "xnli"), ("runs", "xnli")):
        told = refused(*command, "--store", world.store, store=world.store, given="")
        assert "'xnli' fits" in told
        assert world.artifact("fusion") in told


def test_predictions_are_no_adapter(world: World) -> None:
    evaluation = world.made["fusion"]["evaluations"][0]
    for command in (("evaluate", evaluation, "--data-root", world.mirror), ("predict", evaluation)):
        assert "is of kind 'evaluation'" in refused(*command, "--store", world.store, store=world.store, given="")


@pytest.mark.parametrize("option", ["--batch-size", "--max-eval-examples"])
def test_evaluating_takes_at_least_one(option: str, world: World) -> None:
    told = refused(
        *("evaluate", world.artifact("fusion"), "--data-root", world.mirror, "--store", world.store, option, "0")
    )
    assert option in told


# Faults of data, backbone, store


@pytest.fixture
def mirror(world: World, tmp_path: Path, own_cache: Path) -> Path:
    """A copy of the mirror, to be damaged."""
    assert not own_cache.exists()
    return Path(shutil.copytree(world.mirror, tmp_path / "hub"))


MNLI = "nyu-mll/glue"


def empty(folder: Path) -> None:
    (folder / "mnli" / "train-00000-of-00001.parquet").write_bytes(b"")


def truncated(folder: Path) -> None:
    path = folder / "mnli" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:500])


def no_rows(folder: Path) -> None:
    from datasets import Dataset

    path = folder / "mnli" / "train-00000-of-00001.parquet"
    table = Dataset.from_parquet(str(path), cache_dir=str(folder.parent / "cache"))
    table.select([]).to_parquet(str(path))


def no_column(folder: Path) -> None:
    from datasets import Dataset

    for path in (folder / "mnli").glob("*.parquet"):
        table = Dataset.from_parquet(str(path), cache_dir=str(folder.parent / "cache"))
        table.remove_columns("hypothesis").to_parquet(str(path))


def no_file(folder: Path) -> None:
    (folder / "mnli" / "train-00000-of-00001.parquet").unlink()


def no_config(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(text.replace("config_name: mnli", "config_name: cola"), encoding="utf-8")


def broken_readme(folder: Path) -> None:
    (folder / "README.md").write_text("---\nconfigs: [\n---\n", encoding="utf-8")


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (empty, "glue' (mnli, train)"),
        (truncated, "glue' (mnli, train)"),
        (no_rows, "glue' (mnli, train)"),
        (no_column, "'hypothesis'"),
        (no_file, "glue"),
        (no_config, "has no configuration 'mnli'"),
        (broken_readme, "glue"),
        (no_folder, "has no folder 'nyu-mll/glue'"),
    ],
)
@pytest.mark.parametrize("command", ["train-intermediate", "compose"])
def test_damaged_data_is_told_by_its_name(
    damage: Callable[[Path], None], says: str, command: str, mirror: Path, world: World, tmp_path: Path
) -> None:
    damage(mirror / MNLI)
    what = ("mnli",) if command == "train-intermediate" else ("none", "--target", "xnli")
    told = refused(
        *(command, *what, "--backbone", world.backbone, "--data-root", mirror, "--store", tmp_path / "store", *TINY),
        store=tmp_path / "store",
    )
    assert told.startswith("Error: ")
    assert says in told


def test_data_that_lacks_the_languages_asked_for(mirror: Path, world: World, tmp_path: Path) -> None:
    told = refused(
        *("compose", "none", "--target", "panx", "--languages", "de,fi", "--backbone", world.backbone),
        *("--data-root", mirror, "--store", tmp_path / "store", *TINY),
        store=tmp_path / "store",
    )
    assert "PAN-X.fi" in told


@pytest.mark.parametrize("root", ["missing", "file"])
def test_a_data_root_that_is_no_folder(root: str, world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = refused(
        *("train-intermediate", "mnli", "--backbone", world.backbone, "--data-root", tmp_path / root),
        *("--store", tmp_path / "store"),
        store=tmp_path / "store",
    )
    assert f"'{tmp_path / root}' (--data-root) is not a folder" in told


@pytest.mark.parametrize(
    ("gone", "says"),
    [("config.json", "config.json"), ("model.safetensors", "weights"), ("tokenizer*", "tokenizer"), ("*", "config")],
)
def test_a_backbone_that_is_not_whole(gone: str, says: str, world: World, tmp_path: Path) -> None:
    shutil.copytree(world.backbone, tmp_path / "backbone")
    for path in (tmp_path / "backbone").glob(gone):
        path.unlink()
    told = refused(
        *("train-intermediate", "mnli", "--backbone", tmp_path / "backbone", "--data-root", world.mirror),
        *("--store", tmp_path / "store", *TINY),
        store=tmp_path / "store",
    )
    assert str(tmp_path / "backbone") in told
    assert says in told


def test_a_store_that_cannot_be_written(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for what in (("train-intermediate", "mnli"), ("compose", "mnli+squad", "--target", "xnli")):
        told = refused(*what, *world.options[:-1], tmp_path / "file" / "store", *TINY)
        assert f"'{tmp_path / 'file' / 'store'}' cannot be written" in told
        assert "ADAPTERSTILTS_HOME" in told
        assert "Training" not in told
    artifact = world.store / "artifacts" / "target" / world.artifact("fusion")
    told = refused("evaluate", artifact, "--data-root", world.mirror, "--store", tmp_path / "file" / "store")
    assert "cannot be written" in told


WITHOUT_NETWORK = """
import sys, time
import adapters, datasets, evaluate, torch, transformers
from adapterstilts.cli import main
started = time.perf_counter()
try:
    main()
finally:
    print(f"\\nseconds {time.perf_counter() - started:.2f}", file=sys.stderr)
"""


@pytest.mark.parametrize("what", ["data", "backbone"])
def test_without_network_and_mirror_the_ways_out_are_told_quickly(what: str, world: World, tmp_path: Path) -> None:
    backbone = ("--backbone", str(world.backbone)) if what == "data" else ()
    root = ("--data-root", str(world.mirror)) if what == "backbone" else ()
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    result = subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_NETWORK, "compose", "squad", "--target", "tydiqa", *backbone, *root),
            *("--store", str(tmp_path / "store")),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=environment
        | {
            "HF_ENDPOINT": "http://127.0.0.1:9",  # the discard port: nobody answers
            "HF_HOME": str(tmp_path / "hf"),
            "HF_DATASETS_CACHE": str(tmp_path / "datasets"),
        },
    )
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert "cannot be reached" in result.stderr
    assert "adapterstilts fetch" in result.stderr
    if what == "data":
        assert "--data-root" in result.stderr
        assert "google/xtreme" in result.stderr
    else:
        assert "xlm-roberta-base" in result.stderr
        assert "--backbone" in result.stderr
        assert "--data-root" not in result.stderr, "a mirror of data sets has no backbones"
    assert float(result.stderr.rsplit("seconds ", 1)[1]) < 5
    assert kept_in(tmp_path / "store") == []


# predict


def predicted(world: World, name: str, *rows: Any, given: bool = True) -> list[dict[str, Any]]:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    result = call("predict", world.artifact(name), "--store", world.store, given=text)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_rows_from_stdin_are_answered_in_their_order(world: World) -> None:
    rows = [NLI_ROW | {"id": name} for name in ("b", "a", "c")]
    told = predicted(world, "fusion", *rows)
    assert [item["id"] for item in told] == ["b", "a", "c"]
    for item in told:
        assert set(item) == {"id", "answer", "score"}
        assert item["answer"] in ("entailment", "neutral", "contradiction")
        assert 1 / 3 <= item["score"] <= 1


def test_rows_from_a_file_and_answers_to_a_file(world: World, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(NLI_ROW) + "\n\n" + json.dumps(NLI_ROW), encoding="utf-8")
    base = ("predict", world.artifact("fusion"), tmp_path / "rows.jsonl", "--store", world.store)
    shown = call(*base)
    written = call(*base, "--output", tmp_path / "answers.jsonl")
    assert written.stdout == ""
    assert "2 answers written" in written.stderr
    assert (tmp_path / "answers.jsonl").read_text(encoding="utf-8") == shown.stdout
    assert [json.loads(line)["id"] for line in shown.stdout.splitlines()] == ["1", "3"]


def test_names_of_the_data_set_are_taken(world: World) -> None:
    row = {"premise": NLI_ROW["text"], "hypothesis": NLI_ROW["text_pair"]}
    assert predicted(world, "fusion", row) == predicted(world, "fusion", NLI_ROW)


def test_every_format_is_answered(world: World) -> None:
    (choice,) = predicted(world, "hellaswag", {"ctx": "the cat", "endings": ["a", "b", "", "d"]})
    assert choice["answer"] in range(4)
    context = "the big house near water"
    (span,) = predicted(world, "squad", {"question": "Who sings on a green river ?", "context": context})
    assert span["answer"] in context
    (tags,) = predicted(world, "tags", {"tokens": ["Anna", "", "Berlin"]})
    assert len(tags["answer"]) == 3
    assert tags["score"] is None


def test_texts_are_written_as_they_are(world: World) -> None:
    context = "猫 Ähre – 😀"
    result = call(
        *("predict", world.artifact("squad"), "--store", world.store),
        given=json.dumps({"id": "ü", "question": "猫 ?", "context": context}),
    )
    assert '"id": "ü"' in result.stdout
    assert "\\u" not in result.stdout
    assert json.loads(result.stdout)["answer"] in context


def test_separators_within_a_text_do_not_end_the_line(world: World, tmp_path: Path) -> None:
    """JSON allows these characters as they are; only a newline ends a line of JSON lines."""
    rows = [{"id": "1", "text": f"a{sign}b", "text_pair": "c"} for sign in ("\u2028", "\u2029", "\x85")]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    base = ("predict", world.artifact("fusion"), "--store", world.store)
    assert len(call(*base, given=text).stdout.splitlines()) == 3
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    assert len(call(*base[:2], tmp_path / "rows.jsonl", *base[2:]).stdout.splitlines()) == 3


def test_answers_can_be_written_where_the_terminal_has_few_characters(world: World, tmp_path: Path) -> None:
    """As where output is piped on a machine whose own encoding is not UTF-8."""
    (tmp_path / "rows").write_text(json.dumps(NLI_ROW | {"id": "猫"}), encoding="utf-8")
    arguments = ["predict", world.artifact("fusion"), str(tmp_path / "rows"), "--store", str(world.store)]
    result = CliRunner(charset="latin-1").invoke(app, arguments)
    assert result.exception is None
    assert json.loads(result.stdout_bytes.decode("utf-8"))["id"] == "猫"


def test_faulty_lines_are_all_named(world: World) -> None:
    lines = [json.dumps(NLI_ROW), "{", json.dumps(NLI_ROW), '{"text": "alone"}', "7"]
    told = refused("predict", world.artifact("fusion"), "--store", world.store, given="\n".join(lines))
    assert [line.split(":")[0].strip() for line in told.splitlines()[1:]] == ["line 2", "line 4", "line 5"]


def test_a_wrong_number_of_choices_is_named(world: World) -> None:
    row = json.dumps({"text": "a", "choices": ["a", "b"]})
    told = refused("predict", world.artifact("hellaswag"), "--store", world.store, given=row)
    assert "line 1: 'choices' has 2 entries; 'hellaswag' takes 4" in told


def test_nothing_to_answer_is_answered_by_nothing(world: World) -> None:
    assert call("predict", world.artifact("fusion"), "--store", world.store, given="\n \n").stdout == ""


def test_input_that_is_no_text_is_told(world: World, tmp_path: Path) -> None:
    base = ("predict", world.artifact("fusion"), "--store", world.store)
    (tmp_path / "rows").write_bytes(b"\xff\xfe\x00")
    assert str(tmp_path / "rows") in refused(*base[:2], tmp_path / "rows", *base[2:])
    assert "cannot be read" in refused(*base[:2], tmp_path / "missing", *base[2:])
    assert "cannot be read" in refused(*base[:2], tmp_path, *base[2:])
    assert "cannot be read" in refused(*base, given=b"\xff\xfe\x00")


@pytest.mark.parametrize("name", ["missing/answers", "."])
def test_an_output_that_cannot_be_written_is_told(name: str, world: World, tmp_path: Path) -> None:
    told = refused(
        *("predict", world.artifact("fusion"), "--store", world.store, "--output", tmp_path / name),
        given=json.dumps(NLI_ROW),
    )
    assert "--output" in told


def test_a_backbone_that_moved_can_be_named(world: World, tmp_path: Path) -> None:
    moved = shutil.copytree(world.backbone, tmp_path / "moved")
    base = ("predict", world.artifact("fusion"), "--store", world.store)
    told = call(*base, "--backbone", moved, given=json.dumps(NLI_ROW)).stdout
    assert told == call(*base, given=json.dumps(NLI_ROW)).stdout
    (Path(moved) / "config.json").write_text(
        json.dumps(json.loads((Path(moved) / "config.json").read_text()) | {"layer_norm_eps": 0.1})
    )
    told = refused(*base, "--backbone", moved, given=json.dumps(NLI_ROW))
    assert str(moved) in told
    assert str(world.backbone) in told


# runs


def test_artifacts_of_each_kind_fit_the_schema(world: World) -> None:
    listed = document("runs", "runs", "--store", world.store)
    assert {item["kind"] for item in listed} == {"intermediate", "target", "evaluation"}
    assert [item["created"] for item in listed] == sorted(item["created"] for item in listed)
    for kind in ("intermediate", "target", "evaluation"):
        some = document("runs", "runs", "--store", world.store, "--kind", kind)
        assert some == [item for item in listed if item["kind"] == kind]
        assert document("runs", "runs", some[0]["id"], "--store", world.store) == some[0]


def test_the_list_names_each_artifact(world: World) -> None:
    shown = call("runs", "--store", world.store).stdout
    for name in ("mnli", "squad", "hellaswag", "fusion", "tags"):
        assert world.artifact(name) in shown


def test_one_artifact_by_the_end_of_its_id(world: World) -> None:
    artifact = world.artifact("fusion")
    assert json.loads(call("runs", artifact.rsplit("-", 1)[1], "--store", world.store).stdout)["id"] == artifact


def test_an_empty_store_is_no_mistake(tmp_path: Path) -> None:
    assert document("runs", "runs", "--store", tmp_path / "nowhere") == []
    result = call("runs", "--store", tmp_path / "nowhere")
    assert result.stdout == ""
    assert "is empty" in result.stderr
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "manifest",
    ["", "{", "[]", '{"format_version": 1}', "\x00", json.dumps({"format_version": 99, "kind": "target", "id": "x"})],
)
def test_damage_in_the_store_is_no_mistake(manifest: str, world: World, tmp_path: Path) -> None:
    home = tmp_path / "store"
    shutil.copytree(world.store / "artifacts" / "intermediate", home / "artifacts" / "intermediate")
    before = document("runs", "runs", "--store", home)
    damaged = home / "artifacts" / "intermediate" / world.artifact("mnli")
    (damaged / "manifest.json").write_text(manifest, encoding="utf-8")
    half = home / "tmp" / "squad-0123456789ab.77.cafe"
    (half / "adapters").mkdir(parents=True)
    (half / "adapters" / "squad.safetensors").write_bytes(b"half")
    (home / "artifacts" / "target" / "without-0123456789ab").mkdir(parents=True)
    (home / "artifacts" / "stray.txt").write_text("")
    after = document("runs", "runs", "--store", home)
    assert after == [item for item in before if item["id"] != world.artifact("mnli")]
    assert world.artifact("squad") in call("runs", "--store", home).stdout


def test_an_unknown_kind_is_a_mistake(world: World) -> None:
    assert "kind" in refused("runs", "--kind", "targets", "--store", world.store)


def test_an_unknown_artifact_gets_the_nearest_id_back(world: World) -> None:
    artifact = world.artifact("fusion")
    told = refused("runs", artifact[:-1] + ("0" if artifact[-1] != "0" else "1"), "--store", world.store)
    assert f"Did you mean '{artifact}'?" in told


def test_a_tampered_artifact_is_told_by_its_file(world: World, tmp_path: Path) -> None:
    home = Path(shutil.copytree(world.store, tmp_path / "store"))
    (found,) = Store(home).all("target", lambda item: item.id == world.artifact("fusion"))
    path = found.path / "head.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    told = refused("predict", found.id, "--store", home, given=json.dumps(NLI_ROW))
    assert str(path) in told
    labels: Mapping[str, Any] = json.loads((found.path / "manifest.json").read_text()) | {"labels": ["a", "b", "c"]}
    (found.path / "manifest.json").write_text(json.dumps(labels))
    told = refused("predict", found.id, "--store", home, given=json.dumps(NLI_ROW))
    assert "Label 0" in told


def test_validation_rows_are_evaluation_rows_to_who_trains_an_intermediate_task(world: World, tmp_path: Path) -> None:
    common = ("train-intermediate", "mnli", "--backbone", world.backbone, "--data-root", world.mirror, *TINY)
    told = [
        document("train_intermediate", *common, "--store", tmp_path / "store", option, 7)
        for option in ("--max-validation-examples", "--max-eval-examples")
    ]
    assert [item["settings"]["max_validation_examples"] for item in told] == [7, 7]
    assert [item["reused"] for item in told] == [False, True]
