"""Language adapters as the adapters library saves them: the same logits, or a message that names what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from calling import validate

from adapterstilts.errors import ArtifactError, DataUnavailableError
from adapterstilts.models.backbone import identify, load_backbone
from adapterstilts.models.configs import adapter_config_json
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.saved import load_headless
from adapterstilts.store.artifacts import Store
from adapterstilts.training import adapter_hub
from adapterstilts.training.adapter_hub import download, hub_id, import_language


@pytest.fixture
def saved(toy_backbone_folder: Path, tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """An adapter with random weights that the library saved, and what the encoder says with it."""
    model = load_backbone(str(toy_backbone_folder)).model
    model.add_adapter("sw", config=adapter_config_json("seq_bn_inv", reduction_factor=2))  # type: ignore[operator]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if "adapters.sw." in key:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
    model.set_active_adapters("sw")  # type: ignore[operator]
    folder = tmp_path / "saved"
    model.save_adapter(str(folder), "sw", use_safetensors=False)  # type: ignore[operator]
    return folder, said(model)


def said(model: torch.nn.Module) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        hidden: torch.Tensor = model.base_model(input_ids=torch.arange(5, 25).reshape(2, 10))[0]  # type: ignore[operator]
    return hidden


@pytest.fixture
def identity(toy_backbone_folder: Path) -> BackboneIdentity:
    return identify(str(toy_backbone_folder))


@pytest.mark.parametrize("older", [False, True])
def test_the_encoder_says_the_same(
    older: bool, saved: tuple[Path, torch.Tensor], identity: BackboneIdentity, store: Store
) -> None:
    """Also with the names that older versions wrote, and without the model's prefix."""
    folder, wanted = saved
    if older:
        path = folder / "pytorch_adapter.bin"
        tensors = torch.load(path, weights_only=True)
        renamed = {
            key.replace("invertible_adapters", "invertible_lang_adapters")
            .replace("output.adapters", "output.layer_text_lang_adapters")
            .removeprefix("roberta."): tensor
            for key, tensor in tensors.items()
        }
        assert renamed.keys() != tensors.keys()
        torch.save(renamed, path)
    artifact = import_language(folder, "sw", "xtreme", identity, store)
    assert (artifact.kind, artifact.manifest["language"]) == ("language", "sw")
    validate([{"path": str(artifact.path), **artifact.manifest}], "runs")
    found = load_headless(artifact, load_backbone(identity.id))
    torch.testing.assert_close(said(found.model), wanted, rtol=0, atol=0)
    assert import_language(folder, "sw", "xtreme", identity, store).id == artifact.id
    assert len(store.all("language")) == 1


def test_what_does_not_fit_is_refused(
    saved: tuple[Path, torch.Tensor], identity: BackboneIdentity, store: Store
) -> None:
    folder, _ = saved
    path = folder / "pytorch_adapter.bin"
    tensors = torch.load(path, weights_only=True)
    first = next(iter(tensors))

    def refused(says: str) -> None:
        with pytest.raises(ArtifactError, match=says):
            import_language(folder, "sw", "xtreme", identity, store)
        assert not store.all()

    torch.save({key: value for key, value in tensors.items() if key != first}, path)
    refused("lacks the key")
    torch.save({**tensors, "roberta.more": torch.zeros(2)}, path)
    refused("has the key 'roberta.more', which the model does not know")
    torch.save({**tensors, first: torch.zeros(2)}, path)
    refused(r"has shape \(2,\)")
    torch.save({"what": [1]}, path)
    refused("something else than tensors")
    path.write_bytes(b"cut")
    refused("cannot be read")
    path.unlink()
    refused("has no weights of an adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"model_name": "bert-base"}))
    refused("was made for 'bert-base'")
    (folder / "adapter_config.json").write_text("[]")
    refused("does not tell the configuration")


def test_what_the_hub_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, identity: BackboneIdentity) -> None:
    xlm_r = BackboneIdentity("xlm-roberta-base", "commit", "hash", "xlm-roberta")
    assert hub_id("sw", xlm_r) == "AdapterHub/xlm-roberta-base-sw-wiki_pfeiffer"
    assert hub_id("bg", xlm_r) is None
    assert hub_id("sw", identity) is None
    asked = []

    def fetched(name: str, **options: object) -> str:
        asked.append((name, options["allow_patterns"]))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    assert download("AdapterHub/any") == tmp_path
    assert asked == [("AdapterHub/any", ["adapter_config.json", "adapter.safetensors", "pytorch_adapter.bin"])]
    monkeypatch.undo()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataUnavailableError, match="hf download AdapterHub/none"):
        adapter_hub.download("AdapterHub/none")
