"""How much one evaluation may take, and the meter that counts it."""

from __future__ import annotations

import gc
import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from truto.expressions.errors import ExpressionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one expression; crossing one raises :class:`ExpressionError`.

    Time is the CPU time of the evaluating thread, so that a busy or paused machine does not refuse what is cheap, and
    without that of full garbage collections, which grows with all that the process holds. One built-in call cannot be
    interrupted; the other limits keep each of them short.
    """

    source_characters: int = 65_536
    """Length of the expression."""
    eval_characters: int = 4_096
    """Length of a text that is given to ``$eval``."""
    seconds: float = 0.2
    """CPU time of one evaluation, without the copying of its input."""
    depth: int = 250
    """Nested evaluations: three to six for each level of a recursive function."""
    input_elements: int = 100_000
    """Values in the input, counting arrays and objects; copying that many takes about 0.1 s."""
    elements: int = 500_000
    """Elements of arrays and members of objects: in any one value written out, and made in all."""
    text_characters: int = 16_000_000
    """Characters of text: in the input, in any one value, and made in all."""
    regex_characters: int = 1_000_000
    """Length of a text that a regular expression looks at."""
    output_bytes: int = 4_194_304
    """Size of the result as JSON."""


class _FullCollections(threading.local):
    """CPU time that this thread has spent in full garbage collections; they run wherever the last object was made."""

    spent = 0.0
    _began = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] < 2:
            return
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.spent += time.thread_time() - self._began


_full_collections = _FullCollections()
gc.callbacks.append(_full_collections)


def _own_time() -> float:
    """CPU time of this thread (s) without its full garbage collections."""
    return time.thread_time() - _full_collections.spent


class Meter:
    """Counts what one evaluation uses. Every method raises :class:`ExpressionError` when a limit is crossed."""

    __slots__ = ("_deadline", "_depth", "_elements", "_known", "_steps", "_text", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._deadline = math.inf
        self._depth = 0
        self._elements = 0
        self._text = 0
        self._steps = 0
        # Weight by identity; the value is kept so that its identity cannot be given to another one.
        self._known: dict[int, tuple[Any, int, int, int]] = {}

    def start_clock(self) -> None:
        """Begin to count time; before, only sizes are bounded."""
        self._deadline = _own_time() + self.limits.seconds

    def check_time(self) -> None:
        """Stop when the time is over."""
        if _own_time() > self._deadline:
            raise ExpressionError(f"took longer than {self.limits.seconds:g} s", code="limit_time")

    def step(self) -> None:
        """Count one step of a long loop; looks at the clock now and then."""
        self._steps += 1
        if not self._steps & 255:
            self.check_time()

    def take_input(self) -> None:
        """Count one value of the input."""
        self._steps += 1
        if self._steps > self.limits.input_elements:
            raise ExpressionError(f"the input has more than {self.limits.input_elements} values", code="input")

    def enter(self) -> None:
        """Begin one nested evaluation."""
        self._depth += 1
        if self._depth > self.limits.depth:
            raise ExpressionError(f"nested deeper than {self.limits.depth} evaluations", code="limit_depth")
        self.check_time()

    def leave(self) -> None:
        """End one nested evaluation."""
        self._depth -= 1

    def make_text(self, characters: int) -> None:
        """Announce new text before it is made."""
        self._text += characters
        if self._text > self.limits.text_characters:
            raise self._too_big("characters of text", self.limits.text_characters)

    def make_elements(self, count: int) -> None:
        """Announce new elements before they are made."""
        self._elements += count
        if self._elements > self.limits.elements:
            raise self._too_big("elements", self.limits.elements)

    def measure(self, value: Any, *, charged: bool = True) -> None:
        """Bound a value by what it would be written out.

        A small expression can build a value that holds another one many times over, again and again: tiny in memory,
        astronomic for every function that walks it. Known parts are not walked again, so measuring costs what is new.
        """
        if isinstance(value, list | dict):
            self._weigh(value, charged=charged)

    def _weigh(self, value: Any, *, charged: bool) -> tuple[int, int]:
        known = self._known.get(id(value))
        # jsonata-python still appends to some arrays after they were first seen, so the length has to agree.
        if known is not None and known[1] == len(value):
            return known[2], known[3]
        if charged:
            self.make_elements(len(value))
        nodes, characters = 1 + len(value), 0
        for item in value.values() if isinstance(value, dict) else value:
            self.step()
            if isinstance(item, str):
                characters += len(item)
            elif isinstance(item, list | dict) and not getattr(item, "opaque", False):
                more_nodes, more_characters = self._weigh(item, charged=charged)
                nodes += more_nodes
                characters += more_characters
        if isinstance(value, dict):
            characters += sum(map(len, value))
        if nodes > self.limits.elements:
            raise self._too_big("elements", self.limits.elements)
        if characters > self.limits.text_characters:
            raise self._too_big("characters of text", self.limits.text_characters)
        self._known[id(value)] = (value, len(value), nodes, characters)
        return nodes, characters

    def _too_big(self, what: str, limit: int) -> ExpressionError:
        return ExpressionError(f"more than {limit} {what}", code="limit_size")
