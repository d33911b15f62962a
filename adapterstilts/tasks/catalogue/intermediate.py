"""English intermediate tasks (Phang et al. 2020, https://arxiv.org/abs/2005.13013, section 3.1)."""

from __future__ import annotations

from adapterstilts.tasks.spec import Source, TaskSpec

GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
SQUAD_REVISION = "7b6d24c440a36b6815f21b70d25016731768db1f"
HELLASWAG_REVISION = "218ec52e09a7e7462a5400043bb9a69a41d06b76"

NLI_LABELS = ("entailment", "neutral", "contradiction")
SPAN_COLUMNS = {"id": "id", "question": "question", "context": "context", "answers": "answers"}

_MNLI_COLUMNS = {"text": "premise", "text_pair": "hypothesis", "label": "label"}
_HELLASWAG_COLUMNS = {"text": "ctx", "choices": "endings", "label": "label"}

MNLI_TRAIN = Source("nyu-mll/glue", "mnli", "train", _MNLI_COLUMNS, GLUE_REVISION)
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
            "validation": Source("nyu-mll/glue", "mnli", "validation_matched", _MNLI_COLUMNS, GLUE_REVISION),
        },
        languages=("en",),
        labels=NLI_LABELS,
        metric="accuracy",
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
        license="MIT",
        citation="Zellers, Holtzman, Bisk, Farhadi, Choi 2019. HellaSwag: Can a Machine Really Finish Your Sentence? "
        "https://aclanthology.org/P19-1472",
    ),
)
