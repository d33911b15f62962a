"""Does every part of a composition change what the model says? Some that the adapters library accepts do not.

A parallel adapter on top of a stack, for one, silences what lies below it; of several invertible adapters only the
first is used. Such a composition would train and score, and its comparison would mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import ExpressionError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROBE_LENGTH = 8
PROBE_SCALE = 0.3


def check_effect(model: PreTrainedModel, keys: Mapping[str, tuple[str, ...]], *, inputs: int, what: str) -> None:
    """Refuse a composition with a part that the model does not use.

    Random values are added to all weights for a moment and one gradient is taken on a few random tokens: a tensor
    without gradient is not used. Weights and random states are put back.

    Args:
        model: with the composition active.
        keys: names of the tensors of each part.
        inputs: number of sequences that the head takes for one example.
        what: the composition, for the message.

    Raises:
        ExpressionError: names the parts.
    """
    import torch

    target: Any = model
    parameters = dict(target.named_parameters(remove_duplicate=False))
    added = {part: [key for key in names if key in parameters] for part, names in keys.items()}
    chosen = {id(parameters[key]): parameters[key] for names in added.values() for key in names}.values()
    # Orthogonal parametrisations keep signs in their tensors, as whole numbers: noise would make them zero.
    noisy = {id(parameters[key]) for names in added.values() for key in names if ".parametrizations." not in key}
    kept = [(parameter, parameter.detach().clone(), parameter.requires_grad) for parameter in chosen]
    generator = torch.Generator().manual_seed(0)
    mode = target.training
    try:
        with torch.random.fork_rng():
            target.eval()
            with torch.no_grad():
                for parameter in chosen:
                    noise = torch.randn(parameter.shape, generator=generator) * PROBE_SCALE
                    if id(parameter) in noisy:
                        parameter.add_(noise.to(parameter.device))
                    parameter.requires_grad_(True)
            vocabulary = int(target.config.vocab_size)
            ids = torch.randint(vocabulary // 2, vocabulary, (inputs, PROBE_LENGTH), generator=generator)
            ids = ids.to(next(target.parameters()).device)
            output = target(input_ids=ids, attention_mask=torch.ones_like(ids))
            logits = output["logits"] if "logits" in output else output["start_logits"] + output["end_logits"]
            (logits * torch.randn(logits.shape, generator=generator).to(logits.device)).sum().backward()
        idle = {part: [key for key in names if parameters[key].grad is None] for part, names in added.items()}
        silent = [part for part, names in added.items() if not any(_moves(parameters[key]) for key in names)]
    finally:
        with torch.no_grad():
            for parameter, values, trained in kept:
                parameter.copy_(values)
                parameter.requires_grad_(trained)
                parameter.grad = None
        target.train(mode)
    faults = [f"'{part}' has no effect at all" for part in silent]
    faults += [
        f"{len(names)} of the {len(added[part])} tensors of '{part}' are never used (such as '{names[0]}')"
        for part, names in idle.items()
        if names and part not in silent
    ]
    if faults:
        raise ExpressionError(
            f"{what} cannot work: {'; '.join(faults)}. The adapters library does not join these types in this way. "
            "Choose another --adapter; seq_bn, double_seq_bn and lora can be stacked."
        )


def _moves(parameter: Any) -> bool:
    return parameter.grad is not None and bool((parameter.grad != 0).any())
