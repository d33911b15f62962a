"""English intermediate tasks: the nine of Phang et al. 2020, SIQA and COPA.

Phang et al.: https://arxiv.org/abs/2005.13013, section 3.1. SIQA stands first in XTREME-R's way to XCOPA,
``compose siqa --target xcopa``; COPA has the rows that XCOPA trains on. Contexts of CosmosQA are long, so the question
stands before each answer rather than after the context, where it would be cut off first.
"""

from __future__ import annotations

from dataclasses import replace

from adapterstilts.tasks.columns import Column
from adapterstilts.tasks.spec import Source, TaskSpec

GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
SQUAD_REVISION = "7b6d24c440a36b6815f21b70d25016731768db1f"
SQUAD2_REVISION = "3ffb306f725f7d2ce8394bc1873b24868140c412"
HELLASWAG_REVISION = "218ec52e09a7e7462a5400043bb9a69a41d06b76"
SNLI_REVISION = "cdb5c3d5eed6ead6e5a341c8e56e669bb666725b"
ANLI_REVISION = "8e4813d81f46d313dac7892e1c28076917cfcdf9"
CSQA_REVISION = "94630fe30dad47192a8546eb75f094926d47e155"
SUPER_GLUE_REVISION = "3de24cf8022e94f4ee4b9d55a6f539891524d646"
SIQA_REVISION = "54c6a1f8cb6daf4f5abf24a601852612fb35eb25"

NLI_LABELS = ("entailment", "neutral", "contradiction")
SPAN_COLUMNS = {"id": "id", "question": "question", "context": "context", "answers": "answers"}

_MNLI_COLUMNS = {"text": "premise", "text_pair": "hypothesis", "label": "label"}
_QQP_COLUMNS = {"text": "question1", "text_pair": "question2", "label": "label"}
_HELLASWAG_COLUMNS = {"text": "ctx", "choices": "endings", "label": "label"}
_COSMOSQA_COLUMNS: dict[str, Column] = {
    "id": "id",
    "text": "context",
    "choices": tuple(f"{{question}} {{answer{number}}}" for number in range(4)),
    "label": "label",
}
_CSQA_COLUMNS = {"id": "id", "text": "question", "choices": "choices.text", "label": "answerKey"}
_SIQA_COLUMNS: dict[str, Column] = {
    "text": "{context} {question}",
    "choices": ("answerA", "answerB", "answerC"),
    "label": "label",
}

COPA_COLUMNS: dict[str, Column] = {
    "text": "{premise} {question}",
    "choices": ("choice1", "choice2"),
    "label": "label",
}
#: The two relations as questions, in jiant's words; XCOPA keeps their English names in all languages.
COPA_WORDING = {"cause": "What was the cause of this?", "effect": "What happened as a result?"}

_COSMOSQA_ADDRESS = "https://raw.githubusercontent.com/wilburOne/cosmosqa/master/data"
_CCG_OBTAIN = (
    "CCGbank is sold by the Linguistic Data Consortium (LDC2005T13, https://catalog.ldc.upenn.edu/LDC2005T13) and "
    "cannot be downloaded from here; bring its AUTO folder (wsj_0001.auto and so on; sections 02 to 21 train, 00 "
    "validates), or ccg.train and ccg.dev, a sentence a line, words, a tab and supertags, and tags_to_id.json, as "
    "jiant keeps them."
)


def _ccg(name: str, sections: tuple[int, int]) -> Source:
    columns = {"tokens": "tokens", "tags": "tags"}
    return Source("ccg", "default", name, columns, file=f"ccg.{name}", obtain=_CCG_OBTAIN, sections=sections)


def _cosmosqa(split: str, file: str) -> Source:
    address = f"{_COSMOSQA_ADDRESS}/{file}"
    return Source("wilburOne/cosmosqa", "default", split, _COSMOSQA_COLUMNS, file=file, address=address)


def copa(split: str) -> Source:
    """Return where the English rows of COPA are."""
    return Source("aps/super_glue", "copa", split, COPA_COLUMNS, SUPER_GLUE_REVISION, wording=COPA_WORDING)


def _snli(split: str) -> Source:
    return Source("stanfordnlp/snli", "plain_text", split, _MNLI_COLUMNS, SNLI_REVISION)


def _anli(split: str) -> tuple[Source, ...]:
    names = (f"{split}_r{number}" for number in (1, 2, 3))
    return tuple(Source("facebook/anli", "plain_text", name, _MNLI_COLUMNS, ANLI_REVISION) for name in names)


MNLI_TRAIN = Source("nyu-mll/glue", "mnli", "train", _MNLI_COLUMNS, GLUE_REVISION)
MNLI_VALIDATION = Source("nyu-mll/glue", "mnli", "validation_matched", _MNLI_COLUMNS, GLUE_REVISION)
SQUAD_TRAIN = Source("rajpurkar/squad", "plain_text", "train", SPAN_COLUMNS, SQUAD_REVISION)
SQUAD_VALIDATION = Source("rajpurkar/squad", "plain_text", "validation", SPAN_COLUMNS, SQUAD_REVISION)

TASKS = (
    TaskSpec(
        name="mnli",
        kind="intermediate",
        format="classification",
        title="Multi-Genre Natural Language Inference",
        sources={
            "train": MNLI_TRAIN,
            "validation": MNLI_VALIDATION,
        },
        languages=("en",),
        labels=NLI_LABELS,
        metric="accuracy",
        sizes={"train": 392_702, "validation": 9_815},
        license="other (OANC and others)",
        citation="Williams, Nangia, Bowman 2018. A Broad-Coverage Challenge Corpus for Sentence Understanding through "
        "Inference. https://aclanthology.org/N18-1101",
    ),
    TaskSpec(
        name="squad",
        kind="intermediate",
        format="span",
        title="Stanford Question Answering Dataset 1.1",
        sources={"train": SQUAD_TRAIN, "validation": SQUAD_VALIDATION},
        languages=("en",),
        metric="squad",
        sizes={"train": 87_599, "validation": 10_570},
        license="CC BY-SA 4.0",
        citation="Rajpurkar, Zhang, Lopyrev, Liang 2016. SQuAD: 100,000+ Questions for Machine Comprehension of Text. "
        "https://aclanthology.org/D16-1264",
    ),
    TaskSpec(
        name="hellaswag",
        kind="intermediate",
        format="multiple_choice",
        title="HellaSwag",
        sources={
            split: Source("Rowan/hellaswag", "default", split, _HELLASWAG_COLUMNS, HELLASWAG_REVISION)
            for split in ("train", "validation")
        },
        languages=("en",),
        labels=("0", "1", "2", "3"),
        choices=4,
        metric="accuracy",
        sizes={"train": 39_905, "validation": 10_042},
        license="MIT",
        citation="Zellers, Holtzman, Bisk, Farhadi, Choi 2019. HellaSwag: Can a Machine Really Finish Your Sentence? "
        "https://aclanthology.org/P19-1472",
    ),
    TaskSpec(
        name="qqp",
        kind="intermediate",
        format="classification",
        title="Quora Question Pairs",
        sources={
            split: Source("nyu-mll/glue", "qqp", split, _QQP_COLUMNS, GLUE_REVISION)
            for split in ("train", "validation")
        },
        languages=("en",),
        labels=("not_duplicate", "duplicate"),
        metric="accuracy_f1",
        sizes={"train": 363_846, "validation": 40_430},
        license="other (Quora terms of service)",
        citation="Wang, Singh, Michael, Hill, Levy, Bowman 2019. GLUE: A Multi-Task Benchmark and Analysis Platform "
        "for Natural Language Understanding. https://openreview.net/forum?id=rJ4km2R5t7",
    ),
    TaskSpec(
        name="anli",
        kind="intermediate",
        includes=("mnli",),
        format="classification",
        title="Adversarial NLI with SNLI and MNLI",
        sources={
            "train": replace(_snli("train"), more=(MNLI_TRAIN, *_anli("train"))),
            "validation": replace(_snli("validation"), more=(MNLI_VALIDATION, *_anli("dev"))),
        },
        languages=("en",),
        labels=NLI_LABELS,
        metric="accuracy",
        sizes={"train": 1_105_719, "validation": 23_015},
        license="CC BY-NC 4.0 (ANLI), CC BY-SA 4.0 (SNLI), other (MNLI)",
        citation="Nie, Williams, Dinan, Bansal, Weston, Kiela 2020. Adversarial NLI: A New Benchmark for Natural "
        "Language Understanding. https://aclanthology.org/2020.acl-main.441",
    ),
    TaskSpec(
        name="squad2",
        kind="intermediate",
        includes=("squad",),
        format="span",
        title="Stanford Question Answering Dataset 2.0",
        sources={
            split: Source("rajpurkar/squad_v2", "squad_v2", split, SPAN_COLUMNS, SQUAD2_REVISION)
            for split in ("train", "validation")
        },
        languages=("en",),
        unanswerable=True,
        metric="squad_v2",
        sizes={"train": 130_319, "validation": 11_873},
        license="CC BY-SA 4.0",
        citation="Rajpurkar, Jia, Liang 2018. Know What You Don't Know: Unanswerable Questions for SQuAD. "
        "https://aclanthology.org/P18-2124",
    ),
    TaskSpec(
        name="ccg",
        kind="intermediate",
        format="tagging",
        title="CCG supertagging",
        sources={"train": _ccg("train", (2, 21)), "validation": _ccg("dev", (0, 0))},
        languages=("en",),
        labels_file="tags_to_id.json",
        metric="token_accuracy",
        license="LDC User Agreement (CCGbank, LDC2005T13); bring your own files",
        citation="Hockenmaier, Steedman 2007. CCGbank: A Corpus of CCG Derivations and Dependency Structures Extracted "
        "from the Penn Treebank. https://aclanthology.org/J07-3004",
    ),
    TaskSpec(
        name="cosmosqa",
        kind="intermediate",
        format="multiple_choice",
        title="Cosmos QA",
        sources={"train": _cosmosqa("train", "train.csv"), "validation": _cosmosqa("validation", "valid.csv")},
        languages=("en",),
        labels=("0", "1", "2", "3"),
        choices=4,
        metric="accuracy",
        sizes={"train": 25_262, "validation": 2_985},
        license="CC BY 4.0",
        citation="Huang, Le Bras, Bhagavatula, Choi 2019. Cosmos QA: Machine Reading Comprehension with Contextual "
        "Commonsense Reasoning. https://aclanthology.org/D19-1243",
    ),
    TaskSpec(
        name="csqa",
        kind="intermediate",
        format="multiple_choice",
        title="CommonsenseQA",
        sources={
            split: Source("tau/commonsense_qa", "default", split, _CSQA_COLUMNS, CSQA_REVISION)
            for split in ("train", "validation")
        },
        languages=("en",),
        labels=("A", "B", "C", "D", "E"),
        choices=5,
        metric="accuracy",
        sizes={"train": 9_741, "validation": 1_221},
        license="MIT",
        citation="Talmor, Herzig, Lourie, Berant 2019. CommonsenseQA: A Question Answering Challenge Targeting "
        "Commonsense Knowledge. https://aclanthology.org/N19-1421",
    ),
    TaskSpec(
        name="siqa",
        kind="intermediate",
        format="multiple_choice",
        title="Social IQa",
        sources={
            split: Source("lighteval/siqa", "default", split, _SIQA_COLUMNS, SIQA_REVISION)
            for split in ("train", "validation")
        },
        languages=("en",),
        labels=("1", "2", "3"),
        choices=3,
        metric="accuracy",
        sizes={"train": 33_410, "validation": 1_954},
        license="none stated",
        citation="Sap, Rashkin, Chen, Le Bras, Choi 2019. Social IQa: Commonsense Reasoning about Social Interactions. "
        "https://aclanthology.org/D19-1454",
    ),
    TaskSpec(
        name="copa",
        kind="intermediate",
        includes=("xcopa",),
        format="multiple_choice",
        title="Choice of Plausible Alternatives",
        sources={split: copa(split) for split in ("train", "validation")},
        languages=("en",),
        labels=("choice1", "choice2"),
        choices=2,
        metric="accuracy",
        sizes={"train": 400, "validation": 100},
        license="BSD 2-Clause",
        citation="Roemmele, Bejan, Gordon 2011. Choice of Plausible Alternatives: An Evaluation of Commonsense Causal "
        "Reasoning. https://people.ict.usc.edu/~gordon/publications/AAAI-SPRING11A.PDF",
    ),
)
