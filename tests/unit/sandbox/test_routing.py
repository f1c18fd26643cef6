"""The short way to a route leads where Starlette's own goes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from sandbox import SandboxConfig, create_app
from sandbox.routing import FamilyRouter, first_word


class Destination:
    """An endpoint that tells of itself."""

    def __init__(self, route: Route) -> None:
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "arrived", "at": self._route, "with": scope["path_params"]})


def everywhere() -> list[Route]:
    """The sandbox's routes, without what they do."""
    served = [route for route in create_app(SandboxConfig()).routes if isinstance(route, Route)]
    return [Route(route.path, Destination(route), methods=list(route.methods or ())) for route in served]


ROUTES = everywhere()
LONG = Router(ROUTES, redirect_slashes=False)
SHORT = FamilyRouter(ROUTES, lifespan=LONG.lifespan_context)
WORDS = sorted({word for route in ROUTES for word in route.path.split("/")})


async def ask(router: Router, method: str, path: str, root_path: str) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("no destination reads")

    async def send(message: Message) -> None:
        sent.append(message)

    await router({"type": "http", "method": method, "path": path, "root_path": root_path}, receive, send)
    return sent


METHODS = st.sampled_from(["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "BREW"])
SEGMENTS = st.lists(st.sampled_from([*WORDS, "7", "", "me\n"]) | st.text(max_size=4), max_size=6)


@given(method=METHODS, segments=SEGMENTS, root=st.sampled_from(["", "/unified", "/log"]))
@example(method="GET", segments=["ping\n"], root="")
@example(method="GET", segments=["unified", "ping"], root="/unified")
def test_any_path_leads_where_starlette_would_go(method: str, segments: list[str], root: str) -> None:
    path = "/" + "/".join(segments)
    assert asyncio.run(ask(SHORT, method, path, root)) == asyncio.run(ask(LONG, method, path, root))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{'+'.join(sorted(route.methods))} {route.path}")
async def test_every_route_is_reached_as_with_starlette(route: Route) -> None:
    path = route.path.replace("{", "a-").replace("}", "")
    for method in route.methods or ():
        found = await ask(SHORT, method, path, "")
        assert found == await ask(LONG, method, path, "")
        assert [message["type"] for message in found] == ["arrived"]


@pytest.mark.parametrize(
    ("path", "word"),
    [("/log", "log"), ("/unified/crm/contacts", "unified"), ("/", ""), ("//log", ""), ("*", ""), ("", "")],
    ids=repr,
)
def test_the_first_word_of_a_path(path: str, word: str) -> None:
    assert first_word(path) == word
