"""Toy rows with the columns and the oddities of each data set, by split."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toy_texts import (
    ANSWERS,
    NLI_CUES,
    QUESTION,
    RIGHT_ENDING,
    WRONG_ENDING,
    entities,
    nli,
    parts_of_speech,
    sentence,
)

if TYPE_CHECKING:
    from datasets import Dataset

TRAIN_ROWS, EVAL_ROWS = 60, 20
PANX_LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
UDPOS_LABELS = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())


def mnli() -> dict[str, Dataset]:
    from datasets import ClassLabel, Dataset, Features, Value

    names = list(NLI_CUES)
    features = Features(
        {
            "premise": Value("string"),
            "hypothesis": Value("string"),
            "label": ClassLabel(names=names),
            "idx": Value("int32"),
        }
    )
    splits = {"train": TRAIN_ROWS, "validation_matched": EVAL_ROWS, "validation_mismatched": EVAL_ROWS + 1}
    return {
        split: Dataset.from_list(
            [
                {"premise": premise, "hypothesis": hypothesis, "label": names.index(label), "idx": number}
                for number, (premise, hypothesis, label) in enumerate(nli("en", count))
            ],
            features=features,
        )
        for split, count in splits.items()
    }


def qqp() -> dict[str, Dataset]:
    from datasets import ClassLabel, Dataset, Features, Value

    text = Value("string")
    label = ClassLabel(names=["not_duplicate", "duplicate"])
    features = Features({"question1": text, "question2": text, "label": label, "idx": Value("int32")})
    return {
        split: Dataset.from_list(
            [
                {"question1": first, "question2": second, "label": int(cue == "entailment"), "idx": number}
                for number, (first, second, cue) in enumerate(nli("en", count))
            ],
            features=features,
        )
        for split, count in (("train", TRAIN_ROWS), ("validation", EVAL_ROWS))
    }


def labelled_nli(counts: Mapping[str, int], unlabelled: int = 0) -> dict[str, Dataset]:
    """Return splits of SNLI's or ANLI's columns; the first rows of each have no gold label."""
    from datasets import ClassLabel, Dataset, Features, Value

    names = list(NLI_CUES)
    text = Value("string")
    features = Features({"premise": text, "hypothesis": text, "label": ClassLabel(names=names)})
    return {
        split: Dataset.from_list(
            [
                {"premise": premise, "hypothesis": hypothesis, "label": names.index(label) if at >= unlabelled else -1}
                for at, (premise, hypothesis, label) in enumerate(nli("en", count + unlabelled))
            ],
            features=features,
        )
        for split, count in counts.items()
    }


def pawsx(code: str) -> dict[str, Dataset]:
    """Labels are strings, as google/xtreme keeps them; every language has training rows."""
    from datasets import Dataset

    counts = {"train": TRAIN_ROWS, "validation": EVAL_ROWS, "test": EVAL_ROWS + 1}
    return {
        split: Dataset.from_list(
            [
                {"sentence1": first, "sentence2": second, "label": str(int(cue == "entailment"))}
                for first, second, cue in nli(code, count)
            ]
        )
        for split, count in counts.items()
    }


def xnli(codes: tuple[str, ...]) -> dict[str, Dataset]:
    from datasets import Dataset

    def rows(count: int) -> list[dict[str, str]]:
        return [
            {"language": code, "sentence1": premise, "sentence2": hypothesis, "gold_label": label}
            for code in codes
            for premise, hypothesis, label in nli(code, count)
        ]

    return {"validation": Dataset.from_list(rows(EVAL_ROWS)), "test": Dataset.from_list(rows(EVAL_ROWS + 1))}


def hellaswag() -> dict[str, Dataset]:
    from datasets import Dataset

    def rows(split: str, count: int) -> list[dict[str, Any]]:
        generator = random.Random(f"hellaswag {split}")
        made = []
        for number in range(count):
            right = generator.randrange(4)
            endings = [
                sentence(generator, "en", extra=(RIGHT_ENDING if choice == right else WRONG_ENDING,))
                for choice in range(4)
            ]
            made.append(
                {
                    "ind": number,
                    "activity_label": "",
                    "ctx": sentence(generator, "en"),
                    "endings": endings,
                    "label": str(right),
                }
            )
        return made

    return {
        name: Dataset.from_list(rows(name, count)) for name, count in (("train", TRAIN_ROWS), ("validation", EVAL_ROWS))
    }


def _choices(
    make: Callable[[random.Random, list[str], int, str], dict[str, Any]], number: int, code: str = "en"
) -> dict[str, Dataset]:
    """Return training and validation rows of a multiple-choice data set; the right choice says ``RIGHT_ENDING``."""
    from datasets import Dataset

    splits = {}
    for split, count in (("train", TRAIN_ROWS), ("validation", EVAL_ROWS)):
        generator = random.Random(f"{make.__name__} {code} {split}")
        rows = []
        for _ in range(count):
            right = generator.randrange(number)
            words = [RIGHT_ENDING if choice == right else WRONG_ENDING for choice in range(number)]
            rows.append(make(generator, [sentence(generator, code, extra=(word,)) for word in words], right, code))
        splits[split] = Dataset.from_list([row | {"id": f"{split}-{at}", "idx": at} for at, row in enumerate(rows)])
    return splits


def _csqa_row(generator: random.Random, choices: list[str], right: int, code: str) -> dict[str, Any]:
    labels = list("ABCDE")
    return {
        "question": sentence(generator, code),
        "question_concept": "",
        "choices": {"label": labels, "text": choices},
        "answerKey": labels[right],
    }


def _siqa_row(generator: random.Random, choices: list[str], right: int, code: str) -> dict[str, Any]:
    answers = {f"answer{letter}": choice for letter, choice in zip("ABC", choices, strict=True)}
    return {"context": sentence(generator, code), "question": QUESTION, **answers, "label": str(right + 1)}


def _copa_row(generator: random.Random, choices: list[str], right: int, code: str) -> dict[str, Any]:
    first, second = choices
    relation = generator.choice(["cause", "effect"])
    premise = sentence(generator, code)
    return {"premise": premise, "choice1": first, "choice2": second, "question": relation, "label": right}


def commonsense_qa() -> dict[str, Dataset]:
    return _choices(_csqa_row, 5)


def siqa() -> dict[str, Dataset]:
    return _choices(_siqa_row, 3)


def copa(code: str = "en") -> dict[str, Dataset]:
    return _choices(_copa_row, 2, code)


def write_cosmosqa(folder: Path) -> None:
    """Write comma separated files as the data set's repository has them; an answer may be ``None``."""
    folder.mkdir(parents=True)
    for name, count in (("train.csv", TRAIN_ROWS), ("valid.csv", EVAL_ROWS)):
        generator = random.Random(f"cosmosqa {name}")
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["id", "context", "question", *(f"answer{number}" for number in range(4)), "label"])
            for number in range(count):
                right = generator.randrange(4)
                answers = [
                    f"{sentence(generator, 'en')} {RIGHT_ENDING}" if choice == right else "None" for choice in range(4)
                ]
                context = f"{sentence(generator, 'en')},\n{sentence(generator, 'en')}"
                writer.writerow([f"{name}-{number}", context, QUESTION, *answers, right])


def write_ccg(folder: Path) -> None:
    """Write files as jiant keeps CCGbank's sentences; the categories follow the words."""
    verb = "(S\\NP)/NP"
    categories = {"VERB": verb, "ADJ": "N/N", "NOUN": "N", "PUNCT": ".", "NUM": "N/N", "ADV": "(S\\NP)\\(S\\NP)"}
    folder.mkdir(parents=True)
    for name, count in (("train", TRAIN_ROWS), ("dev", EVAL_ROWS)):
        generator = random.Random(f"ccg {name}")
        sentences = [parts_of_speech(generator, "en") for _ in range(count)]
        lines = (
            f"{' '.join(word for word, _ in pairs)}\t{' '.join(categories[tag] for _, tag in pairs)}\n"
            for pairs in sentences
        )
        (folder / f"ccg.{name}").write_text("".join(lines), encoding="utf-8")
    numbers = {category: number for number, category in enumerate(sorted(set(categories.values())))}
    (folder / "tags_to_id.json").write_text(json.dumps(numbers), encoding="utf-8")


def spans(code: str, count: int, name: str, first: int = 0) -> Dataset:
    """Return questions on contexts with one of the words of ``ANSWERS`` in them: that is the answer."""
    from datasets import Dataset, Features, List, Value

    generator = random.Random(f"{name} {code} {first}")
    made = []
    for number in range(first, first + count):
        answer = generator.choice(ANSWERS)
        context = sentence(generator, code, extra=(answer,))
        made.append(
            {
                "id": f"{name}-{number}-{number % 3}",
                "context": context,
                "question": QUESTION,
                "answers": {"text": [answer], "answer_start": [context.index(answer)]},
            }
        )
    text = Value("string")
    answers = {"text": List(text), "answer_start": List(Value("int32"))}
    return Dataset.from_list(
        made, features=Features({"id": text, "context": text, "question": text, "answers": answers})
    )


def squad() -> dict[str, Dataset]:
    return {
        "train": spans("en", TRAIN_ROWS, "squad-train"),
        "validation": spans("en", EVAL_ROWS, "squad-validation"),
    }


def squad2() -> dict[str, Dataset]:
    """A third of the questions has no answer: their contexts hold none of the words of ``ANSWERS``."""
    from datasets import concatenate_datasets

    def without(row: dict[str, Any]) -> dict[str, Any]:
        context = " ".join(word for word in row["context"].split() if word not in ANSWERS)
        return {"id": f"no-{row['id']}", "context": context, "answers": {"text": [], "answer_start": []}}

    splits = {"train": spans("en", TRAIN_ROWS, "squad2-train"), "validation": spans("en", EVAL_ROWS, "squad2-dev")}
    return {
        name: concatenate_datasets([table, table.select(range(len(table) // 2)).map(without, features=table.features)])
        for name, table in splits.items()
    }


def mlqa(code: str) -> dict[str, Dataset]:
    return {split: spans(code, EVAL_ROWS, f"mlqa-{split}") for split in ("validation", "test")}


def mlqa_pair(context: str, question: str) -> dict[str, Dataset]:
    """Contexts and answers in one language, questions in another."""
    asked = mlqa(question)
    return {
        split: rows.remove_columns("question").add_column("question", list(asked[split]["question"]))
        for split, rows in mlqa(context).items()
    }


def wikiann(code: str) -> dict[str, Dataset]:
    """PAN-X in the columns of its own data set, which has the spans as text, too."""
    splits = tagging(code, "ner_tags", PANX_LABELS, entities)
    return {
        split: table.map(
            lambda row: {"langs": [code] * len(row["tokens"]), "spans": [f"PER: {row['tokens'][0]}"]},
            load_from_cache_file=False,
        )
        for split, table in splits.items()
    }


def tydiqa(languages: dict[str, str]) -> dict[str, Dataset]:
    """All languages in one file a split; the first part of the id tells which."""
    from datasets import concatenate_datasets

    return {
        split: concatenate_datasets([spans(code, count, name, first) for name, code in languages.items()])
        for split, count, first in (("train", TRAIN_ROWS, 0), ("validation", EVAL_ROWS, 1000))
    }


def tagging(
    code: str, column: str, labels: tuple[str, ...], make: Callable[[random.Random, str], list[tuple[str, str]]]
) -> dict[str, Dataset]:
    """Return sentences of tagged words: training rows in English, validation and test rows in every language."""
    from datasets import ClassLabel, Dataset, Features, List, Value

    features = Features({"tokens": List(Value("string")), column: List(ClassLabel(names=list(labels)))})
    counts = {"train": TRAIN_ROWS, "validation": EVAL_ROWS, "test": EVAL_ROWS + 1}
    if code != "en":
        del counts["train"]
    splits = {}
    for split, count in counts.items():
        generator = random.Random(f"{column} {code} {split}")
        sentences = [make(generator, code) for _ in range(count)]
        rows = [
            {"tokens": [word for word, _ in pairs], column: [labels.index(tag) for _, tag in pairs]}
            for pairs in sentences
        ]
        splits[split] = Dataset.from_list(rows, features=features)
    return splits
