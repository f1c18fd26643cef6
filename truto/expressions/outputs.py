"""Find whether an expression returns its scope with other members, or something else, from its tree alone.

The data that an expression works on has no say in this: a value that merely looks like the scope is not it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_ROOTS = frozenset({"", "$"})


@dataclass(frozen=True, slots=True)
class Output:
    """What an expression gives: the ``scope``, anything ``other`` than it, or ``unknown`` where the tree cannot tell.

    *written* are the members of the scope that the expression itself has put there, under a name in its source. There
    are none when it is *mixed* with data, of which any member may come.
    """

    kind: Literal["scope", "other", "unknown"]
    written: frozenset[str] = frozenset()
    mixed: bool = False


_OTHER = Output("other")
_UNKNOWN = Output("unknown")
_SCOPE = Output("scope")

Known = Mapping[str, Output]


def read_output(tree: Any, marks: frozenset[str]) -> Output:
    """What the expression with this compiled *tree* gives.

    An object is the scope when its source writes one of *marks* into it.
    """
    return _Reader(marks).output(tree, {})


class _Reader:
    def __init__(self, marks: frozenset[str]) -> None:
        self._marks = marks

    def output(self, node: Any, known: Known) -> Output:
        """What *node* gives where the variables *known* are bound."""
        if node is None:
            return _OTHER
        output, group = self._whole(node, known), getattr(node, "group", None)
        if group and _literal_keys(group) & self._marks:
            return _UNKNOWN
        selected = group or getattr(node, "predicate", None)
        return _UNKNOWN if selected and output.kind != "other" else output

    def _whole(self, node: Any, known: Known) -> Output:
        match node.type:
            case "block":
                return self._block(node.expressions, known)
            case "condition":
                return _joined(self.output(node.then, known), self.output(node._else, known), node._else is None)  # noqa: SLF001
            case "bind":
                return self.output(node.rhs, known)
            case "variable":
                return _SCOPE if node.value in _ROOTS else known.get(node.value, _OTHER)
            case "unary" if node.value == "{":
                return self._object(node)
            case "function" | "partial":
                return self._call(node, known)
            case "apply":
                return self._applied(node, known)
            case "path":
                return self._path(node, known)
            case "unary" | "binary" | "string" | "number" | "value" | "regex" | "wildcard" | "descendant" | "lambda":
                return _OTHER
            case _:
                return _UNKNOWN

    def _block(self, expressions: Any, known: Known) -> Output:
        inner, last = dict(known), _OTHER
        for each in expressions:
            last = self.output(each, inner)
            if each.type == "bind":
                inner[each.lhs.value] = _UNKNOWN if each.rhs.type == "lambda" else last
        return last

    def _object(self, node: Any) -> Output:
        written = _literal_keys(node)
        return Output("scope", written) if written & self._marks else _OTHER

    def _call(self, node: Any, known: Known) -> Output:
        name = node.procedure.value if node.procedure.type == "variable" else None
        if name is None or name in known or name == "eval":
            return _UNKNOWN
        arguments = node.arguments
        if name == "merge" and len(arguments) == 1 and _is_array(arguments[0]):
            return self._merged(arguments[0].expressions, known)
        outputs = [self.output(each, known) for each in arguments]
        if name == "sift" and len(outputs) == 2 and outputs[0].kind == "scope":
            return _SCOPE
        return _OTHER if all(output.kind == "other" for output in outputs) else _UNKNOWN

    def _merged(self, parts: Any, known: Known) -> Output:
        outputs = [self.output(part, known) for part in parts]
        if any(output.kind == "unknown" for output in outputs):
            return _UNKNOWN
        if all(output.kind == "other" for output in outputs):
            return _OTHER
        pairs = list(zip(parts, outputs, strict=True))
        if any(output.mixed or (output.kind == "other" and not _is_plain_object(part)) for part, output in pairs):
            return Output("scope", mixed=True)
        written = (_literal_keys(part) if _is_plain_object(part) else output.written for part, output in pairs)
        return Output("scope", frozenset().union(*written))

    def _applied(self, node: Any, known: Known) -> Output:
        left = self.output(node.lhs, known)
        if left.kind == "scope" and node.rhs.type == "transform":
            return left if left.mixed else Output("scope", left.written | _transformed(node.rhs))
        if left.kind != "other":
            return _UNKNOWN
        if node.rhs.type == "transform":
            return _OTHER
        called = node.rhs.procedure if node.rhs.type in ("function", "partial") else node.rhs
        return _UNKNOWN if called.type != "variable" or called.value in known or called.value == "eval" else _OTHER

    def _path(self, node: Any, known: Known) -> Output:
        first, *others = node.steps
        if not others:
            return self.output(first, known) if first.type != "name" else _OTHER
        last = others[-1]
        if last.type == "unary" and last.value == "{" and _literal_keys(last) & self._marks:
            return _UNKNOWN
        if first.type == "name" or (first.type == "variable" and first.value in _ROOTS and others[0].type == "name"):
            return _OTHER
        return _OTHER if self.output(first, known).kind == "other" else _UNKNOWN


def _joined(first: Output, second: Output, second_is_missing: bool) -> Output:
    if second_is_missing:
        return first
    if first.kind != second.kind:
        return _UNKNOWN
    return Output(first.kind, first.written & second.written, first.mixed or second.mixed)


def _is_array(node: Any) -> bool:
    return bool(node.type == "unary" and node.value == "[")


def _literal_keys(node: Any) -> frozenset[str]:
    return frozenset(key.value for key, _ in node.lhs_object if key.type == "string")


def _is_plain_object(node: Any) -> bool:
    """Whether *node* is an object whose source writes every key out."""
    return bool(node.type == "unary" and node.value == "{") and all(key.type == "string" for key, _ in node.lhs_object)


def _transformed(node: Any) -> frozenset[str]:
    """What ``|pattern|update|`` writes: the member that the pattern names, or the update's own where it names all."""
    pattern, update = node.pattern, node.update
    if pattern.type == "variable" and pattern.value == "":
        return _literal_keys(update) if _is_plain_object(update) else frozenset()
    if pattern.type == "path" and pattern.steps[0].type == "name":
        return frozenset({pattern.steps[0].value})
    return frozenset()
