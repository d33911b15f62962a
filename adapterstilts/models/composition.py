"""A composition is data: which adapters, how they are joined, which head stands on top."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from adapterstilts.errors import ArtifactError, ExpressionError
from adapterstilts.models.expression import Fusion, Nothing, Single, reduced
from adapterstilts.models.grammar import parse
from adapterstilts.tasks.catalogue.plain_text import LANGUAGE
from adapterstilts.tasks.formats.base import HeadKind, HeadSpec

HEAD_KINDS = get_args(HeadKind)
#: Name in the model of the language adapter at the bottom of a stack, whichever language's weights it has.
BOTTOM = LANGUAGE.name


@dataclass(frozen=True)
class Composition:
    """A target (or intermediate) adapter with its head, stacked on what the expression names."""

    expression: Nothing | Single | Fusion
    """Over the names of the adapters in the model."""
    top: str
    """Name of the adapter that is trained last, and of its head."""
    head: HeadSpec
    adapters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Configuration of each adapter, as the adapters library writes it, by name."""
    fusion: Mapping[str, Any] | None = None
    """Configuration of the fusion layers, where there are any."""
    on_language: bool = False
    """Whether all of it is stacked on a language adapter, which is called ``BOTTOM`` in the model."""

    def __post_init__(self) -> None:
        if self.on_language and BOTTOM in (*self.expression.names, self.top):
            raise ExpressionError(
                f"'{BOTTOM}' is the name of the language adapter at the bottom; give your task another name."
            )
        if self.top in self.expression.names:
            raise ExpressionError(
                f"'{self.top}' is both an intermediate and the target adapter of '{self.expression}'; "
                "training it on itself has no meaning here."
            )
        absent = [name for name in (*self.frozen, self.top) if name not in self.adapters]
        if absent:
            raise ExpressionError(f"No configuration is given for the adapter {', '.join(absent)}.")
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
    def fusion_name(self) -> str | None:
        """The adapters library's name of the fusion layer."""
        return ",".join(self.expression.names) if isinstance(self.expression, Fusion) else None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the separately stored parts: ``adapters/NAME``, ``fusion``, ``head`` (not the backbone's own)."""
        fusion = ("fusion",) if self.fusion_name else ()
        head = () if self.head.kind == "masked_lm" else ("head",)
        return (*(f"adapters/{name}" for name in self.frozen), f"adapters/{self.top}", *fusion, *head)

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """The parts that this composition trains; the intermediate adapters stay as they are."""
        return tuple(part for part in self.parts if part not in {f"adapters/{name}" for name in self.frozen})

    def drawing(self) -> str:
        """Return the composition as a line of text, from the backbone upwards."""
        below = {Nothing: "", Fusion: f"Fuse({', '.join(self.expression.names)}), "}.get(
            type(self.expression), "".join(f"{name}, " for name in self.expression.names)
        )
        language = f"{BOTTOM}, " if self.on_language else ""
        return f"Stack({language}{below}{self.top}) → {self.head.kind} head '{self.top}'"

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``composition.json``."""
        return {
            "expression": str(self.expression),
            "top": self.top,
            "head": {**dataclasses.asdict(self.head), "labels": list(self.head.labels)},
            "adapters": {name: dict(config) for name, config in self.adapters.items()},
            "fusion": dict(self.fusion) if self.fusion is not None else None,
            **({"on_language": True} if self.on_language else {}),
        }

    @classmethod
    def from_json(cls, value: Any) -> Composition:
        """Read the content of ``composition.json``.

        Raises:
            ArtifactError: a field is missing or of the wrong kind.
        """
        try:
            head, adapters, fusion = value["head"], value["adapters"], value["fusion"]
            kinds = (
                ("head.kind", head["kind"] in HEAD_KINDS),
                ("head.outputs", type(head["outputs"]) is int and head["outputs"] > 0),
                ("head.labels", _is_list_of_texts(head["labels"])),
                ("top", isinstance(value["top"], str)),
                ("adapters", isinstance(adapters, dict) and all(isinstance(item, dict) for item in adapters.values())),
                ("fusion", fusion is None or isinstance(fusion, dict)),
                ("on_language", isinstance(value.get("on_language", False), bool)),
            )
            if wrong := [name for name, fits in kinds if not fits]:
                raise ArtifactError(f"composition.json cannot be read: {', '.join(wrong)} is not of the right kind.")
            spec = HeadSpec(head["kind"], head["outputs"], tuple(head["labels"]))
            expression = reduced(parse(value["expression"]))
            return cls(expression, value["top"], spec, adapters, fusion, value.get("on_language", False))
        except (KeyError, TypeError, AttributeError, ExpressionError) as error:
            raise ArtifactError(f"composition.json cannot be read: {error!r}.") from error


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
