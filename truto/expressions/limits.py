"""How much one evaluation may take, and the meter that counts it."""

from __future__ import annotations

import dataclasses
import gc
import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from truto.errors import ExpressionError


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
    """CPU time of one evaluation of a small input, without the copying of it."""
    seconds_per_value: float = 0.000_1
    """CPU time for each value of the input on top of that: several times what a plain filter takes."""
    seconds_per_character: float = 0.000_005
    """CPU time for each character of text in the input on top of that, which a regular expression may look at."""
    max_seconds: float = 60.0
    """CPU time of one evaluation, however large its input."""
    depth: int = 250
    """Nested evaluations: three to six for each level of a recursive function."""
    input_elements: int = 2_000_000
    """Values in the input, counting arrays and objects; what stands there under several names counts once."""
    input_characters: int = 128_000_000
    """Characters of text in the input."""
    elements: int = 500_000
    """Elements of arrays and members of objects: in any one value written out, and made in all."""
    objects: int = 16_000_000
    """Objects made in all, each of which takes hundreds of bytes, where an element takes eight."""
    text_characters: int = 16_000_000
    """Characters of text: in any one value, and made in all."""
    elements_per_value: int = 16
    """How many elements more there may be for each value of the input."""
    elements_per_character: int = 1
    """How many elements more there may be for each character of text in the input, of which words can be made."""
    text_per_character: int = 4
    """How many characters more there may be for each value and character of the input, and bytes of the result."""
    regex_characters: int = 1_000_000
    """Length of a text that a regular expression looks at, with a small input."""
    max_regex_characters: int = 16_000_000
    """The same, however large the input: one search cannot be interrupted, and takes up to 0.2 s for each million."""
    output_bytes: int = 4_194_304
    """Size of the result as JSON for a small input."""
    max_output_bytes: int = 67_108_864
    """Size of the result as JSON, however large the input."""

    def fitting(self, values: int, characters: int) -> Limits:
        """The limits for an input of so many *values* and *characters*: what grows faster than it is still stopped."""
        seconds = self.seconds + self.seconds_per_value * values + self.seconds_per_character * characters
        text = self.text_per_character * (characters + values)
        return dataclasses.replace(
            self,
            seconds=max(self.seconds, min(self.max_seconds, seconds)),
            elements=self.elements + self.elements_per_value * values + self.elements_per_character * characters,
            text_characters=self.text_characters + text,
            regex_characters=max(self.regex_characters, min(self.max_regex_characters, characters)),
            output_bytes=max(self.output_bytes, min(self.max_output_bytes, self.output_bytes + text)),
        )


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


_LOOK_SECONDS = 0.001
"""Wall time between two looks at the CPU time, which costs several times as much to ask for."""


def _own_time() -> float:
    """CPU time of this thread (s) without its full garbage collections."""
    return time.thread_time() - _full_collections.spent


class Meter:
    """Counts what one evaluation uses. Every method raises :class:`ExpressionError` when a limit is crossed."""

    __slots__ = (
        "_characters",
        "_deadline",
        "_depth",
        "_elements",
        "_known",
        "_next_look",
        "_objects",
        "_steps",
        "_text",
        "_values",
        "limits",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._deadline = math.inf
        self._next_look = 0.0
        self._depth = 0
        self._elements = 0
        self._objects = 0
        self._text = 0
        self._steps = 0
        self._values = 0
        self._characters = 0
        # Weight by identity; the value is kept so that its identity cannot be given to another one.
        self._known: dict[int, tuple[Any, int, int, int]] = {}

    def start_clock(self) -> None:
        """Begin to count time; before, only the input was counted, to which the other limits are fitted now."""
        self.limits = self.limits.fitting(self._values, self._characters)
        self._deadline = _own_time() + self.limits.seconds

    def check_time(self) -> None:
        """Stop when the time is over; costs little more than a look at the wall clock."""
        now = time.perf_counter()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        if _own_time() > self._deadline:
            raise ExpressionError(f"took longer than {self.limits.seconds:.3g} s", code="limit_time")

    def step(self) -> None:
        """Count one step of a long loop; looks at the clock now and then."""
        self._steps += 1
        if not self._steps & 15:
            self.check_time()

    def steps(self, count: int) -> None:
        """Count the steps of a loop that takes little time for each."""
        self._steps += count
        self.check_time()

    def take_input(self, count: int) -> None:
        """Count *count* values of the input."""
        self._values += count
        if self._values > self.limits.input_elements:
            raise ExpressionError(f"the input has more than {self.limits.input_elements} values", code="input")

    def enter(self) -> None:
        """Begin one nested evaluation."""
        self._depth += 1
        if self._depth > self.limits.depth:
            raise ExpressionError(f"nested deeper than {self.limits.depth} evaluations", code="limit_depth")
        self.step()

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

    def _make_object(self) -> None:
        self._objects += 1
        if self._objects > self.limits.objects:
            raise self._too_big("objects", self.limits.objects)

    def weigh_input(self, value: Any) -> None:
        """Count the text of the input, and know the weight of its parts."""
        self._weigh(value, charged=False)

    def measure(self, value: Any) -> None:
        """Bound a value by what it would be written out.

        A small expression can build a value that holds another one many times over, again and again: tiny in memory,
        astronomic for every function that walks it. Known parts are not walked again, so measuring costs what is new.
        """
        if isinstance(value, list | dict):
            self._weigh(value, charged=True)

    def _weigh(self, value: Any, *, charged: bool) -> tuple[int, int]:
        known = self._known.get(id(value))
        # jsonata-python still appends to some arrays after they were first seen, so the length has to agree.
        if known is not None and known[1] == len(value):
            return known[2], known[3]
        if charged:
            self.make_elements(len(value))
            if isinstance(value, dict):
                self._make_object()
        nodes, characters, parts = 1 + len(value), 0, []
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, str):
                characters += len(item)
            elif isinstance(item, list | dict) and not getattr(item, "opaque", False):
                parts.append(item)
        if isinstance(value, dict):
            characters += sum(map(len, value))
        if not charged:
            self._take_text(characters)
        self.steps(nodes)
        for part in parts:
            more_nodes, more_characters = self._weigh(part, charged=charged)
            nodes += more_nodes
            characters += more_characters
        if charged and nodes > self.limits.elements:
            raise self._too_big("elements", self.limits.elements)
        if charged and characters > self.limits.text_characters:
            raise self._too_big("characters of text", self.limits.text_characters)
        self._known[id(value)] = (value, len(value), nodes, characters)
        return nodes, characters

    def _take_text(self, characters: int) -> None:
        self._characters += characters
        if self._characters > self.limits.input_characters:
            most = self.limits.input_characters
            raise ExpressionError(f"the input has more than {most} characters of text", code="input")

    def _too_big(self, what: str, limit: int) -> ExpressionError:
        return ExpressionError(f"more than {limit} {what}", code="limit_size")
