"""``$sortNodes``, ``$dependencyGraph``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from truto import javascript
from truto.expressions.functions.collections import order_by
from truto.expressions.functions.iteratees import is_true
from truto.expressions.native import refused, wrapped
from truto.expressions.values import UNDEFINED


def sort_nodes(nodes: Any, key: Any = "id", parent_key: Any = "parent_id", sequence_key: Any = "sequence") -> list[Any]:
    """Nodes of a tree, parents before their children, siblings by sequence; orphans are roots.

    Nodes that are their own ancestors are left out: no root leads to them.
    """
    known = {_id(javascript.get_path(node, key)) for node in nodes}
    children: dict[Any, list[Any]] = {}
    roots = []
    for node in nodes:
        parent = javascript.get_path(node, parent_key)
        if parent and _id(parent) in known:
            children.setdefault(_id(parent), []).append(node)
        else:
            roots.append(node)
    result = []
    waiting = order_by(roots, sequence_key)[::-1]
    while waiting:
        node = waiting.pop()
        result.append(node)
        waiting += order_by(children.pop(_id(javascript.get_path(node, key)), []), sequence_key)[::-1]
    return result


def _id(value: Any) -> Any:
    # 1 and true are different keys in JavaScript.
    return (type(value) is bool, value) if isinstance(value, str | int | float) else None


class Graph:
    """Who depends on whom, by name."""

    def __init__(self, data: dict[str, Any], needs: dict[str, list[str]]) -> None:
        self.data = data
        self.needs = needs
        self.needed_by: dict[str, list[str]] = {name: [] for name in data}
        for name, others in needs.items():
            for other in others:
                self.needed_by[other].append(name)

    def order(self, leaves_only: Any = False) -> list[str]:
        """Every name after those that it depends on, or only names that depend on none; a cycle raises."""
        done: dict[str, bool] = {}
        result: list[str] = []
        for name in (*(name for name in self.data if not self.needed_by[name]), *self.data):
            self._visit(name, self.needs, done, result)
        return [name for name in result if not self.needs[name]] if is_true(leaves_only) else result

    def reach(self, name: str, edges: dict[str, list[str]]) -> list[str]:
        """Everything that follows from *name* along *edges*, farthest first; a cycle or an unknown name raises."""
        if name not in self.data:
            raise refused("there is no such node")
        result: list[str] = []
        self._visit(name, edges, {}, result)
        return result[:-1]

    def _visit(self, name: str, edges: dict[str, list[str]], done: dict[str, bool], result: list[str]) -> None:
        waiting = [(name, iter(edges.get(name, ())))] if name not in done else []
        done.setdefault(name, False)
        while waiting:
            here, following = waiting[-1]
            for each in following:
                if done.get(each) is False:
                    raise refused("the dependencies form a cycle")
                if each not in done:
                    done[each] = False
                    waiting.append((each, iter(edges.get(each, ()))))
                    break
            else:
                waiting.pop()
                done[here] = True
                result.append(here)


def dependency_graph(items: Any, parent_key: Any = UNDEFINED, key: Any = UNDEFINED) -> Any:
    """An object that orders *items*, each of which depends on the one that *parent_key* names."""
    data = {javascript.text(javascript.get_path(item, key)): item for item in items}
    needs: dict[str, list[str]] = {name: [] for name in data}
    for item in items:
        parent = javascript.text(javascript.get_path(item, parent_key))
        if parent in data:
            needs[javascript.text(javascript.get_path(item, key))].append(parent)
    return _as_object(Graph(data, needs))


def _as_object(graph: Graph) -> Any:
    def data_of(name: Any) -> Any:
        if name not in graph.data:
            raise refused("there is no such node")
        return graph.data[name]

    methods: dict[str, Callable[..., Any]] = {
        "overallOrder": lambda leaves_only=False: graph.order(leaves_only),
        "dependenciesOf": lambda name: graph.reach(name, graph.needs),
        "dependantsOf": lambda name: graph.reach(name, graph.needed_by),
        "hasNode": lambda name: name in graph.data,
        "getNodeData": data_of,
        "clone": lambda: _as_object(graph),
    }
    return wrapped({}, methods, native=graph)


FUNCTIONS = {"sortNodes": sort_nodes, "dependencyGraph": dependency_graph}
