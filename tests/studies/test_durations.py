"""How long a stage will take: by what was like it, by the examples, and nothing where nothing is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapterstilts.store.artifacts import Artifact
from adapterstilts.studies.durations import PastTimes, amount, seconds_taken

BACKBONE = {"id": "toy", "config_hash": "c", "revision": "r", "model_type": "xlm-roberta"}
STEPS = {"steps": 10, "batch_size": 4, "gradient_accumulation": 2}


def artifact(number: int, kind: str, seconds: float | None = None, **manifest: Any) -> Artifact:
    """Return an artifact that took so many seconds."""
    told = {"id": f"a-{number}", "kind": kind, "backbone": BACKBONE, "settings": STEPS}
    cost = {} if seconds is None else {"resources": {"wall_seconds": seconds}}
    return Artifact(Path(f"a-{number}"), told | cost | manifest)


@pytest.mark.parametrize(
    ("manifest", "examples"),
    [
        ({"kind": "target", "settings": STEPS}, 80),
        ({"kind": "target", "settings": {"steps": None, "epochs": 3.0}, "data": {"train": {"rows": 50}}}, 150),
        ({"kind": "evaluation", "metrics": {"en": {"examples": 5}, "de": {"examples": 7}}}, 12),
        ({"kind": "merged", "inputs": ["one", "other"]}, 2),
        ({"kind": "target", "search": {"budget": 40}, "data": {"validation": {"rows": 9}}, "settings": STEPS}, 360),
        (
            {
                "kind": "mixed",
                "settings": {"steps": 7},
                "mixture": {
                    "mnli": {"settings": {"steps": 2, "batch_size": 8}},
                    "squad": {"settings": {"epochs": 2}, "data": {"train": {"rows": 10}}},
                },
            },
            36,
        ),
        ({"kind": "target"}, 0),
    ],
)
def test_what_goes_through_the_model(manifest: dict[str, Any], examples: float) -> None:
    assert amount(manifest) == examples


def test_twice_as_many_steps_take_twice_as_long() -> None:
    past = PastTimes([artifact(1, "target", 30.0, task="xnli")])
    assert past.estimate(artifact(2, "target", task="xnli", settings=STEPS | {"steps": 20})) == 60


def test_a_search_tells_of_searches_alone() -> None:
    searching = {"task": "xnli", "search": {"budget": 40}, "data": {"validation": {"rows": 9}}}
    past = PastTimes([artifact(1, "target", 30.0, task="xnli"), artifact(2, "target", 8.0, **searching)])
    assert past.estimate(artifact(3, "target", **searching | {"search": {"budget": 20}})) == 4
    assert past.estimate(artifact(4, "target", task="xnli")) == 30


def test_the_newest_of_the_most_alike_expression_tells() -> None:
    past = PastTimes(
        artifact(number, "target", seconds, task="xnli", expression=expression)
        for number, (seconds, expression) in enumerate(
            [(10.0, "mnli+squad"), (11.0, "mnli+squad"), (20.0, "squad+qqp"), (1.0, "squad"), (2.0, "none")]
        )
    )

    def told(expression: str) -> float | None:
        return past.estimate(artifact(9, "target", task="xnli", expression=expression))

    assert [told(text) for text in ("mnli+squad", "mnli+qqp", "mnli", "none")] == [11, 20, 1, 2]
    assert told("chain(squad)") == 2  # nothing of its kind: the newest of the task


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "intermediate", "task": "xnli"},
        {"kind": "target", "task": "xquad"},
        {"kind": "target", "task": "xnli", "backbone": BACKBONE | {"revision": "another"}},
        {"kind": "target", "task": "xnli", "resources": {}},
        {"kind": "target", "task": "xnli", "settings": {}},
    ],
)
def test_nothing_is_known_of_what_is_not_alike(other: dict[str, Any]) -> None:
    past = PastTimes([artifact(1, seconds=30.0, **other)])
    assert past.estimate(artifact(2, "target", task="xnli")) is None


def test_an_evaluation_is_on_the_backbone_of_what_is_evaluated() -> None:
    def evaluation(number: int, of: str, seconds: float | None = None) -> Artifact:
        counted = {"en": {"examples": 10}}
        return artifact(number, "evaluation", seconds, task="xnli", of=of, backbone=None, metrics=counted)

    here, elsewhere = artifact(1, "target"), artifact(2, "target", backbone=BACKBONE | {"revision": "another"})
    planned = artifact(3, "target")
    past = PastTimes([here, elsewhere, evaluation(4, "a-1", 5.0), evaluation(5, "a-2", 50.0)], [planned])
    assert past.estimate(evaluation(6, "a-3")) == 5
    assert past.estimate(evaluation(7, "toy")) is None
    bare = PastTimes([evaluation(8, "toy", 7.0)])
    assert bare.estimate(evaluation(9, "toy")) == 7


def test_merges_of_one_method_tell_of_each_other() -> None:
    past = PastTimes([artifact(1, "merged", 4.0, identity={"method": "avg"}, inputs=["one", "other"])])
    assert past.estimate(artifact(2, "merged", identity={"method": "avg"}, inputs=["one", "two", "three"])) == 6
    assert past.estimate(artifact(3, "merged", identity={"method": "ties"}, inputs=["one", "two"])) is None


def test_what_a_finished_one_took() -> None:
    assert seconds_taken(artifact(1, "target", 3.5)) == 3.5
    assert seconds_taken(artifact(1, "target")) is None
