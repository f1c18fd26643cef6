"""Describe failures without secrets."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_MAX_MESSAGE = 500
_MAX_FRAMES = 12
_CREDENTIALS = re.compile(r"(?i)(bearer|basic)\s+[\w.~+/=-]{8,}|(?<=://)[^/\s]+(?=@)|whsec_[\w+/=]+")
_MASK = "[secret]"


@dataclass(frozen=True, slots=True)
class Describer:
    """Turns exceptions into causes. Masks the *secrets* of this deployment, and what looks like a credential."""

    secrets: tuple[str, ...] = field(repr=False, default=())

    @classmethod
    def masking(cls, secrets: Iterable[str | None]) -> Describer:
        """A describer for these secrets; empty ones are left out, since they occur everywhere."""
        return cls(tuple(sorted({s for s in secrets if s}, key=len, reverse=True)))

    def mask(self, value: object) -> str:
        """The text of *value* without secrets: storable, and at most 500 characters long."""
        text = _text(value)
        for secret in self.secrets:
            text = text.replace(secret, _MASK)
        text = _CREDENTIALS.sub(_MASK, text)
        return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"

    def cause(self, exc: BaseException, handler: str) -> dict[str, Any]:
        """The cause of a dead letter: error, traceback (places, no values) and a fingerprint to group by."""
        frames = traceback.extract_tb(exc.__traceback__)[-_MAX_FRAMES:]
        kind = type(exc).__name__
        places = "|".join(f"{frame.filename}:{frame.name}" for frame in frames)
        return {
            "error": self.mask(f"{kind}: {_text(exc)}"),
            "traceback": [_text(f"{frame.filename}:{frame.lineno} in {frame.name}") for frame in frames],
            # Without message and line numbers: they change while the cause stays the same.
            "fingerprint": hashlib.blake2b(
                f"{handler}|{kind}|{places}".encode(errors="replace"), digest_size=6
            ).hexdigest(),
        }


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception as exc:  # noqa: BLE001  a broken __str__ must not hide the error
        text = f"(no text: {type(exc).__name__})"
    # Lone surrogates cannot be encoded.
    return text.encode(errors="replace").decode()
