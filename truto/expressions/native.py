"""How a Python function becomes one that an expression can call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any

from truto.errors import ExpressionError
from truto.expressions.evaluator import current
from truto.expressions.library import JException, Jsonata
from truto.expressions.values import UNDEFINED, Wrapped, from_function, to_argument


class Native(Jsonata.JLambda):  # type: ignore[misc] # the library has no types
    """A function of ours: converts, measures, and names itself in errors.

    As in JavaScript, arguments that are too many are dropped, and undefined ones become the default.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.function_name = name
        parameters = list(inspect.signature(function).parameters.values())
        self._internal = getattr(function, "takes_internal", False)
        self._variadic = any(each.kind is each.VAR_POSITIONAL for each in parameters)
        self._defaults = [UNDEFINED if each.default is each.empty else each.default for each in parameters]
        # JavaScript counts the parameters before the first one that has a default.
        counted = takewhile(lambda each: each.kind is not each.VAR_POSITIONAL, parameters)
        self.arity = sum(1 for _ in takewhile(lambda each: each.default in (each.empty, UNDEFINED), counted))

    def get_number_of_args(self) -> int:
        """How many arguments the function takes; asked when it is partially applied."""
        return len(self._defaults)

    def call(self, input: Any, args: Any) -> Any:  # noqa: A002 (the library's name)
        """Call the function within the bounds of the current evaluation."""
        del input
        meter = current().meter
        meter.check_time()
        given = list(args or ()) if self._internal else [to_argument(arg, meter) for arg in args or ()]
        if not self._variadic:
            given = [
                default if position >= len(given) or given[position] is UNDEFINED else given[position]
                for position, default in enumerate(self._defaults)
            ]
        result = self._run(given)
        if isinstance(result, str):
            meter.make_text(len(result))
        internal = result if self._internal else from_function(result, meter)
        meter.measure(internal)
        return internal

    def _run(self, arguments: list[Any]) -> Any:
        try:
            return self.function(*arguments)
        except ExpressionError as error:
            if error.code != "function":
                raise
            raise ExpressionError(f"${self.function_name}: {error}", code="function") from None
        except (JException, RecursionError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 (JavaScript would raise here too; the text may quote the value)
            raise refused("an argument is not of the kind it takes", self.function_name) from None


def refused(reason: str, name: str = "") -> ExpressionError:
    """The error of a function that cannot do what it is asked; :class:`Native` adds its name."""
    return ExpressionError(f"${name}: {reason}" if name else reason, code="function")


def wrapped(
    members: Mapping[str, Any], methods: Mapping[str, Callable[..., Any]], *, native: Any, to_json: Any = None
) -> Wrapped:
    """An object with methods, ready to be given to an expression."""
    plain = {key: from_function(value, current().meter) for key, value in members.items()}
    return Wrapped(
        {**plain, **{name: Native(name, method) for name, method in methods.items()}}, native=native, to_json=to_json
    )


def options_of(value: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """An options object over its defaults; an option that is not known is refused rather than ignored."""
    if value is None or value is UNDEFINED:
        return dict(known)
    if isinstance(value, int | float):
        return dict(known)  # the index, where `$map` calls the function
    if not isinstance(value, Mapping):
        raise refused("the options are not an object")
    if unknown := sorted(set(value) - set(known)):
        raise refused(f"the option {unknown[0]!r} is not supported")
    return {**known, **value}
