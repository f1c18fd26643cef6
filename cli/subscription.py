"""Which event types the handlers here need, and which webhook of Truto delivers them. Performs no I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from cli.printing import counted
from events.naming import PLATFORM_SOURCE, is_platform_name
from truto import EVENT_TYPES, TEST_EVENT_TYPE, Webhook

DELIVERIES = "/webhooks/truto"

_WAKES = ("integrated_account:active", "integrated_account:reactivated")


Wants: TypeAlias = tuple[tuple[str, ...], str | None]
"""The patterns of one handler or workflow, and the one source that it takes events of, if it names one."""


def wanted_types(
    wants: Iterable[Wants], ignored: Callable[[str], bool], sources: Collection[str] = (PLATFORM_SOURCE,)
) -> frozenset[str] | None:
    """The types of Truto's events that handlers and workflows take; ``None`` for all there are, now and later.

    A pattern of a whole family stands for the names that are known of it. *sources* are Truto's own. Those that wake
    work which is parked until its account is connected again belong to them where they are *ignored*, not unknown.
    """
    patterns = {pattern for patterns, source in wants if source in (None, *sources) for pattern in patterns}
    if "*" in patterns:
        return None
    found: set[str] = set()
    for pattern in patterns:
        if pattern.endswith("*"):
            found |= {name for name in EVENT_TYPES if name.startswith(pattern[:-1])}
        elif is_platform_name(pattern):
            found.add(pattern)
    if found:
        found.update(name for name in _WAKES if ignored(name))
    return frozenset(found - {TEST_EVENT_TYPE})


def missing_types(webhook: Webhook, wanted: frozenset[str] | None) -> list[str]:
    """What *webhook* does not deliver and should; ``*`` where it should deliver all types."""
    if webhook.event_types is None:
        return []
    return ["*"] if wanted is None else sorted(wanted - set(webhook.event_types))


def target_of(url: str) -> str:
    """Where Truto is to deliver: *url* itself where it names a source, else the path of Truto's own behind it.

    Raises :class:`ValueError` for what is no address.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("is no address such as https://you.example")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("carries a user, a query or a fragment: leave that out")
    base = url.strip().rstrip("/")
    return base if "/webhooks/" in f"{parts.path}/" and not base.endswith("/webhooks") else base + DELIVERIES


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done in Truto so that one active webhook delivers to *target* all that is wanted.

    *webhook* is the one that is adopted, *others* deliver to the same address.
    """

    target: str
    webhook: Webhook | None
    create: dict[str, Any] | None = None
    update: dict[str, Any] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def plan(target: str, webhooks: Sequence[Webhook], wanted: frozenset[str] | None, *, anew: bool = False) -> Plan:
    """How to come from *webhooks* to one that is right; *anew* makes another one, for the sake of its secret."""
    here = sorted((one for one in webhooks if one.target_url == target), key=lambda one: not one.is_active)
    if anew or not here:
        types = {} if wanted is None else {"event_types": sorted(wanted)}
        created = f"created for {'all event types' if wanted is None else counted(len(wanted), 'event type')}"
        others = tuple(one.id for one in here)
        return Plan(target, None, {"target_url": target, **types}, changes=(created,), others=others)
    webhook, *others_here = here
    update: dict[str, Any] = {}
    changes = []
    if webhook.is_active is False:
        update["is_active"] = True
        changes.append("switched on again: it was off, as Truto does when deliveries keep failing")
    if missing := missing_types(webhook, wanted):
        update["event_types"] = sorted({*(webhook.event_types or ()), *(EVENT_TYPES if wanted is None else missing)})
        changes.append(f"event types added: {', '.join(missing)}")
    return Plan(target, webhook, None, update, tuple(changes), tuple(one.id for one in others_here))
