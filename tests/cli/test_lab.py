"""The commands that look into the lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import call, document

from adapterstilts.lab.languages import get_language


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ADAPTERSTILTS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_show_tells_parameters_and_glosses() -> None:
    said = call("lab", "show", "qba").stdout
    assert "SOV-1" in said
    row = next(line for line in said.splitlines() if "81A" in line)
    assert "SOV" in row
    assert "SVO" in row
    assert "qaa: " in said
    shown = json.loads(call("lab", "show", "qba", "--json").stdout)
    assert shown["parameters"]["word_order"] == "SOV"
    first = shown["sentences"][0]
    assert len(first["words"]) == len(first["glosses"]) == len(first["upos"])
    assert first["text"].startswith(first["words"][0])
    verb = first["upos"].index("VERB")
    assert "NOUN" in first["upos"][:verb] or "PROPN" in first["upos"][:verb]


def test_words_stand_above_their_glosses() -> None:
    lines = call("lab", "show", "qaa").stdout.splitlines()
    glossed = next(index for index, line in enumerate(lines) if line.split() and line.split()[-1] == ".")
    words, glosses = lines[glossed], lines[glossed + 1]
    starts = [index for index, char in enumerate(words) if char != " " and (index == 0 or words[index - 1] == " ")]
    assert starts == [
        index for index, char in enumerate(glosses) if char != " " and (index == 0 or glosses[index - 1] == " ")
    ]


def test_sample_has_the_hubs_columns() -> None:
    (row,) = json.loads(call("lab", "sample", "tydiqa", "qoc", "--count", "1", "--json").stdout)
    assert list(row) == ["id", "title", "context", "question", "answers"]
    start = row["answers"]["answer_start"][0]
    assert row["context"][start:].startswith(row["answers"]["text"][0])
    shown = call("lab", "sample", "mnli").stdout
    assert shown.count("hypothesis") == 3


def test_a_declared_language_is_known_everywhere(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("{code: qpa, name: mine, word_order: VSO, script: Greek, shared_words: 0.5}", encoding="utf-8")
    said = call("lab", "new-language", file)
    assert "qpa mine" in said.stdout
    assert (home / "lab" / "qpa.yaml").is_file()
    assert get_language("qpa").word_order == "VSO"
    call("lab", "new-language", file)  # the same again changes nothing
    listed = document("languages", "languages", "--suite", "lab")
    (mine,) = [row for row in listed if row["code"] == "qpa"]
    assert (mine["script"], mine["differences"], mine["seen"]) == ("Greek", ["word_order"], False)
    (row,) = json.loads(call("lab", "sample", "xnli", "qpa", "--count", "1", "--json").stdout)
    assert row["gold_label"] in ("entailment", "neutral", "contradiction")

    file.write_text("{code: qpa, name: mine, word_order: OVS}", encoding="utf-8")
    assert "--replace" in call("lab", "new-language", file, code=2).stderr
    call("lab", "new-language", file, "--replace")
    assert get_language("qpa").word_order == "OVS"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{code: qpa, name: mine, word_order: SVX}", "'SVX'"),
        ("{code: qpa, name: mine, wordorder: SOV}", "Did you mean 'word_order'"),
        ("{code: qaa, name: mine}", "shipped"),
        ("{code: eng, name: mine}", "private-use"),
        ("{name: mine}", "lacks code"),
        ("[1, 2]", "YAML mapping"),
        ("{code: [", "not YAML"),
        ("{code: qpa, name: mine, shared_words: lots}", "share from 0 to 1"),
        ("{code: qpa, name: mine, shared_words: 2}", "share from 0 to 1"),
    ],
)
def test_a_wrong_declaration_is_told(tmp_path: Path, home: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    assert said in call("lab", "new-language", file, code=2).stderr
    assert not (home / "lab").exists()


def test_wrong_names_are_told() -> None:
    assert "Did you mean 'squad'" in call("lab", "sample", "squda", code=2).stderr
    assert "no language of the lab 'qzz'" in call("lab", "show", "qzz", code=2).stderr
    assert "source language only" in call("lab", "sample", "ccg", "qba", code=2).stderr
    assert "has no split 'test'" in call("lab", "sample", "squad", "--split", "test", code=2).stderr
    assert "at least 1" in call("lab", "sample", "squad", "--count", "0", code=2).stderr
    assert "cannot be read" in call("lab", "new-language", "nowhere.yaml", code=2).stderr
