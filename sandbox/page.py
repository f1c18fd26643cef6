"""The page for people at ``/``: what the sandbox holds, newest first, drawn on the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from sandbox.state import Row, State, iso

_SHOWN = 50
_HEADERS = {
    # Everything on the page comes from strangers in part; nothing on it may run or load.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
}
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
:root { --good: #1a7f4b; --bad: #c4372c; --wait: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --good: #4cc38a; --bad: #ff8379; --wait: #e2b340; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1400px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.4rem; margin: 0; } h1 + p { margin: .2rem 0 0; opacity: .75; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; } h2 small { font-weight: 400; opacity: .65; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .7rem; white-space: nowrap; }
th { font-size: .8rem; font-weight: 600; opacity: .7; background: var(--soft); }
td { border-top: 1px solid var(--line); font-variant-numeric: tabular-nums; }
td.wide { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; }
code { font: .85em ui-monospace, monospace; }
.good { color: var(--good); } .bad { color: var(--bad); } .wait { color: var(--wait); }
.empty, .faults { padding: .7rem; margin: 0; opacity: .75; }
.faults { border-left: 4px solid var(--bad); background: var(--soft); margin-top: 1rem; opacity: 1; }
"""

_GOOD = frozenset({"active", "completed", "verified", "on"})
_WAIT = frozenset({"connecting", "created", "running", "rate_limited", "stopped"})

Cell = str
Column = tuple[str, Callable[[Row], Cell]]


def page_route(state: State) -> Route:
    """``GET /``."""

    async def show(_request: Request) -> Response:
        return HTMLResponse(render(state), headers=_HEADERS)

    return Route("/", show, methods=["GET"])


def render(state: State) -> str:
    """The page as HTML; every value on it is escaped."""
    sections = "".join(
        [
            _section("Accounts", state.accounts.rows(), _ACCOUNTS, "POST /sandbox/connect makes one."),
            _section("Sync job runs", state.runs.rows(), _RUNS, "POST /sync-job-run starts one."),
            _section("Webhooks", state.webhooks.rows(), _WEBHOOKS, "POST /webhook registers one."),
            _section("Deliveries", state.deliveries.rows(), _DELIVERIES, "Nothing was sent yet."),
            _section("Inbox", state.inbox.rows(), _INBOX, "POST /inbox/{tenant_id} is the tenant's endpoint."),
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Truto sandbox</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="5"><style>{_STYLE}</style></head><body>'
        "<header><h1>Truto sandbox</h1>"
        "<p>A local imitation of the Truto API. Newest first, refreshed every 5 s.</p>"
        f"</header>{_faults(state)}<main>{sections}</main></body></html>"
    )


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


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


_ACCOUNTS: list[Column] = [
    ("Account", lambda row: _code(row["id"])),
    ("Tenant", lambda row: _plain(row["tenant_id"])),
    ("Integration", lambda row: _plain(row["integration"]["name"])),
    ("Status", lambda row: _status(row["status"])),
    ("Last error", lambda row: _wide(row["last_error"])),
    ("Updated", lambda row: _plain(row["updated_at"])),
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
