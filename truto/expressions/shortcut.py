"""Find the value of an expression without evaluating it, where its conditions are plainly false.

Most expressions that answer handshakes read ``<condition on the request> ? <answer> : <constant>``, and most requests
get the constant. Conditions over plain paths are decided here by looking up the path. All other conditions (arrays,
functions, numbers compared with text) need an evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from truto.expressions.values import UNDEFINED


class _Undecided:
    def __repr__(self) -> str:
        return "UNDECIDED"


UNDECIDED: Final = _Undecided()
"""The value of a shortcut when the expression has to be evaluated."""

Shortcut = Callable[[Mapping[str, Any]], Any]

_MISSING: Final = object()
_SCALARS = {"string", "number", "value"}
# What a node of a plain path may carry; anything else (predicates, sorting, grouping, …) makes it another thing.
_PLAIN = frozenset({"id", "type", "value", "position", "lbp", "bp", "steps", "_outer_instance"})


def compile_shortcut(ast: Any) -> Shortcut | None:
    """The shortcut for the expression of *ast*; ``None`` where it always needs an evaluation."""
    return _shortcut(ast) if ast.type == "condition" or _is_object(ast) else None


def _shortcut(node: Any) -> Shortcut | None:
    if node is None:
        return lambda scope: UNDEFINED
    if node.type in _SCALARS:
        constant = node.value
        return lambda scope: constant
    if node.type == "condition":
        fails, rest = _failing(node.condition), _shortcut(node._else)  # noqa: SLF001  the library's name
        if fails is None or rest is None:
            return None
        return lambda scope: rest(scope) if fails(scope) else UNDECIDED
    return _object(node) if _is_object(node) else None


def _is_object(node: Any) -> bool:
    return bool(node.type == "unary" and node.value == "{" and all(key.type == "string" for key, _ in node.lhs_object))


def _object(node: Any) -> Shortcut | None:
    members = [(key.value, _shortcut(value)) for key, value in node.lhs_object]
    known = [(name, shortcut) for name, shortcut in members if shortcut is not None]
    if len(known) < len(members) or len(dict(known)) < len(known):
        return None

    def shortcut(scope: Mapping[str, Any]) -> Any:
        found = {name: value(scope) for name, value in known}
        if any(value is UNDECIDED for value in found.values()):
            return UNDECIDED
        return {name: value for name, value in found.items() if value is not UNDEFINED}

    return shortcut


def _failing(node: Any) -> Callable[[Mapping[str, Any]], bool] | None:
    """A test for the condition *node* being false; ``None`` for a condition that needs an evaluation."""
    if node.type == "binary" and node.value == "and":
        left, right = _failing(node.lhs), _failing(node.rhs)
        if left is None or right is None:
            return None
        return lambda scope: left(scope) or right(scope)
    if node.type == "binary" and node.value == "=":
        compared, literal = plain_path(node.lhs), node.rhs
        if compared is None or literal.type not in ("string", "number"):
            return None
        return lambda scope: _differs(_find(scope, compared), literal.value)
    if node.type == "function" and node.procedure.type == "variable" and node.procedure.value == "exists":
        asked = plain_path(node.arguments[0]) if len(node.arguments) == 1 else None
    else:
        asked = plain_path(node)
    return None if asked is None else lambda scope: _find(scope, asked) is _MISSING


def plain_path(node: Any) -> tuple[str, ...] | None:
    """The names of a path that is nothing else, such as ``body.type``; ``None`` for any other *node*."""
    if node.type != "path" or not all(map(_is_plain, (node, *node.steps))):
        return None
    steps = node.steps[1:] if node.steps[0].type == "variable" and node.steps[0].value == "" else node.steps
    return tuple(step.value for step in steps) if steps and all(step.type == "name" for step in steps) else None


def _is_plain(node: Any) -> bool:
    return not any(value for name, value in vars(node).items() if name not in _PLAIN)


def _find(scope: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    found = scope.get(names[0], _MISSING)
    for name in names[1:]:
        if found is _MISSING:
            break
        # A look at the type spares most values the slower question.
        if type(found) is not dict and not isinstance(found, Mapping):
            return UNDECIDED
        found = found.get(name, _MISSING)
    return found


def _differs(value: Any, wanted: str | float) -> bool:
    if value is _MISSING:
        return True
    if isinstance(wanted, str):
        return isinstance(value, str) and value != wanted
    return isinstance(value, int | float) and not isinstance(value, bool) and value != wanted
