"""The page for people at ``/``: what the sandbox holds, newest first, and the Link flow played by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from sandbox.page_parts import HEADERS, SCRIPT, STYLE
from sandbox.state import Row, State, iso

_SHOWN = 50
_OUTCOME_LABELS = {
    "active": "becomes active",
    "post_install_error": "fails at post-install",
    "validation_error": "fails at validation",
    "connection_error": "fails before there is an account",
}

_GOOD = frozenset({"active", "completed", "verified", "on"})
_WAIT = frozenset({"connecting", "created", "running", "rate_limited", "stopped"})

_LINKS = (("/", "Overview"), ("/connect", "Connect as a tenant"), ("/openapi.json", "API description"))
_CONNECT = """<form class="card" data-post="/sandbox/connect">
<h2>Connect an account</h2>
<label>Tenant<input name="tenant_id" required maxlength="200" placeholder="acme-2" autocomplete="off"></label>
<label>Integration<input name="integration" list="integrations" value="hubspot" maxlength="100" autocomplete="off">
<datalist id="integrations">{names}</datalist></label>
<label>Outcome<select name="outcome">{outcomes}</select></label>
<button>Connect</button>
</form>"""

Cell = str
Column = tuple[str, Callable[[Row], Cell]]


def page_route(state: State) -> Route:
    """``GET /``."""

    async def show(_request: Request) -> Response:
        """The page for people."""
        return HTMLResponse(render(state), headers=HEADERS)

    return Route("/", show, methods=["GET"])


def render(state: State) -> str:
    """The page as HTML; every value on it is escaped."""
    sections = "".join(
        [
            _section("Accounts", state.accounts.rows(), _ACCOUNTS, "Connect one above."),
            _section("Sync job runs", state.runs.rows(), _RUNS, "POST /sync-job-run starts one."),
            _section("Webhooks", state.webhooks.rows(), _WEBHOOKS, "POST /webhook registers one."),
            _section("Deliveries", state.deliveries.rows(), _DELIVERIES, "Nothing was sent yet."),
            _section("Inbox", state.inbox.rows(), _INBOX, "POST /inbox/{tenant_id} is the tenant's endpoint."),
        ]
    )
    return document(
        "Truto sandbox",
        "A local imitation of the Truto API. Newest first, always up to date.",
        f"{_CONNECT.format(names=integration_options(state), outcomes=outcome_options())}"
        '<p id="said" role="status" aria-live="polite"></p>'
        f'<main id="live">{_faults(state)}{sections}</main>',
    )


def document(title: str, about: str, body: str) -> str:
    """A whole page around *body*, which has to be HTML already."""
    links = "".join(f'<a href="{path}">{name}</a>' for path, name in _LINKS)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><header><div><h1>{title}</h1><p>{about}</p></div>"
        f"<nav>{links}</nav></header>{body}<script>{SCRIPT}</script></body></html>"
    )


def integration_options(state: State) -> str:
    """The integrations there are, as options of a datalist."""
    return "".join(f'<option value="{escape(row["name"])}">' for row in state.platform["/integration"].rows())


def outcome_options() -> str:
    """How an attempt can end, as options of a select."""
    return "".join(f'<option value="{name}">{label}</option>' for name, label in _OUTCOME_LABELS.items())


def _faults(state: State) -> str:
    on = [f"{name} = {value}" for name, value in state.faults.as_dict().items() if value]
    return f'<p class="faults">Faults are on: {escape(", ".join(on))}</p>' if on else ""


def _section(title: str, rows: list[Row], columns: Iterable[Column], empty: str) -> str:
    head = f"<h2>{escape(title)} <small>{len(rows)}</small></h2>"
    if not rows:
        return f'<section>{head}<div class="scroll"><p class="empty">{escape(empty)}</p></div></section>'
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name, _ in columns)
    lines = "".join(f"<tr>{''.join(draw(row) for _, draw in columns)}</tr>" for row in reversed(rows[-_SHOWN:]))
    table = f"<table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>"
    return f'<section>{head}<div class="scroll">{table}</div></section>'


def _plain(value: Any) -> Cell:
    return f"<td>{escape(_text(value))}</td>"


def _wide(value: Any) -> Cell:
    return f'<td class="wide">{escape(_text(value))}</td>'


def _code(value: Any) -> Cell:
    return f"<td><code>{escape(_text(value))}</code></td>"


def _clock(seconds: float) -> str:
    """The time of day: what happened a while ago is not on this page."""
    return iso(seconds).partition("T")[2]


def _status(value: str) -> Cell:
    tone = "good" if value in _GOOD else "wait" if value in _WAIT else "bad"
    return f'<td class="{tone}">{escape(value)}</td>'


def _answer(row: Row) -> Cell:
    status = row["status"]
    tone = "good" if status is not None and 200 <= status < 300 else "bad"
    return f'<td class="{tone}">{escape(_text(status or row["error"]))}</td>'


def _time(text: str) -> str:
    return text.partition("T")[2].partition(".")[0]


def _buttons(account: Row) -> Cell:
    """What a person can do to an account; the words say what the tenant or the provider does."""
    path = f"/sandbox/accounts/{quote(account['id'], safe='')}"
    if account["status"] == "needs_reauth":
        first = _button("Heal", f"{path}/heal", {}, "The provider accepts the credentials again: reactivated")
    else:
        first = _button("Revoke", f"{path}/revoke", {}, "The provider refuses the credentials: needs_reauth")
    again = {"account_id": account["id"]}
    return (
        f'<td class="actions">{first}'
        f"{_button('Reconnect', '/sandbox/connect', again, 'The tenant connects again, and it becomes active')}"
        f"{_button('Fail', '/sandbox/connect', {**again, 'outcome': 'validation_error'}, 'It fails at validation')}"
        "</td>"
    )


def _button(label: str, path: str, body: dict[str, Any], title: str) -> str:
    data = escape(orjson.dumps(body).decode())
    return (
        f'<button type="button" data-post="{escape(path)}" data-body="{data}" title="{escape(title)}">{label}</button>'
    )


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


_ACCOUNTS: list[Column] = [
    ("Account", lambda row: _code(row["id"])),
    ("Tenant", lambda row: _plain(row["tenant_id"])),
    ("Integration", lambda row: _plain(row["integration"]["name"])),
    ("Status", lambda row: _status(row["status"])),
    ("Last error", lambda row: _wide(row["last_error"])),
    ("Updated", lambda row: _plain(_time(row["updated_at"]))),
    ("", _buttons),
]
_RUNS: list[Column] = [
    ("Run", lambda row: _code(row["id"])),
    ("Account", lambda row: _code(row["integrated_account_id"])),
    ("Status", lambda row: _status(row["status"])),
    ("Records", lambda row: _plain(sum(row["resource_stats"].values()))),
    ("Finished", lambda row: _plain(row["finished_at"])),
]
_WEBHOOKS: list[Column] = [
    ("Webhook", lambda row: _code(row["id"])),
    ("Target", lambda row: _wide(row["target_url"])),
    ("Delivers", lambda row: _status("on" if row["is_active"] else "off")),
    ("Events", lambda row: _wide("all" if row["event_types"] is None else ", ".join(row["event_types"]))),
]
_DELIVERIES: list[Column] = [
    ("At", lambda row: _plain(_clock(row["at"]))),
    ("Event", lambda row: _plain(row["event"])),
    ("Attempt", lambda row: _plain(row["attempt"])),
    ("Answer", _answer),
    ("Seconds", lambda row: _plain(f"{row['seconds']:.3f}")),
    ("Target", lambda row: _wide(row["target_url"])),
    ("Event id", lambda row: _code(row["event_id"])),
]
_INBOX: list[Column] = [
    ("At", lambda row: _plain(_clock(row["received_at"]))),
    ("Tenant", lambda row: _plain(row["tenant_id"])),
    ("Signature", lambda row: _status("verified" if row["verified"] else "refused")),
    ("Type", lambda row: _plain(row["type"])),
    ("Data", lambda row: _wide(orjson.dumps(row["data"]).decode())),
    ("Id", lambda row: _code(row["id"])),
]
