"""Regular expressions in linear time: RE2 behind the interface that jsonata-python asks of an engine.

RE2 knows no look-around and no back-references; an expression that uses one is refused when it is compiled. Looking
for all matches can still be quadratic (each search may read to the end of the text), so every search counts as a step
and the length of the text is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import re2

from truto.errors import ExpressionError
from truto.expressions.library import JException, Jsonata

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
# Bounds the compiled program as well as the cache of states; 8 MiB is RE2's default for each pattern.
_OPTIONS.max_mem = 1 << 20


class Pattern:
    """One compiled regular expression; immutable and safe to share between threads."""

    def __init__(self, source: str, flags: str = "") -> None:
        try:
            self._compiled = re2.compile(f"(?{flags}){source}" if flags else source, _OPTIONS)
        except (re2.error, UnicodeEncodeError) as error:
            raise ExpressionError(f"regular expression refused: {_reason(error)}", code="regex") from error

    def finditer(self, text: str) -> Iterator[Any]:
        """Every match from left to right. A match of nothing raises (JSONata D1004)."""
        meter = Jsonata.CURRENT.jsonata.meter
        if len(text) > meter.limits.regex_characters:
            longest = meter.limits.regex_characters
            raise ExpressionError(f"a regular expression reads at most {longest} characters", code="limit_size")
        matches = self._compiled.finditer(text)
        while True:
            meter.check_time()
            found = next(matches, None)
            if found is None:
                return
            if found.start() == found.end():
                raise JException("D1004", -1)
            yield found

    def search(self, text: str) -> Any:
        """The first match, or ``None``."""
        return next(self.finditer(text), None)

    def split(self, text: str) -> list[str]:
        """The pieces between the matches; groups are not part of them, as in JSONata."""
        pieces, end = [], 0
        for found in self.finditer(text):
            pieces.append(text[end : found.start()])
            end = found.end()
        return [*pieces, text[end:]]

    def sub(self, replacement: Callable[[Any], str], text: str, count: int = 0) -> str:
        """Replace the first *count* matches, or all for 0, by what *replacement* gives for each."""
        meter = Jsonata.CURRENT.jsonata.meter
        pieces, end = [], 0
        for done, found in enumerate(self.finditer(text), 1):
            new = replacement(found)
            meter.make_text(len(new) + found.start() - end)
            pieces += [text[end : found.start()], new]
            end = found.end()
            if done == count:
                break
        return "".join([*pieces, text[end:]])

    def fullmatch(self, text: str) -> Any:
        """The match of the whole *text*, or ``None``; for patterns of our own."""
        return self._compiled.fullmatch(text)


def engine(source: str, flags: Any) -> Pattern:
    """Compile a regular expression literal; given to jsonata-python as its ``regex_engine``."""
    return Pattern(source, "i" * flags.case_insensitive + "m" * flags.multiline)


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else "it is not valid"
