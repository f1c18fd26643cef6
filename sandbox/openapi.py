"""The sandbox in OpenAPI 3.1, read from the routes that serve it and the tables that check its bodies."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox import fields
from sandbox.answers import answer
from sandbox.calls import Endpoint
from sandbox.dataset import RESOURCES
from sandbox.gate import needs_token

_TEXT = {"type": "string"}
_CURSOR = {"type": ["string", "null"]}
_OBJECTS = {"type": "array", "items": {"type": "object"}}
_PAGE = {"next_cursor": _CURSOR, "limit": {"type": "integer"}}


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


SCHEMAS: dict[str, dict[str, Any]] = {
    "Object": {"type": "object"},
    "List": _object("result", "next_cursor", "limit", result=_OBJECTS, **_PAGE),
    "DataList": _object(
        "result",
        "next_cursor",
        "prev_cursor",
        "result_count",
        "is_partial_response",
        # An object with truto_key_by.
        result={"anyOf": [_OBJECTS, {"type": "object"}]},
        prev_cursor=_CURSOR,
        result_count={"type": "integer"},
        is_partial_response={"type": "boolean"},
        **_PAGE,
    ),
    "Results": _object("result", result=_OBJECTS),
    "Result": _object("result", result={}),
    "Batch": _object("result", "errors", result={"type": "object"}, errors={"type": "object"}),
    "Deleted": _object("id", id=_TEXT),
    "Success": _object("success", success={"const": True}),
    "File": _object("url", url=_TEXT),
    "Error": _object(
        "statusCode",
        "error",
        "message",
        statusCode={"type": "integer"},
        error=_TEXT,
        message=_TEXT,
        details={"type": "object", "properties": {"failures": _OBJECTS}},
        truto_is_remote_error={"const": True},
        raw_response={"type": "object"},
        truto_error_insight={"type": "object"},
    ),
}
"""What answers look like; an endpoint names its own as ``shape``. ``Bytes`` and ``Page`` are no JSON."""


def openapi_route(served: Iterable[BaseRoute]) -> Route:
    """``GET /openapi.json``: *served* and itself."""
    routes = [route for route in served if isinstance(route, Route)]

    async def show(_request: Request) -> Response:
        """The description of everything that is served here."""
        return answer(document([*routes, own])).response()

    own = Route("/openapi.json", show, methods=["GET"])
    return own


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI document of *routes*."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = re.sub(r":\w+}", "}", route.path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(path, {}).setdefault(method.lower(), _operation(route, path, method))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Truto sandbox",
            "version": "1",
            "description": "A local imitation of the Truto API. Lists also filter: `field=value`, `field[op]=value`.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, path: str, method: str) -> dict[str, Any]:
    endpoint = route.endpoint
    described = endpoint if isinstance(endpoint, Endpoint) else None
    text = inspect.getdoc(described.handler if described else endpoint) or ""
    summary, _, more = text.partition("\n")
    found: dict[str, Any] = {
        "summary": summary,
        "description": more.strip(),
        "operationId": f"{method.lower()}{re.sub('[^A-Za-z0-9]+', '_', path)}",
        "parameters": [*_path_parameters(path), *(_query_parameters(described) if described else ())],
        "responses": {
            "200": _ok(described.shape if described else "Bytes"),
            "default": {"description": "The error envelope.", "content": _json({"$ref": "#/components/schemas/Error"})},
        },
        "security": [{"token": []}] if needs_token(path) else [],
    }
    if described and method in ("POST", "PATCH", "PUT") and (takes := _body(described)) is not None:
        required = bool(takes.get("required"))
        found["requestBody"] = {"required": required, "content": {described.media_type: {"schema": takes}}}
    return found


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _segment(path, name)}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _segment(path: str, name: str) -> dict[str, Any]:
    if name == "resource" and path.startswith(("/unified/", "/proxy/")):
        return {"type": "string", "enum": sorted(RESOURCES)}
    return {"type": "string", "minLength": 1}


def _query_parameters(described: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "description": text, "schema": _TEXT}
        for name, text in described.query.items()
    ]


def _body(described: Endpoint) -> dict[str, Any] | None:
    if described.takes is not None:
        return dict(described.takes)
    return None if described.body is None else fields.json_schema(described.body, partial=described.partial)


def _ok(shape: str) -> dict[str, Any]:
    if shape not in SCHEMAS:
        return {"description": "Not always JSON."}
    return {"description": "Done.", "content": _json({"$ref": f"#/components/schemas/{shape}"})}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
