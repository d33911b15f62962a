"""The part of a model below its first adapter: run by itself, and left out where its outputs are given.

Where adapters are left out of the layers from 0 on (``--drop-layers 0-2``), embeddings and those layers are a fixed
function of the token ids, as long as they run without dropout. ``LowerLayers`` works it out for a sequence at a time,
without padding, so that the outputs are those of the sequence alone: neither what else is in a batch nor the padding
changes a bit of them, and outputs that were kept can take the place of new ones. On an accelerator, which one sequence
at a time would leave idle, sequences go in batches; there the last bits may depend on the batch.

The rest of the model is the model itself. Inside ``above`` its embeddings return the given outputs, and its list of
layers begins at the first with an adapter; masks, adapters, fusions and heads work as ever, and no weight changes its
name. Places of padding are zero there, whatever the embeddings would say: no token sees them. A loss over all places,
as that of answer spans is, does, so that it differs there from the whole model's; the logits of tokens do not.

Not every model can be cut like that: DeBERTa-v2 may have a convolution behind its first layer, ALBERT has one layer
for all. ``lower_layers`` compares the cut model with the whole one on a few tokens, and returns None where they differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from adapterstilts.models.backbone import ComposedModel
    from adapterstilts.models.composition import Composition

TOGETHER = 32
"""Sequences of a forward pass on an accelerator."""
PROBE_LENGTHS = (7, 12, 4)
TOLERANCE = 1e-4
"""Largest difference between the outputs of the cut and the whole model, by the largest of the outputs."""


def layers_below(composition: Composition) -> int:
    """Return the number of layers, from the lowest on, in which nothing is trained and no adapter works."""
    count = 0
    while not composition.full and count in composition.left_out:
        count += 1
    return count


class LowerLayers:
    """Embeddings and lowest layers of a model.

    Args:
        model: with flexible heads.
        count: of the layers that belong to the lower part.

    Raises:
        ValueError: the model has no such list of layers, or embeddings that are no module of their own.
    """

    def __init__(self, model: Any, count: int) -> None:
        self.base: Any = model.base_model
        self.count = count
        self.width = int(model.config.hidden_size)
        embeddings = getattr(self.base, "embeddings", None)
        layers = [layer for _, layer in self.base.iter_layers()]
        homes = [
            (parent, name)
            for parent in self.base.modules()
            for name, child in parent.named_children()
            if type(child).__name__ == "ModuleList" and list(child) == layers
        ]
        if embeddings is None or len(homes) != 1:
            raise ValueError(f"{type(self.base).__name__} has no embeddings or no one list of layers.")
        self.embeddings: Module = embeddings
        self._home: tuple[Module, str] = homes[0]
        self._lists = {below: type(getattr(*homes[0]))(_part(layers, count, below=below)) for below in (True, False)}

    @property
    def modules(self) -> tuple[Module, ...]:
        """The embeddings and the lower layers."""
        return (self.embeddings, *self._lists[True])

    @property
    def device(self) -> Any:
        """Where the weights are."""
        return next(self.embeddings.parameters()).device

    @property
    def precision(self) -> Any:
        """The type of the weights."""
        return next(self.embeddings.parameters()).dtype

    def run(self, sequences: Sequence[Mapping[str, Sequence[int]]], pad_token_id: int = 0) -> list[Tensor]:
        """Return the outputs of the lower part, without dropout, gradients or autocast.

        Args:
            sequences: ``input_ids`` of each, and ``token_type_ids`` where the model has them.
            pad_token_id: fills up shorter sequences on an accelerator.

        Returns:
            for each sequence (length, width), in the precision of the weights.
        """
        import torch

        device = self.device
        size = 1 if device.type == "cpu" else TOGETHER
        order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]["input_ids"]))
        found: list[Any] = [None] * len(sequences)
        for module in self.modules:
            module.eval()
        with torch.no_grad(), torch.autocast(device.type, enabled=False), self._only(below=True):
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                lengths = [len(sequences[index]["input_ids"]) for index in chosen]
                fills = {"input_ids": pad_token_id, "token_type_ids": 0}
                batch = {
                    name: _padded([sequences[index][name] for index in chosen], max(lengths), fill).to(device)
                    for name, fill in fills.items()
                    if name in sequences[chosen[0]]
                }
                mask = _padded([[1] * length for length in lengths], max(lengths), 0).to(device)
                outputs = self.base(**batch, attention_mask=mask)[0]
                for index, length, output in zip(chosen, lengths, outputs, strict=True):
                    found[index] = output[:length]
        return found

    def outputs(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the outputs of the lower part for a padded batch, as the whole model works them out on its way.

        Args:
            batch: ``input_ids``, ``attention_mask`` and, where the model has them, ``token_type_ids``, each
                (rows, length) or (rows, choices, length).

        Returns:
            (sequences, length, width), those of padding among them.
        """
        names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch]
        inputs = {name: batch[name].view(-1, batch[name].shape[-1]) for name in names}
        with self._only(below=True):
            output: Tensor = self.base(**inputs)[0]
        return output

    @contextmanager
    def above(self, states: Tensor) -> Iterator[None]:
        """Let the model work from given outputs of its lower part, whatever token ids it gets.

        Args:
            states: (sequences, length, width), of the same shape as the token ids, in the precision that the first
                layer above shall get; brought to the device of the weights.
        """
        given = states.to(self.device)
        embeddings: Any = self.embeddings
        before = vars(embeddings).get("forward")
        embeddings.forward = lambda *_, **__: given
        try:
            with self._only(below=False):
                yield
        finally:
            del embeddings.forward
            if before is not None:
                embeddings.forward = before

    @contextmanager
    def _only(self, *, below: bool) -> Iterator[None]:
        """Give the model some of its layers only; the lower ones without the pooler, which belongs to the top."""
        parent, name = self._home
        every, pooler = getattr(parent, name), getattr(self.base, "pooler", None)
        setattr(parent, name, self._lists[below])
        if below and pooler is not None:
            self.base.pooler = None
        try:
            yield
        finally:
            setattr(parent, name, every)
            if pooler is not None:
                self.base.pooler = pooler

    def fits(self, vocabulary: int, pad_token_id: int) -> bool:
        """Tell whether the cut model does what the whole one does, on a few random tokens without dropout."""
        import torch

        generator = torch.Generator().manual_seed(0)
        ids = [
            torch.randint(vocabulary // 2, vocabulary, (length,), generator=generator).tolist()
            for length in PROBE_LENGTHS
        ]
        longest, device = max(PROBE_LENGTHS), self.device
        batch = {
            "input_ids": _padded(ids, longest, pad_token_id).to(device),
            "attention_mask": _padded([[1] * len(row) for row in ids], longest, 0).to(device),
        }
        mode = self.base.training
        self.base.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng():
                whole = self.base(**batch)[0]
                with self.above(stacked(self.run([{"input_ids": row} for row in ids], pad_token_id), longest)):
                    cut = self.base(**batch)[0]
        finally:
            self.base.train(mode)
        places = batch["attention_mask"].bool()
        difference = (whole - cut)[places].abs().max() / whole[places].abs().max().clamp(min=1)
        return bool(difference <= TOLERANCE)


def lower_layers(composed: ComposedModel) -> LowerLayers | None:
    """Return the part of a model below its first adapter; None where there is none or the model cannot be cut."""
    model: Any = composed.model
    count = layers_below(composed.composition)
    if not count:
        return None
    try:
        lower = LowerLayers(model, count)
    except ValueError:
        return None
    own = {id(parameter) for module in lower.modules for parameter in module.parameters()}
    added = {key for keys in composed.keys.values() for key in keys}
    touched = any(id(item) in own and (item.requires_grad or key in added) for key, item in model.named_parameters())
    tokenizer = composed.backbone.tokenizer
    if touched or not lower.fits(int(model.config.vocab_size), int(tokenizer.pad_token_id)):
        return None
    return lower


def one_backbone(models: Iterable[ComposedModel]) -> list[ComposedModel]:
    """Bring compositions on one backbone to the accelerator, if there is one, with its frozen weights once for all.

    Args:
        models: of one backbone, each loaded when it is asked for, so that no more than two backbones are in memory.
    """
    found: list[ComposedModel] = []
    for composed in models:
        added = {key for keys in composed.keys.values() for key in keys}
        if found:
            first: Any = found[0].model
            frozen = {name: weight for name, weight in first.named_parameters() if not weight.requires_grad}
            own: Any = composed.model
            for name, weight in own.named_parameters():
                other = frozen.get(name)
                if name not in added and other is not None and other.shape == weight.shape:
                    weight.data = other.data
        composed.to_device()
        found.append(composed)
    return found


def stacked(states: Sequence[Tensor], length: int) -> Tensor:
    """Return states of sequences, (their length, width) each, filled up with zeros: (sequences, length, width)."""
    filled = states[0].new_zeros(len(states), length, states[0].shape[-1])
    for row, each in zip(filled, states, strict=True):
        row[: len(each)] = each
    return filled


def _part(layers: list[Any], count: int, *, below: bool) -> list[Any]:
    return layers[:count] if below else layers[count:]


def _padded(rows: Sequence[Sequence[int]], length: int, fill: int) -> Tensor:
    import torch

    return torch.tensor([[*row, *[fill] * (length - len(row))] for row in rows], dtype=torch.long)
