"""What an account or an integration can do: meta routes, capabilities and tools (docs: unified-api; skill)."""

from __future__ import annotations

import re
from typing import Any

from starlette.routing import Route

from sandbox import tools
from sandbox.answers import Answer, answer, invalid, missing
from sandbox.calls import Call, Endpoints
from sandbox.state import Row, State

_TYPES = ("proxy", "unified", "all")
_FORMATS = ("json", "md", "html")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOOL_FILTERS = {"methods": "Names or kinds of methods, with commas.", "tags": "Tool tags, with commas."}
_CAPABILITIES = {
    "type": "`proxy`, `unified` or `all`.",
    "methods": "Only these methods, with commas.",
    "resource": "Only this resource.",
    "has_description": "`false` also asks for what nobody described; here everything is.",
}


class Meta:
    """All routes that describe and change nothing."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """They come before the data they describe: ``meta`` is no model, resource or id."""
        form = {"query": {"format": "`json`, `md` or `html`."}}
        listed = {"query": _TOOL_FILTERS, "shape": "Results"}
        can = {"query": _CAPABILITIES}
        table = (
            ("/unified/meta/{model}/{integration}", endpoint(self.model, **form)),
            ("/unified/{model}/{resource}/meta/{method}", endpoint(self.unified_method)),
            ("/unified/{model}/{resource}/{integration}/meta/{method}", endpoint(self.unified_method)),
            ("/proxy/{resource}/meta/{method}", endpoint(self.native_method)),
            ("/integration/{id}/tools", endpoint(self.integration_tools, **listed)),
            ("/integration/{id}/unified-apis", endpoint(self.unified_apis, shape="Results")),
            ("/integration/{id}/capabilities", endpoint(self.integration_capabilities, **can)),
            ("/integrated-account/{id}/tools", endpoint(self.account_tools, **listed)),
            ("/integrated-account/{id}/capabilities", endpoint(self.account_capabilities, **can)),
        )
        return [Route(path, described, methods=["GET"]) for path, described in table]

    async def model(self, call: Call) -> Answer:
        """What a unified model can do with an integration; ``format`` json, md or html."""
        model, integration = call.path["model"], call.path["integration"]
        # They come back inside of HTML and Markdown.
        if not (_NAME.fullmatch(model) and _NAME.fullmatch(integration)):
            raise missing("Unified model")
        wanted = call.param("format") or "json"
        if wanted not in _FORMATS:
            raise invalid("format", f"must be one of {', '.join(_FORMATS)}")
        if wanted == "json":
            found = {tool.name: tool.metadata() for tool in tools.every()}
            return answer({"unified_model": model, "integration": integration, "methods": found})
        text = tools.documentation(model, integration, wanted).encode()
        return Answer(text, media_type="text/markdown" if wanted == "md" else "text/html")

    async def unified_method(self, call: Call) -> Answer:
        """One method of a unified resource, with ``response_schema`` where an integration is named."""
        return answer(_tool(call).metadata(call.path.get("integration")))

    async def native_method(self, call: Call) -> Answer:
        """One method of a provider's resource. No source shows this route's answer: shaped as the unified one."""
        return answer(_tool(call).metadata("native", native=True))

    async def integration_tools(self, call: Call) -> Answer:
        """The tools of an integration."""
        self._integration(call.path["id"])
        return answer({"result": _described(call)})

    async def account_tools(self, call: Call) -> Answer:
        """The tools of an account."""
        self._account(call.path["id"])
        return answer({"result": _described(call)})

    async def unified_apis(self, call: Call) -> Answer:
        """The unified models an integration takes part in: here all."""
        self._integration(call.path["id"])
        models = self._state.platform["/unified-model"].rows()
        return answer({"result": [{key: row.get(key) for key in ("id", "name", "category")} for row in models]})

    async def integration_capabilities(self, call: Call) -> Answer:
        """The routes of an integration, by id or name."""
        integration = self._integration(call.path["id"])
        return answer(self._capabilities(call, integration["name"]))

    async def account_capabilities(self, call: Call) -> Answer:
        """The routes of an account, and how ready it is."""
        account = self._account(call.path["id"])
        ready = account["status"] == "active"
        about = {key: account[key] for key in ("id", "status", "authentication_method")}
        found = self._capabilities(call, account["integration"]["name"])
        # The name of the score is in no source.
        return answer({**found, "readiness_score": 100 if ready else 0, "account": {**about, "is_blocked": False}})

    def _capabilities(self, call: Call, integration: str) -> dict[str, Any]:
        wanted = call.param("type") or "all"
        if wanted not in _TYPES:
            raise invalid("type", f"must be one of {', '.join(_TYPES)}")
        resource = call.param("resource")
        found = [
            {"resource": tool.resource, "method": tool.method, "description": tool.description}
            for tool in tools.chosen(_split(call.param("methods")), ())
            if resource in (None, tool.resource)
        ]
        return {
            "integration": integration,
            "environment_id": self._state.platform["/environment"].rows()[0]["id"],
            "proxy": found if wanted in ("proxy", "all") else [],
            "unified": found if wanted in ("unified", "all") else [],
            "auth": {"methods": ["oauth2"]},
        }

    def _integration(self, text: str) -> Row:
        table = self._state.platform["/integration"]
        found = table.get(text) or next((row for row in table.rows() if row["name"] == text), None)
        if found is None:
            raise missing("Integration")
        return found

    def _account(self, account_id: str) -> Row:
        account = self._state.accounts.get(account_id)
        if account is None:
            raise missing("Integrated account")
        return account


def _tool(call: Call) -> tools.Tool:
    found = tools.find(call.path["resource"], call.path["method"])
    if found is None:
        raise missing("Method")
    return found


def _described(call: Call) -> list[dict[str, Any]]:
    return [tool.described() for tool in tools.chosen(_split(call.param("methods")), _split(call.param("tags")))]


def _split(text: str | None) -> list[str]:
    return [each.strip() for each in (text or "").split(",") if each.strip()]
