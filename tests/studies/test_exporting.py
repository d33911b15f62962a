"""Evaluations as XTREME's folders: scored there, they get the numbers that we gave; what is not complete is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import toy_rows
from stores import kept_in
from toy_mirror import write_data_set

from adapterstilts.data.rows import Rows, load_rows
from adapterstilts.errors import AdapterStiltsError, ArtifactError, SettingsError
from adapterstilts.evaluation.averages import get_benchmark
from adapterstilts.evaluation.kept import keep_evaluation
from adapterstilts.evaluation.submission_files import LanguageRows, folder_of, prediction_text
from adapterstilts.evaluation.submissions import score_folders
from adapterstilts.fingerprints import fingerprint
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.studies.exporting import MEWSLIX_NOTE, TATOEBA_NOTE, export
from adapterstilts.tasks.formats import Answer
from adapterstilts.tasks.suites import get_suite

#: Folder of each task, and the benchmark that scores it.
FOLDERS = {
    "xnli": ("xnli", "xtreme"),
    "pawsx": ("pawsx", "xtreme"),
    "panx": ("panx", "xtreme"),
    "udpos": ("udpos", "xtreme"),
    "xquad": ("xquad", "xtreme"),
    "mlqa": ("mlqa", "xtreme"),
    "tydiqa": ("tydiqa", "xtreme"),
    "bucc": ("bucc2018", "xtreme"),
    "tatoeba": ("tatoeba", "xtreme"),
    "xcopa": ("xcopa", "xtreme-r"),
    "lareqa": ("lareqa", "xtreme-r"),
    "mewslix": ("mewslix", "xtreme-r"),
}


def said_of(rows: Rows) -> list[Any]:
    """Return answers as the formats give them, some right, some wrong, and some that were not found."""
    generator, task, ids = random.Random(rows.task.name), rows.task, rows.table["id"][:]
    answers: list[Any] = []
    for row in rows.table:
        right = generator.random() < 0.6
        if task.format == "classification":
            answers.append(task.labels[row["label"]] if right else generator.choice(task.labels))
        elif task.format == "multiple_choice":
            answers.append(row["label"] if right else generator.randrange(task.choices))
        elif task.format == "tagging":
            answers.append([task.labels[tag] if right else generator.choice(task.labels) for tag in row["tags"]])
        elif task.format == "search":
            assert rows.candidates is not None
            others = generator.sample(rows.candidates.table["id"][:], 4)
            found = list(dict.fromkeys([*row["relevant"], *others]))
            answers.append(found if right else generator.sample(found, generator.randrange(4)))
        elif task.format == "span":
            words = row["context"].split()
            answers.append(row["answers"]["text"][0] if right else " ".join(words[: generator.randrange(1, 3)]))
        else:
            own = [
                row_id for row_id, code in zip(ids, rows.table["language"][:], strict=True) if code == row["language"]
            ]
            nothing = ["", ""] if task.metric == "bucc_f1" else []
            answers.append(row["id"] if right else generator.choice([*own, *nothing]))
    return answers


def keep(store: Store, mirror: Path, task: str, *, split: str = "test", suite: str = "xtreme", **how: Any) -> Artifact:
    """Put an evaluation of made-up answers into a store."""
    rows = load_rows(get_suite(suite).task(task), split, root=mirror if suite == "xtreme" else None, **how)
    told = {"rows": rows.fingerprint, "made of": [task, split]}
    more = {"of": f"{task}.none-0123456789ab", "identity": told}
    answers = [Answer(value, 0.5) for value in said_of(rows)]
    return keep_evaluation(store, f"{task}.none", fingerprint(told), rows, answers, 0.0, more).artifact


@pytest.fixture
def full_mirror(tmp_path: Path) -> Path:
    """PAWS-X in all its languages."""
    languages = get_suite().task("pawsx").languages
    known = {code: code if code in ("en", "de", "zh") else "en" for code in languages}
    configs = {f"PAWS-X.{code}": toy_rows.pawsx(texts) for code, texts in known.items()}
    write_data_set(tmp_path / "mirror", "google/xtreme", configs)
    return tmp_path / "mirror"


@pytest.mark.parametrize("name", FOLDERS)
def test_scored_as_a_folder_it_gets_the_numbers_of_our_evaluation(
    name: str, store: Store, toy_mirror: Path, tmp_path: Path
) -> None:
    made = keep(store, toy_mirror, name)
    folder, benchmark = FOLDERS[name]
    said, right = tmp_path / "said", tmp_path / "right"
    written = export([made.id], said, labels=right, partial=True, data_root=toy_mirror, store=store.home)
    found = score_folders(said, right, get_benchmark(benchmark))
    assert not found.warnings
    assert set(found.scores) == {folder}
    ours = made.manifest["metrics"]
    assert set(found.scores[folder]) == set(ours)
    for code, scores in found.scores[folder].items():
        assert scores == pytest.approx({metric: ours[code][metric] for metric in scores}, abs=1e-4)
        assert 0 < next(iter(scores.values())) < 100, "some answers are right and some are wrong"
    (task,) = written.tasks
    assert task.rows == {code: ours[code]["examples"] for code in ours}
    assert written.notes == {"tatoeba": (TATOEBA_NOTE,), "mewslix": (MEWSLIX_NOTE,)}.get(name, ())


def test_the_very_lines(store: Store, toy_mirror: Path, tmp_path: Path) -> None:
    names = ("xnli", "panx", "xquad", "xcopa", "tatoeba", "bucc", "lareqa", "mewslix")
    made = [keep(store, toy_mirror, name) for name in names]
    said, right = tmp_path / "said", tmp_path / "right"
    export([one.id for one in made], said, labels=right, partial=True, data_root=toy_mirror, store=store.home)
    answers = {one.manifest["task"]: one.read_lines(f"predictions/{code}.jsonl") for one, code in (
        (one, "sw" if one.manifest["task"] == "xcopa" else "de") for one in made
    )}  # fmt: skip

    def text(name: str, side: Path = said) -> str:
        return (side / name).read_bytes().decode()

    assert text("xnli/test-de.tsv") == "".join(f"{one['answer']}\n" for one in answers["xnli"])
    sentences = text("panx/test-de.tsv").removesuffix("\n").split("\n\n")
    assert [sentence.split("\n") for sentence in sentences] == [one["answer"] for one in answers["panx"]]
    assert json.loads(text("xquad/test-de.json")) == {one["id"]: one["answer"] for one in answers["xquad"]}
    assert json.loads(text("lareqa/test-de.json")) == {one["id"]: one["answer"] for one in answers["lareqa"]}
    alike = [f"{code}-1-0" for code in ("de", "en", "ru")]
    assert json.loads(text("lareqa/test-de.json", right))["q0-0-0"] == alike, "what is relevant in every language"
    assert json.loads(text("mewslix/test-de.json")) == {one["id"]: one["answer"] for one in answers["mewslix"]}
    assert json.loads(text("mewslix/test-de.json", right))["de-test-0"] == ["Q1"]
    choices = [json.loads(line) for line in text("xcopa/test-sw.jsonl").splitlines()]
    assert choices == [{"idx": number, "label": one["answer"]} for number, one in enumerate(answers["xcopa"])]
    ids = [one["id"] for one in answers["tatoeba"]]
    assert text("tatoeba/test-de.tsv").split() == [str(ids.index(one["answer"])) for one in answers["tatoeba"]]
    assert text("tatoeba/test-de.tsv", right).split() == [str(number) for number in range(20)]
    # the toy rows' English ids are 500 ahead of the others
    pairs = [(one["id"], f"en-{int(one['answer'][3:]) + 500:09d}") for one in answers["bucc"] if one["answer"]]
    assert [tuple(line.split("\t")) for line in text("bucc2018/test-de.tsv").splitlines()] == pairs
    paragraph = json.loads(text("xquad/test-de.json", right))["data"][0]["paragraphs"][0]
    answer = paragraph["qas"][0]["answers"][0]
    assert paragraph["context"][answer["answer_start"] :].startswith(answer["text"])


def test_a_complete_evaluation_needs_no_leave(store: Store, full_mirror: Path, tmp_path: Path) -> None:
    made = keep(store, full_mirror, "pawsx")
    (tmp_path / "said").mkdir()
    written = export([made.id], tmp_path / "said", data_root=full_mirror, store=store.home)
    assert (written.labels, written.tasks[0].lacks, written.to_json()["complete"]) == (None, (), True)
    assert len(list((tmp_path / "said" / "pawsx").iterdir())) == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mirror", "said", "store"], "nothing else is left"


def test_what_is_not_complete_is_told_at_once(
    store: Store, full_mirror: Path, toy_mirror: Path, tmp_path: Path
) -> None:
    sample = keep(store, full_mirror, "pawsx", max_examples=5)
    few = keep(store, full_mirror, "pawsx", languages=("de", "fr"))
    with pytest.raises(ArtifactError, match="a sample: 5 of 21 rows in de, 5 of 21 rows in en") as caught:
        export([sample.id], tmp_path / "said", data_root=full_mirror, store=store.home)
    assert "--partial" in str(caught.value)
    with pytest.raises(ArtifactError, match="no rows in en, es, ja, ko, zh"):
        export([few.id], tmp_path / "said", data_root=full_mirror, store=store.home)
    others = [keep(store, toy_mirror, name).id for name in ("panx", "mlqa")]
    with pytest.raises(ArtifactError, match="no rows in") as caught:
        export(others, tmp_path / "said", data_root=toy_mirror, store=store.home)
    assert str(caught.value).count("no rows in") == 2
    assert not (tmp_path / "said").exists()
    written = export([sample.id], tmp_path / "said", partial=True, data_root=full_mirror, store=store.home)
    assert written.tasks[0].rows == dict.fromkeys(get_suite().task("pawsx").languages, 5)
    assert not written.to_json()["complete"]


def test_a_sample_keeps_the_numbers_of_its_rows(store: Store, toy_mirror: Path, tmp_path: Path) -> None:
    made = keep(store, toy_mirror, "xcopa", max_examples=6)
    said, right = tmp_path / "said", tmp_path / "right"
    export([made.id], said, labels=right, partial=True, data_root=toy_mirror, store=store.home)
    ids = [one["id"] for one in made.read_lines("predictions/sw.jsonl")]
    numbers = [json.loads(line)["idx"] for line in (said / "xcopa" / "test-sw.jsonl").read_text().splitlines()]
    assert ids == [f"sw-test-{number}" for number in numbers]
    assert numbers != list(range(6))
    found = score_folders(said, right, get_benchmark("xtreme-r"))
    assert found.scores["xcopa"]["sw"]["accuracy"] == pytest.approx(
        made.manifest["metrics"]["sw"]["accuracy"], abs=1e-4
    )


def test_one_evaluation_a_task_of_test_rows_of_xtreme(store: Store, toy_mirror: Path, tmp_path: Path) -> None:
    def refuse(*names: str, match: str, **more: Any) -> None:
        with pytest.raises(AdapterStiltsError, match=match):
            export(names, tmp_path / "said", partial=True, data_root=toy_mirror, **{"store": store.home} | more)
        assert not (tmp_path / "said").exists()

    one, other = keep(store, toy_mirror, "xnli"), keep(store, toy_mirror, "xnli", max_examples=3)
    refuse(one.id, other.id, match="are both of the task 'xnli'")
    refuse("pawsx", match="There is no artifact 'pawsx'")
    refuse(keep(store, toy_mirror, "squad", split="validation").id, match="of the task 'squad', which XTREME's layout")
    refuse(keep(store, toy_mirror, "panx", split="validation").id, match="is of validation rows")
    of_the_lab = keep(store, toy_mirror, "pawsx", suite="lab", max_examples=2)
    refuse(of_the_lab.id, match="'pawsx' of the suite 'lab'")
    assert export([one.id, one.id], tmp_path / "twice", partial=True, data_root=toy_mirror, store=store.home).tasks


def test_the_rows_have_to_be_those_that_were_answered(
    store: Store, toy_mirror: Path, full_mirror: Path, tmp_path: Path
) -> None:
    made = keep(store, toy_mirror, "pawsx")
    table = toy_rows.pawsx("de")
    changed = {"test": table["test"].map(lambda row: row | {"sentence1": f"{row['sentence1']}!"})}
    write_data_set(full_mirror, "google/xtreme", {f"PAWS-X.{code}": changed for code in ("de", "en", "zh")})
    with pytest.raises(ArtifactError, match="are not those that 'pawsx"):
        export([made.id], tmp_path / "said", partial=True, data_root=full_mirror, store=store.home)
    more = keep(store, full_mirror, "pawsx")
    table["test"] = table["test"].select(range(20))
    write_data_set(full_mirror, "google/xtreme", {f"PAWS-X.{code}": table for code in ("de", "en", "zh")})
    with pytest.raises(ArtifactError, match="--data-root of the evaluation"):
        export([more.id], tmp_path / "said", partial=True, data_root=full_mirror, store=store.home)


def test_folders_that_are_not_free(store: Store, full_mirror: Path, tmp_path: Path) -> None:
    made = keep(store, full_mirror, "pawsx")
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    file.write_text("mine")
    before = kept_in(tmp_path)
    for to, labels, match in (
        (full, None, "is not empty"),
        (tmp_path / "said", full, "is not empty"),
        (file, None, "is a file"),
        (tmp_path / "none" / "said", None, "is no folder"),
        (tmp_path / "said", tmp_path / "said", "is named twice"),
    ):
        with pytest.raises(SettingsError, match=match):
            export([made.id], to, labels=labels, data_root=full_mirror, store=store.home)
    assert kept_in(tmp_path) == before


def test_a_word_without_a_tag_is_not_written(store: Store, toy_mirror: Path) -> None:
    task = get_suite().task("panx")
    rows = load_rows(task, "test", ["de"], root=toy_mirror, max_examples=1)
    with pytest.raises(AdapterStiltsError, match="has no tag"):
        prediction_text(LanguageRows(task, rows.table, [0]), [[""] * len(rows.table[0]["tokens"])])


def test_every_target_task_has_its_folder() -> None:
    tasks = get_suite().tasks.values()
    assert {task.name: folder_of(task) for task in tasks if task.kind == "target"} == {
        **{name: folder for name, (folder, _) in FOLDERS.items()},
        **dict.fromkeys(("bucc_pools", "mlqa_pairs")),  # not of XTREME's layout
    }
    assert {folder_of(task) for task in tasks if task.kind == "intermediate"} == {None}
