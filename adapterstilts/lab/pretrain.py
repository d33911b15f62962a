"""How the pico XLM-R is made: masked words, parallel pairs, and contrastive terms on texts and words of the pairs.

The objectives are those of XLM (Conneau and Lample 2019, https://arxiv.org/abs/1901.07291: MLM, and TLM on pairs), of
InfoXLM (Chi et al. 2021, https://arxiv.org/abs/2007.07834: InfoNCE between the two texts of a pair), and of Pan et al.
(2021, https://arxiv.org/abs/2010.12547: contrast of aligned words). The lab knows which words are aligned; here words
are contrasted at every layer, since adapters sit in every layer and transfer through those below them.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.errors import SettingsError
from adapterstilts.fingerprints import fingerprint
from adapterstilts.lab.batches import Batches, kept_corpus
from adapterstilts.lab.settings import PretrainingSettings
from adapterstilts.lab.tokenizer import MAX_LENGTH
from adapterstilts.progress import Reporter

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import XLMRobertaForMaskedLM

logger = logging.getLogger(__name__)


def new_model(settings: PretrainingSettings, vocabulary: int) -> XLMRobertaForMaskedLM:
    """Make an XLM-R of the given size with random weights."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    torch.manual_seed(settings.seed)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.width,
        max_position_embeddings=MAX_LENGTH + 2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    # On a CPU, the gradient of the fused attention takes three times as long as the rest of a short, padded batch.
    model: XLMRobertaForMaskedLM = XLMRobertaForMaskedLM._from_config(
        config, attn_implementation="sdpa" if torch.cuda.is_available() else "eager"
    )
    return model


def loss_of(
    model: XLMRobertaForMaskedLM, batch: dict[str, Tensor], settings: PretrainingSettings, contrast: bool
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of a batch and its parts: ``mlm`` or ``tlm``, and of pairs ``texts`` and ``words`` if wanted.

    Logits are worked out at masked positions alone. The contrastive terms are those of parallel texts, by the mean of
    ``contrastive_layer``, and of translated words, by the mean of their pieces, averaged over all layers.
    """
    import torch
    from torch.nn import functional

    padded = batch["attention"] if not bool(batch["attention"].all()) else None
    hidden = model.roberta(batch["ids"], attention_mask=padded).last_hidden_state
    at = batch["labels"] != -100
    loss = functional.cross_entropy(model.lm_head(hidden[at]).float(), batch["labels"][at])
    parts = {"mlm" if "first" not in batch else "tlm": loss}
    if "first" in batch and contrast:
        sides = [
            (
                model.roberta(batch[side], attention_mask=batch[f"{side}_attention"], output_hidden_states=True),
                batch[f"{side}_attention"],
                batch[f"{side}_words"],
            )
            for side in ("first", "second")
        ]
        if settings.contrastive:
            one, other = (
                mean_of(output.hidden_states[settings.contrastive_layer], there) for output, there, _ in sides
            )
            parts["texts"] = info_nce(one, other, settings.temperature)
            loss = loss + settings.contrastive * parts["texts"]
        if settings.words and len(concepts := batch["concepts"]):
            same = concepts.unsqueeze(0) == concepts.unsqueeze(1)
            layers = []
            for layer in range(1, settings.layers + 1):
                one, other = (words_of(output.hidden_states[layer], words, len(same)) for output, _, words in sides)
                layers.append(info_nce(one, other, settings.temperature, same))
            parts["words"] = torch.stack(layers).mean()
            loss = loss + settings.words * parts["words"]
    return loss, {name: float(part.detach()) for name, part in parts.items()}


def info_nce(one: Tensor, other: Tensor, temperature: float, same: Tensor | None = None) -> Tensor:
    """Return how badly each vector tells its partner among all of the other side, by the cosine; both ways.

    Args:
        one: shape (vectors, width).
        other: the partners in the same order, same shape.
        temperature: that of the softmax.
        same: which are not told apart, though no partners, shape (vectors, vectors).
    """
    import torch
    from torch.nn import functional

    scores = functional.normalize(one.float(), dim=-1) @ functional.normalize(other.float(), dim=-1).T / temperature
    right = torch.arange(len(scores), device=scores.device)
    if same is not None:
        scores = scores.masked_fill(same & (right.unsqueeze(0) != right.unsqueeze(1)), float("-inf"))
    return (functional.cross_entropy(scores, right) + functional.cross_entropy(scores.T, right)) / 2


def words_of(states: Tensor, words: Tensor, count: int) -> Tensor:
    """Return the mean state over the pieces of each word.

    Args:
        states: shape (batch, length, width).
        words: the number of each piece's word, -1 for none, shape (batch, length).
        count: number of words.

    Returns:
        shape (count, width).
    """
    import torch

    belongs = (words.flatten() == torch.arange(count, device=words.device).unsqueeze(-1)).to(states.dtype)
    return belongs @ states.flatten(0, 1) / belongs.sum(dim=-1, keepdim=True)


def mean_of(states: Tensor, attention: Tensor) -> Tensor:
    """Return the mean state over the tokens that are there. Shapes (batch, length, width), (batch, length)."""
    mask = attention.unsqueeze(-1).to(states.dtype)
    return (states * mask).sum(1) / mask.sum(1)


def pretrain(settings: PretrainingSettings, folder: Path, reporter: Reporter | None = None) -> Path:
    """Make the pico XLM-R, or go on where an interrupted run left off.

    Args:
        settings: all it depends on.
        folder: gets ``model`` when all is done, and ``checkpoint.pt`` and ``log.jsonl`` on the way.
        reporter: told of the progress.

    Returns:
        The folder of the model, in the layout that transformers reads; weights in half precision.

    Raises:
        SettingsError: the folder holds a run with other settings.
    """
    import torch

    reporter = reporter or Reporter()
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "settings.json"
    if mark.exists() and json.loads(mark.read_text()) != dataclasses.asdict(settings):
        raise SettingsError(f"'{folder}' holds a run with other settings. Give another folder, or remove it.")
    mark.write_text(json.dumps(dataclasses.asdict(settings), indent=2) + "\n")
    tokenizer, corpus = kept_corpus(settings, folder, reporter)
    logger.info("%d rows of running text, %d parallel texts", len(corpus.running), corpus.texts)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = new_model(settings, len(tokenizer))
    model.to(device)
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    rest = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=settings.learning_rate, betas=(0.9, 0.98), fused=True,
    )  # fmt: skip
    first = 0
    if (folder / "checkpoint.pt").exists():
        kept = torch.load(folder / "checkpoint.pt", map_location=device, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        first = int(kept["step"])
    batches = Batches(corpus, settings, tokenizer)
    reporter.begin("Pretraining", settings.steps)
    reporter.advance(first)
    started = time.monotonic()
    with (folder / "log.jsonl").open("a") as log:
        for step in range(first, settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _rate(step, settings)
            batch = {key: value.to(device) for key, value in batches.at(step).items()}
            contrast = step >= settings.contrastive_from * settings.steps
            with torch.autocast(device, dtype=torch.bfloat16):
                loss, parts = loss_of(model, batch, settings, contrast)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            reporter.advance(step + 1, **parts)
            if step % 20 == 0:
                log.write(json.dumps({"step": step, "seconds": round(time.monotonic() - started, 1), **parts}) + "\n")
                log.flush()
            if (step + 1) % settings.checkpoint_every == 0:
                _keep(folder, model, optimizer, step + 1)
    reporter.end()
    return save_model(model, tokenizer, folder / "model", settings)


def _rate(step: int, settings: PretrainingSettings) -> float:
    warmup = max(1, round(settings.warmup * settings.steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def _keep(folder: Path, model: Any, optimizer: Any, step: int) -> None:
    import torch

    new = folder / "checkpoint.new"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, new)
    new.replace(folder / "checkpoint.pt")


def save_model(model: Any, tokenizer: Any, folder: Path, settings: PretrainingSettings) -> Path:
    """Write the model in half precision, and its tokenizer, as transformers reads them."""
    import torch

    model.to("cpu", torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings_of_model = dataclasses.asdict(settings)
    (folder / "pretraining.json").write_text(
        json.dumps({"settings": settings_of_model, "fingerprint": fingerprint(settings_of_model)}, indent=2) + "\n"
    )
    return folder
