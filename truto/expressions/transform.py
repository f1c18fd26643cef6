"""``|pattern|update, deletion|``: the function that changes a copy of what it is given."""

from __future__ import annotations

from typing import Any

from truto.errors import ExpressionError
from truto.expressions.library import JException, Jsonata, Utils
from truto.expressions.signature import Signature
from truto.expressions.values import copied


class Transform(Jsonata.JFunction):  # type: ignore[misc] # the library has no types
    """One transform as a function value."""

    arity = 1

    def __init__(self, evaluation: Any, expr: Any, environment: Any) -> None:
        super().__init__(None, None)
        self.signature = Signature("<(oa):o>", "transform")
        self._evaluation, self._expr, self._environment = evaluation, expr, environment

    def call(self, input: Any, args: Any) -> Any:  # noqa: A002 (the library's name)
        """A copy of the argument in which every match of the pattern is updated."""
        del input
        if args[0] is None:
            return None
        result = copied(args[0], self._evaluation.meter)
        matches = self._evaluation.eval(self._expr.pattern, result, self._environment)
        for match in matches if isinstance(matches, list) else [] if matches is None else [matches]:
            self._update(match)
            self._delete(match)
        return result

    def _update(self, match: Any) -> None:
        update = self._evaluation.eval(self._expr.update, match, self._environment)
        if update is None:
            return
        if not isinstance(update, dict):
            raise JException("T2011", self._expr.update.position)
        if isinstance(match, dict):
            match.update(update)
        elif update and not isinstance(match, list):
            raise ExpressionError("a transform matches something that is not an object", code="function")

    def _delete(self, match: Any) -> None:
        if self._expr.delete is None:
            return
        names = self._evaluation.eval(self._expr.delete, match, self._environment)
        if names is None:
            return
        names = names if isinstance(names, list) else [names]
        if not Utils.is_array_of_strings(names):
            raise JException("T2012", self._expr.delete.position)
        for name in names if isinstance(match, dict) else ():
            match.pop(name, None)
