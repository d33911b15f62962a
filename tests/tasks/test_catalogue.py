"""The catalogue: every task says all it must; a wrong name of a task or language gets the nearest right one."""

from __future__ import annotations

import re

import pytest
from marks import every_task_of_the_hub

from adapterstilts.data.layouts import LAYOUTS
from adapterstilts.errors import SettingsError, UnknownNameError
from adapterstilts.evaluation.averages import BENCHMARKS
from adapterstilts.evaluation.metrics import METRICS
from adapterstilts.models.expression import Single
from adapterstilts.models.grammar import parse
from adapterstilts.tasks.catalogue import TASKS, XTREME_R_TASKS, get_task
from adapterstilts.tasks.formats import FORMATS
from adapterstilts.tasks.languages import LANGUAGES, XTREME_LANGUAGES, get_language, pair_of, parse_languages
from adapterstilts.tasks.spec import FORMAT_FIELDS, TEXT, TaskSpec
from adapterstilts.tasks.suites import get_suite

INTERMEDIATE = ("mnli", "squad", "hellaswag", "qqp", "anli", "squad2", "ccg", "cosmosqa", "csqa", "siqa", "copa", "mlm")
RETRIEVAL = ("bucc", "bucc_pools", "tatoeba", "lareqa", "mewslix")
TARGETS = ("xnli", "pawsx", "panx", "udpos", "xquad", "mlqa", "mlqa_pairs", "tydiqa", "xcopa", *RETRIEVAL)

#: Data sets of which no commit is known.
UNPINNED = {"unimelb-nlp/wikiann"}
#: Data sets that datasets no longer loads, since a script of theirs would have to be run.
SCRIPTS = {
    "allenai/cosmos_qa",
    "allenai/social_i_qa",
    "facebook/mlqa",
    "universal-dependencies/universal_dependencies",
}
#: Tasks of which no number of rows is known.
UNKNOWN_SIZES = {"ccg", "mlm", "bucc_pools", "mewslix"}


def test_the_tasks() -> None:
    assert tuple(TASKS) == INTERMEDIATE + TARGETS
    assert {name: task.kind for name, task in TASKS.items()} == {
        **dict.fromkeys(INTERMEDIATE, "intermediate"),
        **dict.fromkeys(TARGETS, "target"),
    }
    assert all(get_task(name) is task and task.name == name for name, task in TASKS.items())


@every_task_of_the_hub
def test_a_task_is_complete(task: TaskSpec) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", task.name)
    assert parse(task.name) == Single(task.name)
    assert task.format in FORMATS
    assert task.metric in METRICS
    assert task.title
    assert task.license
    assert re.search(r"\d{4}\. .*https://\S+$", task.citation), "authors, year, title, address"
    assert {code for pair in task.languages for code in pair_of(pair)} <= set(LANGUAGES)
    assert len(set(task.languages)) == len(task.languages)
    assert ("en" in task.languages) == (task.name not in ("xcopa", "bucc", "bucc_pools", "tatoeba"))
    assert task.trained == (task.name not in RETRIEVAL)
    assert not task.trained or {"train", "validation"} <= set(task.sources)
    assert ("test" in task.sources) == (task.kind == "target")
    assert task.evaluation_split == ("test" if task.kind == "target" else "validation")
    if task.labels_file:
        assert task.labels == ()
    elif task.format in ("classification", "tagging"):
        assert len(set(task.labels)) == len(task.labels) > 1
    if task.format == "multiple_choice":
        assert task.choices == len(task.labels) > 1


@every_task_of_the_hub
def test_the_sources_of_a_task_are_complete(task: TaskSpec) -> None:
    for split, first in task.sources.items():
        for source in (first, *first.more):
            if source.file or source.dataset == TEXT:
                assert bool(source.address) != bool(source.obtain), "it can be fetched, or the user is told how"
            elif source.dataset not in UNPINNED:
                assert re.fullmatch(r"[0-9a-f]{40}", source.revision or ""), split
            assert set(source.columns) - {"id"} == set(FORMAT_FIELDS[task.format])
            assert bool(source.languages) == bool(first.languages), "each says which languages it has, or none does"
            assert (source.language_from, source.more) == (first.language_from, first.more if source is first else ())
        source = first
        assert set(source.label_aliases.values()) <= set(task.labels)
        assert ("{language}" in source.config) == (source.language_from == "config")
        assert set(source.language_names) <= {*LANGUAGES, *task.languages}
        assert len(set(source.language_names.values())) == len(source.language_names)
        assert 0 <= source.part[0] < source.part[1] <= 1
        for language in task.languages_of(split):
            parts = source.parts(language)
            assert len(parts) == (1 if source.languages else 1 + len(source.more))
            assert not any("{" in part.config_for(language) for part in parts)
        assert {code for part in (source, *source.more) for code in part.languages} <= set(task.languages)
    if "train" in task.sources:
        assert task.languages_of("train") == ("en",)
    assert task.languages_of(task.evaluation_split) == (task.languages if task.kind == "target" else ("en",))
    with pytest.raises(SettingsError, match=f"Task '{task.name}' has no split 'dev'; it has "):
        task.source("dev")


@every_task_of_the_hub
def test_no_source_needs_a_script(task: TaskSpec) -> None:
    for first in task.sources.values():
        assert not {source.dataset for source in (first, *first.more)} & SCRIPTS


def test_what_is_searched_is_known_of_search_tasks_alone() -> None:
    assert [name for name in TARGETS if TASKS[name].candidates] == ["bucc_pools", "lareqa", "mewslix"]
    for task in TASKS.values():
        assert (task.candidates is not None) == (task.format == "search")
        if task.candidates is not None:
            assert {"id", "text"} <= set(task.candidates.columns) <= {"id", "text", "answers"}
            assert task.one_pool == (task.metric == "map@20")
            assert task.note, "none of them is run by the published protocol"
            for source in (*task.sources.values(), task.candidates):
                assert source.layout in ("", *LAYOUTS)
                assert bool(source.file) != bool(source.revision), "pinned, in its address if it is a file"
                assert re.search(r"/[0-9a-f]{40}/", source.address) or not source.file
    assert [TASKS["lareqa"].languages, TASKS["mewslix"].languages] == [
        BENCHMARKS["xtreme-r"].languages[name] for name in ("lareqa", "mewslix")
    ]


def test_checkpoints_are_not_chosen_on_rows_that_are_scored() -> None:
    for task in (*TASKS.values(), *XTREME_R_TASKS.values()):
        if task.kind == "target":
            test = task.sources["test"]
            for split in {"train", "validation"} & set(task.sources):
                other = task.sources[split]
                apart = other.part[1] <= test.part[0]
                assert apart or (other.dataset, other.config, other.split) != (test.dataset, test.config, test.split)
    parts = {split: source.part for split, source in TASKS["tydiqa"].sources.items()}
    assert parts["validation"][1] == parts["train"][0]


@pytest.mark.parametrize("task", [TASKS[name] for name in TARGETS if TASKS[name].trains_on], ids=lambda task: task.name)
def test_a_task_that_trains_on_another_reads_its_rows(task: TaskSpec) -> None:
    other = TASKS[task.trains_on or ""]
    assert task.sources["train"] == other.sources["train"]
    assert (task.format, task.labels) == (other.format, other.labels)


def test_tasks_that_train_on_the_same_rows_are_known() -> None:
    for suite in ("xtreme", "lab"):
        tasks = get_suite(suite).tasks
        same = {
            (one, other)
            for one in INTERMEDIATE
            for other in TARGETS
            if {one, other} <= set(tasks) and tasks[one].training_data & tasks[other].training_data
        }
        # On the Hub, ANLI+ is MNLI and more, SQuAD 2.0 is 1.1 and more; in the lab, both have rows of their own.
        larger = {("anli", "xnli"), ("squad2", "xquad"), ("squad2", "mlqa")} if suite == "xtreme" else set()
        pairs = {("squad", "mlqa_pairs"), ("squad2", "mlqa_pairs")} if suite == "xtreme" else set()
        copa = {("copa", "xcopa")} if suite == "xtreme" else set()
        assert same == {("mnli", "xnli"), ("squad", "xquad"), ("squad", "mlqa")} | larger | pairs | copa


def test_label_orders_are_those_of_the_data_sets() -> None:
    assert TASKS["mnli"].labels == TASKS["xnli"].labels == ("entailment", "neutral", "contradiction")
    assert TASKS["panx"].labels == ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
    assert TASKS["udpos"].labels[:5] == ("ADJ", "ADP", "ADV", "AUX", "CCONJ")
    assert (len(TASKS["udpos"].labels), TASKS["udpos"].labels[-2:]) == (17, ("VERB", "X"))
    assert TASKS["hellaswag"].labels == ("0", "1", "2", "3")


def test_the_languages_of_xtreme() -> None:
    assert {name: len(TASKS[name].languages) for name in TARGETS} == {
        "xnli": 15,
        "pawsx": 7,
        "mlqa": 7,
        "mlqa_pairs": 49,
        "xcopa": 11,
        "bucc": 4,
        "bucc_pools": 4,
        "tatoeba": 36,
        "lareqa": 11,
        "mewslix": 11,
        "panx": 40,
        "udpos": 33,
        "xquad": 11,
        "tydiqa": 9,
    }
    assert TASKS["udpos"].sources["test"].config_for("de") == "udpos.German"
    assert TASKS["panx"].sources["test"].config_for("de") == "PAN-X.de"
    assert TASKS["xquad"].sources["test"].config_for("zh") == "XQuAD.zh"
    assert TASKS["xnli"].sources["test"].config_for("sw") == "XNLI"
    assert TASKS["mlqa"].sources["test"].config_for("zh") == "MLQA.zh.zh"
    assert TASKS["mlqa_pairs"].sources["test"].config_for("zh") == "MLQA.zh.zh"
    assert TASKS["mlqa_pairs"].sources["test"].config_for("ar-de") == "MLQA.ar.de"
    assert TASKS["tatoeba"].sources["test"].config_for("zh") == "tatoeba.cmn"
    assert TASKS["tatoeba"].sources["test"].config_for("fa") == "tatoeba.pes"
    assert TASKS["bucc"].sources["test"].config_for("zh") == "bucc18.zh"
    assert not {"ht", "qu"} & (set(TASKS["panx"].languages) | set(TASKS["udpos"].languages))


def test_the_nine_intermediate_tasks_of_the_paper() -> None:
    assert set(INTERMEDIATE) - {"siqa", "copa", "mlm"} == set(
        "anli mnli qqp squad2 squad hellaswag ccg cosmosqa csqa".split()
    )
    train = TASKS["anli"].sources["train"]
    assert [(part.dataset, part.split) for part in (train, *train.more)] == [
        ("stanfordnlp/snli", "train"),
        ("nyu-mll/glue", "train"),
        *(("facebook/anli", f"train_r{number}") for number in (1, 2, 3)),
    ]
    assert [task.name for task in TASKS.values() if task.unanswerable] == ["squad2"]


def test_other_languages_training_rows_are_not_used() -> None:
    """Those of PAWS-X are machine translations."""
    assert TASKS["pawsx"].languages_of("train") == ("en",)


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("mlni", None, "There is no task 'mlni'. Did you mean 'mnli'?"),
        ("MNLI", None, "There is no task 'MNLI'. Did you mean 'mnli'?"),
        ("pan-x", "target", "There is no target task 'pan-x'. Did you mean 'panx'?"),
        (
            "jjjjj",
            None,
            "Known: anli, bucc, bucc_pools, ccg, copa, cosmosqa, csqa, hellaswag, lareqa, mewslix, mlm, mlqa,",
        ),
        ("squad", "target", f"'squad' is an intermediate task; target tasks are: {', '.join(TARGETS)}."),
        ("xnli", "intermediate", f"'xnli' is a target task; intermediate tasks are: {', '.join(INTERMEDIATE)}."),
    ],
)
def test_a_wrong_task_name(name: str, kind: str | None, says: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(says)):
        get_task(name, kind)  # type: ignore[arg-type]


def test_languages_know_their_names() -> None:
    assert len(LANGUAGES) == 50
    assert len(XTREME_LANGUAGES) == 40
    german = get_language("de")
    assert (german.code, german.name, german.family, german.script) == (
        "de",
        "German",
        "Indo-European:Germanic",
        "Latin",
    )
    assert get_language("my").script == "Myanmar"


@every_task_of_the_hub
def test_sizes_are_of_splits_that_there_are(task: TaskSpec) -> None:
    assert set(task.sizes) <= set(task.sources)
    assert bool(task.sizes) == ((task.suite, task.name) != ("xtreme-r", "udpos") and task.name not in UNKNOWN_SIZES)
    if task.trains_on:
        assert task.sizes["train"] == TASKS[task.trains_on].sizes["train"]
    if task.parallel and "test" in task.sizes:
        assert task.sizes["test"] in {len(task.languages) * rows for rows in (500, 1190, 5010)} or task.name == "pawsx"


def test_sizes_of_xtreme_r_and_of_the_lab() -> None:
    assert XTREME_R_TASKS["xquad"].sizes["test"] == 12 * 1190
    assert XTREME_R_TASKS["tatoeba"].sizes["test"] == TASKS["tatoeba"].sizes["test"] + 5 * 1000
    assert XTREME_R_TASKS["panx"].sizes["train"] == TASKS["panx"].sizes["train"] == 20_000
    lab = get_suite("lab")
    assert lab.tasks["tydiqa"].sizes == {"train": 400, "validation": 200, "test": 200 * len(lab.languages)}
    assert lab.tasks["tatoeba"].sizes["test"] == 300 * (len(lab.languages) - 1)


def test_how_much_text_xlm_r_read() -> None:
    """The sizes of CC-100; of four languages of XTREME and XTREME-R it read nothing."""
    assert get_language("en").pretraining == max(language.pretraining or 0 for language in LANGUAGES.values()) == 300.8
    assert [get_language(code).pretraining for code in ("sw", "jv", "zh")] == [1.6, 0.2, 63.5]
    assert {code for code, language in LANGUAGES.items() if not language.pretraining} == {"ht", "qu", "wo", "yo"}
    assert {language.pretraining for language in get_suite("lab").languages.values()} == {None}


def test_a_pair_is_a_context_and_a_question() -> None:
    assert pair_of("ar-de") == ("ar", "de")
    assert pair_of("ar") == ("ar", "ar")
    pair = get_language("ar-de")
    assert (pair.code, pair.name, pair.script) == ("ar-de", "Arabic, questions in German", "Arabic")
    assert not any("-" in code for code in get_suite().languages)
    assert parse_languages("ar-de,en", TASKS["mlqa_pairs"].languages, what="'mlqa_pairs'") == ("ar-de", "en")
    with pytest.raises(UnknownNameError, match="There is no language of 'mlqa' 'ar-de'"):
        parse_languages("ar-de", TASKS["mlqa"].languages, what="'mlqa'")
    for code in ("ar-xx", "ar-ar", "ar-", "-ar"):
        with pytest.raises(UnknownNameError, match=f"There is no language code '{code}'"):
            get_language(code)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("German", "There is no language code 'German'. Known: de. The code of German is de."),
        ("swahili", "The code of Swahili is sw."),
        ("dee", "There is no language code 'dee'. Did you mean 'de'?"),
        ("qqq", "There is no language code 'qqq'. Known: af, ar,"),
    ],
)
def test_a_wrong_language_code(code: str, says: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(says)):
        get_language(code)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("all", ("de", "en", "sw")),
        (" all ", ("de", "en", "sw")),
        ("sw,de", ("sw", "de")),
        (" sw , de ,", ("sw", "de")),
        ("de,de,en", ("de", "en")),
    ],
)
def test_a_list_of_languages(text: str, codes: tuple[str, ...]) -> None:
    assert parse_languages(text, ("de", "en", "sw"), what="'xnli'") == codes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "There is no language code ''"),
        (" , ", "Give 'all' or codes such as 'de,en'."),
        ("de,xx", "There is no language code 'xx'."),
        ("de,fr", "There is no language of 'xnli' 'fr'. "),
        ("de,fr", "'xnli' has: de, en, sw."),
        ("de,German", "The code of German is de."),
        ("all,de", "There is no language code 'all'."),
    ],
)
def test_a_wrong_list_of_languages(text: str, says: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(says)):
        parse_languages(text, ("de", "en", "sw"), what="'xnli'")
