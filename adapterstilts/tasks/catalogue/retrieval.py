"""Retrieval of XTREME and XTREME-R: nothing is trained, sentence vectors are compared.

In google/xtreme, a row is a sentence and its English translation. Tatoeba's ``source_lang`` and the sentences' line
ends are left over from how the files were made; the configuration tells the language. BUCC's ``source_lang`` holds the
sentence's id. google/xtreme has BUCC's gold pairs alone, without the sentences among which BUCC hides them, so that a
score here is far above, and must not stand beside, a published one. ``bucc`` has these pairs; ``bucc_pools`` has the
sentences of mteb/BUCC, where all are, gold pairs and the rest, but in one split. There is no sample to fit the
threshold on, so a fixed half of the sentences, by a hash of their numbers, takes its place; the other half is scored.

LAReQA (Roy et al. 2020, https://arxiv.org/abs/2004.05484): each question of XQuAD-R is put to the sentences of all
languages at once, and the sentences that answer it in any of them are relevant. The rows are those of XTREME-R's
``utils_lareqa.py``: a candidate is a sentence followed by its paragraph. The Hub's copy lacks the sentences.

Mewsli-X (Ruder et al. 2021, https://arxiv.org/abs/2104.07412): a mention in a sentence of WikiNews is put to the
descriptions of a million entities in 50 languages. izhx/mewsli-x is not the authors', but made with their script: its
``mention`` is already the text that XTREME-R encodes. That its files load as they lie on the Hub was never verified;
the columns are those that its author's own evaluation reads.
"""

from __future__ import annotations

from adapterstilts.tasks.catalogue.xtreme import XTREME_REVISION
from adapterstilts.tasks.columns import Column
from adapterstilts.tasks.spec import Source, TaskSpec

#: Column of the ids of BUCC's English sentences; the ids of the others are those of the rows.
BUCC_TRANSLATION_ID = "target_lang"

BUCC_POOLS_REVISION = "414572247440f0ccacf7eb0bb70a31533a0e5443"
LAREQA_REVISION = "5405d2a77e83d5ccb47623a3f9e5604c3f103193"
MEWSLIX_REVISION = "7e3723faa15c6d84cfd56d66cf6cd347be8ad00e"

_BUCC_CITATION = (
    "Zweigenbaum, Sharoff, Rapp 2018. Overview of the Third BUCC Shared Task: Spotting Parallel Sentences in "
    "Comparable Corpora. https://comparable.limsi.fr/bucc2018/bucc2018-task.html"
)
_COLUMNS = {"text": "source_sentence", "text_pair": "target_sentence"}
#: As the layouts name them (``adapterstilts.data.layouts``).
_ASKED: dict[str, Column] = {"id": "id", "text": "text", "relevant": "relevant"}
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


def _pools(layout: str, columns: dict[str, Column], part: tuple[float, float] = (0.0, 1.0)) -> Source:
    return Source(
        "mteb/BUCC",
        "{language}-en",
        "test",
        columns,
        BUCC_POOLS_REVISION,
        language_from="config",
        layout=layout,
        part=part,
    )


def _lareqa(layout: str, columns: dict[str, Column]) -> Source:
    return Source(
        "google-research-datasets/lareqa",
        "xquad-r/{language}",
        "test",
        columns,
        language_from="config",
        file="xquad-r/{language}.json",
        address=f"https://raw.githubusercontent.com/google-research-datasets/lareqa/{LAREQA_REVISION}"
        "/xquad-r/{language}.json",
        layout=layout,
    )


def _mewslix(split: str) -> Source:
    columns: dict[str, Column] = {"text": "mention", "relevant": ("entity_id",)}
    return Source("izhx/mewsli-x", "{language}", split, columns, MEWSLIX_REVISION, language_from="config")


TASKS = (
    TaskSpec(
        name="bucc",
        kind="target",
        format="retrieval",
        title="BUCC 2018, gold pairs",
        sources={"validation": _bucc("validation"), "test": _bucc("test")},
        languages=("de", "fr", "ru", "zh"),
        metric="bucc_f1",
        sizes={"validation": 4_598, "test": 35_000},
        license="none stated",
        citation=_BUCC_CITATION,
        note="The sentences among which BUCC hides its gold pairs are not there: a score is far above a published one. "
        "See bucc_pools.",
    ),
    TaskSpec(
        name="bucc_pools",
        kind="target",
        format="search",
        title="BUCC 2018, gold pairs among all sentences",
        sources={
            "validation": _pools("pool_sentences", _ASKED, (0.0, 0.5)),
            "test": _pools("pool_sentences", _ASKED, (0.5, 1.0)),
        },
        candidates=_pools("pool_candidates", {"id": "id", "text": "text"}),
        languages=("de", "fr", "ru", "zh"),
        metric="bucc_pool_f1",
        license="none stated",
        citation=_BUCC_CITATION,
        note="Not the published protocol: layer and threshold are fitted on a fixed half of the sentences, and the "
        "other half is scored, since mteb/BUCC has no other split; both halves are mined together.",
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
        sizes={"test": 31_692},
        license="CC BY 2.0 FR",
        citation="Artetxe, Schwenk 2019. Massively Multilingual Sentence Embeddings for Zero-Shot Cross-Lingual "
        "Transfer and Beyond. https://aclanthology.org/Q19-1038",
    ),
    TaskSpec(
        name="lareqa",
        kind="target",
        format="search",
        title="LAReQA: answers to XQuAD-R's questions among sentences of all languages",
        sources={"test": _lareqa("squad_questions", _ASKED)},
        candidates=_lareqa("squad_sentences", {"id": "id", "text": "text", "answers": "answers"}),
        one_pool=True,
        parallel=True,
        languages=("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
        metric="map@20",
        sizes={"test": 13_090},
        license="CC BY-SA 4.0",
        citation="Roy, Constant, Al-Rfou, Barua, Phillips, Yang 2020. LAReQA: Language-agnostic Answer Retrieval from "
        "a Multilingual Pool. https://aclanthology.org/2020.emnlp-main.477",
        note="XTREME-R's scores are of encoders that were trained on SQuAD's questions and sentences; here nothing is. "
        "A language that the data do not have is missing from the candidates, too.",
    ),
    TaskSpec(
        name="mewslix",
        kind="target",
        format="search",
        title="Mewsli-X: the entity that is mentioned, by its description",
        sources={"validation": _mewslix("validation"), "test": _mewslix("test")},
        candidates=Source(
            "izhx/mewsli-x",
            "candidate_entities",
            "test",
            {"id": "entity_id", "text": "description"},
            MEWSLIX_REVISION,
        ),
        one_pool=True,
        languages=("ar", "de", "en", "es", "fa", "ja", "pl", "ro", "ta", "tr", "uk"),
        metric="map@20",
        license="Apache-2.0",
        citation="Ruder, Constant, Botha, Siddhant, Firat, Fu, Liu, Hu, Garrette, Neubig, Johnson 2021. XTREME-R: "
        "Towards More Challenging and Nuanced Multilingual Evaluation. https://aclanthology.org/2021.emnlp-main.802",
        note="Never run on the data themselves: that izhx/mewsli-x loads, and that its columns are mention, entity_id "
        "and description, is known from its author's scripts alone. A million candidates need a GPU. The data are a "
        "later version than those of XTREME-R's paper.",
    ),
)
