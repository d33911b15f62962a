"""No short cuts: what sees a part of a problem, or its words without their order, does no better than chance."""

from __future__ import annotations

import functools
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest

from adapterstilts.lab.languages import LANGUAGES, SOURCE
from adapterstilts.lab.rows import TASKS, Row
from adapterstilts.lab.tasks.inference import inference
from adapterstilts.lab.tasks.problems import in_part

SIZE = 1 << 12
ALLOWED = 0.05
TRAIN, SCORED = 2000, 800
Features = Iterable[str]


@functools.cache
def drawn(task: str, part: str, count: int) -> list[Row]:
    """Return rows of a task; more of them than its validation split has, so that chance is told from more."""
    found = TASKS[task]
    problems = in_part(found.problems(random.Random(f"short cuts {task}")), part, count)  # type: ignore[arg-type]
    return [found.row(problem, LANGUAGES[SOURCE], f"{task}-{i}") for i, problem in enumerate(problems)]


def both_parts(task: str) -> tuple[list[Row], list[Row]]:
    return drawn(task, "train", TRAIN), drawn(task, "validation", SCORED)


def grams(text: str, prefix: str = "") -> list[str]:
    """Return unigrams and bigrams."""
    words = text.split()
    return [prefix + word for word in words] + [f"{prefix}{a} {b}" for a, b in zip(words, words[1:], strict=False)]


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
    "mnli": ("premise", "hypothesis"),
    "anli": ("premise", "hypothesis"),
    "pawsx": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
}


@pytest.mark.parametrize("task", PAIRS)
def test_the_second_text_alone_tells_nothing(task: str) -> None:
    second, label = PAIRS[task][1], list(drawn(task, "train", 1)[0])[2]
    train, scored = both_parts(task)
    score = classified(
        [grams(row[second]) for row in train],
        [int(row[label]) for row in train],
        [grams(row[second]) for row in scored],
        [int(row[label]) for row in scored],
    )
    classes = 3 if task.endswith("nli") else 2
    print("SCORE", score)
    assert score <= 1 / classes + ALLOWED


def words_of_both(row: Row, first: str, second: str) -> list[str]:
    a, b = set(row[first].rstrip(".?").split()), set(row[second].rstrip(".?").split())
    lengths = [f"difference in length {len(row[first].split()) - len(row[second].split())}"]
    return [
        *grams(row[first], "1 "), *grams(row[second], "2 "), f"in both {len(a & b)}", f"in one {len(a ^ b)}",
        *(f"missing {word}" for word in b - a), *(f"new {word}" for word in a - b), *lengths,
    ]  # fmt: skip


def test_words_without_order_do_not_tell_paraphrases() -> None:
    train, scored = both_parts("pawsx")
    made = [[words_of_both(row, "sentence1", "sentence2") for row in part] for part in (train, scored)]
    score = classified(made[0], [int(r["label"]) for r in train], made[1], [int(r["label"]) for r in scored])
    print("SCORE", score)
    assert score <= 0.5 + ALLOWED


def test_words_without_order_do_not_tell_changed_roles_in_questions() -> None:
    train, scored = both_parts("qqp")

    def same(row: Row) -> bool:
        return len(row["question1"].split()) > 0

    made = [[words_of_both(row, "question1", "question2") for row in part] for part in (train, scored)]
    score = classified(made[0], [int(r["label"]) for r in train], made[1], [int(r["label"]) for r in scored])
    print("qqp all", score)


def test_words_without_order_do_not_tell_adversarial_inference() -> None:
    def part(name: str, count: int) -> list[Row]:
        found = in_part(inference(random.Random("adversarial"), adversarial=True), name, count)  # type: ignore[arg-type]
        return [TASKS["anli"].row(problem, LANGUAGES[SOURCE], "") for problem in found]

    train, scored = part("train", TRAIN), part("validation", SCORED)
    made = [[words_of_both(row, "premise", "hypothesis") for row in rows_] for rows_ in (train, scored)]
    score = classified(made[0], [r["label"] for r in train], made[1], [r["label"] for r in scored])
    print("SCORE", score)
    assert score <= 1 / 3 + ALLOWED


# choices


def choices_of(row: Row) -> tuple[str, str, list[str], int]:
    """Return context, question, choices and the number of the right one."""
    if "endings" in row:
        return row["ctx"], "", row["endings"], int(row["label"])
    if "answerKey" in row:
        return "", row["question"], row["choices"]["text"], "ABCDE".index(row["answerKey"])
    if "answerA" in row:
        return row["context"], row["question"], [row[f"answer{x}"] for x in "ABC"], int(row["label"]) - 1
    if "choice1" in row:
        return row["premise"], row["question"], [row["choice1"], row["choice2"]], row["label"]
    return row["context"], row["question"], [row[f"answer{i}"] for i in range(4)], row["label"]


CHOICES = {"hellaswag": 4, "cosmosqa": 4, "csqa": 5, "siqa": 3, "xcopa": 2}


@pytest.mark.parametrize("task", CHOICES)
def test_choices_alone_tell_nothing(task: str) -> None:
    def features(row: Row) -> list[list[str]]:
        _, _, choices, _ = choices_of(row)
        others = [
            [f"other {w}" for j, c in enumerate(choices) if j != i for w in c.split()] for i in range(len(choices))
        ]
        words = Counter(word for choice in choices for word in set(choice.split()))
        shared = [
            [f"shared {sum(words[w] > 1 for w in c.split())}", f"all {sum(words[w] for w in c.split())}"]
            for c in choices
        ]
        return [
            [*grams(choice), f"place {i}", f"{len(choice.split())} words", *others[i], *shared[i]]
            for i, choice in enumerate(choices)
        ]

    train, scored = both_parts(task)
    score = chosen(
        [features(r) for r in train], [choices_of(r)[3] for r in train],
        [features(r) for r in scored], [choices_of(r)[3] for r in scored],
    )  # fmt: skip
    print("SCORE", score)
    assert score <= 1 / CHOICES[task] + ALLOWED


@pytest.mark.parametrize("task", ["cosmosqa", "hellaswag", "siqa", "xcopa"])
def test_without_the_text_nothing_is_told(task: str) -> None:
    def features(row: Row) -> list[list[str]]:
        _, question, choices, _ = choices_of(row)
        return [grams(c) + [f"{a}|{b}" for a in question.split() for b in c.split()] for c in choices]

    train, scored = both_parts(task)
    score = chosen(
        [features(r) for r in train], [choices_of(r)[3] for r in train],
        [features(r) for r in scored], [choices_of(r)[3] for r in scored],
    )  # fmt: skip
    print("SCORE", score)
    assert score <= 1 / CHOICES[task] + ALLOWED


@pytest.mark.parametrize("task", CHOICES)
@pytest.mark.parametrize("best", [max, min])
def test_neither_the_longest_nor_the_shortest_choice_is_right(task: str, best: Callable) -> None:
    _, scored = both_parts(task)
    total = 0.0
    for row in scored:
        _, _, choices, right = choices_of(row)
        for length in (len,):
            wanted = best(map(length, choices))
            among = [i for i, choice in enumerate(choices) if length(choice) == wanted]
            total += (right in among) / len(among)
    print("SCORE", total / len(scored))
    assert total / len(scored) <= 1 / CHOICES[task] + ALLOWED


def test_mentions_of_a_person_do_not_tell_what_happens_next() -> None:
    def features(row: Row) -> list[list[str]]:
        context, _, choices, _ = choices_of(row)
        words = context.replace(".", " .").split()
        common = set.intersection(*(set(choice.split()) for choice in choices))
        found = []
        for choice in choices:
            own = [word for word in choice.split() if word not in common][0]
            places = [i for i, word in enumerate(words) if word == own]
            found.append(places)
        result = []
        for places in found:
            last = sorted((p[-1] for p in found if p), reverse=True).index(places[-1]) if places else 9
            first = sorted(p[0] for p in found if p).index(places[0]) if places else 9
            many = sorted((len(p) for p in found), reverse=True).index(len(places))
            result.append([f"last {last}", f"first {first}", f"many {many}", f"count {len(places)}"])
        return result

    train, scored = both_parts("hellaswag")
    score = chosen(
        [features(r) for r in train], [choices_of(r)[3] for r in train],
        [features(r) for r in scored], [choices_of(r)[3] for r in scored],
    )  # fmt: skip
    print("SCORE", score)
    assert score <= 0.25 + ALLOWED


# reading


def answer_sentence(row: Row) -> tuple[int, int]:
    """Return the number of the sentence with the answer, and how many there are."""
    start = row["answers"]["answer_start"][0]
    return row["context"][:start].count("."), row["context"].count(".")


@pytest.mark.parametrize("task", ["squad", "mlqa", "tydiqa"])
def test_answers_stand_in_any_sentence(task: str) -> None:
    counts = Counter(answer_sentence(row) for row in drawn(task, "train", TRAIN))
    sentences = {upto for _, upto in counts}.pop()
    assert max(counts.values()) / TRAIN <= 1 / sentences + ALLOWED
    print(counts)


@pytest.mark.parametrize("task", ["squad", "mlqa", "tydiqa"])
def test_a_question_alone_does_not_tell_where_its_answer_stands(task: str) -> None:
    train, scored = both_parts(task)
    score = classified(
        [grams(r["question"]) for r in train], [answer_sentence(r)[0] for r in train],
        [grams(r["question"]) for r in scored], [answer_sentence(r)[0] for r in scored],
    )  # fmt: skip
    print("SCORE", score)
    assert score <= 1 / answer_sentence(train[0])[1] + ALLOWED


def test_a_question_alone_does_not_tell_its_answer() -> None:
    train, scored = both_parts("squad")
    seen: dict[str, Counter] = defaultdict(Counter)
    for row in train:
        seen[row["question"].split()[0]][row["answers"]["text"][0]] += 1
    for word, answers in seen.items():
        asked = [row for row in scored if row["question"].split()[0] == word]
        common = answers.most_common(1)[0][0]
        share = sum(row["answers"]["text"][0] == common for row in asked) / len(asked)
        print(word, len(answers), len(asked), share)
        assert share <= 1 / len(answers) + ALLOWED


def test_a_question_alone_does_not_tell_whether_it_has_an_answer() -> None:
    train, scored = both_parts("squad2")
    score = classified(
        [grams(r["question"]) for r in train], [len(r["answers"]["text"]) for r in train],
        [grams(r["question"]) for r in scored], [len(r["answers"]["text"]) for r in scored],
    )  # fmt: skip
    print("SCORE", score)
    assert score <= 0.6 + ALLOWED
