"""Target tasks of XTREME (Hu et al. 2020, https://arxiv.org/abs/2003.11080), as google/xtreme stores them.

TyDiQA has one file for training and one for evaluation; so that no checkpoint is chosen on the rows that are scored,
a fixed tenth of its English training rows is kept for validation. PAWS-X trains on its English rows; those of other
languages are machine translations. MLQA trains on SQuAD, and its own English validation rows choose the checkpoint.
"""

from __future__ import annotations

from adapterstilts.tasks.catalogue.intermediate import (
    MNLI_TRAIN,
    NLI_LABELS,
    SPAN_COLUMNS,
    SQUAD_TRAIN,
    SQUAD_VALIDATION,
)
from adapterstilts.tasks.languages import LANGUAGES, XTREME_LANGUAGES
from adapterstilts.tasks.spec import Source, Split, TaskSpec

XTREME_REVISION = "ec5f1f46e9af79639a90684a7a70a956c4998f04"

_XNLI_COLUMNS = {"text": "sentence1", "text_pair": "sentence2", "label": "gold_label"}
_TYDIQA_NAMES = {
    "ar": "arabic",
    "bn": "bengali",
    "en": "english",
    "fi": "finnish",
    "id": "indonesian",
    "ko": "korean",
    "ru": "russian",
    "sw": "swahili",
    "te": "telugu",
}
_NO_UDPOS = {"bn", "jv", "ka", "ml", "ms", "my", "sw"}
_UDPOS_NAMES = {code: LANGUAGES[code].name for code in XTREME_LANGUAGES if code not in _NO_UDPOS}
_MLQA_LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")
_MLQA_CITATION = (
    "Lewis, Oguz, Rinott, Riedel, Schwenk 2020. MLQA: Evaluating Cross-lingual Extractive Question Answering. "
    "https://aclanthology.org/2020.acl-main.653"
)
#: A language of its own stands for question and context in it, ``ar-de`` for Arabic contexts and German questions.
_MLQA_PAIRS = {
    context if context == question else f"{context}-{question}": f"{context}.{question}"
    for context in _MLQA_LANGUAGES
    for question in _MLQA_LANGUAGES
}
_SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def _xnli(split: str) -> Source:
    return Source(
        "google/xtreme",
        "XNLI",
        split,
        _XNLI_COLUMNS,
        XTREME_REVISION,
        language_from="column",
        label_aliases={"contradictory": "contradiction"},
    )


def _mlqa(split: str) -> Source:
    return Source(
        "google/xtreme", "MLQA.{language}.{language}", split, SPAN_COLUMNS, XTREME_REVISION, language_from="config"
    )


def _mlqa_pairs(split: str) -> Source:
    return Source(
        "google/xtreme",
        "MLQA.{language}",
        split,
        SPAN_COLUMNS,
        XTREME_REVISION,
        language_from="config",
        language_names=_MLQA_PAIRS,
    )


def _tydiqa(split: str, part: tuple[float, float] = (0.0, 1.0)) -> Source:
    return Source(
        "google/xtreme",
        "tydiqa",
        split,
        SPAN_COLUMNS,
        XTREME_REVISION,
        language_from="id",
        language_names=_TYDIQA_NAMES,
        part=part,
    )


TASKS = (
    TaskSpec(
        name="xnli",
        kind="target",
        format="classification",
        title="Cross-lingual Natural Language Inference",
        sources={"train": MNLI_TRAIN, "validation": _xnli("validation"), "test": _xnli("test")},
        trains_on="mnli",
        parallel=True,
        languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
        labels=NLI_LABELS,
        metric="accuracy",
        sizes={"train": 392_702, "validation": 37_350, "test": 75_150},
        license="CC BY-NC 4.0",
        citation="Conneau, Rinott, Lample, Williams, Bowman, Schwenk, Stoyanov 2018. XNLI: Evaluating Cross-lingual "
        "Sentence Representations. https://aclanthology.org/D18-1269",
    ),
    TaskSpec(
        name="pawsx",
        kind="target",
        format="classification",
        title="Cross-lingual Paraphrase Adversaries from Word Scrambling",
        sources={
            split: Source(
                "google/xtreme",
                "PAWS-X.{language}",
                split,
                {"text": "sentence1", "text_pair": "sentence2", "label": "label"},
                XTREME_REVISION,
                language_from="config",
            )
            for split in _SPLITS
        },
        parallel=True,
        languages=("de", "en", "es", "fr", "ja", "ko", "zh"),
        labels=("0", "1"),
        metric="accuracy",
        sizes={"train": 49_175, "validation": 13_949, "test": 13_999},
        license="free for any purpose, with acknowledgement of Google LLC",
        citation="Yang, Zhang, Tar, Baldridge 2019. PAWS-X: A Cross-lingual Adversarial Dataset for Paraphrase "
        "Identification. https://aclanthology.org/D19-1382",
    ),
    TaskSpec(
        name="panx",
        kind="target",
        format="tagging",
        title="PAN-X (WikiANN) named entities",
        sources={
            split: Source(
                "google/xtreme",
                "PAN-X.{language}",
                split,
                {"tokens": "tokens", "tags": "ner_tags"},
                XTREME_REVISION,
                language_from="config",
            )
            for split in _SPLITS
        },
        languages=XTREME_LANGUAGES,
        labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
        metric="entity_f1",
        sizes={"train": 20_000, "validation": 262_300, "test": 262_300},
        license="none stated",
        citation="Pan, Zhang, May, Nothman, Knight, Ji 2017. Cross-lingual Name Tagging and Linking for 282 Languages. "
        "https://aclanthology.org/P17-1178",
    ),
    TaskSpec(
        name="udpos",
        kind="target",
        format="tagging",
        title="Universal Dependencies parts of speech",
        sources={
            split: Source(
                "google/xtreme",
                "udpos.{language}",
                split,
                {"tokens": "tokens", "tags": "pos_tags"},
                XTREME_REVISION,
                language_from="config",
                language_names=_UDPOS_NAMES,
            )
            for split in _SPLITS
        },
        languages=tuple(_UDPOS_NAMES),
        labels=tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()),
        metric="pos_f1",
        sizes={"train": 21_253, "validation": 73_485, "test": 102_119},
        license="UD 2.5 licences (CC BY-SA, CC BY-NC-SA and others, by treebank)",
        citation="Nivre et al. 2020. Universal Dependencies v2. https://aclanthology.org/2020.lrec-1.497",
        note="google/xtreme takes in treebanks of related languages (Ancient Greek, Old French, Classical Chinese, Old "
        "Russian, Swiss German) and keeps contractions split, so that scores in Greek, French, Chinese, Russian and "
        "German are not those of XTREME's own files. Suite xtreme-r has other files.",
    ),
    TaskSpec(
        name="xquad",
        kind="target",
        format="span",
        title="Cross-lingual Question Answering Dataset",
        sources={
            "train": SQUAD_TRAIN,
            "validation": SQUAD_VALIDATION,
            "test": Source(
                "google/xtreme",
                "XQuAD.{language}",
                "validation",
                SPAN_COLUMNS,
                XTREME_REVISION,
                language_from="config",
            ),
        },
        trains_on="squad",
        parallel=True,
        languages=("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
        metric="squad",
        sizes={"train": 87_599, "validation": 10_570, "test": 13_090},
        license="CC BY-SA 4.0",
        citation="Artetxe, Ruder, Yogatama 2020. On the Cross-lingual Transferability of Monolingual Representations. "
        "https://aclanthology.org/2020.acl-main.421",
    ),
    TaskSpec(
        name="mlqa",
        kind="target",
        format="span",
        title="Multilingual Question Answering, question and context in one language",
        sources={"train": SQUAD_TRAIN, "validation": _mlqa("validation"), "test": _mlqa("test")},
        trains_on="squad",
        languages=_MLQA_LANGUAGES,
        metric="mlqa",
        sizes={"train": 87_599, "validation": 4_199, "test": 42_245},
        license="CC BY-SA 3.0",
        citation=_MLQA_CITATION,
    ),
    TaskSpec(
        name="mlqa_pairs",
        kind="target",
        format="span",
        title="Multilingual Question Answering, question and context in any two of its languages",
        sources={"train": SQUAD_TRAIN, "validation": _mlqa_pairs("validation"), "test": _mlqa_pairs("test")},
        trains_on="squad",
        languages=tuple(_MLQA_PAIRS),
        metric="mlqa",
        sizes={"train": 87_599, "validation": 15_747, "test": 158_083},
        license="CC BY-SA 3.0",
        citation=_MLQA_CITATION,
    ),
    TaskSpec(
        name="tydiqa",
        kind="target",
        format="span",
        title="TyDi QA, gold passages",
        sources={
            "train": _tydiqa("train", (0.1, 1.0)),
            "validation": _tydiqa("train", (0.0, 0.1)),
            "test": _tydiqa("validation"),
        },
        languages=tuple(_TYDIQA_NAMES),
        metric="squad",
        sizes={"test": 5_077},
        license="Apache 2.0",
        citation="Clark, Choi, Collins, Garrette, Kwiatkowski, Nikolaev, Palomaki 2020. TyDi QA: A Benchmark for "
        "Information-Seeking Question Answering in Typologically Diverse Languages. "
        "https://aclanthology.org/2020.tacl-1.30",
    ),
)
