"""Scoring a folder of predictions against a folder of labels, in the layout of the XTREME repository.

``TASK/test-LANGUAGE.tsv`` holds a label a line (xnli, pawsx, tatoeba), a tag a line with a blank line between sentences
(udpos, panx), or two ids with a tab (bucc2018); ``.json`` SQuAD's JSON as labels and ``{id: text}`` as predictions
(xquad, mlqa, tydiqa), or rankings ``{query: [ids]}`` (mewslix, lareqa); ``.jsonl`` objects with a ``label`` (xcopa).

Scores are those of XTREME's ``evaluate.py``. What it does silently is told: a question without a prediction counts as
wrong, as there, and is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapterstilts.errors import DataFormatError
from adapterstilts.evaluation.averages import Averages, Benchmark, average
from adapterstilts.evaluation.metrics import get_metric

SHOWN = 20
"""How many findings of one file are told; the rest are counted."""


@dataclass(frozen=True)
class Submission:
    """What a folder of predictions scores."""

    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Percent by task, language and metric."""
    averages: Averages
    warnings: tuple[str, ...]
    """What was noticed, each with file and line."""


@dataclass
class Findings:
    """Everything that is wrong with the files of a submission, so that all of it can be told at once."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def error(self, file: Path, text: str, line: int | None = None) -> None:
        """Note what makes a score impossible."""
        self.errors.append(_at(file, line) + text)

    def warn(self, file: Path, text: str, line: int | None = None) -> None:
        """Note what the score takes into account."""
        self.warnings.append(_at(file, line) + text)

    def warn_of_each(self, file: Path, found: Sequence[tuple[str, int | None]]) -> None:
        """Note the same kind of thing many times, the first ones in full."""
        for text, line in found[:SHOWN]:
            self.warn(file, text, line)
        if len(found) > SHOWN:
            self.warn(file, f"{len(found) - SHOWN} more of this kind")


def _at(file: Path, line: int | None) -> str:
    return f"{file}{'' if line is None else f':{line}'}: "


def score_folders(
    predictions: Path, labels: Path, benchmark: Benchmark, languages: Collection[str] | None = None
) -> Submission:
    """Score the tasks that are in both folders.

    Args:
        predictions: folder with a folder a task.
        labels: the same with the right answers.
        benchmark: whose tasks and languages are looked for.
        languages: only these; all of the benchmark if None.

    Raises:
        DataFormatError: a folder does not exist, no task is in both, a language that has labels has no predictions, or
            files cannot be read or paired; all that is wrong is told, with file and line.
    """
    for folder in (predictions, labels):
        if not folder.is_dir():
            raise DataFormatError(f"'{folder}' is not a folder.")
    tasks = [task for task in benchmark.languages if (predictions / task).is_dir() and (labels / task).is_dir()]
    if not tasks:
        raise DataFormatError(
            f"No task of {benchmark.name} has a folder both in '{predictions}' ({_listed(predictions)}) and in "
            f"'{labels}' ({_listed(labels)}); they are named {', '.join(benchmark.languages)}."
        )
    findings = Findings()
    scores: dict[str, dict[str, Mapping[str, float]]] = {}
    for task in tasks:
        kind = _KINDS[task]
        codes = [code for code in benchmark.languages[task] if languages is None or code in languages]
        for code in codes:
            said, right = (folder / task / f"test-{code}.{kind.suffix}" for folder in (predictions, labels))
            if not right.exists():
                if said.exists():
                    findings.warn(said, f"not scored, since there is no {right}")
                continue
            if not said.exists():
                findings.error(said, f"missing, though there is {right}")
                continue
            if (score := kind.score(said, right, task, code, findings)) is not None:
                scores.setdefault(task, {})[code] = score
        if codes and task not in scores and not findings.errors:
            findings.error(labels / task, f"no labels of any language: {', '.join(codes)}")
        for file in sorted((predictions / task).iterdir()):
            if file.name not in {f"test-{code}.{kind.suffix}" for code in benchmark.languages[task]}:
                findings.warn(file, f"not read: {benchmark.name} has no such file")
    if not scores and not findings.errors:
        findings.error(labels, f"none of its tasks has a language of {', '.join(languages or ())}")
    if findings.errors:
        wrong = "\n".join(f"- {text}" for text in findings.errors)
        noticed = "".join(f"\n- {text}" for text in findings.warnings)
        raise DataFormatError(
            f"The predictions cannot be scored:\n{wrong}" + (f"\nAlso noticed:{noticed}" if noticed else "")
        )
    return Submission(scores, average(scores, benchmark), tuple(findings.warnings))


def _listed(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    return f"has {', '.join(names[:SHOWN])}" if names else "has none"


# readers: None where the file cannot be read, with the reason in the findings


def read_lines(file: Path, findings: Findings) -> list[str] | None:
    """Return the lines of a file, without what is left over at its end."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        findings.error(file, f"cannot be read as UTF-8 text: {error}")
        return None
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read_sentences(file: Path, findings: Findings) -> list[tuple[int, list[str]]] | None:
    """Return the tags of each sentence, with the line of its first."""
    lines = read_lines(file, findings)
    if lines is None:
        return None
    sentences: list[tuple[int, list[str]]] = []
    open_ = False
    for number, line in enumerate(lines, start=1):
        if line and not open_:
            sentences.append((number, []))
        if line:
            sentences[-1][1].append(line.split("\t")[-1])
        open_ = bool(line)
    return sentences


def read_json(file: Path, findings: Findings) -> Any:
    """Return the object of a JSON file."""
    try:
        value = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        findings.error(file, f"cannot be read as UTF-8 text: {error}")
        return None
    except json.JSONDecodeError as error:
        findings.error(file, f"no JSON: {error.msg}", error.lineno)
        return None
    if not isinstance(value, dict):
        findings.error(file, "must hold one JSON object")
        return None
    return value


def _line_of(file: Path, key: str) -> int | None:
    """Return the line of a JSON file on which a key stands, or the value of an ``id``."""
    text = file.read_text(encoding="utf-8-sig")
    spelled = "|".join(re.escape(json.dumps(key, ensure_ascii=escaped)) for escaped in (False, True))
    found = re.search(rf'(?:{spelled})\s*:|"id"\s*:\s*(?:{spelled})', text)
    return None if found is None else text.count("\n", 0, found.end()) + 1


# a scorer of each kind of file


def _score_labels(said: Path, right: Path, task: str, code: str, findings: Findings) -> dict[str, float] | None:
    found, gold = read_lines(said, findings), read_lines(right, findings)
    if found is None or gold is None:
        return None
    aliases = {"contradictory": "contradiction"} if task == "xnli" else {}
    found, gold = ([aliases.get(label := line.split("\t")[0], label) for line in lines] for lines in (found, gold))
    if not _as_many(said, right, len(found), len(gold), "lines", findings):
        return None
    if task != "tatoeba":
        known = set(gold)
        odd = [
            (f"the label {label!r} stands nowhere in {right}", n)
            for n, label in enumerate(found, 1)
            if label not in known
        ]
        findings.warn_of_each(said, odd)
    correct = sum(one == other for one, other in zip(found, gold, strict=True))
    return {"accuracy": 100.0 * correct / len(gold)}


def _as_many(said: Path, right: Path, found: int, gold: int, what: str, findings: Findings) -> bool:
    if found != gold:
        line = min(found, gold) + 1
        findings.error(said, f"{found} {what}, but {right} has {gold}", line if what == "lines" else None)
    elif not gold:
        findings.error(right, "empty")
    return found == gold > 0


def _score_tags(said: Path, right: Path, task: str, code: str, findings: Findings) -> dict[str, float] | None:
    found, gold = read_sentences(said, findings), read_sentences(right, findings)
    if found is None or gold is None:
        return None
    for (line, tags), (_, wanted) in zip(found, gold, strict=False):
        if len(tags) != len(wanted):
            findings.error(said, f"the sentence that begins here has {len(tags)} tags, in {right} {len(wanted)}", line)
            return None
    if not _as_many(said, right, len(found), len(gold), "sentences", findings):
        return None
    metric = get_metric("pos_f1" if task == "udpos" else "entity_f1")
    return metric.score([tags for _, tags in found], [tags for _, tags in gold])


def _score_pairs(said: Path, right: Path, task: str, code: str, findings: Findings) -> dict[str, float] | None:
    sides = []
    for file in (said, right):
        lines = read_lines(file, findings)
        if lines is None:
            return None
        pairs: dict[tuple[str, ...], int] = {}
        for number, line in enumerate(lines, start=1):
            pair = tuple(line.split("\t"))
            if len(pair) != 2:
                findings.error(file, f"two ids with a tab between them are needed, not {line!r}", number)
                return None
            if pair in pairs:
                findings.warn(file, f"the pair stands on line {pairs[pair]} already, and counts once", number)
            pairs.setdefault(pair, number)
        sides.append(set(pairs))
    found, gold = sides
    if not gold:
        findings.error(right, "empty")
        return None
    matched = len(found & gold)
    precision, recall = matched / len(found) if found else 0.0, matched / len(gold)
    return {
        "f1": 100.0 * 2 * matched / (len(found) + len(gold)),
        "precision": 100.0 * precision,
        "recall": 100.0 * recall,
    }


def _score_answers(said: Path, right: Path, task: str, code: str, findings: Findings) -> dict[str, float] | None:
    found, document = read_json(said, findings), read_json(right, findings)
    if found is None or document is None:
        return None
    try:
        questions = [
            {"id": question["id"], "language": code, "answers": {"text": [a["text"] for a in question["answers"]]}}
            for article in document["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (KeyError, TypeError) as error:
        findings.error(right, f"not SQuAD's layout (data, paragraphs, qas, answers): {error!r}")
        return None
    if not questions:
        findings.error(right, "no questions")
        return None
    if wrong := [key for key, text in found.items() if not isinstance(text, str)]:
        findings.error(said, f"the answer to {wrong[0]!r} is no text", _line_of(said, wrong[0]))
        return None
    ids = list(dict.fromkeys(question["id"] for question in questions))
    _tell_of_ids(said, right, found, ids, "question", findings)
    metric = get_metric("mlqa" if task == "mlqa" else "squad")
    totals = dict.fromkeys(("f1", "exact_match"), 0.0)
    for question in questions:
        if question["id"] in found:
            _, f1, exact = metric.statistics_of(found[question["id"]], question)
            totals["f1"] += f1
            totals["exact_match"] += exact
    return {name: 100.0 * total / len(questions) for name, total in totals.items()}


def _score_rankings(said: Path, right: Path, task: str, code: str, findings: Findings) -> dict[str, float] | None:
    sides = []
    for file in (said, right):
        document = read_json(file, findings)
        if document is None:
            return None
        rankings = {key: [ids] if isinstance(ids, str) else ids for key, ids in document.items()}
        for key, ids in rankings.items():
            if not isinstance(ids, list) or not (file is said or ids):
                findings.error(file, f"the query {key!r} needs a list of ids", _line_of(file, key))
                return None
        sides.append({key: [str(candidate) for candidate in ids] for key, ids in rankings.items()})
    found, gold = sides
    if not gold:
        findings.error(right, "no queries")
        return None
    _tell_of_ids(said, right, found, list(gold), "query", findings)
    metric = get_metric("map@20")
    return metric.score([found.get(key, []) for key in gold], list(gold.values()))


def _tell_of_ids(
    said: Path, right: Path, found: Collection[str], wanted: Sequence[str], what: str, findings: Findings
) -> None:
    missing = [key for key in wanted if key not in found]
    shown = {key: _line_of(right, key) for key in missing[:SHOWN]}
    findings.warn_of_each(
        said,
        [
            (f"no prediction for the {what} {key!r} ({right}:{shown.get(key)}); it counts as wrong", None)
            for key in missing
        ],
    )
    known = set(wanted)
    unknown = [key for key in found if key not in known]
    lines = {key: _line_of(said, key) for key in unknown[:SHOWN]}
    findings.warn_of_each(said, [(f"there is no {what} {key!r} in {right}", lines.get(key)) for key in unknown])


def _score_choices(said: Path, right: Path, task: str, code: str, findings: Findings) -> dict[str, float] | None:
    sides = []
    for file in (said, right):
        lines = read_lines(file, findings)
        if lines is None:
            return None
        rows = []
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                rows.append((row.get("idx"), int(row["label"])))
            except (ValueError, TypeError, AttributeError, KeyError):
                findings.error(file, f'an object with a "label" of 0 or 1 is needed, not {line[:60]!r}', number)
                return None
        sides.append(rows)
    found, gold = sides
    if not _as_many(said, right, len(found), len(gold), "lines", findings):
        return None
    for number, ((index, _), (wanted, _)) in enumerate(zip(found, gold, strict=True), start=1):
        if index is not None and wanted is not None and index != wanted:
            findings.error(said, f"idx {index} stands where {right} has {wanted}", number)
            return None
    correct = sum(one == other for (_, one), (_, other) in zip(found, gold, strict=True))
    return {"accuracy": 100.0 * correct / len(gold)}


def file_name(folder: str, code: str) -> str:
    """Return the path of a language's file below a folder of predictions, such as ``xnli/test-de.tsv``.

    Args:
        folder: name of a task's folder.
        code: of the language.
    """
    return f"{folder}/test-{code}.{_KINDS[folder].suffix}"


Scorer = Callable[[Path, Path, str, str, Findings], "dict[str, float] | None"]


@dataclass(frozen=True)
class _Kind:
    suffix: str
    score: Scorer


_LABELS, _TAGS, _ANSWERS = _Kind("tsv", _score_labels), _Kind("tsv", _score_tags), _Kind("json", _score_answers)
_RANKINGS = _Kind("json", _score_rankings)
_KINDS: Mapping[str, _Kind] = {
    "xnli": _LABELS,
    "pawsx": _LABELS,
    "tatoeba": _LABELS,
    "udpos": _TAGS,
    "panx": _TAGS,
    "bucc2018": _Kind("tsv", _score_pairs),
    "xquad": _ANSWERS,
    "mlqa": _ANSWERS,
    "tydiqa": _ANSWERS,
    "mewslix": _RANKINGS,
    "lareqa": _RANKINGS,
    "xcopa": _Kind("jsonl", _score_choices),
}
