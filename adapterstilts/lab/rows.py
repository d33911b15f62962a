"""Rows of the lab's tasks, with the columns and labels that the Hub's data sets have."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import DataUnavailableError, unknown
from adapterstilts.lab.corpus import text
from adapterstilts.lab.grammar import Sentence, sentence
from adapterstilts.lab.kept import kept
from adapterstilts.lab.languages import LANGUAGES, SOURCE, Language, get_language
from adapterstilts.lab.meaning import Clause, Meaning, Place
from adapterstilts.lab.supertags import CATEGORIES, supertags
from adapterstilts.lab.tasks.choosing import causes, knowledge, next_event, reasons
from adapterstilts.lab.tasks.inference import inference
from adapterstilts.lab.tasks.pairs import duplicate_questions, paraphrases
from adapterstilts.lab.tasks.problems import Bitext, Choice, Pair, Problem, Reading, Tagged, in_part
from adapterstilts.lab.tasks.reading import reading
from adapterstilts.lab.tasks.sentences import bitext, named, tagged
from adapterstilts.lab.texts import SIZES as TEXT_SIZES
from adapterstilts.lab.texts import TEXT_TASK, language_text
from adapterstilts.lab.words import lexicon

if TYPE_CHECKING:
    from datasets import Dataset

#: Goes into every generator: another number gives other rows everywhere.
VERSION = 1

UPOS = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
ENTITIES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
NLI = ("entailment", "neutral", "contradiction")

Row = dict[str, Any]
Found = Iterator[tuple[Hashable, tuple[Problem, ...]]]


RowMaker = Callable[[Problem, Language, str], Row]


@dataclass(frozen=True)
class LabTask:
    """A task of the lab: where its problems come from and how a row of it looks."""

    problems: Callable[[random.Random], Found]
    row: RowMaker
    """Makes a row of a problem, in a language, with an id."""
    sizes: Mapping[str, int]
    """Rows of each split. Intermediate tasks have no test split."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Class names of the columns that are ClassLabels."""
    trains_on: str | None = None
    """The task whose training rows (and validation rows, where ``sizes`` has none) are also this one's."""


# rows


def _pair(first: str, second: str, label: str, names: tuple[str, ...] | None = None) -> RowMaker:
    """Return a maker of rows of two texts; the label is a number, or its name where ``names`` are given."""

    def row(problem: Problem, language: Language, number: str) -> Row:
        assert isinstance(problem, Pair)
        value: int | str = problem.label if names is None else names[problem.label]
        return {first: text(problem.first, language), second: text(problem.second, language), label: value}

    return row


def _reading(problem: Problem, language: Language, number: str) -> Row:
    assert isinstance(problem, Reading)
    sentences = [sentence(meaning, language) for meaning in problem.context]
    context = " ".join(said.text for said in sentences)
    answers: dict[str, list] = {"text": [], "answer_start": []}
    if problem.sentence is not None and problem.role is not None:
        start, end = answer_span(sentences, problem.sentence, problem.role)
        answers = {"text": [context[start:end]], "answer_start": [start]}
    return {
        "id": number,
        "title": number,
        "context": context,
        "question": sentence(problem.question, language).text,
        "answers": answers,
    }


def answer_span(sentences: list[Sentence], at: int, role: str) -> tuple[int, int]:
    """Return the first character of a phrase of sentence ``at``, and the one after its last, in the joined text."""
    said = sentences[at]
    before = sum(len(other.text) + 1 for other in sentences[:at])
    if role == "number":
        numerals = (i for i, token in enumerate(said.tokens) if token.use == "numeral" and token.role == "object")
        start, end = said.spans[next(numerals)]
    else:
        start, end = said.span(role)
    return before + start, before + end


def _tokens(said: Sentence) -> list[str]:
    return [token.form for token in said.tokens]


def _pos(problem: Problem, language: Language, number: str) -> Row:
    assert isinstance(problem, Tagged)
    said = sentence(problem.meaning, language)
    return {"tokens": _tokens(said), "pos_tags": [UPOS.index(token.upos) for token in said.tokens]}


def _ner(problem: Problem, language: Language, number: str) -> Row:
    assert isinstance(problem, Tagged)
    said = sentence(problem.meaning, language)
    tags = [ENTITIES.index(token.entity) for token in said.tokens]
    return {"tokens": _tokens(said), "ner_tags": tags, "langs": [language.code] * len(tags)}


def _ccg(problem: Problem, language: Language, number: str) -> Row:
    assert isinstance(problem, Tagged)
    said = sentence(problem.meaning, language)
    return {"tokens": _tokens(said), "tags": [CATEGORIES.index(tag) for tag in supertags(said)]}


def _said(what: Meaning | Place, language: Language) -> str:
    if isinstance(what, Place):  # a place alone: the phrase, as in an answer
        said = sentence(Clause("be", place=what), language)
        return Sentence(language, tuple(token for token in said.tokens if token.role == "place")).text
    return sentence(what, language).text


def _choices(problem: Problem, language: Language) -> tuple[str, str, list[str], int]:
    assert isinstance(problem, Choice)
    question = problem.question
    asked = question if isinstance(question, str) or question is None else sentence(question, language).text
    return (
        text(problem.context, language),
        asked or "",
        [_said(choice, language) for choice in problem.choices],
        problem.right,
    )


def _hellaswag(problem: Problem, language: Language, number: str) -> Row:
    context, _, choices, right = _choices(problem, language)
    return {"ind": int(number.rsplit("-", 1)[1]), "ctx": context, "endings": choices, "label": str(right)}


def _cosmosqa(problem: Problem, language: Language, number: str) -> Row:
    context, question, choices, right = _choices(problem, language)
    return {
        "id": number,
        "context": context,
        "question": question,
        **{f"answer{index}": choice for index, choice in enumerate(choices)},
        "label": right,
    }


def _csqa(problem: Problem, language: Language, number: str) -> Row:
    _, question, choices, right = _choices(problem, language)
    return {
        "id": number,
        "question": question,
        "choices": {"label": list("ABCDE"), "text": choices},
        "answerKey": "ABCDE"[right],
    }


def _copa(problem: Problem, language: Language, number: str) -> Row:
    context, question, choices, right = _choices(problem, language)
    return {
        "premise": context,
        "choice1": choices[0],
        "choice2": choices[1],
        "question": question,
        "idx": int(number.rsplit("-", 1)[1]),
        "label": right,
    }


def _siqa(problem: Problem, language: Language, number: str) -> Row:
    context, question, choices, right = _choices(problem, language)
    ways = {"cause": Clause("be", asked="reason"), "effect": Clause("be", asked="object")}
    return {
        "context": context,
        "question": sentence(ways[question], language).text,
        "answerA": choices[0],
        "answerB": choices[1],
        "answerC": choices[2],
        "label": str(right + 1),
    }


def _bitext(problem: Problem, language: Language, number: str) -> Row:
    assert isinstance(problem, Bitext)
    return {
        "source_sentence": sentence(problem.meaning, language).text,
        "target_sentence": sentence(problem.meaning, get_language(SOURCE)).text,
        "source_lang": number,
        "target_lang": f"{SOURCE}-{number.split('-', 1)[1]}",
    }


def _inference(adversarial_share: float) -> Callable[[random.Random], Found]:
    def found(rng: random.Random) -> Found:
        plain, adversarial = inference(rng), inference(rng, adversarial=True)
        while True:
            yield next(adversarial if rng.random() < adversarial_share else plain)

    return found


def _three_causes(rng: random.Random) -> Found:
    return causes(rng, choices=3)


def _stories(sentences: int, **options: float) -> Callable[[random.Random], Found]:
    return lambda rng: reading(rng, sentences=sentences, **options)


def _intermediate(train: int, validation: int = 400) -> dict[str, int]:
    return {"train": train, "validation": validation}


def _target(train: int, validation: int = 300, test: int = 300) -> dict[str, int]:
    return {"train": train, "validation": validation, "test": test}


_MNLI_ROW = _pair("premise", "hypothesis", "label")

#: Every task of the lab. Sizes have about the proportions of the data sets', TyDiQA's by far the smallest.
TASKS: dict[str, LabTask] = {
    "anli": LabTask(_inference(0.6), _MNLI_ROW, _intermediate(15_000, 600), {"label": NLI}),
    "mnli": LabTask(_inference(0.0), _MNLI_ROW, _intermediate(12_000, 600), {"label": NLI}),
    "qqp": LabTask(
        duplicate_questions,
        _pair("question1", "question2", "label"),
        _intermediate(10_000),
        {"label": ("not_duplicate", "duplicate")},
    ),
    "squad": LabTask(_stories(5), _reading, _intermediate(6_000)),
    "squad2": LabTask(_stories(5, unanswerable=0.4), _reading, _intermediate(10_000)),
    "hellaswag": LabTask(next_event, _hellaswag, _intermediate(6_000)),
    "ccg": LabTask(tagged, _ccg, _intermediate(4_000), {"tags": CATEGORIES}),
    "cosmosqa": LabTask(reasons, _cosmosqa, _intermediate(5_000)),
    "csqa": LabTask(knowledge, _csqa, _intermediate(2_500)),
    "siqa": LabTask(_three_causes, _siqa, _intermediate(5_000)),
    "xnli": LabTask(
        _inference(0.0), _pair("sentence1", "sentence2", "gold_label", NLI), {"validation": 300, "test": 300},
        trains_on="mnli",
    ),
    "pawsx": LabTask(paraphrases, _pair("sentence1", "sentence2", "label", ("0", "1")), _target(5_000)),
    "udpos": LabTask(tagged, _pos, _target(2_000), {"pos_tags": UPOS}),
    "panx": LabTask(named, _ner, _target(2_000), {"ner_tags": ENTITIES}),
    "xquad": LabTask(_stories(5), _reading, {"test": 300}, trains_on="squad"),
    "mlqa": LabTask(_stories(6), _reading, {"validation": 300, "test": 300}, trains_on="squad"),
    "tydiqa": LabTask(_stories(6, reworded=0.5), _reading, _target(400, 200, 200)),
    "xcopa": LabTask(causes, _copa, _target(1_000), {"label": ("choice1", "choice2")}),
    "bucc": LabTask(bitext, _bitext, {"validation": 300, "test": 300}),
    "tatoeba": LabTask(bitext, _bitext, {"validation": 300, "test": 300}),
}  # fmt: skip

#: Rows of each split of each task.
SIZES: dict[str, dict[str, int]] = {
    name: {**(TASKS[task.trains_on].sizes if task.trains_on else {}), **task.sizes} for name, task in TASKS.items()
}
#: Labels of tasks that the Hub's users bring themselves.
LABELS: dict[str, tuple[str, ...]] = {"ccg": CATEGORIES}


def wording(task: str) -> dict[str, str]:
    """Return what texts say for a value of a column: XCOPA keeps the words of its source language in all languages."""
    if task != "xcopa":
        return {}
    roots = lexicon(LANGUAGES[SOURCE]).roots
    return {"cause": roots["because"], "effect": roots["so"]}


def source_of(task: str, split: str) -> tuple[str, str]:
    """Return the task and split whose rows ``split`` of ``task`` has: another's, where a target trains on it.

    Raises:
        UnknownNameError: the lab has no such task.
        DataUnavailableError: the task has no such split.
    """
    if task not in TASKS:
        raise unknown("task of the lab", task, TASKS)
    found = TASKS[task]
    if split in found.sizes:
        return task, split
    if found.trains_on and split in TASKS[found.trains_on].sizes:
        return found.trains_on, split
    raise DataUnavailableError(f"In the lab, '{task}' has no split '{split}'; it has {', '.join(found.sizes)}.")


@functools.lru_cache(maxsize=128)
def problems(task: str, part: str, count: int | None = None) -> tuple[Problem, ...]:
    """Return the problems of a part of a task, the first ``count`` if a number is given: the same in all languages.

    Raises:
        UnknownNameError, DataUnavailableError: as for ``source_of``.
    """
    task, split = source_of(task, part)
    found = TASKS[task]
    rng = random.Random(f"{task} {VERSION}")
    size = found.sizes[split]
    return tuple(in_part(found.problems(rng), split, size if count is None else min(count, size)))  # type: ignore[arg-type]


def rows(task: str, language: str, split: str, count: int | None = None) -> list[Row]:
    """Return the rows of a split in a language, the first ``count`` of them if a number is given.

    Raises:
        UnknownNameError: the lab has no such task or language.
        DataUnavailableError: the task has no such split, or not in this language.
    """
    name, part = source_of(task, split)
    spoken = get_language(language)
    if name == "ccg" and language != SOURCE:
        raise DataUnavailableError("In the lab, 'ccg' has rows in the source language only.")
    found = TASKS[name]
    chosen = enumerate(problems(name, part, count))
    return [found.row(problem, spoken, f"{language}-{name}-{part}-{index}") for index, problem in chosen]


def load(task: str, language: str, split: str) -> Dataset:
    """Return the rows of a split in a language as a data set, with class labels where the Hub's has them.

    Beside the tasks, there is plain text of each language (``TEXT_TASK``).

    Raises:
        UnknownNameError, DataUnavailableError: as for ``rows``.
    """
    return _loaded(task, get_language(language), split)


@functools.lru_cache(maxsize=16)  # the stages of one command train on the same rows
def _loaded(task: str, language: Language, split: str) -> Dataset:
    size = TEXT_SIZES.get(split) if task == TEXT_TASK else TASKS[source_of(task, split)[0]].sizes[split]
    return kept(f"{task} {split} {size} {language!r}", lambda: _made(task, language, split))


def _made(task: str, language: Language, split: str) -> Dataset:
    from datasets import ClassLabel, Dataset, Features, List

    if task == TEXT_TASK:
        lines = language_text(language.code, split)
        return Dataset.from_dict({"id": [f"{split}-{index}" for index in range(len(lines))], "text": list(lines)})
    found = TASKS[source_of(task, split)[0]]
    said = rows(task, language.code, split)
    # Of all rows: the first may have empty lists, of which no type can be read.
    features = Features(Dataset.from_list(said).features)
    for column, names in found.labels.items():
        label = ClassLabel(names=list(names))
        features[column] = label if column == "label" else List(label)
    return Dataset.from_list(said, features=features)
