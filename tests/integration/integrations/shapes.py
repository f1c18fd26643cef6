"""Ten public APIs as local servers: they answer as their documents say, as far as the examples ask.

``python -m tests.integration.integrations.shapes`` records the calls anew, which lie beside the examples.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import orjson

from tests.integration.integrations.upstream import HERE, Arrived, Give, serving
from truto.documents import read_document
from truto.integration import Account, Answer, HttpWire, Integration, Request, Session, read_integration
from truto.integration.cassettes import Recording, exchanges_of, masked_account
from truto.integration.offline import perform
from truto.integration.wire import origin_of

EXAMPLES = Path(__file__).parents[3] / "examples" / "integrations"


@dataclass(frozen=True)
class Shape:
    """One product: who answers under which hosts, an account, and the calls that are recorded."""

    name: str
    answering: Callable[[Arrived], Any]
    hosts: tuple[str, ...]
    context: dict[str, Any]
    calls: dict[str, dict[str, Any]]
    finds: dict[str, int] = field(default_factory=dict)

    @property
    def integration(self) -> Integration:
        return read_integration(read_document((EXAMPLES / f"{self.name}.yaml").read_text()))


class Rewriting:
    """A wire that takes requests for a product's hosts to the local server that stands for them."""

    def __init__(self, url: str, hosts: tuple[str, ...]) -> None:
        self._url = url
        self._hosts = {f"{host}:443" for host in hosts}
        self._wire = HttpWire(allowed=HERE)

    async def send(self, request: Request) -> Answer:
        origin = origin_of(request.url)
        assert origin in self._hosts, origin
        path = request.url.split("://", 1)[1].partition("/")[2]
        headers = {**request.headers, "x-origin": origin.removesuffix(":443")}
        answer = await self._wire.send(Request(request.method, f"{self._url}/{path}", headers, request.content))
        return Answer(answer.status, {k: v for k, v in answer.headers.items() if k != "connection"}, answer.content)

    async def aclose(self) -> None:
        await self._wire.aclose()


async def record(shape: Shape, name: str, account: Account | None = None) -> Recording:
    """The recording of one call against the local server."""
    trace: list[Any] = []
    account = account or Account(dict(shape.context))
    async with serving(shape.answering) as upstream:
        wire = Rewriting(upstream.url, shape.hosts)
        async with Session(shape.integration, account, wire=wire, trace=trace.append) as session:
            before = masked_account(account, session.masker)
            gives = await perform(session, shape.calls[name])
            return Recording(shape.calls[name], before, exchanges_of(trace), session.masker.value(gives))


def basic(request: Arrived) -> str:
    return base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()


def bearer(request: Arrived) -> str:
    return request.headers["authorization"].removeprefix("Bearer ")


# -- GitHub ------------------------------------------------------------------------------------------------------------

ISSUES = [{"id": 1000 + n, "number": n, "state": "open", "title": f"Issue {n}"} for n in range(1, 6)]


def github(request: Arrived) -> Any:
    limits = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "1700000000"}
    if bearer(request) != "ghp_example_token":
        return Give({"message": "Bad credentials", "status": "401"}, 401, limits)
    assert request.headers["accept"] == "application/vnd.github+json"
    if request.path == "/repos/octocat/hello-world/issues/1":
        return Give(ISSUES[0], 200, limits)
    # The links name the repository by its id.
    assert request.path in ("/repos/octocat/hello-world/issues", "/repositories/1296269/issues")
    size, page = int(request.query.get("per_page", 30)), int(request.query.get("page", 1))
    here = ISSUES[(page - 1) * size : page * size]
    last = -(-len(ISSUES) // size)
    base = "https://api.github.com/repositories/1296269/issues"
    link = [
        f'<{base}?{urlencode({**request.query, "page": number})}>; rel="{name}"'
        for name, number in (("prev", page - 1), ("next", page + 1), ("last", last), ("first", 1))
        if 1 <= number <= last and (name in ("prev", "next") or (name == "last") == (page < last))
    ]
    return Give(here, 200, {**limits, "Link": ", ".join(link)})


# -- Stripe ------------------------------------------------------------------------------------------------------------

CUSTOMERS = [{"id": f"cus_{n:03}", "object": "customer", "email": f"c{n}@example.com"} for n in range(1, 6)]


def stripe(request: Arrived) -> Any:
    if basic(request) != "sk_test_example:":
        return Give({"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}, 401)
    if request.method == "POST":
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        return {
            "id": "cus_006",
            "object": "customer",
            "email": form["email"],
            "metadata": {"tenant": form["metadata[tenant]"]},
        }
    unknown = set(request.query) - {"limit", "starting_after"}
    if unknown:
        return Give(
            {"error": {"type": "invalid_request_error", "message": f"Received unknown parameter: {unknown}"}}, 400
        )
    ids = [each["id"] for each in CUSTOMERS]
    start = ids.index(request.query["starting_after"]) + 1 if "starting_after" in request.query else 0
    here = CUSTOMERS[start : start + int(request.query["limit"])]
    return {"object": "list", "url": "/v1/customers", "has_more": start + len(here) < len(CUSTOMERS), "data": here}


# -- Zendesk -----------------------------------------------------------------------------------------------------------

TICKETS = [{"id": n, "subject": f"Ticket {n}", "status": "open"} for n in range(1, 6)]


def zendesk(request: Arrived) -> Any:
    if basic(request) != "ada@example.com/token:zd-example-token":
        return Give({"error": "Couldn't authenticate you"}, 401)
    if request.path == "/api/v2/users":
        size, page = int(request.query["per_page"]), int(request.query["page"])
        users = [{"id": n, "name": f"User {n}"} for n in range(1, 6)]
        here = users[(page - 1) * size : page * size]
        more = f"https://acme.zendesk.com/api/v2/users?page={page + 1}" if page * size < len(users) else None
        return {"users": here, "count": len(users), "next_page": more, "previous_page": None}
    size, after = int(request.query["page[size]"]), int(request.query.get("page[after]", "0"))
    here = TICKETS[after : after + size]
    # The last page has a cursor as well: `has_more` alone says that it is the last.
    meta = {"has_more": after + size < len(TICKETS), "after_cursor": str(after + size), "before_cursor": str(after)}
    return {"tickets": here, "meta": meta}


# -- HubSpot -----------------------------------------------------------------------------------------------------------

CONTACTS = [{"id": str(n), "properties": {"email": f"c{n}@example.com", "firstname": f"C{n}"}} for n in range(1, 6)]


def hubspot(request: Arrived) -> Any:
    if request.path == "/oauth/v1/token":
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("refresh_token") != "hubspot-refresh" or form["client_id"] != "your-client-id":
            return Give({"status": "BAD_REFRESH_TOKEN"}, 400)
        return {"access_token": "hubspot-fresh-token", "refresh_token": "hubspot-refresh", "expires_in": 1800}
    if bearer(request) not in ("hubspot-fresh-token", "[secret]"):
        return Give({"status": "error", "category": "EXPIRED_AUTHENTICATION", "message": "expired"}, 401)
    assert request.query["properties"] == "email,firstname"
    after = int(request.query.get("after", 0))
    here = CONTACTS[after : after + int(request.query["limit"])]
    end = after + len(here)
    paging = {"paging": {"next": {"after": str(end), "link": f"?after={end}"}}} if end < len(CONTACTS) else {}
    return {"results": here, **paging}


# -- Salesforce --------------------------------------------------------------------------------------------------------


def salesforce(request: Arrived) -> Any:
    if bearer(request) != "00D-example-session":
        return Give([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)
    records = [{"attributes": {"type": "Contact"}, "Id": f"003{n}", "Name": f"Contact {n}"} for n in range(1, 6)]
    prefix = "/services/data/v60.0/query"
    if request.path == prefix:
        assert request.query["q"].startswith("SELECT Id, Name FROM Contact")
        start = 0
    else:
        assert request.query == {}
        start = int(request.path.removeprefix(f"{prefix}/01gD0000002HU6KIAW-"))
    here, end = records[start : start + 2], start + 2
    more = {"nextRecordsUrl": f"{prefix}/01gD0000002HU6KIAW-{end}"} if end < len(records) else {}
    return {"totalSize": len(records), "done": not more, **more, "records": here}


# -- Jira --------------------------------------------------------------------------------------------------------------


def jira(request: Arrived) -> Any:
    if basic(request) != "ada@example.com:jira-example-token":
        return Give({"errorMessages": ["You are not authenticated."], "errors": {}}, 401)
    if request.path.startswith("/rest/api/3/issue/"):
        return Give(
            {"errorMessages": ["Issue does not exist or you do not have permission to see it."], "errors": {}}, 404
        )
    issues = [{"id": str(10_000 + n), "key": f"OPS-{n}"} for n in range(1, 6)]
    start, most = int(request.query["startAt"]), min(int(request.query["maxResults"]), 2)
    # The server gives fewer than it is asked for, and says so.
    return {"startAt": start, "maxResults": most, "total": len(issues), "issues": issues[start : start + most]}


# -- Notion ------------------------------------------------------------------------------------------------------------


def notion(request: Arrived) -> Any:
    if bearer(request) != "secret_example_key":
        return Give({"object": "error", "status": 401, "code": "unauthorized", "message": "API token is invalid."}, 401)
    assert request.headers["notion-version"] == "2022-06-28"
    assert request.target == "/v1/databases/897e5a76-ae52-4b48-9fdf-e71f5945d1af/query"
    assert "sorts" in request.json
    start = int(request.json.get("start_cursor", "0"))
    end = start + request.json["page_size"]
    more = end < 5
    here = [{"object": "page", "id": f"page-{n}"} for n in range(start, min(end, 5))]
    return {"object": "list", "results": here, "next_cursor": str(end) if more else None, "has_more": more}


# -- BambooHR ----------------------------------------------------------------------------------------------------------


def bamboohr(request: Arrived) -> Any:
    if basic(request) != "bamboo-example-key:x":
        return Give(b"", 401)
    if request.headers["accept"] != "application/json":
        return Give(b"<directory/>", headers={"Content-Type": "application/xml"})
    if request.path.endswith("/employees/124"):
        assert request.query == {"fields": "firstName,lastName,hireDate"}
        return {"id": "124", "firstName": "Ada", "lastName": "Lovelace", "hireDate": "2021-08-10"}
    people = [{"id": str(n), "displayName": f"Person {n}"} for n in range(1, 4)]
    return {"fields": [{"id": "displayName", "type": "text", "name": "Display name"}], "employees": people}


# -- Slack -------------------------------------------------------------------------------------------------------------


def slack(request: Arrived) -> Any:
    if bearer(request) != "xoxb-example-token":
        return {"ok": False, "error": "invalid_auth"}
    if request.path == "/api/users.info":
        if request.query["user"] != "U1":
            return {"ok": False, "error": "user_not_found"}
        return {"ok": True, "user": {"id": "U1", "name": "ada"}}
    start = int(request.query.get("cursor", "0").removeprefix("dXNlcjp"))
    end = start + int(request.query["limit"])
    members = [{"id": f"U{n}", "name": f"user{n}"} for n in range(1, 6)][start:end]
    return {"ok": True, "members": members, "response_metadata": {"next_cursor": f"dXNlcjp{end}" if end < 5 else ""}}


# -- Google ------------------------------------------------------------------------------------------------------------


def google(request: Arrived) -> Any:
    if request.path == "/token":
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("refresh_token") != "1//example-refresh":
            return Give({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, 400)
        return {"access_token": "ya29.fresh-example", "expires_in": 3599, "token_type": "Bearer"}
    if bearer(request) not in ("ya29.fresh-example", "[secret]"):
        return Give({"error": {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}}, 401)
    assert request.path == "/calendar/v3/calendars/team@example.com/events"
    assert request.query["singleEvents"] == "true"
    start = int(request.query.get("pageToken", "0").removeprefix("CigKGnZ"))
    end = start + int(request.query["maxResults"])
    items = [{"kind": "calendar#event", "id": f"e{n}", "summary": f"Event {n}"} for n in range(1, 6)][start:end]
    more = {"nextPageToken": f"CigKGnZ{end}"} if end < 5 else {"nextSyncToken": "CPDAlvWDx70CEPDAlvWDx70CGAU="}
    return {"kind": "calendar#events", **more, "items": items}


def listing(resource: str, **more: Any) -> dict[str, Any]:
    return {"resource": resource, "method": "list", "limit": 2, **more}


def getting(resource: str, record: str, **more: Any) -> dict[str, Any]:
    return {"resource": resource, "method": "get", "id": record, **more}


OLD = {"oauth": {"token": {"access_token": "expired-token", "expires_at": 1700000000}}}


def expired(refresh: str) -> dict[str, Any]:
    return {"oauth": {"token": {**OLD["oauth"]["token"], "refresh_token": refresh}}}


SHAPES = [
    Shape(
        "github",
        github,
        ("https://api.github.com",),
        {"api_key": "ghp_example_token", "owner": "octocat", "repo": "hello-world"},
        {"issues-list": listing("issues"), "issues-get": getting("issues", "1")},
    ),
    Shape(
        "stripe",
        stripe,
        ("https://api.stripe.com",),
        {"api_key": "sk_test_example"},
        {
            "customers-list": listing("customers"),
            "customers-create": {
                "resource": "customers",
                "method": "create",
                "body": {"email": "ada@example.com", "metadata": {"tenant": "t1"}},
            },
        },
    ),
    Shape(
        "zendesk",
        zendesk,
        ("https://acme.zendesk.com",),
        {"subdomain": "acme", "email": "ada@example.com", "api_token": "zd-example-token"},
        {"tickets-list": listing("tickets"), "users-list": listing("users")},
    ),
    Shape(
        "hubspot",
        hubspot,
        ("https://api.hubapi.com",),
        expired("hubspot-refresh"),
        {"contacts-list": listing("contacts")},
    ),
    Shape(
        "salesforce",
        salesforce,
        ("https://acme.my.salesforce.com",),
        {"oauth": {"token": {"access_token": "00D-example-session", "instance_url": "https://acme.my.salesforce.com"}}},
        {"contacts-list": listing("contacts")},
    ),
    Shape(
        "jira",
        jira,
        ("https://acme.atlassian.net",),
        {"site": "acme", "email": "ada@example.com", "api_token": "jira-example-token"},
        {"issues-list": listing("issues")},
    ),
    Shape(
        "notion",
        notion,
        ("https://api.notion.com",),
        {"api_key": "secret_example_key"},
        {"pages-list": listing("pages", query={"database_id": "897e5a76-ae52-4b48-9fdf-e71f5945d1af"})},
    ),
    Shape(
        "bamboohr",
        bamboohr,
        ("https://api.bamboohr.com",),
        {"company_domain": "acme", "api_key": "bamboo-example-key"},
        {"employees-list": listing("employees"), "employees-get": getting("employees", "124")},
        {"employees-list": 3},
    ),
    Shape(
        "slack",
        slack,
        ("https://slack.com",),
        {"api_key": "xoxb-example-token"},
        {"users-list": listing("users"), "users-get": getting("users", "U1")},
    ),
    Shape(
        "google-calendar",
        google,
        ("https://www.googleapis.com", "https://oauth2.googleapis.com"),
        expired("1//example-refresh"),
        {"events-list": listing("events", query={"calendar": "team@example.com"})},
    ),
]


async def record_all() -> None:
    for shape in SHAPES:
        folder = EXAMPLES / "cassettes" / shape.name
        folder.mkdir(parents=True, exist_ok=True)
        for name in shape.calls:
            document = (await record(shape, name)).document()
            text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            (folder / f"{name}.json").write_bytes(text)


if __name__ == "__main__":
    asyncio.run(record_all())
