"""Tasks of the user's own: every field of a file gets into the task, and every fault is told with its key."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapterstilts.errors import SettingsError
from adapterstilts.evaluation.metrics import METRICS
from adapterstilts.tasks.catalogue import TASKS
from adapterstilts.tasks.spec import FORMAT_FIELDS, Source, TaskSpec
from adapterstilts.tasks.suites import get_suite, with_tasks
from adapterstilts.tasks.task_files import METRICS_OF, RESERVED, read_task_file

TARGET: dict[str, Any] = {
    "name": "reviews",
    "kind": "target",
    "format": "classification",
    "title": "Mood of reviews",
    "license": "mine",
    "citation": "me",
    "metric": "accuracy",
    "labels": ["negative", "positive"],
    "languages": ["en", "de", "az"],
    "parallel": True,
    "sources": {
        "train": {"file": "rows/train.csv", "columns": {"text": "review", "label": "mood"}, "part": [0, 0.5]},
        "validation": {"file": "rows/train.csv", "columns": {"text": "review", "label": "mood"}, "part": [0.5, 1]},
        "test": {
            "dataset": "somebody/reviews",
            "config": "reviews.{language}",
            "split": "test_2k",
            "revision": "a" * 40,
            "language_from": "config",
            "language_names": {"de": "German"},
            "columns": {"id": "id", "text": "{title} {review}", "label": "mood"},
            "label_aliases": {"0": "negative"},
            "wording": {"x": "y"},
            "more": [
                {
                    "file": "more.{language}.jsonl",
                    "dataset": "mine/more",
                    "obtain": "Ask me.",
                    "language_from": "config",
                    "columns": {"text": "review", "label": "mood"},
                }
            ],
        },
    },
    "settings": {"epochs": 2},
}


def write(folder: Path, given: Any) -> Path:
    file = folder / "own.yaml"
    file.write_text(yaml.safe_dump(given), encoding="utf-8")
    return file


def read(folder: Path, given: Any) -> TaskSpec:
    return read_task_file(write(folder, given), TASKS)


def changed(*change: tuple[str, Any], given: dict[str, Any] = TARGET) -> dict[str, Any]:
    """Return a copy with other values under paths such as ``sources.test.part``; ``...`` takes a key away."""
    value = copy.deepcopy(given)
    for path, new in change:
        *way, last = path.split(".")
        inner = value
        for part in way:
            inner = inner[part]
        if new is ...:
            del inner[last]
        else:
            inner[last] = new
    return value


def test_every_field_gets_into_the_task(tmp_path: Path) -> None:
    task = read(tmp_path, TARGET)
    columns = {"text": "review", "label": "mood"}
    more = Source(
        "mine/more", "default", "test", columns, language_from="config", file="more.{language}.jsonl", obtain="Ask me."
    )
    here = str(tmp_path.resolve())
    assert dict(task.sources) == {
        "train": Source(here, "default", "train", columns, file="rows/train.csv", part=(0.0, 0.5)),
        "validation": Source(here, "default", "validation", columns, file="rows/train.csv", part=(0.5, 1.0)),
        "test": Source(
            "somebody/reviews",
            "reviews.{language}",
            "test_2k",
            {"id": "id", "text": "{title} {review}", "label": "mood"},
            "a" * 40,
            language_from="config",
            language_names={"de": "German"},
            label_aliases={"0": "negative"},
            wording={"x": "y"},
            more=(more,),
        ),
    }
    assert (task.name, task.kind, task.format, task.title) == ("reviews", "target", "classification", "Mood of reviews")
    assert (task.license, task.citation, task.metric, task.parallel) == ("mine", "me", "accuracy", True)
    assert (task.labels, task.languages) == (("negative", "positive"), ("en", "de", "az"))
    assert task.recipe == {"epochs": 2}
    assert task.fields == ("text", "label"), "reviews are single texts"
    assert task.sources["test"].config_for("de") == "reviews.German"
    assert more.file_for("az") == "more.az.jsonl"


def test_every_task_of_the_catalogue_could_be_a_file(tmp_path: Path) -> None:
    """What a spec can say, a file can say: written as YAML, a task comes back as it was."""
    left_out = {"address", "more"}

    def said(source: Source) -> dict[str, Any]:
        usual = Source("", "", "", {})
        given = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(source).items()
            if name not in left_out and value != getattr(usual, name)
        }
        given["columns"] = {
            name: list(column) if isinstance(column, tuple) else column for name, column in source.columns.items()
        }
        return given | ({"more": [said(part) for part in source.more]} if source.more else {})

    for task in TASKS.values():
        parts_elsewhere = task.labels_file or any(source.file for source in task.sources.values())
        if parts_elsewhere or task.candidates is not None or any("-" in code for code in task.languages):
            continue
        if task.format == "language_modelling":  # a file names no text
            continue
        given = {
            "name": f"own_{task.name}",
            "sources": {split: said(source) for split, source in task.sources.items()},
            **{key: getattr(task, key) for key in ("kind", "format", "title", "metric", "license", "citation")},
            **({"note": task.note} if task.note else {}),
            **({"labels": list(task.labels)} if task.labels else {}),
            **({"languages": list(task.languages)} if task.kind == "target" else {}),
            **({"choices": task.choices} if task.choices else {}),
            **({"trains_on": task.trains_on} if task.trains_on else {}),
            **({"includes": list(task.includes)} if task.includes else {}),
            **{key: True for key in ("unanswerable", "parallel") if getattr(task, key)},
        }
        file = tmp_path / f"{task.name}.yaml"
        file.write_text(json.dumps(given), encoding="utf-8")  # JSON is YAML
        own = read_task_file(file, TASKS)
        apart = ("name", "definition", "sizes")  # a file need not say how many rows there are
        again = {name: getattr(own, name) for name in vars(task) if name not in apart}
        assert again == {name: value for name, value in vars(task).items() if name not in apart}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (changed(("name", "Reviews")), "name: 'Reviews' must be small letters"),
        (changed(("name", "xnli")), "name: there is a task 'xnli' already"),
        (changed(("name", "pop")), "name: 'pop' is kept for something else"),
        (changed(("name", "none")), "name: 'none' is kept for something else"),
        (changed(("title", ...)), "title: missing"),
        (changed(("lables", [])), "lables: there is no such key; did you mean 'labels'?"),
        (changed(("suite", "lab")), "suite: there is no such key; "),
        (changed(("kind", "both")), "kind: must be one of intermediate, target, not 'both'"),
        (changed(("format", ["span"])), "format: must be one of classification, multiple_choice, span"),
        (changed(("metric", "squad")), "metric: must be one of accuracy, accuracy_f1, not 'squad'"),
        (changed(("labels", ...)), "labels: missing; classification needs them"),
        (changed(("labels", ["a", "a"])), "labels: must be at least two, each once"),
        (changed(("labels", [0, 1])), "labels[0]: must be a text, not 0; put it in quotes"),
        (changed(("labels", "a b")), "labels: must be a list of texts, not 'a b'"),
        (changed(("metric", "accuracy_f1"), ("labels", ["negative", "b", "c"])), "metric: accuracy_f1 is for two labe"),
        (changed(("languages", ...)), "languages: missing; name the languages of the test rows"),
        (changed(("languages", ["en", "xx"])), "languages[1]: 'xx' is none of af, ar,"),
        (changed(("languages", ["de", "de"])), "languages: names a language twice"),
        (changed(("languages", [False])), "languages[0]: must be a text, not False; put it in quotes"),
        (changed(("choices", 2)), "choices: only the format multiple_choice has them"),
        (changed(("unanswerable", True)), "unanswerable: only the format span"),
        (changed(("unanswerable", "yes")), "unanswerable: must be true or false, not 'yes'"),
        (changed(("trains_on", "mnly")), "trains_on: there is no task 'mnly'; did you mean 'mnli'?"),
        (changed(("trains_on", "mnli")), "trains_on: 'mnli' is a classification task with the labels entailment, neu"),
        (changed(("includes", ["squat"])), "includes[0]: there is no task 'squat'; did you mean 'squad'?"),
        (changed(("settings", [1])), "settings: must be a mapping"),
        (changed(("sources", [])), "sources: must be a mapping of train, validation, test"),
        (changed(("sources.dev", {})), "sources.dev: there is no such key; allowed are train, validation, test"),
        (changed(("sources.train", ...)), "sources.train: missing"),
        (changed(("sources.train", "x.csv")), "sources.train: must be a mapping with columns, and file or dataset"),
        (changed(("sources.train.columns", ...)), "sources.train.columns: missing"),
        (changed(("sources.train.columns", [])), "sources.train.columns: must be a mapping of text, text_pair, label"),
        (changed(("sources.train.columns.label", ...)), "sources.train.columns.label: missing"),
        (changed(("sources.train.columns.tags", "x")), "sources.train.columns.tags: there is no such key"),
        (changed(("sources.train.columns.text", 3)), "sources.train.columns.text: must be the name of a column, not 3"),
        (changed(("sources.train.columns.text", "{a")), "sources.train.columns.text: in braces stand names of columns"),
        (changed(("sources.train.columns.label", "{a}")), "sources.train.columns.label: must be one column, not '{a}'"),
        (changed(("sources.train.columns.text_pair", "b")), "sources: text_pair is a column of some and not of others"),
        (changed(("sources.train.file", "../a.csv")), "sources.train.file: must be a path below the folder"),
        (changed(("sources.train.file", "/etc/a.csv")), "sources.train.file: must be a path below the folder"),
        (changed(("sources.train.file", "a.txt")), "'a.txt' must end in one of .csv, .jsonl, .parquet"),
        (changed(("sources.train.file", "{language}.csv")), "{language} in it goes with language_from: config"),
        (changed(("sources.train.file", "{x}.csv")), "sources.train.file: only {language} may stand in braces"),
        (changed(("sources.train.split", "train")), "sources.train.split: is for data sets of the Hub"),
        (changed(("sources.train.dataset", "lab")), "sources.train.dataset: 'lab' is not a folder below the data root"),
        (changed(("sources.train.dataset", "../x")), "sources.train.dataset: '../x' is not a folder"),
        (changed(("sources.train.part", [0.5, 0.5])), "sources.train.part: must be two shares from 0 to 1"),
        (changed(("sources.train.part", 0.5)), "sources.train.part: must be two shares from 0 to 1"),
        (changed(("sources.train.address", "https://x")), "sources.train.address: there is no such key"),
        (changed(("sources.test.dataset", "http://x")), "sources.test.dataset: 'http://x' is not the id of a data set"),
        (changed(("sources.test.split", ...)), "sources.test.split: missing"),
        (changed(("sources.test.config", "reviews")), "sources.test.config: {language} in it goes with language_from"),
        (changed(("sources.test.revision", "main")), "sources.test.revision: must be a commit of the data set"),
        (changed(("sources.test.obtain", "x")), "sources.test.obtain: is for a file"),
        (changed(("sources.test.language_from", "name")), "sources.test.language_from: must be one of fixed, config"),
        (changed(("sources.test.language_from", "fixed")), "sources.test.language_from: must be one of config, column"),
        (changed(("sources.test.language_from", "id"), ("sources.test.columns.id", ...)), "sources.test.columns.id: m"),
        (changed(("sources.test.language_column", "l")), "sources.test.language_column: goes with language_from: colu"),
        (changed(("sources.test.language_names", {"fr": "x"})), "sources.test.language_names.fr: is none of en, de, a"),
        (changed(("sources.test.language_names", {"en": "x", "de": "x"})), "gives two languages one name"),
        (changed(("sources.test.label_aliases", {"a": "b"})), "sources.test.label_aliases.a: 'b' is none of negative"),
        (changed(("sources.test.wording", {"a": 1})), "sources.test.wording.a: must be a text, not 1; put it in quote"),
        (changed(("sources.test.more", {})), "sources.test.more: must be a list of sources"),
        (changed(("sources.test.more", [{"file": "a.csv", "columns": {"text": "a", "label": "b"}}])), "must be config"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_key(given: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, given)
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"The task file '{tmp_path / 'own.yaml'}' cannot be used:\n- ")


INTERMEDIATE = changed(
    *(("kind", "intermediate"), ("languages", ...), ("sources.test", ...), ("parallel", ...), ("settings", ...))
)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (changed(("languages", ["de"]), given=INTERMEDIATE), "languages: an intermediate task is in the source langua"),
        (changed(("sources.test", {}), given=INTERMEDIATE), "sources.test: a task of this kind has train and validati"),
        (changed(("parallel", True), given=INTERMEDIATE), "parallel: only target tasks"),
        (changed(("trains_on", "rte"), given=INTERMEDIATE), "trains_on: there is no task 'rte'"),
        (changed(("format", "retrieval"), given=INTERMEDIATE), "format: retrieval trains nothing"),
        (changed(("format", "multiple_choice"), given=INTERMEDIATE), "choices: must be the number of choices"),
        (changed(("format", "span"), ("metric", "squad_v2"), given=INTERMEDIATE), "unanswerable: true goes with"),
        (changed(("format", "span"), ("metric", "squad"), given=INTERMEDIATE), "labels: span has none"),
    ],
)  # fmt: skip
def test_what_intermediate_tasks_and_formats_ask_for(given: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, given)
    assert told in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, changed(("name", "X"), ("metric", "f1"), ("sources.train.file", "a.xls"), ("titel", "x")))
    assert [line.split(":")[0] for line in str(caught.value).split("\n")[1:]] == [
        "- titel", "- name", "- metric", "- sources.train.file",
    ]  # fmt: skip


def test_a_target_task_may_train_on_the_rows_of_another(tmp_path: Path) -> None:
    nli = changed(
        *(("trains_on", "mnli"), ("labels", list(TASKS["mnli"].labels)), ("sources.train", ...)),
        *(("sources.validation", ...), ("sources.test.label_aliases", ...), ("sources.test.more", ...)),
        ("sources.test.columns", {"text": "a", "text_pair": "b", "label": "c"}),
    )
    task = read(tmp_path, nli)
    assert {split: task.sources[split] for split in ("train", "validation")} == dict(TASKS["mnli"].sources)
    assert (task.trains_on, task.fields) == ("mnli", ("text", "text_pair", "label"))
    assert task.training_data == {"mnli"}
    single = changed(("sources.test.columns", {"text": "a", "label": "c"}), given=nli)
    with pytest.raises(SettingsError, match="text_pair is a column of some and not of others"):
        read(tmp_path, single)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("title", "Other"), True),
        (("license", "other"), True),
        (("settings", {"epochs": 3}), True),  # stands among the settings of the stage
        (("metric", "accuracy_f1"), False),
        (("sources.test.split", "dev"), False),
        (("sources.train.part", [0, 0.4]), False),
        (("languages", ["en", "de"]), False),
        (("labels", ["positive", "negative"]), False),
    ],
)
def test_the_definition_is_what_decides(change: tuple[str, Any], same: bool, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    one, other = read(tmp_path, TARGET), read(tmp_path / "elsewhere", changed(change))
    assert (one.definition == other.definition) is same
    assert len(one.definition) == 64


def test_suites_have_the_task_inside_the_block_alone(tmp_path: Path) -> None:
    task = read(tmp_path, TARGET)
    with with_tasks([task]):
        suite = get_suite()
        assert suite.task("reviews", "target") is task
        assert suite.language("az").name == "Azerbaijani"
        assert "reviews" not in get_suite("lab").tasks
    assert "reviews" not in get_suite().tasks
    assert "az" not in get_suite().languages


def test_names_that_adapters_cannot_have() -> None:
    from torch.nn import ModuleDict

    # torch's own: other packages add methods to its modules when they are imported
    owners = {name: str(getattr(getattr(ModuleDict, name, None), "__module__", "torch")) for name in dir(ModuleDict())}
    taken = {
        name for name in owners if not name.startswith("_") and name.islower() and owners[name].startswith("torch")
    }
    assert taken <= RESERVED


def test_metrics_of_formats_are_metrics() -> None:
    no_files = {"search", "language_modelling"}
    assert set(METRICS_OF) == set(FORMAT_FIELDS) - no_files
    named: list[str] = [name for names in METRICS_OF.values() for name in names]
    assert set(named) == set(METRICS) - {"map@20", "bucc_pool_f1", "perplexity"}, "those of these formats"
    for task in TASKS.values():
        assert task.format in no_files or task.metric in METRICS_OF[task.format]
