"""The way from a path to its route. There are two hundred, and Starlette asks one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from starlette.routing import Match, Route, Router
from starlette.types import Lifespan, Receive, Scope, Send


class FamilyRouter(Router):
    """Starlette's router, which looks first among the routes that share the path's first word, and its method.

    The first word of every path in *routes* has to be fixed text. A slash too many is not redirected: a redirect
    would be an answer outside Truto's envelope.
    """

    def __init__(self, routes: Sequence[Route], *, lifespan: Lifespan[Any]) -> None:
        super().__init__(routes, redirect_slashes=False, lifespan=lifespan)
        self._families: defaultdict[tuple[str, str], list[Route]] = defaultdict(list)
        for route in routes:
            for method in route.methods or ():
                self._families[method, first_word(route.path)].append(route)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. What no route here takes, Starlette finds the reason for: there is none, or not with this method."""
        if scope["type"] == "http":
            for route in self._families.get((scope["method"], first_word(scope["path"])), ()):
                match, found = route.matches(scope)
                if match is Match.FULL:
                    scope.update(found, route=route, router=self)
                    await route.handle(scope, receive, send)
                    return
        await super().app(scope, receive, send)


def first_word(path: str) -> str:
    """The part between the first slash and the next."""
    return path[1:].partition("/")[0]
