"""``train-language``: the document, the lines for people, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import TINY, call, document, refused


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("the cat sees a tree\nthe house\na dog sees the house\n", encoding="utf-8")
    return path


@pytest.fixture
def kept(toy_backbone_folder: Path, tmp_path: Path) -> tuple[str, ...]:
    """Toy backbone, an empty store."""
    return ("--backbone", str(toy_backbone_folder), "--store", str(tmp_path / "store"))


def test_an_adapter_from_plain_text_and_the_same_again(text: Path, kept: tuple[str, ...]) -> None:
    named = ("train-language", "sw", "--text", text, *kept, *TINY)
    first = document("train_language", *named)
    assert (first["language"], first["reused"], first["settings"]["adapter"]) == ("sw", False, "seq_bn_inv")
    assert first["artifact"].startswith("language.sw-")
    assert first["stages"][0]["state"] == "trained"
    assert document("train_language", *named)["reused"]
    assert f"{first['artifact']} was trained before." in call(*named).stdout
    (listed,) = document("runs", "runs", *kept[2:], "--kind", "language")
    assert (listed["id"], listed["language"]) == (first["artifact"], "sw")
    assert set(listed["files"]) == {"adapters/language.safetensors", "composition.json", "curve.jsonl"}
    other = document("train_language", "train-language", "de", *named[2:], "--adapter", "seq_bn")
    assert other["artifact"].startswith("language.de-")
    assert other["resources"]["trained_parameters"] < first["resources"]["trained_parameters"]


@pytest.mark.usefixtures("toy_lab", "no_network")
def test_the_lab_needs_no_text(tmp_path: Path) -> None:
    made = document("train_language", "train-language", "qab", "--suite", "lab", "--store", tmp_path / "store", *TINY)
    assert (made["suite"], made["language"], made["backbone"]) == ("lab", "qab", "pico")


def test_mistakes(text: Path, kept: tuple[str, ...]) -> None:
    store = Path(kept[-1])

    def says(*arguments: object) -> str:
        return " ".join(refused("train-language", *kept, *TINY, *arguments, store=store).split())

    assert "train-language sw --text FILE" in says("sw")
    assert "any.txt' is not there" in says("sw", "--text", "any.txt")
    assert "The code of Swahili is sw" in says("Swahili", "--text", text)
    assert "--adapter lora is none for languages" in says("sw", "--text", text, "--adapter", "lora")
    assert "give at most 128" in says("sw", "--text", text, "--max-length", 500)
    made = document("train_language", "train-language", "sw", "--text", text, *kept, *TINY)
    for command in ("evaluate", "predict"):
        told = refused(command, made["artifact"], "--store", store, given="{}", store=store)
        assert "is of kind 'language'; only adapters and compositions can be evaluated" in " ".join(told.split())
