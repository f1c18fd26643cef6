"""Trouble on request: what goes wrong on the Truto API routes. Performs no I/O."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.answers import invalid
from sandbox.errors import Refusal

_MAX_LATENCY_SECONDS = 60.0
_MAX_SEED = 2**53
_SHARES = ("lose", "late", "double", "delay", "reorder")
_TIMES = {"late_seconds": 3600.0, "delay_seconds": 3600.0, "log_seconds": 31 * 86_400.0}
PROVIDER_STATUSES = (400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504)
"""The answers that a provider can be set to (skill: error-and-evidence-model)."""


FAULTS_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "outage": {"type": "boolean"},
        "rate_limited": {"type": "boolean"},
        "latency_seconds": {"type": "number", "minimum": 0, "maximum": _MAX_LATENCY_SECONDS},
        "error_rate": {"type": "number", "minimum": 0, "maximum": 1},
        "provider_status": {"enum": [None, *PROVIDER_STATUSES]},
        **{name: {"type": "number", "minimum": 0, "maximum": 1} for name in _SHARES},
        **{name: {"type": "number", "minimum": 0, "maximum": most} for name, most in _TIMES.items()},
        "seed": {"type": "integer", "minimum": 0, "maximum": _MAX_SEED},
    },
    "additionalProperties": False,
}
"""The JSON Schema of what :meth:`Faults.parse` reads."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one delivery: *lost* ones are tried and logged, but arrive, if at all, *late* (seconds)."""

    lost: bool = False
    late: float | None = None
    doubled: bool = False
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on the Truto API routes right now, and with deliveries.

    ``lose``, ``double``, ``delay`` and ``reorder`` are the shares of deliveries that this happens to, ``late`` is that
    of the lost ones which arrive all the same, after ``late_seconds``. A delayed one waits for ``delay_seconds``, one
    that is put out of order for a part of that. ``log_seconds`` is how long the logs keep an entry; 0 is for ever.
    Which deliveries are hit depends on ``seed`` and their number alone.
    """

    outage: bool = False
    latency_seconds: float = 0.0
    error_rate: float = 0.0
    rate_limited: bool = False
    provider_status: int | None = None
    """What every third-party product answers; the platform itself is well."""
    lose: float = 0.0
    late: float = 0.0
    late_seconds: float = 0.0
    double: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    delay_seconds: float = 0.0
    log_seconds: float = 0.0
    seed: int = 0

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Faults:
        """Read a whole setting; what is left out is off. Raises a 400 :class:`Refusal` for anything else."""
        for name in body:
            if name not in cls.__slots__:
                raise invalid(name, "is not a known fault")
        for name in ("outage", "rate_limited"):
            if not isinstance(body.get(name, False), bool):
                raise invalid(name, "must be true or false")
        status = body.get("provider_status")
        if isinstance(status, bool) or status not in (None, *PROVIDER_STATUSES):
            raise invalid("provider_status", f"must be null or one of {', '.join(map(str, PROVIDER_STATUSES))}")
        return cls(
            outage=body.get("outage", False),
            rate_limited=body.get("rate_limited", False),
            latency_seconds=_number(body, "latency_seconds", _MAX_LATENCY_SECONDS),
            error_rate=_number(body, "error_rate", 1.0),
            provider_status=None if status is None else int(status),
            seed=_seed(body),
            **{name: _number(body, name, 1.0) for name in _SHARES},
            **{name: _number(body, name, most) for name, most in _TIMES.items()},
        )

    def fate(self, number: int) -> Fate:
        """What becomes of the delivery of this *number*; always the same for the same seed."""
        draw = random.Random(f"{self.seed}:{number}").random  # noqa: S311  the same again is the point of it
        lost = draw() < self.lose
        late = self.late_seconds if draw() < self.late else None
        doubled, delayed, reordered = draw() < self.double, draw() < self.delay, draw() < self.reorder
        delay = self.delay_seconds if delayed else self.delay_seconds * draw() if reordered else 0.0
        return Fate(lost, late if lost else None, doubled and not lost, delay)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form that :meth:`parse` reads."""
        return asdict(self)

    def refusal(self, chance: float) -> Refusal | None:
        """What a call that drew *chance* (0 ≤ chance < 1) meets before anybody reads it."""
        if self.outage:
            return Refusal(500, "The platform is down (sandbox fault: outage)")
        if chance < self.error_rate:
            return Refusal(500, "Something went wrong (sandbox fault: error_rate)")
        if self.rate_limited:
            # Both of Truto's limits answer this header (skill: authentication).
            return Refusal(429, "Too many requests (sandbox fault: rate_limited)", headers={"Retry-After": "10"})
        return None


def _seed(body: Mapping[str, Any]) -> int:
    value = body.get("seed", 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_SEED:
        raise invalid("seed", f"must be a whole number between 0 and {_MAX_SEED}")
    return value


def _number(body: Mapping[str, Any], name: str, most: float) -> float:
    value = body.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid(name, "must be a number")
    if not 0 <= value <= most:
        raise invalid(name, f"must be between 0 and {most:g}")
    return float(value)
