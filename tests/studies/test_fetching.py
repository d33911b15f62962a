"""Fetching: each thing once, what is missing named, and a word on what to do without network."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from adapterstilts.data import network
from adapterstilts.data.sources import MissingConfigError
from adapterstilts.errors import DataUnavailableError, SettingsError, UnknownNameError
from adapterstilts.progress import Reporter
from adapterstilts.studies import fetching
from adapterstilts.studies.fetching import fetch
from adapterstilts.tasks.spec import Source


class Hub:
    """Stands in for the Hub: notes what is asked for, and has no rows in Thai."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.models: list[tuple[str, str | None]] = []

    def load_split(self, source: Source, language: str, root: None) -> range:
        assert root is None
        config = source.config_for(language)
        if config in ("PAN-X.th", "udpos.Thai"):
            raise MissingConfigError(f"no '{config}'")
        self.asked.append((source.dataset, config, source.split))
        return range(7)

    def load_backbone(self, name: str, revision: str | None) -> Any:
        self.models.append((name, revision))
        return SimpleNamespace(identity=SimpleNamespace(id=name, revision=revision or "abc"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    monkeypatch.setattr(fetching, "hub_reachable", lambda: True)
    monkeypatch.setattr(fetching, "load_split", made.load_split)
    monkeypatch.setattr(fetching, "load_backbone", made.load_backbone)
    return made


def test_all_splits_of_a_task_are_fetched(hub: Hub) -> None:
    fetched = fetch(["mnli"])
    assert hub.asked == [("nyu-mll/glue", "mnli", "train"), ("nyu-mll/glue", "mnli", "validation_matched")]
    assert fetched == [
        {"kind": "data", "id": "nyu-mll/glue mnli train", "detail": "7 rows"},
        {"kind": "data", "id": "nyu-mll/glue mnli validation_matched", "detail": "7 rows"},
    ]


def test_candidates_are_fetched_once_and_those_of_one_pool_in_all_languages(hub: Hub) -> None:
    fetch(["bucc_pools"], languages="zh,de")
    assert hub.asked == [("mteb/BUCC", "zh-en", "test"), ("mteb/BUCC", "de-en", "test")]
    hub.asked.clear()
    fetch(["mewslix"], languages="de")
    assert [config for _, config, _ in hub.asked] == ["de", "de", "candidate_entities"]
    hub.asked.clear()
    fetch(["lareqa"], languages="de")
    assert len(hub.asked) == 11


def test_a_target_brings_the_rows_it_is_trained_on(hub: Hub) -> None:
    fetch(["xnli"])
    assert hub.asked == [
        ("nyu-mll/glue", "mnli", "train"),
        ("google/xtreme", "XNLI", "validation"),
        ("google/xtreme", "XNLI", "test"),
    ]


def test_nothing_is_fetched_twice(hub: Hub) -> None:
    """TyDiQA trains and validates on parts of one file; XNLI and MNLI share theirs; names may be repeated."""
    fetch(["tydiqa", "tydiqa", "mnli", "xnli"])
    assert len(hub.asked) == len(set(hub.asked))
    assert [item for item in hub.asked if item[1] == "tydiqa"] == [
        ("google/xtreme", "tydiqa", "train"),
        ("google/xtreme", "tydiqa", "validation"),
    ]


def test_only_the_languages_asked_for_where_each_has_a_configuration(hub: Hub) -> None:
    fetch(["panx"], languages="de,sw")
    configs = {(config, split) for _, config, split in hub.asked}
    assert {config for config, split in configs if split == "test"} == {"PAN-X.de", "PAN-X.sw"}
    assert ("PAN-X.en", "train") in configs, "training rows are English whatever the languages"


def test_a_configuration_that_is_missing_is_told_and_the_rest_is_fetched(hub: Hub) -> None:
    fetched = fetch(["panx"], languages="th,de")
    assert {"kind": "missing", "id": "google/xtreme PAN-X.th test", "detail": "no 'PAN-X.th'"} in fetched
    assert ("google/xtreme", "PAN-X.de", "test") in hub.asked


def test_each_data_set_is_asked_for_its_own_languages(hub: Hub) -> None:
    fetch(["panx"], suite="xtreme-r", languages="de,ro")
    assert [item for item in hub.asked if item[2] == "test"] == [
        ("google/xtreme", "PAN-X.de", "test"),
        ("unimelb-nlp/wikiann", "ro", "test"),
    ]


def test_a_backbone_with_its_revision(hub: Hub) -> None:
    assert fetch([], model="some/model", revision="v1") == [
        {"kind": "model", "id": "some/model", "detail": "revision v1"}
    ]
    assert hub.models == [("some/model", "v1")]
    assert hub.asked == []


def test_the_reporter_hears_of_each(hub: Hub) -> None:
    class Kept(Reporter):
        def __init__(self) -> None:
            self.told: list[str] = []

        def message(self, text: str) -> None:
            self.told.append(text)

    reporter = Kept()
    fetch(["squad"], model="some/model", reporter=reporter)
    assert [text.split()[-1] for text in reporter.told] == ["train", "validation", "some/model"]


@pytest.mark.usefixtures("hub")
def test_nothing_named_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="Name a task or --model"):
        fetch([])


def test_wrong_names_are_found_before_anything_is_fetched(hub: Hub) -> None:
    with pytest.raises(UnknownNameError, match="'squad'"):
        fetch(["mnli", "squd"])
    with pytest.raises(UnknownNameError, match="language"):
        fetch(["mnli", "panx"], languages="de,xx")
    assert hub.asked == []


def test_offline_work_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataUnavailableError, match=r"HF_HUB_OFFLINE is set.*--data-root"):
        fetch(["mnli"])


@pytest.fixture
def _silent_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody answers
    monkeypatch.setattr(network, "_go_offline", lambda: None)  # would outlast the test
    network._answers.cache_clear()
    yield
    network._answers.cache_clear()


@pytest.mark.usefixtures("_silent_hub")
def test_a_hub_that_does_not_answer_is_named() -> None:
    with pytest.raises(DataUnavailableError, match=r"http://127\.0\.0\.1:9.*does not answer.*--data-root"):
        fetch(["mnli"])


@pytest.mark.usefixtures("toy_lab", "no_network")
def test_of_the_lab_nothing_need_be_fetched() -> None:
    embedded = {"kind": "embedded", "id": "lab", "detail": "its rows are generated: nothing need be fetched"}
    assert fetch([], suite="lab") == [embedded]
    first, second = fetch(["tydiqa", "squad"], suite="lab", model="pico")
    assert first == embedded
    assert (second["kind"], second["id"]) == ("embedded", "pico")
    with pytest.raises(UnknownNameError, match=r"'tydiq'.*'tydiqa'"):
        fetch(["tydiq"], suite="lab")


@pytest.mark.usefixtures("toy_lab")
def test_another_backbone_for_the_lab_is_fetched(hub: Hub) -> None:
    fetched = fetch(["squad"], suite="lab", model="some/model")
    assert [item["kind"] for item in fetched] == ["embedded", "model"]
    assert hub.models == [("some/model", None)]
    assert hub.asked == []


def test_without_network_the_lab_is_named() -> None:
    with pytest.raises(DataUnavailableError, match="--suite lab"):
        fetch(["mnli"])
