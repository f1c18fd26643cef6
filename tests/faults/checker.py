"""What must hold after everything that was broken: a pure function from the ledgers to a verdict.

The invariants, by the names that docs/reliability.md gives them:

I1  what was acknowledged is done, or kept with its payload; nothing is missing
I2  what is done ran to its end at least once, for every handler that wanted it, and had its effect exactly once
I3  a second run has a cause: the first one was under way when its worker or the store was hit, or it failed
I4  nothing ran that was not sent and signed, or that was refused for good
I5  work of a lost worker runs again in time
I6  nothing is left in the store that belongs to no event
I7  no payload and no secret is in a log
I8  acknowledgements resume by themselves
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from tests.faults.ledger import Attempt, Fault, Run

State = Literal["done", "kept", "kept without payload", "waiting", "missing"]
"""What the store says about an event at the end; *kept* is a dead letter, or parked."""

SETTLE_SECONDS = 2.0
"""How long after a handler's end its finish may still be on its way."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was written down. *wanted* names the handlers of each event that has any."""

    attempts: Sequence[Attempt]
    runs: Sequence[Run]
    faults: Sequence[Fault]
    states: Mapping[str, State]
    wanted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    effects: Mapping[str, int] | None = None
    leftovers: Sequence[str] = ()
    leaked_lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Demands:
    """What a row asks for besides. *kept* are the events that must end as dead letters, or parked, and no others.

    Without *drained*, work may still be waiting. The bounds are in seconds; ``None`` asks for nothing.
    """

    lease_seconds: float
    kept: frozenset[str] = frozenset()
    drained: bool = True
    recovery_bound: float | None = None
    resume_bound: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Events and lines that break an invariant, by its name, and the figures of the run."""

    broken: Mapping[str, Sequence[str]]
    sent: int
    acked: int
    lost: Sequence[str]
    repeated: int
    recoveries: Sequence[float]
    resumptions: Sequence[float]
    stalls: int = 0

    @property
    def holds(self) -> bool:
        """Whether every invariant held."""
        return not self.broken

    def __str__(self) -> str:
        """The verdict in a few lines, with a few examples for each invariant that is broken."""
        said = [f"{name}: {len(found)} of them, for example {list(found[:3])}" for name, found in self.broken.items()]
        return "\n".join([f"{self.acked} acked, {len(self.lost)} lost, {self.repeated} repeated", *said])


def judge(evidence: Evidence, demands: Demands) -> Verdict:
    """Hold the evidence against the invariants."""
    acked = {attempt.id for attempt in evidence.attempts if attempt.outcome == "ok"}
    lost = sorted(name for name in acked if evidence.states.get(name, "missing") in {"missing", "kept without payload"})
    recoveries = _recoveries(evidence)
    resumptions = _resumptions(evidence)
    found = {
        "I1 lost": lost,
        "I1 not over": _not_over(acked, evidence, demands),
        "I1 kept wrongly": _kept_wrongly(acked, evidence, demands),
        "I2 never ran": _never_ran(evidence),
        "I2 effects": [f"{name}: {n}" for name, n in (evidence.effects or {}).items() if n != 1],
        "I3 repeated without cause": _repeated_without_cause(evidence, demands.lease_seconds),
        "I4 not authentic": _not_authentic(evidence),
        "I5 recovery": _beyond(recoveries, demands.recovery_bound),
        "I6 left over": list(evidence.leftovers),
        "I7 in a log": list(evidence.leaked_lines),
        "I8 resumption": _beyond(resumptions, demands.resume_bound),
    }
    return Verdict(
        broken={name: examples for name, examples in found.items() if examples},
        sent=len({attempt.id for attempt in evidence.attempts}),
        acked=len(acked),
        lost=lost,
        repeated=len(evidence.runs) - len({(run.id, run.handler) for run in evidence.runs}),
        recoveries=recoveries,
        resumptions=resumptions,
        stalls=sum(fault.kind == "stall" for fault in evidence.faults),
    )


def _not_over(acked: set[str], evidence: Evidence, demands: Demands) -> list[str]:
    if not demands.drained:
        return []
    # Also what was never acknowledged: an attempt whose outcome is unknown may have been stored.
    return sorted(name for name, state in evidence.states.items() if state == "waiting")


def _kept_wrongly(acked: set[str], evidence: Evidence, demands: Demands) -> list[str]:
    kept = {name for name, state in evidence.states.items() if state == "kept"}
    innocent = [f"{name}: kept" for name in sorted(kept - demands.kept)]
    return innocent + [f"{name}: not kept" for name in sorted((demands.kept & acked) - kept)]


def _never_ran(evidence: Evidence) -> list[str]:
    ended = {(run.id, run.handler) for run in evidence.runs if run.end == "done"}
    return sorted(
        f"{name}: {handler}"
        for name, handlers in evidence.wanted.items()
        if evidence.states.get(name) == "done"
        for handler in handlers
        if (name, handler) not in ended
    )


def _repeated_without_cause(evidence: Evidence, lease_seconds: float) -> list[str]:
    of_process: dict[int, list[Fault]] = defaultdict(list)
    of_store: list[Fault] = []
    for fault in evidence.faults:
        if fault.target == "worker":
            of_process[fault.pid].append(fault)
        elif fault.target == "store":
            of_store.append(fault)
    return sorted(
        f"{first.id}: {first.handler}"
        for runs in _by_work(evidence.runs).values()
        for first, second in pairwise(runs)
        if first.end != "failed"
        and not any(_touches(fault, first, second, 0.0) for fault in of_process[first.pid])
        and not any(_touches(fault, first, second, lease_seconds) for fault in of_store)
    )


def _touches(fault: Fault, first: Run, second: Run, after_effect: float) -> bool:
    until = second.began if first.ended is None else first.ended + SETTLE_SECONDS
    return fault.began <= until and fault.ended + after_effect >= first.began


def _not_authentic(evidence: Evidence) -> list[str]:
    possible = {attempt.id for attempt in evidence.attempts if attempt.genuine and attempt.outcome != "fail"}
    ran = {run.id for run in evidence.runs}
    known = {name for name, state in evidence.states.items() if state != "missing"}
    return sorted((ran | known) - possible)


def _by_work(runs: Sequence[Run]) -> dict[tuple[str, str], list[Run]]:
    by_work: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.began):
        by_work[run.id, run.handler].append(run)
    return by_work


def _recoveries(evidence: Evidence) -> list[float]:
    """For each run that a killed worker took with it: how long after the kill the work ran again."""
    killed = {f.pid: f.began for f in evidence.faults if f.target == "worker" and f.kind in {"kill", "crash"}}
    return [
        second.began - killed[first.pid]
        for runs in _by_work(evidence.runs).values()
        for first, second in pairwise(runs)
        if first.end is None and first.pid in killed and second.began > killed[first.pid] >= first.began
    ]


def _resumptions(evidence: Evidence) -> list[float]:
    """For each outage of ingress or store: how long after its end the first acknowledgement came.

    The time of another outage in between does not count: a server that reads its file again is not ready yet.
    """
    acks = sorted(attempt.ended for attempt in evidence.attempts if attempt.outcome == "ok")
    last_sent = max((attempt.sent for attempt in evidence.attempts), default=0.0)
    outages = sorted((fault.began, fault.ended) for fault in evidence.faults if fault.target != "worker")
    waits = []
    for _, ended in outages:
        if last_sent < ended:
            continue
        position = bisect_right(acks, ended)
        ack = acks[position] if position < len(acks) else math.inf
        waits.append(ack - ended - _time_out(outages, ended, ack))
    return waits


def _time_out(outages: Sequence[tuple[float, float]], since: float, until: float) -> float:
    """How much of the time between the two something was out."""
    out = 0.0
    for began, ended in outages:
        out += max(0.0, min(ended, until) - max(began, since))
        since = max(since, ended)
    return out


def _beyond(seconds: Sequence[float], bound: float | None) -> list[str]:
    return [] if bound is None else [f"{value:.2f} s" for value in seconds if value > bound]
