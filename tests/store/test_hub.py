"""The one place that talks to the Hub: names, errors in our words, requests that are made again."""

from __future__ import annotations

from pathlib import Path

import pytest
from loopback_hub import TOKEN, LoopbackHub

from adapterstilts.errors import ArtifactError, DataUnavailableError, SettingsError
from adapterstilts.store.hub import Hub, check_revision, clean, parse_repo


def test_names_of_repositories() -> None:
    assert parse_repo("alice/squad-xlmr") == ("alice/squad-xlmr", None)
    assert parse_repo("alice/a_b.c@v1/rc") == ("alice/a_b.c", "v1/rc")
    for text in ("", "alice", "a/b/c", "/a/b", "a/../b", "a/b@", "a/b@../x", "a/b@-x", "a/b@x\n", "a b/c", "a/b.git"):
        with pytest.raises(SettingsError):
            parse_repo(text)
    for text in ("", "x..y", "/x", "x/", "x//y", "x.lock", "x y", "\u202ex"):
        with pytest.raises(SettingsError, match="no revision"):
            check_revision(text)


def test_a_foreign_text_only_shows() -> None:
    assert clean("a\x1b[31mb\x07\nc\td\u202ee\x9bf") == "a[31mb\nc\tdef"


def test_a_listing_has_names_and_sizes_at_a_commit(loopback: LoopbackHub) -> None:
    commit = loopback.publish("alice/x", {"a.json": b"12345"})
    listing = Hub(loopback.endpoint).listing("alice/x")
    assert (listing.commit, listing.sizes) == (commit, {"a.json": 5})
    with pytest.raises(ArtifactError, match="no revision 'v1'"):
        Hub(loopback.endpoint).listing("alice/x", "v1")
    with pytest.raises(ArtifactError, match="hf auth login"):
        Hub(loopback.endpoint).listing("alice/y")


def test_a_download_is_of_the_commit_that_was_listed(loopback: LoopbackHub, tmp_path: Path) -> None:
    loopback.publish("alice/x", {"a.json": b"old", "d/b.safetensors": b"first"})
    hub = Hub(loopback.endpoint)
    listing = hub.listing("alice/x")
    loopback.publish("alice/x", {"a.json": b"new"})
    hub.download(listing, ["a.json", "d/b.safetensors"], tmp_path / "to")
    assert sorted(path.name for path in (tmp_path / "to").rglob("*")) == ["a.json", "b.safetensors", "d"]
    assert (tmp_path / "to" / "a.json").read_bytes() == b"old"
    with pytest.raises(ArtifactError, match="lacks the file 'c'"):
        hub.download(listing, ["c"], tmp_path / "to")


@pytest.mark.parametrize(("status", "times"), [(500, 2), (429, 1), (0, 1)])
def test_a_passing_fault_is_asked_again(status: int, times: int, loopback: LoopbackHub) -> None:
    loopback.publish("alice/x", {"a.json": b"1"})
    loopback.fail("GET", status, times)
    assert Hub(loopback.endpoint).listing("alice/x").sizes == {"a.json": 1}


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (500, DataUnavailableError, "answers 500"),
        (0, DataUnavailableError, "does not answer"),
        (401, ArtifactError, "hf auth login"),
        (403, ArtifactError, "may not do that"),
        (400, ArtifactError, "refuses the request"),
    ],
)
def test_a_lasting_fault_is_told_in_our_words(
    status: int, error: type[Exception], says: str, loopback: LoopbackHub
) -> None:
    loopback.publish("alice/x", {"a.json": b"1"})
    loopback.fail("GET", status, 99)
    with pytest.raises(error, match=says) as told:
        Hub(loopback.endpoint).listing("alice/x")
    assert "\x1b" not in str(told.value)
    assert TOKEN not in str(told.value)
    assert told.value.__suppress_context__, "the client's own error has the address, and whatever the server said"


def test_a_search_is_by_tags(loopback: LoopbackHub) -> None:
    loopback.publish("alice/x", {"README.md": b"---\ntags: [adapterstilts, squad]\n---\n"})
    loopback.publish("bob/y", {"README.md": b"---\ntags: [adapterstilts]\n---\n"})
    hub = Hub(loopback.endpoint)
    assert [item["repo"] for item in hub.search(["adapterstilts"])] == ["alice/x", "bob/y"]
    assert [item["repo"] for item in hub.search(["adapterstilts", "squad"])] == ["alice/x"]
