"""How XTREME and XTREME-R average: languages to a task's score, tasks to groups and to one number.

A task's score is the mean over its languages, English among them (Hu et al. 2020, https://arxiv.org/abs/2003.11080;
Ruder et al. 2021, https://arxiv.org/abs/2104.07412); where questions are answered it is the mean of F1 and exact match.
Two thirds of what intermediate tasks bring to XTREME's average comes from its two retrieval tasks, so the average
without them stands beside the full one, as do the mean without English and the transfer gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from adapterstilts.errors import unknown
from adapterstilts.tasks.catalogue import TASKS, XTREME_R_TASKS
from adapterstilts.tasks.spec import DEFAULT_SUITE, XTREME_R, TaskSpec

Scores = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Scores in percent by task, language and metric."""

ENGLISH = "en"
QUESTIONS = ("exact_match", "f1")
#: Metrics whose mean is a task's score, by task.
SCORED_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    dict.fromkeys(("xnli", "pawsx", "xcopa", "tatoeba"), ("accuracy",))
    | dict.fromkeys(("udpos", "panx", "bucc2018"), ("f1",))
    | dict.fromkeys(("xquad", "mlqa", "tydiqa"), QUESTIONS)
    | dict.fromkeys(("mewslix", "lareqa"), ("map@20",))
)


def _languages(tasks: Mapping[str, TaskSpec], names: str) -> dict[str, tuple[str, ...]]:
    """Return the languages by task, as the catalogue has them.

    Args:
        tasks: of the suite, by name.
        names: of its tasks that are scored, as prediction folders are named, in the benchmark's order.
    """
    known = {"bucc2018": "bucc"}
    return {name: tuple(sorted(tasks[known.get(name, name)].languages)) for name in names.split()}


@dataclass(frozen=True)
class Benchmark:
    """The tasks of a benchmark, their languages, and how they are grouped."""

    name: str
    languages: Mapping[str, tuple[str, ...]]
    """Codes by task; tasks are named as XTREME's prediction folders are."""
    groups: Mapping[str, tuple[str, ...]]


BENCHMARKS: Mapping[str, Benchmark] = {
    DEFAULT_SUITE: Benchmark(
        DEFAULT_SUITE,
        _languages(TASKS, "xnli pawsx udpos panx xquad mlqa tydiqa bucc2018 tatoeba"),
        {
            "classification": ("xnli", "pawsx"),
            "tagging": ("udpos", "panx"),
            "qa": ("xquad", "mlqa", "tydiqa"),
            "retrieval": ("bucc2018", "tatoeba"),
        },
    ),
    XTREME_R: Benchmark(
        XTREME_R,
        _languages(XTREME_R_TASKS, "xnli xcopa udpos panx xquad mlqa tydiqa mewslix lareqa tatoeba"),
        {
            "classification": ("xnli", "xcopa"),
            "tagging": ("udpos", "panx"),
            "qa": ("xquad", "mlqa", "tydiqa"),
            "retrieval": ("mewslix", "lareqa", "tatoeba"),
        },
    ),
}


def get_benchmark(name: str) -> Benchmark:
    """Return the benchmark ``xtreme`` or ``xtreme-r``.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in BENCHMARKS:
        raise unknown("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]


@dataclass(frozen=True)
class TaskAverage:
    """What a task's languages average to, in percent."""

    score: float
    """The task's score over all languages that were scored, English among them."""
    without_english: float | None
    """The same over all others; None where there are none, or where the task has no English."""
    gap: float | None
    """English minus ``without_english``: the cross-lingual transfer gap."""
    metrics: Mapping[str, float]
    """Mean over languages of each metric."""
    missing: tuple[str, ...]
    """Languages of the benchmark that were not scored."""


@dataclass(frozen=True)
class Averages:
    """What a benchmark's tasks average to, in percent. An average over tasks of which one is missing is None."""

    tasks: Mapping[str, TaskAverage]
    groups: Mapping[str, float | None]
    all_tasks: float | None
    without_retrieval: float | None


def average(scores: Scores, benchmark: Benchmark) -> Averages:
    """Average scores as the benchmark does.

    Args:
        scores: of tasks of the benchmark, each in at least one language.
        benchmark: whose tasks they are.
    """
    tasks = {task: _task_average(task, by_language, benchmark) for task, by_language in scores.items()}

    def mean_of(names: tuple[str, ...]) -> float | None:
        return _mean([tasks[name].score for name in names]) if all(name in tasks for name in names) else None

    every = tuple(benchmark.languages)
    retrieval = benchmark.groups["retrieval"]
    return Averages(
        tasks=tasks,
        groups={group: mean_of(names) for group, names in benchmark.groups.items()},
        all_tasks=mean_of(every),
        without_retrieval=mean_of(tuple(task for task in every if task not in retrieval)),
    )


def task_score(task: str, metrics: Mapping[str, float]) -> float:
    """Return the score of a task from its metrics."""
    return _mean([metrics[name] for name in SCORED_BY[task]])


def _task_average(task: str, by_language: Mapping[str, Mapping[str, float]], benchmark: Benchmark) -> TaskAverage:
    of_language = {code: task_score(task, metrics) for code, metrics in by_language.items()}
    others = [score for code, score in of_language.items() if code != ENGLISH]
    without = _mean(others) if others and ENGLISH in benchmark.languages[task] else None
    names = next(iter(by_language.values()))
    return TaskAverage(
        score=_mean(list(of_language.values())),
        without_english=without,
        gap=of_language[ENGLISH] - without if without is not None and ENGLISH in of_language else None,
        metrics={name: _mean([metrics[name] for metrics in by_language.values()]) for name in names},
        missing=tuple(code for code in benchmark.languages[task] if code not in by_language),
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
