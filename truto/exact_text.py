"""Which values decide about trust: those that every language writes alike. Performs no I/O."""

from __future__ import annotations

import math


def exact_text(value: object) -> str | None:
    """The text of *value*, where it has one alone: text itself, and numbers that every language writes alike.

    Those are whole numbers below 10^21, given as such, and fractions that need no exponent. JSON beyond 64 bits loses
    digits when it is read, ``1.0`` is ``1`` to some senders, ``1e-7`` has many spellings: these give ``None``, as does
    everything that is neither text nor a number.
    """
    match value:
        case str():
            return value
        case bool():
            return None
        case int():
            return str(value) if abs(value) < 10**21 else None
        case float() if math.isfinite(value) and not value.is_integer() and "e" not in (text := repr(value)):
            return text
        case _:
            return None


def kind_of(value: object) -> str:
    """What a value is that has no exact text, in a word for the author of a configuration."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number with more than one spelling"
        case list():
            return "a list"
        case _:
            return "an object"
