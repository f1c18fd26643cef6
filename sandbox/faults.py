"""Trouble on request: what goes wrong on the Truto API routes. Performs no I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.answers import invalid
from sandbox.errors import Refusal

_MAX_LATENCY_SECONDS = 60.0
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
    },
    "additionalProperties": False,
}
"""The JSON Schema of what :meth:`Faults.parse` reads."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on the Truto API routes right now."""

    outage: bool = False
    latency_seconds: float = 0.0
    error_rate: float = 0.0
    rate_limited: bool = False
    provider_status: int | None = None
    """What every third-party product answers; the platform itself is well."""

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
        )

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


def _number(body: Mapping[str, Any], name: str, most: float) -> float:
    value = body.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid(name, "must be a number")
    if not 0 <= value <= most:
        raise invalid(name, f"must be between 0 and {most:g}")
    return float(value)
