"""XTREME-R's tasks: the published languages, each from the data set that has it, and all else as in XTREME."""

from __future__ import annotations

import dataclasses

import pytest

from adapterstilts.evaluation.averages import BENCHMARKS
from adapterstilts.tasks.catalogue import TASKS, XTREME_R_TASKS
from adapterstilts.tasks.catalogue.xtreme_r import CHANGED, TARGETS

NUMBERS = {
    "xnli": 15, "xcopa": 11, "udpos": 38, "panx": 48, "xquad": 12, "mlqa": 7, "tydiqa": 9, "tatoeba": 41,
}  # fmt: skip


def test_the_published_numbers_of_languages() -> None:
    targets = {name: task for name, task in XTREME_R_TASKS.items() if task.kind == "target"}
    assert {name: len(targets[name].languages) for name in NUMBERS} == NUMBERS
    for name in NUMBERS:
        languages = targets[name].languages
        assert BENCHMARKS["xtreme-r"].languages[name] == languages == tuple(sorted(languages))
    assert set(targets) == set(TARGETS)
    assert {"pawsx", "bucc"} <= set(TASKS) - set(XTREME_R_TASKS)


@pytest.mark.parametrize("name", XTREME_R_TASKS)
def test_all_but_the_rows_is_as_in_xtreme(name: str) -> None:
    task = XTREME_R_TASKS[name]
    assert task.suite == "xtreme-r"
    if name in CHANGED:
        same = ("kind", "format", "title", "labels", "metric", "parallel", "trains_on", "includes", "citation")
        assert all(getattr(task, field) == getattr(TASKS[name], field) for field in same)
        assert task.sources["test"] != TASKS[name].sources["test"]
        assert set(TASKS[name].languages) < set(task.languages)
    else:
        assert dataclasses.replace(task, suite="xtreme") == TASKS[name]
    if name != "udpos" and "train" in task.sources:
        assert task.sources["train"] == TASKS[name].sources["train"], "adapters are shared"


@pytest.mark.parametrize(
    ("name", "language", "where"),
    [
        ("panx", "de", "google/xtreme PAN-X.de test"),
        ("panx", "qu", "unimelb-nlp/wikiann qu test"),
        ("xquad", "de", "google/xtreme XQuAD.de validation"),
        ("xquad", "ro", "google/xquad xquad.ro validation"),
        ("tatoeba", "zh", "google/xtreme tatoeba.cmn validation"),
        ("tatoeba", "uk", "mteb/tatoeba-bitext-mining ukr-eng test"),
        ("udpos", "de", "izhx/xtreme-r-udpos de test"),
        ("udpos", "wo", "izhx/xtreme-r-udpos wo test"),
    ],
)
def test_where_a_language_comes_from(name: str, language: str, where: str) -> None:
    (part,) = XTREME_R_TASKS[name].source("test").parts(language)
    assert f"{part.dataset} {part.config_for(language)} {part.split}" == where


def test_udpos_is_not_google_xtremes() -> None:
    """That one has Ancient Greek among Greek, Old French among French, and release 2.5."""
    task = XTREME_R_TASKS["udpos"]
    assert {source.dataset for source in task.sources.values()} == {"izhx/xtreme-r-udpos"}
    assert set(task.languages) - set(TASKS["udpos"].languages) == {"lt", "pl", "ro", "uk", "wo"}


def test_what_a_user_has_to_know_is_told() -> None:
    assert "not verified" in XTREME_R_TASKS["udpos"].note
    assert "no commit of it is known" in XTREME_R_TASKS["panx"].note
    assert "compose siqa" in XTREME_R_TASKS["xcopa"].note
