"""``fetch``: what was fetched, and what the data set lacks."""

from __future__ import annotations

from typing import Any

import pytest
from calling import call, document


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
