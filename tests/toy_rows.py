"""Toy rows with the columns and the oddities of each data set, by split."""

from __future__ import annotations

import csv
import json
import random
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toy_texts import (
    ANSWERS,
    NLI_CUES,
    QUESTION,
    RIGHT_ENDING,
    TAGGED,
    WRONG_ENDING,
    entities,
    nli,
    parts_of_speech,
    sentence,
    sentence_pairs,
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


def tatoeba(code: str) -> dict[str, Dataset]:
    """Line ends and a useless ``source_lang``, as google/xtreme has them."""
    from datasets import Dataset

    useless = {"source_lang": "f" * 172, "target_lang": "eng"}
    rows = [
        {"source_sentence": f"{own}\n", "target_sentence": f"{english}\n", **useless}
        for own, english in sentence_pairs(code, EVAL_ROWS, "tatoeba")
    ]
    return {"validation": Dataset.from_list(rows)}


def mteb_pairs(*codes: str) -> dict[str, Dataset]:
    """Sentences and their English translations in mteb's columns; ``default`` has all languages in one."""
    from datasets import Dataset

    rows = [
        {"sentence1": own, "sentence2": english, "lang": f"{code}-eng"}
        for code in codes
        for own, english in sentence_pairs(code, EVAL_ROWS, "mteb")
    ]
    table = Dataset.from_list(rows)
    return {"test": table if len(codes) > 1 else table.remove_columns("lang")}


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


def bucc(code: str) -> dict[str, Dataset]:
    """The columns named after languages hold the sentences' ids, as in google/xtreme."""
    from datasets import Dataset

    return {
        split: Dataset.from_list(
            [
                {
                    "source_sentence": own,
                    "target_sentence": english,
                    "source_lang": f"{code}-{number:09d}",
                    "target_lang": f"en-{number + 500:09d}",
                }
                for number, (own, english) in enumerate(sentence_pairs(code, count, f"bucc {split}"))
            ]
        )
        for split, count in (("validation", EVAL_ROWS), ("test", EVAL_ROWS + 1))
    }


def bucc_pool(code: str) -> Dataset:
    """One row with lists: the translation of every second sentence stands among as many others, last ones first."""
    from datasets import Dataset

    pairs = sentence_pairs(code, 4 * EVAL_ROWS, "bucc pool")
    others = [english for _, english in sentence_pairs(code, 2 * EVAL_ROWS, "bucc others")]
    targets = [*(english for _, english in pairs[::2]), *others][::-1]
    gold = [[number + 1, targets.index(pairs[number][1]) + 1] for number in range(0, len(pairs), 2)]
    lists = {"sentence1": [own for own, _ in pairs], "sentence2": targets, "gold": gold}
    return Dataset.from_list([lists])


def write_lareqa(folder: Path, codes: tuple[str, ...]) -> None:
    """Write SQuAD's JSON with sentences' places. A question has most words of the sentence that answers it."""
    (folder / "xquad-r").mkdir(parents=True)
    for code in codes:
        generator = random.Random("lareqa")  # the same words of the patterns in each language
        articles = []
        for number in range(4):
            paragraphs = []
            for at in range(2):
                keys = generator.sample(sorted({*TAGGED} - {"."}), 3)
                sentences = [sentence(random.Random(f"{code} {number} {at} {key}"), code, extra=(key,)) for key in keys]
                starts = [sum(len(before) + 1 for before in sentences[:place]) for place in range(3)]
                questions = [
                    {
                        "id": f"q{number}-{at}-{place}",
                        "question": f"Which {sentences[place]}",
                        "answers": [{"text": sentences[place][:3], "answer_start": starts[place]}],
                    }
                    for place in range(2)
                ]
                breaks = [[start, start + len(said)] for start, said in zip(starts, sentences, strict=True)]
                paragraphs.append(
                    {
                        "context": " ".join(sentences),
                        "qas": questions,
                        "sentence_breaks": breaks,
                        "sentences": sentences,
                    }
                )
            articles.append({"title": f"T{number}", "paragraphs": paragraphs})
        document = {"data": articles, "version": "1.1"}
        (folder / "xquad-r" / f"{code}.json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def write_mewslix(folder: Path, codes: tuple[str, ...]) -> None:
    """Write JSON lines of mentions, and entities in a gzipped archive, laid out as on the Hub."""
    listed = []
    entities = [
        {"entity_id": f"Q{number}", "title": word, "description": f"{word} {sentence(random.Random(word), 'en')}"}
        for number, word in enumerate([*ANSWERS, *TAGGED, *NLI_CUES])
    ]
    for code in codes:
        own = folder / "wikinews_mentions" / code
        own.mkdir(parents=True)
        for name, first in (("dev", 0), ("test", 1)):
            generator = random.Random(f"mewslix {code} {name}")
            filler = "zh" if code == "ja" else code
            chosen = entities[first::2]
            lines = [
                {
                    "mention": f"{entity['title']}: {sentence(generator, filler)} {{ {entity['title']} }}",
                    "entity_id": entity["entity_id"],
                }
                for entity in chosen
            ]
            _write_json_lines(own / f"{name}.jsonl", lines)
        files = [("validation", "dev"), ("test", "test")]
        paths = [{"split": split, "path": f"wikinews_mentions/{code}/{name}.jsonl"} for split, name in files]
        listed.append({"config_name": code, "data_files": paths})
    _write_json_lines(folder / "candidate_entities.jsonl", entities)
    with tarfile.open(folder / "candidate_entities.jsonl.tar.gz", "w:gz") as archive:
        archive.add(folder / "candidate_entities.jsonl", "candidate_entities.jsonl")
    (folder / "candidate_entities.jsonl").unlink()
    archived = [{"split": "test", "path": "candidate_entities.jsonl.tar.gz"}]
    listed.append({"config_name": "candidate_entities", "data_files": archived})
    header = json.dumps({"configs": listed})  # JSON is YAML
    (folder / "README.md").write_text(f"---\n{header}\n---\n", encoding="utf-8")


def _write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


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
