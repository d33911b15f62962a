"""The Hub's side of loading rows: what its client is asked for, and what is said when it does not answer."""

from __future__ import annotations

import http.server
import shutil
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapterstilts.data import network, sources
from adapterstilts.data.rows import load_rows
from adapterstilts.data.sources import MissingConfigError, NotCachedError, check_access, load_split
from adapterstilts.errors import DataUnavailableError, UnknownNameError
from adapterstilts.tasks.catalogue import TASKS, XTREME_R_TASKS, get_task
from adapterstilts.tasks.catalogue.intermediate import GLUE_REVISION
from adapterstilts.tasks.catalogue.xtreme import XTREME_REVISION
from adapterstilts.tasks.catalogue.xtreme_r import TATOEBA_REVISION, UDPOS_REVISION, XQUAD_REVISION
from adapterstilts.tasks.suites import get_suite


@pytest.fixture
def asked(toy_mirror: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Let the toy mirror answer in the place of the Hub; returns what was asked for."""
    import datasets

    calls: list[tuple[Any, ...]] = []
    plain = datasets.load_dataset

    def load_dataset(path: str, name: str, *, split: str, revision: str | None, cache_dir: str | None) -> Any:
        if Path(path).is_absolute():  # the mirror itself
            return plain(path, name, split=split, cache_dir=cache_dir)
        calls.append((path, name, split, revision))
        assert cache_dir is None, "the Hub's cache is the user's own"
        return plain(str(toy_mirror / path), name, split=split)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(sources, "hub_reachable", lambda: True)
    return calls


def test_the_hub_is_asked_for_pinned_revisions(asked: list[tuple[Any, ...]]) -> None:
    load_rows(get_task("mnli"), "validation")
    load_rows(get_task("panx"), "test", ["de"])
    load_rows(get_task("udpos"), "test", ["de"])
    assert asked == [
        ("nyu-mll/glue", "mnli", "validation_matched", GLUE_REVISION),
        ("google/xtreme", "PAN-X.de", "test", XTREME_REVISION),
        ("google/xtreme", "udpos.German", "test", XTREME_REVISION),
    ]


def test_the_further_data_sets_of_xtreme_r_are_asked_for_theirs(asked: list[tuple[Any, ...]]) -> None:
    """There is no known commit of unimelb-nlp/wikiann."""
    for name, languages in (("panx", ["de", "ro"]), ("xquad", ["ro"]), ("tatoeba", ["az"]), ("udpos", ["lt"])):
        load_rows(XTREME_R_TASKS[name], "test", languages)
    assert asked == [
        ("google/xtreme", "PAN-X.de", "test", XTREME_REVISION),
        ("unimelb-nlp/wikiann", "ro", "test", None),
        ("google/xquad", "xquad.ro", "validation", XQUAD_REVISION),
        ("mteb/tatoeba-bitext-mining", "aze-eng", "test", TATOEBA_REVISION),
        ("izhx/xtreme-r-udpos", "lt", "test", UDPOS_REVISION),
    ]


@pytest.mark.parametrize("name", sorted(set(TASKS) - {"ccg", "cosmosqa", "lareqa", "mlm"}))
def test_the_same_rows_from_the_hub_and_from_a_mirror(
    name: str, asked: list[tuple[Any, ...]], toy_mirror: Path
) -> None:
    task = get_task(name)
    split = next(iter(task.sources))
    hub, mirror = load_rows(task, split), load_rows(task, split, root=toy_mirror)
    assert hub.fingerprint == mirror.fingerprint
    assert asked


def test_without_the_hub_the_cache_answers_whatever_its_revision(
    asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "nyu-mll___glue").mkdir()
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setattr(sources, "hub_reachable", lambda: False)
    assert len(load_rows(get_task("mnli"), "train")) > 0
    assert asked == [("nyu-mll/glue", "mnli", "train", None)]


def test_without_the_hub_a_part_in_the_cache_has_its_languages(
    toy_mirror: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mirror with a part of the files: what is not there is missing, and an error where it was named."""
    import datasets

    for config in ("PAN-X.de", "PAN-X.sw"):
        made = datasets.load_dataset(str(toy_mirror / "google/xtreme"), config, cache_dir=str(own_cache))
        folder = Path(made["test"].cache_files[0]["filename"]).parent
        # where datasets keeps what came from the Hub: data set, configuration, version, revision
        shutil.copytree(folder, own_cache / "google___xtreme" / config / "0.0.0" / folder.name)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(own_cache))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(sources, "hub_reachable", lambda: False)
    rows = load_rows(get_task("panx"), "test")
    assert rows.languages == ("de", "sw")
    assert set(rows.missing) == set(get_task("panx").languages) - {"de", "sw"}
    own = load_rows(get_task("panx"), "test", root=toy_mirror, languages=["de", "sw"])
    assert rows.fingerprint == own.fingerprint
    with pytest.raises(NotCachedError, match=r"'google/xtreme' \(PAN-X\.en, test\) is not in the local cache, and"):
        load_rows(get_task("panx"), "test", ["de", "en"])
    with pytest.raises(NotCachedError, match=r"\(PAN-X\.en, train\) is not in .*--data-root DIR"):
        load_rows(get_task("panx"), "train")
    with pytest.raises(NotCachedError, match=r"\(udpos\.Afrikaans, test\) is not in the local cache"):
        load_rows(get_task("udpos"), "test")


def test_without_hub_and_cache_all_ways_out_are_named(
    asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setattr(sources, "hub_reachable", lambda: False)
    with pytest.raises(DataUnavailableError, match=r"--data-root DIR .*adapterstilts fetch.*--suite lab"):
        load_rows(get_task("mnli"), "train")
    assert asked == []


@pytest.fixture
def endpoint() -> Iterator[Callable[[int], str]]:
    """Addresses on this machine that answer with a given status."""
    servers = []

    def serve(status: int) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "there"), [(200, True), (401, True), (404, True), (403, False), (503, False)])
def test_a_gateway_that_refuses_is_not_the_hub(
    status: int, there: bool, endpoint: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", endpoint(status))
    monkeypatch.setattr(network, "_go_offline", lambda: None)
    network.begin_probe()
    assert network.hub_reachable() is there


def test_what_the_caches_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert not network.dataset_cached("Rowan/hellaswag")
    (tmp_path / "datasets" / "Rowan___hellaswag").mkdir(parents=True)
    (tmp_path / "hub" / "models--org--name").mkdir(parents=True)
    assert network.dataset_cached("Rowan/hellaswag")
    assert not network.dataset_cached("rajpurkar/squad")
    assert network.model_cached("org/name")
    assert not network.model_cached("org/names")


def test_certificates_are_for_the_client_of_the_hub_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own store of certificates is empty on some machines where the Hub's client has one."""

    def urlopen(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError(ssl.SSLCertVerificationError("unable to get local issuer certificate"))

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "https://certificate.invalid")
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    assert network.hub_reachable()


def test_the_user_may_say_that_the_hub_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_probe", lambda endpoint: pytest.fail(f"{endpoint} was asked"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    network.begin_probe()
    assert network.hub_reachable()


def test_a_mirror_with_a_part_of_the_files(toy_mirror: Path, tmp_path: Path) -> None:
    """The README names all configurations, also those that were not mirrored."""
    shutil.copytree(toy_mirror / "google", tmp_path / "google")
    shutil.rmtree(tmp_path / "google/xtreme/PAN-X.de")
    rows = load_rows(get_task("panx"), "test", root=tmp_path)
    assert "de" in rows.missing
    assert rows.languages == ("en", "sw")
    with pytest.raises(MissingConfigError, match=r"\(PAN-X\.de\) are not in the mirror"):
        load_rows(get_task("panx"), "test", ["de"], root=tmp_path)


def test_a_language_without_a_usable_row_is_missing(toy_mirror: Path, tmp_path: Path) -> None:
    from datasets import Dataset

    shutil.copytree(toy_mirror / "google", tmp_path / "google")
    (path,) = (tmp_path / "google/xtreme/PAN-X.de").glob("test*.parquet")
    empty = Dataset.from_parquet(str(path)).map(lambda row: {"tokens": [], "ner_tags": []}, load_from_cache_file=False)
    assert "langs" not in empty.column_names
    empty.to_parquet(str(path))
    rows = load_rows(get_task("panx"), "test", root=tmp_path)
    assert "de" in rows.missing
    assert "de" not in rows.languages
    with pytest.raises(DataUnavailableError, match=r"no usable row in German \(de\) \(empty sentence: "):
        load_rows(get_task("panx"), "test", ["de"], root=tmp_path)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("with_root", [False, True])
def test_rows_of_the_lab_need_neither_hub_nor_mirror(with_root: bool, toy_lab: Any, toy_mirror: Path) -> None:
    root = toy_mirror if with_root else None
    task = get_suite("lab").task("tydiqa")
    for source in task.sources.values():
        check_access(source, root)
    rows = load_rows(task, "test", root=root)
    assert rows.languages == ("qaa", "qab", "qac")
    assert rows.missing == ()
    plain = toy_lab.rows.load("tydiqa", "qab", "test")
    assert rows.table.select(rows.of_language("qab"))["question"][:] == plain["question"][:]
    assert rows.table["id"][0] == plain["id"][0]
    assert load_rows(task, "train", root=root).languages == ("qaa",)
    assert load_rows(task, "validation", root=root).table["id"][0].startswith("tydiqa-validation-")


def test_columns_and_labels_of_the_lab_are_read_as_the_hubs(toy_lab: Any) -> None:
    rows = load_rows(get_suite("lab").task("mnli"), "validation")
    assert rows.table["id"][:2] == ["qaa-validation-0", "qaa-validation-1"]
    assert rows.table["label"][:4] == [0, 1, 2, 0]
    assert set(rows.table["language"]) == {"qaa"}
    tags = load_rows(get_suite("lab").task("panx"), "test", ["qac"])
    assert len(tags) == len(toy_lab.rows.load("panx", "qac", "test"))


def test_a_language_that_the_lab_does_not_have(toy_lab: Any) -> None:
    with pytest.raises(UnknownNameError, match="'qax'"):
        load_split(get_suite("lab").task("tydiqa").source("test"), "qax", None)


def test_an_error_about_rows_of_the_lab_names_the_language(toy_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = toy_lab.rows.load("tydiqa", "qab", "test").select([])
    monkeypatch.setattr(toy_lab.rows, "load", lambda *_: empty)
    with pytest.raises(DataUnavailableError, match=r"'lab' \(tydiqa\.qab, test\) has no row in Far \(qab\)"):
        load_rows(get_suite("lab").task("tydiqa"), "test", ["qab"])
