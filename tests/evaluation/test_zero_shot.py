"""Zero-shot evaluation: predictions as files, scores that follow from them, and nothing evaluated twice."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapterstilts.data.rows import Rows
from adapterstilts.errors import ArtifactError, DataUnavailableError, SettingsError
from adapterstilts.evaluation import answering
from adapterstilts.evaluation import kept as kept_module
from adapterstilts.evaluation.kept import Evaluation, predictions_file
from adapterstilts.evaluation.metrics import get_metric
from adapterstilts.evaluation.zero_shot import EvaluationRequest, run_evaluation
from adapterstilts.models.backbone import identify
from adapterstilts.models.grammar import parse
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import TrainingStage, run_stage

TASKS = ["xnli", "panx", "tydiqa", "hellaswag"]
LANGUAGES = {
    "xnli": ("de", "en", "sw", "zh"),
    "panx": ("de", "en", "sw"),
    "tydiqa": ("en", "ru", "sw"),
    "hellaswag": ("en",),
}


@dataclasses.dataclass
class World:
    """Trained artifacts, and an evaluation of each in all languages. Tests only read it."""

    store: Store
    request: EvaluationRequest
    artifacts: dict[str, Artifact]
    evaluations: dict[str, Evaluation]


@pytest.fixture(scope="module")
def world(toy_backbone_folder: Path, toy_mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    kept = Store(tmp_path_factory.mktemp("world"))
    settings = TrainingSettings(
        steps=100, batch_size=16, max_length=64, evaluations=1, learning_rate=1e-2, reduction_factor=2
    )
    identity = identify(str(toy_backbone_folder))
    request = EvaluationRequest(root=toy_mirror)
    artifacts = {
        name: run_stage(TrainingStage(get_task(name), settings, identity, parse("none"), (), toy_mirror), kept).artifact
        for name in TASKS
    }
    evaluations = {name: run_evaluation(artifact, request, kept) for name, artifact in artifacts.items()}
    return World(kept, request, artifacts, evaluations)


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be loaded or run."""

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the model is not needed")

    for name in ("load_backbone_of", "load_composed", "encode_rows", "predict_logits"):
        monkeypatch.setattr(answering, name, never)


def same_statistics(first: Evaluation, second: Evaluation) -> bool:
    return first.statistics.keys() == second.statistics.keys() and all(
        np.array_equal(first.statistics[code], second.statistics[code]) for code in first.statistics
    )


def records_of(evaluation: Evaluation, language: str) -> list[dict[str, Any]]:
    text = (evaluation.artifact.path / "predictions" / f"{language}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


# What is written


@pytest.mark.parametrize("name", TASKS)
def test_all_languages_that_the_data_has_are_evaluated_and_the_others_are_named(name: str, world: World) -> None:
    made = world.evaluations[name]
    assert tuple(sorted(made.statistics)) == LANGUAGES[name]
    assert set(made.missing) == set(get_task(name).languages) - set(LANGUAGES[name])
    assert made.artifact.manifest["missing"] == list(made.missing)
    assert set(made.artifact.manifest["files"]) == {
        "results.json",
        *(predictions_file(code) for code in LANGUAGES[name]),
    }
    assert not made.reused


@pytest.mark.parametrize("name", TASKS)
def test_each_row_has_a_prediction_under_its_id_in_its_language(name: str, world: World) -> None:
    rows = world.request.rows(get_task(name))
    for language in LANGUAGES[name]:
        positions = rows.of_language(language)
        records = records_of(world.evaluations[name], language)
        assert [record["id"] for record in records] == [rows.table[position]["id"] for position in positions]
        for record, position in zip(records, positions, strict=True):
            check_answer(name, record, rows, position)


def check_answer(name: str, record: dict[str, Any], rows: Rows, position: int) -> None:
    answer, score, row = record["answer"], record["score"], rows.table[position]
    if name == "panx":
        assert len(answer) == len(row["tokens"])
        assert set(answer) <= set(get_task("panx").labels)
        assert score is None
        return
    assert 0 < score <= 1
    if name == "tydiqa":
        assert answer in row["context"]
    elif name == "hellaswag":
        assert answer in range(4)
    else:
        assert answer in ("entailment", "neutral", "contradiction")


@pytest.mark.parametrize("name", TASKS)
def test_the_kept_scores_follow_from_the_kept_predictions(name: str, world: World) -> None:
    """Scored here by the definition of each metric, from the files alone."""
    made, rows = world.evaluations[name], world.request.rows(get_task(name))
    told = made.artifact.read_json("results.json")["languages"]
    for language in LANGUAGES[name]:
        answers = [record["answer"] for record in records_of(made, language)]
        gold = [rows.table[position] for position in rows.of_language(language)]
        expected = scored(name, answers, gold)
        assert told[language] == {"examples": len(gold), **{key: round(value, 4) for key, value in expected.items()}}
        assert made.artifact.manifest["metrics"][language] == told[language]
        assert made.scores(language) == pytest.approx(expected)


def scored(name: str, answers: list[Any], rows: list[dict[str, Any]]) -> dict[str, float]:
    if name in ("xnli", "hellaswag"):
        labels = get_task(name).labels
        right = [
            answer == (labels[row["label"]] if name == "xnli" else row["label"])
            for answer, row in zip(answers, rows, strict=True)
        ]
        return {"accuracy": 100 * sum(right) / len(right)}
    if name == "panx":
        from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

        labels = get_task(name).labels
        gold = [[labels[tag] for tag in row["tags"]] for row in rows]
        scores = {
            "f1": f1_score,
            "precision": precision_score,
            "recall": recall_score,
            "token_accuracy": accuracy_score,
        }
        return {key: 100 * float(function(gold, answers)) for key, function in scores.items()}

    def words(text: str) -> list[str]:
        return [word for word in text.lower().split() if word not in {"a", "an", "the"}]

    def f1(answer: list[str], gold: list[str]) -> float:
        common = sum(min(answer.count(word), gold.count(word)) for word in set(answer))
        return 2 * common / (len(answer) + len(gold)) if common else 0.0

    pairs = [(words(answer), words(row["answers"]["text"][0])) for answer, row in zip(answers, rows, strict=True)]
    return {
        "f1": 100 * sum(f1(*pair) for pair in pairs) / len(pairs),
        "exact_match": 100 * sum(answer == gold for answer, gold in pairs) / len(pairs),
    }


def test_the_scores_are_not_trivial(world: World) -> None:
    """Else the tests above would compare zeros."""
    main = {
        name: [next(iter(made.scores(code).values())) for code in made.statistics]
        for name, made in world.evaluations.items()
    }
    assert all(max(values) > 10 for values in main.values()), main
    assert all(min(values) < 100 for values in main.values()), main


@pytest.mark.parametrize("name", TASKS)
def test_statistics_add_up_to_the_scores_of_all_examples(name: str, world: World) -> None:
    made = world.evaluations[name]
    metric = get_metric(get_task(name).metric)
    for language, table in made.statistics.items():
        assert table.shape == (len(records_of(made, language)), len(metric.statistic_names))
        assert (table[:, 0] == 1).all()
        assert next(iter(made.scores(language))) == metric.main


# Languages and samples


def test_a_language_scores_the_same_alone_and_among_others(world: World, store: Store) -> None:
    for name, language in (("xnli", "sw"), ("panx", "de"), ("tydiqa", "ru")):
        request = dataclasses.replace(world.request, languages=(language,))
        alone = run_evaluation(world.artifacts[name], request, store)
        assert list(alone.statistics) == [language]
        assert alone.missing == ()
        assert np.array_equal(alone.statistics[language], world.evaluations[name].statistics[language])
        together = records_of(world.evaluations[name], language)
        for record, other in zip(records_of(alone, language), together, strict=True):
            assert record["answer"] == other["answer"]
            assert record["score"] == pytest.approx(other["score"], abs=1e-5)


def test_languages_come_in_the_order_asked_for(world: World, store: Store) -> None:
    request = dataclasses.replace(world.request, languages=("zh", "en"))
    made = run_evaluation(world.artifacts["xnli"], request, store)
    assert list(made.statistics) == ["zh", "en"]


def test_a_language_that_was_named_must_be_there(world: World, store: Store) -> None:
    with pytest.raises(DataUnavailableError, match="Thai"):
        run_evaluation(world.artifacts["xnli"], dataclasses.replace(world.request, languages=("en", "th")), store)
    with pytest.raises(DataUnavailableError, match=r"PAN-X\.th"):
        run_evaluation(world.artifacts["panx"], dataclasses.replace(world.request, languages=("en", "th")), store)
    assert store.all() == []


def test_a_sample_is_part_of_the_whole(world: World, store: Store) -> None:
    request = dataclasses.replace(world.request, max_examples=5)
    made = run_evaluation(world.artifacts["xnli"], request, store)
    for language in LANGUAGES["xnli"]:
        whole = {record["id"]: record["answer"] for record in records_of(world.evaluations["xnli"], language)}
        sample = {record["id"]: record["answer"] for record in records_of(made, language)}
        assert len(sample) == 5
        assert sample.items() <= whole.items()


def test_another_split_has_other_rows(world: World, store: Store) -> None:
    made = run_evaluation(world.artifacts["xnli"], dataclasses.replace(world.request, split="validation"), store)
    assert made.artifact.manifest["split"] == "validation"
    assert {len(table) for table in made.statistics.values()} == {20}
    assert {len(table) for table in world.evaluations["xnli"].statistics.values()} == {21}


def test_a_split_that_the_task_lacks_is_named_with_those_it_has(world: World, store: Store) -> None:
    with pytest.raises(SettingsError, match="no split 'dev'; it has train, validation, test"):
        run_evaluation(world.artifacts["xnli"], dataclasses.replace(world.request, split="dev"), store)


# Reuse


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("name", TASKS)
def test_what_was_evaluated_is_read_back_with_the_same_statistics(name: str, world: World) -> None:
    again = run_evaluation(world.artifacts[name], world.request, world.store)
    assert again.reused
    assert again.artifact.id == world.evaluations[name].artifact.id
    assert again.missing == world.evaluations[name].missing
    assert same_statistics(again, world.evaluations[name])


@pytest.mark.usefixtures("no_model")
def test_the_size_of_batches_makes_no_other_evaluation(world: World) -> None:
    request = dataclasses.replace(world.request, batch_size=3)
    assert run_evaluation(world.artifacts["xnli"], request, world.store).reused


@pytest.mark.usefixtures("no_model")
def test_a_sample_that_takes_all_rows_is_no_other_evaluation(world: World) -> None:
    request = dataclasses.replace(world.request, max_examples=1000, sample_seed=5)
    assert run_evaluation(world.artifacts["xnli"], request, world.store).reused


def test_a_fresh_evaluation_in_other_batches_answers_the_same(world: World, store: Store) -> None:
    for name in TASKS:
        fresh = run_evaluation(world.artifacts[name], dataclasses.replace(world.request, batch_size=5), store)
        assert not fresh.reused
        assert same_statistics(fresh, world.evaluations[name])


@pytest.mark.parametrize(
    "change", [{"languages": ("en", "de", "sw")}, {"max_examples": 7}, {"split": "validation"}, {"precision": "bf16"}]
)
def test_other_rows_or_another_precision_are_evaluated_anew(change: dict[str, Any], world: World, store: Store) -> None:
    shutil.copytree(world.store.home, store.home)
    made = run_evaluation(world.artifacts["xnli"], dataclasses.replace(world.request, **change), store)
    assert not made.reused
    assert made.artifact.id != world.evaluations["xnli"].artifact.id


def test_other_weights_are_evaluated_anew(
    world: World, store: Store, toy_backbone_folder: Path, toy_mirror: Path
) -> None:
    settings = TrainingSettings(**world.artifacts["xnli"].manifest["settings"]).replaced({"seed": 1, "steps": 3})
    stage = TrainingStage(get_task("xnli"), settings, identify(str(toy_backbone_folder)), parse("none"), (), toy_mirror)
    shutil.copytree(world.store.home, store.home)
    assert not run_evaluation(run_stage(stage, store).artifact, world.request, store).reused


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_predictions_that_were_tampered_with_are_not_scored(damage: str, world: World, store: Store) -> None:
    shutil.copytree(world.store.home, store.home)
    kept = store.get(world.evaluations["xnli"].artifact.id)
    path = kept.path / predictions_file("de")
    if damage == "changed":
        path.write_text(path.read_text(encoding="utf-8").replace("neutral", "entailment"), encoding="utf-8")
    else:
        path.unlink()
    with pytest.raises(ArtifactError, match=r"predictions/de\.jsonl"):
        run_evaluation(world.artifacts["xnli"], world.request, store)


# Refusals


def test_predictions_cannot_be_evaluated(world: World, store: Store) -> None:
    with pytest.raises(ArtifactError, match="is of kind 'evaluation'"):
        run_evaluation(world.evaluations["xnli"].artifact, world.request, store)


def test_labels_of_another_task_are_refused_before_anything_is_loaded(
    world: World, store: Store, no_model: None
) -> None:
    manifest = dict(world.artifacts["xnli"].manifest) | {"labels": ["entailment", "contradiction", "neutral"]}
    with pytest.raises(ArtifactError, match=r"Label 1 .* 'contradiction'; the task 'xnli' has 'neutral'"):
        run_evaluation(Artifact(world.artifacts["xnli"].path, manifest), world.request, store)


def test_a_failure_while_writing_leaves_nothing(world: World, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, records: list[Any]) -> None:
        import errno

        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(kept_module, "write_lines", full)
    with pytest.raises(ArtifactError, match=r"cannot be written: No space left on device .*predictions"):
        run_evaluation(world.artifacts["xnli"], world.request, store)
    assert store.all() == []
    assert list((store.home / "tmp").iterdir()) == []


def test_progress_counts_windows_of_all_languages(world: World, store: Store) -> None:
    from adapterstilts.progress import Reporter

    class Kept(Reporter):
        def __init__(self) -> None:
            self.told: list[Any] = []

        def begin(self, title: str, total: int) -> None:
            self.told.append((title, total))

        def advance(self, done: int, **facts: Any) -> None:
            self.told.append(done)

        def end(self) -> None:
            self.told.append("end")

    reporter = Kept()
    run_evaluation(world.artifacts["xnli"], world.request, store, reporter=reporter)
    begun, *done, last, ended = reporter.told
    assert (begun, last, ended) == (("Evaluating xnli.none in 4 languages", 84), 84, "end")
    assert done == sorted(done)
    assert 32 <= done[0] < 84, "32 of the longest make a batch, and more of the shorter ones"
