"""Answers to rows of one's own: every format, odd texts, and every faulty line named."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from adapterstilts.data.rows import load_rows, to_table
from adapterstilts.errors import ArtifactError, DataFormatError
from adapterstilts.evaluation.answering import encoding_settings
from adapterstilts.evaluation.kept import predictions_file
from adapterstilts.evaluation.zero_shot import EvaluationRequest, run_evaluation
from adapterstilts.models.backbone import identify
from adapterstilts.models.grammar import parse
from adapterstilts.models.saved import load_backbone_of
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.studies.prediction import predict, read_lines
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import TrainingStage, run_stage

LABELS = ("entailment", "neutral", "contradiction")
ROWS: dict[str, dict[str, Any]] = {
    "xnli": {"text": "the cat sees a tree", "text_pair": "indeed a tree"},
    "hellaswag": {"text": "the cat", "choices": ["finally a house", "purple", "purple book", "purple tree"]},
    "squad": {"question": "Which name stands here ?", "context": "the big house Alpha near water"},
    "panx": {"tokens": ["Anna", "Miller", "sees", "Berlin", "."]},
}


@pytest.fixture(scope="module")
def shelf(toy_backbone_folder: Path, toy_mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """An artifact for each format. Tests only read them."""
    kept = Store(tmp_path_factory.mktemp("shelf"))
    settings = TrainingSettings(
        steps=60, batch_size=16, max_length=64, evaluations=1, learning_rate=1e-2, reduction_factor=2
    )
    identity = identify(str(toy_backbone_folder))
    return {
        name: run_stage(TrainingStage(get_task(name), settings, identity, parse("none"), (), toy_mirror), kept).artifact
        for name in ROWS
    }


def answers(artifact: Artifact, *rows: Any, **options: Any) -> list[dict[str, Any]]:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return predict(str(artifact.path), lines, **options)


def faults(task: str, *lines: str) -> list[str]:
    """Return the lines of the error, one for each faulty line."""
    with pytest.raises(DataFormatError) as caught:
        read_lines(get_task(task), lines)
    first, *rest = str(caught.value).split("\n  ")
    assert first == "The input cannot be read:"
    return rest


# Answers


@pytest.mark.parametrize("task", ROWS)
def test_rows_of_the_data_are_answered_as_in_evaluation(
    task: str, shelf: dict[str, Artifact], toy_mirror: Path, store: Store
) -> None:
    """The same rows as lines, under the names that the data set has for them."""
    spec = get_task(task)
    made = run_evaluation(shelf[task], EvaluationRequest(languages=("en",), root=toy_mirror), store)
    rows = load_rows(spec, spec.evaluation_split, ["en"], root=toy_mirror)
    columns = {ours: theirs for ours, theirs in spec.source(spec.evaluation_split).columns.items()}
    gold = {"label", "gold_label", "answers", "ner_tags"}
    lines = [
        {columns.get(name, name): value for name, value in row.items() if columns.get(name, name) not in gold}
        for row in rows.table
    ]
    told = answers(shelf[task], *lines)
    kept = made.artifact.read_lines(predictions_file("en"))
    assert [item["answer"] for item in told] == [item["answer"] for item in kept]
    assert [item["id"] for item in told] == [item["id"] for item in kept]
    assert len({json.dumps(item["answer"]) for item in told}) > 1
    for item, other in zip(told, kept, strict=True):
        assert item["score"] == (None if other["score"] is None else pytest.approx(other["score"], abs=2e-6))


def test_the_answer_of_each_format(shelf: dict[str, Artifact]) -> None:
    (label,) = answers(shelf["xnli"], ROWS["xnli"])
    (choice,) = answers(shelf["hellaswag"], ROWS["hellaswag"])
    (span,) = answers(shelf["squad"], ROWS["squad"])
    (tags,) = answers(shelf["panx"], ROWS["panx"])
    assert label["answer"] in LABELS
    assert choice["answer"] in range(4)
    assert span["answer"] in ROWS["squad"]["context"]
    assert len(tags["answer"]) == 5
    assert set(tags["answer"]) <= set(get_task("panx").labels)
    assert tags["score"] is None
    # The best of three and of four has at least its even share.
    assert 1 / 3 <= label["score"] <= 1
    assert 1 / 4 <= choice["score"] <= 1
    assert 0 < span["score"] <= 1


def test_ids_are_kept_and_the_number_of_the_line_stands_in_for_them(shelf: dict[str, Artifact]) -> None:
    told = answers(
        shelf["xnli"], ROWS["xnli"] | {"id": "first"}, "", ROWS["xnli"], "   ", ROWS["xnli"] | {"id": "first"}
    )
    assert [item["id"] for item in told] == ["first", "3", "first"]
    assert told[0]["answer"] == told[2]["answer"]


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("xnli", {"text": "premise", "text_pair": "hypothesis"}),
        ("xnli", {"text": "sentence1", "text_pair": "sentence2"}),
        ("hellaswag", {"text": "ctx", "choices": "endings"}),
    ],
)
def test_the_data_sets_own_names_are_taken(task: str, names: dict[str, str], shelf: dict[str, Artifact]) -> None:
    renamed = {names.get(name, name): value for name, value in ROWS[task].items()}
    assert answers(shelf[task], renamed) == answers(shelf[task], ROWS[task])


def test_fields_that_are_not_needed_are_passed_over(shelf: dict[str, Artifact]) -> None:
    more = {"label": "nonsense", "gold_label": 7, "language": "xx", "comment": {"deep": [None]}}
    assert answers(shelf["xnli"], ROWS["xnli"] | more) == answers(shelf["xnli"], ROWS["xnli"])
    more = {"answers": None, "answer_start": "x"}
    assert answers(shelf["squad"], ROWS["squad"] | more) == answers(shelf["squad"], ROWS["squad"])


@pytest.mark.parametrize("task", ROWS)
def test_nothing_in_nothing_out(task: str, shelf: dict[str, Artifact]) -> None:
    assert answers(shelf[task]) == []
    assert answers(shelf[task], "", "  \t") == []


@pytest.mark.parametrize("task", ROWS)
def test_the_size_of_batches_changes_nothing(task: str, shelf: dict[str, Artifact]) -> None:
    rows = [
        {key: value * count if isinstance(value, str) else value for key, value in ROWS[task].items()}
        for count in (1, 3, 2)
    ]
    one, many = answers(shelf[task], *rows, batch_size=1), answers(shelf[task], *rows, batch_size=8)
    assert [item["answer"] for item in one] == [item["answer"] for item in many]


# Odd texts


@pytest.mark.parametrize(
    "row",
    [
        {"text": "", "text_pair": ""},
        {"text": "", "text_pair": "indeed"},
        {"text": " \t ", "text_pair": "\u200b"},
        {"text": "\x00\x07", "text_pair": "\ufffd\ufeff"},
        {"text": "\U0001f600" * 50, "text_pair": "ا\u202eب"},
        {"text": "<s></s><pad><mask>", "text_pair": "</s>"},
    ],
)
def test_odd_pairs_are_answered(row: dict[str, str], shelf: dict[str, Artifact]) -> None:
    (told,) = answers(shelf["xnli"], row)
    assert told["answer"] in LABELS


@pytest.mark.parametrize(
    "tokens", [[""], ["", "Anna", ""], [" "], ["\u200b"] * 3, ["a b c"], ["x" * 1000], ["."] * 500]
)
def test_each_word_gets_a_tag_however_odd(tokens: list[str], shelf: dict[str, Artifact]) -> None:
    (told,) = answers(shelf["panx"], {"tokens": tokens})
    assert len(told["answer"]) == len(tokens)
    assert set(told["answer"]) <= set(get_task("panx").labels)


@pytest.mark.parametrize("choices", [["", "", "", ""], ["a", "", "b", " "], ["same"] * 4])
def test_odd_choices_are_answered(choices: list[str], shelf: dict[str, Artifact]) -> None:
    (told,) = answers(shelf["hellaswag"], {"text": "", "choices": choices})
    assert told["answer"] in range(4)


@pytest.mark.parametrize(
    ("question", "context"),
    [
        ("", "the big house"),
        ("   ", "the big house"),
        ("Which name stands here ?", "x"),
        ("Where is the answer that is not here ?", "the cat sees a big house"),
        ("Which " * 300, "the big house Alpha"),
        ("Which name ?", "  \n the house \n "),
    ],
)
def test_odd_questions_are_answered_from_the_context(question: str, context: str, shelf: dict[str, Artifact]) -> None:
    (told,) = answers(shelf["squad"], {"question": question, "context": context})
    assert told["answer"] in context
    assert told["answer"] == told["answer"].strip() != ""


def test_a_text_of_100_000_words(shelf: dict[str, Artifact]) -> None:
    text = "house " * 100_000
    told = answers(shelf["xnli"], {"text": text, "text_pair": "indeed"}, {"text": "indeed", "text_pair": text})
    assert {item["answer"] for item in told} <= set(LABELS)
    (choice,) = answers(shelf["hellaswag"], {"text": "house", "choices": ["a", text, "b", "c"]})
    assert choice["answer"] in range(4)


def test_two_long_texts_cost_no_more_than_each_alone(shelf: dict[str, Artifact]) -> None:
    """What is cut off must not be kept in all combinations: two texts of 4,000 words would take gigabytes."""
    artifact, text = shelf["xnli"], "house " * 1_000
    tokenizer = load_backbone_of(artifact).tokenizer
    task = get_task("xnli")

    def seconds(first: str, second: str) -> float:
        table = to_table(task, [{"id": "1", "language": "en", "text": first, "text_pair": second, "label": 0}])
        started = time.perf_counter()
        FORMATS[task.format].encode(task, table, tokenizer, encoding_settings(artifact), training=False)
        return time.perf_counter() - started

    alone = max(seconds(text, "indeed"), seconds("indeed", text))
    assert seconds(text, text) < 10 * alone + 0.05


def test_no_word_of_a_context_of_100_000_words_is_lost(shelf: dict[str, Artifact]) -> None:
    """The only name stands at the end, in the last of thousands of windows."""
    context = "house " * 99_999 + "Alpha"
    (span,) = answers(shelf["squad"], {"question": "Which name stands here ?", "context": context}, batch_size=256)
    assert span["answer"] in context
    assert span["answer"] != ""


def test_each_of_20_000_words_gets_a_tag(shelf: dict[str, Artifact]) -> None:
    (tags,) = answers(shelf["panx"], {"tokens": ["house"] * 19_998 + ["Anna", "Miller"]}, batch_size=256)
    assert len(tags["answer"]) == 20_000
    assert all(tags["answer"])


# Faulty lines


def test_each_faulty_line_is_named_with_its_number_and_fault() -> None:
    good = json.dumps(ROWS["xnli"])
    told = faults(
        "xnli", good, "{", "", "[1, 2]", '"text"', "null", good, '{"text": "a"}', '{"text": 1, "text_pair": "b"}'
    )
    assert [line.split(":")[0] for line in told] == ["line 2", "line 4", "line 5", "line 6", "line 8", "line 9"]
    assert all("not a JSON object" in line for line in told[1:4])
    assert "'text_pair' or 'hypothesis' or 'sentence2' is missing" in told[4]
    assert "'text' must be a text" in told[5]


def test_ten_faults_are_shown_and_the_rest_counted() -> None:
    told = faults("xnli", *["{}"] * 25)
    assert [line.split(":")[0] for line in told[:-1]] == [f"line {number}" for number in range(1, 11)]
    assert told[-1] == "… and 15 more"


@pytest.mark.parametrize(
    ("task", "row", "says"),
    [
        ("hellaswag", {"text": "a", "choices": ["a", "b", "c"]}, "'choices' has 3 entries; 'hellaswag' takes 4"),
        ("hellaswag", {"text": "a", "choices": ["a"] * 5}, "has 5 entries"),
        ("hellaswag", {"text": "a", "choices": []}, "'choices' must be a list"),
        ("hellaswag", {"text": "a", "choices": "abcd"}, "'choices' must be a list"),
        ("hellaswag", {"text": "a", "choices": ["a", "b", "c", 4]}, "'choices' must be a list of texts"),
        ("panx", {"tokens": "Anna Miller"}, "'tokens' must be a list"),
        ("panx", {"tokens": []}, "at least one entry"),
        ("panx", {"tokens": ["a", None]}, "'tokens' must be a list of texts"),
        ("panx", {"words": ["a"]}, "'tokens' is missing"),
        ("squad", {"question": "Who ?"}, "'context' is missing"),
        ("squad", {"question": "Who ?", "context": ""}, "'context' is empty"),
        ("squad", {"question": "Who ?", "context": " \n\t"}, "'context' is empty"),
        ("squad", {"question": None, "context": "a"}, "'question' must be a text"),
        ("squad", {"context": "a"}, "'question' is missing"),
    ],
)
def test_a_field_that_is_wrong_is_named(task: str, row: dict[str, Any], says: str) -> None:
    (told,) = faults(task, json.dumps(row))
    assert told.startswith("line 1: ")
    assert says in told


def test_half_a_character_is_a_fault_of_its_line() -> None:
    """JSON can spell half of a surrogate pair, which no text is."""
    (told,) = faults("xnli", json.dumps(ROWS["xnli"]), '{"text": "\\ud800", "text_pair": "b"}')
    assert told.startswith("line 2: ")


def test_brackets_too_deep_to_be_read_are_a_fault_of_their_line() -> None:
    (told,) = faults("xnli", json.dumps(ROWS["xnli"]), "[" * 100_000)
    assert told.startswith("line 2: ")


def test_faults_are_told_before_a_model_is_loaded(shelf: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch) -> None:
    from adapterstilts.evaluation import answering

    monkeypatch.setattr(answering, "load_backbone_of", lambda *_: pytest.fail("the backbone was loaded"))
    with pytest.raises(DataFormatError, match="line 1"):
        answers(shelf["xnli"], "{}")


def test_an_evaluation_cannot_predict(shelf: dict[str, Artifact], toy_mirror: Path, store: Store) -> None:
    made = run_evaluation(shelf["xnli"], EvaluationRequest(languages=("en",), root=toy_mirror, max_examples=3), store)
    with pytest.raises(ArtifactError, match="is of kind 'evaluation'"):
        answers(made.artifact, ROWS["xnli"])


def test_artifacts_are_found_by_the_beginning_of_their_id(shelf: dict[str, Artifact]) -> None:
    home = shelf["xnli"].path.parents[2]
    (told,) = predict("xnli.none-", [json.dumps(ROWS["xnli"])], store=home)
    assert told == answers(shelf["xnli"], ROWS["xnli"])[0]


def test_a_lab_artifact_answers_without_being_told_its_suite(toy_lab: Any, store: Store) -> None:
    from adapterstilts.tasks.suites import get_suite

    settings = TrainingSettings(steps=3, batch_size=4, max_length=64, evaluations=1)
    made = run_stage(TrainingStage(get_suite("lab").task("squad"), settings, identify("pico")), store).artifact
    (answer,) = answers(made, ROWS["squad"])
    assert answers(made, ROWS["squad"], suite="lab") == [answer]
    assert answer["answer"] in ROWS["squad"]["context"]
    with pytest.raises(ArtifactError, match="of the suite 'lab', not of 'xtreme'"):
        answers(made, ROWS["squad"], suite="xtreme")
