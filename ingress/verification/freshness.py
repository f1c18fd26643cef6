"""Replay protection: how far a signed timestamp may be from now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingress.verification.evidence import required
from truto.errors import SignatureError
from truto.placeholders import Template

_MAX_DIGITS = 16
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}(?:Z|[+-][0-9]{2}:?[0-9]{2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Freshness:
    """*timestamp* may be *tolerance* seconds from now, in either direction and to the second.

    *unit* is ``seconds`` or ``milliseconds`` since 1970, or ``iso``; times without a zone are UTC.
    """

    timestamp: Template
    tolerance: float
    unit: str = "seconds"

    def check(self, context: Mapping[str, Any], now: float) -> None:
        """Raises :class:`SignatureError` for a timestamp that is missing, unreadable, or too far away."""
        difference = self.difference(context, now)
        if abs(difference) > self.tolerance:
            raise SignatureError("timestamp_out_of_tolerance", f"the timestamp is {difference:+.0f} s from now")

    def difference(self, context: Mapping[str, Any], now: float) -> float:
        """How far (s) the timestamp is ahead of *now*; negative for the past."""
        return int(self._read(required(self.timestamp, context, "timestamp_missing"))) - int(now)

    def _read(self, text: str) -> float:
        if self.unit == "iso":
            if _ISO.fullmatch(text):
                try:
                    moment = datetime.fromisoformat(text)
                except ValueError:
                    pass
                else:
                    return (moment if moment.tzinfo else datetime.fromisoformat(text + "+00:00")).timestamp()
        elif text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
            return int(text) / (1000 if self.unit == "milliseconds" else 1)
        raise SignatureError("timestamp_malformed", f"the timestamp is not in {self.unit}")
