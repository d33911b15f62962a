"""Target tasks that XTREME-R added (Ruder et al. 2021, https://arxiv.org/abs/2104.07412).

XTREME-R trains XCOPA on SIQA, then on COPA. Here COPA alone is the target's training set, and SIQA is an intermediate
task: ``compose siqa --target xcopa`` is XTREME-R's way, and what SIQA brings stands in the table. COPA's 400 English
rows are few, and the score of chance is 50. There are no English test rows: COPA's own test labels are not public.
"""

from __future__ import annotations

from adapterstilts.tasks.columns import Column
from adapterstilts.tasks.spec import Source, TaskSpec

SUPER_GLUE_REVISION = "3de24cf8022e94f4ee4b9d55a6f539891524d646"
XCOPA_REVISION = "042f78955ba48e6404616762fa6e05e839c3907a"

_COLUMNS: dict[str, Column] = {"text": "{premise} {question}", "choices": ("choice1", "choice2"), "label": "label"}
#: The two relations as questions, in jiant's words; XCOPA keeps their English names in all languages.
_WORDING = {"cause": "What was the cause of this?", "effect": "What happened as a result?"}


def _copa(split: str) -> Source:
    return Source("aps/super_glue", "copa", split, _COLUMNS, SUPER_GLUE_REVISION, wording=_WORDING)


TASKS = (
    TaskSpec(
        name="xcopa",
        kind="target",
        format="multiple_choice",
        title="Cross-lingual Choice of Plausible Alternatives",
        sources={
            "train": _copa("train"),
            "validation": _copa("validation"),
            "test": Source(
                "cambridgeltl/xcopa",
                "{language}",
                "test",
                _COLUMNS,
                XCOPA_REVISION,
                language_from="config",
                wording=_WORDING,
            ),
        },
        parallel=True,
        languages=("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"),
        labels=("choice1", "choice2"),
        choices=2,
        metric="accuracy",
        license="CC BY 4.0",
        citation="Ponti, Glavas, Majewska, Liu, Vulic, Korhonen 2020. XCOPA: A Multilingual Dataset for Causal "
        "Commonsense Reasoning. https://aclanthology.org/2020.emnlp-main.185",
    ),
)
