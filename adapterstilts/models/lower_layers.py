"""The part of a model below its first adapter: run by itself, and left out where its outputs are given.

Where adapters are left out of the layers from 0 on (``--drop-layers 0-2``), embeddings and those layers are a fixed
function of the token ids, as long as they run without dropout. ``LowerLayers`` works it out for a sequence at a time,
without padding, so that the outputs are those of the sequence alone: neither what else is in a batch nor the padding
changes a bit of them, and outputs that were kept can take the place of new ones. On an accelerator, which one sequence
at a time would leave idle, sequences go in batches; there the last bits may depend on the batch.

Where all adapters stand at the end of a layer, behind its feed-forward block (``seq_bn``, ``par_bn`` and fusions of
them), the first layer with one belongs to the lower part up to there, too: attention and feed-forward block of one more
layer, which is a fifth of a training step of an encoder with 6 layers and 3 of them dropped. Its outputs are the two
arguments of the adapters, side by side: what the feed-forward block makes, and what goes around it.

The rest of the model is the model itself. Inside ``above`` its embeddings return the given outputs, and its list of
layers begins at the first with an adapter; masks, adapters, fusions and heads work as ever, and no weight changes its
name. Places of padding are zero there, whatever the embeddings would say: no token sees them. A loss over all places,
as that of answer spans is, does, so that it differs there from the whole model's; the logits of tokens do not.

Not every model can be cut like that: DeBERTa-v2 may have a convolution behind its first layer, ALBERT has one layer
for all, and where embeddings are projected to another width, states would be, too. ``lower_layers`` compares the cut
model with the whole one on a few tokens, and returns None where they differ or the cut one fails.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adapterstilts.models.layers import left_out

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from adapterstilts.models.backbone import ComposedModel
    from adapterstilts.models.composition import Composition

logger = logging.getLogger(__name__)

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


def all_at_the_end(composition: Composition, layer: int) -> bool:
    """Tell whether all adapters of a layer stand behind its feed-forward block, and nothing is changed before."""
    configs = [config for config in composition.adapters.values() if layer not in left_out(config)]
    return all(
        config.get("output_adapter") and config.get("mh_adapter") is False and not config.get("inv_adapter")
        for config in configs
    )


class LowerLayers:
    """Embeddings and lowest layers of a model.

    Args:
        model: with flexible heads.
        count: of the layers that belong to the lower part.
        further: whether the next layer does, too, up to its adapters, which all stand at its end.

    Raises:
        ValueError: the model has no such list of layers, or embeddings that are no module of their own, or its layers
            have no one place for adapters at the end.
    """

    def __init__(self, model: Any, count: int, *, further: bool = False) -> None:
        self.base: Any = model.base_model
        self.count, self.further = count, further
        self.width = int(model.config.hidden_size) * (2 if further else 1)
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
        parts = {True: layers[:count], False: layers[count:]}
        self._lower: list[Module] = [self.embeddings, *layers[:count]]
        if further and count == len(layers):
            raise ValueError("There is no further layer.")
        if further:
            cut = _CutLayer(layers[count])
            parts = {True: [*parts[True], cut.until], False: [cut.beyond, *parts[False][1:]]}
            self._lower += cut.before
        self._lists = {below: type(getattr(*homes[0]))(part) for below, part in parts.items()}

    @property
    def modules(self) -> tuple[Module, ...]:
        """The embeddings, the lower layers, and what stands before the adapters of the next, if that is part of it."""
        return tuple(self._lower)

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
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # something before or behind the layers wants states of another width, say
            logger.debug("%s cannot be cut: %s", type(self.base).__name__, error)
            return False
        finally:
            self.base.train(mode)
        places = batch["attention_mask"].bool()
        difference = (whole - cut)[places].abs().max() / whole[places].abs().max().clamp(min=1)
        return bool(difference <= TOLERANCE)


def lower_layers(composed: ComposedModel, *, further: bool = True) -> LowerLayers | None:
    """Return the part of a model below its first adapter; None where there is none or the model cannot be cut.

    Args:
        composed: the model.
        further: whether a part of the first layer with an adapter may belong to it.
    """
    count = layers_below(composed.composition)
    if not count:
        return None
    if further and all_at_the_end(composed.composition, count):
        found = _checked(composed, count, further=True)
        if found is not None:
            return found
    return _checked(composed, count, further=False)


def _checked(composed: ComposedModel, count: int, *, further: bool) -> LowerLayers | None:
    model: Any = composed.model
    try:
        lower = LowerLayers(model, count, further=further)
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


class _CutLayer:
    """A layer in two: all before its adapters, which gives their arguments, and the adapters, which take them.

    Raises:
        ValueError: the library puts adapters into it in another way, or into more than one place at its end.
    """

    def __init__(self, layer: Module) -> None:
        from adapters.methods.bottleneck import BottleneckLayer

        places: list[Any] = [item for item in layer.modules() if isinstance(item, BottleneckLayer)]
        ends = [item for item in places if item.location_key == "output_adapter" and not item.is_layer_hooked]
        if len(ends) != 1:
            raise ValueError(f"{type(layer).__name__} has not one place for adapters at its end.")
        self.layer, self.end = layer, ends[0]
        self.until, self.beyond = _module(self._until), _module(self._beyond)
        self._norm: Any = None
        self._places: list[bool] | None = None

    @property
    def before(self) -> list[Module]:
        """All of the layer but its adapters and their fusions."""
        return _without(self.layer, (self.end.adapters, self.end.adapter_fusion_layer))

    def _until(self, *arguments: Any, **options: Any) -> Any:
        """Return what the layer does, but in the place of its output the two arguments of its adapters."""
        import torch

        def stop(hidden: Tensor, residual: Tensor, norm: Any) -> Tensor:
            self._norm = norm
            return torch.cat([hidden, residual], dim=-1)

        self.end.bottleneck_layer_forward = stop
        try:
            answer = self.layer(*arguments, **options)
        finally:
            del self.end.bottleneck_layer_forward
        several = isinstance(answer, tuple)
        self._places = [isinstance(item, torch.Tensor) and item.dim() == 3 for item in answer] if several else None
        return answer

    def _beyond(self, states: Tensor, *_: Any, **__: Any) -> Any:
        """Return what the layer does, from the arguments of its adapters."""
        import torch

        hidden, residual = (half.contiguous() for half in states.chunk(2, dim=-1))
        if torch.is_autocast_enabled(hidden.device.type):  # side by side both were in the wider precision
            hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
        output = self.end.bottleneck_layer_forward(hidden, residual, self._norm)
        return output if self._places is None else tuple(output if place else None for place in self._places)


def _module(forward: Callable[..., Any]) -> Module:
    """Return a module that does what a function does, and has nothing of its own."""
    from torch.nn import Module

    made = Module()
    made.forward = forward
    return made


def _without(module: Module, parts: Sequence[Module]) -> list[Module]:
    """Return the modules that make up a module, but for some parts of it."""
    if any(module is part for part in parts):
        return []
    if not any(other is part for other in module.modules() for part in parts):
        return [module]
    return [found for child in module.children() for found in _without(child, parts)]


def _padded(rows: Sequence[Sequence[int]], length: int, fill: int) -> Tensor:
    import torch

    return torch.tensor([[*row, *[fill] * (length - len(row))] for row in rows], dtype=torch.long)
