"""``predict``: rows from a file or stdin are answered in their order, and faulty lines are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from calling import call, refused
from cli_world import NLI_ROW, World
from typer.testing import CliRunner

from adapterstilts.cli.app import app
from adapterstilts.models import needed_rows


def predicted(world: World, name: str, *rows: Any, given: bool = True) -> list[dict[str, Any]]:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    result = call("predict", world.artifact(name), "--store", world.store, given=text)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_rows_from_stdin_are_answered_in_their_order(world: World) -> None:
    rows = [NLI_ROW | {"id": name} for name in ("b", "a", "c")]
    told = predicted(world, "fusion", *rows)
    assert [item["id"] for item in told] == ["b", "a", "c"]
    for item in told:
        assert set(item) == {"id", "answer", "score"}
        assert item["answer"] in ("entailment", "neutral", "contradiction")
        assert 1 / 3 <= item["score"] <= 1


def test_rows_from_a_file_and_answers_to_a_file(world: World, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(NLI_ROW) + "\n\n" + json.dumps(NLI_ROW), encoding="utf-8")
    base = ("predict", world.artifact("fusion"), tmp_path / "rows.jsonl", "--store", world.store)
    shown = call(*base)
    written = call(*base, "--output", tmp_path / "answers.jsonl")
    assert written.stdout == ""
    assert "2 answers written" in written.stderr
    assert (tmp_path / "answers.jsonl").read_text(encoding="utf-8") == shown.stdout
    assert [json.loads(line)["id"] for line in shown.stdout.splitlines()] == ["1", "3"]


def test_answers_are_the_same_with_all_embeddings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    make = needed_rows.NeededRows.__init__

    def watched(self: Any, *arguments: Any) -> None:
        made.append("trimmed")
        make(self, *arguments)

    monkeypatch.setattr(needed_rows.NeededRows, "__init__", watched)
    base = ("predict", world.artifact("fusion"), "--store", world.store)
    given = json.dumps(NLI_ROW)
    first = call(*base, "--trim-vocabulary", given=given)
    assert made == ["trimmed"]
    assert call(*base, "--no-trim-vocabulary", given=given).stdout == first.stdout
    assert made == ["trimmed"]


def test_names_of_the_data_set_are_taken(world: World) -> None:
    row = {"premise": NLI_ROW["text"], "hypothesis": NLI_ROW["text_pair"]}
    assert predicted(world, "fusion", row) == predicted(world, "fusion", NLI_ROW)


def test_every_format_is_answered(world: World) -> None:
    (choice,) = predicted(world, "hellaswag", {"ctx": "the cat", "endings": ["a", "b", "", "d"]})
    assert choice["answer"] in range(4)
    context = "the big house near water"
    (span,) = predicted(world, "squad", {"question": "Who sings on a green river ?", "context": context})
    assert span["answer"] in context
    (tags,) = predicted(world, "tags", {"tokens": ["Anna", "", "Berlin"]})
    assert len(tags["answer"]) == 3
    assert tags["score"] is None


def test_texts_are_written_as_they_are(world: World) -> None:
    context = "猫 Ähre – 😀"
    result = call(
        *("predict", world.artifact("squad"), "--store", world.store),
        given=json.dumps({"id": "ü", "question": "猫 ?", "context": context}),
    )
    assert '"id": "ü"' in result.stdout
    assert "\\u" not in result.stdout
    assert json.loads(result.stdout)["answer"] in context


def test_separators_within_a_text_do_not_end_the_line(world: World, tmp_path: Path) -> None:
    """JSON allows these characters as they are; only a newline ends a line of JSON lines."""
    rows = [{"id": "1", "text": f"a{sign}b", "text_pair": "c"} for sign in ("\u2028", "\u2029", "\x85")]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    base = ("predict", world.artifact("fusion"), "--store", world.store)
    assert len(call(*base, given=text).stdout.splitlines()) == 3
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    assert len(call(*base[:2], tmp_path / "rows.jsonl", *base[2:]).stdout.splitlines()) == 3


def test_answers_can_be_written_where_the_terminal_has_few_characters(world: World, tmp_path: Path) -> None:
    """As where output is piped on a machine whose own encoding is not UTF-8."""
    (tmp_path / "rows").write_text(json.dumps(NLI_ROW | {"id": "猫"}), encoding="utf-8")
    arguments = ["predict", world.artifact("fusion"), str(tmp_path / "rows"), "--store", str(world.store)]
    result = CliRunner(charset="latin-1").invoke(app, arguments)
    assert result.exception is None
    assert json.loads(result.stdout_bytes.decode("utf-8"))["id"] == "猫"


def test_faulty_lines_are_all_named(world: World) -> None:
    lines = [json.dumps(NLI_ROW), "{", json.dumps(NLI_ROW), '{"text": "alone"}', "7"]
    told = refused("predict", world.artifact("fusion"), "--store", world.store, given="\n".join(lines))
    assert [line.split(":")[0].strip() for line in told.splitlines()[1:]] == ["line 2", "line 4", "line 5"]


def test_a_wrong_number_of_choices_is_named(world: World) -> None:
    row = json.dumps({"text": "a", "choices": ["a", "b"]})
    told = refused("predict", world.artifact("hellaswag"), "--store", world.store, given=row)
    assert "line 1: 'choices' has 2 entries; 'hellaswag' takes 4" in told


def test_nothing_to_answer_is_answered_by_nothing(world: World) -> None:
    assert call("predict", world.artifact("fusion"), "--store", world.store, given="\n \n").stdout == ""


def test_input_that_is_no_text_is_told(world: World, tmp_path: Path) -> None:
    base = ("predict", world.artifact("fusion"), "--store", world.store)
    (tmp_path / "rows").write_bytes(b"\xff\xfe\x00")
    assert str(tmp_path / "rows") in refused(*base[:2], tmp_path / "rows", *base[2:])
    assert "cannot be read" in refused(*base[:2], tmp_path / "missing", *base[2:])
    assert "cannot be read" in refused(*base[:2], tmp_path, *base[2:])
    assert "cannot be read" in refused(*base, given=b"\xff\xfe\x00")


@pytest.mark.parametrize("name", ["missing/answers", "."])
def test_an_output_that_cannot_be_written_is_told(name: str, world: World, tmp_path: Path) -> None:
    told = refused(
        *("predict", world.artifact("fusion"), "--store", world.store, "--output", tmp_path / name),
        given=json.dumps(NLI_ROW),
    )
    assert "--output" in told


def test_a_backbone_that_moved_can_be_named(world: World, tmp_path: Path) -> None:
    moved = shutil.copytree(world.backbone, tmp_path / "moved")
    base = ("predict", world.artifact("fusion"), "--store", world.store)
    told = call(*base, "--backbone", moved, given=json.dumps(NLI_ROW)).stdout
    assert told == call(*base, given=json.dumps(NLI_ROW)).stdout
    (Path(moved) / "config.json").write_text(
        json.dumps(json.loads((Path(moved) / "config.json").read_text()) | {"layer_norm_eps": 0.1})
    )
    told = refused(*base, "--backbone", moved, given=json.dumps(NLI_ROW))
    assert str(moved) in told
    assert str(world.backbone) in told
