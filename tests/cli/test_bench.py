"""``bench latency``: a table, a document, and mistakes."""

from __future__ import annotations

import pytest
from calling import call, document, refused
from cli_world import World

#: Options with which measuring takes a moment.
QUICK = ("--lengths", "16", "--batches", "1,2", "--seconds", "0.2", "--threads", "1")


def test_the_document_has_a_cell_for_each_length_and_batch(world: World) -> None:
    told = document("bench_latency", "bench", "latency", world.artifact("fusion"), *QUICK, "--store", world.store)
    assert (told["artifact"], told["kind"]) == (world.artifact("fusion"), "target")
    assert (told["threads"], told["seconds"], told["drop_layers"], told["merged"]) == (1, 0.2, None, False)
    assert [(cell["length"], cell["batch"]) for cell in told["cells"]] == [(16, 1), (16, 2)]
    for cell in told["cells"]:
        assert cell["iterations"] >= 10
        assert 0 < cell["p50_ms"] <= cell["p90_ms"] <= cell["p99_ms"]
        assert cell["examples_per_second"] == pytest.approx(1000 * cell["batch"] / cell["mean_ms"], rel=1e-2)
        assert 2 * cell["iterations"] * cell["mean_ms"] > 100  # the bare backbone has the rest of the 0.2 seconds
        assert cell["ratio"] > 0.8
        assert cell["tokenisation_ms"] > 0
    assert told["members"][0]["fusion"] == {"adapters": 2, "layers": 2, "fast": 2, "slow": {}}


def test_the_table_says_what_was_measured_on_what(world: World) -> None:
    result = call(*("bench", "latency", world.artifact("fusion"), *QUICK, "--store", world.store, "--drop-layers", "0"))
    assert result.stdout.startswith(f"{world.artifact('fusion')} on ")
    assert "without adapters in layers 0" in " ".join(result.stdout.split())
    cells = [[cell.strip() for cell in row.split("│")[1:-1]] for row in result.stdout.splitlines() if "│" in row]
    assert [cell[:2] for cell in cells] == [["16", "1"], ["16", "2"]]
    assert all(float(value) > 0 for cell in cells for value in cell)
    assert "the fusion of 2 is fast in 1 of 1 layers." in result.stderr
    assert "Threads: 1. Peak memory: resident " in result.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--lengths", ""), "--lengths is empty"),
        (("--batches", ","), "--batches is empty"),
        (("--lengths", "0"), "--lengths must be at least 1, not 0"),
        (("--batches", "1,x"), "--batches '1,x' is not a list of whole numbers such as 1,8."),
        (("--lengths", "-1"), "--lengths '-1' is not a list of whole numbers"),
        (("--lengths", "16,129"), "at most 128 tokens, not 129"),
        (("--seconds", "0"), "--seconds must be above 0"),
        (("--threads", "0"), "--threads must be from 1"),
        (("--merge-lora",), "only LoRA can be merged"),
        (("--drop-layers", "5"), "no layer 5"),
    ],
)
def test_mistakes(options: tuple[str, ...], says: str, world: World) -> None:
    told = refused("bench", "latency", world.artifact("mnli"), "--store", world.store, *QUICK, *options)
    assert told.startswith("Error: ")
    assert says in told


def test_what_is_not_there_and_what_does_not_answer(world: World) -> None:
    assert "There is no artifact 'nothing'" in refused("bench", "latency", "nothing", "--store", world.store)
    evaluations = [stage["artifact"] for stage in world.made["fusion"]["stages"] if stage["kind"] == "evaluation"]
    told = refused("bench", "latency", evaluations[0], "--store", world.store, *QUICK)
    assert "is of kind 'evaluation'" in told
    assert f"is about '{world.artifact('fusion')}'" in told


def test_the_group_alone_shows_its_commands() -> None:
    assert "latency" in call("bench", "--help").stdout
