"""Mistakes in a call: each is told in a sentence, before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import TINY, refused
from cli_world import World


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        # Names
        (("compose", "squd", "--target", "xnli"), "Did you mean 'squad'?"),
        (("compose", "mnli", "--target", "xnly"), "Did you mean 'xnli'?"),
        (("compose", "tydiqa", "--target", "xnli"), "'tydiqa' is a target task"),
        (("compose", "mnli", "--target", "squad"), "'squad' is an intermediate task"),
        (("train-intermediate", "xnli"), "'xnli' is a target task"),
        (("train-intermediate", "squd"), "Did you mean 'squad'?"),
        (("compose", "mnli", "--target", "xnli", "--languages", "xx"), "There is no language code 'xx'"),
        (("compose", "mnli", "--target", "xnli", "--languages", "German"), "The code of German is de."),
        (("compose", "mnli", "--target", "xnli", "--languages", "en,ja"), "There is no language of 'xnli' (test) 'ja'"),
        (("compose", "mnli", "--target", "xnli", "--languages", ","), "language"),
        (("compose", "mnli", "--target", "xnli", "--languages", "th"), "Thai"),
        (("compose", "mnli", "--target", "xnli", "--adapter", "seq_nb"), "Did you mean 'seq_bn'?"),
        (("train-intermediate", "mnli", "--adapter", "nonsense"), "There is no adapter configuration 'nonsense'"),
        (("compose", "mnli", "--target", "xnli", "--split", "dev"), "no split 'dev'"),
        (("compose", "mnli", "--target", "xnli", "--use", "nothing"), "There is no artifact 'nothing'"),
        (("evaluate", "nothing"), "There is no artifact 'nothing'"),
        # Expressions
        (("compose", "", "--target", "xnli"), "The expression is empty"),
        (("compose", "mnli+", "--target", "xnli"), "a task name after '+' is expected here"),
        (("compose", "+mnli", "--target", "xnli"), "a task name is expected here"),
        (("compose", "mnli squad", "--target", "xnli"), "only '+' joins adapters"),
        (("compose", "mnli+mnli", "--target", "xnli"), "a second time"),
        (("compose", "none+mnli", "--target", "xnli"), "'none' means no intermediate task"),
        (("compose", "avg(mnli)", "--target", "xnli"), "'avg' of one adapter is that adapter"),
        (("compose", "mean(mnli,squad)", "--target", "xnli"), "there is no function 'mean'"),
        (("compose", "MNLI", "--target", "xnli"), "a task name is expected here"),
        (("compose", "[bold]mnli[/]", "--target", "xnli"), "[bold]mnli[/]"),
        # Settings
        (("train-intermediate", "mnli", "--epochs", "0"), "--epochs must be above 0"),
        (("train-intermediate", "mnli", "--learning-rate", "-1"), "--learning-rate must be"),
        (("train-intermediate", "mnli", "--max-length", "4"), "--max-length 4 leaves no room"),
        (("train-intermediate", "mnli", "--max-length", "129"), "give at most 128"),
        (("train-intermediate", "squad"), "give at most 128"),
        (("train-intermediate", "mnli", "--precision", "fp16"), "one of fp32, bf16"),
        (("train-intermediate", "mnli", "--epochs", "0", "--batch-size", "0"), "--batch-size must be"),
        (("train-intermediate", "mnli", "--adapter", "prefix_tuning", "--reduction-factor", "4"), "reduction factor"),
        (("compose", "mnli", "--target", "xnli", "--seeds", "a"), "--seeds 'a'"),
        (("compose", "mnli", "--target", "xnli", "--seeds", "0,-1"), "--seeds '0,-1'"),
        (("compose", "mnli", "--target", "xnli", "--seeds", "0,0"), "--seeds names a seed twice"),
        (("compose", "mnli", "--target", "xnli", "--seeds", ","), "--seeds is empty"),
        (("compose", "mnli", "--target", "xnli", "--max-eval-examples", "0"), "--max-eval-examples must be"),
        (("compose", "none", "--target", "panx", "--adapter", "prompt_tuning"), "is prompt tuning"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(
    arguments: tuple[str, ...], says: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    extra = options if arguments[0] != "evaluate" else options[2:]
    told = refused(*arguments, *extra, store=tmp_path / "store")
    assert told.startswith("Error: ")
    assert says in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("train-intermediate", "mnli", "--seed", "-1"),
        ("train-intermediate", "mnli", "--seed", "4294967296"),
        ("compose", "none", "--target", "xnli", "--seeds", "4294967296"),
        ("train-intermediate", "mnli", "--sample-seed", "-1", "--max-train-examples", "5"),
        ("train-intermediate", "mnli", "--epochs", "inf"),
        ("train-intermediate", "mnli", "--reduction-factor", "inf"),
        ("train-intermediate", "mnli", "--report-to", "nonsense"),
    ],
)
def test_values_that_break_a_library_are_mistakes_too(
    arguments: tuple[str, ...], options: tuple[str, ...], tmp_path: Path
) -> None:
    assert refused(*arguments, *options, store=tmp_path / "store").startswith("Error: ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("train",), "No such command"),
        (("compose", "mnli"), "--target"),
        (("train-intermediate",), "Missing argument"),
        (("train-intermediate", "mnli", "--epochs", "many"), "'--epochs'"),
        (("train-intermediate", "mnli", "--steps", "1.5"), "'--steps'"),
        (("train-intermediate", "mnli", "--epoch", "3"), "--epoch"),
        (("predict", "x", "--batch-size", "0"), "--batch-size"),
        (("tasks", "--kind", "targets"), "target"),
        (("languages", "--task", "xnly"), "xnli"),
        (("fetch",), "Name a task or --model"),
        (("fetch", "nonsense"), "nonsense"),
        (("fetch", "mnli"), "HF_HUB_OFFLINE"),
    ],
)
def test_calls_that_make_no_sense(arguments: tuple[str, ...], says: str) -> None:
    assert says in refused(*arguments)


def test_adapters_that_may_not_be_trained_are_named_with_the_command(
    options: tuple[str, ...], world: World, tmp_path: Path
) -> None:
    told = refused(
        *("compose", "mnli+squad", "--target", "xnli", "--no-train", *options, *TINY), store=tmp_path / "store"
    )
    for task in ("mnli", "squad"):
        assert f"`adapterstilts train-intermediate {task} --backbone {world.backbone}`" in told


def test_an_adapter_that_is_not_asked_for_is_refused(world: World) -> None:
    told = refused(
        *("compose", "mnli", "--target", "xnli", *world.options, *TINY, "--use", world.artifact("squad")),
        store=world.store,
    )
    assert "which 'mnli' does not name" in told


def test_the_beginning_of_several_ids_is_not_enough(world: World) -> None:
    for command in (("evaluate", "xnli", "--data-root", world.mirror), ("predict", "xnli"), ("runs", "xnli")):
        told = refused(*command, "--store", world.store, store=world.store, given="")
        assert "'xnli' fits" in told
        assert world.artifact("fusion") in told


def test_predictions_are_no_adapter(world: World) -> None:
    evaluation = world.made["fusion"]["evaluations"][0]
    for command in (("evaluate", evaluation, "--data-root", world.mirror), ("predict", evaluation)):
        assert "is of kind 'evaluation'" in refused(*command, "--store", world.store, store=world.store, given="")
