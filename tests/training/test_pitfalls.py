"""What the trainer of the adapters library gets wrong without a word, and the guard against each.

As in tests/models/test_pitfalls.py, whose numbers go on here: the fault in the plain library first, then our own code.
"""

from __future__ import annotations

from pathlib import Path

import torch
from adapters.trainer import AdapterTrainerCallback
from plain_library import library_trainer, overwrite, part_of, plain, plain_fusion
from toy_compositions import HEAD, MakeComposition, batch_of, encoded, same
from toy_trainer import trainer_for

from adapterstilts.models.backbone import Backbone, build, load_backbone
from adapterstilts.tasks.catalogue import get_task
from adapterstilts.tasks.formats import FORMATS


def test_pitfall_03_the_best_state_comes_back_with_its_head(
    still_folder: Path, toy_composition: MakeComposition, toy_mirror: Path, tmp_path: Path
) -> None:
    """The library restores the best adapters, but not a head whose name is not an adapter's."""
    model = plain(still_folder)
    model.add_adapter("a", config="seq_bn")
    model.add_classification_head("head", num_labels=3)
    model.train_adapter("a")
    trainer = library_trainer(model, tmp_path)
    trainer._save(str(tmp_path / "checkpoint-1"))
    best = part_of(model, ".adapters.a.")
    trainer.state.best_model_checkpoint = str(tmp_path / "checkpoint-1")
    overwrite(model, ".adapters.a.", 7.0)
    overwrite(model, "heads.head", 7.0)
    trainer._load_best_model()
    assert same(part_of(model, ".adapters.a."), best)
    assert all((tensor == 7.0).all() for tensor in part_of(model, "heads.head").values())

    backbone = load_backbone(str(still_folder))
    composed = build(backbone, toy_composition("squad+hellaswag", "mnli", HEAD), seed=0)
    states: list[dict[str, torch.Tensor]] = []
    scores = [0.2, 0.9, 0.5, 0.9]  # the second is the best; an equal one later does not take its place

    def validate() -> dict[str, float]:
        states.append(composed.trained_state())
        return {"accuracy": scores[len(states) - 1]}

    features = encoded("mnli", backbone, toy_mirror, 8)
    trainer = trainer_for(
        *(composed, "mnli", features, tmp_path),
        validate=validate,
        steps=4,
        evaluations=4,
        learning_rate=0.01,
        batch_size=4,
    )
    report = trainer.fit()
    assert (len(states), report.best_step, report.best_scores) == (4, 2, {"accuracy": 0.9})
    assert same(composed.trained_state(), states[1])
    head = [key for key in states[1] if key.startswith("heads.mnli.")]
    assert len(head) == 4
    assert not any(torch.equal(states[1][key], states[3][key]) for key in head)


def test_pitfall_09_fusion_values_are_not_decayed(
    toy_backbone_folder: Path, toy_composition: MakeComposition, toy_mirror: Path, tmp_path: Path
) -> None:
    """The library means to keep weight decay off the values of a fusion, which start as identity, but does not."""
    model = plain_fusion(toy_backbone_folder)
    trainer = library_trainer(model, tmp_path, weight_decay=0.1)
    decayed = {
        id(item)
        for group in trainer.create_optimizer().param_groups
        if group["weight_decay"]
        for item in group["params"]
    }
    values = [item for key, item in model.named_parameters() if key.endswith(".value.weight") and "fusion" in key]
    assert len(values) == 2
    assert all(id(value) in decayed for value in values)

    backbone = load_backbone(str(toy_backbone_folder))
    composed = build(backbone, toy_composition("squad+hellaswag", "mnli", HEAD), seed=0)
    trainer = trainer_for(composed, "mnli", encoded("mnli", backbone, toy_mirror, 4), tmp_path, weight_decay=0.1)
    decays = {
        id(item): group["weight_decay"] for group in trainer.create_optimizer().param_groups for item in group["params"]
    }
    told = {key: decays.get(id(item)) for key, item in composed.model.named_parameters()}
    trained = {key for key, item in composed.model.named_parameters() if item.requires_grad}
    assert {key for key, decay in told.items() if decay is not None} == trained
    undecayed = {key for key in trained if key.endswith(".bias") or ("fusion" in key and ".value." in key)}
    assert {key for key in trained if told[key] == 0.0} == undecayed
    assert {told[key] for key in trained - undecayed} == {0.1}


def test_pitfall_11_the_fusion_regulariser_is_part_of_the_loss(
    still_folder: Path, toy_composition: MakeComposition, toy_mirror: Path, tmp_path: Path
) -> None:
    """The library adds the regulariser's gradient after zero_grad: it lands in the next step, unscaled and unlogged."""
    model = plain_fusion(still_folder)
    trainer = library_trainer(model, tmp_path)
    trainer.callback_handler.on_step_end(trainer.args, trainer.state, trainer.control)
    values = [item for key, item in model.named_parameters() if key.endswith(".value.weight") and "fusion" in key]
    assert all(value.grad is not None for value in values)  # gradients without a loss

    backbone = load_backbone(str(still_folder))
    composed = build(backbone, toy_composition("squad+hellaswag", "mnli", HEAD), seed=0)
    trainer = trainer_for(composed, "mnli", encoded("mnli", backbone, toy_mirror, 4), tmp_path)
    assert not any(isinstance(item, AdapterTrainerCallback) for item in trainer.callback_handler.callbacks)
    values = {
        key: item
        for key, item in composed.model.named_parameters()
        if key.endswith(".value.weight") and "fusion" in key
    }
    with torch.no_grad():
        for value in values.values():
            value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(0)) * 0.1)
    batch = batch_of("mnli", backbone, toy_mirror)
    head_loss = composed.model(**batch).loss
    penalty = sum(0.01 * (torch.eye(32) - value).pow(2).sum() for value in values.values())
    assert penalty > 0.1
    loss = trainer.compute_loss(composed.model, dict(batch))
    torch.testing.assert_close(loss, head_loss + penalty)
    expected = torch.autograd.grad(head_loss + penalty, list(values.values()))
    torch.testing.assert_close(torch.autograd.grad(loss, list(values.values())), expected)


def test_pitfall_12_label_columns_have_a_fixed_order(
    toy_backbone: Backbone, toy_composition: MakeComposition, toy_mirror: Path, tmp_path: Path
) -> None:
    """The library takes the names of label columns from a set: start and end may change places between processes."""
    head = FORMATS["span"].head(get_task("squad"))
    composed = build(toy_backbone, toy_composition("none", "squad", head), seed=0)
    trainer = trainer_for(composed, "squad", encoded("squad", toy_backbone, toy_mirror, 4), tmp_path)
    assert trainer.label_names == ["start_positions", "end_positions"]
    assert {name: list(FORMATS[name].label_names) for name in FORMATS if name != "span"} == {
        "classification": ["labels"],
        "multiple_choice": ["labels"],
        "tagging": ["labels"],
        "retrieval": [],
        "search": [],
        "language_modelling": ["labels"],
    }
