"""``score``: tables for people, a document for programs, faults with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import call, document


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for side, label in (("said", "neutral"), ("right", "entailment")):
        for code in ("en", "de"):
            file = tmp_path / side / "xnli" / f"test-{code}.tsv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"neutral\nneutral\n{label if code == 'de' else 'neutral'}\nneutral\n", encoding="utf-8")
    return tmp_path / "said", tmp_path / "right"


def test_the_document(folders: tuple[Path, Path]) -> None:
    found = document("score", "score", *folders)
    assert found["scores"] == {"xnli": {"de": {"accuracy": 75.0}, "en": {"accuracy": 100.0}}}
    task = found["averages"]["tasks"]["xnli"]
    assert (task["score"], task["without_english"], task["gap"]) == (87.5, 75.0, 25.0)
    assert len(task["missing"]) == 13
    assert found["averages"]["all_tasks"] is None
    assert found["averages"]["groups"]["classification"] is None


def test_the_tables(folders: tuple[Path, Path]) -> None:
    shown = call("score", *folders).stdout
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert ["de", "75.0"] in rows
    assert ["xnli", "2 of 15", "87.50", "75.00", "25.00"] in rows


def test_questions_have_two_scores_in_a_cell(tmp_path: Path) -> None:
    for side, text in (
        ("said", '{"a": "the big cat"}'),
        ("right", '{"data": [{"paragraphs": [{"qas": [{"id": "a", "answers": [{"text": "cat"}]}]}]}]}'),
    ):
        (tmp_path / side / "xquad").mkdir(parents=True)
        (tmp_path / side / "xquad" / "test-el.json").write_text(text, encoding="utf-8")
    shown = call("score", tmp_path / "said", tmp_path / "right", "--suite", "xtreme-r").stdout
    assert "66.7 / 0.0" in shown
    assert "33.33" in shown


def test_only_some_languages(folders: tuple[Path, Path]) -> None:
    found = document("score", "score", *folders, "--languages", "en")
    assert found["scores"] == {"xnli": {"en": {"accuracy": 100.0}}}
    assert "adapterstilts" not in call("score", *folders, "--languages", "xx", code=2).stdout
    assert "language" in call("score", *folders, "--languages", "deu", code=2).stderr


def test_faults_and_warnings(folders: tuple[Path, Path]) -> None:
    said, right = folders
    (said / "xnli" / "test-fr.tsv").write_text("neutral\n", encoding="utf-8")
    assert f"Warning: {said / 'xnli' / 'test-fr.tsv'}: not scored" in call("score", said, right).stderr
    (said / "xnli" / "test-de.tsv").write_text("neutral\n", encoding="utf-8")
    (said / "xnli" / "test-en.tsv").unlink()
    told = call("score", said, right, code=2).stderr
    assert f"{said / 'xnli' / 'test-de.tsv'}:2: 1 lines, but" in told
    assert f"{said / 'xnli' / 'test-en.tsv'}: missing" in told
    assert "Also noticed" in told
    assert "'xtreme-x'" in call("score", said, right, "--suite", "xtreme-x", code=2).stderr
    assert "is not a folder" in call("score", said / "none", right, code=2).stderr
