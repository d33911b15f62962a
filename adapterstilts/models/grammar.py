"""The language of compositions: text to a tree (``adapterstilts.models.expression``).

::

    expression := alone | "ensemble" "(" alone ("," alone)+ ")" | "search" "(" adapter ("," adapter)* [options] ")"
    alone      := "none" | sum | "chain" "(" adapter ")"
    sum        := adapter ("+" adapter)*
    adapter    := NAME | "all" | METHOD "(" part ("," part)* [options] ")" | "mix" "(" task ("," task)* [options] ")"
    part       := [NUMBER "*"] adapter
    task       := [NUMBER "*"] (NAME | "all")
    options    := ";" option ("," option)*
    METHOD     := "avg" | "arithmetic" | "ties" | "dare" | "svd"
    option     := NAME "=" NUMBER

``all`` stands for the nine intermediate tasks of Phang et al. 2020, each a part of its own; so it does where it stands
alone in an ensemble.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from adapterstilts.errors import ExpressionError
from adapterstilts.models.expression import (
    ENSEMBLE,
    NAME,
    Adapter,
    Alone,
    Chain,
    Ensemble,
    Expression,
    Fusion,
    Merge,
    Mix,
    Nothing,
    Search,
    Single,
    refuse_twice,
)
from adapterstilts.models.options import METHODS, MIX, OPTIONS, SEARCH, check_option

#: The nine intermediate tasks of Phang et al. 2020 (https://arxiv.org/abs/2005.13013, table 1), in its order.
ALL = ("anli", "mnli", "qqp", "squad", "squad2", "hellaswag", "ccg", "cosmosqa", "csqa")
CHAIN = "chain"
FUNCTIONS = (CHAIN, ENSEMBLE, *METHODS, MIX, SEARCH)
#: Functions that nothing may be joined to, and why; ``chain`` may stand in ``ensemble``.
OUTERMOST = {
    CHAIN: "'chain' tells where the target adapter starts, and stands alone",
    ENSEMBLE: "'ensemble' averages the answers of whole models, and stands alone",
    SEARCH: "'search' finds the weights of a merge on the target's rows, and stands alone",
}
DEEPEST = 6
"""How deep functions may be nested."""

_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:e-?\d+)?", re.ASCII)


def parse(text: str) -> Expression:
    """Parse an expression; ``str`` of what is returned is its canonical text.

    Raises:
        ExpressionError: shows the text with a mark under the place that is wrong.
    """
    return _Reader(text).expression()


class _Reader:
    """Reads one text from left to right; ``position`` is always at a sign that counts, or at the end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.skip()

    def expression(self) -> Expression:
        start = self.position
        name = self.name("a task name")
        called = self.there("(")
        found: Expression
        if called and name == ENSEMBLE:
            found = self.ensemble(start)
        elif called and name == SEARCH:
            found = self.search(start)
        else:
            found = self.alone(name, start)
        if not self.ended:
            closed = called and name in OUTERMOST
            said = f"'{name}' stands alone; nothing may follow it" if closed else "only '+' joins adapters"
            raise self.error(self.position, said)
        return found

    def ensemble(self, start: int) -> Ensemble:
        self.take("(", "")
        parts: list[Alone] = []
        while True:
            inside = self.position
            part = self.alone(self.name("a part of the ensemble"), inside)
            all_alone = self.text[inside : self.position].strip() == "all"
            new: tuple[Alone, ...] = part.operands if all_alone else (part,)
            with self.marked(inside):
                refuse_twice((*parts, *new))
            parts.extend(new)
            if not self.taken(","):
                break
        self.take(")", "',' or ')' is expected here; only '+' joins adapters")
        with self.marked(start):
            return Ensemble(tuple(parts))

    def search(self, start: int) -> Search:
        parts, _, options = self.arguments(SEARCH, 1)
        with self.marked(start):
            return Search(tuple(parts), tuple(options.items()))

    def alone(self, name: str, start: int) -> Alone:
        """Read what one target adapter is trained on, which begins with ``name``."""
        if name == CHAIN and self.there("("):
            return self.chain()
        parts: list[Adapter] = []
        nothing: int | None = None
        while True:
            if name == "none":
                nothing = start
            else:
                self.add(parts, name, start, 0)
            if not self.taken("+"):
                break
            start = self.position
            name = self.name("a task name after '+'")
        if nothing is not None:
            if parts:
                raise self.error(nothing, "'none' means no intermediate task and cannot be joined to others")
            return Nothing()
        return parts[0] if len(parts) == 1 else Fusion(tuple(parts))

    def chain(self) -> Chain:
        self.take("(", "")
        parts: list[Adapter] = []
        inside = self.position
        self.add(parts, self.name("an adapter"), inside, 1)
        if len(parts) > 1:
            raise self.error(inside, "'chain' starts from one adapter; 'all' are nine")
        self.take(")", "'chain' takes one adapter, and then ')'")
        return Chain(parts[0])

    def add(self, parts: list[Adapter], name: str, start: int, depth: int) -> int:
        """Put the adapter, or the nine, that ``name`` begins behind ``parts``; return how many it was."""
        new: tuple[Adapter, ...]
        if self.there("("):
            new = (self.call(name, start, depth + 1),)
        elif name == "none":
            raise self.error(start, "'none' is no adapter")
        else:
            new = tuple(map(Single, ALL)) if name == "all" else (Single(name),)
        with self.marked(start):
            refuse_twice((*parts, *new))
        parts.extend(new)
        return len(new)

    def call(self, name: str, start: int, depth: int) -> Merge | Mix:
        if name in OUTERMOST:
            raise self.error(start, OUTERMOST[name])
        if name not in OPTIONS:
            raise self.error(start, f"there is no function '{name}'; there are {', '.join(FUNCTIONS)}")
        if depth > DEEPEST:
            raise self.error(start, f"functions are nested deeper than {DEEPEST} here")
        parts, weights, options = self.arguments(name, depth)
        given = () if set(weights) == {None} else tuple(1.0 if weight is None else weight for weight in weights)
        with self.marked(start):
            if name == MIX:
                return Mix(tuple(leaf for part in parts for leaf in part.names), given, tuple(options.items()))
            return Merge(name, tuple(parts), given, tuple(options.items()))

    def arguments(self, name: str, depth: int) -> tuple[list[Adapter], list[float | None], dict[str, float]]:
        """Read the parts of a function, the weight of each, and its options, from bracket to bracket."""
        self.take("(", "")
        parts: list[Adapter] = []
        weights: list[float | None] = []
        what = "a task" if name == MIX else "an adapter"
        while True:
            before = self.position
            weight = self.weight(what)
            if name == SEARCH and weight is not None:
                raise self.error(before, "'search' finds the weights itself; leave them out")
            inside = self.position
            part = self.name(what)
            if name == MIX and self.there("("):
                raise self.error(inside, "'mix' trains on tasks; only names of tasks may stand in it")
            weights += [weight] * self.add(parts, part, inside, depth)
            if not self.taken(","):
                break
        options: dict[str, float] = {}
        if self.taken(";"):
            while True:
                place = self.position
                option = self.name("the name of an option")
                if option in options:
                    raise self.error(place, f"'{option}' is given twice")
                self.take("=", f"'=' and a number are expected after '{option}'")
                options[option] = self.number("a number")
                with self.marked(place):
                    check_option(name, option, options[option])
                if not self.taken(","):
                    break
        self.take(")", "',', ';' or ')' is expected here" if not options else "',' or ')' is expected here")
        return parts, weights, options

    def weight(self, of: str) -> float | None:
        if _NUMBER.match(self.text, self.position) is None:
            return None
        weight = self.number("a weight")
        self.take("*", f"'*' and {of} are expected after a weight")
        return weight

    def number(self, expected: str) -> float:
        match = _NUMBER.match(self.text, self.position)
        if match is None:
            raise self.error(self.position, f"{expected} is expected here")
        value = float(match.group())
        if value in (float("inf"), float("-inf")):
            raise self.error(self.position, f"{match.group()} is too large")
        self.move(match.end())
        return value

    def name(self, expected: str) -> str:
        match = NAME.match(self.text, self.position)
        if match is None:
            raise self.error(self.position, f"{expected} is expected here")
        self.move(match.end())
        return match.group()

    def there(self, sign: str) -> bool:
        return self.text.startswith(sign, self.position)

    def taken(self, sign: str) -> bool:
        if not self.there(sign):
            return False
        self.move(self.position + len(sign))
        return True

    def take(self, sign: str, otherwise: str) -> None:
        if not self.taken(sign):
            raise self.error(self.position, otherwise)

    @property
    def ended(self) -> bool:
        return self.position == len(self.text)

    def move(self, position: int) -> None:
        self.position = position
        self.skip()

    def skip(self) -> None:
        while not self.ended and self.text[self.position].isspace():
            self.position += 1

    @contextmanager
    def marked(self, position: int) -> Iterator[None]:
        """Show where an error of the tree stands in the text."""
        try:
            yield
        except ExpressionError as error:
            raise self.error(position, str(error)) from None

    def error(self, position: int, what: str) -> ExpressionError:
        if not self.text.strip():
            return ExpressionError(
                "The expression is empty. Write 'none', a task such as 'squad', or a sum: 'mnli+squad'."
            )
        shown = self.text.replace("\n", " ").replace("\t", " ")
        return ExpressionError(f"The expression cannot be read: {what}.\n  {shown}\n  {' ' * position}^")
