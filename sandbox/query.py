"""Filters and cursors of every list. Performs no I/O."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.answers import invalid

Entry = tuple[int, dict[str, Any]]
"""A row and its position, which never changes and only grows along a list."""

PLATFORM_LIMIT = 5000
"""Platform lists show this page size in samples (skill)."""

LIST_PARAMETERS = {
    "limit": "The most objects on a page.",
    "next_cursor": "The cursor of the page before; without it, the first page.",
}
"""The parameters of every list, in addition to the filters ``field=value`` and ``field[op]=value``."""

_PAGING = frozenset({"limit", "next_cursor", "fields"})
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_LISTED = ("in", "nin")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list and where the next one starts."""

    result: list[dict[str, Any]]
    next_cursor: str | None
    limit: int

    def envelope(self) -> dict[str, Any]:
        """The list envelope of platform resources: ``{result, next_cursor, limit}`` (skill)."""
        return {"result": self.result, "next_cursor": self.next_cursor, "limit": self.limit}


def page(
    entries: Iterable[Entry],
    params: Sequence[tuple[str, str]],
    *,
    reserved: frozenset[str] = frozenset(),
    default_limit: int = PLATFORM_LIMIT,
    max_limit: int = PLATFORM_LIMIT,
) -> Page:
    """The page of *entries* that the query *params* ask for.

    Every parameter that is neither of paging nor *reserved* is a filter: ``field=value`` or
    ``field[op]=value``, dotted fields allowed (skill). A limit above *max_limit* is lowered to it. Raises a
    400 :class:`Refusal` for an unknown operator, a limit that is no positive number, and a cursor that no
    answer gave.
    """
    paging = {name: value for name, value in params if name in _PAGING}
    limit = _limit(paging.get("limit"), default_limit, max_limit)
    after = _position(paging.get("next_cursor"))
    ignored = _PAGING | reserved
    tests = conditions([(name, value) for name, value in params if name not in ignored])
    matching = [(at, row) for at, row in entries if at > after and all(test(row) for test in tests)]
    shown = matching[:limit]
    more = len(matching) > limit
    return Page([row for _, row in shown], cursor_after(shown[-1][0]) if more else None, limit)


def cursor_after(position: int) -> str:
    """The opaque ``next_cursor`` for what follows *position*."""
    return base64.urlsafe_b64encode(f"after:{position}".encode()).decode()


def _position(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
    except (binascii.Error, ValueError):
        word = number = ""
    if word != "after" or not re.fullmatch(r"[0-9]{1,15}", number):
        raise invalid("next_cursor", "is not a cursor of this list")
    return int(number)


def _limit(text: str | None, default: int, most: int) -> int:
    if text is None:
        return min(default, most)
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
        raise invalid("limit", "must be a positive number")
    return min(int(text), most)


def conditions(params: Sequence[tuple[str, str]]) -> list[Callable[[dict[str, Any]], bool]]:
    """One test per filter.

    ``a[0]=x&a[1]=y``, ``a[]=x&a[]=y`` (sdk) and ``a[in]=x,y`` (skill) all mean *in*.
    """
    plain: list[tuple[str, str, str]] = []
    listed: dict[tuple[str, str], list[str]] = {}
    for name, value in params:
        field, operator, is_array = _parse_key(name)
        if operator in _LISTED or is_array:
            key = (field, "in" if operator == "eq" else operator)
            listed.setdefault(key, []).extend(value.split(",") if operator in _LISTED else [value])
        else:
            plain.append((field, operator, value))
    return [_compare(*each) for each in plain] + [_contain(*key, values) for key, values in listed.items()]


def _parse_key(name: str) -> tuple[str, str, bool]:
    match = _KEY.fullmatch(name)
    if not match:
        raise invalid(name, "is not a filter")
    brackets = _BRACKET.findall(match[2])
    operators = [each for each in brackets if each and not each.isdigit()]
    if len(operators) > 1 or any(each not in _OPERATORS and each not in _LISTED for each in operators):
        raise invalid(name, "knows only the operators eq ne gt gte lt lte in nin like")
    return match[1], operators[0] if operators else "eq", len(operators) < len(brackets)


def _read(row: dict[str, Any], field: str) -> Any:
    value: Any = row
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def text_of(value: Any) -> str:
    """A JSON value as it is written in a query string."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def sort_key(value: Any) -> tuple[int, float, str]:
    """Numbers first, then texts; what is null comes last."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, value, ""
    return (2, 0.0, "") if value is None else (1, 0.0, text_of(value))


def _order(value: Any, wanted: str) -> int | None:
    """-1, 0 or 1 as *value* is below, at or above *wanted*; ``None`` where they cannot be compared."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(wanted)
        except ValueError:
            return None
        return (value > number) - (value < number)
    text = text_of(value)
    return (text > wanted) - (text < wanted)


def _like(value: Any, pattern: str) -> bool:
    """SQL's LIKE with ``%`` and ``_``, letters in either case; the sources name the operator only."""
    parts = ("." if each == "_" else ".*" if each == "%" else re.escape(each) for each in re.sub("%+", "%", pattern))
    return re.fullmatch("".join(parts), text_of(value), re.IGNORECASE | re.DOTALL) is not None


_OPERATORS: dict[str, Callable[[Any, str], bool]] = {
    "eq": lambda value, wanted: text_of(value) == wanted,
    "ne": lambda value, wanted: text_of(value) != wanted,
    "gt": lambda value, wanted: _order(value, wanted) == 1,
    "gte": lambda value, wanted: _order(value, wanted) in (0, 1),
    "lt": lambda value, wanted: _order(value, wanted) == -1,
    "lte": lambda value, wanted: _order(value, wanted) in (-1, 0),
    "like": _like,
}


def _compare(field: str, operator: str, wanted: str) -> Callable[[dict[str, Any]], bool]:
    compare = _OPERATORS[operator]
    return lambda row: compare(_read(row, field), wanted)


def _contain(field: str, operator: str, values: Sequence[str]) -> Callable[[dict[str, Any]], bool]:
    wanted = frozenset(values)
    return lambda row: (text_of(_read(row, field)) in wanted) == (operator == "in")
