"""Each Redis: whether it is safe and quick, its clock and memory, the workers on it, and the state of its queue."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from cli.checks.finding import Finding
from cli.printing import counted, lasting
from events import Overview, Store

MAX_LATENCY_SECONDS = 0.05
MAX_MEMORY_SHARE = 0.8
MAX_SKEW_SECONDS = 60.0
MAX_READY_SECONDS = 60.0
_PINGS = 5
_RECENTLY = timedelta(hours=1)
_MIB = 2**20


def group_of(number: int, count: int) -> str:
    """What the store is called: by its number where there are several."""
    return "redis" if count == 1 else f"redis {number}"


async def check_safety(store: Store, group: str) -> list[Finding]:
    """Durability and version, by the evidence that the server gives."""
    faults = await store.find_faults()
    found = []
    for fault in faults:
        what, _, remedy = str(fault).partition(": ")
        found.append(Finding(group, what, remedy or "docs/reliability.md says what Redis has to be like"))
    return found or [Finding(group, "keeps what it confirms")]


async def check_speed(store: Store, group: str) -> list[Finding]:
    """How long an answer takes, how much memory is left, and the clock."""
    times = []
    for _ in range(_PINGS):
        started = time.perf_counter()
        await store.ping()
        times.append(time.perf_counter() - started)
    latency = min(times)  # the others say more of this process, which does much at once
    memory = await store.inspection.memory()
    found = []
    if latency > MAX_LATENCY_SECONDS:
        what = f"answers in {latency * 1000:.0f} ms"
        found.append(
            Finding(group, what, "bring it nearer to ingress and workers, or see what keeps it busy (SLOWLOG GET)")
        )
    if memory.limit and memory.used > MAX_MEMORY_SHARE * memory.limit:
        what = f"{memory.used // _MIB} of {memory.limit // _MIB} MiB of memory are used"
        found.append(
            Finding(group, what, "raise maxmemory, or discard dead letters and parked events that nobody needs")
        )
    skew = await store.now() - time.time()
    if abs(skew) > MAX_SKEW_SECONDS:
        what = f"its clock is {lasting(abs(skew))} {'ahead of' if skew > 0 else 'behind'} that of this machine"
        found.append(Finding(group, what, "set both by NTP (`timedatectl set-ntp true`)"))
    return found or [Finding(group, f"answers in {latency * 1000:.1f} ms, {memory.used // _MIB} MiB used")]


async def check_queue(store: Store, group: str) -> list[Finding]:
    """The workers, and what waits for somebody."""
    overview = await store.inspection.overview()
    found = _of_workers(overview, group) + _of_waiting(overview, group)
    return found + await _of_refusals(store, group)


def _of_workers(overview: Overview, group: str) -> list[Finding]:
    if overview.workers == 0:
        return [Finding(group, "no worker takes work", "start `truto-worker worker` with this REDIS_URL")]
    return [Finding(group, f"{counted(overview.workers, 'worker')} alive")]


def _of_waiting(overview: Overview, group: str) -> list[Finding]:
    found = []
    if overview.ready and overview.oldest_ready_seconds > MAX_READY_SECONDS:
        what = f"{counted(overview.ready, 'event')} ready, the oldest for {lasting(overview.oldest_ready_seconds)}"
        found.append(Finding(group, what, "start more workers, or look what theirs are busy with"))
    if overview.dead:
        what = counted(overview.dead, "dead letter")
        found.append(Finding(group, what, "truto-worker dead-letters --group, then replay or discard"))
    if overview.parked:
        what = f"{counted(overview.parked, 'event')} parked"
        found.append(Finding(group, what, "truto-worker replay --parked --all --dry-run shows why"))
    return found or [Finding(group, "nothing waits for a person")]


async def _of_refusals(store: Store, group: str) -> list[Finding]:
    since = datetime.now(UTC) - _RECENTLY
    refusals = [one for one in await store.notes.refusals(500) if one.at >= since and one.status == 401]
    if not refusals:
        return []
    sources = ", ".join(sorted({one.source for one in refusals}))
    what = f"{counted(len(refusals), 'delivery')} refused as not authentic within the last hour, by {sources}"
    return [Finding(group, what.replace("deliverys", "deliveries"), "truto-worker sources refusals")]


async def check_reconciling(store: Store) -> list[Finding]:
    """Whether somebody looks for what never arrived, and what is lost for good."""
    remembered, due = await asyncio.gather(store.recovery.remembered(), store.recovery.due_in())
    found = []
    rows = remembered.get("unrecoverable") or []
    arrived = await store.recovery.arrived([row["id"] for row in rows])
    if lost := [row for row in rows if row["id"] not in arrived]:
        what = f"{counted(len(lost), 'event')} never arrived, and cannot be rebuilt"
        found.append(Finding("reconcile", what, "truto-worker reconcile --list says where to get it"))
    if due is not None and due < -MAX_READY_SECONDS:
        what = f"the look for missing events is {lasting(-due)} late"
        found.append(Finding("reconcile", what, "look at the workers' logs for `reconcile_failed`"))
    last = remembered.get("last") or {}
    if last.get("webhook") == "unknown":
        what = "which webhook delivers here is not known, so missing events are not looked for"
        found.append(Finding("reconcile", what, "truto-worker connect"))
    told = "no worker has looked for missing events yet"
    if last:
        told = f"{last.get('logged', 0)} deliveries compared last time, {last.get('recovered', 0)} recovered"
    return found or [Finding("reconcile", told)]
