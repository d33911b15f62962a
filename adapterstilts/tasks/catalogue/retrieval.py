"""Sentence retrieval of XTREME, as google/xtreme stores it: nothing is trained, sentence vectors are compared.

A row is a sentence and its English translation. Tatoeba's ``source_lang`` and the sentences' line ends are left over
from how the files were made; the configuration tells the language. BUCC's ``source_lang`` holds the sentence's id.
google/xtreme has BUCC's gold pairs alone, without the sentences among which BUCC hides them, so that a score here is
far above, and must not stand beside, a published one.
"""

from __future__ import annotations

from adapterstilts.tasks.catalogue.xtreme import XTREME_REVISION
from adapterstilts.tasks.spec import Source, TaskSpec

#: Column of the ids of BUCC's English sentences; the ids of the others are those of the rows.
BUCC_TRANSLATION_ID = "target_lang"

_COLUMNS = {"text": "source_sentence", "text_pair": "target_sentence"}
#: ISO 639-1 to 639-3, in which Tatoeba's configurations are named.
_TATOEBA_NAMES = dict(
    pair.split(":")
    for pair in (
        "af:afr ar:ara bg:bul bn:ben de:deu el:ell es:spa et:est eu:eus fa:pes fi:fin fr:fra he:heb hi:hin hu:hun "
        "id:ind it:ita ja:jpn jv:jav ka:kat kk:kaz ko:kor ml:mal mr:mar nl:nld pt:por ru:rus sw:swh ta:tam te:tel "
        "th:tha tl:tgl tr:tur ur:urd vi:vie zh:cmn"
    ).split()
)


def _bucc(split: str) -> Source:
    columns = {"id": "source_lang", **_COLUMNS}
    return Source("google/xtreme", "bucc18.{language}", split, columns, XTREME_REVISION, language_from="config")


TASKS = (
    TaskSpec(
        name="bucc",
        kind="target",
        format="retrieval",
        title="BUCC 2018, gold pairs",
        sources={"validation": _bucc("validation"), "test": _bucc("test")},
        languages=("de", "fr", "ru", "zh"),
        metric="bucc_f1",
        license="none stated",
        citation="Zweigenbaum, Sharoff, Rapp 2018. Overview of the Third BUCC Shared Task: Spotting Parallel Sentences "
        "in Comparable Corpora. https://comparable.limsi.fr/bucc2018/bucc2018-task.html",
    ),
    TaskSpec(
        name="tatoeba",
        kind="target",
        format="retrieval",
        title="Tatoeba sentences and their English translations",
        sources={
            "test": Source(
                "google/xtreme",
                "tatoeba.{language}",
                "validation",
                _COLUMNS,
                XTREME_REVISION,
                language_from="config",
                language_names=_TATOEBA_NAMES,
            )
        },
        languages=tuple(_TATOEBA_NAMES),
        metric="retrieval_accuracy",
        license="CC BY 2.0 FR",
        citation="Artetxe, Schwenk 2019. Massively Multilingual Sentence Embeddings for Zero-Shot Cross-Lingual "
        "Transfer and Beyond. https://aclanthology.org/Q19-1038",
    ),
)
