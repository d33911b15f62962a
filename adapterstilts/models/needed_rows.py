"""Word embeddings that hold the rows of the tokens they were asked for, and read others when these come up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from adapterstilts.store.weight_rows import StoredMatrix

ABSENT = -1


class NeededRows(nn.Embedding):
    """Frozen embeddings, (tokens read so far, hidden), of a checkpoint's matrix.

    They take the token ids of the whole vocabulary and give what the whole matrix gives, to the last bit.

    Args:
        matrix: where the rows are.
        whole: the embeddings whose place it takes.
    """

    places: Tensor
    """Row of each token in ``weight``, (vocabulary,)."""

    def __init__(self, matrix: StoredMatrix, whole: nn.Embedding) -> None:
        super().__init__(0, matrix.columns, _weight=whole.weight.new_empty(0, matrix.columns), _freeze=True)
        self.num_embeddings = matrix.rows
        self.padding_idx = whole.padding_idx
        self.matrix = matrix
        self.register_buffer("places", torch.full((matrix.rows,), ABSENT, dtype=torch.int32), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return the embeddings of token ids of any shape, (*shape, hidden)."""
        places = self._places_of(input)
        if bool((places == ABSENT).any()):
            self.read(input)
            places = self._places_of(input)
        return nn.functional.embedding(places, self.weight)

    def _places_of(self, ids: Tensor) -> Tensor:
        return self.places.index_select(0, ids.reshape(-1)).view(ids.shape)

    def read(self, ids: Tensor) -> None:
        """Read the rows of token ids that are not there yet.

        Raises:
            ArtifactError: the checkpoint is gone or changed.
        """
        with torch.inference_mode(False), torch.no_grad():  # what comes of inference mode could not be trained with
            asked = torch.unique(ids).to(self.places.device)
            new = asked[self.places[asked] == ABSENT]
            if not len(new):
                return
            rows = self.matrix.read(new.tolist()).to(self.weight)
            self.places[new] = torch.arange(len(self.weight), len(self.weight) + len(new)).to(self.places)
            self.weight = nn.Parameter(torch.cat([self.weight, rows]), requires_grad=False)

    def whole(self) -> nn.Embedding:
        """Return the embeddings of the whole vocabulary, frozen."""
        rows = self.matrix.read(range(self.matrix.rows)).to(self.weight)
        return nn.Embedding.from_pretrained(rows, freeze=True, padding_idx=self.padding_idx)
