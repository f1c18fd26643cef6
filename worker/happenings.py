"""What Truto's objects tell of the events about them, and which of those have not arrived. Performs no I/O.

A delivery log names events by id and type, not what they are about; objects say what became of them and when. Both
together tell which event about which object is missing. Truto's documents do not say how far the times of the two lie
apart, so they are compared within :data:`TOLERANCE`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from truto import TEST_EVENT_TYPE, parse_time

TOLERANCE = timedelta(seconds=60)
"""How far the time of an event in Truto's log may lie from that of the change it tells of."""

_STATUS_EVENTS = {
    "active": ("integrated_account:active", "integrated_account:reactivated"),
    "needs_reauth": ("integrated_account:authentication_error",),
    "validation_error": ("integrated_account:validation_error",),
    "post_install_error": ("integrated_account:post_install_error",),
}
_ENDS = {"completed": "sync_job_run:completed", "failed": "sync_job_run:failed", "stopped": "sync_job_run:deleted"}


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that became of an object, of which Truto tells by an event of this type.

    It is *certain* that there was such an event where no other change of the object looks the same. *since* is when the
    object came to be.
    """

    type: str
    entity: str
    moment: datetime
    since: datetime
    certain: bool = True

    @property
    def made_up_id(self) -> str:
        """The id of its event where no log tells the real one: the same for everybody who looks."""
        text = f"{self.type}\0{self.entity}\0{self.moment.isoformat()}"
        return f"recovered-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Logged:
    """An event in Truto's delivery log: its first attempt, and whether one was answered with 2xx."""

    id: str
    type: str
    at: datetime
    delivered: bool = False
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """Events about one kind of object: where the list of them is, and what an object tells."""

    path: str
    happenings: Callable[[Mapping[str, Any]], Iterable[Happening]]


def _of_account(row: Mapping[str, Any]) -> Iterable[Happening]:
    entity, created, updated = _times(row)
    yield Happening("integrated_account:created", entity, created, created)
    certain, *possible = _STATUS_EVENTS.get(str(row.get("status")), ("integrated_account:updated",))
    yield Happening(certain, entity, updated, created, certain=not certain.endswith(":updated"))
    for name in (*possible, "integrated_account:updated", "integrated_account:post_connect_form_submitted"):
        if name != certain:
            yield Happening(name, entity, updated, created, certain=False)


def _of_run(row: Mapping[str, Any]) -> Iterable[Happening]:
    entity, created, _ = _times(row)
    started, finished = (parse_time(row.get(name)) for name in ("started_at", "finished_at"))
    told = row.get("events_to_send")
    found = [Happening("sync_job_run:created", entity, created, created)]
    if started:
        found += [Happening(f"sync_job_run:{name}", entity, started, created) for name in ("started", "updated")]
    if finished:
        found.append(Happening("sync_job_run:updated", entity, finished, created))
        if end := _ENDS.get(str(row.get("status"))):
            found.append(Happening(end, entity, finished, created))
    return (one for one in found if not told or one.type in told)


def _of_row(family: str) -> Callable[[Mapping[str, Any]], Iterable[Happening]]:
    def of_row(row: Mapping[str, Any]) -> Iterable[Happening]:
        entity, created, updated = _times(row)
        yield Happening(f"{family}:created", entity, created, created)
        if updated != created:
            yield Happening(f"{family}:updated", entity, updated, created, certain=False)

    return of_row


def _times(row: Mapping[str, Any]) -> tuple[str, datetime, datetime]:
    created = parse_time(row.get("created_at"))
    updated = parse_time(row.get("updated_at")) or created
    if not isinstance(row.get("id"), str) or created is None or updated is None:
        raise ValueError("an object without id or times")
    return row["id"], created, updated


FAMILIES: Mapping[str, Family] = {
    "integrated_account": Family("/integrated-account", _of_account),
    "sync_job_run": Family("/sync-job-run", _of_run),
    "environment_integration": Family("/environment-integration", _of_row("environment_integration")),
    "environment_unified_model": Family("/environment-unified-model", _of_row("environment_unified_model")),
    "api_token": Family("/api-token", _of_row("api_token")),
}
"""The families whose objects Truto lists. Others carry what its API does not keep."""


def happenings_of(family: str, rows: Iterable[Mapping[str, Any]]) -> list[Happening]:
    """What these objects tell; one that lacks id or times tells nothing."""
    found: list[Happening] = []
    for row in rows:
        try:
            found.extend(FAMILIES[family].happenings(row))
        except ValueError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """Which event is about which object, which logged events fit none, and which happenings no event tells of."""

    pairs: list[tuple[Logged, Happening]] = field(default_factory=list)
    left: list[Logged] = field(default_factory=list)
    untold: list[Happening] = field(default_factory=list)


def compare(logged: Iterable[Logged], known: Mapping[str, str | None], happenings: Iterable[Happening]) -> Found:
    """Compare a log with what is *known* here (ids, each with the object in it) and with what objects tell."""
    found = Found()
    by_type: defaultdict[str, list[Happening]] = defaultdict(list)
    for happening in happenings:
        by_type[happening.type].append(happening)
    events: defaultdict[str, list[Logged]] = defaultdict(list)
    for one in sorted(logged, key=lambda one: one.at):
        if one.type != TEST_EVENT_TYPE:
            events[one.type].append(one)
    for kind in sorted({*by_type, *events}):
        _compare_type(events[kind], known, sorted(by_type[kind], key=lambda one: one.moment), found)
    return found


def _compare_type(
    logged: Sequence[Logged], known: Mapping[str, str | None], told: list[Happening], found: Found
) -> None:
    arrived = [one for one in logged if one.id in known]
    for one in sorted(arrived, key=lambda one: known[one.id] is None):
        _strike_out(one, known[one.id], told)
    missing = [one for one in logged if one.id not in known]
    by_distance = sorted(
        (abs(one.at - happening.moment), place, index)
        for place, one in enumerate(missing)
        for index, happening in _near(told, one.at)
    )
    taken: dict[int, int] = {}
    for _, place, index in by_distance:
        if place not in taken and index not in taken.values():
            taken[place] = index
    pairs = [(missing[place], told[index]) for place, index in taken.items()]
    rest = [one for place, one in enumerate(missing) if place not in taken]
    untold = [happening for index, happening in enumerate(told) if index not in taken.values()]
    found.pairs.extend(pairs)
    _pair_later_changes(rest, untold, found)


def _near(told: Sequence[Happening], at: datetime) -> Iterable[tuple[int, Happening]]:
    return ((index, one) for index, one in enumerate(told) if abs(one.moment - at) <= TOLERANCE)


def _strike_out(one: Logged, about: str | None, told: list[Happening]) -> None:
    """Take out of *told* what an event that has arrived is about."""
    fitting = [
        happening
        for happening in told
        if (about is None or happening.entity == about) and one.at >= happening.moment - TOLERANCE
    ]
    if about is None:  # accepted by a version that did not note it
        fitting = [happening for happening in fitting if one.at - happening.moment <= TOLERANCE]
    if fitting:
        told.remove(min(fitting, key=lambda happening: abs(happening.moment - one.at)))


def _pair_later_changes(rest: Sequence[Logged], untold: list[Happening], found: Found) -> None:
    """An object that has changed again shows the later time: it fits where no more could be meant than are left."""
    could_be = [
        happening
        for happening in untold
        if any(happening.since - TOLERANCE <= one.at <= happening.moment for one in rest)
    ]
    if rest and 0 < len(could_be) <= len(rest):
        for one, happening in zip(rest, could_be, strict=False):
            found.pairs.append((one, happening))
            untold.remove(happening)
        rest = rest[len(could_be) :]
    found.left.extend(rest)
    found.untold.extend(untold)


def why_not(kind: str) -> tuple[str, str]:
    """Why a logged event of this type cannot be rebuilt, and where to get what was in it."""
    family, _, action = kind.partition(":")
    if family == "record" or action in ("record", "record_error"):
        return (
            "it carried data that Truto does not keep",
            "run the sync again (POST /sync-job-run, ignore_previous_run), or read it through the unified API",
        )
    if action == "deleted":
        return "what was deleted cannot be asked for", f"compare yours with the list at {_list_of(family)}"
    if family in FAMILIES:
        return (
            "no object, or more than one, fits its time",
            f"look at what changed then: GET {_list_of(family)}, sorted by updated_at",
        )
    if family == "sync_job_cron_trigger":
        return "Truto has no list of such failures", "look at GET /log?log_type=sync_job_cron_trigger"
    return "Truto lists no objects of this kind", "look into Truto's dashboard for that time"


def _list_of(family: str) -> str:
    return FAMILIES[family].path if family in FAMILIES else "Truto's dashboard"
