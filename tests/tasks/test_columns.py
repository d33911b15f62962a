"""Fields made of columns: one as it is, a member of a nested one, a text of several, a list."""

from __future__ import annotations

import pytest

from adapterstilts.tasks.columns import Column, field_value, is_plain, needed_columns

ROW = {"premise": "It rained.", "question": "cause", "none": None, "choices": {"label": ["A", "B"], "text": ["x", "y"]}}


@pytest.mark.parametrize(
    ("column", "value", "needed", "plain"),
    [
        ("premise", "It rained.", ("premise",), True),
        ("choices.text", ["x", "y"], ("choices",), False),
        ("{premise} {question}", "It rained. Why?", ("premise", "question"), False),
        ("{none}{premise}", "It rained.", ("none", "premise"), False),
        (("premise", "question"), ["It rained.", "cause"], ("premise", "question"), False),
        (("{question} {premise}", "premise"), ["Why? It rained.", "It rained."], ("question", "premise"), False),
    ],
)
def test_fields(column: Column, value: object, needed: tuple[str, ...], plain: bool) -> None:
    assert field_value(column, ROW, {"cause": "Why?"}) == value
    assert needed_columns(column) == needed
    assert is_plain(column) is plain
