"""No short cuts: what sees a part of a problem, or its words without their order, does no better than chance."""

from __future__ import annotations

import functools
import itertools
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np
import pytest

from adapterstilts.lab.languages import LANGUAGES, SOURCE
from adapterstilts.lab.meaning import Clause
from adapterstilts.lab.rows import TASKS, Row
from adapterstilts.lab.tasks.inference import inference
from adapterstilts.lab.tasks.pairs import duplicate_questions
from adapterstilts.lab.tasks.problems import Pair, Problem, part_of

SIZE = 1 << 12
ALLOWED = 0.05
TRAIN, SCORED = 1500, 800
READING = ["squad", "mlqa", "tydiqa"]
Features = Iterable[str]


Parts = tuple[list[Row], list[Row]]
"""Rows to learn from, and others with meanings of their own to be scored on."""


@functools.cache
def drawn(task: str, number: int = 0) -> Parts:
    """Return rows of a task: more than its validation split has, so that chance is told from more."""
    return said(TASKS[task].problems(random.Random(f"short cuts {task} {number}")), task)


def said(found: Iterable[tuple[Hashable, tuple[Problem, ...]]], task: str) -> Parts:
    """Say problems in the source language, those of the training part apart."""
    parts: Parts = ([], [])
    train, scored = (1000, 500) if task in (*READING, "squad2") else (TRAIN, SCORED)  # texts take longest to draw
    for key, problems in found:
        part, wanted = (parts[0], train) if part_of(key) == "train" else (parts[1], scored)
        made = (TASKS[task].row(problem, LANGUAGES[SOURCE], f"{task}-{len(part)}") for problem in problems)
        part.extend(itertools.islice(made, wanted - len(part)))
        if len(parts[0]) == train and len(parts[1]) == scored:
            break
    return parts


def grams(text: str, prefix: str = "") -> list[str]:
    """Return unigrams and bigrams."""
    words = text.split()
    return [prefix + word for word in words] + [f"{prefix}{a} {b}" for a, b in itertools.pairwise(words)]


class Table:
    """Hashed features of items: a sparse matrix of ones. Shape (items, SIZE)."""

    def __init__(self, items: Sequence[Features]) -> None:
        hashed = [sorted({zlib.crc32(feature.encode()) % SIZE for feature in features}) for features in items]
        self.rows = np.repeat(np.arange(len(items)), [len(columns) for columns in hashed])
        self.columns = np.array([column for columns in hashed for column in columns])
        self.count = len(items)

    def times(self, weights: np.ndarray) -> np.ndarray:
        """Return the product with one column of weights."""
        return np.bincount(self.rows, weights[self.columns], self.count)

    def turned_times(self, values: np.ndarray) -> np.ndarray:
        """Return the product of the transposed matrix with a value for each item."""
        return np.bincount(self.columns, values[self.rows], SIZE)


def descend(weights: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray], steps: int = 60) -> np.ndarray:
    """Minimise by Adam."""
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, steps + 1):
        slope = gradient(weights)
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        weights = weights - 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    return weights


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def classified(
    train: Sequence[Features], gold: Sequence[int], scored: Sequence[Features], right: Sequence[int]
) -> float:
    """Train a logistic regression and return its accuracy."""
    x, y = Table(train), np.eye(max(gold) + 1)[list(gold)]

    def scores(table: Table, w: np.ndarray) -> np.ndarray:
        return np.stack([table.times(column) for column in w], axis=1)

    def gradient(w: np.ndarray) -> np.ndarray:
        off = softmax(scores(x, w)) - y
        return np.stack([x.turned_times(column) for column in off.T]) / len(y) + 1e-4 * w

    weights = descend(np.zeros((y.shape[1], SIZE)), gradient)
    return float((scores(Table(scored), weights).argmax(axis=1) == np.array(right)).mean())


def chosen(
    train: Sequence[Sequence[Features]], gold: Sequence[int], scored: Sequence[Sequence[Features]], right: Sequence[int]
) -> float:
    """Train a linear model that scores each choice by itself, and return its accuracy."""
    choices = len(train[0])
    x = Table([choice for problem in train for choice in problem])
    y = np.eye(choices)[list(gold)]

    def gradient(w: np.ndarray) -> np.ndarray:
        off = softmax(x.times(w).reshape(-1, choices)) - y
        return x.turned_times(off.reshape(-1)) / len(y) + 1e-4 * w

    weights = descend(np.zeros(SIZE), gradient)
    scores = Table([choice for problem in scored for choice in problem]).times(weights).reshape(-1, choices)
    return float((scores.argmax(axis=1) == np.array(right)).mean())


# pairs of texts

PAIRS = {
    "mnli": ("premise", "hypothesis", "label"),
    "anli": ("premise", "hypothesis", "label"),
    "pawsx": ("sentence1", "sentence2", "label"),
    "qqp": ("question1", "question2", "label"),
}


def told_by(parts: Parts, label: str, features: Callable[[Row], Features]) -> float:
    """Return the accuracy with which features of the training rows tell the labels of the others."""
    x, y = ([features(row) for row in part] for part in parts)
    gold, right = ([int(row[label]) for row in part] for part in parts)
    return classified(x, gold, y, right)


@pytest.mark.parametrize(
    ("task", "which"), [("mnli", 1), ("anli", 1), ("pawsx", 0), ("pawsx", 1), ("qqp", 0), ("qqp", 1)]
)
def test_one_text_alone_tells_nothing(task: str, which: int) -> None:
    column, label = PAIRS[task][which], PAIRS[task][2]
    score = told_by(drawn(task), label, lambda row: grams(row[column]))
    assert score <= (1 / 3 if task.endswith("nli") else 1 / 2) + ALLOWED


def words_of_both(row: Row, first: str, second: str) -> list[str]:
    """Return the words and bigrams of both texts, which words one has and the other not, and how many."""
    a, b = (row[column].rstrip(".?").split() for column in (first, second))
    counts = [f"in both {len({*a} & {*b})}", f"in one {len({*a} ^ {*b})}", f"longer by {len(a) - len(b)}"]
    missing = [f"missing {word}" for word in {*b} - {*a}] + [f"new {word}" for word in {*a} - {*b}]
    return [*grams(row[first], "1 "), *grams(row[second], "2 "), *counts, *missing]


def test_words_without_order_do_not_tell_paraphrases() -> None:
    score = told_by(drawn("pawsx"), "label", lambda row: words_of_both(row, "sentence1", "sentence2"))
    assert score <= 1 / 2 + ALLOWED


def test_words_without_order_do_not_tell_changed_roles_in_questions() -> None:
    def swapped(problems: tuple[Problem, ...]) -> bool:
        clauses = [clause for problem in problems if isinstance(problem, Pair) for clause in problem.second]
        assert all(isinstance(clause, Clause) for clause in clauses)
        words = {tuple(sorted(map(repr, (c.subject, c.object, c.recipient)))) for c in clauses}  # type: ignore[union-attr]
        return len(words) == 1 and len({(c.asked, c.negated) for c in clauses}) == 1  # type: ignore[union-attr]

    groups = list(itertools.islice(duplicate_questions(random.Random("roles")), 3 * TRAIN))
    found = [group for group in groups if swapped(group[1])]
    assert len(found) > 0.2 * len(groups)
    score = told_by(said(found, "qqp"), "label", lambda row: words_of_both(row, "question1", "question2"))
    assert score <= 1 / 2 + ALLOWED


def test_words_without_order_do_not_tell_adversarial_inference() -> None:
    found = said(inference(random.Random("adversarial"), adversarial=True), "anli")
    assert told_by(found, "label", lambda row: words_of_both(row, "premise", "hypothesis")) <= 1 / 3 + ALLOWED


# choices

CHOICES = {"hellaswag": 4, "cosmosqa": 4, "csqa": 5, "siqa": 3, "xcopa": 2}


def choices_of(row: Row) -> tuple[str, str, list[str], int]:
    """Return context, question, choices and the number of the right one."""
    if "endings" in row:
        return row["ctx"], "", row["endings"], int(row["label"])
    if "answerKey" in row:
        return "", row["question"], row["choices"]["text"], "ABCDE".index(row["answerKey"])
    if "answerA" in row:
        return row["context"], row["question"], [row[f"answer{letter}"] for letter in "ABC"], int(row["label"]) - 1
    if "choice1" in row:
        return row["premise"], row["question"], [row["choice1"], row["choice2"]], row["label"]
    return row["context"], row["question"], [row[f"answer{number}"] for number in range(4)], row["label"]


def chosen_by(parts: Parts, features: Callable[[Row], Sequence[Features]]) -> float:
    """Return the accuracy with which features of the choices tell the right one."""
    x, y = ([features(row) for row in part] for part in parts)
    gold, right = ([choices_of(row)[3] for row in part] for part in parts)
    return chosen(x, gold, y, right)


@pytest.mark.parametrize("task", CHOICES)
def test_choices_alone_tell_nothing(task: str) -> None:
    def features(row: Row) -> list[list[str]]:
        choices = choices_of(row)[2]
        said = [set(choice.rstrip(".").split()) for choice in choices]
        many = Counter(word for words in said for word in words)
        found = []
        for number, (choice, words) in enumerate(zip(choices, said, strict=True)):
            others = {f"other {word}" for other in said if other is not words for word in other}
            like = f"like the others {sum(many[word] - 1 for word in words)}"
            found.append([*grams(choice), *others, like, f"choice {number}", f"{len(words)} words"])
        return found

    # Validation rows of csqa have few facts, and so few right words: one draw of the training rows says little.
    draws = [drawn(task)] if task != "csqa" else [drawn(task, number) for number in range(5)]
    scores = [chosen_by(parts, features) for parts in draws]
    assert sum(scores) / len(scores) <= 1 / CHOICES[task] + ALLOWED


@pytest.mark.parametrize("task", ["cosmosqa", "hellaswag", "siqa", "xcopa"])  # csqa has no text
def test_without_the_text_nothing_is_told(task: str) -> None:
    def features(row: Row) -> list[list[str]]:
        _, question, choices, _ = choices_of(row)
        return [grams(c) + [f"{a}|{b}" for a in question.split() for b in c.split()] for c in choices]

    assert chosen_by(drawn(task), features) <= 1 / CHOICES[task] + ALLOWED


@pytest.mark.parametrize("task", CHOICES)
@pytest.mark.parametrize("best", [max, min])
def test_neither_the_longest_nor_the_shortest_choice_is_right(task: str, best: Callable[..., int]) -> None:
    # Validation rows of csqa have few facts, and so few right words: their length is an accident.
    scored = drawn(task)[0 if task == "csqa" else 1]
    total = 0.0
    for row in scored:
        _, _, choices, right = choices_of(row)
        wanted = best(map(len, choices))
        among = [number for number, choice in enumerate(choices) if len(choice) == wanted]
        total += (right in among) / len(among)
    assert total / len(scored) <= 1 / CHOICES[task] + ALLOWED


def test_mentions_of_a_person_do_not_tell_what_happens_next() -> None:
    def features(row: Row) -> list[list[str]]:
        context, _, choices, _ = choices_of(row)
        words = context.replace(".", " ").split()
        common = set.intersection(*(set(choice.split()) for choice in choices))
        own = [next(word for word in choice.split() if word not in common) for choice in choices]
        places = [[at for at, word in enumerate(words) if word == name] for name in own]
        first, last = sorted(p[0] for p in places), sorted(p[-1] for p in places)
        many = sorted(map(len, places))
        return [
            [f"first {first.index(p[0])}", f"last {last.index(p[-1])}", f"{len(p)} times", f"rank {many.index(len(p))}"]
            for p in places
        ]

    assert chosen_by(drawn("hellaswag"), features) <= 1 / 4 + ALLOWED


# reading


def answer_sentence(row: Row) -> tuple[int, int]:
    """Return the number of the sentence with the answer, and how many there are."""
    start = row["answers"]["answer_start"][0]
    return row["context"][:start].count("."), row["context"].count(".")


@pytest.mark.parametrize("task", READING)
def test_answers_stand_in_any_sentence(task: str) -> None:
    rows = [*drawn(task)[0], *drawn(task)[1]]
    counts = Counter(answer_sentence(row) for row in rows)
    (sentences,) = {upto for _, upto in counts}
    assert len(counts) == sentences
    assert max(counts.values()) / len(rows) <= 1 / sentences + 0.03


@pytest.mark.parametrize("task", READING)
def test_a_question_alone_does_not_tell_where_its_answer_stands(task: str) -> None:
    parts = drawn(task)
    for row in (*parts[0], *parts[1]):
        row["sentence"] = answer_sentence(row)[0]
    score = told_by(parts, "sentence", lambda row: grams(row["question"]))
    assert score <= 1 / answer_sentence(parts[0][0])[1] + ALLOWED


@pytest.mark.parametrize("task", READING)
def test_a_question_alone_does_not_tell_its_answer(task: str) -> None:
    """The commonest answer to a question word is no better than any of the answers that the word has."""
    train, scored = drawn(task)
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        seen[row["question"].split()[0]][row["answers"]["text"][0]] += 1
    right = chance = 0.0
    for row in scored:
        answers = seen[row["question"].split()[0]]
        right += row["answers"]["text"][0] == answers.most_common(1)[0][0]
        chance += 1 / len(answers)
    assert right / len(scored) <= chance / len(scored) + ALLOWED


def test_a_question_alone_does_not_tell_whether_it_has_an_answer() -> None:
    parts = drawn("squad2")
    for row in (*parts[0], *parts[1]):
        row["answerable"] = len(row["answers"]["text"])
    share = sum(row["answerable"] for row in parts[0]) / len(parts[0])
    assert abs(share - 0.6) < 0.05
    assert told_by(parts, "answerable", lambda row: grams(row["question"])) <= 0.6 + ALLOWED
