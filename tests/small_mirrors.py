"""Mirrors of a few rows, for what the toy mirror does not have: odd labels, wrong columns, faulty answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset, Features, List, Value
from toy_mirror import write_data_set


def xnli_rows(*labels: str, language: str = "en") -> list[dict[str, str]]:
    """Return a row of XNLI for each label."""
    return [
        {"language": language, "sentence1": f"the {number}", "sentence2": "cat", "gold_label": label}
        for number, label in enumerate(labels)
    ]


def xnli_mirror(root: Path, rows: list[dict[str, str]]) -> Path:
    """Write the test split of XNLI below ``root``."""
    write_data_set(root, "google/xtreme", {"XNLI": {"test": Dataset.from_list(rows)}})
    return root


def mnli_mirror(root: Path, table: Dataset) -> Path:
    """Write the training split of MNLI below ``root``."""
    write_data_set(root, "nyu-mll/glue", {"mnli": {"train": table}})
    return root


def mnli_table(labels: list[Any], feature: Any) -> Dataset:
    """Return a row of MNLI for each label, in a column of the type ``feature``."""
    text = Value("string")
    columns = {
        "premise": [f"the {number}" for number in range(len(labels))],
        "hypothesis": ["cat"] * len(labels),
        "label": labels,
    }
    return Dataset.from_dict(columns, Features({"premise": text, "hypothesis": text, "label": feature}))


def squad_table(ids: list[str], **changes: Any) -> Dataset:
    """Return a question on Alpha for each id, with other values in some columns."""
    text = Value("string")
    answers = {"text": List(text), "answer_start": List(Value("int32"))}
    row = {"context": "the Alpha", "question": "Which?", "answers": {"text": ["Alpha"], "answer_start": [4]}}
    features = Features({"id": text, "context": text, "question": text, "answers": answers})
    return Dataset.from_list([{"id": row_id, **row, **changes} for row_id in ids], features=features)
