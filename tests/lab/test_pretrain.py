"""The making of an encoder: settings, batches, restart, card."""

from __future__ import annotations

import dataclasses
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from adapterstilts.errors import MissingPackageError, SettingsError
from adapterstilts.lab.batches import ROW, Batches, _rows, kept_corpus, seen_languages, translations
from adapterstilts.lab.card import measure_folder
from adapterstilts.lab.corpus import documents, text
from adapterstilts.lab.forms import forms_of
from adapterstilts.lab.languages import LANGUAGES
from adapterstilts.lab.pretrain import info_nce, loss_of, mean_of, new_model, pretrain, words_of
from adapterstilts.lab.settings import PretrainingSettings
from adapterstilts.lab.tokenizer import train_tokenizer
from adapterstilts.progress import Reporter

TINY: dict[str, Any] = {
    "layers": 1, "width": 16, "heads": 2, "vocabulary": 1500, "documents": 8, "pairs": 6, "steps": 4, "tokens": 320,
    "pair_batch": 4, "contrastive_layer": 1, "checkpoint_every": 2, "parallel_share": 0.5, "switched": 0.5,
    "contrastive_from": 0.0,
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
            assert batch["ids"].shape == (2, 160)
    assert kinds == {True, False}


def test_the_two_sides_of_a_pair_say_the_same(run: Path) -> None:
    from adapterstilts.lab.forms import expressed
    from adapterstilts.lab.parser import parse

    tokenizer, corpus = kept_corpus(PretrainingSettings(**TINY), run, Reporter())
    languages = seen_languages()
    texts = [tokenizer.decode(corpus.version(2, index)[0]) for index in range(len(languages))]
    by_code = {language.code: first_sentence(text) for language, text in zip(languages, texts, strict=True)}
    (meaning,) = parse(by_code["qaa"], languages[0])
    for language in languages:
        if language.script == "Latin":
            assert parse(by_code[language.code], language) == [expressed(meaning, language)]


def first_sentence(text: str) -> str:
    return text[: min(text.index(mark) for mark in ".?" if mark in text) + 1] if "." in text or "?" in text else text


def test_words_with_one_number_are_translations(run: Path) -> None:
    tokenizer, corpus = kept_corpus(PretrainingSettings(**TINY), run, Reporter())
    concepts: dict[int, set[str]] = {}
    found = 0
    for index, language in enumerate(seen_languages()):
        if not language.spaced:
            continue
        for number in range(corpus.texts):
            ids, meanings = corpus.version(number, index)
            for meaning in set(meanings) - {0}:
                form = tokenizer.decode([piece for piece, meant in zip(ids, meanings, strict=True) if meant == meaning])
                said = {concept for concept, _ in forms_of(language)[form]}
                concepts[meaning] = concepts.get(meaning, said) & said
                found += 1
    assert found > 20 * len(concepts) > 200
    assert all(concepts.values())  # each number has a concept that all of its words may mean


def test_rows_begin_with_documents_and_cut_ones_come_again() -> None:
    texts = [[10 + number] * length for number, length in enumerate((100, 70, 200, 5, 152, 30))]
    found = list(_rows(texts, 0, 2))
    assert all(len(row) == ROW and row[0] == 0 for row in found)
    assert found[0][1:102] == [*texts[0], 2]
    assert found[0][102:] == texts[1][:58]
    assert found[1][1:72] == [*texts[1], 2]  # cut off by the first row's end, whole here
    assert found[1][72:] == texts[2][:88]  # longer than a row: cut
    assert found[2] == [0, *texts[3], 2, *texts[4], 2]


def test_translations_are_numbered_by_pair() -> None:
    first, second, concepts = translations([[0, 7, 7, 9, 0], [0, 7, 0]], [[0, 9, 0], [0, 8, 7, 7, 0]])
    assert first.tolist() == [[-1, -1, -1, 0, -1], [-1, 1, -1, -1, -1]]
    assert second.tolist() == [[-1, 0, -1, -1, -1], [-1, -1, 1, 1, -1]]
    assert concepts.tolist() == [9, 7]


def test_words_are_the_mean_of_their_pieces() -> None:
    import torch

    states = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [9.0, 9.0]], [[5.0, 6.0], [9.0, 9.0], [9.0, 9.0]]])
    words = torch.tensor([[0, 0, -1], [1, -1, -1]])
    assert words_of(states, words, 2).tolist() == [[2.0, 2.0], [5.0, 6.0]]


def test_info_nce_is_the_mean_of_both_ways_and_leaves_the_same_out() -> None:
    import math

    import torch

    one = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    other = torch.tensor([[1.0, 0.0], [1.0, 2.0], [0.0, 3.0]])
    same = torch.eye(3, dtype=torch.bool)
    same[0, 2] = same[2, 0] = True

    def by_hand(left_out: bool) -> float:
        total = 0.0
        for mine, theirs in ((one, other), (other, one)):
            for i in range(3):
                scores = {
                    j: float(mine[i] @ theirs[j] / mine[i].norm() / theirs[j].norm()) / 0.5
                    for j in range(3)
                    if i == j or not (left_out and same[i, j])
                }
                total += math.log(sum(map(math.exp, scores.values()))) - scores[i]
        return total / 6

    assert float(info_nce(one, other, 0.5)) == pytest.approx(by_hand(False), rel=1e-5)
    assert float(info_nce(one, other, 0.5, same)) == pytest.approx(by_hand(True), rel=1e-5)
    assert by_hand(True) < by_hand(False)


def test_the_contrastive_terms_are_in_the_loss_of_pairs_alone(run: Path) -> None:
    import torch

    settings = PretrainingSettings(**TINY)
    tokenizer, corpus = kept_corpus(settings, run, Reporter())
    batches, model = Batches(corpus, settings, tokenizer), new_model(settings, len(tokenizer))
    found = [batches.at(step) for step in range(8)]
    pairs = next(batch for batch in found if "first" in batch)
    running = next(batch for batch in found if "first" not in batch)
    with torch.no_grad():
        alone, parts = loss_of(model, pairs, settings, False)
        both, more = loss_of(model, pairs, settings, True)
        without, fewer = loss_of(model, pairs, dataclasses.replace(settings, words=0.0), True)
        plain, told = loss_of(model, running, settings, True)
    assert set(parts) == {"tlm"}
    assert set(more) == {"tlm", "texts", "words"}
    assert set(fewer) == {"tlm", "texts"}
    expected = float(alone) + settings.contrastive * more["texts"] + settings.words * more["words"]
    assert float(both) == pytest.approx(expected, rel=1e-4)
    assert float(without) == pytest.approx(float(alone) + settings.contrastive * fewer["texts"], rel=1e-4)
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
    shutil.copytree(run / "tokenizer", folder / "tokenizer")  # to save the time
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


def test_the_same_text_gives_the_same_tokenizer() -> None:
    lines = [text(document, LANGUAGES[code]) for code in ("qaa", "qoc") for document in islice(documents("tests"), 60)]
    first, second = (train_tokenizer(lines, 400, "Ωж") for _ in range(2))
    assert first.get_vocab() == second.get_vocab()
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()
    assert [first.convert_ids_to_tokens(index) for index in range(4)] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert first.mask_token_id == len(first) - 1 < 400
    assert first.unk_token_id not in first("kaΩж")["input_ids"]
    assert first.unk_token_id in first("kaΩшж")["input_ids"]
    assert first.decode(first(lines[0])["input_ids"], skip_special_tokens=True) == lines[0]


def test_a_tokenizer_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(MissingPackageError, match="pip install sentencepiece"):
        train_tokenizer(["a"], 100)
