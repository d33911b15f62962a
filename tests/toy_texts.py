"""The words of the toy data: filler words in six languages, and among them the patterns that a toy model can learn."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

#: Words without meaning for any label, by language. Chinese and Thai are written without spaces.
FILLERS = {
    "en": "the cat sees a big house and small tree near water today with old books on table",
    "de": "die Katze sieht ein großes Haus und kleinen Baum am Wasser heute mit alten Büchern auf Tisch",
    "sw": "paka anaona nyumba kubwa na mti mdogo karibu na maji leo pamoja vitabu vya zamani juu meza",
    "ru": "кошка видит большой дом и маленькое дерево у воды сегодня с старыми книгами на столе",
    "zh": "猫 看见 大 房子 和 小 树 靠近 水 今天 带 着 旧 书 在 桌子 上",
    "th": "แมว เห็น บ้าน ใหญ่ และ ต้นไม้ เล็ก ใกล้ น้ำ วันนี้ กับ หนังสือ เก่า บน โต๊ะ",
}
UNSPACED = {"zh", "th"}

# The patterns to learn. They are the same words in all languages, so that a tiny model can carry them over.
NLI_CUES = {"entailment": "indeed", "neutral": "perhaps", "contradiction": "never"}
RIGHT_ENDING, WRONG_ENDING = "finally", "purple"
ANSWERS = ("Alpha", "Berta", "Gamma", "Delta")
ENTITIES = {
    "PER": (("Anna", "Miller"), ("Boris", "Miller")),
    "ORG": (("Acme", "Group"),),
    "LOC": (("Berlin",), ("Oslo",)),
}
TAGGED = {
    "runs": "VERB",
    "sings": "VERB",
    "green": "ADJ",
    "stone": "NOUN",
    "river": "NOUN",
    ".": "PUNCT",
    "seven": "NUM",
}
QUESTION = "Which name stands here ?"
PATTERN_WORDS = (
    *NLI_CUES.values(),
    *(RIGHT_ENDING, WRONG_ENDING),
    *ANSWERS,
    *TAGGED,
    *(word for groups in ENTITIES.values() for group in groups for word in group),
    *QUESTION.split(),
)


def sentence(generator: random.Random, code: str, *, extra: tuple[str, ...] = ()) -> str:
    """Return four to eight filler words, with ``extra`` words somewhere among them."""
    words = generator.choices(FILLERS[code].split(), k=generator.randint(4, 8))
    for word in extra:
        words.insert(generator.randint(0, len(words)), word if code not in UNSPACED else f" {word} ")
    return ("" if code in UNSPACED else " ").join(words).replace("  ", " ").strip()


def nli(code: str, count: int) -> list[tuple[str, str, str]]:
    """Return premises, hypotheses and labels; a word in the hypothesis decides."""
    generator = random.Random(f"nli {code} {count}")
    labels = [list(NLI_CUES)[number % 3] for number in range(count)]
    return [(sentence(generator, code), sentence(generator, code, extra=(NLI_CUES[label],)), label) for label in labels]


def sentence_pairs(code: str, count: int, name: str) -> list[tuple[str, str]]:
    """Return sentences with their English translations: the same words of the patterns among other filler words."""
    generator = random.Random(f"{name} {code}")
    pairs = []
    for _ in range(count):
        words = tuple(generator.sample(sorted(set(PATTERN_WORDS)), 4))
        filler = generator.choice(FILLERS[code].split())
        pairs.append((" ".join((*words, filler)), " ".join((*words, generator.choice(FILLERS["en"].split())))))
    return pairs


def entities(generator: random.Random, code: str) -> list[tuple[str, str]]:
    """Return filler words with two entities among them."""
    pairs = [(word, "O") for word in sentence(generator, code).split()]
    for _ in range(2):
        kind = generator.choice(list(ENTITIES))
        names = generator.choice(ENTITIES[kind])
        tagged = [(word, f"{'I' if position else 'B'}-{kind}") for position, word in enumerate(names)]
        place = generator.choice([0, len(pairs)])  # never inside another entity
        pairs[place:place] = tagged
    return pairs


def parts_of_speech(generator: random.Random, code: str) -> list[tuple[str, str]]:
    """Return filler words, all of them adverbs, with words of other tags among them."""
    pairs = [(word, "ADV") for word in sentence(generator, code).split()]
    for word in generator.choices(list(TAGGED), k=4):
        pairs.insert(generator.randint(0, len(pairs)), (word, TAGGED[word]))
    return pairs


def lines(code: str, split: str) -> Dataset:
    """Return plain text in a language, a line a row."""
    from datasets import Dataset

    generator = random.Random(f"lines {code} {split}")
    said = [sentence(generator, code) for _ in range(40 if split == "train" else 8)]
    return Dataset.from_dict({"id": [f"{split}-{number}" for number in range(len(said))], "text": said})
