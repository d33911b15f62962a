"""A composition is data: which adapters, how they are joined, which head stands on top."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from adapterstilts.errors import ArtifactError, ExpressionError
from adapterstilts.models.expression import NAME, Fusion, Nothing, Single, reduced
from adapterstilts.models.full import WHOLE, is_full
from adapterstilts.models.grammar import parse
from adapterstilts.models.layers import leaving_out, left_out
from adapterstilts.tasks.catalogue.plain_text import LANGUAGE
from adapterstilts.tasks.formats.base import HeadKind, HeadSpec

HEAD_KINDS = get_args(HeadKind)
BARE_HEAD = "bare"
"""Name of the head of a fusion with no adapter on top."""
BOTTOM = LANGUAGE.name
"""Name in the model of the language adapter at the bottom of a stack, whichever language's weights it has."""


@dataclass(frozen=True)
class Composition:
    """A target (or intermediate) adapter with its head, stacked on what the expression names; or a fusion alone."""

    expression: Nothing | Single | Fusion
    """Over the names of the adapters in the model."""
    top: str | None
    """Name of the adapter that is trained last, and of its head; None where the head stands on the fusion itself."""
    head: HeadSpec
    adapters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Configuration of each adapter, as the adapters library writes it, by name."""
    fusion: Mapping[str, Any] | None = None
    """Configuration of the fusion layers, where there are any."""
    frozen_fusion: bool = False
    """Whether the fusion stays as it is, like the adapters below it, while the adapter on top is trained."""
    on_language: bool = False
    """Whether all of it is stacked on a language adapter, which is called ``BOTTOM`` in the model."""

    def __post_init__(self) -> None:
        if self.top is None and not isinstance(self.expression, Fusion):
            raise ExpressionError(f"Without an adapter on top '{self.expression}' trains nothing; only a fusion does.")
        if self.frozen_fusion and (self.top is None or not isinstance(self.expression, Fusion)):
            raise ExpressionError(f"'{self.expression}' has no fusion below an adapter that could stay as it is.")
        if self.on_language and BOTTOM in (*self.expression.names, self.top):
            raise ExpressionError(
                f"'{BOTTOM}' is the name of the language adapter at the bottom; give your task another name."
            )
        if self.top in self.expression.names:
            raise ExpressionError(
                f"'{self.top}' is both an intermediate and the target adapter of '{self.expression}'; "
                "training it on itself has no meaning here."
            )
        absent = [name for name in self.stacked if name not in self.adapters]
        if absent:
            raise ExpressionError(f"No configuration is given for the adapter {', '.join(absent)}.")
        if self.on_language and (self.top is None or self.full):
            raise ExpressionError(f"A language adapter lies under an adapter on top, and '{self.expression}' has none.")
        if not isinstance(self.expression, Nothing) and any(is_full(config) for config in self.adapters.values()):
            raise ExpressionError(f"'{self.expression}' joins adapters, and a whole backbone (full) is none.")
        prompts = [name for name, config in self.adapters.items() if "prompt_length" in config]
        if prompts and self.head.kind in ("question_answering", "tagging", "masked_lm"):
            raise ExpressionError(
                f"'{prompts[0]}' is prompt tuning, which lengthens the input, and spans, tags and masks lose their "
                "places; choose another --adapter."
            )

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the adapters that stay as they are: the language's, and those of the expression."""
        return (*((BOTTOM,) if self.on_language else ()), *self.expression.names)

    @property
    def stacked(self) -> tuple[str, ...]:
        """Names of all adapters, those below first."""
        return self.frozen if self.top is None else (*self.frozen, self.top)

    @property
    def head_name(self) -> str:
        """Name of the head in the model."""
        return BARE_HEAD if self.top is None else self.top

    @property
    def fusion_name(self) -> str | None:
        """The adapters library's name of the fusion layer."""
        return ",".join(self.expression.names) if isinstance(self.expression, Fusion) else None

    @property
    def full(self) -> bool:
        """Whether the backbone itself is trained, and there is no adapter."""
        return self.top is not None and is_full(self.adapters[self.top])

    @property
    def top_part(self) -> str:
        """Name of the part that is trained under the head: the adapter on top, or the backbone itself."""
        return WHOLE if self.full else f"adapters/{self.top}"

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the separately stored parts: ``adapters/NAME``, ``fusion``, ``head`` (not the backbone's own).

        With ``--adapter full``, ``backbone`` stands in the place of the adapter.
        """
        fusion = ("fusion",) if self.fusion_name else ()
        head = () if self.head.kind == "masked_lm" else ("head",)
        below = (f"adapters/{name}" for name in self.frozen)
        top = () if self.top is None else (self.top_part,)
        return (*below, *top, *fusion, *head)

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """The parts that this composition trains; the intermediate adapters stay as they are."""
        frozen = {f"adapters/{name}" for name in self.frozen} | ({"fusion"} if self.frozen_fusion else set())
        return tuple(part for part in self.parts if part not in frozen)

    @property
    def left_out(self) -> frozenset[int]:
        """The layers in which no adapter works."""
        return frozenset.intersection(*(left_out(config) for config in self.adapters.values()))

    def left_out_of(self, part: str) -> frozenset[int]:
        """Return the layers in which a part has nothing."""
        kind, _, name = part.partition("/")
        if kind == "adapters":
            return left_out(self.adapters[name])
        return self.left_out if kind == "fusion" else frozenset()

    def without(self, layers: Collection[int]) -> Composition:
        """Return the composition with no adapter and no fusion in these layers, either.

        Raises:
            ExpressionError: an adapter cannot be left out of single layers.
        """
        adapters = {
            name: leaving_out(name, config, left_out(config).union(layers)) for name, config in self.adapters.items()
        }
        return dataclasses.replace(self, adapters=adapters)

    def drawing(self) -> str:
        """Return the composition as a line of text, from the backbone upwards."""
        below = {Nothing: "", Fusion: f"Fuse({', '.join(self.expression.names)}), "}.get(
            type(self.expression), "".join(f"{name}, " for name in self.expression.names)
        )
        language = f"{BOTTOM}, " if self.on_language else ""
        stack = below.removesuffix(", ") if self.top is None else f"Stack({language}{below}{self.top})"
        return f"{'the whole backbone' if self.full else stack} → {self.head.kind} head '{self.head_name}'"

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``composition.json``."""
        return {
            "expression": str(self.expression),
            "top": self.top,
            "head": {**dataclasses.asdict(self.head), "labels": list(self.head.labels)},
            "adapters": {name: dict(config) for name, config in self.adapters.items()},
            "fusion": dict(self.fusion) if self.fusion is not None else None,
            **({"frozen_fusion": True} if self.frozen_fusion else {}),
            **({"on_language": True} if self.on_language else {}),
        }

    @classmethod
    def from_json(cls, value: Any) -> Composition:
        """Read the content of ``composition.json``.

        Raises:
            ArtifactError: a field is missing or of the wrong kind.
        """
        try:
            head, top, adapters, fusion = (value[key] for key in ("head", "top", "adapters", "fusion"))
            spec = read_head(head, where="composition.json")
            kinds = (
                ("top", top is None or (isinstance(top, str) and NAME.fullmatch(top))),
                ("adapters", isinstance(adapters, dict) and all(isinstance(item, dict) for item in adapters.values())),
                ("fusion", fusion is None or isinstance(fusion, dict)),
                ("frozen_fusion", isinstance(value.get("frozen_fusion", False), bool)),
                ("on_language", isinstance(value.get("on_language", False), bool)),
            )
            if wrong := [name for name, fits in kinds if not fits]:
                raise ArtifactError(f"composition.json cannot be read: {', '.join(wrong)} is not of the right kind.")
            expression = reduced(parse(value["expression"]))
            frozen, on_language = value.get("frozen_fusion", False), value.get("on_language", False)
            return cls(expression, value["top"], spec, adapters, fusion, frozen, on_language)
        except (KeyError, TypeError, AttributeError, ExpressionError) as error:
            raise ArtifactError(f"composition.json cannot be read: {error!r}.") from error


def read_head(value: Any, *, where: str) -> HeadSpec:
    """Read the description of a head.

    Args:
        value: of JSON.
        where: it stands, for messages.

    Raises:
        ArtifactError: a field is missing or of the wrong kind.
    """
    if not isinstance(value, dict):
        raise ArtifactError(f"{where} cannot be read: a head is no JSON object.")
    kind, outputs, labels = (value.get(key) for key in ("kind", "outputs", "labels"))
    kinds = (
        ("head.kind", isinstance(kind, str) and kind in HEAD_KINDS),
        ("head.outputs", type(outputs) is int and outputs > 0),
        ("head.labels", _is_list_of_texts(labels)),
    )
    if wrong := [name for name, fits in kinds if not fits]:
        raise ArtifactError(f"{where} cannot be read: {', '.join(wrong)} is not of the right kind.")
    return HeadSpec(value["kind"], value["outputs"], tuple(value["labels"]))


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
