"""What evaluating an expression raises."""

from __future__ import annotations

from truto.errors import TrutoError


class ExpressionError(TrutoError):
    """An expression is wrong, exceeded a limit, or gave something that is not JSON.

    ``code`` is JSONata's own error code (``S0201``, ``T2001`` …), or one stable word of ours: ``limit_time``,
    ``limit_depth``, ``limit_size``, ``limit_source``, ``function``, ``regex``, ``syntax``, ``input``, ``result``,
    ``internal``. ``position`` counts characters of the source from 0 and is ``None`` where none is known. Values of the
    scope are in neither; what an author writes into ``$error()`` and ``$assert()`` is.
    """

    def __init__(self, message: str, *, code: str, position: int | None = None) -> None:
        super().__init__(message if position is None else f"{message} (at character {position})")
        self.code = code
        self.position = position
