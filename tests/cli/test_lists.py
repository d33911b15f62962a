"""``tasks`` and ``languages``: the lists, whole or in part."""

from __future__ import annotations

from calling import call, document

from adapterstilts.tasks.catalogue import TASKS


def test_tasks_are_those_of_the_catalogue() -> None:
    assert [task["name"] for task in document("tasks", "tasks")] == list(TASKS)
    assert {task["kind"] for task in document("tasks", "tasks", "--kind", "target")} == {"target"}


def test_languages_tell_what_xlm_r_read() -> None:
    by_code = {row["code"]: row["pretraining_gib"] for row in document("languages", "languages")}
    assert (by_code["sw"], by_code["yo"]) == (1.6, 0)
    (shown,) = (line for line in call("languages").stdout.splitlines() if "Swahili" in line)
    assert "1.6 GiB" in shown
    assert {row["pretraining_gib"] for row in document("languages", "languages", "--suite", "lab")} == {None}


def test_languages_with_their_tasks() -> None:
    every = document("languages", "languages")
    assert len(every) == 45
    assert document("languages", "languages", "--task", "tydiqa") == [
        language for code in TASKS["tydiqa"].languages for language in every if language["code"] == code
    ]
    pairs = [language["code"] for language in document("languages", "languages", "--task", "mlqa_pairs")]
    assert pairs == list(TASKS["mlqa"].languages), "pairs of languages are no languages"
    swahili = next(language for language in every if language["code"] == "sw")
    assert swahili["tasks"] == ["xnli", "panx", "tydiqa", "xcopa", "tatoeba"]


def test_languages_of_xtreme_r_with_their_tasks() -> None:
    by_code = {row["code"]: row["tasks"] for row in document("languages", "languages", "--suite", "xtreme-r")}
    assert by_code["ro"] == ["panx", "udpos", "xquad", "tatoeba", "mewslix"]
    assert (by_code["wo"], by_code["gu"]) == (["udpos"], ["panx"])
    assert len(document("languages", "languages", "--suite", "xtreme-r", "--task", "tatoeba")) == 41
