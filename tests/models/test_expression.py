"""The expression: what is read is what is printed, and a mistake is shown where it stands."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.errors import ExpressionError
from adapterstilts.models.expression import Fusion, Nothing, Single, parse

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "none")
EXPRESSIONS = st.one_of(
    st.builds(Nothing),
    NAMES.map(Single),
    st.lists(NAMES, min_size=2, max_size=5, unique=True).map(lambda names: Fusion(tuple(names))),
)
#: Pieces that together make right and wrong expressions, with neighbours that run into each other.
PIECES = st.lists(st.sampled_from(["mnli", "squad", "none", "a", "7", "_", "+", " ", "  ", "\t", "\n", "A", "é", "("]))


def caret(error: ExpressionError) -> int:
    """The column in the user's text that an error marks."""
    _, shown, mark = str(error).split("\n")
    assert shown.startswith("  ")
    assert mark.strip() == "^"
    return mark.index("^") - 2


def wrong_place(text: str) -> int | None:
    """Where ``text`` stops being an expression, None where it is one; found in another way than the parser's."""
    pieces = [match for match in re.finditer(r"[a-z][a-z0-9_]*|\s+|.", text) if not match.group().isspace()]
    seen: dict[str, int] = {}
    for number, match in enumerate(pieces):
        piece = match.group()
        if number % 2:
            if piece != "+":
                return match.start()
        elif not re.fullmatch(r"[a-z][a-z0-9_]*", piece) or piece in seen:
            return match.start()
        else:
            seen[piece] = match.start()
    if len(pieces) % 2 == 0:
        return len(text)
    return seen["none"] if len(seen) > 1 and "none" in seen else None


@given(EXPRESSIONS)
def test_an_expression_is_read_back_from_its_text(expression: Nothing | Single | Fusion) -> None:
    assert parse(str(expression)) == expression


@given(EXPRESSIONS, st.text(" \t\n", max_size=3))
def test_spaces_have_no_meaning(expression: Nothing | Single | Fusion, space: str) -> None:
    text = space + str(expression).replace("+", f"{space}+{space}") + space
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "expression", "names"),
    [
        ("none", Nothing(), ()),
        ("squad", Single("squad"), ("squad",)),
        ("mnli + squad", Fusion(("mnli", "squad")), ("mnli", "squad")),
        ("squad+mnli", Fusion(("squad", "mnli")), ("squad", "mnli")),
        ("nonesuch", Single("nonesuch"), ("nonesuch",)),
    ],
)
def test_what_an_expression_names(text: str, expression: object, names: tuple[str, ...]) -> None:
    parsed = parse(text)
    assert parsed == expression
    assert parsed.names == names


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("+mnli", 0, "a task name is expected here"),
        ("mnli+", 5, "a task name after '+' is expected here"),
        ("mnli+ ", 6, "a task name after '+' is expected here"),
        ("mnli++squad", 5, "a task name after '+' is expected here"),
        ("mnli squad", 5, "only '+' joins adapters"),
        ("mnli,squad", 4, "only '+' joins adapters"),
        ("MNLI", 0, "a task name is expected here"),
        ("mnli+squad+mnli", 11, "'mnli' stands here a second time"),
        ("none+mnli", 0, "'none' means no intermediate task"),
        ("mnli + none", 7, "'none' means no intermediate task"),
        ("nonesuch + none", 11, "'none' means no intermediate task"),
        ("mnli\t+\n+", 7, "a task name after '+' is expected here"),
    ],
)
def test_an_error_marks_its_place(text: str, column: int, says: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(says)) as caught:
        parse(text)
    assert caret(caught.value) == column


@given(PIECES.map("".join))
def test_every_error_marks_its_place(text: str) -> None:
    expected = wrong_place(text)
    if expected is None:
        assert str(parse(text)) == re.sub(r"\s", "", text)
        return
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    if text.strip():
        assert caret(caught.value) == expected
    else:
        assert "is empty" in str(caught.value)


@pytest.mark.parametrize("text", ["avg(mnli,squad)", "ties(mnli,squad)", "mnli|squad", "2*mnli", "mnli+(squad+xnli)"])
def test_what_the_library_joins_wrongly_cannot_be_said(text: str) -> None:
    """Average, Parallel, Split and their like have no notation here (see test_pitfalls.py, row 1)."""
    with pytest.raises(ExpressionError):
        parse(text)
