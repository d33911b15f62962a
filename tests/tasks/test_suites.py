"""Suites: worlds of one shape; the lab's tasks follow from the catalogue."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from marks import every_task

from adapterstilts.errors import UnknownNameError
from adapterstilts.tasks.catalogue import TASKS, XTREME_R_TASKS
from adapterstilts.tasks.languages import LANGUAGES, parse_languages
from adapterstilts.tasks.spec import TaskSpec, base_suite
from adapterstilts.tasks.suites import SUITES, get_suite, lab_task


def test_xtreme_is_the_catalogue() -> None:
    suite = get_suite()
    assert suite == get_suite("xtreme")
    assert (suite.backbone, suite.source_language) == ("xlm-roberta-base", "en")
    assert (suite.tasks, suite.typology) == (TASKS, {})
    codes = {code for task in TASKS.values() for code in task.languages}
    assert set(suite.languages) == {code for code in codes if "-" not in code}, "pairs are no languages"
    assert suite.languages.items() <= LANGUAGES.items()
    assert {(task.suite, task.source_language, task.suite_option) for task in suite.tasks.values()} == {
        ("xtreme", "en", "")
    }
    assert suite.distance("de") is None
    assert suite.by_distance(("de", "en", "af")) == ("en", "de", "af")


def test_xtreme_r_stands_beside_xtreme() -> None:
    suite, xtreme = get_suite("xtreme-r"), get_suite()
    assert (suite.backbone, suite.source_language, suite.typology) == ("xlm-roberta-base", "en", {})
    assert (suite.tasks, set(suite.languages)) == (XTREME_R_TASKS, set(LANGUAGES))
    assert {(task.suite, task.suite_option) for task in suite.tasks.values()} == {("xtreme-r", " --suite xtreme-r")}
    assert {name for name, task in xtreme.tasks.items() if task.kind == "intermediate"} < set(suite.tasks)
    assert [base_suite(name) for name in SUITES] == ["xtreme", "xtreme", "lab"]
    with pytest.raises(UnknownNameError, match=r"no task 'pawsx'.*`adapterstilts tasks --suite xtreme-r`"):
        suite.task("pawsx")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("xtrem", "There is no suite 'xtrem'. Did you mean 'xtreme'?"),
        ("xtreme_r", "There is no suite 'xtreme_r'. Did you mean 'xtreme-r'?"),
        ("Lab", "There is no suite 'Lab'. Did you mean 'lab'?"),
        ("glue", "There is no suite 'glue'. Known: lab, xtreme, xtreme-r."),
    ],
)
def test_a_wrong_suite(name: str, says: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(says)):
        get_suite(name)
    assert tuple(SUITES) == ("xtreme", "xtreme-r", "lab")


@every_task
def test_a_task_of_the_lab_is_one_of_the_catalogue_with_other_rows(task: TaskSpec) -> None:
    made = lab_task(task, ("qaa", "qab"), "qaa")
    if task.format == "language_modelling":
        assert made == replace(task, suite="lab", source_language="qaa", languages=("qaa",)), (
            "the user's text here, too"
        )
        return
    same = ("name", "kind", "format", "title", "choices", "metric", "unanswerable", "trains_on")
    assert all(getattr(made, name) == getattr(task, name) for name in same)
    assert (made.suite, made.source_language, made.suite_option) == ("lab", "qaa", " --suite lab")
    assert made.parallel is (task.kind == "target")
    retrieval = task.format == "retrieval"  # nothing to be found again in the source language
    scored = ("qab",) if retrieval else ("qaa", "qab")
    assert made.note == "", "it would be about the Hub's rows"
    assert made.languages == (scored if task.kind == "target" else ("qaa",))
    if task.labels_file:
        assert len(made.labels) > 10
        assert not made.labels_file
    else:
        assert made.labels == task.labels
    assert made.sources.keys() == task.sources.keys()
    for split, source in made.sources.items():
        assert source.columns == task.sources[split].columns
        assert source.label_aliases == task.sources[split].label_aliases
        assert (source.dataset, source.revision, source.split, source.part) == ("lab", None, split, (0.0, 1.0))
        assert source.config_for("qab") == f"{task.name}.qab"
        assert made.languages_of(split) == (made.languages if split == "test" or retrieval else ("qaa",))


def test_the_lab_has_the_tasks_that_it_has_rows_for(toy_lab: Any) -> None:
    suite = get_suite("lab")
    assert (suite.backbone, suite.source_language) == ("pico", "qaa")
    assert tuple(suite.tasks) == ("mnli", "squad", "mlm", "panx", "tydiqa")
    assert suite.task("squad", "intermediate").suite == "lab"
    with pytest.raises(UnknownNameError, match=r"no task 'udpos'.*`adapterstilts tasks --suite lab`"):
        suite.task("udpos")
    with pytest.raises(UnknownNameError, match="target tasks are: panx, tydiqa"):
        suite.task("mnli", "target")


def test_the_languages_of_the_lab_by_their_distance(toy_lab: Any) -> None:
    suite = get_suite("lab")
    assert suite.by_distance(suite.languages) == ("qaa", "qac", "qab")
    assert suite.by_distance(("qab", "qac")) == ("qac", "qab")
    assert [suite.distance(code) for code in suite.languages] == [0.0, 0.5, 0.25]
    assert suite.typology["qab"].differences == ("order", "cases")
    assert suite.typology["qac"].differences == ("cases",)
    assert [suite.typology[code].seen for code in suite.languages] == [True, False, True]
    assert (suite.language("qab").name, suite.language("qab").family) == ("Far", "lab:toy")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("de", "There is no language code 'de'. Known: qaa, qab, qac."),
        ("far", "The code of Far is qab."),
        ("qad", "There is no language code 'qad'. Did you mean"),
        (",", "Give 'all' or codes such as 'qaa,qab'."),
    ],
)
def test_a_wrong_language_of_the_lab(text: str, says: str, toy_lab: Any) -> None:
    suite = get_suite("lab")
    with pytest.raises(UnknownNameError, match=re.escape(says)):
        parse_languages(text, tuple(suite.languages), what="'tydiqa'", among=suite.languages)


def test_a_language_of_the_lab_is_none_of_xtreme() -> None:
    with pytest.raises(UnknownNameError, match="no language code 'qaa'"):
        get_suite().language("qaa")
