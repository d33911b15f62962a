"""Artifacts that are not made yet: known by name and shape, without a file, and nothing of them on disk."""

from __future__ import annotations

import pytest

from adapterstilts.errors import ArtifactError
from adapterstilts.store.artifacts import Store
from adapterstilts.store.promises import PlanningStore, Promise

FINGERPRINT = "0123456789abcdef" * 4


def promise(name: str = "avg(mnli, squad)") -> Promise:
    return Promise.of("merged", name, FINGERPRINT, {"suite": "lab"}, {"adapter.json": {"name": "avg"}})


def test_a_promise_has_the_id_that_the_artifact_will_have(store: Store) -> None:
    with store.create("merged", "avg(mnli, squad)", FINGERPRINT, {}):
        pass
    made = store.find(FINGERPRINT)
    assert made is not None
    promised = promise()
    assert (promised.id, promised.kind, promised.fingerprint) == (made.id, made.kind, made.fingerprint)
    assert (promised.suite, promised.manifest["name"]) == ("lab", "avg(mnli, squad)")
    assert list(promised.manifest["files"]) == ["adapter.json"]


def test_what_is_known_can_be_read_and_no_file(store: Store) -> None:
    assert promise().read_json("adapter.json") == {"name": "avg"}
    with pytest.raises(ArtifactError, match=r"is planned and not made yet, so that it has no file 'head.safetensors'"):
        promise().file("head.safetensors")


def test_a_planning_store_finds_what_is_there_and_writes_nothing(store: Store) -> None:
    planning = PlanningStore(store)
    planning.check_writable()
    assert not store.home.exists()
    first = planning.promise(promise())
    assert planning.promise(promise()) is first
    assert list(planning.promises) == [first.id]
    assert planning.find(FINGERPRINT) is None
    with store.create("merged", "avg(mnli, squad)", FINGERPRINT, {}):
        pass
    found = planning.find(FINGERPRINT)
    assert found is not None
    assert found.id == first.id
