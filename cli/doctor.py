"""``truto-worker doctor``: everything that has to be right, looked at side by side."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

from cli.checks.finding import Finding, beside, looked_at
from cli.checks.machine import check_handling, check_settings, check_sources, check_spool, check_versions
from cli.checks.platform import Known, check_token, check_webhook
from cli.checks.stores import check_queue, check_reconciling, check_safety, check_speed, group_of
from cli.connect import ConnectSettings
from cli.connecting import WEBHOOK_ID
from cli.handling import Handling, read_handling
from cli.opening import SECRET, store_urls
from cli.printing import counted, print_json
from cli.settings import DEFAULT_WORKFLOWS, read_settings
from events import ConfigError, Store, StoreUnavailable
from events.naming import PLATFORM_SOURCE
from ingress.probe import KEPT as PROBE_KEY
from truto import EVENT_TYPES, AsyncTruto

_STORE_SECONDS = 3.0
_HANDLING_SECONDS = _WAY_SECONDS = 2.2
"""These two come one after the other."""


@dataclass
class Patient:
    """What the checks have in common: settings as far as they can be used, stores, handlers and Truto."""

    settings: ConnectSettings | None
    stores: list[Store]
    truto: AsyncTruto | None
    handling: Handling | None = None
    kept: dict[str, object] = field(default_factory=dict)


def run_doctor(*, verbose: bool, as_json: bool) -> int:
    """Look at everything; 0 when nothing has to be done, else 1."""
    started = time.perf_counter()
    findings = asyncio.run(_examine())
    seconds = time.perf_counter() - started
    faults = [finding for finding in findings if not finding.ok]
    if as_json:
        rows = [{"group": one.group, "ok": one.ok, "what": one.what, "remedy": one.remedy} for one in findings]
        print_json({"ok": not faults, "seconds": round(seconds, 2), "findings": rows})
    else:
        _show(findings, verbose=verbose)
        verdict = counted(len(faults), "fault") if faults else "Everything is as it should be"
        print(f"{verdict}, {counted(len(findings), 'finding')} in {seconds:.1f} s.")
    return 1 if faults else 0


def _show(findings: Sequence[Finding], *, verbose: bool) -> None:
    """A line for each fault and, unless *verbose*, one for all else of a group."""
    tick, cross = ("✓", "✗") if (sys.stdout.encoding or "").lower().startswith("utf") else ("ok", "!!")
    width = max((len(finding.group) for finding in findings), default=0)
    for group in dict.fromkeys(finding.group for finding in findings):
        mine = [finding for finding in findings if finding.group == group]
        good = [finding for finding in mine if finding.ok]
        for finding in mine:
            if not finding.ok:
                print(f"{cross} {group:<{width}}  {finding}")
        for finding in good if verbose else ():
            print(f"{tick} {group:<{width}}  {finding}")
        if good and not verbose:
            print(f"{tick} {group:<{width}}  {good[0] if len(good) == 1 else _together(good)}")


def _together(good: Sequence[Finding]) -> str:
    return "; ".join(str(finding) for finding in good)[:160]


async def _examine() -> list[Finding]:
    async with AsyncExitStack() as opened:
        patient = _admit(opened)
        first = [
            looked_at("settings", check_settings),
            looked_at("versions", check_versions),
            looked_at("sources", check_sources),
            looked_at("spool", check_spool),
            *_of_stores(patient),
        ]
        # The webhook is compared with handlers, and the way is proven by what is kept in Redis.
        second = looked_at("handlers", lambda: _of_handling(patient), _HANDLING_SECONDS)
        results = await asyncio.gather(*first, _then(second, patient))
        # A Redis that does not answer is the finding of each check of it.
        return list(dict.fromkeys(finding for found in results for finding in found))


def _admit(opened: AsyncExitStack) -> Patient:
    try:
        urls = store_urls()
    except ConfigError:
        urls = []
    settings = None
    if urls:
        try:
            settings = read_settings(ConnectSettings, redis_url=urls[0], redis_shard="1")
        except ConfigError:
            settings = None
    stores = [Store.connect(url, answer_seconds=_STORE_SECONDS) for url in urls]
    for store in stores:
        opened.push_async_callback(store.close)
    truto = None
    if settings is not None:
        token = settings.truto_api_token.get_secret_value()
        truto = AsyncTruto(token=token, base_url=settings.truto_api_url, deadline_seconds=3, timeout_seconds=3)
        opened.push_async_callback(truto.aclose)
    return Patient(settings, stores, truto)


def _of_stores(patient: Patient) -> list[Awaitable[list[Finding]]]:
    found: list[Awaitable[list[Finding]]] = []
    for number, store in enumerate(patient.stores, start=1):
        group = group_of(number, len(patient.stores))
        checks = (check_safety, check_speed, check_queue)
        found.extend(looked_at(group, partial(check, store, group)) for check in checks)
    if patient.stores:
        first = group_of(1, len(patient.stores))
        found.append(looked_at(first, lambda: check_reconciling(patient.stores[0])))
    return found


async def _of_handling(patient: Patient) -> list[Finding]:
    given = tuple(part.strip() for part in os.environ.get("HANDLERS", "handlers").split(",") if part.strip())
    packages, folder = given, DEFAULT_WORKFLOWS if DEFAULT_WORKFLOWS.is_dir() else None
    if patient.settings is not None:
        packages, folder = patient.settings.handlers, patient.settings.workflows_dir
    patient.handling = await beside(lambda: read_handling(packages, folder))
    return check_handling(patient.handling)


async def _then(handlers: Awaitable[list[Finding]], patient: Patient) -> list[Finding]:
    found, _ = await asyncio.gather(handlers, _recall(patient))
    if patient.truto is None or patient.settings is None:
        return found
    truto, known = patient.truto, _known(patient, patient.settings)
    more = await asyncio.gather(
        looked_at("truto", lambda: check_token(truto), _WAY_SECONDS),
        looked_at("webhook", lambda: check_webhook(truto, known), _WAY_SECONDS),
    )
    return [*found, *(finding for one in more for finding in one)]


async def _recall(patient: Patient) -> None:
    if patient.stores:
        try:
            async with asyncio.timeout(_HANDLING_SECONDS):
                patient.kept = await patient.stores[0].notes.source_context(PLATFORM_SOURCE)
        except (StoreUnavailable, TimeoutError):
            patient.kept = {}


def _known(patient: Patient, settings: ConnectSettings) -> Known:
    kept = {name: value for name, value in patient.kept.items() if isinstance(value, str)}
    stored = kept.get(SECRET, "").split(",") if kept.get(SECRET) else []
    token = settings.truto_api_token.get_secret_value()
    probing = [text for text in (kept.get(PROBE_KEY), token, *settings.webhook_secrets) if text]
    wanted: frozenset[str] | None = frozenset()
    ignored: frozenset[str] = frozenset()
    if patient.handling is not None:
        wanted = patient.handling.wanted(settings.truto_sources)
        ignored = frozenset(name for name in EVENT_TYPES if patient.handling.ignores(name))
    secrets = [*settings.webhook_secrets, *stored]
    return Known(probing, secrets, kept.get(WEBHOOK_ID), settings.public_url, wanted, ignored)
