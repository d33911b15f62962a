"""The index of published adapters: what is in it is right, and all faults of one are told at once."""

from __future__ import annotations

import pytest

from adapterstilts.errors import ArtifactError
from adapterstilts.store.index import published, read_index

ENTRY = {
    **{"name": "squad-xlmr", "repo": "alice/squad", "revision": "0" * 40, "manifest": "1" * 64},
    **{"kind": "intermediate", "suite": "xtreme", "task": "squad", "backbone": "xlm-roberta-base"},
}


def test_the_bundled_index_can_be_read_and_names_nothing_yet() -> None:
    assert published() == ()


def test_an_entry() -> None:
    (entry,) = read_index({"version": 1, "adapters": [{**ENTRY, "note": "one line"}]})
    assert entry.to_json() == {**ENTRY, "note": "one line"}


def test_all_faults_are_told_at_once() -> None:
    without = {key: value for key, value in ENTRY.items() if key != "manifest"}
    given = [ENTRY, ENTRY, {**ENTRY, "revision": "main"}, {**ENTRY, "url": "x"}, without, {**ENTRY, "repo": "../x"}, 1]
    with pytest.raises(ArtifactError) as refusal:
        read_index({"version": 1, "adapters": [*given, {**ENTRY, "kind": "evaluation"}]})
    told = str(refusal.value)
    for fault in ("stands twice", "'main'", "'url'", "lacks 'manifest'", "'../x'", "no mapping", "adapters[7]"):
        assert fault in told


@pytest.mark.parametrize("given", [None, [], {"version": 2, "adapters": []}, {"version": 1, "adapters": {}}])
def test_what_is_no_index(given: object) -> None:
    with pytest.raises(ArtifactError, match="version: 1"):
        read_index(given)
