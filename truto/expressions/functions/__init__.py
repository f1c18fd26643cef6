"""Truto's own functions, one module for each group (lib: @truto/truto-jsonata 3.0.6; skill: truto-jsonata).

Each module lists its functions by name in ``FUNCTIONS``. They take plain JSON, with :data:`UNDEFINED` for an argument
that is undefined and has no default, and give plain JSON. None of them reaches the network or a file.
"""

from __future__ import annotations

from truto.expressions.functions import (
    binary,
    collections,
    datetimes,
    encoding,
    markup,
    mime_types,
    money,
    nodes,
    splitting,
    tables,
    texts,
    unavailable,
    urls,
    xml,
)
from truto.expressions.native import Native

_MODULES = (
    binary,
    collections,
    datetimes,
    encoding,
    markup,
    mime_types,
    money,
    nodes,
    splitting,
    tables,
    texts,
    unavailable,
    urls,
    xml,
)


def truto_functions() -> dict[str, Native]:
    """Every function of Truto by its name, without the dollar sign."""
    return {name: Native(name, function) for module in _MODULES for name, function in module.FUNCTIONS.items()}
