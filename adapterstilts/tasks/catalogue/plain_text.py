"""Masked-language modelling on text that the user names: an intermediate task without rows of its own, and languages.

``LANGUAGE`` is none of the tasks that can be named: ``adapterstilts.tasks.suites.language_task`` makes of it the
training of one language's adapter.
"""

from __future__ import annotations

from adapterstilts.tasks.spec import TEXT, Source, TaskSpec

_OBTAIN = (
    "An adapter for 'mlm' learns from text that you name: adapterstilts train-intermediate mlm --text FILE, with the "
    "--suite and --backbone of the other commands (UTF-8, a document or a sentence a line). It is then found in the "
    "store, as in compose mlm --target tydiqa; it answers nothing by itself. In a mixture, as in compose "
    '"mix(4*squad, mlm)" --target tydiqa, give compose the --text.'
)

TASKS = (
    TaskSpec(
        name="mlm",
        kind="intermediate",
        format="language_modelling",
        title="Masked-language modelling on text of your own",
        sources={
            split: Source(TEXT, "lines", split, {"id": "id", "text": "text"}, obtain=_OBTAIN)
            for split in ("train", "validation")
        },
        languages=("en",),
        metric="perplexity",
        license="that of your text",
        citation="Gururangan, Marasović, Swayamdipta, Lo, Beltagy, Downey, Smith 2020. Don't Stop Pretraining: Adapt "
        "Language Models to Domains and Tasks. https://aclanthology.org/2020.acl-main.740",
        note="Learns from the text that --text names, in any language or several; it is counted under the source "
        "language. The head is the backbone's own and stays as it is: the adapter alone learns.",
    ),
)

LANGUAGE = TaskSpec(
    name="language",
    kind="language",
    format="language_modelling",
    title="Masked-language modelling on text of one language",
    sources={split: Source(TEXT, "lines", split, {"id": "id", "text": "text"}) for split in ("train", "validation")},
    languages=("en",),
    metric="perplexity",
    license="that of your text",
    citation="Pfeiffer, Vulić, Gurevych, Ruder 2020. MAD-X: An Adapter-Based Framework for Multi-Task Cross-Lingual "
    "Transfer. https://arxiv.org/abs/2005.00052",
)
