"""The expression: what is read is what is printed, and a mistake is shown where it stands."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.errors import ExpressionError
from adapterstilts.models.expression import (
    NAME,
    Adapter,
    Alone,
    Chain,
    Ensemble,
    Expression,
    Fusion,
    Merge,
    Mix,
    Nothing,
    Search,
    Single,
    members,
    needed,
    reduced,
    trained_parts,
)
from adapterstilts.models.grammar import ALL, DEEPEST, parse
from adapterstilts.models.options import METHODS, OPTIONS

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name not in ("none", "all"))
#: Values that the options take.
VALUES = {
    "scale": st.floats(0.001, 9),
    "density": st.floats(0.001, 1),
    "drop": st.floats(0, 0.999),
    "temperature": st.floats(1, 1e6),
    "budget": st.integers(2, 999).map(float),
}
WHOLE = st.integers(0, 99).map(float)


@st.composite
def merges(draw: st.DrawFn, parts: st.SearchStrategy[Adapter]) -> Merge:
    method = draw(st.sampled_from(sorted(METHODS)))
    joined = tuple(draw(st.lists(parts, min_size=2, max_size=3, unique=True)))
    weights = draw(st.sampled_from([(), tuple(draw(st.floats(0.001, 1e6)) for _ in joined)]))
    return Merge(method, joined, weights, draw(options_of(method)))


@st.composite
def options_of(draw: st.DrawFn, function: str) -> tuple[tuple[str, float], ...]:
    known = set(OPTIONS[function])
    names = draw(st.sets(st.sampled_from(sorted(known) or ["none"]))) & known
    return tuple((name, draw(VALUES.get(name, WHOLE))) for name in sorted(names))


@st.composite
def mixes(draw: st.DrawFn) -> Mix:
    names = tuple(draw(st.lists(NAMES, min_size=2, max_size=3, unique=True)))
    if draw(st.booleans()):
        return Mix(names, (), draw(options_of("mix")))
    return Mix(names, tuple(draw(st.sampled_from([1.0, 2.0, 0.3]) | st.floats(0.001, 1e6)) for _ in names))


ADAPTERS: st.SearchStrategy[Adapter] = st.recursive(NAMES.map(Single) | mixes(), merges, max_leaves=4)
JOINED = st.lists(ADAPTERS, min_size=2, max_size=4, unique=True).map(tuple)
ALONE: st.SearchStrategy[Alone] = st.one_of(
    st.builds(Nothing),
    ADAPTERS,
    JOINED.map(Fusion),
    ADAPTERS.map(Chain),
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.one_of(
    ALONE,
    st.lists(ALONE, min_size=2, max_size=3, unique=True).map(lambda parts: Ensemble(tuple(parts))),
    st.builds(Search, JOINED, options_of("search")),
)
#: Pieces that together make right and wrong expressions, with neighbours that run into each other.
PIECES = st.lists(
    st.sampled_from(
        [
            *"+*,;=()_7Aé \t\n",
            *"mnli squad none all avg ties mix chain avg( svd( mix( chain( ensemble( search(".split(),
            *"density rank cap budget 0.5 -1 1e999 =0.5".split(),
        ]
    ),
    max_size=14,
)


def caret(error: ExpressionError) -> int:
    """The column in the user's text that an error marks."""
    _, shown, mark = str(error).split("\n")
    assert shown.startswith("  ")
    assert mark.strip() == "^"
    return mark.index("^") - 2


@given(EXPRESSIONS)
def test_an_expression_is_read_back_from_its_text(expression: Expression) -> None:
    assert parse(str(expression)) == expression


@given(EXPRESSIONS, st.text(" \t\n", max_size=3))
def test_spaces_have_no_meaning(expression: Expression, space: str) -> None:
    text = space + re.sub(r"([+*,;=()])", lambda match: f"{space}{match.group()}{space}", str(expression)) + space
    assert parse(text) == expression


@given(ALONE)
def test_the_model_has_an_adapter_of_its_own_for_each_operand(expression: Alone) -> None:
    names = [part.adapter for part in expression.operands]
    assert len(set(names)) == len(names)
    assert all(NAME.fullmatch(name) for name in names)
    assert reduced(expression).names == tuple(names)
    assert reduced(reduced(expression)) == reduced(expression)


MNLI, SQUAD = Single("mnli"), Single("squad")


@pytest.mark.parametrize(
    ("text", "expression", "names"),
    [
        ("none", Nothing(), ()),
        ("squad", SQUAD, ("squad",)),
        ("mnli + squad", Fusion((MNLI, SQUAD)), ("mnli", "squad")),
        ("squad+mnli", Fusion((SQUAD, MNLI)), ("squad", "mnli")),
        ("nonesuch", Single("nonesuch"), ("nonesuch",)),
        ("avg", Single("avg"), ("avg",)),
        ("chain", Single("chain"), ("chain",)),
        ("avg(mnli, squad)", Merge("avg", (MNLI, SQUAD)), ("mnli", "squad")),
        ("avg(.7*mnli,0.30*squad)", Merge("avg", (MNLI, SQUAD), (0.7, 0.3)), ("mnli", "squad")),
        ("arithmetic(mnli, -1*squad)", Merge("arithmetic", (MNLI, SQUAD), (1, -1)), ("mnli", "squad")),
        ("ties(mnli, squad)", Merge("ties", (MNLI, SQUAD), (), (("density", 0.2), ("scale", 1))), ("mnli", "squad")),
        ("svd(mnli,squad;rank=16)", Merge("svd", (MNLI, SQUAD), (), (("rank", 16),)), ("mnli", "squad")),
        ("chain(squad)", Chain(SQUAD), ("squad",)),
        ("chain(avg(mnli, squad))", Chain(Merge("avg", (MNLI, SQUAD))), ("mnli", "squad")),
        (
            "avg(mnli, squad)+mnli+qqp",
            Fusion((Merge("avg", (MNLI, SQUAD)), MNLI, Single("qqp"))),
            ("mnli", "squad", "qqp"),
        ),
        ("mix", Single("mix"), ("mix",)),
        ("mix(mnli, squad)", Mix(("mnli", "squad")), ("mnli", "squad")),
        (
            "mix(mnli,squad;cap=131072,temperature=2)",
            Mix(("mnli", "squad"), (), (("temperature", 2), ("cap", 131072))),
            ("mnli", "squad"),
        ),
        ("mix(2*mnli, squad)", Mix(("mnli", "squad"), (2, 1)), ("mnli", "squad")),
        ("mix(all)", Mix(ALL), ALL),
        ("mix(2*all, qnli)", Mix((*ALL, "qnli"), (*(2,) * 9, 1)), (*ALL, "qnli")),
        (
            "avg(mix(mnli, qqp), squad)",
            Merge("avg", (Mix(("mnli", "qqp")), SQUAD)),
            ("mnli", "qqp", "squad"),
        ),
        ("mix(mnli, squad)+mnli", Fusion((Mix(("mnli", "squad")), MNLI)), ("mnli", "squad")),
        ("chain(mix(mnli, squad))", Chain(Mix(("mnli", "squad"))), ("mnli", "squad")),
        ("all", Fusion(tuple(map(Single, ALL))), ALL),
        ("ensemble", Single("ensemble"), ("ensemble",)),
        ("ensemble + squad", Fusion((Single("ensemble"), SQUAD)), ("ensemble", "squad")),
        ("ensemble(mnli, squad)", Ensemble((MNLI, SQUAD)), ("mnli", "squad")),
        ("ensemble(none, squad)", Ensemble((Nothing(), SQUAD)), ("squad",)),
        (
            "ensemble(mnli+squad, squad+mnli, chain(qqp), avg(mnli, qqp))",
            Ensemble(
                (
                    Fusion((MNLI, SQUAD)),
                    Fusion((SQUAD, MNLI)),
                    Chain(Single("qqp")),
                    Merge("avg", (MNLI, Single("qqp"))),
                )
            ),
            ("mnli", "squad", "qqp"),
        ),
        ("ensemble(mix(mnli, squad), mnli)", Ensemble((Mix(("mnli", "squad")), MNLI)), ("mnli", "squad")),
        ("ensemble( all , none)", Ensemble((*map(Single, ALL), Nothing())), ALL),
        ("ensemble(all+qnli, mnli)", Ensemble((Fusion(tuple(map(Single, (*ALL, "qnli")))), MNLI)), (*ALL, "qnli")),
        ("search", Single("search"), ("search",)),
        ("search(mnli, squad)", Search((MNLI, SQUAD)), ("mnli", "squad")),
        (
            "search(avg(mnli, 2*qqp), mix(mnli, squad); seed=3)",
            Search(
                (Merge("avg", (MNLI, Single("qqp")), (1, 2)), Mix(("mnli", "squad"))), (("budget", 40), ("seed", 3))
            ),
            ("mnli", "qqp", "squad"),
        ),
        ("search(all; budget=100)", Search(tuple(map(Single, ALL)), (("budget", 100),)), ALL),
        ("avg(0.5*all)", Merge("avg", tuple(map(Single, ALL)), (0.5,) * 9), ALL),
    ],
)
def test_what_an_expression_names(text: str, expression: object, names: tuple[str, ...]) -> None:
    parsed = parse(text)
    assert parsed == expression
    assert parsed.names == names


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("ties( squad ,mnli;scale=1.0, density = 0.20)", "ties(squad, mnli)"),
        ("ties(squad,mnli;scale=2,density=.5)", "ties(squad, mnli; density=0.5, scale=2)"),
        ("avg(1*mnli,1.0*squad)", "avg(mnli, squad)"),
        ("dare(mnli, squad; seed=3)+qqp", "dare(mnli, squad; seed=3)+qqp"),
        ("mix(mnli,squad; cap=0, temperature=1.0)", "mix(mnli, squad)"),
        ("mix(squad,mnli; cap=9, temperature=2.5)", "mix(squad, mnli; temperature=2.5, cap=9)"),
        ("mix(1.0*mnli,squad)", "mix(1*mnli, 1*squad)"),
        ("mix(1*mnli,0.50*squad)", "mix(mnli, 0.5*squad)"),
        ("search( squad,mnli ;seed = 0,budget=40.0)", "search(squad, mnli)"),
        ("search(squad,mnli;seed=2,budget=9)", "search(squad, mnli; budget=9, seed=2)"),
        ("ensemble(squad,ties(mnli,qqp;scale=1),mnli + squad)", "ensemble(squad, ties(mnli, qqp), mnli+squad)"),
    ],
)
def test_the_canonical_text_leaves_out_what_goes_without_saying(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


def test_merges_of_other_weights_are_other_adapters() -> None:
    first, second = parse("avg(mnli, squad)"), parse("avg(2*mnli, squad)")
    assert isinstance(first, Merge)
    assert isinstance(second, Merge)
    assert first.adapter != second.adapter
    assert first.adapter.startswith("avg_mnli_squad_")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("none", ()),
        ("mnli+squad", (MNLI, SQUAD)),
        ("chain(avg(mnli, squad))", (MNLI, SQUAD)),
        ("mix(mnli, squad)", (Mix(("mnli", "squad")),)),
        ("avg(mix(mnli, squad), mnli)+ties(mnli, qqp)", (Mix(("mnli", "squad")), MNLI, Single("qqp"))),
        ("chain(mix(mnli, squad))", (Mix(("mnli", "squad")),)),
        ("ensemble(none, chain(squad), avg(mnli, squad), mix(qqp, mnli))", (SQUAD, MNLI, Mix(("qqp", "mnli")))),
    ],
)
def test_what_has_to_be_trained_for_an_expression(text: str, parts: tuple[Adapter, ...]) -> None:
    assert trained_parts(parse(text)) == parts


def test_what_each_part_of_an_ensemble_needs() -> None:
    ensemble = parse("ensemble(mnli+squad, chain(avg(mnli, squad)), squad, none)")
    average = Merge("avg", (MNLI, SQUAD))
    assert needed(ensemble) == (MNLI, SQUAD, average)
    assert [needed(part) for part in members(ensemble)] == [(MNLI, SQUAD), (average,), (SQUAD,), ()]
    assert members(SQUAD) == (SQUAD,)
    with pytest.raises(ExpressionError, match="is no one model"):
        reduced(ensemble)


def test_a_search_starts_from_a_target_on_the_average() -> None:
    search = parse("search(mnli, avg(squad, qqp); budget=9)")
    assert isinstance(search, Search)
    parts = (MNLI, Merge("avg", (SQUAD, Single("qqp"))))
    average = Merge("avg", parts)
    assert (search.average, search.budget, search.seed) == (average, 9, 0)
    assert members(search) == (average,)
    assert needed(search) == (average, *parts)
    assert trained_parts(search) == (MNLI, SQUAD, Single("qqp"))
    assert reduced(search) == Single(search.adapter)
    assert search.adapter.startswith("search_mnli_squad_qqp_")
    assert search.adapter != average.adapter


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("+mnli", 0, "a task name is expected here"),
        ("mnli+", 5, "a task name after '+' is expected here"),
        ("mnli+ ", 6, "a task name after '+' is expected here"),
        ("mnli++squad", 5, "a task name after '+' is expected here"),
        ("mnli squad", 5, "only '+' joins adapters"),
        ("mnli,squad", 4, "only '+' joins adapters"),
        ("mnli|squad", 4, "only '+' joins adapters"),
        ("2*mnli", 0, "a task name is expected here"),
        ("mnli+(squad+qqp)", 5, "a task name after '+' is expected here"),
        ("MNLI", 0, "a task name is expected here"),
        ("mnli+squad+mnli", 11, "'mnli' stands here a second time"),
        ("none+mnli", 0, "'none' means no intermediate task"),
        ("mnli + none", 7, "'none' means no intermediate task"),
        ("nonesuch + none", 11, "'none' means no intermediate task"),
        ("mnli\t+\n+", 7, "a task name after '+' is expected here"),
        ("squad+all", 6, "'squad' stands here a second time"),
        ("mean(mnli, squad)", 0, "'mean'; there are chain, ensemble, avg, arithmetic, ties, dare, svd, mix"),
        ("qqp+mean(mnli, squad)", 4, "there is no function 'mean'"),
        ("avg(mnli)", 0, "'avg' of one adapter is that adapter"),
        ("avg(mnli, mnli)", 10, "'mnli' stands here a second time"),
        ("avg(mnli, none)", 10, "'none' is no adapter"),
        ("avg(mnli, squad", 15, "',', ';' or ')' is expected here"),
        ("avg(mnli, squad))", 16, "only '+' joins adapters"),
        ("avg(mnli+squad, qqp)", 8, "',', ';' or ')' is expected here"),
        ("avg(mnli, 2 squad)", 12, "'*' and an adapter are expected after a weight"),
        ("avg(mnli, -2*squad)", 0, "the weights of 'avg' must be above 0"),
        ("arithmetic(mnli, 0*squad)", 0, "a weight of 0 takes the adapter out"),
        ("avg(mnli, squad; density=1)", 17, "'avg' has no option 'density'; it takes none"),
        ("ties(mnli, squad; drop=1)", 18, "'ties' has no option 'drop'; it takes density, scale"),
        ("ties(mnli, squad; density=1.5)", 18, "'density' of 'ties' must be above 0 and at most 1, not 1.5"),
        ("ties(mnli, squad; scale=2, density=0)", 27, "'density' of 'ties' must be above 0 and at most 1, not 0"),
        ("dare(mnli, squad; seed=0.5)", 18, "'seed' of 'dare' must be a whole number from 0, not 0.5"),
        ("svd(mnli, squad; rank)", 21, "'=' and a number are expected after 'rank'"),
        ("svd(mnli, squad; rank=x)", 22, "a number is expected here"),
        ("svd(mnli, squad; rank=1e999)", 22, "1e999 is too large"),
        ("svd(mnli, squad; rank=1, rank=2)", 25, "'rank' is given twice"),
        ("mix(mnli)", 0, "'mix' of one task is the adapter of that task; name at least two"),
        ("mix(mnli, squad, mnli)", 17, "'mnli' stands here a second time"),
        ("mix(mnli, all)", 10, "'mnli' stands here a second time"),
        ("mix(mnli, none)", 10, "'none' is no adapter"),
        ("mix(mnli, avg(qqp, squad))", 10, "'mix' trains on tasks; only names of tasks may stand in it"),
        ("mix(mix(mnli, qqp), squad)", 4, "only names of tasks may stand in it"),
        ("mix(mnli+squad)", 8, "',', ';' or ')' is expected here"),
        ("mix(mnli, 2 squad)", 12, "'*' and a task are expected after a weight"),
        ("mix(mnli, 0*squad)", 0, "the weights of 'mix' must be above 0"),
        ("qqp+mix(mnli, -1*squad)", 4, "the weights of 'mix' must be above 0"),
        ("mix(2*mnli, squad; temperature=2)", 0, "so that temperature would have no effect"),
        ("mix(1*mnli, squad; cap=9, temperature=1)", 0, "so that cap, temperature would have no effect"),
        ("mix(mnli, squad; temperature=0.5)", 17, "'temperature' of 'mix' must be at least 1, not 0.5"),
        ("mix(mnli, squad; cap=0.5)", 17, "'cap' of 'mix' must be a whole number of rows from 1, or 0 for none"),
        ("mix(mnli, squad; rank=2)", 17, "'mix' has no option 'rank'; it takes temperature, cap"),
        ("avg(mix(mnli, squad), mix(mnli, squad))", 22, "'mix(mnli, squad)' stands here a second time"),
        ("chain(squad)+mnli", 12, "'chain' stands alone"),
        ("chain(squad)mnli", 12, "'chain' stands alone; nothing may follow it"),
        ("chain(chain(squad))", 6, "and stands alone"),
        ("ensemble(mnli)", 0, "'ensemble' of one is that one; name at least two"),
        ("ensemble(mnli, squad, mnli)", 22, "'mnli' stands here a second time"),
        ("ensemble(mnli+squad, mnli + squad)", 21, "'mnli+squad' stands here a second time"),
        ("ensemble(none, none)", 15, "'none' stands here a second time"),
        ("ensemble(squad, all)", 16, "'squad' stands here a second time"),
        ("ensemble(all+squad, mnli)", 13, "'squad' stands here a second time"),
        ("ensemble(mnli, ensemble(qqp, squad))", 15, "'ensemble' averages the answers of whole models"),
        ("ensemble(ensemble(qqp, squad), mnli)", 9, "and stands alone"),
        ("avg(ensemble(qqp, squad), mnli)", 4, "and stands alone"),
        ("chain(ensemble(qqp, squad))", 6, "and stands alone"),
        ("mnli+ensemble(qqp, squad)", 5, "and stands alone"),
        ("ensemble(qqp, squad)+mnli", 20, "'ensemble' stands alone; nothing may follow it"),
        ("ensemble(qqp, squad", 19, "',' or ')' is expected here"),
        ("ensemble(qqp, squad mnli)", 20, "',' or ')' is expected here; only '+' joins adapters"),
        ("ensemble(qqp, chain(squad)+mnli)", 26, "',' or ')' is expected here"),
        ("ensemble(2*qqp, squad)", 9, "a part of the ensemble is expected here"),
        ("ensemble(qqp, squad; seed=1)", 19, "',' or ')' is expected here"),
        ("ensemble(qqp, mnli+none)", 19, "'none' means no intermediate task"),
        ("ensemble()", 9, "a part of the ensemble is expected here"),
        ("search(mnli)", 0, "'search' of one adapter has no proportions to find; name at least two"),
        ("search(mnli, squad, mnli)", 20, "'mnli' stands here a second time"),
        ("search(mnli, 2*squad)", 13, "'search' finds the weights itself; leave them out"),
        ("search(mnli, none)", 13, "'none' is no adapter"),
        ("search(mnli+squad, qqp)", 11, "',', ';' or ')' is expected here"),
        ("search(chain(mnli), qqp)", 7, "'chain' tells where the target adapter starts, and stands alone"),
        ("search(search(mnli, squad), qqp)", 7, "'search' finds the weights of a merge on the target's rows"),
        ("search(ensemble(mnli, squad), qqp)", 7, "and stands alone"),
        ("ensemble(search(mnli, squad), qqp)", 9, "and stands alone"),
        ("qqp+search(mnli, squad)", 4, "and stands alone"),
        ("avg(qqp, search(mnli, squad))", 9, "and stands alone"),
        ("chain(search(mnli, squad))", 6, "and stands alone"),
        ("search(mnli, squad)+qqp", 19, "'search' stands alone; nothing may follow it"),
        ("search(mnli, squad; budget=1)", 20, "'budget' of 'search' must be a whole number from 2, not 1"),
        ("search(mnli, squad; budget=2.5)", 20, "'budget' of 'search' must be a whole number from 2, not 2.5"),
        ("search(mnli, squad; seed=-1)", 20, "'seed' of 'search' must be a whole number from 0, not -1"),
        ("search(mnli, squad; rank=2)", 20, "'search' has no option 'rank'; it takes budget, seed"),
        ("mnli+chain(squad)", 5, "and stands alone"),
        ("avg(chain(squad), mnli)", 4, "and stands alone"),
        ("chain(mnli, squad)", 10, "'chain' takes one adapter"),
        ("chain(none)", 6, "'none' is no adapter"),
        ("chain(all)", 6, "'chain' starts from one adapter"),
        ("avg(a, " * (DEEPEST + 1) + "b" + ")" * (DEEPEST + 1), 7 * DEEPEST, "nested deeper than 6"),
    ],
)
def test_an_error_marks_its_place(text: str, column: int, says: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(says)) as caught:
        parse(text)
    assert caret(caught.value) == column


@given(PIECES.map("".join))
def test_every_text_is_read_or_refused_with_a_mark(text: str) -> None:
    try:
        expression = parse(text)
    except ExpressionError as caught:
        error = caught
    else:
        assert parse(str(expression)) == expression
        return
    if text.strip():
        assert 0 <= caret(error) <= len(text)
    else:
        assert "is empty" in str(error)


@given(ADAPTERS, st.data())
def test_an_error_marks_where_the_text_stops_being_an_expression(expression: Adapter, data: st.DataObject) -> None:
    """A sign that stands nowhere in the language is marked at its own place, wherever it is put between the words."""
    text = str(expression)
    places = [match.start() for match in re.finditer(r"[+*,;=()]", text)] + [len(text)]
    place = data.draw(st.sampled_from(places))
    with pytest.raises(ExpressionError) as caught:
        parse(f"{text[:place]}?{text[place:]}")
    assert caret(caught.value) == place
