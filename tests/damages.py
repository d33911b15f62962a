"""Repositories damaged on purpose, one of many ways for each number; the same number is the same damage.

Where the damage is an accident, the hashes of the manifest tell it; where it is a lie, they agree with what is damaged.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

Files = dict[str, bytes]
Damage = tuple[str, Files]
"""What the error has to name, and the files of the repository."""

MANIFEST = "manifest.json"
NEEDED = (
    *("format_version", "kind", "id", "name", "fingerprint", "created", "expression", "backbone", "settings"),
    *("identity", "files"),
)
EVIL = ("\x1b[2J", "\u202egnp", "a\nb", "[red]x[/]", "x" * 500, "\x00", "\x9b31m", "\ufeff")
PARTS = ("..", ".", "~", "", "/", "C:", "adapters", "heads", "evil", "nul", "\u202e", "head.safetensors")
ENDS = (".safetensors", ".json", ".py", ".bin", ".pkl", "", ".safetensors\n", ".SAFETENSORS", "/")


def told_of(files: Files) -> dict[str, Any]:
    """Return the manifest."""
    manifest: dict[str, Any] = json.loads(files[MANIFEST])
    return manifest


def with_manifest(files: Files, change: Callable[[dict[str, Any]], Any]) -> Files:
    """Return files with another manifest."""
    manifest = told_of(files)
    change(manifest)
    return {**files, MANIFEST: json.dumps(manifest).encode()}


def with_file(files: Files, name: str, data: bytes) -> Files:
    """Return files with other bytes in one, and a manifest that agrees with them."""
    changed = {**files, name: data}
    return with_manifest(changed, lambda manifest: manifest["files"].update({name: sha256(data).hexdigest()}))


def damaged(files: Files, number: int, outside: Path) -> Damage:
    """Damage a repository.

    Args:
        files: of a whole one.
        number: of the damage.
        outside: a folder that hostile names of files aim at.
    """
    return WAYS[number % len(WAYS)](files, random.Random(number), outside)


def _weights(files: Files, generator: random.Random) -> str:
    return generator.choice([name for name in told_of(files)["files"] if name.endswith(".safetensors")])


def _tensor(files: Files, generator: random.Random) -> tuple[str, dict[str, torch.Tensor], str]:
    name = _weights(files, generator)
    tensors = load(files[name])
    return name, tensors, generator.choice(sorted(tensors))


def flipped(files: Files, generator: random.Random, _: Path) -> Damage:
    """A bit of any file."""
    name = generator.choice(list(told_of(files)["files"]))
    data = bytearray(files[name])
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    return name, {**files, name: bytes(data)}


def cut(files: Files, generator: random.Random, _: Path) -> Damage:
    name = generator.choice(list(told_of(files)["files"]))
    return name, {**files, name: files[name][: generator.randrange(len(files[name]))]}


def cut_lying(files: Files, generator: random.Random, _: Path) -> Damage:
    name = _weights(files, generator)
    return name, with_file(files, name, files[name][: generator.randrange(len(files[name]))])


def missing(files: Files, generator: random.Random, _: Path) -> Damage:
    name = generator.choice(list(told_of(files)["files"]))
    return name, {other: data for other, data in files.items() if other != name}


def another_file(files: Files, generator: random.Random, _: Path) -> Damage:
    """A part where another one belongs."""
    name = _weights(files, generator)
    other = generator.choice([item for item in told_of(files)["files"] if files[item] != files[name]])
    return name, with_file(files, name, files[other])


def header(files: Files, generator: random.Random, _: Path) -> Damage:
    """A header that promises more, or other bytes, than there are."""
    name = _weights(files, generator)
    data = bytearray(files[name])
    match generator.randrange(3):
        case 0:
            data[:8] = generator.randrange(len(data), 1 << 62).to_bytes(8, "little")
        case 1:
            data[8 : 8 + 40] = bytes(generator.randrange(256) for _ in range(40))
        case _:
            data += bytes(generator.randrange(1, 99))
    return name, with_file(files, name, bytes(data))


def swapped(files: Files, generator: random.Random, _: Path) -> Damage:
    """Two tensors in each other's place: of one shape by accident, else as a lie."""
    name, tensors, key = _tensor(files, generator)
    unlike = [other for other in tensors if tensors[other].shape != tensors[key].shape]
    alike = [other for other in tensors if other != key and not torch.equal(tensors[other], tensors[key])]
    other = generator.choice(sorted(unlike or alike))
    tensors[key], tensors[other] = tensors[other], tensors[key]
    return name, with_file(files, name, save(tensors)) if unlike else {**files, name: save(tensors)}


def other_type(files: Files, generator: random.Random, _: Path) -> Damage:
    name, tensors, key = _tensor(files, generator)
    kinds = (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int8, torch.bool)
    tensors[key] = tensors[key].to(generator.choice(kinds))
    return name, with_file(files, name, save(tensors))


def without_key(files: Files, generator: random.Random, _: Path) -> Damage:
    name, tensors, key = _tensor(files, generator)
    del tensors[key]
    return name, with_file(files, name, save(tensors))


def other_key(files: Files, generator: random.Random, _: Path) -> Damage:
    name, tensors, key = _tensor(files, generator)
    tensors[key + generator.choice(["x", ".weight", "/../x", "\x1b[2J"])] = tensors.pop(key)
    return name, with_file(files, name, save(tensors))


def more_keys(files: Files, generator: random.Random, _: Path) -> Damage:
    name, tensors, key = _tensor(files, generator)
    tensors[generator.choice([f"{key}.more", "embeddings.word_embeddings.weight", ""])] = tensors[key].clone()
    return name, with_file(files, name, save(tensors))


def other_shape(files: Files, generator: random.Random, _: Path) -> Damage:
    name, tensors, key = _tensor(files, generator)
    tensor = tensors[key]
    shapes = (torch.cat([tensor, tensor]), tensor[:-1].clone(), tensor.reshape(-1, 1), tensor.unsqueeze(0))
    tensors[key] = generator.choice([item for item in shapes if item.shape != tensor.shape])
    return name, with_file(files, name, save(tensors))


def no_numbers(files: Files, generator: random.Random, _: Path) -> Damage:
    """One number that is none, which need not show in an answer."""
    name, tensors, key = _tensor(files, generator)
    place = generator.randrange(tensors[key].numel())
    tensors[key].view(-1)[place] = generator.choice([float("nan"), float("inf"), float("-inf")])
    return name, with_file(files, name, save(tensors))


def hostile_name(files: Files, generator: random.Random, outside: Path) -> Damage:
    """A file whose name leaves the folder, or is none that an artifact has."""
    parts = [generator.choice(PARTS) for _ in range(generator.randrange(1, 5))]
    name = "/".join(parts) + generator.choice(ENDS)
    if generator.random() < 0.3:
        name = str(outside / "evil.safetensors")
    elif generator.random() < 0.3:
        name = "../" * generator.randrange(1, 9) + f"{outside.name}/evil.safetensors"
    if name in told_of(files)["files"]:
        name = f"{name}.py"
    named = with_manifest(files, lambda manifest: manifest["files"].update({name: sha256(b"x").hexdigest()}))
    return MANIFEST, {**named, name: b"x"}


def without_field(files: Files, generator: random.Random, _: Path) -> Damage:
    return MANIFEST, with_manifest(files, lambda manifest: manifest.pop(generator.choice(NEEDED)))


def other_kind_of_field(files: Files, generator: random.Random, _: Path) -> Damage:
    values: list[Any] = [None, 1.5, True, [[]], {"": {}}, -1]

    def change(manifest: dict[str, Any]) -> None:
        key = generator.choice(NEEDED)
        manifest[key] = generator.choice([value for value in values if type(value) is not type(manifest[key])])

    return MANIFEST, with_manifest(files, change)


def hostile_text(files: Files, generator: random.Random, _: Path) -> Damage:
    """A text that a terminal would obey, or that never ends."""

    def change(manifest: dict[str, Any]) -> None:
        place, key = generator.choice(
            [
                *((manifest, key) for key in ("created", "expression", "suite")),
                *((manifest["versions"], key) for key in ("torch", generator.choice(EVIL))),
                (manifest["settings"], "adapter"),
            ]
        )
        place[key] = generator.choice(EVIL)

    return MANIFEST, with_manifest(files, change)


def other_identity(files: Files, generator: random.Random, _: Path) -> Damage:
    """A fingerprint, an id or a name that does not come of what made the artifact."""

    def change(manifest: dict[str, Any]) -> None:
        match generator.randrange(4):
            case 0:
                manifest["identity"]["more"] = generator.random()
            case 1:
                manifest["fingerprint"] = sha256(generator.randbytes(8)).hexdigest()
            case 2:
                manifest["id"] = generator.choice(["../../", "/", "x-"]) + manifest["id"]
            case _:
                manifest["name"] = generator.choice(["../../evil", "", "x"])

    return MANIFEST, with_manifest(files, change)


def cut_manifest(files: Files, generator: random.Random, _: Path) -> Damage:
    data = files[MANIFEST].rstrip()
    match generator.randrange(3):
        case 0:
            data = data[: generator.randrange(len(data))]
        case 1:
            data = data[:-1] + b', "kind": "target"}'
        case _:
            data = data[:-1] + b', "x": NaN}'
    return MANIFEST, {**files, MANIFEST: data}


def description(files: Files, generator: random.Random, _: Path) -> Damage:
    """A composition that lacks something, or asks for too much."""
    (name,) = set(files) & {"composition.json", "adapter.json", "fusion.json"}
    value = json.loads(files[name])
    match generator.randrange(4):
        case 0:
            value.pop(generator.choice(["expression", "adapters"]))
        case 1:
            config = value["adapters"][generator.choice(sorted(value["adapters"]))]
            config[generator.choice(["reduction_factor", "r", "prefix_length", "x"])] = generator.choice([1e-9, 1e12])
            config["prefix_length"] = 10**9
        case 2:
            value["expression"] = generator.choice(["(" * 999, "../evil", 1, "mnli+", "none+"])
        case _:
            value["adapters"] = generator.choice([[], {}, {"../evil": {}}, None])
    return name, with_file(files, name, json.dumps(value).encode())


WAYS: tuple[Callable[[Files, random.Random, Path], Damage], ...] = (
    *(flipped, cut, cut_lying, missing, another_file, header, swapped, other_type, without_key, other_key, more_keys),
    *(other_shape, no_numbers, hostile_name, without_field, other_kind_of_field, hostile_text, other_identity),
    *(cut_manifest, description),
)
