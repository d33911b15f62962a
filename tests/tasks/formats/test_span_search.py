"""The search for the best span among the logits of a window, and among windows."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from toy_encoding import SHORT
from toy_spans import span, sure_spans
from transformers import PreTrainedTokenizerFast as Tokenizer

from adapterstilts.data.rows import to_table
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS, Answer, Encoded, EncodingSettings
from adapterstilts.tasks.formats.span_search import largest

SQUAD = get_task("squad")
MAYBE_SQUAD = dataclasses.replace(SQUAD, unanswerable=True)
OUTSIDE = -1
FILLER = "the cat sees a big house and small tree near water today "


def one_window(context: str, tokens: int | None = None) -> Encoded:
    """A window with one token a letter of ``context`` after two that are not of it."""
    count = len(context) if tokens is None else tokens
    starts, ends = [OUTSIDE, OUTSIDE, *range(count)], [OUTSIDE, OUTSIDE, *range(1, count + 1)]
    return Encoded(Dataset.from_dict({"example": [0], "offset_starts": [starts], "offset_ends": [ends]}))


def decoded(
    context: str, encoded: Encoded, logits: list[np.ndarray], *, task: Any = SQUAD, **settings: int
) -> tuple[str, float]:
    rows = to_table(SQUAD, [span(context, None)])
    (answer,) = FORMATS["span"].decode(task, rows, encoded, logits, EncodingSettings(**settings))
    return answer.value, answer.score


def test_answers_are_not_too_long() -> None:
    context = "abcdefghijklmnopqrstuvwxyz"
    logits = np.zeros((2, 28), dtype=np.float32)
    logits[0, 2 + 3] = 9  # start at d
    logits[1, 2 + 9], logits[1, 2 + 8] = 9, 5  # end at j, or else at i
    for longest, expected in ((30, "defghij"), (7, "defghij"), (6, "defghi")):
        assert decoded(context, one_window(context), [logits], max_answer_length=longest)[0] == expected


def test_answers_run_forwards_and_lie_in_the_context() -> None:
    context = "abcdefgh"
    logits = np.zeros((2, 10), dtype=np.float32)
    logits[0, 0] = logits[1, 0] = logits[0, 1] = logits[1, 1] = 50  # outside
    logits[0, 2 + 5], logits[1, 2 + 2] = 9, 8  # the end before the start
    logits[1, 2 + 6] = 7
    assert decoded(context, one_window(context), [logits])[0] == "fg"


def test_padding_after_the_window_is_not_read() -> None:
    logits = np.zeros((2, 40), dtype=np.float32)
    logits[:, 20:] = 50
    logits[0, 2 + 1] = logits[1, 2 + 1] = 5
    assert decoded("abcdefgh", one_window("abcdefgh"), [logits])[0] == "b"


def test_no_answer_where_a_task_allows_it(toy_tokenizer: Tokenizer) -> None:
    rows = [span("the Alpha tree", None), span("the Alpha tree", "Alpha"), span(FILLER * 5 + "Alpha", "Alpha")]
    table = to_table(MAYBE_SQUAD, rows)
    form = FORMATS["span"]
    encoded = form.encode(MAYBE_SQUAD, table, toy_tokenizer, SHORT, training=True)
    assert encoded.features["example"][:2] == [0, 1]  # a question without an answer is learnt from
    assert (encoded.features[0]["start_positions"], encoded.features[0]["end_positions"]) == (0, 0)
    answers = form.decode(MAYBE_SQUAD, table, encoded, sure_spans(encoded), SHORT)
    assert [answer.value for answer in answers] == ["", "Alpha", "Alpha"]
    # The same logits for a task whose questions all have answers: some span must be given.
    assert form.decode(SQUAD, table, encoded, sure_spans(encoded), SHORT)[0].value != ""


def test_nothing_wins_only_with_a_higher_score() -> None:
    context = "abcd"
    logits = np.zeros((2, 6), dtype=np.float32)
    logits[0, 3] = logits[1, 3] = 2.0
    for null, expected in ((1.9, "b"), (2.1, "")):
        logits[0, 0] = logits[1, 0] = null
        assert decoded(context, one_window(context), [logits], task=MAYBE_SQUAD)[0] == expected


def test_nothing_is_scored_by_the_window_that_believes_in_it_least() -> None:
    """As in the official script: a window that holds the answer outweighs all those that do not."""
    window = one_window("abcd").features[0]
    two = Encoded(Dataset.from_list([window, window]))
    empty, full = np.zeros((2, 6), dtype=np.float32), np.zeros((2, 6), dtype=np.float32)
    empty[:, 0] = 9
    full[:, 3], full[:, 0] = 3, -5
    for order in ([empty, full], [full, empty]):
        assert decoded("abcd", two, order, task=MAYBE_SQUAD)[0] == "b"


def test_a_window_without_context_has_no_answer() -> None:
    encoded = Encoded(
        Dataset.from_dict({"example": [0], "offset_starts": [[OUTSIDE] * 3], "offset_ends": [[OUTSIDE] * 3]})
    )
    assert decoded("abc", encoded, [np.ones((2, 3), dtype=np.float32)]) == ("", 1.0)


def slow_search(
    windows: list[tuple[list[int], np.ndarray]], n_best: int, longest: int, null: bool
) -> tuple[tuple[int, int] | None, float]:
    """The best span over all windows by trying all, and its share among the ``n_best`` best.

    Args:
        windows: the first letter of each window's tokens, and its logits without those of outside tokens.
    """
    found = []
    for letters, logits in windows:
        starts = sorted(range(len(letters)), key=lambda index: -logits[0][index])[:n_best]
        ends = sorted(range(len(letters)), key=lambda index: -logits[1][index])[:n_best]
        for first in range(len(letters)):
            for last in range(first, len(letters)):
                if last - first < longest and first in starts and last in ends:
                    found.append((logits[0][first] + logits[1][last], letters[first], letters[last] + 1))
    found.sort(key=lambda item: (-item[0], item[1], item[2]))
    found = found[:n_best]
    scores = [item[0] for item in found]
    spans: list[tuple[int, int] | None] = [item[1:] for item in found]
    if null or not found:
        scores.append(0.0 if not null else min(float(logits[2][0]) for _, logits in windows))
        spans.append(None)
    best = max(range(len(scores)), key=lambda index: (scores[index], -index))
    return spans[best], float(np.exp(scores[best]) / np.exp(scores).sum())


@given(
    sizes=st.lists(st.integers(1, 14), min_size=1, max_size=3),
    n_best=st.integers(1, 30),
    longest=st.integers(1, 16),
    unanswerable=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_the_search_finds_what_trying_all_finds(
    sizes: list[int], n_best: int, longest: int, unanswerable: bool, seed: int
) -> None:
    context = "abcdefghijklmnopqrstuvwxyz"
    generator = np.random.default_rng(seed)
    features, logits, windows = [], [], []
    for size in sizes:
        offset = int(generator.integers(0, 10))
        letters = list(range(offset, offset + size))
        values = (generator.normal(size=(2, size + 2)) * 3).astype(np.float32)  # distinct, so there are no ties
        features.append(
            {
                "example": 0,
                "offset_starts": [OUTSIDE, *letters, OUTSIDE],
                "offset_ends": [OUTSIDE, *(letter + 1 for letter in letters), OUTSIDE],
            }
        )
        logits.append(values)
        inner = values[:, 1:-1].astype(np.float64)
        windows.append((letters, [inner[0], inner[1], [float(values[0, 0]) + float(values[1, 0])]]))
    expected, share = slow_search(windows, n_best, longest, unanswerable)  # type: ignore[arg-type]
    text, score = decoded(
        context,
        Encoded(Dataset.from_list(features)),
        logits,
        task=MAYBE_SQUAD if unanswerable else SQUAD,
        n_best=n_best,
        max_answer_length=longest,
    )
    assert text == ("" if expected is None else context[expected[0] : expected[1]])
    assert score == pytest.approx(share, rel=1e-4)


def one_by_one(
    context: str,
    windows: list[dict[str, Any]],
    logits: list[np.ndarray],
    unanswerable: bool,
    settings: EncodingSettings,
) -> Answer:
    """The search for the answer to one question written out: a window after the other, a list of all candidates."""
    candidates, null = [], float("inf")
    for window, values in zip(windows, logits, strict=True):
        null = min(null, float(values[0, 0] + values[1, 0]))
        places = [place for place, end in enumerate(window["offset_ends"]) if end != OUTSIDE]
        begin, finish = ([float(side[place]) for place in places] for side in values)
        first = sorted(range(len(places)), key=lambda token: -begin[token])[: settings.n_best]
        last = sorted(range(len(places)), key=lambda token: -finish[token])[: settings.n_best]
        pairs = [(one, other) for one in first for other in last if 0 <= other - one < settings.max_answer_length]
        scored = [(float(values[0, places[one]] + values[1, places[other]]), one, other) for one, other in pairs]
        for score, one, other in sorted(scored, key=lambda found: -found[0])[: settings.n_best]:
            candidates.append((-score, window["offset_starts"][places[one]], window["offset_ends"][places[other]]))
    best = sorted(candidates)[: settings.n_best]
    texts = [context[start:end].strip() for _, start, end in best]
    scores = [-score for score, _, _ in best]
    if unanswerable or not best:
        texts.append("")
        scores.append(null)
    chosen = int(np.argmax(scores))
    weights = np.exp(np.array(scores) - scores[chosen])
    answer = Answer(texts[chosen], float(weights[chosen] / weights.sum()))
    if unanswerable and best:
        return dataclasses.replace(answer, alternative=texts[0], no_answer=scores[-1] - scores[0])
    return answer


@given(
    sizes=st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=3), min_size=1, max_size=4),
    n_best=st.integers(1, 30),
    longest=st.integers(1, 40),
    unanswerable=st.booleans(),
    ties=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_many_questions_are_answered_as_each_by_itself(
    sizes: list[list[int]], n_best: int, longest: int, unanswerable: bool, ties: bool, seed: int
) -> None:
    """Windows of unequal sizes, some without context, in one block; with ties, logits are 0, 1 or 2."""
    generator = np.random.default_rng(seed)
    settings = EncodingSettings(n_best=n_best, max_answer_length=longest)
    task = MAYBE_SQUAD if unanswerable else SQUAD
    contexts = ["".join(generator.choice(list("abc d"), 60)) for _ in sizes]
    features, logits = [], []
    for example, windows in enumerate(sizes):
        for size in windows:
            offset = int(generator.integers(0, 20))
            before, after = generator.integers(1, 4, size=2).tolist()
            features.append(
                {
                    "example": example,
                    "offset_starts": [*[OUTSIDE] * before, *range(offset, offset + size), *[OUTSIDE] * after],
                    "offset_ends": [*[OUTSIDE] * before, *range(offset + 1, offset + size + 1), *[OUTSIDE] * after],
                }
            )
            shape = (2, before + size + after)
            values = generator.integers(0, 3, size=shape) if ties else generator.normal(size=shape) * 3
            logits.append(values.astype(np.float32))
    rows = to_table(task, [span(context, None) for context in contexts])
    answers = FORMATS["span"].decode(task, rows, Encoded(Dataset.from_list(features)), logits, settings)
    for example, answer in enumerate(answers):
        own = [number for number, feature in enumerate(features) if feature["example"] == example]
        expected = one_by_one(
            contexts[example],
            [features[number] for number in own],
            [logits[number] for number in own],
            unanswerable,
            settings,
        )
        assert (answer.value, answer.alternative) == (expected.value, expected.alternative)
        assert answer.score == pytest.approx(expected.score, rel=1e-9)
        assert (answer.no_answer is None) == (expected.no_answer is None)
        assert (answer.no_answer or 0) == pytest.approx(expected.no_answer or 0, rel=1e-9, abs=1e-9)


def test_more_windows_than_a_block_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    context, window = "abcdefgh", one_window("abcdefgh").features[0]
    encoded = Encoded(Dataset.from_list([window | {"example": number // 2} for number in range(14)]))
    logits = [np.zeros((2, 10), dtype=np.float32) for _ in range(14)]
    for question in range(7):
        logits[2 * question + question % 2][:, 2 + question] = 5
    monkeypatch.setattr("adapterstilts.tasks.formats.span_search.BLOCK", 3)
    rows = to_table(SQUAD, [span(context, None)] * 7)
    answers = FORMATS["span"].decode(SQUAD, rows, encoded, logits, EncodingSettings())
    assert [answer.value for answer in answers] == list("abcdefg")


def test_logits_that_are_no_numbers_are_never_the_best() -> None:
    logits = np.zeros((2, 10), dtype=np.float32)
    logits[:, 4] = np.nan
    logits[:, 5] = 1
    assert decoded("abcdefgh", one_window("abcdefgh"), [logits])[0] == "d"
    assert decoded("abcdefgh", one_window("abcdefgh"), [logits], n_best=2)[0] == "d"


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_the_largest_are_those_of_a_stable_sort(width: int, count: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 4, size=(3, width)).astype(np.float32)
    values[1, width // 2 :] = -np.inf
    expected = [sorted(range(width), key=lambda place: -row[place])[: min(count, width)] for row in values]
    assert largest(values, min(count, width)).tolist() == expected
