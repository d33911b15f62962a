"""What the part below the first adapter makes of encoded rows: worked out once, kept on disk, used again.

A training with ``--drop-layers 0-k`` asks for the same hidden states in each epoch, and so do trainings on the same
rows with other seeds, learning rates and compositions, and other adapters at the same places of a layer: the file's
fingerprint is that of the token ids, the backbone, where the lower part ends, and what the arithmetic depends on. The
states are rounded to half precision, kept or not, so that nothing but time depends on the file. float16 and not
bfloat16: numbers are small, behind a layer norm and in what a feed-forward block adds, and the finer grid counts (11
bits of 8); numbers beyond its range are cut off at its end.

They are worked out in one pass before the training, not in its first epoch: the cost is the same, and a training that
is cut off leaves the whole file or none. Whether it pays is measured on a few sequences: the time to work their states
out, against the time to write and to read them, by the number of passes that are planned and those of one more run (a
target's baseline trains on the same rows). Where another run left the file, it is simply used.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import time
import uuid
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterstilts.data.collate import ROW
from adapterstilts.errors import ArtifactError
from adapterstilts.fingerprints import fingerprint
from adapterstilts.models.lower_layers import LowerLayers, stacked
from adapterstilts.progress import Reporter
from adapterstilts.store.hidden_states import ITEM, find_states, gigabytes, make_room, states_folder, write_states
from adapterstilts.store.locks import locked
from adapterstilts.tasks.formats.base import input_columns
from adapterstilts.tasks.formats.sequences import Sequences

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np
    from datasets import Dataset
    from torch import Tensor

    from adapterstilts.models.backbone import Backbone

VERSION = 1
"""Raised when kept states mean something else."""
BLOCK = 256
"""Sequences that are worked out before they are written."""
SAMPLE = 32
"""Sequences that tell whether keeping pays."""


@dataclass(frozen=True)
class RowStates:
    """Hidden states of encoded rows below the first adapter, in half precision."""

    lower: LowerLayers
    sequences: Sequences
    pad_token_id: int
    kept: np.ndarray | None = None
    """Those of all tokens, (tokens, width); None works them out where they are asked for."""

    def states(self, numbers: Sequence[int]) -> list[Tensor]:
        """Return the states of sequences, (length, width) each, float16."""
        import torch

        if self.kept is None:
            found = self.lower.run([self.sequences.one(number) for number in numbers], self.pad_token_id)
            return [rounded(states) for states in found]
        offsets = self.sequences.offsets
        return [torch.from_numpy(self.kept[offsets[number] : offsets[number + 1]].copy()) for number in numbers]

    def given(self, rows: Sequence[int], length: int) -> AbstractContextManager[None]:
        """Return a context in which the model takes a batch of rows from where their states leave off.

        Args:
            rows: positions of the rows in the batch, in its order.
            length: of the padded batch.
        """
        states = stacked(self.states(self.sequences.of_rows(rows).tolist()), length)
        return self.lower.above(states.to(self.lower.device, self.lower.precision))


def given_to(batch: MutableMapping[str, Any], states: RowStates | None) -> AbstractContextManager[None]:
    """Take the numbers of the rows out of a batch, and return ``RowStates.given`` for them.

    Args:
        batch: of rows from ``numbered``, padded; as it is, without states.
        states: of the rows, where the model shall not work them out itself.
    """
    return nullcontext() if states is None else states.given(batch.pop(ROW).tolist(), batch["input_ids"].shape[-1])


def numbered(features: Dataset) -> Dataset:
    """Return encoded rows with their positions as a column, which the collator hands on."""
    return features.add_column(ROW, list(range(len(features))))


def row_states(
    lower: LowerLayers,
    features: Dataset,
    backbone: Backbone,
    *,
    what: str,
    passes: float = 0.0,
    home: Path | None = None,
    reporter: Reporter | None = None,
) -> RowStates:
    """Return the hidden states of encoded rows: kept ones, new ones if it pays to keep them, else none yet.

    Args:
        lower: the part of the model that works them out.
        features: one row an input, with ``input_ids``.
        backbone: whose model it is.
        what: they are of, for people.
        passes: how often the states of all rows will be asked for.
        home: the store's folder; None keeps nothing.
        reporter: told what is kept where, or why not.
    """
    sequences = Sequences.of(features, input_columns(features.features))
    pad, tokens = int(backbone.tokenizer.pad_token_id), int(sequences.offsets[-1])
    without = RowStates(lower, sequences, pad)
    if home is None or not tokens:
        return without
    reporter = reporter or Reporter()
    key, size = states_key(without, backbone), tokens * lower.width * ITEM
    layers = f"{what}: hidden states up to the first adapter"

    def found() -> np.ndarray | None:
        return find_states(home, key, tokens, lower.width)

    if (kept := found()) is not None:
        reporter.message(f"{layers}: taken from {states_folder(home) / key} ({gigabytes(size)})")
        return RowStates(lower, sequences, pad, kept)
    try:
        with locked(home, f"states-{key[:12]}", layers, reporter.message):
            if (kept := found()) is None:  # it may have been made while one waited
                if fault := make_room(home, size):
                    reporter.message(f"{layers}: not kept, {fault}")
                    return without
                if not Cost.of(without, home).keeping_pays(passes):
                    return without
                write_states(home, key, _made(without, reporter, layers))
                kept = found()
    except ArtifactError as error:
        reporter.message(f"{layers}: not kept. {error}")
        return without
    reporter.message(f"{layers}: kept in {states_folder(home) / key} ({gigabytes(size)})")
    return RowStates(lower, sequences, pad, kept)


def states_key(states: RowStates, backbone: Backbone) -> str:
    """Return the fingerprint of all that hidden states depend on to the last bit."""
    import torch

    device = states.lower.device
    accelerator = "" if device.type == "cpu" else str(torch.cuda.get_device_name(device))
    return fingerprint(
        {
            "version": VERSION,
            "tokens": _digest(states.sequences),
            "backbone": backbone.identity.key,
            "layers": states.lower.count,
            **({"further": True} if states.lower.further else {}),
            "precision": str(states.lower.precision),
            "torch": torch.__version__,
            "processor": [accelerator or torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()],
        }
    )


@dataclass(frozen=True)
class Cost:
    """Seconds of a few sequences."""

    run: float
    """To work their hidden states out."""
    write: float
    read: float

    @classmethod
    def of(cls, states: RowStates, home: Path) -> Cost:
        """Measure it."""
        import numpy as np

        count = len(states.sequences.lengths)
        numbers = range(0, count, -(-count // SAMPLE))
        name, moments, kept = f"sample.{uuid.uuid4().hex[:8]}", [time.perf_counter()], None
        sample = [each.numpy() for each in states.states(numbers)]
        moments.append(time.perf_counter())
        try:
            write_states(home, name, sample)
            moments.append(time.perf_counter())
            kept = find_states(home, name, sum(map(len, sample)), states.lower.width)
            assert kept is not None
            np.array(kept)
            moments.append(time.perf_counter())
        finally:
            shutil.rmtree(states_folder(home) / name, ignore_errors=True)
        return cls(*(after - before for before, after in itertools.pairwise(moments)))

    def keeping_pays(self, passes: float) -> bool:
        """Tell whether so many passes, and one of another run, take less time if the first of them fills the file."""
        return passes * self.run > self.write + (passes + 1) * self.read


def rounded(states: Tensor) -> Tensor:
    """Return states in the precision in which they are kept, on the CPU."""
    import torch

    most = torch.finfo(torch.float16).max
    return states.clamp(-most, most).to(torch.float16).cpu()


def _digest(sequences: Sequences) -> str:
    """Return the SHA-256 of all sequences."""
    digest = hashlib.sha256(sequences.offsets.tobytes())
    for name, values in sorted(sequences.columns.items()):
        digest.update(name.encode() + values.astype("int64").tobytes())
    return digest.hexdigest()


def _made(states: RowStates, reporter: Reporter, what: str) -> Iterator[np.ndarray]:
    """Work out all states, in order."""
    total = len(states.sequences.lengths)
    reporter.begin(what, total)
    try:
        for start in range(0, total, BLOCK):
            numbers = range(start, min(start + BLOCK, total))
            yield from (each.numpy() for each in states.states(numbers))
            reporter.advance(numbers.stop)
    finally:
        reporter.end()
