"""JSON text the way JavaScript's ``JSON.stringify`` writes it."""

from __future__ import annotations

import json
import math
from typing import Any

from truto.errors import ExpressionError
from truto.expressions.library import NULL, Jsonata, Parser
from truto.expressions.limits import Meter
from truto.expressions.patterns import Pattern
from truto.expressions.values import Blob, Wrapped
from truto.javascript import number_text


def stringify(value: Any, meter: Meter, *, indent: int = 0) -> str:
    """JSONata's ``$string``: text as it is, a function as ``""``, anything else as JSON.

    Numbers have at most 15 significant digits, as in JSONata, so that ``0.1 + 0.2`` is ``0.3``.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("a number that JSON does not know cannot become text", code="D3001")
    if isinstance(value, Pattern | Parser.Symbol | Jsonata.JFunctionCallable):
        return ""
    if isinstance(value, Wrapped):
        # As JSON, in quotes: Truto's `$string` takes no date and no URL for a text.
        plain = value.to_json() if value.to_json is not None else None
        return json.dumps(plain, ensure_ascii=False) if isinstance(plain, str) else ""
    return "".join(_pieces(value, meter, indent, "\n"))


def _pieces(value: Any, meter: Meter, indent: int, line: str) -> list[str]:
    meter.step()
    match value:
        case str():
            return [json.dumps(value, ensure_ascii=False)]
        case bool():
            return ["true" if value else "false"]
        case int() | float():
            return [_number(value)]
        case list():
            return _joined("[]", [_pieces(item, meter, indent, line + " " * indent) for item in value], indent, line)
        case Wrapped() if value.to_json is not None:
            return [json.dumps(value.to_json(), ensure_ascii=False)]
        case dict():
            colon = ": " if indent else ":"
            members = [
                [json.dumps(key, ensure_ascii=False), colon, *_pieces(item, meter, indent, line + " " * indent)]
                for key, item in value.items()
                if item is not None
            ]
            return _joined("{}", members, indent, line)
        case _ if value is NULL or value is None or isinstance(value, Blob):
            return ["null"]
        case _:
            return ['""']  # a function


def _joined(braces: str, items: list[list[str]], indent: int, line: str) -> list[str]:
    if not items:
        return [braces]
    pieces = [braces[0]]
    for position, item in enumerate(items):
        pieces.append("," if position else "")
        pieces.append(line + " " * indent if indent else "")
        pieces += item
    pieces.append(line if indent else "")
    pieces.append(braces[1])
    return pieces


def _number(value: float) -> str:
    if isinstance(value, int):
        return number_text(value)
    if math.isnan(value):
        return "null"
    if math.isinf(value):
        raise ExpressionError("a number that JSON does not know cannot become text", code="D1001")
    return number_text(float(f"{value:.15g}"))
