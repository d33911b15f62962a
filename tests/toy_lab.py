"""A lab of four tasks in three languages, in the place of the package's."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from toy_rows import EVAL_ROWS, PANX_LABELS, TRAIN_ROWS, mnli, spans, tagging
from toy_texts import entities, lines

from adapterstilts.errors import unknown

if TYPE_CHECKING:
    from datasets import Dataset


def make_lab() -> Any:
    """Make a module with what the package asks of its lab, and the modules ``languages`` and ``rows`` in it."""
    words = {"qaa": "en", "qab": "de", "qac": "sw"}
    distances = {"qaa": 0.0, "qab": 0.5, "qac": 0.25}
    languages: Any
    rows: Any
    lab: Any = ModuleType("adapterstilts.lab")
    languages, rows = (ModuleType(f"adapterstilts.lab.{name}") for name in ("languages", "rows"))

    def language(code: str, name: str, order: str, cases: str) -> SimpleNamespace:
        return SimpleNamespace(
            code=code, name=name, family="lab:toy", script="Latin", order=order, cases=cases, seen=code != "qab"
        )

    def load(task: str, code: str, split: str) -> Dataset:
        if task == "language":
            return lines(words[code], split)
        if task not in rows.SIZES or code not in words:
            raise unknown("language of the lab", code, words)
        made = {
            "mnli": lambda: mnli()[{"validation": "validation_matched"}.get(split, split)],
            "squad": lambda: spans(words[code], rows.SIZES[task][split], f"squad-{split}"),
            "tydiqa": lambda: spans(words[code], rows.SIZES[task][split], f"tydiqa-{split}"),
            "panx": lambda: tagging(words[code], "ner_tags", PANX_LABELS, entities)[split],
        }
        return made[task]()

    sizes = {"train": TRAIN_ROWS, "validation": EVAL_ROWS}
    languages.SOURCE = "qaa"
    languages.LANGUAGES = {
        made.code: made
        for made in (
            language("qaa", "Source", "SVO", "none"),
            language("qab", "Far", "SOV", "4"),
            language("qac", "Near", "SVO", "4"),
        )
    }
    languages.all_languages = lambda: languages.LANGUAGES
    languages.distance = lambda a, b: abs(distances[a.code] - distances[b.code])
    languages.differences = lambda a, b: tuple(
        name for name in ("order", "cases") if getattr(a, name) != getattr(b, name)
    )
    rows.SIZES = {name: dict(sizes) for name in ("mnli", "squad")}
    rows.SIZES |= {name: sizes | {"test": EVAL_ROWS + 1} for name in ("panx", "tydiqa")}
    rows.load, rows.LABELS, rows.wording = load, {}, lambda task: {}
    lab.languages, lab.rows = languages, rows
    return lab
