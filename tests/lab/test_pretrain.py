"""The making of an encoder: settings, batches, restart, card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapterstilts.errors import SettingsError
from adapterstilts.lab.card import measure_folder
from adapterstilts.lab.pretrain import (
    Batches,
    PretrainingSettings,
    kept_corpus,
    loss_of,
    mean_of,
    new_model,
    pretrain,
    seen_languages,
)
from adapterstilts.progress import Reporter

TINY: dict[str, Any] = {
    "layers": 1, "width": 16, "heads": 2, "vocabulary": 1500, "documents": 8, "pairs": 6, "steps": 4, "tokens": 256,
    "pair_batch": 4, "contrastive_layer": 1, "checkpoint_every": 2, "parallel_share": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pico")
    pretrain(PretrainingSettings(**TINY), folder)
    return folder


def test_settings_are_checked() -> None:
    for wrong, said in (
        ({"steps": 0}, "steps must be at least 1"),
        ({"mask_rate": 1.5}, "mask_rate is a share"),
        ({"width": 10, "heads": 3}, "multiple of the heads"),
        ({"layers": 2, "contrastive_layer": 3}, "contrastive_layer must be from 1 to 2"),
    ):
        with pytest.raises(SettingsError, match=said):
            PretrainingSettings(**{**TINY, **wrong})


def test_unseen_languages_are_not_read() -> None:
    assert {"qmc", "qod"}.isdisjoint(language.code for language in seen_languages())
    assert len(seen_languages()) == 26


def test_batches_depend_on_seed_and_step_alone(run: Path) -> None:
    import torch

    settings = PretrainingSettings(**TINY)
    tokenizer, corpus = kept_corpus(settings, run, Reporter())
    batches = Batches(corpus, settings, tokenizer)
    kinds = set()
    for step in range(8):
        batch, again = batches.at(step), batches.at(step)
        assert all(torch.equal(batch[key], again[key]) for key in batch)
        kinds.add("first" in batch)
        masked = batch["labels"] != -100
        assert bool((batch["labels"][masked] > 3).all())
        kept = batch["ids"][~masked]
        assert tokenizer.mask_token_id not in kept
        if "first" in batch:
            first = batch["first"][0][batch["first_attention"][0].bool()].tolist()
            assert (first[0], first[-1]) == (0, 2)
            joined = torch.where(masked, batch["labels"], batch["ids"])[0].tolist()
            assert joined[: len(first)] == first
        else:
            assert batch["ids"].shape == (2, 128)
    assert kinds == {True, False}


def test_the_two_sides_of_a_pair_say_the_same(run: Path) -> None:
    from adapterstilts.lab.forms import expressed
    from adapterstilts.lab.parser import parse

    tokenizer, corpus = kept_corpus(PretrainingSettings(**TINY), run, Reporter())
    languages = seen_languages()
    texts = [tokenizer.decode(corpus.version(2, index)) for index in range(len(languages))]
    by_code = {language.code: first_sentence(text) for language, text in zip(languages, texts, strict=True)}
    (meaning,) = parse(by_code["qaa"], languages[0])
    for language in languages:
        if language.script == "Latin":
            assert parse(by_code[language.code], language) == [expressed(meaning, language)]


def first_sentence(text: str) -> str:
    return text[: min(text.index(mark) for mark in ".?" if mark in text) + 1] if "." in text or "?" in text else text


def test_the_contrastive_term_is_in_the_loss_of_pairs_alone(run: Path) -> None:
    import torch

    settings = PretrainingSettings(**TINY)
    tokenizer, corpus = kept_corpus(settings, run, Reporter())
    batches, model = Batches(corpus, settings, tokenizer), new_model(settings, len(tokenizer))
    found = [batches.at(step) for step in range(8)]
    pairs = next(batch for batch in found if "first" in batch)
    running = next(batch for batch in found if "first" not in batch)
    with torch.no_grad():
        alone, parts = loss_of(model, pairs, settings, 0.0)
        both, more = loss_of(model, pairs, settings, 0.5)
        plain, told = loss_of(model, running, settings, 0.5)
    assert set(parts) == {"tlm"}
    assert set(more) == {"tlm", "contrast"}
    assert float(both) == pytest.approx(float(alone) + 0.5 * more["contrast"], rel=1e-4)
    assert set(told) == {"mlm"}
    assert float(plain) == pytest.approx(told["mlm"], rel=1e-5)


def test_mean_states_leave_padding_out() -> None:
    import torch

    states = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]]])
    assert mean_of(states, torch.tensor([[1, 1, 0]])).tolist() == [[2.0, 3.0]]


def test_an_interrupted_run_goes_on_to_the_same_weights(run: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file

    folder = tmp_path / "again"
    folder.mkdir()
    shutil.copytree(run / "tokenizer", folder / "tokenizer")  # its training is not the same each time
    shutil.copy(run / "corpus.npz", folder)

    class Killed(Exception):
        pass

    class Killer(Reporter):
        def advance(self, done: int, **facts: Any) -> None:
            if facts and done == 3:
                raise Killed

    with pytest.raises(Killed):
        pretrain(PretrainingSettings(**TINY), folder, Killer())
    assert not (folder / "model").exists()
    pretrain(PretrainingSettings(**TINY), folder)
    one, other = (load_file(where / "model" / "model.safetensors") for where in (run, folder))
    assert set(one) == set(other)
    for key, tensor in one.items():
        assert (tensor == other[key]).all(), key
        assert str(tensor.dtype) == "torch.float16"


def test_a_folder_of_another_run_is_left_alone(run: Path) -> None:
    with pytest.raises(SettingsError, match="other settings"):
        pretrain(PretrainingSettings(**{**TINY, "steps": 5}), run)


def test_the_card_tells_every_language(run: Path) -> None:
    card = measure_folder(run / "model")
    assert (run / "model" / "README.md").read_text(encoding="utf-8") == card
    made = json.loads((run / "model" / "pretraining.json").read_text())
    assert made["fingerprint"] in card
    assert "- mask_rate: 0.2" in card
    rows = {line.split(" | ")[0].strip("| "): line for line in card.splitlines() if line.startswith("| q")}
    assert len(rows) == 28
    assert "| no |" in rows["qmc"]
    assert "| 0.00 | yes |" in rows["qaa"]
    perplexity = float(rows["qba"].split(" | ")[4])
    assert 50 < perplexity < 100_000  # four steps teach nothing yet
