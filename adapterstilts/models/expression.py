"""What a user composes, as a frozen tree: what stands under the target adapter, and how it is made.

How the text of an expression is read stands in ``adapterstilts.models.grammar``; ``str`` of a tree is its text again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from adapterstilts.errors import ExpressionError
from adapterstilts.models.options import MIX, SEARCH, call_text, filled, number

NAME = re.compile(r"[a-z][a-z0-9_]*")


ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Nothing:
    """No intermediate task: the baseline."""

    def __str__(self) -> str:
        return "none"

    @property
    def names(self) -> tuple[str, ...]:
        """The intermediate tasks that an expression names, each once."""
        return ()

    @property
    def operands(self) -> tuple[Adapter, ...]:
        """The adapters that are joined under the target's; each is one adapter."""
        return ()


@dataclass(frozen=True)
class Single:
    """A stack on one intermediate adapter."""

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def operands(self) -> tuple[Adapter, ...]:
        return (self,)

    @property
    def adapter(self) -> str:
        """Name of the adapter in the model."""
        return self.name


@dataclass(frozen=True)
class Merge:
    """One adapter that is made of the weights of several, without training (``adapterstilts.models.merging``).

    Raises:
        ExpressionError: an option or a weight is none that the method takes, or a part stands there twice.
    """

    method: str
    parts: tuple[Adapter, ...]
    weights: tuple[float, ...] = ()
    """One a part; all 1 if left out."""
    options: tuple[tuple[str, float], ...] = ()
    """All that the method has, in its order; those that are left out are filled in."""

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise ExpressionError(f"'{self.method}' of one adapter is that adapter; name at least two")
        refuse_twice(self.parts)
        weights = self.weights or (1.0,) * len(self.parts)
        if len(weights) != len(self.parts):
            raise ExpressionError(f"'{self.method}' has {len(self.parts)} adapters and {len(weights)} weights")
        if any(weight == 0 or (weight < 0 and self.method != "arithmetic") for weight in weights):
            raise ExpressionError(
                f"the weights of '{self.method}' must be above 0"
                if self.method != "arithmetic"
                else "a weight of 0 takes the adapter out; leave the adapter out instead"
            )
        object.__setattr__(self, "weights", tuple(map(float, weights)))
        object.__setattr__(self, "options", filled(self.method, self.options))

    def __str__(self) -> str:
        weighted = [
            str(part) if weight == 1 else f"{number(weight)}*{part}"
            for part, weight in zip(self.parts, self.weights, strict=True)
        ]
        return call_text(self.method, weighted, self.options)

    @property
    def names(self) -> tuple[str, ...]:
        return _names(self.parts)

    @property
    def operands(self) -> tuple[Adapter, ...]:
        return (self,)

    @property
    def adapter(self) -> str:
        """Name of the adapter in the model: readable, and another one for each text."""
        return _adapter_name(self.method, self.names, str(self))


@dataclass(frozen=True)
class Mix:
    """One adapter that is trained on several intermediate tasks at once (``adapterstilts.training.mixes``).

    Raises:
        ExpressionError: an option or a weight is none that ``mix`` takes, options stand beside weights, or a task
            stands there twice.
    """

    names: tuple[str, ...]
    """The tasks."""
    weights: tuple[float, ...] = ()
    """One a task, above 0; empty where the sizes of the tasks decide."""
    options: tuple[tuple[str, float], ...] = ()
    """All there are, in order, those that are left out filled in; empty where there are weights."""

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise ExpressionError(f"'{MIX}' of one task is the adapter of that task; name at least two")
        refuse_twice(tuple(map(Single, self.names)))
        if self.weights:
            if len(self.weights) != len(self.names):
                raise ExpressionError(f"'{MIX}' has {len(self.names)} tasks and {len(self.weights)} weights")
            if min(self.weights) <= 0:
                raise ExpressionError(f"the weights of '{MIX}' must be above 0")
            if self.options:
                told = ", ".join(name for name, _ in self.options)
                raise ExpressionError(
                    f"with weights the sizes of the tasks do not count, so that {told} would have no effect"
                )
            object.__setattr__(self, "weights", tuple(map(float, self.weights)))
        else:
            object.__setattr__(self, "options", filled(MIX, self.options))

    def __str__(self) -> str:
        parts = list(self.names)
        if self.weights:
            equal = set(self.weights) == {1.0}  # still no sizes: it has to be seen that there are weights
            parts = [
                name if weight == 1 and not equal else f"{number(weight)}*{name}"
                for name, weight in zip(self.names, self.weights, strict=True)
            ]
        return call_text(MIX, parts, self.options)

    @property
    def operands(self) -> tuple[Adapter, ...]:
        return (self,)

    @property
    def adapter(self) -> str:
        """Name of the adapter in the model: readable, and another one for each text."""
        return _adapter_name(MIX, self.names, str(self))


@dataclass(frozen=True)
class Fusion:
    """Learned AdapterFusion of several adapters (Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247).

    Raises:
        ExpressionError: a part stands there twice.
    """

    parts: tuple[Adapter, ...]

    def __post_init__(self) -> None:
        refuse_twice(self.parts)

    def __str__(self) -> str:
        return "+".join(map(str, self.parts))

    @property
    def names(self) -> tuple[str, ...]:
        return _names(self.parts)

    @property
    def operands(self) -> tuple[Adapter, ...]:
        return self.parts


@dataclass(frozen=True)
class Chain:
    """The target adapter starts from the weights of an intermediate one, as STILTs does with the whole model.

    Phang, Févry, Bowman 2018, https://arxiv.org/abs/1811.01088. Nothing stands under the target adapter then.
    """

    start: Adapter

    def __str__(self) -> str:
        return f"chain({self.start})"

    @property
    def names(self) -> tuple[str, ...]:
        return self.start.names

    @property
    def operands(self) -> tuple[Adapter, ...]:
        return ()


Adapter = Single | Merge | Mix
"""What makes one adapter."""
Alone = Nothing | Single | Merge | Mix | Fusion | Chain
"""What one target adapter is trained on."""


@dataclass(frozen=True)
class Ensemble:
    """Several target adapters, each trained on a part of its own, whose answers are averaged.

    How they are averaged stands in ``adapterstilts.evaluation.inference``.

    Raises:
        ExpressionError: there is one part only, or a part stands there twice.
    """

    parts: tuple[Alone, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise ExpressionError(f"'{ENSEMBLE}' of one is that one; name at least two")
        refuse_twice(self.parts)

    def __str__(self) -> str:
        return f"{ENSEMBLE}({', '.join(map(str, self.parts))})"

    @property
    def names(self) -> tuple[str, ...]:
        """The intermediate tasks that the parts name, each once."""
        return _names(self.parts)


@dataclass(frozen=True)
class Search:
    """One adapter of the weights of several, which stand in proportions that are searched for on the target.

    Huang et al. 2023, LoraHub, https://arxiv.org/abs/2307.13269; how stands in ``adapterstilts.training.searches``.

    Raises:
        ExpressionError: an option is none that ``search`` takes, there is one part only, or a part stands there twice.
    """

    parts: tuple[Adapter, ...]
    options: tuple[tuple[str, float], ...] = ()
    """All there are, in order; those that are left out are filled in."""

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise ExpressionError(f"'{SEARCH}' of one adapter has no proportions to find; name at least two")
        refuse_twice(self.parts)
        object.__setattr__(self, "options", filled(SEARCH, self.options))

    def __str__(self) -> str:
        return call_text(SEARCH, list(map(str, self.parts)), self.options)

    @property
    def names(self) -> tuple[str, ...]:
        """The intermediate tasks that the parts name, each once."""
        return _names(self.parts)

    @property
    def adapter(self) -> str:
        """Name of the adapter in the model: readable, and another one for each text."""
        return _adapter_name(SEARCH, self.names, str(self))

    @property
    def average(self) -> Merge:
        """The merge that the target adapter is trained on, from which the search starts."""
        return Merge("avg", self.parts)

    @property
    def budget(self) -> int:
        """How many proportions are tried, those of the average among them."""
        return int(dict(self.options)["budget"])

    @property
    def seed(self) -> int:
        """Of the directions in which the search sets out."""
        return int(dict(self.options)["seed"])


Expression = Alone | Ensemble | Search


def reduced(expression: Expression) -> Nothing | Single | Fusion:
    """Return the expression over the adapters that stand in the model, whatever each was made of.

    Raises:
        ExpressionError: it is an ensemble, which is no one model.
    """
    if isinstance(expression, Ensemble):
        raise ExpressionError(f"'{expression}' is no one model; train and build each part by itself")
    if isinstance(expression, Search):
        return Single(expression.adapter)
    operands = tuple(Single(part.adapter) for part in expression.operands)
    if not operands:
        return Nothing()
    return operands[0] if len(operands) == 1 else Fusion(operands)


def members(expression: Expression) -> tuple[Alone, ...]:
    """Return the expressions that a target adapter each is trained on: several for an ensemble, else one."""
    if isinstance(expression, Search):
        return (expression.average,)
    return expression.parts if isinstance(expression, Ensemble) else (expression,)


def needed(expression: Expression) -> tuple[Adapter, ...]:
    """Return the adapters that must be there before a target's is trained: those under it, or that it starts from.

    For a search they are the average and its parts.
    """
    if isinstance(expression, Ensemble):
        return tuple(dict.fromkeys(adapter for part in expression.parts for adapter in needed(part)))
    if isinstance(expression, Search):
        return (expression.average, *expression.parts)
    return (expression.start,) if isinstance(expression, Chain) else expression.operands


def trained_parts(expression: Expression) -> tuple[Single | Mix, ...]:
    """Return the intermediate adapters that have to be trained for an expression, each once, wherever they stand."""
    return tuple(dict.fromkeys(leaf for part in needed(expression) for leaf in _leaves(part)))


def _leaves(part: Adapter) -> tuple[Single | Mix, ...]:
    if isinstance(part, Merge):
        return tuple(leaf for one in part.parts for leaf in _leaves(one))
    return (part,)


def _adapter_name(method: str, names: tuple[str, ...], text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{'_'.join((method, *names))[:40]}_{digest}"


def _names(parts: tuple[Alone, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part.names))


def refuse_twice(parts: Sequence[Alone]) -> None:
    """Refuse a part that stands there a second time.

    Raises:
        ExpressionError: names it.
    """
    for place, part in enumerate(parts):
        if part in parts[:place]:
            raise ExpressionError(f"'{part}' stands here a second time, which has no effect")
