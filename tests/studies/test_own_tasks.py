"""Tasks of the user's own from Python: a block in which every function knows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapterstilts.errors import SettingsError, UnknownNameError
from adapterstilts.studies.own_tasks import own_tasks
from adapterstilts.tasks.suites import get_suite
from adapterstilts.training.recipes import recipe_settings
from adapterstilts.training.settings import TrainingSettings

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task"


def test_a_block_in_which_the_tasks_are_known() -> None:
    with own_tasks([EXAMPLE / "sentiment.yaml", str(EXAMPLE / "questions.yaml")]) as (sentiment, questions):
        assert get_suite().task("sentiment") is sentiment
        assert recipe_settings(questions, {"epochs": 1}) == TrainingSettings(
            epochs=1, batch_size=8, learning_rate=1e-3, max_length=64
        )
        with (
            pytest.raises(SettingsError, match="there is a task 'sentiment' already"),
            own_tasks([EXAMPLE / "sentiment.yaml"]),
        ):
            pass
        assert "sentiment" in get_suite().tasks
    with pytest.raises(UnknownNameError, match="There is no task 'sentiment'"):
        get_suite().task("sentiment")


def test_a_later_file_may_name_an_earlier_task(tmp_path: Path) -> None:
    text = (EXAMPLE / "sentiment.yaml").read_text()
    start, end = text.index("sources:"), text.index("settings:")
    test = "sources:\n  test: {file: a.csv, language_from: column, columns: {text: review, label: mood}}\n"
    text = text[:start] + "trains_on: sentiment\nlanguages: [de]\n" + test + text[end:]
    later = tmp_path / "later.yaml"
    later.write_text(text.replace("name: sentiment", "name: moods").replace("kind: intermediate", "kind: target"))
    with own_tasks([EXAMPLE / "sentiment.yaml", later]) as (one, other):
        assert other.sources["train"] == one.sources["train"]
        assert other.training_data == {"sentiment"}
    with pytest.raises(SettingsError, match="trains_on: there is no task 'sentiment'"), own_tasks([later]):
        pass


def test_other_suites_have_languages_of_their_own() -> None:
    with pytest.raises(SettingsError, match="leave one out"), own_tasks([EXAMPLE / "sentiment.yaml"], "lab"):
        pass
    with own_tasks(None, "lab") as none:
        assert none == ()
