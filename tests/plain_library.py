"""The adapters library as it is, to show its faults beside our guards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from adapters import AdapterTrainer, AutoAdapterModel
from adapters.composition import Fuse
from toy_compositions import copies
from transformers import TrainingArguments


def plain(folder: Path) -> Any:
    """Return the model as the library gives it, without the head it adds unasked."""
    torch.manual_seed(0)
    model = AutoAdapterModel.from_pretrained(str(folder))
    model.delete_head("default")
    return model


def plain_fusion(folder: Path) -> Any:
    """Return a plain model with a fusion of the adapters a and b and a head, ready to train the fusion."""
    model = plain(folder)
    for name in ("a", "b"):
        model.add_adapter(name, config="seq_bn")
    model.add_adapter_fusion(Fuse("a", "b"))
    model.add_classification_head("a", num_labels=3)
    model.train_adapter_fusion(Fuse("a", "b"))
    return model


def library_trainer(model: Any, folder: Path, features: Any = None, collator: Any = None, **arguments: Any) -> Any:
    """Return the library's trainer."""
    options = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", **arguments}
    return AdapterTrainer(
        model=model,
        args=TrainingArguments(output_dir=str(folder), **options),
        train_dataset=features,
        data_collator=collator,
    )


def part_of(model: Any, marker: str) -> dict[str, torch.Tensor]:
    """Return a copy of the weights whose names contain ``marker``."""
    return copies({key: tensor for key, tensor in model.state_dict().items() if marker in key})


def overwrite(model: Any, marker: str, value: float) -> None:
    """Fill the weights whose names contain ``marker``."""
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if marker in key:
                tensor.fill_(value)
