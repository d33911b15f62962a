"""Options that several commands share: they reach what does the work."""

from __future__ import annotations

from typing import Any

import pytest
from calling import refused

from adapterstilts.errors import SettingsError
from adapterstilts.models import vocabulary
from adapterstilts.studies import prediction, transfer


@pytest.mark.parametrize(("option", "trims"), [((), True), (("--no-trim-vocabulary",), False)])
@pytest.mark.parametrize(
    ("place", "name", "command"),
    [
        (transfer, "train_intermediate", ("train-intermediate", "squad")),
        (transfer, "compose", ("compose", "squad", "--target", "xquad")),
        (transfer, "evaluate", ("evaluate", "some")),
        (prediction, "predict", ("predict", "some")),
    ],
)
def test_embeddings_are_left_out_unless_it_is_refused(
    place: Any, name: str, command: tuple[str, ...], option: tuple[str, ...], trims: bool, monkeypatch: Any
) -> None:
    seen = []

    def watched(*_: Any, **__: Any) -> None:
        seen.append(vocabulary._trimming.get())
        raise SettingsError("Enough was seen.")

    monkeypatch.setattr(place, name, watched)
    assert "Enough was seen." in refused(*command, *option)
    assert seen == [trims]
    assert vocabulary._trimming.get()
