"""Toy rows of the retrieval tasks, with the columns and the oddities of each data set."""

from __future__ import annotations

import json
import random
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toy_rows import EVAL_ROWS
from toy_texts import ANSWERS, NLI_CUES, TAGGED, sentence, sentence_pairs

if TYPE_CHECKING:
    from datasets import Dataset


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
