"""``truto-worker events`` and ``explain``: their options."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cli.options import Json

_LENGTH = re.compile("([0-9]{1,5})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def events(
    event_id: Annotated[str | None, typer.Argument(metavar="ID", help="Show the history of this event.")] = None,
    source: Annotated[str | None, typer.Option(help="Source the event came from; with an ID, default: truto.")] = None,
    event_type: Annotated[
        str | None, typer.Option("--type", help="Type of the event, or all of a family: 'record:*'.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Only events of this integrated account.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only events of this tenant.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only those that are: pending, waiting, running, held, parked, dead, over.")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Only those whose last attempt was: done, discarded, dead, retried …")
    ] = None,
    handler: Annotated[str | None, typer.Option(help="Only those that this handler had.")] = None,
    since: Annotated[str | None, typer.Option(help="Accepted since: 90s, 2h, 3d, or 2026-01-31T12:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Accepted until, likewise.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new events as they fit.")] = False,
    cursor: Annotated[str | None, typer.Option(help="Go on where an earlier search has stopped.")] = None,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="Number of events to show, newest first.")] = 10,
    payload: Annotated[bool, typer.Option("--payload", help="Print the event's payload as well.")] = False,
    json: Json = False,
) -> None:
    """Show the state of the queue, the history of one event, or the events that fit what is asked.

    A search looks at what was accepted within SEARCH_TTL. With --json it prints one object a line. Needs REDIS_URL, or
    a `truto-worker dev` that runs in this folder. Exits 1 where nothing is found.
    """
    if event_id is not None:
        from cli.events import show_event

        asked = (account, tenant, state, outcome, handler, since, until, cursor)
        if follow or any(one is not None for one in asked):
            raise typer.BadParameter("an ID names one event: leave the other filters out", param_hint="ID")
        code = show_event(
            event_id, source=source or "truto", event_type=event_type or "", payload=payload, as_json=json
        )
        raise typer.Exit(code)
    filters = (source, event_type, account, tenant, state, outcome, handler, since, until, cursor)
    if not follow and all(one is None for one in filters):
        from cli.events import show_queue

        raise typer.Exit(show_queue(limit=limit, as_json=json))
    from cli.search import follow_events, search_events
    from events.journal import Wanted
    from events.searching import OUTCOMES, STATES, Query

    query = Query(
        Wanted(account, tenant, event_type, source),
        _one_of(state, (*STATES, "pending"), "--state"),
        _one_of(outcome, OUTCOMES, "--outcome"),
        handler,
        _moment(since, "--since"),
        _moment(until, "--until"),
    )
    if follow:
        raise typer.Exit(follow_events(query, as_json=json))
    raise typer.Exit(search_events(query, limit=limit, cursor=cursor, as_json=json))


def explain(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event.")],
    source: Annotated[str, typer.Option(help="Source the event came from.")] = "truto",
    event_type: Annotated[str, typer.Option("--type", help="Type of the event, where several have this id.")] = "",
    json: Json = False,
) -> None:
    """Say why an event is where it is, what happened to it, and what comes next; also of one that never came.

    Needs REDIS_URL, or a `truto-worker dev` that runs in this folder. Exits 1 for an event that is not known.
    """
    from cli.explain import explain

    raise typer.Exit(explain(event_id, source=source, event_type=event_type, as_json=json))


def _one_of(value: str | None, known: tuple[str, ...], option: str) -> str | None:
    if value is not None and value not in known:
        raise typer.BadParameter(f"is one of {', '.join(known)}", param_hint=option)
    return value


def _moment(text: str | None, option: str) -> datetime | None:
    """A time, or a length of time before now."""
    if text is None:
        return None
    from truto import parse_time

    if (moment := parse_time(text)) is not None:
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if length := _LENGTH.fullmatch(text.strip()):
        return datetime.now(UTC) - timedelta(seconds=int(length[1]) * _UNITS[length[2]])
    raise typer.BadParameter(
        "is a length such as 90s, 2h or 3d, or a time such as 2026-01-31T12:00Z", param_hint=option
    )
