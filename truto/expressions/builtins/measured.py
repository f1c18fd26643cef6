"""A function of JSONata as the evaluator calls it."""

from __future__ import annotations

from typing import Any

from truto.errors import ExpressionError
from truto.expressions.evaluator import current
from truto.expressions.library import JException, Jsonata
from truto.expressions.signature import Signature

_MAX_URL = 1_000_000
_EXPANDING = frozenset({"encodeUrl", "encodeUrlComponent", "decodeUrl", "decodeUrlComponent"})
# What JavaScript counts of a function that takes a default or a list of arguments.
_ARITY = {"string": 1, "zip": 0}


class Measured(Jsonata.JFunction):  # type: ignore[misc] # the library has no types
    """A function of the library whose result is measured, and that looks at the clock before it runs."""

    def __init__(self, name: str, inner: Any) -> None:
        super().__init__(inner, None)
        self.signature = Signature.of(inner.signature)
        self.function_name = name
        self.arity = _ARITY.get(name, self.signature.arity)

    def call(self, input: Any, args: Any) -> Any:  # noqa: A002 (the library's name)
        """Run the function within the bounds of the current evaluation."""
        meter = current().meter
        meter.check_time()
        if self.function_name in _EXPANDING and any(isinstance(arg, str) and len(arg) > _MAX_URL for arg in args or ()):
            raise ExpressionError(f"${self.function_name} takes at most {_MAX_URL} characters", code="limit_size")
        try:
            result = self.function.call(input, args)
        except (ExpressionError, JException, RecursionError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 (the library lets Python's own errors through; their text may quote a value)
            reason = f"${self.function_name}: an argument is not of the kind it takes"
            raise ExpressionError(reason, code="function") from None
        if isinstance(result, str):
            meter.make_text(len(result))
        meter.measure(result)
        return result

    def get_number_of_args(self) -> int:
        """How many arguments the function takes; asked when it is partially applied."""
        count: int = self.function.get_number_of_args()
        return count
