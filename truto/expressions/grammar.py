r"""jsonata-python's parser, where it differs from JSONata's.

It analyses the left side of ``?:`` and ``??`` twice, once as the condition and once as the value; each time negates
literal numbers and adds predicates again, so that ``-5 ?: 9`` was 5. It leaves the halves of a character that is
escaped as ``\ud83d\ude00`` apart.
"""

from __future__ import annotations

from typing import Any

from truto.expressions.library import Jsonata, Parser
from truto.expressions.signature import Signature


class Grammar(Parser):  # type: ignore[misc] # the library has no types
    """A parser that the library takes for its own; each thread has one."""

    def process_ast(self, expr: Any) -> Any:
        """The analysed tree of *expr*; called again for each of its parts."""
        kind = getattr(expr, "type", None)
        if kind == "string":
            expr.value = _joined(expr.value)
        elif kind == "condition" and repeats(expr):
            return self._process_default(expr)
        result = super().process_ast(expr)
        if kind == "lambda" and result.signature is not None:
            result.signature = Signature.of(result.signature)
        return result

    def _process_default(self, expr: Any) -> Any:
        result = Parser.Symbol(self)
        result.type, result.position = expr.type, expr.position
        result.then = self.process_ast(expr.then)
        result.condition = result.then if expr.condition is expr.then else self._exists(expr.condition, result.then)
        result._else = self.process_ast(expr._else)  # noqa: SLF001  the library's name
        for part in (result.then, result._else):  # noqa: SLF001
            self.push_ancestry(result, part)
        return result

    def _exists(self, call: Any, argument: Any) -> Any:
        """``$exists(argument)``, which is what ``??`` asks."""
        result = Parser.Symbol(self)
        result.type, result.value, result.position = call.type, call.value, call.position
        result.procedure = self.process_ast(call.procedure)
        result.arguments = [argument]
        return result

    def tail_call_optimize(self, expr: Any) -> Any:
        """The body of a function, its last call made a jump; the value of ``?:`` is not last, it is asked about too."""
        if getattr(expr, "type", None) == "condition" and repeats(expr):
            expr._else = super().tail_call_optimize(expr._else)  # noqa: SLF001
            return expr
        return super().tail_call_optimize(expr)


def install() -> None:
    """Let the library parse with a :class:`Grammar` in this thread, also where it parses on its own."""
    if not isinstance(getattr(Jsonata.PARSER, "parser", None), Grammar):
        Jsonata.PARSER.parser = Grammar()


def repeats(condition: Any) -> bool:
    """Whether the value of a condition is what it asks about: ``a ?: b``, ``a ?? b``."""
    asked, then = condition.condition, condition.then
    return asked is then or (asked.type == "function" and len(asked.arguments) == 1 and asked.arguments[0] is then)


def _joined(text: str) -> str:
    if text.isascii() or not any("\ud800" <= character <= "\udbff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
