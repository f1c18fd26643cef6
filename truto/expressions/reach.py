"""Find whether an expression may read certain members of its scope, from its tree; in doubt, it may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

_SELECTING = frozenset({"predicate", "stages", "group"})
_LINKS = frozenset({"_outer_instance", "outer_instance", "ancestor"})
# Called without their first argument, they take the input of the expression.
_TAKING_INPUT = {"each": 2, "keys": 1, "lookup": 2, "map": 2, "sift": 2, "spread": 1, "string": 1}


class Reach(NamedTuple):
    """``named``: it names one of the members. ``whole``: it takes something that holds one, and may look into it."""

    named: bool
    whole: bool


def read_reach(tree: Any, members: Iterable[tuple[str, ...]]) -> Reach:
    """How the expression with this compiled *tree* may reach *members*, given as paths from its root."""
    found = [_touched(node, at_root, tuple(members)) for node, at_root in _nodes(tree)]
    return Reach(any(one.named for one in found), any(one.whole for one in found))


def _touched(node: Any, at_root: bool, members: tuple[tuple[str, ...], ...]) -> Reach:
    match node.type:
        case "path":
            return _by_path(_rooted_names(node.steps, at_root), members)
        case "variable":
            return Reach(False, node.value in ("$", "eval") or (at_root and node.value == ""))
        case "wildcard" | "descendant":
            return Reach(False, at_root)
        case "parent":
            return Reach(False, True)
        case "function" if at_root and node.procedure.type == "variable":
            return Reach(False, len(node.arguments) < _TAKING_INPUT.get(node.procedure.value, 0))
        case _:
            return Reach(False, False)


def _by_path(names: tuple[str, ...] | None, members: tuple[tuple[str, ...], ...]) -> Reach:
    if names is None:
        return Reach(False, False)
    named = any(names[: len(member)] == member for member in members)
    return Reach(named, not names or any(member[: len(names)] == names != member for member in members))


def _rooted_names(steps: Any, at_root: bool) -> tuple[str, ...] | None:
    """The names that a path follows from the root, as far as they are plain; ``None`` when it begins elsewhere."""
    if _is_root(steps[0], at_root):
        steps = steps[1:]
    elif steps[0].type != "name" or not at_root:
        return None
    names: list[str] = []
    for step in steps:
        if step.type != "name":
            break
        names.append(step.value)
        if any(getattr(step, name, None) for name in _SELECTING):
            break
    return tuple(names)


def _is_root(node: Any, at_root: bool) -> bool:
    if node.type != "variable" or any(getattr(node, name, None) for name in _SELECTING):
        return False
    return bool(node.value == "$" or (at_root and node.value == ""))


def _nodes(tree: Any) -> Iterator[tuple[Any, bool]]:
    """Every node, and whether its input is the root; not by recursion, since sources may be nested deeply."""
    waiting, seen = [(tree, True)], set()
    while waiting:
        node, at_root = waiting.pop()
        if isinstance(node, list | tuple):
            waiting += [(each, at_root) for each in node]
        elif hasattr(node, "type") and (id(node), at_root) not in seen:
            seen.add((id(node), at_root))
            yield node, at_root
            waiting += _inner(node, at_root)


def _inner(node: Any, at_root: bool) -> list[tuple[Any, bool]]:
    members = {name: value for name, value in vars(node).items() if name not in _LINKS}
    if node.type == "path":
        first, *others = members.pop("steps")
        begins = [] if _is_root(first, at_root) else [(first, at_root)]
        return [*begins, *((each, False) for each in [*others, *members.values()])]
    return [(value, at_root and name not in _SELECTING) for name, value in members.items()]
